// Small parts that the inference of convolutions, matrix products, attention and recurrent layers shares.
#pragma once

#include "ir/graph.h"
#include "ops/infer_util.h"

namespace zp::ops {

// The type of an operand, or null where the operand is absent.
inline const Type* operand_type(const Node& node, size_t index) {
  const Value* value = node.operand(index);
  return value == nullptr ? nullptr : &value->type();
}

// Two dims that must be equal: false only if they are surely different (both numbers).
inline bool may_be_equal(Dim a, Dim b) { return !a.is_known() || !b.is_known() || a.value() == b.value(); }

// The more precise of two dims that must be equal: a number before an expression before unknown.
inline Dim more_precise(Dim a, Dim b) {
  if (a.is_known() || b.is_unknown()) return a;
  return b.is_known() || !a.is_symbolic() ? b : a;
}

// The number of scales of a quantization; -1 if it is not known (dynamic).
inline int64_t scale_count(const QuantType& quant) {
  if (quant.dynamic) return -1;
  return quant.scales == nullptr ? 1 : quant.scales->elements();
}

}  // namespace zp::ops
