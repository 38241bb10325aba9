#include "passes/fuse/weight_forms.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/tensor.h"
#include "ops/ops.h"
#include "passes/constant_eval.h"
#include "rewrite/slot.h"

namespace zp::fuse {
namespace {

bool is_constant(const Value* value) { return value->def() != nullptr && value->def()->is(kConstOp); }

}  // namespace

WeightForms::WeightForms(Graph& graph, const Backend& backend)
    : graph_(graph),
      pool_(graph.context()),
      by_value_(backend.numerics("weight_bits") == "by-value"),
      per_axis_(backend.numerics("weight_scales") == "per-axis") {}

std::optional<WeightForms::Weight> WeightForms::weight_of(const Node& node) {
  const auto& defs = node.op().operands;
  for (size_t i = 0; i < std::min(defs.size(), node.operand_count()); ++i) {
    Value* value = node.operand(i);
    if (defs[i].role != Role::Weight || value == nullptr || !value->type().is_tensor()) continue;
    if (value->type().is_quantized())
      return is_constant(value) ? std::optional(Weight{i, value, nullptr}) : std::nullopt;
    Node* def = value->def();
    if (def == nullptr || !def->is(ops::dequantize) || def->operand_count() == 0) return std::nullopt;
    Value* source = def->operand(0);
    if (source == nullptr || !source->type().is_quantized() || !is_constant(source)) return std::nullopt;
    return Weight{i, source, def};
  }
  return std::nullopt;
}

bool WeightForms::fits4(const Constant& constant) {
  const auto [known, fresh] = fits4_.emplace(&constant, false);
  if (!fresh) return known->second;
  if (constant.stripped || constant.dtype != DType::I8) return false;
  const auto tensor = constant_tensor(graph_.context(), constant);
  if (!tensor.ok()) return false;
  const int8_t* data = tensor->data<int8_t>();
  known->second = std::all_of(data, data + tensor->elements(), [](int8_t v) { return v >= -8 && v <= 7; });
  return known->second;
}

const QuantType* WeightForms::narrow(const Weight& weight) {
  const QuantType& quant = *weight.quantized->type().quant;
  if (!by_value_ || quant.dynamic || quant.storage != DType::I8 || rewrite::declared_bits(quant) != 8 ||
      !fits4(*weight.quantized->def()->constant()))
    return nullptr;
  QuantType narrow = quant;
  narrow.qmin = std::max<int64_t>(quant.qmin, -8);
  narrow.qmax = std::min<int64_t>(quant.qmax, 7);
  return graph_.context().quant(narrow);
}

const QuantType* WeightForms::per_channel(const Node& node, const Weight& weight) {
  const Type& type = weight.quantized->type();
  const QuantType& quant = *type.quant;
  if (!per_axis_ || quant.dynamic || !quant.per_tensor() || quant.zero_point != 0 ||
      quant.domain == ZeroPointDomain::Float)
    return nullptr;
  const int axis = rewrite::weight_axes(node.op(), weight.operand, type.rank()).out;
  if (axis < 0 || !type.shape[static_cast<size_t>(axis)].is_known()) return nullptr;
  const int64_t channels = type.shape[static_cast<size_t>(axis)].value();
  if (channels < 1) return nullptr;
  // Products of scales are formed from exact numbers: a scale that is no f32 stays the f64 it is. Where the
  // weight alone is quantized it is dequantized in f32, and so is its scale.
  const bool products = node.operand(0) != nullptr && node.operand(0)->type().is_quantized();
  const bool exact = static_cast<double>(static_cast<float>(quant.scale)) == quant.scale;
  const DType dtype = products && !exact ? DType::F64 : DType::F32;
  const Constant*& scales = repeated_[{quant.scale, channels, dtype}];
  if (scales == nullptr) {
    const std::string name = fmt::format("{}.scales", weight.quantized->def()->constant()->name);
    const int64_t shape[] = {channels};
    const auto count = static_cast<size_t>(channels);
    Context& context = graph_.context();
    scales = dtype == DType::F64
                 ? context.make_constant(name, dtype, shape, std::vector<double>(count, quant.scale))
                 : context.make_constant(name, dtype, shape,
                                         std::vector<float>(count, static_cast<float>(quant.scale)));
    if (const Constant* same = pool_.equal(*scales)) scales = same;
  }
  QuantType split = quant;
  split.axis = axis;
  split.scale = 1;
  split.zero_point = 0;
  split.scales = scales;
  split.scale_dtype = dtype;
  split.zero_points = nullptr;
  return graph_.context().quant(split);
}

Status WeightForms::redeclare(Node* node, const Weight& weight, const QuantType& quant) {
  Node* const def = weight.quantized->def();
  Value*& value = made_[{def->constant(), graph_.context().quant(quant)}];
  if (value == nullptr) {
    const Type* type = graph_.context().with_quant(weight.quantized->type(), quant);
    value = add_const_node(graph_, *def->constant(), type, def->next());
  }
  Value* operand = value;
  if (weight.dequantize != nullptr) {
    Value* const operands[] = {value};
    Node* dequantize = graph_.create({.op = &ops::dequantize,
                                      .operands = operands,
                                      .name = weight.dequantize->name(),
                                      .origins = weight.dequantize->origins()},
                                     node);
    ZP_CHECK(dequantize->infer());
    operand = dequantize->result();
  }
  node->set_operand(weight.operand, operand);
  for (Node* unused : {weight.dequantize, def})
    if (unused != nullptr && !unused->has_uses()) unused->erase();
  return {};
}

}  // namespace zp::fuse
