// Attributes of pooling and of windows as columns. Lists have one entry per spatial dim, or one entry for
// all; an empty stride is the kernel size, an empty padding 0, an empty dilation 1. Cards: pool.list.
// Importers: the *_with_indices cards have a second result; use the plain card when it has no uses.
// _adaptive_avg_pool2d is adaptive_avg_pool2d.
#pragma once

#include <optional>

#include "ir/attrs.h"

namespace zp::ops {

struct MaxPoolAttrs {
  List<int64_t> kernel_size, stride, padding, dilation;
  bool ceil_mode = false;
  ZP_ATTRS(MaxPoolAttrs, kernel_size, stride, padding, dilation, ceil_mode)
};
struct AvgPoolAttrs {
  List<int64_t> kernel_size, stride, padding;
  bool ceil_mode = false;
  bool count_include_pad = true;
  std::optional<int64_t> divisor_override;
  ZP_ATTRS(AvgPoolAttrs, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
};
struct AdaptivePoolAttrs {
  List<Dim> output_size;
  ZP_ATTRS(AdaptivePoolAttrs, output_size)
};
struct Im2colAttrs {
  List<int64_t> kernel_size, dilation, padding, stride;
  ZP_ATTRS(Im2colAttrs, kernel_size, dilation, padding, stride)
};
struct Col2imAttrs {
  List<Dim> output_size;
  List<int64_t> kernel_size, dilation, padding, stride;
  ZP_ATTRS(Col2imAttrs, output_size, kernel_size, dilation, padding, stride)
};

}  // namespace zp::ops
