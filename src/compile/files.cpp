#include "compile/files.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "formats/npy.h"
#include "formats/pt2/export.h"
#include "formats/pt2/import.h"
#include "interp/interp.h"
#include "ir/parser.h"
#include "ir/printer.h"
#include "ops/ops.h"
#include "support/atomic_file.h"
#include "support/mapped_file.h"

namespace zp {

namespace {

bool ends_with(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

constexpr size_t kMaxText = size_t{1} << 31;

Result<std::string> read_standard_input() {
  std::string text;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t got = ::read(0, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return Error("file.read", std::string("cannot read standard input: ") + std::strerror(errno));
    if (got == 0) return text;
    if (text.size() + static_cast<size_t>(got) > kMaxText)
      return Error("file.size", "more than 2 GiB of text on standard input");
    text.append(buffer, static_cast<size_t>(got));
  }
}

Result<std::unique_ptr<Model>> parse_text(std::string_view text, const std::string& path) {
  ZP_TRY(std::unique_ptr<Model> model, parse_model(text, ops::table(), path));
  model->format = "zp";
  model->path = path;
  model->file_bytes = text.size();
  return model;
}

// Counter-based generator (splitmix64): any element can be made alone, and every machine makes the same.
uint64_t random_bits(uint64_t seed, uint64_t index) {
  uint64_t z = seed * 0x9E3779B97F4A7C15ull + (index + 1) * 0xD1B54A32D192ED03ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

double uniform(uint64_t bits) { return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53; }

double normal(uint64_t seed, uint64_t index) {
  const double u = uniform(random_bits(seed, 2 * index)), v = uniform(random_bits(seed, 2 * index + 1));
  return std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v);
}

}  // namespace

Result<std::unique_ptr<Model>> load_model(const std::string& path, const LoadOptions& options) {
  if (path == "-") {
    ZP_TRY(const std::string text, read_standard_input());
    return parse_text(text, "<stdin>");
  }
  ZP_TRY(std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  const std::string_view head(reinterpret_cast<const char*>(file->data()),
                              std::min<uint64_t>(file->size(), 8));
  const bool zip = head.substr(0, 4) == "PK\3\4" || head.substr(0, 4) == "PK\5\6";
  if (zip || (ends_with(path, ".pt2") && head.substr(0, 3) != "zp ")) {
    ImportOptions import;
    import.max_errors = options.max_errors;
    import.assume_contiguous_weights = options.assume_contiguous_weights;
    return import_pt2(path, import);
  }
  if (ends_with(path, ".onnx") || ends_with(path, ".tflite") || ends_with(path, ".circle")) {
    return Error("file.kind", "this format is not read yet; .pt2 archives and .zp graph text are")
        .in_file(path);
  }
  if (file->size() > kMaxText) return Error("file.size", "graph text of more than 2 GiB").in_file(path);
  const std::string_view text(reinterpret_cast<const char*>(file->data()), static_cast<size_t>(file->size()));
  if (!ends_with(path, ".zp") && text.find("zp 1") == std::string_view::npos) {
    return Error("file.kind", "neither a .pt2 archive nor graph text (`zp 1`)").in_file(path);
  }
  return parse_text(text, path);
}

bool can_save(const std::string& path) { return ends_with(path, ".pt2") || ends_with(path, ".zp"); }

Status save_model(const Model& model, const std::string& path, std::vector<std::string>* needs_import) {
  if (ends_with(path, ".pt2")) return export_pt2(model, path, {}, needs_import);
  if (ends_with(path, ".zp")) return write_file(path, print(model));
  return Error("file.kind", "cannot tell the format from the suffix; .pt2 and .zp are written",
               ErrorKind::Usage)
      .in_file(path);
}

std::string input_name(const Model& model, size_t input) {
  return model.inputs[input].user_name.empty() ? std::string(model.graph->inputs()[input]->name())
                                               : model.inputs[input].user_name;
}

namespace {

// A number input (SymInt) may be given as the number itself: `--input n=5`.
std::optional<Tensor> plain_number(const Type& type, const std::string& text) {
  if (type.is_tensor() || text.empty() || std::filesystem::exists(text)) return std::nullopt;
  const char* end = text.data() + text.size();
  if (type.kind == TypeKind::Int) {
    int64_t value = 0;
    const auto [at, problem] = std::from_chars(text.data(), end, value);
    if (problem == std::errc() && at == end) return Tensor::scalar<int64_t>(DType::I64, value);
  } else if (type.kind == TypeKind::Float) {
    double value = 0;
    const auto [at, problem] = std::from_chars(text.data(), end, value);
    if (problem == std::errc() && at == end) return Tensor::scalar<double>(DType::F64, value);
  } else if (type.kind == TypeKind::Bool && (text == "true" || text == "false")) {
    return Tensor::scalar<uint8_t>(DType::Bool, text == "true" ? 1 : 0);
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<Tensor>> read_inputs(const Model& model, const std::vector<std::string>& arguments) {
  const std::vector<size_t> user = model.user_inputs();
  std::vector<Tensor> tensors(user.size());
  std::vector<bool> given(user.size(), false);
  size_t next = 0;
  for (const std::string& argument : arguments) {
    std::string file = argument;
    std::optional<DType> as;
    if (const size_t colon = file.rfind(':'); colon != std::string::npos && !std::filesystem::exists(file)) {
      as = dtype_from_name(file.substr(colon + 1));
      if (!as)
        return Error("input.dtype", "unknown dtype '" + file.substr(colon + 1) + "'", ErrorKind::Usage);
      file = file.substr(0, colon);
    }
    size_t slot = user.size();
    if (const size_t equal = file.find('='); equal != std::string::npos && !std::filesystem::exists(file)) {
      const std::string name = file.substr(0, equal);
      file = file.substr(equal + 1);
      for (size_t k = 0; k < user.size(); ++k)
        if (input_name(model, user[k]) == name || model.graph->inputs()[user[k]]->name() == name) slot = k;
      if (slot == user.size()) {
        std::string names;
        for (size_t k = 0; k < user.size(); ++k) names += (k ? ", " : "") + input_name(model, user[k]);
        return Error("input.name", "the model has no input '" + name + "'; its inputs are " + names);
      }
    } else {
      while (next < user.size() && given[next]) ++next;
      slot = next;
      if (slot == user.size())
        return Error("input.count", "more inputs than the model has (" + std::to_string(user.size()) + ")");
    }
    if (given[slot])
      return Error("input.twice", "input '" + input_name(model, user[slot]) + "' is given twice");
    given[slot] = true;
    if (auto number = plain_number(model.graph->inputs()[user[slot]]->type(), file)) {
      tensors[slot] = std::move(*number);
      continue;
    }
    ZP_TRY(tensors[slot], read_npy(file, as));
  }
  for (size_t k = 0; k < user.size(); ++k) {
    if (!given[k])
      return Error("input.missing", fmt::format("input '{}' ({}) is missing", input_name(model, user[k]),
                                                model.graph->inputs()[user[k]]->type().str()));
  }
  return tensors;
}

Result<std::vector<Tensor>> seeded_inputs(const Model& model, uint64_t seed) {
  Context& context = *model.context;
  DimBinding binding;
  for (std::string_view symbol : context.dims().symbols()) {
    const SymbolInfo& info = *context.dims().info(symbol);
    int64_t value = info.hint.value_or(std::max<int64_t>(info.min, 2));
    binding[symbol] = std::clamp(value, info.min, std::max(info.min, info.max));
  }
  std::vector<Tensor> tensors;
  for (size_t i : model.user_inputs()) {
    const Type& type = model.graph->inputs()[i]->type();
    std::vector<int64_t> shape;
    if (type.kind == TypeKind::Int) {
      const auto value = context.dims().evaluate(type.value, binding);
      tensors.push_back(Tensor::scalar<int64_t>(DType::I64, value.value_or(2)));
      continue;
    }
    if (!type.is_tensor() || !type.ranked) {
      return Error("input.type",
                   fmt::format("no input can be made for '{}' of type {}", input_name(model, i), type.str()));
    }
    for (const Dim& d : type.shape) {
      const auto value =
          d.is_known() ? std::optional<int64_t>(d.value()) : context.dims().evaluate(d, binding);
      if (!value)
        return Error("input.shape",
                     fmt::format("no extent can be chosen for {} of '{}'", d.str(), input_name(model, i)));
      shape.push_back(*value);
    }
    ZP_TRY(Tensor t, Tensor::make(type.dtype, shape));
    const uint64_t stream = seed * 1000003 + i;
    for (int64_t k = 0; k < t.elements(); ++k) {
      const auto at = static_cast<uint64_t>(k);
      if (is_float(t.dtype())) {
        t.set_double(k, normal(stream, at));
      } else if (t.dtype() == DType::Bool) {
        t.set_int(k, static_cast<int64_t>(random_bits(stream, at) & 1));
      } else if (bits_of(t.dtype()) >= 32) {
        t.set_int(k, static_cast<int64_t>(random_bits(stream, at) % 3));  // likely an index
      } else {
        const auto span = static_cast<uint64_t>(int_max(t.dtype()) - int_min(t.dtype())) + 1;
        t.set_int(k, int_min(t.dtype()) + static_cast<int64_t>(random_bits(stream, at) % span));
      }
    }
    tensors.push_back(std::move(t));
  }
  return tensors;
}

Result<std::vector<std::vector<Tensor>>> split_inputs(const Model& model, const std::vector<Tensor>& inputs) {
  const std::vector<size_t> user = model.user_inputs();
  int64_t count = -1;
  std::vector<int64_t> extents(inputs.size(), 1);
  for (size_t k = 0; k < inputs.size(); ++k) {
    const Type& type = model.graph->inputs()[user[k]]->type();
    const std::string name = input_name(model, user[k]);
    if (!type.is_tensor() || type.shape.empty() || inputs[k].rank() == 0)
      return Error("input.split", "'" + name + "' has no first dimension to split");
    extents[k] = type.shape[0].is_known()
                     ? type.shape[0].value()
                     : std::max<int64_t>(1, model.context->dims().lower_bound(type.shape[0]));
    const int64_t rows = inputs[k].shape()[0];
    if (extents[k] == 0 || rows % extents[k] != 0) {
      return Error("input.split", fmt::format("'{}' has {} rows, which is no multiple of the model's {}",
                                              name, rows, extents[k]));
    }
    const int64_t here = rows / extents[k];
    if (count >= 0 && here != count)
      return Error("input.split", fmt::format("'{}' splits into {} pieces, the inputs before it into {}",
                                              name, here, count));
    count = here;
  }
  std::vector<std::vector<Tensor>> pieces(static_cast<size_t>(std::max<int64_t>(count, 0)));
  for (size_t k = 0; k < inputs.size(); ++k) {
    std::vector<int64_t> shape = inputs[k].shape();
    shape[0] = extents[k];
    const auto bytes = static_cast<size_t>(inputs[k].bytes()) / std::max<size_t>(pieces.size(), 1);
    for (size_t p = 0; p < pieces.size(); ++p) {
      ZP_TRY(Tensor part, Tensor::make(inputs[k].dtype(), shape));
      std::memcpy(part.mutable_data<std::byte>(), inputs[k].data<std::byte>() + p * bytes, bytes);
      pieces[p].push_back(std::move(part));
    }
  }
  return pieces;
}

Result<Tensor> stack_outputs(const std::vector<Tensor>& parts) {
  if (parts.empty()) return Error("output.stack", "there are no outputs to stack");
  std::vector<int64_t> shape = parts[0].shape();
  int64_t rows = 0;
  for (const Tensor& t : parts) {
    const bool same = t.dtype() == parts[0].dtype() && t.rank() == parts[0].rank() &&
                      std::equal(t.shape().begin() + (t.rank() ? 1 : 0), t.shape().end(),
                                 shape.begin() + (t.rank() ? 1 : 0));
    if (!same)
      return Error("output.stack", "outputs of different runs have different shapes and cannot be stacked");
    rows += t.rank() ? t.shape()[0] : 1;
  }
  if (shape.empty()) shape.push_back(0);
  shape[0] = rows;
  ZP_TRY(Tensor all, Tensor::make(parts[0].dtype(), shape));
  std::byte* at = all.mutable_data<std::byte>();
  for (const Tensor& t : parts) {
    std::memcpy(at, t.data<std::byte>(), static_cast<size_t>(t.bytes()));
    at += t.bytes();
  }
  return all;
}

namespace {

Result<Tensor> number_output(const Model& model, const OutputLeaf& leaf, const std::vector<Tensor>& inputs) {
  Number number = leaf.number.value_or(Number());
  if (!leaf.number) {
    ZP_TRY(const DimBinding sizes, bind_inputs(model, inputs));
    const std::optional<int64_t> value = model.context->dims().evaluate(leaf.dim, sizes);
    if (!value) return Error("output.number", "it depends on data");
    number = Number::of_int(*value);
  }
  const DType dtype = number.kind == Number::Float  ? DType::F64
                      : number.kind == Number::Bool ? DType::Bool
                                                    : DType::I64;
  ZP_TRY(Tensor tensor, Tensor::make(dtype, {}));
  if (number.kind == Number::Float) tensor.set_double(0, number.f);
  else tensor.set_int(0, number.i);
  return tensor;
}

}  // namespace

std::vector<NumberedOutput> numbered_outputs(const Model& model, const std::vector<Tensor>& inputs,
                                             const std::vector<Tensor>& outputs) {
  std::vector<NumberedOutput> numbered;
  const std::vector<OutputLeaf> leaves = output_leaves(model);
  size_t next = 0;
  for (size_t k = 0; k < leaves.size(); ++k) {
    if (leaves[k].output >= 0) {
      if (next < outputs.size()) numbered.push_back({k, outputs[next++]});
    } else if (leaves[k].number || !leaves[k].dim.is_unknown()) {
      if (auto tensor = number_output(model, leaves[k], inputs); tensor.ok())
        numbered.push_back({k, std::move(*tensor)});
    }
  }
  for (size_t k = leaves.size(); next < outputs.size(); ++k) numbered.push_back({k, outputs[next++]});
  return numbered;
}

Status write_outputs(const std::string& folder, const std::vector<NumberedOutput>& outputs) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code) return Error("file.write", "cannot make the folder: " + code.message()).in_file(folder);
  for (const NumberedOutput& output : outputs)
    ZP_CHECK(write_npy(fmt::format("{}/out_{}.npy", folder, output.number), output.tensor));
  return {};
}

}  // namespace zp
