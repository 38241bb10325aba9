// Matrix products: cards and inference of linear, matmul (mm, bmm, mv, @), addmm, baddbmm and int_mm.
#include "ops/ops.h"

#include <fmt/format.h>

#include "ops/conv.h"
#include "ops/conv_eval.h"
#include "ops/conv_infer.h"

namespace zp::ops {
namespace {

constexpr OperandDef kLinearOperands[] = {
    {"input", Role::Data}, {"weight", Role::Weight}, {"bias", Role::Bias, true}};
constexpr OperandDef kMatmulOperands[] = {{"input", Role::Data}, {"other", Role::Weight}};
constexpr OperandDef kAddmmOperands[] = {
    {"bias", Role::Bias}, {"input", Role::Data}, {"other", Role::Weight}};

constexpr std::string_view kLinearChecks[] = {
    "c1: weight has rank 2, or 1 for a single output without its dim",
    "c2: the last dim of input is the last dim of weight",
    "c3: a weight quantized along its output channel has one scale for each channel",
    "c4: bias has one entry an output channel",
    "c5: input, weight and bias stand for one type",
};
constexpr std::string_view kMatmulChecks[] = {
    "c1: both operands have at least rank 1",
    "c2: the inner dims agree",
    "c3: the batch dims broadcast",
    "c4: both operands stand for one type",
};
constexpr std::string_view kAddmmChecks[] = {
    "c1: both factors have rank 2 (baddbmm: 3)",
    "c2: the inner dims agree",
    "c3: the batch dims agree",
    "c4: the operands stand for one type",
    "c5: bias broadcasts to the product",
};
constexpr std::string_view kIntMmChecks[] = {
    "c1: both operands have rank 2",
    "c2: the inner dims agree",
    "c4: both operands are plain i8 or u8",
};

Status check_same_dtype(const Node& node, size_t data, std::string_view check) {
  const DType wanted = operand_type(node, data)->real_dtype();
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Type* type = operand_type(node, i);
    if (type == nullptr || type->real_dtype() == DType::Unknown || wanted == DType::Unknown) continue;
    if (type->real_dtype() != wanted) {
      return failed(
          node, check,
          fmt::format("{} stands for {} but {} for {}", node.op().operands[i].name,
                      dtype_name(type->real_dtype()), node.op().operands[data].name, dtype_name(wanted)));
    }
  }
  if (wanted == DType::Bool) return failed(node, check, "operands are bool, numbers are wanted");
  return {};
}

Status infer_linear(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  ZP_CHECK(check_same_dtype(node, 0, "c5"));
  const Type& input = *operand_type(node, 0);
  const Type& weight = *operand_type(node, 1);
  const DType dtype = input.real_dtype();
  if (weight.ranked && weight.rank() != 2 && weight.rank() != 1) {
    return failed(node, "c1", fmt::format("weight has rank {}, 2 is wanted", weight.rank()));
  }
  if (input.ranked && input.rank() == 0) return failed(node, "c2", "input has rank 0");
  if (input.ranked && weight.ranked && !may_be_equal(input.shape.back(), weight.shape.back())) {
    return failed(node, "c2",
                  fmt::format("input has {} features but the weight takes {}", input.shape.back().str(),
                              weight.shape.back().str()));
  }
  if (weight.ranked && weight.is_quantized() && weight.quant->axis == 0 && weight.rank() == 2) {
    const int64_t scales = scale_count(*weight.quant);
    if (scales >= 0 && weight.shape[0].is_known() && weight.shape[0].value() != scales) {
      return failed(
          node, "c3",
          fmt::format("weight has {} output channels but {} scales", weight.shape[0].value(), scales));
    }
  }
  if (const Type* bias = operand_type(node, 2); bias != nullptr && bias->ranked && weight.ranked) {
    const Dim channels = weight.rank() == 2 ? weight.shape[0] : Dim(1);
    const Dim entries = bias->rank() == 0 ? Dim(1) : bias->shape[0];
    if (bias->rank() > 1 || !may_be_equal(entries, channels)) {
      return failed(
          node, "c4",
          fmt::format("bias is {} for {} output channels", shape_text(bias->shape), channels.str()));
    }
  }
  if (!input.ranked || !weight.ranked) { return set_unranked_result(node, 0, dtype); }
  std::vector<Dim> out(input.shape.begin(), input.shape.end() - 1);
  if (weight.rank() == 2) out.push_back(weight.shape[0]);
  return set_result(node, 0, dtype, out);
}

// The product's shape by the rules of matmul: a vector is a row on the left and a column on the right,
// leading dims broadcast.
Result<std::vector<Dim>> product_shape(const Node& node, std::span<const Dim> a, std::span<const Dim> b) {
  if (a.empty() || b.empty()) return failed(node, "c1", "an operand has rank 0");
  const Dim inner_b = b.size() == 1 ? b[0] : b[b.size() - 2];
  if (!may_be_equal(a.back(), inner_b)) {
    return failed(node, "c2",
                  fmt::format("inner dims {} and {} differ ({} @ {})", a.back().str(), inner_b.str(),
                              shape_text(a), shape_text(b)));
  }
  const auto lead_a = a.size() > 2 ? a.first(a.size() - 2) : std::span<const Dim>();
  const auto lead_b = b.size() > 2 ? b.first(b.size() - 2) : std::span<const Dim>();
  const Shape leads[] = {Shape(lead_a.data(), lead_a.size()), Shape(lead_b.data(), lead_b.size())};
  ZP_TRY(std::vector<Dim> out, broadcast_shapes(node, "c3", leads));
  if (a.size() > 1) out.push_back(a[a.size() - 2]);
  if (b.size() > 1) out.push_back(b.back());
  return out;
}

Status infer_matmul(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  ZP_CHECK(check_same_dtype(node, 0, "c4"));
  const Type& a = *operand_type(node, 0);
  const Type& b = *operand_type(node, 1);
  if (!a.ranked || !b.ranked) { return set_unranked_result(node, 0, a.real_dtype()); }
  ZP_TRY(const std::vector<Dim> out, product_shape(node, a.shape, b.shape));
  return set_result(node, 0, a.real_dtype(), out);
}

Status infer_addmm_rank(Node& node, int rank) {
  ZP_CHECK(check_operands(node));
  ZP_CHECK(check_same_dtype(node, 1, "c4"));
  const Type& bias = *operand_type(node, 0);
  const Type& a = *operand_type(node, 1);
  const Type& b = *operand_type(node, 2);
  for (const Type* factor : {&a, &b}) {
    if (factor->ranked && factor->rank() != rank) {
      return failed(node, "c1", fmt::format("a factor has rank {}, {} is wanted", factor->rank(), rank));
    }
  }
  if (!a.ranked || !b.ranked) { return set_unranked_result(node, 0, a.real_dtype()); }
  if (rank == 3 && !may_be_equal(a.shape[0], b.shape[0])) {
    return failed(node, "c3", fmt::format("batch dims {} and {} differ", a.shape[0].str(), b.shape[0].str()));
  }
  ZP_TRY(std::vector<Dim> out, product_shape(node, a.shape, b.shape));
  if (rank == 3) out[0] = more_precise(a.shape[0], b.shape[0]);
  if (bias.ranked) {
    bool fits = bias.shape.size() <= out.size();
    for (size_t i = 0; fits && i < bias.shape.size(); ++i) {
      const Dim entry = bias.shape[bias.shape.size() - 1 - i];
      fits = entry == Dim(1) || may_be_equal(entry, out[out.size() - 1 - i]);
    }
    if (!fits) {
      return failed(node, "c5",
                    fmt::format("bias {} does not broadcast to {}", shape_text(bias.shape), shape_text(out)));
    }
  }
  return set_result(node, 0, a.real_dtype(), out);
}

template <int Rank>
Status infer_addmm(Context&, Node& node) {
  return infer_addmm_rank(node, Rank);
}

Status infer_int_mm(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type& a = *operand_type(node, 0);
  const Type& b = *operand_type(node, 1);
  for (const Type* factor : {&a, &b}) {
    if (factor->is_quantized() || (factor->dtype != DType::I8 && factor->dtype != DType::U8)) {
      return failed(node, "c4", fmt::format("an operand is {}, plain i8 or u8 is wanted", factor->str()));
    }
    if (factor->ranked && factor->rank() != 2) {
      return failed(node, "c1", fmt::format("an operand has rank {}, 2 is wanted", factor->rank()));
    }
  }
  if (!a.ranked || !b.ranked) { return set_unranked_result(node, 0, DType::I32); }
  ZP_TRY(const std::vector<Dim> out, product_shape(node, a.shape, b.shape));
  return set_result(node, 0, DType::I32, out);
}

}  // namespace

