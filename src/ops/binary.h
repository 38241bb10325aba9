// Attributes of the elementwise ops of two and three operands: arithmetic, comparison, logic, selection. All
// operands broadcast; numbers of the program are 0-d Literal constants and promote as such. Cards:
// binary.list, compare.list. Importers: max.other and min.other are maximum and minimum; rsub(a, b, alpha) is
// sub(b, a, alpha); true_divide is div;
// __and__ and friends are bitwise_and ...; where.Scalar* and masked_fill.Scalar take Literals.
#pragma once

#include <optional>
#include <string_view>

#include "ir/attrs.h"

namespace zp::ops {

// self + alpha * other, then clamped. `add` is commutative when alpha is 1.
struct AddAttrs {
  Number alpha = Number::of_int(1);
  std::optional<double> act_min, act_max;
  ZP_ATTRS(AddAttrs, alpha, act_min, act_max)
};
struct MulAttrs {
  std::optional<double> act_min, act_max;
  ZP_ATTRS(MulAttrs, act_min, act_max)
};
struct DivAttrs {
  std::string_view rounding_mode;  // "": the true quotient; "floor", "trunc"
  ZP_ATTRS(DivAttrs, rounding_mode)
};
// self + value * tensor1 * tensor2, or / tensor2
struct AddcAttrs {
  Number value = Number::of_int(1);
  ZP_ATTRS(AddcAttrs, value)
};

}  // namespace zp::ops
