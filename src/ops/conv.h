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
  static constexpr AttrField fields[] = {
      ZP_FIELD(ConvAttrs, stride),         ZP_FIELD(ConvAttrs, padding), ZP_FIELD(ConvAttrs, dilation),
      ZP_FIELD(ConvAttrs, output_padding), ZP_FIELD(ConvAttrs, groups),  ZP_FIELD(ConvAttrs, pad_mode),
      ZP_FIELD(ConvAttrs, act_min),        ZP_FIELD(ConvAttrs, act_max)};
};

struct LinearAttrs {
  std::optional<double> act_min, act_max;
  static constexpr AttrField fields[] = {ZP_FIELD(LinearAttrs, act_min), ZP_FIELD(LinearAttrs, act_max)};
};

// beta * bias + alpha * (a @ b)
struct AddmmAttrs {
  Number beta = Number::of_int(1), alpha = Number::of_int(1);
  std::optional<double> act_min, act_max;
  static constexpr AttrField fields[] = {ZP_FIELD(AddmmAttrs, beta), ZP_FIELD(AddmmAttrs, alpha),
                                         ZP_FIELD(AddmmAttrs, act_min), ZP_FIELD(AddmmAttrs, act_max)};
};

}  // namespace zp::ops
