// Cards and inference of ops that make tensors from numbers, and of casts.
#include "ops/create.h"

#include <fmt/format.h>

#include <cmath>

#include "ops/create_eval.h"
#include "ops/infer_util.h"
#include "ops/ops.h"

namespace zp::ops {

namespace {

DType dtype_of(const Number& number) {
  switch (number.kind) {
    case Number::Bool: return DType::Bool;
    case Number::Int: return DType::I64;
    case Number::Float: break;
  }
  return DType::F32;
}

Status check_size(const Node& node, std::span<const Dim> size) {
  for (size_t d = 0; d < size.size(); ++d) {
    if (size[d].is_known() && size[d].value() < 0)
      return failed(node, "c1", fmt::format("size {} of dim {} is negative", size[d].value(), d));
  }
  return {};
}

Status check_dtype(const Node& node, DType dtype) {
  if (dtype == DType::Unknown) return failed(node, "c2", "the element type is unknown");
  return {};
}

// Number of elements of start, start + step, ... before end. Symbolic when one of them is.
Result<Dim> arange_count(const Node& node, const ArangeAttrs& a, DimContext& dims) {
  const bool floats =
      a.start.kind == Number::Float || a.end.kind == Number::Float || a.step.kind == Number::Float;
  if (a.start_dim || a.end_dim || a.step_dim) {
    if (floats) return Dim::unknown();
    const Dim start = a.start_dim.value_or(Dim(a.start.i)), end = a.end_dim.value_or(Dim(a.end.i));
    const Dim step = a.step_dim.value_or(Dim(a.step.i));
    if (step.is_known() && step.value() == 0) return failed(node, "c1", "step is 0");
    Dim count = step.is_known() && step.value() < 0 ? dims.ceildiv(dims.sub(start, end), Dim(-step.value()))
                                                    : dims.ceildiv(dims.sub(end, start), step);
    if (dims.lower_bound(count) < 0) count = dims.max(count, Dim(0));
    return count;
  }
  ZP_TRY(const int64_t count, arange_size(node, a.start, a.end, a.step));
  return Dim(count);
}

}  // namespace

Result<int64_t> arange_size(const Node& node, const Number& start, const Number& end, const Number& step) {
  const bool floats = start.kind == Number::Float || end.kind == Number::Float || step.kind == Number::Float;
  const double from = start.as_double(), to = end.as_double(), by = step.as_double();
  if (by == 0 || !std::isfinite(from) || !std::isfinite(to) || by != by) {
    return failed(node, "c1", fmt::format("from {} to {} in steps of {}", from, to, by));
  }
  if ((by > 0) ? to < from : to > from)
    return failed(node, "c1",
                  fmt::format("from {} to {} in steps of {}: the sign of the step is wrong", from, to, by));
  if (!floats) {
    const auto distance = static_cast<__int128>(end.i) - start.i;
    const __int128 count = (distance + step.i - (step.i > 0 ? 1 : -1)) / step.i;
    if (count > (int64_t{1} << 62)) return failed(node, "c1", "too many elements");
    return static_cast<int64_t>(count);
  }
  const double count = std::ceil((to - from) / by);
  if (!(count < 9e15)) return failed(node, "c1", fmt::format("{} elements", count));
  return static_cast<int64_t>(count);
}

DType arange_dtype(const ArangeAttrs& a) {
  if (a.dtype) return *a.dtype;
  for (const auto& [number, dim] :
       {std::pair(a.start, a.start_dim), std::pair(a.end, a.end_dim), std::pair(a.step, a.step_dim)}) {
    if (!dim && number.kind == Number::Float) return DType::F32;
  }
  return DType::I64;
}

namespace {

Status infer_arange(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& a = node.attrs<ArangeAttrs>();
  ZP_TRY(const Dim count, arange_count(node, a, context.dims()));
  ZP_CHECK(check_dtype(node, arange_dtype(a)));
  return set_result(node, 0, arange_dtype(a), {count});
}

template <typename Attrs>
Status infer_steps(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& a = node.attrs<Attrs>();
  const Dim size[] = {a.steps};
  ZP_CHECK(check_size(node, size));
  ZP_CHECK(check_dtype(node, a.dtype.value_or(DType::F32)));
  return set_result(node, 0, a.dtype.value_or(DType::F32), size);
}

// Full and its special cases: the type is that given, or the operand's, or `otherwise`.
Status set_filled(Node& node, List<Dim> size, std::optional<DType> dtype, DType otherwise) {
  ZP_CHECK(check_operands(node));
  ZP_CHECK(check_size(node, size));
  const Value* like = node.operand(0);
  const DType d = dtype ? *dtype : like != nullptr ? like->type().real_dtype() : otherwise;
  ZP_CHECK(check_dtype(node, d));
  return set_result(node, 0, d, size);
}

Status infer_full(Context&, Node& node) {
  const auto& a = node.attrs<FullAttrs>();
  return set_filled(node, a.size, a.dtype, a.fill_value_dim ? DType::I64 : dtype_of(a.fill_value));
}

Status infer_sized(Context&, Node& node) {
  const auto& a = node.attrs<SizeAttrs>();
  return set_filled(node, a.size, a.dtype, DType::F32);
}

Status set_like(Node& node, std::optional<DType> dtype) {
  ZP_CHECK(check_operands(node));
  const Type& like = node.operand(0)->type();
  const DType d = dtype.value_or(like.real_dtype());
  ZP_CHECK(check_dtype(node, d));
  return set_result_like(node, 0, d, like);
}

Status infer_full_like(Context&, Node& node) { return set_like(node, node.attrs<FullLikeAttrs>().dtype); }
Status infer_like(Context&, Node& node) { return set_like(node, node.attrs<LikeAttrs>().dtype); }
Status infer_cast(Context&, Node& node) { return set_like(node, node.attrs<CastAttrs>().dtype); }

Status infer_scalar_tensor(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const DType d = node.attrs<ScalarTensorAttrs>().dtype.value_or(DType::F32);
  ZP_CHECK(check_dtype(node, d));
  return set_result(node, 0, d, {});
}

Status infer_eye(Context&, Node& node) {
  const auto& a = node.attrs<EyeAttrs>();
  const Dim size[] = {a.n, a.m.value_or(a.n)};
  return set_filled(node, size, a.dtype, DType::F32);
}

constexpr std::string_view kChecks[] = {"c1: sizes are not negative", "c2: the element type is known"};
constexpr std::string_view kArangeChecks[] = {"c1: the step leads from start to end, numbers are finite",
                                              "c2: the element type is known"};
constexpr std::string_view kTypeChecks[] = {"c2: the element type is known"};
constexpr OperandDef kLikeOperand[] = {{"self", Role::Shape}};

}  // namespace

#define ZP_CREATE(NAME, ATTRS, OPERANDS, INFER, CHECKS, DOC) \
  constinit const OpDef NAME = {.name = #NAME,               \
                                .doc = DOC,                  \
                                .operands = OPERANDS,        \
                                .results = kOneResult,       \
                                .attrs = &attrs_of<ATTRS>,   \
                                .trait = Trait::Never,       \
                                .infer = INFER,              \
                                .eval = ZP_EVAL(NAME),       \
                                .checks = CHECKS}
#define ZP_NO_OPERANDS List<OperandDef>()

ZP_CREATE(arange, ArangeAttrs, ZP_NO_OPERANDS, infer_arange, kArangeChecks,
          "start, start + step, ... before end; in f64 for float types");
ZP_CREATE(linspace, LinspaceAttrs, ZP_NO_OPERANDS, infer_steps<LinspaceAttrs>, kChecks,
          "`steps` numbers from start to end, both included, evenly spaced");
ZP_CREATE(logspace, LogspaceAttrs, ZP_NO_OPERANDS, infer_steps<LogspaceAttrs>, kChecks,
          "base ^ linspace(start, end, steps)");
ZP_CREATE(full, FullAttrs, ZP_NO_OPERANDS, infer_full, kChecks,
          "A tensor of that size, all elements fill_value");
ZP_CREATE(zeros, SizeAttrs, ZP_NO_OPERANDS, infer_sized, kChecks, "A tensor of that size, all elements 0");
ZP_CREATE(ones, SizeAttrs, ZP_NO_OPERANDS, infer_sized, kChecks, "A tensor of that size, all elements 1");
ZP_CREATE(empty, SizeAttrs, ZP_NO_OPERANDS, infer_sized, kChecks,
          "A tensor of that size; its elements, undefined at the source, are 0");
ZP_CREATE(full_like, FullLikeAttrs, kLikeOperand, infer_full_like, kTypeChecks,
          "A tensor of the operand's size, all elements fill_value");
ZP_CREATE(zeros_like, LikeAttrs, kLikeOperand, infer_like, kTypeChecks,
          "A tensor of the operand's size, all elements 0");
ZP_CREATE(ones_like, LikeAttrs, kLikeOperand, infer_like, kTypeChecks,
          "A tensor of the operand's size, all elements 1");
ZP_CREATE(empty_like, LikeAttrs, kLikeOperand, infer_like, kTypeChecks,
          "A tensor of the operand's size; its elements, undefined at the source, are 0");
ZP_CREATE(new_full, FullAttrs, kLikeOperand, infer_full, kChecks,
          "A tensor of that size and the operand's type, all elements fill_value");
ZP_CREATE(new_zeros, SizeAttrs, kLikeOperand, infer_sized, kChecks,
          "A tensor of that size and the operand's type, all elements 0");
ZP_CREATE(new_ones, SizeAttrs, kLikeOperand, infer_sized, kChecks,
          "A tensor of that size and the operand's type, all elements 1");
ZP_CREATE(new_empty, SizeAttrs, kLikeOperand, infer_sized, kChecks,
          "A tensor of that size and the operand's type; undefined elements are 0");
ZP_CREATE(scalar_tensor, ScalarTensorAttrs, ZP_NO_OPERANDS, infer_scalar_tensor, kTypeChecks,
          "A 0-d tensor of the number s, f32 unless dtype says otherwise");
ZP_CREATE(eye, EyeAttrs, ZP_NO_OPERANDS, infer_eye, kChecks,
          "An n x m matrix (m is n if absent) of 1 on the diagonal, else 0");

constinit const OpDef cast = {.name = "cast",
                              .doc =
                                  "The same numbers as dtype: floats round to nearest even; floats to "
                                  "integers truncate, and wrap or become 0 beyond the range",
                              .operands = kSelfOperand,
                              .results = kOneResult,
                              .attrs = &attrs_of<CastAttrs>,
                              .trait = Trait::Never,
                              .flags = kPointwise,
                              .infer = infer_cast,
                              .eval = ZP_EVAL(cast),
                              .checks = kTypeChecks};

}  // namespace zp::ops
