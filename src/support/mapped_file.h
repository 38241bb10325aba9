// A file mapped read-only. If the file is truncated while it is mapped, a read would raise SIGBUS; with
// `guard_mapped_reads` the process ends with one clear error and exit code 1 instead of a signal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "support/result.h"

namespace zp {

class MappedFile {
 public:
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  const std::byte* data() const { return data_; }
  uint64_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {data_, static_cast<size_t>(size_)}; }
  int descriptor() const { return descriptor_; }

 private:
  MappedFile() = default;
  std::string path_;
  const std::byte* data_ = nullptr;
  uint64_t size_ = 0;
  int descriptor_ = -1;
};

// Installs the SIGBUS handler described above; called once by the program's main.
void guard_mapped_reads();

}  // namespace zp
