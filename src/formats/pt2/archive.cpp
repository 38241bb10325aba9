#include "formats/pt2/archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <numeric>

#include "formats/pt2/json.h"
#include "formats/pt2/pickle.h"
#include "formats/pt2/schema.h"
#include "formats/pt2/serial.h"

namespace zp::pt2 {
namespace {

Error refuse(std::string id, std::string text) { return Error("pt2." + std::move(id), std::move(text)); }

std::string_view text_of(const Blob& blob) {
  return {reinterpret_cast<const char*>(blob.data()), blob.size()};
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.back() == '\n' || s.back() == ' ' || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

// What a zip archive that is no exported program probably is, and what to do about it.
std::string other_kind(const Zip& zip, std::string_view root) {
  bool code = false, npy = false, aoti = false, pickle = false;
  for (const ZipEntry& e : zip.entries()) {
    std::string_view name = e.name;
    npy = npy || name.ends_with(".npy");
    aoti = aoti || name.find("data/aotinductor/") != std::string_view::npos;
    if (!root.empty() && name.starts_with(root) && name.size() > root.size())
      name.remove_prefix(root.size() + 1);
    code = code || name.starts_with("code/");
    pickle = pickle || name == "data.pkl";
  }
  if (aoti)
    return "an AOTInductor package: it holds compiled code, no graph; save the exported program with "
           "torch.export.save";
  if (code) return "a TorchScript archive; export the model with torch.export.export and torch.export.save";
  if (pickle)
    return "a torch.save file (weights or a pickled module); export the model with torch.export.export and "
           "torch.export.save";
  if (npy) return "a NumPy archive";
  return "a zip archive without models/*.json and archive_format, so no exported program";
}

// sum (size - 1) * stride + 1 elements, or an error; nothing is trusted.
Status check_extent(const Payload& p, std::string_view place) {
  auto bad = [&](std::string text) { return refuse("tensor", fmt::format("{}: {}", place, text)); };
  if (p.dtype == DType::Unknown) return bad("its element type is not known");
  if (p.sizes.size() != p.strides.size())
    return bad(fmt::format("{} sizes but {} strides", p.sizes.size(), p.strides.size()));
  if (p.sizes.size() > 64) return bad(fmt::format("rank {}", p.sizes.size()));
  int64_t count = 1, last = p.offset;
  bool empty = false;
  if (p.offset < 0) return bad(fmt::format("storage offset {}", p.offset));
  for (size_t d = 0; d < p.sizes.size(); ++d) {
    if (p.sizes[d] < 0 || p.strides[d] < 0)
      return bad(fmt::format("size {} with stride {} in dim {}", p.sizes[d], p.strides[d], d));
    empty = empty || p.sizes[d] == 0;
  }
  if (empty) return {};
  for (size_t d = 0; d < p.sizes.size(); ++d) {
    int64_t step = 0;
    if (__builtin_mul_overflow(count, p.sizes[d], &count) ||
        __builtin_mul_overflow(p.sizes[d] - 1, p.strides[d], &step) ||
        __builtin_add_overflow(last, step, &last)) {
      return bad("its sizes and strides overflow");
    }
  }
  int64_t total = 0;
  if (__builtin_mul_overflow(count, byte_size(p.dtype), &total)) return bad("its size overflows");
  if (p.stripped) return {};
  const auto width = static_cast<uint64_t>(byte_size(p.dtype));
  if (p.storage.size() % width != 0) {
    return bad(fmt::format("record '{}' has {} bytes, no multiple of the {} bytes of an element", p.path,
                           p.storage.size(), width));
  }
  if (static_cast<uint64_t>(last) >= p.storage.size() / width) {
    return bad(fmt::format("needs {} elements of {} bytes but record '{}' has {} bytes", last + 1, width,
                           p.path, p.storage.size()));
  }
  return {};
}

bool safe_path(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.find('\\') != std::string_view::npos ||
      path.find('\0') != std::string_view::npos)
    return false;
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (part.empty() || part == "." || part == "..") return false;
    at = end + 1;
  }
  return true;
}

}  // namespace

