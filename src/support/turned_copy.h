// The copy of a tensor whose fast dim changes: what a transpose of a large constant spends its time in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "support/copy_dims.h"

namespace zp {

struct TurnedCopy {
  std::span<const std::byte> storage;  // nothing beyond it is read
  int64_t place = 0;                   // of the first element; bytes, for nibbles elements
  std::byte* to = nullptr;
  int64_t width = 1;  // bytes of an element: 1, 2, 4, 8 or 16
  bool nibbles = false;
};

// `dims[fast]` runs on in the source, the last of `dims` in the result. Nibbles: lines of the result must
// start in whole bytes and have an even number of elements.
void copy_turned(const TurnedCopy& copy, std::vector<CopyDim> dims, size_t fast);

}  // namespace zp
