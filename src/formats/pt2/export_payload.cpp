#include "formats/pt2/export_payload.h"

#include <fmt/format.h>

#include "formats/pt2/export_graph.h"
#include "formats/pt2/graph_reader.h"
#include "formats/pt2/schema.h"
#include "ir/tensor.h"

namespace zp::pt2 {
namespace {

bool unpacked(DType dtype) { return stored_dtype(dtype) != dtype; }

void write_numbers(JsonWriter& json, std::string_view key, std::span<const int64_t> values) {
  json.key(key).begin_array();
  for (const int64_t v : values) json.begin_object().field("as_int", v).end_object();
  json.end_array();
}

}  // namespace

void write_payload_meta(JsonWriter& json, const Constant& constant, std::string_view device) {
  std::vector<int64_t> strides(constant.strides.begin(), constant.strides.end());
  const bool dense = constant.dense() || unpacked(constant.dtype);
  if (dense) {
    strides.assign(constant.shape.size(), 1);
    for (size_t d = constant.shape.size(); d-- > 1;)
      strides[d - 1] = strides[d] * std::max<int64_t>(constant.shape[d], 1);
  }
  json.begin_object().field("dtype", serialized_dtype(stored_dtype(constant.dtype)));
  write_numbers(json, "sizes", constant.shape);
  json.field("requires_grad",
             constant.requires_grad && (is_float(constant.dtype) || is_complex(constant.dtype)));
  json.key("device").begin_object().field("type", device).key("index").null().end_object();
  write_numbers(json, "strides", strides);
  json.key("storage_offset")
      .begin_object()
      .field("as_int", unpacked(constant.dtype) ? 0 : constant.offset)
      .end_object();
  json.field("layout", 7).end_object();
}

Status PayloadWriter::add(std::string_view fqn, const Constant& constant, bool is_param, bool weight) {
  Section& section = weight ? weights_ : constants_;
  Blob blob = constant.storage;
  if (constant.stripped) {
    blob = Blob();
  } else if (unpacked(constant.dtype)) {
    ZP_TRY(const Tensor tensor, constant_tensor(context_, constant));
    blob = tensor.blob().slice(0, static_cast<size_t>(tensor.bytes()));
  } else if (blob.size() % static_cast<size_t>(byte_size(constant.dtype)) != 0) {
    // The loader views the whole record as elements.
    blob = blob.slice(0, blob.size() / static_cast<size_t>(byte_size(constant.dtype)) *
                             static_cast<size_t>(byte_size(constant.dtype)));
  }
  // Unpacked storages are keyed by what they come from; empty ones have no identity.
  const auto key =
      std::make_pair(std::make_pair(constant.storage.data(), constant.storage.size()), constant.dtype);
  std::string path;
  if (auto found = section.paths.find(key); found != section.paths.end() && !blob.empty()) {
    path = found->second;
  } else {
    path = next_path(section, weight);
    section.records.push_back({path, blob});
    section.paths.emplace(key, path);
  }
  begin_entry(section, fqn, path, is_param, false);
  write_payload_meta(section.config, constant, device_);
  section.config.end_object();
  return {};
}

Status PayloadWriter::add_object(std::string_view fqn) {
  ZP_TRY(const Payload* payload, of_source(Payload::Constants, fqn));
  return add_pickle(constants_, *payload, payload->path, payload->storage);
}

Result<const Payload*> PayloadWriter::of_source(Payload::Section section, std::string_view fqn) {
  if (source_ == nullptr)
    return Error("export.object", fmt::format("the object {} has no archive to come from", fqn));
  if (!payloads_) { ZP_TRY(payloads_, source_->payloads(source_model_)); }
  const Payload* payload = payloads_->find(section, fqn);
  if (payload == nullptr)
    return Error("export.object", fmt::format("the object {} is not in the source archive", fqn));
  return payload;
}

Status PayloadWriter::add_pickle(Section& section, const Payload& payload, const std::string& path,
                                 const Blob& blob) {
  bool written = false;
  for (const Record& record : section.records) written |= record.name == path;
  if (!written) section.records.push_back({path, blob});
  begin_entry(section, payload.fqn, path, payload.is_param, true);
  section.config.null().end_object();
  return {};
}

// Up to the value of `tensor_meta`.
void PayloadWriter::begin_entry(Section& section, std::string_view fqn, std::string_view path, bool is_param,
                                bool pickle) {
  if (!section.config.str().empty()) section.config.key(fqn);
  else section.config.begin_object().key("config").begin_object().key(fqn);
  section.config.begin_object()
      .field("path_name", path)
      .field("is_param", is_param)
      .field("use_pickle", pickle)
      .key("tensor_meta");
}

Status PayloadWriter::carry(std::string_view fqn, bool weight) {
  ZP_TRY(const Payload* payload, of_source(weight ? Payload::Weights : Payload::Constants, fqn));
  Section& section = weight ? weights_ : constants_;
  if (payload->object) return add_pickle(section, *payload, payload->path, payload->storage);
  if (payload->parts.empty()) {
    // Its kind only says where it stands, and that is given here.
    const Constant* constant = add_payload_constant(context_, *payload, fqn, ConstantKind::Buffer, false);
    return add(fqn, *constant, payload->is_param, weight);
  }
  const std::string folder = weight ? "weights" : "constants";
  ZP_TRY(const Blob blob, source_->record(fmt::format("data/{}/{}", folder, payload->path), true));
  return add_pickle(section, *payload, next_path(section, weight), blob);
}

std::string PayloadWriter::next_path(Section& section, bool weight) {
  return fmt::format("{}_{}", weight ? "weight" : "tensor", section.tensors++);
}

std::optional<uint32_t> PayloadWriter::known_crc(const Blob& blob) {
  if (source_ == nullptr || blob.file() == nullptr || blob.file() != source_->file()) return {};
  if (!source_crcs_read_) {
    source_crcs_read_ = true;
    for (const ZipEntry& entry : source_->zip().entries()) {
      if (!entry.stored()) continue;
      if (Result<uint64_t> offset = source_->zip().payload_offset(entry); offset.ok())
        source_crcs_[*offset] = {entry.size, entry.crc};
    }
  }
  const auto found = source_crcs_.find(blob.offset());
  if (found == source_crcs_.end() || found->second.first != blob.size()) return {};
  return found->second.second;
}

Status PayloadWriter::write_section(ZipWriter& zip, Section& section, std::string_view folder,
                                    std::string_view config_name) {
  for (const Record& record : section.records) {
    ZP_CHECK(zip.add(fmt::format("data/{}/{}", folder, record.name), record.blob, known_crc(record.blob)));
  }
  if (section.config.str().empty()) section.config.begin_object().key("config").begin_object();
  return zip.add(fmt::format("data/{}/{}", folder, config_name),
                 section.config.end_object().end_object().str());
}

Status PayloadWriter::write(ZipWriter& zip, std::string_view model) {
  ZP_CHECK(write_section(zip, weights_, "weights", fmt::format("{}_weights_config.json", model)));
  return write_section(zip, constants_, "constants", fmt::format("{}_constants_config.json", model));
}

}  // namespace zp::pt2
