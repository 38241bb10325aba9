// Attributes of the operators that make one tensor of several, and of meshgrid.
#pragma once

#include <string_view>

#include "ir/attrs.h"

namespace zp::ops {

// One-dimensional operands without elements are left out, whatever the rank of the others.
struct CatAttrs {
  int64_t dim = 0;
  ZP_ATTRS(CatAttrs, dim)
};

// `dim` counts in the result.
struct StackAttrs {
  int64_t dim = 0;
  ZP_ATTRS(StackAttrs, dim)
};

// "ij": dim k of every result belongs to operand k; "xy": the first two are swapped.
struct MeshgridAttrs {
  std::string_view indexing = "ij";
  ZP_ATTRS(MeshgridAttrs, indexing)
};

}  // namespace zp::ops
