#include "passes/fuse/apply.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "interp/interp.h"
#include "ir/quant_carry.h"
#include "ops/ops.h"
#include "ops/shape.h"
#include "passes/constant_eval.h"
#include "rewrite/trace.h"

namespace zp::fuse {
namespace {

void* attributes_of(Context& context, const Plan& plan) {
  const AttrsDef* def = plan.op->attrs;
  if (def == nullptr) return nullptr;
  void* attrs = context.arena().allocate(def->size, def->alignment);
  def->construct(attrs);
  if (plan.op == &plan.root->op()) std::memcpy(attrs, plan.root->attrs_data(), def->size);
  auto set_bound = [&](std::string_view name, std::optional<double> value) {
    const AttrField* field = def->find(name);
    if (field != nullptr && field->kind == AttrKind::OptFloat)
      attr_ref<std::optional<double>>(attrs, *field) = value;
  };
  set_bound("act_min", plan.act_min);
  set_bound("act_max", plan.act_max);
  if (plan.becomes == nullptr) return attrs;
  for (const backend::Becomes::Attr& attr : plan.becomes->attrs) {
    const AttrField* field = attr.name == "clamp" ? nullptr : def->find(attr.name);
    if (field == nullptr) continue;
    switch (field->kind) {
      case AttrKind::Int:
        attr_ref<int64_t>(attrs, *field) = static_cast<int64_t>(attr.number.as_double());
        break;
      case AttrKind::Float: attr_ref<double>(attrs, *field) = attr.number.as_double(); break;
      case AttrKind::Bool: attr_ref<bool>(attrs, *field) = attr.number.as_double() != 0; break;
      case AttrKind::Number: attr_ref<Number>(attrs, *field) = attr.number; break;
      case AttrKind::OptFloat:
        attr_ref<std::optional<double>>(attrs, *field) = attr.number.as_double();
        break;
      case AttrKind::OptInt:
        attr_ref<std::optional<int64_t>>(attrs, *field) = static_cast<int64_t>(attr.number.as_double());
        break;
      case AttrKind::String: attr_ref<std::string_view>(attrs, *field) = context.text(attr.text); break;
      default: break;
    }
  }
  return attrs;
}

bool removable(const Node& node) {
  return !node.has_uses() && !node.op().has(kEffect) && !node.is(kReturnOp) && node.regions().empty();
}

}  // namespace

void erase_unused(Node* node) {
  std::vector<Node*> stack = {node};
  while (!stack.empty()) {
    Node* next = stack.back();
    stack.pop_back();
    if (next->erased() || !removable(*next)) continue;
    std::vector<Node*> feeding;
    for (size_t i = 0; i < next->operand_count(); ++i) {
      const Value* v = next->operand(i);
      if (v != nullptr && v->def() != nullptr) feeding.push_back(v->def());
    }
    next->erase();
    for (Node* def : feeding) {
      // Only what existed for this match: quantizers, constants, and the inside of the match itself.
      if (def->op().trait == Trait::Quantizer || def->is(kConstOp)) stack.push_back(def);
    }
  }
}

Result<Value*> Applier::transposed(Value* weight) {
  if (const auto known = transposed_.find(weight); known != transposed_.end()) return known->second;
  Context& context = graph_.context();
  ops::PermuteAttrs attrs;
  attrs.dims = context.ints({1, 0});
  Value* const operands[] = {weight};
  Node* permute =
      graph_.create({.op = &ops::permute, .operands = operands, .attrs = &attrs, .name = weight->name()},
                    weight->def()->next());
  if (Status status = permute->infer(); !status.ok()) {
    permute->erase();
    return std::move(status).error();
  }
  auto tensor = evaluate(*permute);
  if (!tensor.ok()) {
    permute->erase();
    return std::move(tensor).error();
  }
  const Type* type = permute->result()->type_ptr();
  permute->erase();
  if (type->quant != nullptr) type = context.with_quant(*type, *pool_.with_known_lists(*type->quant));
  ZP_TRY(const Constant* stored,
         store_tensor(context, fmt::format("{}.t", weight->def()->constant()->name), *tensor));
  if (const Constant* same = pool_.equal(*stored)) stored = same;
  // Beside the matrix it was made from, so that every reader of that can read this.
  Value* value = add_const_node(graph_, *stored, type, weight->def()->next());
  transposed_.emplace(weight, value);
  return value;
}

// The operator moves the integers of its input; its dequantize, which fed it before, now follows it.
Result<Node*> Applier::apply_bytes(const rewrite::Match& match, std::span<Value* const> operands,
                                   std::span<Node* const> stands_for, std::vector<std::string>* replaced) {
  *replaced = rewrite::source_names_of(stands_for);
  Node* root = match.root();
  Node* moved = graph_.create({.op = &root->op(),
                               .operands = operands,
                               .attrs = root->attrs_data(),
                               .name = fmt::format("{}_q", root->name())},
                              root);
  for (const Node* node : stands_for) moved->add_origins_of(*node);
  Status status = moved->infer();
  if (!status.ok()) {
    moved->erase();
    return std::move(status).error();
  }
  Value* const integers[] = {moved->result()};
  const std::string name(root->name());
  Node* dequantize =
      graph_.create({.op = &ops::dequantize, .operands = integers, .name = fmt::format("{}_dq", name)}, root);
  ZP_CHECK(dequantize->infer());
  root->result()->replace_all_uses_with(dequantize->result());
  erase_unused(root);
  dequantize->set_name(name);
  return moved;
}

Result<Node*> Applier::apply(const rewrite::Match& match, const Plan& plan,
                             std::vector<std::string>* replaced) {
  Context& context = graph_.context();
  InlineVector<Value*, 6> operands = plan.operands;
  Node* last = match.last();
  if (plan.transposed) { ZP_TRY(operands[*plan.transposed], transposed(operands[*plan.transposed])); }
  // Names of the source: root first, the other steps, then the quantizers the node takes the place of.
  std::vector<Node*> stands_for = {match.root()};
  for (Node* node : match.nodes)
    if (node != match.root()) stands_for.push_back(node);
  for (size_t i = 0; i < match.nodes.size(); ++i) {
    for (size_t k = 0; k < match.nodes[i]->operand_count(); ++k) {
      const Value* v = match.nodes[i]->operand(k);
      Node* def = v == nullptr ? nullptr : v->def();
      const bool taken = def != nullptr && def->is(ops::dequantize) &&
                         std::find(operands.begin(), operands.end(), v) == operands.end();
      if (taken && std::find(stands_for.begin(), stands_for.end(), def) == stands_for.end())
        stands_for.push_back(def);
    }
  }
  std::vector<Node*> quantizers;
  if (plan.requantized) return apply_bytes(match, operands, stands_for, replaced);
  if (plan.result_quantized && plan.result->converter != nullptr) {
    quantizers.push_back(plan.result->converter);
    const std::vector<Node*> more = rewrite::further_quantizers(*plan.result);
    quantizers.insert(quantizers.end(), more.begin(), more.end());
    stands_for.insert(stands_for.end(), quantizers.begin(), quantizers.end());
  }
  *replaced = rewrite::source_names_of(stands_for);

  Node* fused = graph_.create({.op = plan.op,
                               .operands = operands,
                               .attrs = attributes_of(context, plan),
                               .name = last->name(),
                               .results = last->result_count()},
                              last);
  for (const Node* node : stands_for) fused->add_origins_of(*node);
  Value* out = fused->result();
  const Type& before = last->result()->type();
  out->set_type(plan.result_quantized && !before.is_quantized()
                    ? context.with_quant(before, *plan.result->quant)
                    : last->result()->type_ptr());
  const Type* wanted = out->type_ptr();
  Status status = fused->infer();
  if (status.ok() && !(out->type() == *wanted) &&
      (wanted->is_quantized() || out->type().dtype != wanted->dtype)) {
    status = fused->error("fuse.type", fmt::format("the fused operator gives {}, {} is wanted",
                                                   out->type().str(), wanted->str()));
  }
  if (!status.ok()) {
    fused->erase();
    return std::move(status).error();
  }
  // The node is named after the value it preserves, so that values of one name agree before and after.
  std::string_view name = last->name();
  if (quantizers.empty()) {
    last->result()->replace_all_uses_with(out);
  } else {
    name = quantizers.front()->name();
    for (Node* quantize : quantizers) {
      quantize->result()->replace_all_uses_with(out);
      quantize->erase();
    }
  }
  for (size_t i = match.nodes.size(); i-- > 0;) erase_unused(match.nodes[i]);
  fused->set_name(name);
  return fused;
}

}  // namespace zp::fuse
