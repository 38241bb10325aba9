// A byte range that keeps its owner alive: a slice of a mapped file, or an allocation. Copying a Blob
// copies no bytes. A slice of a file knows where it came from, so that a writer can let the kernel copy
// it (copy_file_range) and need not read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace zp {

class MappedFile;

class Blob {
 public:
  Blob() = default;
  Blob(const std::byte* data, size_t size, std::shared_ptr<const void> owner)
      : data_(data), size_(size), owner_(std::move(owner)) {}

  static Blob own(std::vector<std::byte> bytes);
  static Blob copy_of(std::span<const std::byte> bytes);
  // Uninitialised bytes, aligned to 64, that `fill` may write before the blob is shared.
  static Blob allocate(size_t size, std::byte** writable);
  static Blob from_file(std::shared_ptr<const MappedFile> file, uint64_t offset, size_t size);

  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::shared_ptr<const void>& owner() const { return owner_; }

  // Null unless the bytes are a range of a file; `offset()` is then the place in that file.
  const std::shared_ptr<const MappedFile>& file() const { return file_; }
  uint64_t offset() const { return offset_; }

  Blob slice(size_t begin, size_t size) const;
  friend bool operator==(const Blob& a, const Blob& b) { return a.data_ == b.data_ && a.size_ == b.size_; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::shared_ptr<const void> owner_;
  std::shared_ptr<const MappedFile> file_;
  uint64_t offset_ = 0;
};

}  // namespace zp
