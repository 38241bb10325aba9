// Attributes of the ops that normalize a slice by its exponentials. Cards: softmax.list. Importers: _softmax
// with half_to_float is softmax with dtype f32; without, softmax without dtype.
#pragma once

#include <optional>

#include "ir/attrs.h"

namespace zp::ops {

struct SoftmaxAttrs {
  int64_t dim = -1;
  std::optional<DType> dtype;  // the input is cast first
  ZP_ATTRS(SoftmaxAttrs, dim, dtype)
};

}  // namespace zp::ops
