// Evaluators of attention and einsum, and the reading of einsum equations that inference and evaluation
// share.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/tensor.h"

namespace zp::ops {

Status eval_scaled_dot_product_attention(EvalArgs& args);
Status eval_einsum(EvalArgs& args);

// An equation with every dim labelled: letters stay themselves, the dims of "..." get the labels kEllipsis,
// kEllipsis + 1,
// ... aligned at the right.
inline constexpr int kEllipsis = 256;
struct Equation {
  std::vector<std::vector<int>> operands;
  std::vector<int> result;
};
// `ranks` of the operands; an error text if the equation does not fit them.
Result<Equation> read_equation(std::string_view text, std::span<const int> ranks);

}  // namespace zp::ops
