#include "support/blob.h"

#include <sys/mman.h>

#include <cassert>
#include <cstdlib>
#include <cstring>
#include <new>

#include "support/mapped_file.h"

namespace zp {

Blob Blob::own(std::vector<std::byte> bytes) {
  auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  return Blob(owner->data(), owner->size(), owner);
}

Blob Blob::allocate(size_t size, std::byte** writable) {
  const size_t needed = size + 64;  // kernels may read up to 64 bytes beyond the end
  // Large ones in large pages, where the system has them: page faults cost as much as filling them.
  constexpr size_t kPage = size_t{1} << 21;
  const bool large = size >= 8 * kPage;
  const size_t alignment = large ? kPage : 64;
  const size_t rounded = (needed + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  if (large) ::madvise(memory, rounded, MADV_HUGEPAGE);
#endif
  *writable = static_cast<std::byte*>(memory);
  return Blob(*writable, size,
              std::shared_ptr<const void>(memory, [](const void* p) { std::free(const_cast<void*>(p)); }));
}

Blob Blob::copy_of(std::span<const std::byte> bytes) {
  std::byte* writable = nullptr;
  Blob blob = allocate(bytes.size(), &writable);
  if (!bytes.empty()) std::memcpy(writable, bytes.data(), bytes.size());
  return blob;
}

Blob Blob::from_file(std::shared_ptr<const MappedFile> file, uint64_t offset, size_t size) {
  assert(offset <= file->size() && size <= file->size() - offset);
  Blob blob(file->data() + offset, size, file);
  blob.file_ = std::move(file);
  blob.offset_ = offset;
  return blob;
}

Blob Blob::slice(size_t begin, size_t size) const {
  assert(begin <= size_ && size <= size_ - begin);
  Blob part = *this;
  part.data_ += begin;
  part.size_ = size;
  part.offset_ += begin;
  return part;
}

}  // namespace zp
