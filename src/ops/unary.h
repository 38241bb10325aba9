// Attributes of the elementwise ops of one operand: activations, clamps and unary mathematics. Fields and
// operands have the names of aten's arguments. Cards: unary.list. Importers: relu6 is hardtanh {0, 6};
// clamp_min and clamp_max are clamp with one bound; clamp.Tensor is clamp_tensor (the bounds are operands);
// rrelu in inference is leaky_relu with the mean slope; positive is identity.
#pragma once

#include <optional>
#include <string_view>

#include "ir/attrs.h"

namespace zp::ops {

struct HardtanhAttrs {
  Number min_val = Number::of_int(-1), max_val = Number::of_int(1);
  ZP_ATTRS(HardtanhAttrs, min_val, max_val)
};
struct ClampAttrs {
  std::optional<Number> min, max;
  ZP_ATTRS(ClampAttrs, min, max)
};
struct GeluAttrs {
  std::string_view approximate = "none";  // or "tanh"
  ZP_ATTRS(GeluAttrs, approximate)
};
struct LeakyReluAttrs {
  Number negative_slope = Number::of_float(0.01);
  ZP_ATTRS(LeakyReluAttrs, negative_slope)
};
struct EluAttrs {
  Number alpha = Number::of_int(1), scale = Number::of_int(1), input_scale = Number::of_int(1);
  ZP_ATTRS(EluAttrs, alpha, scale, input_scale)
};
struct CeluAttrs {
  Number alpha = Number::of_int(1);
  ZP_ATTRS(CeluAttrs, alpha)
};
struct SoftplusAttrs {
  Number beta = Number::of_int(1), threshold = Number::of_int(20);
  ZP_ATTRS(SoftplusAttrs, beta, threshold)
};
struct ThresholdAttrs {
  Number threshold, value;
  ZP_ATTRS(ThresholdAttrs, threshold, value)
};
struct ShrinkAttrs {
  Number lambd = Number::of_float(0.5);
  ZP_ATTRS(ShrinkAttrs, lambd)
};
struct RoundAttrs {
  int64_t decimals = 0;
  ZP_ATTRS(RoundAttrs, decimals)
};
struct LogitAttrs {
  std::optional<double> eps;
  ZP_ATTRS(LogitAttrs, eps)
};
struct NanToNumAttrs {
  std::optional<double> nan, posinf, neginf;
  ZP_ATTRS(NanToNumAttrs, nan, posinf, neginf)
};
struct GluAttrs {
  int64_t dim = -1;
  ZP_ATTRS(GluAttrs, dim)
};

}  // namespace zp::ops