// Collects the payloads of a model and every problem on the way.
struct ArchiveReader {
  const Archive& archive;
  Payloads payloads;
  std::vector<Diagnostic> problems;
  std::unordered_map<std::string, Blob> records;  // by full name: payloads of one record share it

  void problem(Error error) {
    for (const Diagnostic& d : error.diagnostics()) problems.push_back(d);
  }

  void add(Payload payload) {
    const std::string place =
        fmt::format("{} '{}'", payload.section == Payload::Weights ? "weight" : "constant", payload.fqn);
    for (Payload& part : payload.parts) {
      if (Status s = check_extent(part, fmt::format("{}, part '{}'", place, part.fqn)); !s.ok())
        problem(std::move(s).error());
    }
    if (!payload.object && payload.parts.empty()) {
      if (Status s = check_extent(payload, place); !s.ok()) return problem(std::move(s).error());
    }
    payloads.all.push_back(std::move(payload));
  }

  void index() {
    for (uint32_t i = 0; i < payloads.all.size(); ++i) {
      const Payload& p = payloads.all[i];
      auto& table = p.section == Payload::Weights ? payloads.weights : payloads.constants;
      if (table.emplace(p.fqn, i).second) continue;
      problem(
          Error("pt2.weight", fmt::format("two {} are named '{}'",
                                          p.section == Payload::Weights ? "weights" : "constants", p.fqn)));
    }
  }

  // Generation C.
  void read_config(Payload::Section section, std::string_view model) {
    const bool weights = section == Payload::Weights;
    const std::string folder = weights ? "data/weights/" : "data/constants/";
    const std::string name =
        fmt::format("{}{}_{}_config.json", folder, model, weights ? "weights" : "constants");
    const std::string synonym =
        fmt::format("{}{}_model_{}_config.json", folder, model, weights ? "param" : "constants");
    const std::string& used =
        archive.find(name) == nullptr && archive.find(synonym) != nullptr ? synonym : name;
    auto blob = archive.record(used, true);
    if (!blob.ok()) return problem(std::move(blob).error());
    Arena arena;
    const Blob text = padded_text(*blob);
    Json json(text, arena, used);
    JsonObject root;
    bool seen = false;
    const bool ok = json.root(&root) && json.fields(root, [&](std::string_view key, JsonValue value) {
      if (key != "config") return true;
      seen = true;
      return json.object_fields(value, [&](std::string_view raw, JsonValue v) {
        std::string_view fqn;
        return json.key_text(raw, &fqn) && read_payload(json, section, folder, fqn, v);
      });
    });
    if (!ok) return problem(json.error());
    if (!seen) problem(refuse("config", fmt::format("record '{}' has no field 'config'", used)));
  }

  bool read_payload(Json& json, Payload::Section section, const std::string& folder, std::string_view fqn,
                    JsonValue value) {
    Payload p;
    p.section = section;
    p.fqn = fqn;
    int64_t dtype = 0;
    bool meta = false;
    auto number = [&](JsonValue v, int64_t* out) {
      return json.object_fields(
          v, [&](std::string_view key, JsonValue n) { return key != "as_int" || json.integer(n, out); });
    };
    const bool ok = json.object_fields(value, [&](std::string_view key, JsonValue v) {
      std::string_view text;
      if (key == "path_name") {
        if (!json.text(v, &text)) return false;
        p.path = text;
        return true;
      }
      if (key == "is_param") return json.boolean(v, &p.is_param);
      if (key == "use_pickle") return json.boolean(v, &p.use_pickle);
      if (key != "tensor_meta" || json.is_null(v)) return true;
      meta = true;
      return json.object_fields(v, [&](std::string_view field, JsonValue inner) {
        if (field == "dtype") return json.integer(inner, &dtype);
        if (field == "requires_grad") return json.boolean(inner, &p.requires_grad);
        if (field == "storage_offset") return number(inner, &p.offset);
        if (field != "sizes" && field != "strides") return true;
        auto& list = field == "sizes" ? p.sizes : p.strides;
        return json.items(inner, [&](JsonValue item) { return number(item, &list.emplace_back(-1)); });
      });
    });
    if (!ok) return false;
    p.dtype = dtype_of_serialized(dtype);
    p.object = !meta;
    attach(std::move(p), folder, dtype);
    return true;
  }

