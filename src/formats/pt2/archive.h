// A torch.export archive: which generation it is, its records, its models and what their weights are. Nothing
// but the zip directory and the small configuration records is read here; weights stay mapped. Source:
// torch/export/pt2_archive/{constants.py,_package.py,_package_weights.py}.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/pt2/zip.h"
#include "ir/dtype.h"
#include "support/mapped_file.h"

namespace zp::pt2 {

enum class Generation : uint8_t {
  A,   // torch <= 2.7: serialized_exported_program.json beside torch.save dictionaries, no root folder
  A0,  // ~2.1: as A with other names
  B,   // torch 2.8: root folder, weights in one torch.save dictionary
  C,   // torch >= 2.9: raw storages with a configuration record
};
std::string_view generation_name(Generation generation);

// One tensor of the state dict or of the constants: a strided view of a storage.
struct Payload {
  enum Section : uint8_t { Weights, Constants } section = Weights;
  std::string fqn;
  std::string path;  // name of the record below its folder; several payloads may share it
  bool is_param = false;
  bool use_pickle = false;
  bool object = false;  // no tensor: TorchBind or opaque object
  DType dtype = DType::Unknown;
  std::vector<int64_t> sizes, strides;
  int64_t offset = 0;  // in elements
  bool requires_grad = false;
  bool stripped = false;  // the record is empty although the tensor has elements
  Blob storage;           // the record: shared by all payloads of one path
  // Inner tensors of a tensor subclass that was pickled (`qdata`, `scale`, `zero_point` of torchao).
  std::vector<Payload> parts;
};

// Payloads of one model, by fqn within their section.
struct Payloads {
  Payloads() = default;
  Payloads(Payloads&&) = default;  // the tables point into `all`
  Payloads& operator=(Payloads&&) = default;

  std::vector<Payload> all;
  const Payload* find(Payload::Section section, std::string_view fqn) const;
  std::unordered_map<std::string_view, uint32_t> weights, constants;
};

class Archive {
 public:
  static Result<std::shared_ptr<const Archive>> open(const std::string& path);

  const std::string& path() const { return path_; }
  uint64_t file_bytes() const { return file_->size(); }
  const std::shared_ptr<const MappedFile>& file() const { return file_; }
  Generation generation() const { return generation_; }
  const Zip& zip() const { return zip_; }
  std::string_view root() const { return root_; }  // without the slash; empty in generation A
  const std::vector<std::string>& models() const { return models_; }
  bool big_endian() const { return big_endian_; }

  // Records by their name below the root folder.
  const ZipEntry* find(std::string_view name) const;
  Result<Blob> record(std::string_view name, bool check_crc) const;

  // Compares the checksum of the entry around a byte of the file, once: a weight is checked when it is read.
  Status verify_at(uint64_t offset) const;

  // The JSON of a model; its CRC is checked.
  Result<Blob> model_json(std::string_view model) const;
  // Name of the record with the sample inputs; empty if there is none.
  std::string sample_inputs_record(std::string_view model) const;
  // All problems of the configuration are collected into one error.
  Result<Payloads> payloads(std::string_view model) const;

 private:
  friend struct ArchiveReader;
  struct Verified;
  static std::shared_ptr<const Archive> finished(std::shared_ptr<Archive> archive);
  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  Generation generation_ = Generation::C;
  Zip zip_;
  std::string root_;
  std::vector<std::string> models_;
  bool big_endian_ = false;
  std::shared_ptr<Verified> verified_;
};

// True if the file is a zip archive: the caller may then try import_pt2, whose errors say what else it is.
bool is_archive_file(const std::string& path);

}  // namespace zp::pt2
