// Attributes of convolutions, linear and matrix products.
#pragma once

#include <optional>
#include <string_view>

#include "ir/attrs.h"

namespace zp::ops {

// Lists have one entry per spatial dim. `pad_mode` "same" pads dilation * (kernel - 1) in total, the odd one
// at the end; "valid" pads nothing; otherwise `padding` holds both sides' padding.
struct ConvAttrs {
  List<int64_t> stride, padding, dilation, output_padding;
  int64_t groups = 1;
  std::string_view pad_mode;
  std::optional<double> act_min, act_max;  // fused clamp on the real result
  ZP_ATTRS(ConvAttrs, stride, padding, dilation, output_padding, groups, pad_mode, act_min, act_max)
};

struct LinearAttrs {
  std::optional<double> act_min, act_max;
  ZP_ATTRS(LinearAttrs, act_min, act_max)
};

// beta * bias + alpha * (a @ b)
struct AddmmAttrs {
  Number beta = Number::of_int(1), alpha = Number::of_int(1);
  std::optional<double> act_min, act_max;
  ZP_ATTRS(AddmmAttrs, beta, alpha, act_min, act_max)
};

}  // namespace zp::ops