  void attach(Payload p, const std::string& folder, int64_t dtype) {
    if (!safe_path(p.path)) {
      return problem(refuse(
          "path", fmt::format("'{}': the record name '{}' leaves the archive's folder", p.fqn, p.path)));
    }
    if (!p.object && !p.use_pickle && p.dtype == DType::Unknown) {
      return problem(refuse("dtype", fmt::format("'{}': element type {} is not known", p.fqn, dtype)));
    }
    const std::string name = folder + p.path;
    auto [at, added] = records.emplace(name, Blob());
    if (added) {
      auto blob = archive.record(name, false);
      if (!blob.ok()) return problem(std::move(blob).error());
      at->second = std::move(*blob);
    }
    p.storage = at->second;
    if (p.use_pickle && !p.object) return attach_pickled(std::move(p), name);
    bool empty = false;
    for (int64_t s : p.sizes) empty = empty || s == 0;
    p.stripped = !p.object && p.storage.empty() && !empty;
    add(std::move(p));
  }

  void attach_pickled(Payload p, const std::string& name) {
    auto file = TorchFile::open(p.storage, name);
    if (!file.ok()) return problem(std::move(file).error());
    const PickleValue& root = file->pickle().root();
    const std::string_view subclass = file->subclass_name(root);
    if (subclass.empty()) {
      auto tensor = file->tensor(root);
      if (!tensor.ok()) return problem(std::move(tensor).error());
      take(p, std::move(*tensor));
      return add(std::move(p));
    }
    auto parts = file->subclass_parts(root);
    if (!parts.ok()) return problem(std::move(parts).error());
    if (parts->empty()) {
      std::string type(subclass);
      std::replace(type.begin(), type.end(), '\n', '.');
      return problem(
          refuse("subclass", fmt::format("'{}' is a pickled {}, whose parts cannot be read; call "
                                         "torchao.utils.unwrap_tensor_subclass(model) before exporting",
                                         p.fqn, type)));
    }
    for (TorchFile::Named& named : *parts) {
      Payload part;
      part.section = p.section;
      part.fqn = named.name;
      part.path = p.path;
      take(part, std::move(named.tensor));
      p.parts.push_back(std::move(part));
    }
    add(std::move(p));
  }

  static void take(Payload& p, PickledTensor tensor) {
    p.dtype = tensor.dtype;
    p.sizes = std::move(tensor.sizes);
    p.strides = std::move(tensor.strides);
    p.offset = tensor.offset;
    p.requires_grad = p.requires_grad || tensor.requires_grad;
    p.storage = std::move(tensor.storage);
  }

  // Generations A and B: one torch.save dictionary per section. What is a parameter, the signature says.
  void read_dictionary(Payload::Section section, const std::string& name) {
    auto blob = archive.record(name, false);
    if (!blob.ok()) return problem(std::move(blob).error());
    if (blob->empty()) return;
    auto file = TorchFile::open(*blob, name);
    if (!file.ok()) return problem(std::move(file).error());
    const PickleValue& root = file->pickle().root();
    if (root.kind != PickleValue::Dict)
      return problem(refuse("weights", fmt::format("record '{}' holds no dictionary", name)));
    for (size_t k = 0; k + 1 < root.items.size(); k += 2) {
      const PickleValue& key = *file->pickle().item(root, k);
      const PickleValue& value = *file->pickle().item(root, k + 1);
      Payload p;
      p.section = section;
      p.fqn = key.text;
      p.path = name;
      if (key.kind != PickleValue::String || value.kind != PickleValue::Call) {
        p.object = true;
      } else if (auto tensor = file->tensor(value); tensor.ok()) {
        take(p, std::move(*tensor));
      } else if (auto parts = file->subclass_parts(value); parts.ok() && !parts->empty()) {
        for (TorchFile::Named& named : *parts)
          take(
              p.parts.emplace_back(Payload{.section = section, .fqn = std::string(named.name), .path = name}),
              std::move(named.tensor));
      } else {
        p.object = true;
      }
      add(std::move(p));
    }
  }
};

