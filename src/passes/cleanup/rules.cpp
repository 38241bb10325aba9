#include "passes/cleanup/rules.h"

#include <cmath>
#include <limits>
#include <optional>

#include "interp/interp.h"
#include "ops/binary.h"
#include "ops/create.h"
#include "ops/ops.h"
#include "ops/quant.h"
#include "ops/shape.h"
#include "ops/view.h"
#include "passes/constant_eval.h"

namespace zp::cleanup {
namespace {

// The constant behind a value; null if it is not a const node of plain elements.
const Constant* plain_constant(const Value* value) {
  if (value == nullptr || value->def() == nullptr || value->type().is_quantized()) return nullptr;
  return value->def()->constant();
}

// All dims are numbers, or the very same expressions: then equal lists mean equal extents.
bool same_extents(const Type& a, const Type& b) {
  if (!a.is_tensor() || !b.is_tensor() || !a.ranked || !b.ranked || !(a.shape == b.shape)) return false;
  for (const Dim& d : a.shape)
    if (d.is_unknown()) return false;
  return true;
}

// Whether elements keep their places provided that the shape does not change.
bool keeps_order(const Node& node) {
  if (node.is(ops::reshape) || node.is(ops::squeeze) || node.is(ops::unsqueeze) || node.is(ops::expand))
    return true;
  if (node.is(ops::identity) || node.is(ops::repeat)) return true;
  if (node.is(ops::slice)) return node.attrs<ops::SliceAttrs>().step == Dim(1);
  if (node.is(ops::permute)) {
    const auto& dims = node.attrs<ops::PermuteAttrs>().dims;
    for (size_t i = 0; i < dims.size(); ++i) {
      const int64_t d = dims[i] < 0 ? dims[i] + static_cast<int64_t>(dims.size()) : dims[i];
      if (d != static_cast<int64_t>(i)) return false;
    }
    return true;
  }
  return false;
}

bool is_number_operand(const Node& node, size_t operand, double number) {
  const Constant* constant = plain_constant(node.operand(operand));
  return constant != nullptr && all_elements_are(node.context(), *constant, number);
}

// x + -0.0, x - 0.0, x * 1, x / 1 keep every bit of x; x + 0.0 does not (-0.0 becomes 0.0). Integers have one
// zero.
Value* neutral_operand(const Node& node) {
  const auto kept = [&](size_t i) -> Value* {
    Value* x = node.operand(i);
    return x != nullptr && x->type_ptr() == node.result()->type_ptr() && !x->type().is_quantized() ? x
                                                                                                   : nullptr;
  };
  const bool real = is_float(node.result()->type().dtype);
  if (node.is(ops::add) || node.is(ops::sub)) {
    const auto& attrs = node.attrs<ops::AddAttrs>();
    if (attrs.act_min || attrs.act_max || attrs.alpha.as_double() != 1.0) return nullptr;
    const bool add = node.is(ops::add);
    const double zero = real && add ? -0.0 : 0.0;
    if (kept(0) && is_number_operand(node, 1, zero)) return kept(0);
    if (add && kept(1) && is_number_operand(node, 0, zero)) return kept(1);
  }
  if (node.is(ops::mul)) {
    const auto& attrs = node.attrs<ops::MulAttrs>();
    if (attrs.act_min || attrs.act_max) return nullptr;
    if (kept(0) && is_number_operand(node, 1, 1.0)) return kept(0);
    if (kept(1) && is_number_operand(node, 0, 1.0)) return kept(1);
  }
  if (node.is(ops::div) && real && node.attrs<ops::DivAttrs>().rounding_mode.empty()) {
    if (kept(0) && is_number_operand(node, 1, 1.0)) return kept(0);
  }
  return nullptr;
}

// Quantizing what was just dequantized with the same parameters gives the integers back, in every bit: (q -
// z) * s * (1/s) is off by two roundings at most, which stay below a half while |q - z| < 2^20 and neither s
// nor 1/s leaves the normal range. The dequantized integers lie in the declared range because a quantize made
// them.
bool round_trip_is_exact(const QuantType& quant, Context& context) {
  if (quant.dynamic || quant.domain == ZeroPointDomain::Float || quant.expressed != DType::F32 ||
      !is_integer(quant.storage))
    return false;
  const int64_t limit = int64_t{1} << 20;
  if (quant.qmin < -limit || quant.qmax > limit) return false;
  const auto normal = [](double scale) { return scale > 1e-30 && scale < 1e30; };
  if (quant.scales == nullptr)
    return normal(quant.scale) && std::abs(quant.zero_point) < static_cast<double>(limit);
  const Result<Tensor> scales = constant_tensor(context, *quant.scales);
  if (!scales.ok()) return false;
  for (int64_t i = 0; i < scales->elements(); ++i)
    if (!normal(scales->get_double(i))) return false;
  if (quant.zero_points == nullptr) return true;
  const Result<Tensor> zeros = constant_tensor(context, *quant.zero_points);
  if (!zeros.ok()) return false;
  for (int64_t i = 0; i < zeros->elements(); ++i)
    if (std::abs(zeros->get_double(i)) >= static_cast<double>(limit)) return false;
  return true;
}

// quantize(dequantize(q)) where a quantize made q with the same type.
Value* undone_dequantize(const Node& node) {
  const Node* inner = node.operand(0) ? node.operand(0)->def() : nullptr;
  if (inner == nullptr || !inner->is(ops::dequantize)) return nullptr;
  Value* q = inner->operand(0);
  if (q->type_ptr() != node.result()->type_ptr()) return nullptr;
  if (q->def() == nullptr || !q->def()->is(ops::quantize)) return nullptr;
  return round_trip_is_exact(*q->type().quant, node.context()) ? q : nullptr;
}

}  // namespace

Value* same_value(const Node& node) {
  if (node.result_count() != 1 || node.operand_count() == 0 || node.operand(0) == nullptr) return nullptr;
  Value* x = node.operand(0);
  const Type& out = node.result()->type();
  if (node.is(ops::identity) && x->type_ptr() == node.result()->type_ptr()) return x;
  if (node.is(ops::cast) && x->type_ptr() == node.result()->type_ptr()) return x;
  if (keeps_order(node) && same_extents(x->type(), out) && x->type().dtype == out.dtype &&
      x->type().quant == out.quant)
    return x;
  if (node.is(ops::cat) && node.operand_count() == 1 && x->type_ptr() == node.result()->type_ptr()) return x;
  if (node.is(ops::storage_cast) && x->def() != nullptr && x->def()->is(ops::storage_cast)) {
    Value* source = x->def()->operand(0);
    if (source->type_ptr() == node.result()->type_ptr()) return source;
  }
  if (node.is(ops::quantize)) return undone_dequantize(node);
  return neutral_operand(node);
}

const QuantType* static_type(const Node& node) {
  Context& context = node.context();
  const QuantType* type = node.is(ops::quantize)        ? node.attrs<ops::QuantizeAttrs>().type
                          : node.is(ops::fake_quantize) ? node.attrs<ops::FakeQuantizeAttrs>().type
                          : node.is(ops::dequantize)    ? node.operand(0)->type().quant
                                                        : nullptr;
  const Constant* scale = plain_constant(node.operand(1));
  const Constant* zero_point = plain_constant(node.operand(2));
  if (type == nullptr || !type->dynamic || scale == nullptr || !is_float(scale->dtype)) return nullptr;
  if (node.operand(2) != nullptr && zero_point == nullptr) return nullptr;
  QuantType quant = *type;
  quant.dynamic = false;
  const Result<Tensor> scales = constant_tensor(context, *scale);
  if (!scales.ok() || scales->elements() == 0) return nullptr;
  for (int64_t i = 0; i < scales->elements(); ++i)
    if (!(scales->get_double(i) > 0) || !std::isfinite(scales->get_double(i))) return nullptr;
  std::optional<Tensor> zeros;
  if (zero_point != nullptr) {
    Result<Tensor> read = constant_tensor(context, *zero_point);
    if (!read.ok() || read->elements() != scales->elements()) return nullptr;
    zeros = std::move(read).value();
  }
  if (quant.per_tensor()) {
    if (scales->elements() != 1) return nullptr;
    quant.scale = scales->get_double(0);
    quant.zero_point = zeros ? zeros->get_double(0) : 0.0;
    const bool whole = quant.zero_point == std::floor(quant.zero_point);
    if (quant.domain == ZeroPointDomain::Integer && is_integer(quant.storage) &&
        (!whole || quant.zero_point < static_cast<double>(int_min(quant.storage)) ||
         quant.zero_point > static_cast<double>(int_max(quant.storage)))) {
      return nullptr;
    }
  } else {
    quant.scales = scale;
    quant.zero_points = zero_point;
    quant.scale_dtype = scale->dtype;
  }
  return context.quant(quant);
}

bool make_quantize_static(Node& node) {
  if (!node.is(ops::quantize) || node.operand(1) == nullptr) return false;
  const QuantType* known = static_type(node);
  if (known == nullptr) return false;
  std::vector<Use*> uses = node.result()->use_list();
  for (const Use* use : uses) {
    const Node* reader = use->user();
    if (!reader->is(ops::dequantize) || reader->operand(1) != node.operand(1) ||
        reader->operand(2) != node.operand(2))
      return false;
  }
  Graph& graph = *node.graph();
  ops::QuantizeAttrs attrs = node.attrs<ops::QuantizeAttrs>();
  attrs.type = known;
  Value* input[] = {node.operand(0)};
  Node* quantize = graph.create({.op = &ops::quantize,
                                 .operands = input,
                                 .attrs = &attrs,
                                 .name = node.name(),
                                 .origins = node.origins()},
                                &node);
  if (!quantize->infer().ok()) {
    quantize->erase();
    return false;
  }
  for (const Use* use : uses) {
    Node* reader = use->user();
    Value* q[] = {quantize->result()};
    Node* dequantize = graph.create(
        {.op = &ops::dequantize, .operands = q, .name = reader->name(), .origins = reader->origins()},
        reader);
    if (!dequantize->infer().ok()) {
      dequantize->erase();
      continue;  // the old reader stays right: it reads the old quantize
    }
    const std::string name(reader->name());
    reader->result()->replace_all_uses_with(dequantize->result());
    reader->erase();
    dequantize->set_name(name);
  }
  if (!node.result()->has_uses()) {
    const std::string name(node.name());
    node.erase();
    quantize->set_name(name);
  }
  return true;
}

namespace {

constexpr int64_t kGrowth = int64_t{64} << 10;      // bytes a folded result may have beyond its operands
constexpr int64_t kLargest = int64_t{64} << 20;     // above this, weights stay mapped and are not copied
constexpr int64_t kLargestWork = int64_t{1} << 26;  // products of a folded matrix product, at most

bool within_budget(const Node& node) {
  int64_t operand_bytes = 0;
  int64_t work = 1;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (node.operand(i) == nullptr) continue;
    const Constant& constant = *node.operand(i)->def()->constant();
    if (constant.stripped) return false;
    operand_bytes += constant.bytes();
    const int64_t elements = std::max<int64_t>(constant.elements(), 1);
    work = work > kLargestWork / elements ? kLargestWork + 1 : work * elements;
  }
  if (node.op().trait == Trait::Affine && work > kLargestWork) return false;
  int64_t bytes = 0;
  for (size_t i = 0; i < node.result_count(); ++i) {
    const Type& type = node.result(i)->type();
    if (!type.is_static()) return false;
    if (type.elements() > kLargest) return false;
    bytes += storage_bytes(type.dtype, type.elements());
  }
  if (bytes > operand_bytes && bytes - operand_bytes > kGrowth) return false;
  return bytes <= kLargest;
}

bool foldable(const Node& node) {
  if (!is_computable(node) || node.is(kConstOp) || node.op().has(kDataShape) || node.result_count() == 0)
    return false;
  if (node.op().trait == Trait::Quantizer && !node.is(ops::quantize)) return false;  // integers stay integers
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Value* operand = node.operand(i);
    if (operand == nullptr) continue;
    if (operand->def() == nullptr || !operand->def()->is(kConstOp) || operand->type().is_quantized())
      return false;
  }
  return within_budget(node);
}

}  // namespace

