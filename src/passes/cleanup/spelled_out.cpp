#include "passes/cleanup/spelled_out.h"

#include <cmath>
#include <optional>
#include <vector>

#include "ops/binary.h"
#include "ops/ops.h"
#include "ops/unary.h"
#include "passes/constant_eval.h"

namespace zp::cleanup {
namespace {

// A value of single or double precision: every step of a spelling then rounds as the activation does.
bool rounds_alike(const Type& type) {
  return !type.is_quantized() && (type.dtype == DType::F32 || type.dtype == DType::F64);
}

// The number that every element of a constant is.
std::optional<double> number_of(const Value* value) {
  const Node* def = value != nullptr ? value->def() : nullptr;
  if (def == nullptr || value->type().is_quantized()) return std::nullopt;
  const Constant* constant = def->constant();
  if (constant == nullptr || constant->elements() != 1 || constant->stripped) return std::nullopt;
  const Result<Tensor> tensor = constant_tensor(def->context(), *constant);
  if (!tensor.ok()) return std::nullopt;
  return tensor->get_double(0);
}

bool is_number(const Value* value, double number) { return number_of(value) == number; }

// The operand of a binary node that has the type of its result, next to the number `other`.
Value* beside_number(const Node& node, double number, bool either_side) {
  const Type* type = node.result()->type_ptr();
  if (node.operand(0)->type_ptr() == type && is_number(node.operand(1), number)) return node.operand(0);
  if (either_side && node.operand(1)->type_ptr() == type && is_number(node.operand(0), number))
    return node.operand(1);
  return nullptr;
}

struct Bounds {
  std::optional<Number> low, high;
};

std::optional<Bounds> bounds_of(const Node& node) {
  if (node.is(ops::relu)) return Bounds{Number::of_int(0), std::nullopt};
  if (node.is(ops::hardtanh)) {
    const auto& attrs = node.attrs<ops::HardtanhAttrs>();
    return Bounds{attrs.min_val, attrs.max_val};
  }
  if (node.is(ops::clamp)) {
    const auto& attrs = node.attrs<ops::ClampAttrs>();
    return Bounds{attrs.min, attrs.max};
  }
  return std::nullopt;
}

// x, if `value` is min(max(x + 3, 0), 6).
Value* before_shifted_clamp(const Value* value) {
  const Node* clamp = value->def();
  if (clamp == nullptr) return nullptr;
  const std::optional<Bounds> bounds = bounds_of(*clamp);
  if (!bounds || !bounds->low || !bounds->high) return nullptr;
  if (bounds->low->as_double() != 0 || bounds->high->as_double() != 6) return nullptr;
  const Node* shift = clamp->operand(0)->def();
  if (shift == nullptr || !shift->is(ops::add)) return nullptr;
  const auto& attrs = shift->attrs<ops::AddAttrs>();
  if (attrs.act_min || attrs.act_max || attrs.alpha.as_double() != 1) return nullptr;
  return beside_number(*shift, 3, true);
}

Node* replace(Node& node, const OpDef& op, Value* x, const void* attrs = nullptr) {
  Value* operands[] = {x};
  const std::string name(node.name());
  Node* made = node.graph()->create(
      {.op = &op, .operands = operands, .attrs = attrs, .origins = node.origins()}, &node);
  for (size_t i = 0; i < node.operand_count(); ++i)
    if (const Node* part = node.operand(i)->def(); part != nullptr && !part->is(kConstOp) && part != x->def())
      made->add_origins_of(*part);
  made->result()->set_type(node.result()->type_ptr());
  node.result()->replace_all_uses_with(made->result());
  node.erase();
  made->set_name(name);
  return made;
}

// x * min(max(x + 3, 0), 6) / 6 and min(max(x + 3, 0), 6) / 6
Node* merge_quotient(Node& node) {
  if (!node.attrs<ops::DivAttrs>().rounding_mode.empty()) return nullptr;
  const Value* above = beside_number(node, 6, false);
  const Node* product = above != nullptr ? above->def() : nullptr;
  if (product == nullptr || !rounds_alike(node.result()->type())) return nullptr;
  if (!product->is(ops::mul)) {
    Value* x = before_shifted_clamp(above);
    return x != nullptr && x->type_ptr() == above->type_ptr() ? replace(node, ops::hardsigmoid, x) : nullptr;
  }
  const auto& attrs = product->attrs<ops::MulAttrs>();
  if (attrs.act_min || attrs.act_max) return nullptr;
  for (const size_t side : {0u, 1u}) {
    Value* x = before_shifted_clamp(product->operand(side));
    if (x != nullptr && x == product->operand(1 - side) && x->type_ptr() == above->type_ptr())
      return replace(node, ops::hardswish, x);
  }
  return nullptr;
}

// clamp(clamp(x, min), max) and the other way round
Node* merge_clamps(Node& node) {
  const Bounds outer = *bounds_of(node);
  const Node* before = node.operand(0)->def();
  if (before == nullptr || !before->is(ops::clamp) || !node.operand(0)->has_one_use()) return nullptr;
  const Bounds inner = *bounds_of(*before);
  if (outer.low.has_value() == outer.high.has_value() || inner.low.has_value() == inner.high.has_value() ||
      inner.low.has_value() == outer.low.has_value())
    return nullptr;
  ops::ClampAttrs attrs{inner.low ? inner.low : outer.low, inner.high ? inner.high : outer.high};
  if (!(attrs.min->as_double() <= attrs.max->as_double())) return nullptr;
  return replace(node, ops::clamp, before->operand(0), &attrs);
}

// maximum(x, number) and minimum(x, number)
Node* merge_extremum(Node& node) {
  for (const size_t side : {0u, 1u}) {
    const std::optional<double> number = number_of(node.operand(1 - side));
    Value* x = node.operand(side);
    // Of two zeros the second operand is taken.
    if (!number || std::isnan(*number) || (side == 1 && *number == 0) || !rounds_alike(x->type()) ||
        x->type_ptr() != node.result()->type_ptr())
      continue;
    ops::ClampAttrs attrs;
    (node.is(ops::maximum) ? attrs.min : attrs.max) = Number::of_float(*number);
    return replace(node, ops::clamp, x, &attrs);
  }
  return nullptr;
}

}  // namespace

Node* merge_spelled_out(Node& node) {
  if (node.is(ops::div)) return merge_quotient(node);
  if (node.is(ops::clamp)) return merge_clamps(node);
  if (!node.is(ops::maximum) && !node.is(ops::minimum)) return nullptr;
  Node* clamp = merge_extremum(node);
  Node* both = clamp != nullptr ? merge_clamps(*clamp) : nullptr;
  return both != nullptr ? both : clamp;
}

}  // namespace zp::cleanup