std::string_view generation_name(Generation generation) {
  switch (generation) {
    case Generation::A: return "A (torch 2.7 and before)";
    case Generation::A0: return "A0 (torch 2.1)";
    case Generation::B: return "B (torch 2.8)";
    case Generation::C: return "C (torch 2.9 and later)";
  }
  return "unknown";
}

const Payload* Payloads::find(Payload::Section section, std::string_view fqn) const {
  const auto& table = section == Payload::Weights ? weights : constants;
  auto found = table.find(fqn);
  return found == table.end() ? nullptr : &all[found->second];
}

Result<std::shared_ptr<const Archive>> Archive::open(const std::string& path) {
  auto archive = std::make_shared<Archive>();
  archive->path_ = path;
  ZP_TRY(archive->file_, MappedFile::open(path));
  const MappedFile& file = *archive->file_;
  if (!looks_like_zip(file.bytes())) {
    return refuse(
        "kind",
        fmt::format(
            "this is no zip archive ({} bytes), a .pt2 file is one; was it downloaded or copied completely?",
            file.size()));
  }
  ZP_TRY(archive->zip_, Zip::open(Blob::from_file(archive->file_, 0, file.size())));
  const Zip& zip = archive->zip_;
  if (zip.entries().empty()) return refuse("kind", "the archive is empty");
  const std::string_view first = zip.entries().front().name;
  if (const size_t slash = first.find('/'); slash != std::string_view::npos)
    archive->root_ = first.substr(0, slash);

  if (zip.find("serialized_exported_program.json") != nullptr && zip.find("version") != nullptr) {
    archive->root_.clear();
    archive->generation_ = zip.find("serialized_state_dict.pt") != nullptr ? Generation::A : Generation::A0;
    archive->models_ = {"model"};
    return finished(std::move(archive));
  }
  if (archive->find("archive_format") == nullptr) {
    return refuse("kind", fmt::format("this is {}", other_kind(zip, archive->root_)));
  }
  ZP_TRY(const Blob format, archive->record("archive_format", true));
  if (trim(text_of(format)) != "pt2") {
    return refuse("kind", fmt::format("the archive says it holds '{}', not 'pt2'",
                                      trim(text_of(format)).substr(0, 40)));
  }
  ZP_TRY(const Blob version, archive->record("archive_version", true));
  if (trim(text_of(version)) != "0") {
    return refuse("version", fmt::format("archive version '{}'; only version 0 is known",
                                         trim(text_of(version)).substr(0, 40)));
  }
  if (archive->find("byteorder") != nullptr) {
    ZP_TRY(const Blob order, archive->record("byteorder", true));
    archive->big_endian_ = trim(text_of(order)) == "big";
    if (archive->big_endian_)
      return refuse("byteorder", "its weights are big-endian; save it on a little-endian machine");
  }
  const std::string models = archive->root_ + "/models/";
  for (const ZipEntry& e : zip.entries()) {
    if (!e.name.starts_with(models) || !e.name.ends_with(".json")) continue;
    const std::string_view model = e.name.substr(models.size(), e.name.size() - models.size() - 5);
    if (!model.empty() && model.find('/') == std::string_view::npos) archive->models_.emplace_back(model);
  }
  if (archive->models_.empty())
    return refuse("kind", fmt::format("this is {}", other_kind(zip, archive->root_)));
  const std::string_view model = archive->models_.front();
  const bool dictionary = archive->find(fmt::format("data/weights/{}.pt", model)) != nullptr;
  archive->generation_ = dictionary ? Generation::B : Generation::C;
  return finished(std::move(archive));
}