bool fold_constant(Node& node) {
  if (!foldable(node)) return false;
  Context& context = node.context();
  std::vector<Tensor> operands(node.operand_count());
  std::vector<const Tensor*> pointers(node.operand_count(), nullptr);
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (node.operand(i) == nullptr) continue;
    Result<Tensor> tensor = constant_tensor(context, *node.operand(i)->def()->constant());
    if (!tensor.ok()) return false;
    operands[i] = std::move(tensor).value();
    pointers[i] = &operands[i];
  }
  Result<std::vector<Tensor>> results = evaluate_node(node, pointers);
  if (!results.ok() || results->size() != node.result_count()) return false;
  for (size_t i = 0; i < node.result_count(); ++i) {
    const Tensor& tensor = (*results)[i];
    const Type& type = node.result(i)->type();
    if (tensor.dtype() != type.dtype || tensor.elements() != type.elements()) return false;
  }
  const std::string name(node.name());
  Value* first = nullptr;
  for (size_t i = 0; i < node.result_count(); ++i) {
    Value* result = node.result(i);
    if (!result->has_uses()) continue;
    Result<const Constant*> constant = store_tensor(context, result->name(), (*results)[i]);
    if (!constant.ok()) return false;
    Value* value = add_const_node(*node.graph(), **constant, result->type_ptr(), &node);
    value->def()->set_origins(node.origins());
    result->replace_all_uses_with(value);
    if (i == 0) first = value;
  }
  if (node.has_uses()) return false;
  node.erase();
  if (first != nullptr) first->def()->set_name(name);
  return true;
}

}  // namespace zp::cleanup
