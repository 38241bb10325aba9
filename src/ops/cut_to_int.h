// A real number cut to 64 bits as the conversion of the processor does it: what does not fit, and what is no
// number, becomes the least integer.
#pragma once

#include <cstdint>

namespace zp::ops {

inline int64_t cut_to_int(double x) {
  return x >= -0x1p63 && x < 0x1p63 ? static_cast<int64_t>(x) : INT64_MIN;
}

}  // namespace zp::ops
