// Copies elements between two strided layouts: the one loop behind transposed constants, joined tensors and
// slices. Whatever the order of the dims, both sides are read and written by whole cache lines as far as the
// layouts allow; what runs on along both sides is copied as bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace zp {

// Where elements lie: strides and offset count elements; strides of a source may be 0 or negative.
struct StridedSource {
  std::span<const std::byte> bytes;
  int64_t offset = 0;
  std::span<const int64_t> strides;
};

// `width` bytes an element (1, 2, 4, 8 or 16). All places must lie inside `from.bytes`; elements of `to` must
// not overlap each other.
void copy_elements(const StridedSource& from, int64_t width, std::span<const int64_t> shape, std::byte* to,
                   std::span<const int64_t> to_strides);

// Elements of 4 bits, two a byte, the first one lowest, on both sides; `to` is dense in C order. False, and
// nothing is written, where bytes of the result would be shared by lines: the caller then copies elements of
// one byte.
bool copy_nibbles(const StridedSource& from, std::span<const int64_t> shape, std::byte* to);

// Packed elements as one byte each, from element `offset` on, and back; `sign` extends bit 3.
void unpack_nibbles(std::span<const std::byte> packed, int64_t offset, int64_t count, bool sign,
                    std::byte* to);
void pack_nibbles(std::span<const std::byte> elements, std::byte* to);

}  // namespace zp
