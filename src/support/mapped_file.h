// A file mapped read-only. If the file is truncated while it is mapped, a read would raise SIGBUS; with
// `guard_process` the process ends with one clear error and exit code 1 instead of a signal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
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

  // A format that stores checksums installs a check here; who reads the contents of a range (and does not
  // only copy it) asks first. Without a check every range is right. May be asked by several threads at once.
  using RangeCheck = std::function<Status(uint64_t offset)>;
  void set_range_check(RangeCheck check) const { range_check_ = std::move(check); }
  Status check_range(uint64_t offset) const { return range_check_ ? range_check_(offset) : Status(); }

 private:
  MappedFile() = default;
  std::string path_;
  const std::byte* data_ = nullptr;
  uint64_t size_ = 0;
  int descriptor_ = -1;
  mutable RangeCheck range_check_;
};

// Called once by the program's main: the SIGBUS handler described above, no signal for a file that grows
// beyond a limit, and no temporary files left behind by an interrupt.
void guard_process();

}  // namespace zp
