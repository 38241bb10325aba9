// The weights of an exported program: raw storages as records, one for each storage however many tensors view
// it, and the configuration that says which view each name is. Storages that come from an archive keep their
// CRC and are copied without being read.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/pt2/archive.h"
#include "formats/pt2/zip_writer.h"
#include "ir/graph.h"
#include "support/json_writer.h"

namespace zp::pt2 {

// The TensorMeta of a constant; strides and offset are those of its storage.
void write_payload_meta(JsonWriter& json, const Constant& constant, std::string_view device);

class PayloadWriter {
 public:
  // `source_model` names the model in the source archive, if there is one.
  PayloadWriter(Context& context, const Archive* source, std::string_view source_model,
                std::string_view device)
      : context_(context), source_(source), source_model_(source_model), device_(device) {}

  // Parameters and persistent buffers are weights, all others constants
  // (torch/export/pt2_archive/_package.py).
  Status add(std::string_view fqn, const Constant& constant, bool is_param, bool weight);
  // An object of the source archive that only torch understands.
  Status add_object(std::string_view fqn);
  // A weight or constant of the source that no input names: torch keeps it in the state, so it stays in the
  // file.
  Status carry(std::string_view fqn, bool weight);
  // Records and configurations of both sections, in torch's order.
  Status write(ZipWriter& zip, std::string_view model);

 private:
  struct Record {
    std::string name;
    Blob blob;
  };
  struct Section {
    std::vector<Record> records;
    JsonWriter config;
    std::map<std::pair<std::pair<const std::byte*, size_t>, DType>, std::string> paths;
    size_t tensors = 0;
  };
  Result<const Payload*> of_source(Payload::Section section, std::string_view fqn);
  Status add_pickle(Section& section, const Payload& payload, const std::string& path, const Blob& blob);
  static std::string next_path(Section& section, bool weight);
  static void begin_entry(Section& section, std::string_view fqn, std::string_view path, bool is_param,
                          bool pickle);
  std::optional<uint32_t> known_crc(const Blob& blob);
  Status write_section(ZipWriter& zip, Section& section, std::string_view folder,
                       std::string_view config_name);

  Context& context_;
  const Archive* source_;
  std::string source_model_, device_;
  Section weights_, constants_;
  std::unordered_map<uint64_t, std::pair<uint64_t, uint32_t>>
      source_crcs_;  // by offset in the file: size and CRC
  bool source_crcs_read_ = false;
  std::optional<Payloads> payloads_;
};

}  // namespace zp::pt2
