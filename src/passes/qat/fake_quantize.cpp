#include "passes/qat/fake_quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/ops.h"
#include "ops/quant.h"
#include "passes/cleanup/rules.h"
#include "passes/qat/why.h"

namespace zp::qat {
namespace {

// The static type the node quantizes to, expressed in the node's own dtype; null if it is known only at run
// time.
const QuantType* stored_type(Node& node) {
  const QuantType* type = node.attrs<ops::FakeQuantizeAttrs>().type;
  if (type == nullptr || !is_integer(type->storage)) return nullptr;
  if (type->dynamic) type = cleanup::static_type(node);
  if (type == nullptr || type->expressed == node.result()->type().dtype) return type;
  QuantType expressed = *type;
  expressed.expressed = node.result()->type().dtype;
  return node.context().quant(expressed);
}

// The dequantize that has the bits of `node`; null if its types do not allow it.
Node* make_pair_of(Node& node, const QuantType* type) {
  Graph& graph = *node.graph();
  ops::QuantizeAttrs attrs;
  attrs.type = type;
  attrs.zero_point_first = node.attrs<ops::FakeQuantizeAttrs>().zero_point_first;
  const std::string name(node.name());
  Value* input[] = {node.operand(0)};
  Node* quantize = graph.create({.op = &ops::quantize,
                                 .operands = input,
                                 .attrs = &attrs,
                                 .name = name + "_quantize",
                                 .origins = node.origins()},
                                &node);
  if (!quantize->infer().ok()) {
    quantize->erase();
    return nullptr;
  }
  Value* integers[] = {quantize->result()};
  Node* dequantize = graph.create(
      {.op = &ops::dequantize, .operands = integers, .name = name + "_dequantize", .origins = node.origins()},
      &node);
  if (dequantize->infer().ok() && dequantize->result()->type_ptr() == node.result()->type_ptr())
    return dequantize;
  dequantize->erase();
  quantize->erase();
  return nullptr;
}

// quantize of a constant becomes a constant.
void store_integers(Node& quantize, ChannelConstants& constants) {
  if (!ConstantFlow::is_constant(quantize.operand(0))) return;
  const Result<Tensor> integers = constants.values().tensor(*quantize.result());
  if (!integers.ok()) return;
  const std::string name(quantize.name());
  const Result<const Constant*> constant = store_tensor(quantize.context(), name, *integers);
  if (!constant.ok()) return;
  Value* value = add_const_node(*quantize.graph(), **constant, quantize.result()->type_ptr(), &quantize);
  quantize.result()->replace_all_uses_with(value);
  quantize.erase();
  value->def()->set_name(name);
}

// Largest |real| of a static type.
double largest_real(const QuantType& quant, Context& context) {
  double scale = quant.scale;
  if (quant.scales != nullptr) {
    const Result<Tensor> scales = constant_tensor(context, *quant.scales);
    if (!scales.ok()) return 0;
    for (int64_t i = 0; i < scales->elements(); ++i)
      scale = std::max(i == 0 ? 0.0 : scale, scales->get_double(i));
  }
  return scale * static_cast<double>(quant.qmax - quant.qmin);
}

// A sum that was float before is exact now.
void record_product(const Node& node, std::string_view pass, Records& records) {
  double largest = 1, terms = 1;
  size_t quantized = 0;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Value* operand = node.operand(i);
    if (operand == nullptr ||
        node.op().operands[std::min(i, node.op().operands.size() - 1)].role == Role::Bias)
      continue;
    const Node* def = operand->def();
    if (def == nullptr || !def->is(ops::dequantize) || def->operand(0)->type().quant->dynamic) continue;
    largest *= largest_real(*def->operand(0)->type().quant, node.context());
    ++quantized;
  }
  if (quantized < 2) return;  // still a float sum
  const Type& weight = node.operand(node.is(ops::addmm) || node.is(ops::baddbmm) ? 2 : 1)->type();
  terms = static_cast<double>(std::max<int64_t>(weight.elements(), 1));
  if (weight.rank() > 0 && weight.shape[0].is_known())
    terms /= static_cast<double>(std::max<int64_t>(weight.shape[0].value(), 1));
  RewriteRecord record{.pass = std::string(pass),
                       .pattern = "fake-quantize",
                       .nodes = source_names(node),
                       .into = std::string(node.name())};
  record.max_abs_change = float_sum_error(terms, terms * largest);
  record.note = fmt::format("an exact sum of integers where a float sum was; largest change {:.3g}",
                            record.max_abs_change);
  records.rewrites.push_back(std::move(record));
}

}  // namespace

double float_sum_error(double terms, double sum_of_absolute_products) {
  // 16 lanes, then a tree of four steps; one rounding a product, one for the result.
  return (terms / 16 + 8) * 0x1p-23 * sum_of_absolute_products;
}

std::unordered_set<const Node*> split_fake_quantizers(std::span<Node* const> nodes, std::string_view pass,
                                                      ChannelConstants& constants, Records& records) {
  std::vector<const Node*> products;
  for (Node* node : nodes) {
    const QuantType* type = stored_type(*node);
    Node* dequantize = type != nullptr ? make_pair_of(*node, type) : nullptr;
    if (dequantize == nullptr) {
      records.kept.push_back(kept_record(
          pass, *node,
          {node, "parameters", "integer parameters known before the run", "others",
           fmt::format("the parameters of '{}' are not known before the run", source_name(*node))}));
      continue;
    }
    const std::string name(node->name());
    for (const Use& use : node->result()->uses())
      if (use.user()->op().trait == Trait::Affine) products.push_back(use.user());
    node->result()->replace_all_uses_with(dequantize->result());
    node->erase();
    dequantize->set_name(name);  // the value is the same
    store_integers(*dequantize->operand(0)->def(), constants);
  }
  std::unordered_set<const Node*> changed;
  for (const Node* product : products)
    if (changed.insert(product).second) record_product(*product, pass, records);
  return changed;
}

}  // namespace zp::qat
