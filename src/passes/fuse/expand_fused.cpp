// expand-fused: the way back from integer operators to dequantize, the operator on real values, its clamp,
// quantize. For formats and consumers that know only that form; the numbers stay the same, because the long
// form is the definition of the short one. Operators that only move bytes stay on
// integers, unless the backend's numerics say `moves: dequantized`.
#include <fmt/format.h>

#include <vector>

#include "backend/backend.h"
#include "ops/ops.h"
#include "ops/quant.h"
#include "ops/unary.h"
#include "passes/fuse/fuse.h"

namespace zp {
namespace {

// The attribute's value, and the attribute cleared.
std::optional<double> take_bound(Node& node, std::string_view name) {
  const AttrField* field = node.op().attrs == nullptr ? nullptr : node.op().attrs->find(name);
  if (field == nullptr || field->kind != AttrKind::OptFloat) return std::nullopt;
  auto& bound = attr_ref<std::optional<double>>(node.attrs_data(), *field);
  const std::optional<double> value = bound;
  bound.reset();
  return value;
}

// A move of integers of one grid: what a target that knows moves of real values only wants between dequantize
// and quantize.
bool is_move(const Node& node) {
  if (node.op().trait != Trait::ShapeOnly || node.result_count() != 1 || node.operand_count() == 0)
    return false;
  const Type& result = node.result()->type();
  if (!result.is_tensor() || !result.is_quantized() || result.quant->dynamic || !result.quant->per_tensor())
    return false;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Value* operand = node.operand(i);
    if (operand == nullptr || !operand->type().is_tensor() || operand->type().quant != result.quant)
      return false;
    if (operand->def() != nullptr && operand->def()->is(kConstOp)) return false;
  }
  return true;
}

bool is_fused(const Node& node, bool moves) {
  if (moves && is_move(node)) return true;
  if (!node.op().has(kIntegerForm) || node.op().trait == Trait::ShapeOnly) return false;
  for (size_t i = 0; i < node.operand_count(); ++i)
    if (node.operand(i) != nullptr && node.operand(i)->type().is_quantized()) return true;
  return node.result_count() > 0 && node.result()->type().is_tensor() && node.result()->type().is_quantized();
}

class Expansion {
 public:
  Expansion(Graph& graph, bool moves) : graph_(graph), context_(graph.context()), moves_(moves) {}

  Status run() {
    for (Node* node : graph_.nodes())
      if (is_fused(*node, moves_)) ZP_CHECK(expand(node));
    return {};
  }

 private:
  // The operator is made anew on real values; the old node's name goes to the value that means the same.
  Status expand(Node* node) {
    std::vector<Value*> operands;
    for (size_t i = 0; i < node->operand_count(); ++i) {
      Value* value = node->operand(i);
      if (value != nullptr && value->type().is_quantized()) { ZP_TRY(value, dequantized(value, node)); }
      operands.push_back(value);
    }
    const Origin* origin = node->origin();
    const std::string_view own = origin != nullptr && !origin->name.empty() ? origin->name : node->name();
    const bool quantized = node->result()->type().is_quantized();
    const std::string name(node->name());
    Node* plain = graph_.create({.op = &node->op(),
                                 .operands = operands,
                                 .attrs = node->attrs_data(),
                                 .name = own,
                                 .results = node->result_count(),
                                 .origins = node->origins()},
                                node);
    const std::optional<double> low = take_bound(*plain, "act_min"), high = take_bound(*plain, "act_max");
    ZP_CHECK(plain->infer());
    Node* last = plain;
    if (low || high) { ZP_TRY(last, clamp(plain, low, high, node)); }
    if (quantized) { ZP_TRY(last, quantize(last, *node->result()->type().quant, node)); }
    node->result()->replace_all_uses_with(last->result());
    for (size_t i = 1; i < node->result_count(); ++i)
      node->result(i)->replace_all_uses_with(plain->result(i));
    node->erase();
    last->set_name(name);
    return {};
  }

  // One dequantize a reader and operand: consumers match it beside the operator.
  Result<Value*> dequantized(Value* value, Node* before) {
    std::vector<Value*> operands = {value};
    if (value->type().quant->dynamic) {
      const Node* source = value->def();
      if (source == nullptr || !source->is(ops::quantize)) {
        return before->error("expand.dynamic",
                             fmt::format("the scale of %{} is not known where it is read", value->name()));
      }
      operands.push_back(source->operand(1));
      if (source->operand(2) != nullptr) operands.push_back(source->operand(2));
    }
    Node* node = graph_.create(
        {.op = &ops::dequantize, .operands = operands, .name = fmt::format("{}_dq", value->name())}, before);
    ZP_CHECK(node->infer());
    return node->result();
  }

  Result<Node*> clamp(Node* plain, std::optional<double> low, std::optional<double> high, Node* before) {
    Value* const operands[] = {plain->result()};
    Node* node = nullptr;
    if (low == 0.0 && !high) {
      node = graph_.create(
          {.op = &ops::relu, .operands = operands, .name = fmt::format("{}_relu", plain->name())}, before);
    } else if (low && high) {
      ops::HardtanhAttrs attrs;
      attrs.min_val = Number::of_float(*low);
      attrs.max_val = Number::of_float(*high);
      node = graph_.create({.op = &ops::hardtanh,
                            .operands = operands,
                            .attrs = &attrs,
                            .name = fmt::format("{}_clamp", plain->name())},
                           before);
    } else {
      ops::ClampAttrs attrs;
      if (low) attrs.min = Number::of_float(*low);
      if (high) attrs.max = Number::of_float(*high);
      node = graph_.create({.op = &ops::clamp,
                            .operands = operands,
                            .attrs = &attrs,
                            .name = fmt::format("{}_clamp", plain->name())},
                           before);
    }
    ZP_CHECK(node->infer());
    return node;
  }

  Result<Node*> quantize(Node* real, const QuantType& quant, Node* before) {
    if (quant.dynamic)
      return before->error("expand.dynamic", "a fused result cannot be quantized dynamically");
    Value* const operands[] = {real->result()};
    ops::QuantizeAttrs attrs;
    attrs.type = context_.quant(quant);
    Node* node = graph_.create({.op = &ops::quantize,
                                .operands = operands,
                                .attrs = &attrs,
                                .name = fmt::format("{}_q", real->name())},
                               before);
    ZP_CHECK(node->infer());
    return node;
  }

  Graph& graph_;
  Context& context_;
  bool moves_;
};

Status run_expand_fused(PassContext& context) {
  const bool moves = context.backend != nullptr && context.backend->numerics("moves") == "dequantized";
  for (Graph* graph : context.model.graphs()) ZP_CHECK(Expansion(*graph, moves).run());
  return {};
}

}  // namespace

constinit const PassCard kExpandFusedPass = {
    .name = "expand-fused",
    .doc = "turns integer operators back into dequantize, op, clamp, quantize",
    .needs = "",
    .gives = "the form that every reader of quantize and dequantize understands",
    .promise = Promise::Exact,
    .run = run_expand_fused,
};

}  // namespace zp