// Which entries were found right, in the order of their places; made when the first one is asked for.
struct Archive::Verified {
  std::mutex lock;
  std::vector<uint32_t> order;
  std::vector<bool> right;
};

// From here on weights can be checked where they are read. The file must not own the archive, which owns it.
std::shared_ptr<const Archive> Archive::finished(std::shared_ptr<Archive> archive) {
  archive->verified_ = std::make_shared<Verified>();
  archive->file_->set_range_check([weak = std::weak_ptr<const Archive>(archive)](uint64_t offset) -> Status {
    const std::shared_ptr<const Archive> owner = weak.lock();
    return owner != nullptr ? owner->verify_at(offset) : Status();
  });
  return archive;
}

Status Archive::verify_at(uint64_t offset) const {
  const std::lock_guard guard(verified_->lock);
  std::vector<uint32_t>& order = verified_->order;
  const std::span<const ZipEntry> entries = zip_.entries();
  if (order.empty()) {
    order.resize(entries.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return entries[a].header_offset < entries[b].header_offset; });
    verified_->right.resize(entries.size());
  }
  const auto after = std::upper_bound(order.begin(), order.end(), offset, [&](uint64_t at, uint32_t entry) {
    return at < entries[entry].header_offset;
  });
  if (after == order.begin()) return {};
  const uint32_t index = *(after - 1);
  if (verified_->right[index]) return {};
  if (Status status = zip_.verify(entries[index]); !status.ok())
    return std::move(std::move(status).error()).in_file(path_);
  verified_->right[index] = true;
  return {};
}

const ZipEntry* Archive::find(std::string_view name) const {
  return root_.empty() ? zip_.find(name) : zip_.find(fmt::format("{}/{}", root_, name));
}

Result<Blob> Archive::record(std::string_view name, bool check_crc) const {
  const ZipEntry* entry = find(name);
  if (entry == nullptr) return refuse("record", fmt::format("record '{}' is missing", name));
  if (check_crc && entry->stored()) ZP_CHECK(zip_.verify(*entry));  // inflated ones are always checked
  return zip_.payload(*entry);
}

Result<Blob> Archive::model_json(std::string_view model) const {
  if (generation_ == Generation::A || generation_ == Generation::A0)
    return record("serialized_exported_program.json", true);
  return record(fmt::format("models/{}.json", model), true);
}

std::string Archive::sample_inputs_record(std::string_view model) const {
  std::string name = generation_ == Generation::A || generation_ == Generation::A0
                         ? "serialized_example_inputs.pt"
                         : fmt::format("data/sample_inputs/{}.pt", model);
  return find(name) != nullptr ? name : std::string();
}

Result<Payloads> Archive::payloads(std::string_view model) const {
  ArchiveReader reader{*this, {}, {}, {}};
  switch (generation_) {
    case Generation::C:
      reader.read_config(Payload::Weights, model);
      reader.read_config(Payload::Constants, model);
      break;
    case Generation::B:
      reader.read_dictionary(Payload::Weights, fmt::format("data/weights/{}.pt", model));
      reader.read_dictionary(Payload::Constants, fmt::format("data/constants/{}.pt", model));
      break;
    case Generation::A:
    case Generation::A0: {
      const bool a = generation_ == Generation::A;
      reader.read_dictionary(Payload::Weights, a ? "serialized_state_dict.pt" : "serialized_state_dict.json");
      const std::string constants = a ? "serialized_constants.pt" : "serialized_constants.json";
      if (find(constants) != nullptr) reader.read_dictionary(Payload::Constants, constants);
      break;
    }
  }
  if (!reader.problems.empty()) return Error(std::move(reader.problems));
  reader.index();
  if (!reader.problems.empty()) return Error(std::move(reader.problems));
  return std::move(reader.payloads);
}

bool is_archive_file(const std::string& path) {
  auto file = MappedFile::open(path);
  return file.ok() && looks_like_zip((*file)->bytes());
}

}  // namespace zp::pt2
