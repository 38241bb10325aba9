// Attributes of the normalizations. Cards: norm.list. The native_* cards have the further results that
// training graphs read; importers use the plain card when these have no uses.
// _native_batch_norm_legit_no_training is batch_norm with training false (its 2nd and 3rd result are empty);
// _fused_rms_norm is native_rms_norm.
#pragma once

#include <optional>

#include "ir/attrs.h"

namespace zp::ops {

// Operands input, weight?, bias?, running_mean?, running_var?
struct BatchNormAttrs {
  bool training = false;  // statistics of the batch instead of the running ones
  double momentum = 0.1;
  double eps = 1e-5;
  ZP_ATTRS(BatchNormAttrs, training, momentum, eps)
};
// Operands input, weight?, bias?
struct LayerNormAttrs {
  List<int64_t> normalized_shape;
  double eps = 1e-5;
  ZP_ATTRS(LayerNormAttrs, normalized_shape, eps)
};
struct GroupNormAttrs {
  int64_t num_groups = 1;
  double eps = 1e-5;
  ZP_ATTRS(GroupNormAttrs, num_groups, eps)
};
struct NativeGroupNormAttrs {
  Dim N, C, HxW;
  int64_t group = 1;
  double eps = 1e-5;
  ZP_ATTRS(NativeGroupNormAttrs, N, C, HxW, group, eps)
};
// Operands input, weight?, bias?, running_mean?, running_var?
struct InstanceNormAttrs {
  bool use_input_stats = true;
  double momentum = 0.1;
  double eps = 1e-5;
  ZP_ATTRS(InstanceNormAttrs, use_input_stats, momentum, eps)
};
// Operands input, weight?
struct RmsNormAttrs {
  List<int64_t> normalized_shape;
  std::optional<double> eps;  // none: the machine epsilon of the computation type
  ZP_ATTRS(RmsNormAttrs, normalized_shape, eps)
};

}  // namespace zp::ops