#define ZP_AFFINE(NAME, OPERANDS, ATTRS, INFER, EVAL, CHECKS, DOC) \
  constinit const OpDef NAME = {.name = #NAME,                     \
                                .doc = DOC,                        \
                                .operands = OPERANDS,              \
                                .results = kOneResult,             \
                                .attrs = &attrs_of<ATTRS>,         \
                                .trait = Trait::Affine,            \
                                .flags = kIntegerForm,             \
                                .infer = INFER,                    \
                                .eval = EVAL,                      \
                                .checks = CHECKS}
ZP_AFFINE(linear, kLinearOperands, LinearAttrs, infer_linear, eval_linear, kLinearChecks,
          "y = x @ w^T + b with w of shape [out, in]; any leading dims of x.");
ZP_AFFINE(matmul, kMatmulOperands, LinearAttrs, infer_matmul, eval_matmul, kMatmulChecks,
          "Product of matrices, batches of matrices (leading dims broadcast) or vectors.");
ZP_AFFINE(addmm, kAddmmOperands, AddmmAttrs, infer_addmm<2>, eval_addmm, kAddmmChecks,
          "beta * bias + alpha * (a @ b) of matrices; beta 0 ignores the bias's values.");
ZP_AFFINE(baddbmm, kAddmmOperands, AddmmAttrs, infer_addmm<3>, eval_addmm, kAddmmChecks,
          "beta * bias + alpha * (a @ b) for batches of matrices, as addmm.");
#undef ZP_AFFINE
constinit const OpDef int_mm = {
    .name = "int_mm",
    .doc = "Product of plain 8-bit integer matrices with an i32 result, no zero points.",
    .operands = kMatmulOperands,
    .results = kOneResult,
    .trait = Trait::Never,
    .infer = infer_int_mm,
    .eval = eval_int_mm,
    .checks = kIntMmChecks};

}  // namespace zp::ops
