// What an accepted match becomes: the operator, its operands and attributes. Planning changes nothing; a
// match that cannot be said as one operator with quantized operands is refused here, with the clause
// "becomes".
#pragma once

#include <optional>
#include <unordered_map>
#include <variant>
#include <vector>

#include "backend/backend.h"
#include "ir/graph.h"

namespace zp::fuse {

struct Plan {
  const OpDef* op = nullptr;
  InlineVector<Value*, 6> operands;
  std::optional<size_t> transposed;  // number of the operand whose constant matrix is transposed first
  std::optional<double> act_min, act_max;
  const backend::Becomes* becomes = nullptr;  // further attributes
  const Node* root = nullptr;                 // whose attributes are kept where the op stays
  const rewrite::SlotReading* result = nullptr;
  bool result_quantized = false;
  bool unchanged = false;  // the match is the fused operator already
  // Bytes move and the result has other parameters: the operator runs on the integers of its input,
  // dequantize and quantize behind it are the requantization.
  bool requantized = false;
};

std::variant<Plan, backend::Refusal> plan_match(const rewrite::Match& match, const backend::Verdict& verdict);

// Bounds of relu, hardtanh and clamp with numbers; nothing for other ops.
struct ClampBounds {
  std::optional<double> low, high;
};
std::optional<ClampBounds> clamp_bounds(const Node& node);

}  // namespace zp::fuse
