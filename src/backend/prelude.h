// Conditions that many backends name. A file may define its own of the same name.
#pragma once

#include <string_view>

namespace zp::backend {

inline constexpr std::string_view kPrelude = R"zpb(
backend prelude version 1
  predicate in_features_multiple_of_4 = x.shape[-1] % 4 == 0
  predicate in_features_multiple_of_8 = x.shape[-1] % 8 == 0
  predicate in_features_multiple_of_32 = x.shape[-1] % 32 == 0
  predicate full_range = (y.qmax - y.qmin + 1) in [4, 16, 256, 65536, 4294967296]
  predicate same_parameters = same_quantization(x, y)
  predicate undilated = max(dilation, 1) == 1
  predicate unit_stride = max(stride, 1) == 1
  predicate unpadded = max(padding, 0) == 0
  predicate one_group = groups == 1
  predicate depthwise = groups == w.shape[0] and w.shape[1] == 1
  predicate pointwise = prod(w.shape) == w.shape[0] * w.shape[1] and unit_stride and unpadded
)zpb";

}  // namespace zp::backend
