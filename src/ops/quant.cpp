// Operators that change how numbers are represented: cards and inference. Static parameters are in the
// QuantType; dynamic ones are the operands scale and zero_point.
#include "ops/ops.h"

#include <fmt/format.h>

#include "ops/conv_infer.h"
#include "ops/quant.h"
#include "ops/quant_eval.h"

namespace zp::ops {
namespace {

constexpr OperandDef kQuantOperands[] = {
    {"input", Role::Data}, {"scale", Role::Scale, true}, {"zero_point", Role::ZeroPoint, true}};
constexpr OperandDef kOneOperand[] = {{"input", Role::Data}};
constexpr std::string_view kQparamResults[] = {"scale", "zero_point"};

constexpr std::string_view kQuantizeChecks[] = {
    "c1: the attribute type is set",
    "c2: input is a plain floating tensor",
    "c3: a dynamic type has a scale operand, a static one has neither scale nor zero_point",
    "c4: the axis is below the rank, a block has one entry a dim",
    "c5: the number of scales and zero points is the number of cells of the grid",
    "c6: qmin < qmax, both within the storage type",
};
constexpr std::string_view kDequantizeChecks[] = {
    "c1: input is quantized",
    "c3: a dynamic type has a scale operand, a static one has neither scale nor zero_point",
    "c4: the axis is below the rank, a block has one entry a dim",
    "c5: the number of scales and zero points is the number of cells of the grid",
    "c6: qmin < qmax, both within the storage type",
};
constexpr std::string_view kStorageCastChecks[] = {
    "c1: with a type, input is plain and has its storage type; without one, input is quantized",
    "c4: the axis is below the rank, a block has one entry a dim",
    "c5: the number of scales and zero points is the number of cells of the grid",
    "c6: qmin < qmax, both within the storage type",
};
constexpr std::string_view kChooseChecks[] = {
    "c1: the attribute type is set",
    "c2: input is a plain floating tensor",
    "c4: the axis is below the rank, a block has one entry a dim",
    "c6: qmin < qmax, both within the storage type",
    "c7: the rule is known",
};

// Number of cells along one dim; unknown where the dim is.
Dim cells(DimContext& dims, const QuantType& quant, size_t d, Dim extent) {
  if (quant.per_axis()) return static_cast<size_t>(quant.axis) == d ? extent : Dim(1);
  if (quant.per_tensor() || quant.block[d] == 0) return 1;
  return quant.block[d] == 1 ? extent : dims.ceildiv(extent, quant.block[d]);
}

Status check_range(const Node& node, const QuantType& quant) {
  if (!is_integer(quant.storage)) return {};  // float storage declares no integer range
  if (quant.qmin >= quant.qmax || quant.qmin < int_min(quant.storage) ||
      quant.qmax > int_max(quant.storage)) {
    return failed(
        node, "c6",
        fmt::format("range {}..{} in storage {}", quant.qmin, quant.qmax, dtype_name(quant.storage)));
  }
  return {};
}

// c4, c5, c6 for a tensor of type `type` quantized by `quant`.
Status check_grid(Context& context, const Node& node, const QuantType& quant, const Type& type) {
  ZP_CHECK(check_range(node, quant));
  if (!type.ranked) return {};
  const size_t rank = type.shape.size();
  if (quant.per_axis() && static_cast<size_t>(quant.axis) >= rank) {
    return failed(node, "c4", fmt::format("quantized along axis {} but the rank is {}", quant.axis, rank));
  }
  if (quant.per_block() && quant.block.size() != rank) {
    return failed(node, "c4",
                  fmt::format("a block has {} entries but the rank is {}", quant.block.size(), rank));
  }
  for (size_t d = 0; quant.per_block() && d < rank; ++d) {
    if (quant.block[d] < 0)
      return failed(node, "c4", fmt::format("block extent {} in dim {}", quant.block[d], d));
  }
  Dim count = 1;
  for (size_t d = 0; d < rank; ++d)
    count = context.dims().mul(count, cells(context.dims(), quant, d, type.shape[d]));
  if (quant.dynamic || !count.is_known()) return {};
  for (const Constant* constant : {quant.scales, quant.zero_points}) {
    if (constant != nullptr && constant->elements() != count.value()) {
      return failed(node, "c5",
                    fmt::format("{} cells but {} {}", count.value(), constant->elements(),
                                constant == quant.scales ? "scales" : "zero points"));
    }
  }
  if (!quant.per_tensor() && quant.scales == nullptr) return failed(node, "c5", "the type has no scales");
  return {};
}

Status check_dynamic(const Node& node, const QuantType& quant) {
  const bool has_scale = node.operand(1) != nullptr;
  if (quant.dynamic && !has_scale)
    return failed(node, "c3", "the type is dynamic but there is no scale operand");
  if (!quant.dynamic && (has_scale || node.operand(2) != nullptr)) {
    return failed(node, "c3", "the type is static but there is a scale or zero_point operand");
  }
  return {};
}

Status check_float_input(const Node& node) {
  const Type& input = *operand_type(node, 0);
  if (input.is_quantized() || (input.dtype != DType::Unknown && !is_float(input.dtype))) {
    return failed(node, "c2", fmt::format("input is {}, a plain floating tensor is wanted", input.str()));
  }
  return {};
}

Status infer_quantize(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  const QuantType* quant = node.attrs<QuantizeAttrs>().type;
  if (quant == nullptr) return failed(node, "c1", "the attribute type is missing");
  ZP_CHECK(check_float_input(node));
  ZP_CHECK(check_dynamic(node, *quant));
  const Type& input = *operand_type(node, 0);
  ZP_CHECK(check_grid(context, node, *quant, input));
  node.result()->set_type(context.with_quant(input, *quant));
  return {};
}

Status infer_dequantize(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type& input = *operand_type(node, 0);
  if (!input.is_quantized())
    return failed(node, "c1", fmt::format("input is {}, not quantized", input.str()));
  ZP_CHECK(check_dynamic(node, *input.quant));
  ZP_CHECK(check_grid(context, node, *input.quant, input));
  node.result()->set_type(context.with_element(input, input.quant->expressed));
  return {};
}

Status infer_fake_quantize(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  const QuantType* quant = node.attrs<FakeQuantizeAttrs>().type;
  if (quant == nullptr) return failed(node, "c1", "the attribute type is missing");
  ZP_CHECK(check_float_input(node));
  ZP_CHECK(check_dynamic(node, *quant));
  const Type& input = *operand_type(node, 0);
  ZP_CHECK(check_grid(context, node, *quant, input));
  node.result()->set_type(node.operand(0)->type_ptr());
  return {};
}

Status infer_storage_cast(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  const QuantType* quant = node.attrs<StorageCastAttrs>().type;
  const Type& input = *operand_type(node, 0);
  if (quant == nullptr) {
    if (!input.is_quantized())
      return failed(node, "c1", fmt::format("input is {}, not quantized", input.str()));
    node.result()->set_type(context.with_element(input, input.quant->storage));
    return {};
  }
  if (input.is_quantized() || (input.dtype != DType::Unknown && input.dtype != quant->storage)) {
    return failed(node, "c1",
                  fmt::format("input is {}, plain {} is wanted", input.str(), dtype_name(quant->storage)));
  }
  ZP_CHECK(check_grid(context, node, *quant, input));
  node.result()->set_type(context.with_quant(input, *quant));
  return {};
}

// The shape of chosen parameters, as the sources of the rules give it: one element for whole tensors, the
// input with a last dim of 1 per token, the grid for blocks (whose undivided dims vanish without keepdim).
Result<std::vector<Dim>> qparams_shape(Context& context, const Node& node, const Type& input) {
  const auto& attrs = node.attrs<ChooseQparamsAttrs>();
  std::vector<Dim> shape;
  if (attrs.rule == "minmax" || attrs.rule == "symmetric") return std::vector<Dim>{1};
  if (attrs.rule == "per_token" || attrs.rule == "per_token_asymmetric") {
    if (input.rank() == 0) return failed(node, "c4", "rank 0 has no tokens");
    shape.assign(input.shape.begin(), input.shape.end());
    shape.back() = 1;
    return shape;
  }
  if (!attrs.rule.starts_with("affine_")) return failed(node, "c7", fmt::format("rule \"{}\"", attrs.rule));
  for (size_t d = 0; d < input.shape.size(); ++d) {
    const Dim extent = input.shape[d];
    const Dim count = cells(context.dims(), *attrs.type, d, extent);
    const bool whole = count == Dim(1) && !(extent == Dim(1));
    if (!whole || attrs.keepdim) shape.push_back(count);
  }
  return shape;
}

Status infer_choose_qparams(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& attrs = node.attrs<ChooseQparamsAttrs>();
  if (attrs.type == nullptr) return failed(node, "c1", "the attribute type is missing");
  ZP_CHECK(check_float_input(node));
  const Type& input = *operand_type(node, 0);
  ZP_CHECK(check_grid(context, node, *attrs.type, input));
  if (!input.ranked) {
    ZP_CHECK(set_unranked_result(node, 0, attrs.scale_dtype));
    return set_unranked_result(node, 1, attrs.zero_point_dtype);
  }
  ZP_TRY(const std::vector<Dim> shape, qparams_shape(context, node, input));
  ZP_CHECK(set_result(node, 0, attrs.scale_dtype, shape));
  return set_result(node, 1, attrs.zero_point_dtype, shape);
}

}  // namespace

#define ZP_QUANT(NAME, OPERANDS, RESULTS, ATTRS, CHECKS, DOC) \
  constinit const OpDef NAME = {.name = #NAME,                \
                                .doc = DOC,                   \
                                .operands = OPERANDS,         \
                                .results = RESULTS,           \
                                .attrs = &attrs_of<ATTRS>,    \
                                .trait = Trait::Quantizer,    \
                                .infer = infer_##NAME,        \
                                .eval = eval_##NAME,          \
                                .checks = CHECKS}
ZP_QUANT(quantize, kQuantOperands, kOneResult, QuantizeAttrs, kQuantizeChecks,
         "Real to integer: q = clamp(rne(x * (1 / scale)) + zero_point, qmin, qmax); NaN gives 0.");
ZP_QUANT(dequantize, kQuantOperands, kOneResult, NoAttrs, kDequantizeChecks,
         "Integer to real: x = (q - zero_point) * scale.");
ZP_QUANT(fake_quantize, kQuantOperands, kOneResult, FakeQuantizeAttrs, kQuantizeChecks,
         "Quantize and dequantize in one step, in real numbers; NaN goes to qmin.");
ZP_QUANT(choose_qparams, kOneOperand, kQparamResults, ChooseQparamsAttrs, kChooseChecks,
         "Scale and zero point from the range of the data, by the named rule.");
ZP_QUANT(storage_cast, kOneOperand, kOneResult, StorageCastAttrs, kStorageCastChecks,
         "Plain integers seen as quantized, or back; no byte changes.");
#undef ZP_QUANT

}  // namespace zp::ops
