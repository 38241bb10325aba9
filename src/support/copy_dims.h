// The dims of a copy between two strided layouts, shared by its forms (strided_copy.cpp, turned_copy.cpp).
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace zp {

// One dim of a copy: extent, and strides on both sides; in bytes, for nibbles in elements.
struct CopyDim {
  int64_t extent, from, to;
};

// Walks the places of a set of dims, the last one fastest.
class Odometer {
 public:
  Odometer(std::span<const CopyDim> dims, int64_t start) : dims_(dims), j_(dims.size()) {
    for (size_t d = dims.size(); d-- > 0;) {
      j_[d] = start % dims[d].extent;
      start /= dims[d].extent;
      from += j_[d] * dims[d].from;
      to += j_[d] * dims[d].to;
    }
  }
  void next() {
    for (size_t d = dims_.size(); d-- > 0;) {
      from += dims_[d].from;
      to += dims_[d].to;
      if (++j_[d] < dims_[d].extent) return;
      from -= dims_[d].from * dims_[d].extent;
      to -= dims_[d].to * dims_[d].extent;
      j_[d] = 0;
    }
  }
  int64_t from = 0, to = 0;

 private:
  std::span<const CopyDim> dims_;
  std::vector<int64_t> j_;
};

inline int64_t product(std::span<const CopyDim> dims) {
  int64_t count = 1;
  for (const CopyDim& d : dims) count *= d.extent;
  return count;
}

// Items of `bytes` each, in chunks of about 256 KiB.
inline int64_t grain_of(int64_t bytes) {
  return std::max<int64_t>(1, (int64_t{1} << 18) / std::max<int64_t>(1, bytes));
}

}  // namespace zp
