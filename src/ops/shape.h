// Attributes of the operators that keep every element and change only how indices are written.
#pragma once

#include "ir/attrs.h"

namespace zp::ops {

// One entry may be -1: what the element count leaves; inference replaces it where that is a number.
struct ReshapeAttrs {
  List<Dim> shape;
  ZP_ATTRS(ReshapeAttrs, shape)
};

// Dim i of the result is dim dims[i] of the input.
struct PermuteAttrs {
  List<int64_t> dims;
  ZP_ATTRS(PermuteAttrs, dims)
};

// Removes those of `dims` that have extent 1; with `all`, every dim of extent 1.
struct SqueezeAttrs {
  List<int64_t> dims;
  bool all = false;
  ZP_ATTRS(SqueezeAttrs, dims, all)
};

// `dim` counts in the result.
struct UnsqueezeAttrs {
  int64_t dim = 0;
  ZP_ATTRS(UnsqueezeAttrs, dim)
};

// New dims come first; -1 keeps the extent.
struct ExpandAttrs {
  List<Dim> shape;
  ZP_ATTRS(ExpandAttrs, shape)
};

}  // namespace zp::ops
