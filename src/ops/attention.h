// Attributes of attention and of the general product of several tensors.
#pragma once

#include <optional>
#include <string_view>

#include "ir/attrs.h"

namespace zp::ops {

// softmax(scale * q @ k^T + mask) @ v; scale absent: 1 / sqrt(last dim of q). A boolean mask keeps where it
// is true. A query row whose keys are all masked gives zeros.
struct ScaledDotProductAttentionAttrs {
  double dropout_p = 0;
  bool is_causal = false;  // row i sees keys 0..i (aligned at the top left)
  std::optional<double> scale;
  bool enable_gqa = false;  // key and value heads are repeated to the number of query heads
  ZP_ATTRS(ScaledDotProductAttentionAttrs, dropout_p, is_causal, scale, enable_gqa)
};

// The usual notation, e.g. "bij,bjk->bik"; labels a-z A-Z, "..." for broadcast dims.
struct EinsumAttrs {
  std::string_view equation;
  ZP_ATTRS(EinsumAttrs, equation)
};

}  // namespace zp::ops
