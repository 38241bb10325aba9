// Cards and inference of reductions, scans and searches.
#include "ops/reduce.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/infer_util.h"
#include "ops/ops.h"
#include "ops/promote.h"
#include "ops/reduce_eval.h"

namespace zp::ops {

Result<std::vector<int64_t>> reduced_dims(const Node& node, List<int64_t> dims, int64_t rank) {
  std::vector<int64_t> out;
  if (dims.empty()) {
    for (int64_t d = 0; d < rank; ++d) out.push_back(d);
    return out;
  }
  for (const int64_t given : dims) {
    ZP_TRY(const int64_t d, normalize_dim(node, "c1", given, rank));
    if (std::find(out.begin(), out.end(), d) != out.end())
      return failed(node, "c1", fmt::format("dim {} is listed twice", d));
    out.push_back(d);
  }
  std::sort(out.begin(), out.end());
  if (rank == 0) out.clear();
  return out;
}

namespace {

DType summed(DType d) { return d == DType::Bool || is_integer(d) ? DType::I64 : d; }

std::string name_of(DType d) { return std::string(dtype_name(d)); }

Status set_reduced(Node& node, size_t index, DType dtype, List<int64_t> dims, bool keepdim) {
  const Type& x = node.operand(0)->type();
  if (!x.ranked) return set_unranked_result(node, index, dtype);
  ZP_TRY(const std::vector<int64_t> reduced, reduced_dims(node, dims, x.rank()));
  std::vector<Dim> shape;
  for (int64_t d = 0; d < x.rank(); ++d) {
    if (!std::binary_search(reduced.begin(), reduced.end(), d)) {
      shape.push_back(x.shape[static_cast<size_t>(d)]);
    } else if (keepdim) {
      shape.push_back(Dim(1));
    }
  }
  return set_result(node, index, dtype, shape);
}

Status infer_sum(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& a = node.attrs<SumAttrs>();
  return set_reduced(node, 0, a.dtype.value_or(summed(node.operand(0)->type().real_dtype())), a.dims,
                     a.keepdim);
}

Status infer_mean(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& a = node.attrs<SumAttrs>();
  const DType dtype = a.dtype.value_or(node.operand(0)->type().real_dtype());
  if (!is_float(dtype) && !is_complex(dtype))
    return failed(node, "c2", fmt::format("elements are {}, a float type is needed", name_of(dtype)));
  return set_reduced(node, 0, dtype, a.dims, a.keepdim);
}

Status infer_extremum(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const DType d = node.operand(0)->type().real_dtype();
  if (is_complex(d))
    return failed(node, "c2", fmt::format("elements are {}, which have no order", name_of(d)));
  const auto& a = node.attrs<ReduceAttrs>();
  return set_reduced(node, 0, d, a.dims, a.keepdim);
}

Status infer_any(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& a = node.attrs<ReduceAttrs>();
  const DType d = node.operand(0)->type().real_dtype();
  return set_reduced(node, 0, d == DType::U8 ? DType::U8 : DType::Bool, a.dims, a.keepdim);
}

Status infer_count(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& a = node.attrs<ReduceAttrs>();
  return set_reduced(node, 0, DType::I64, a.dims, a.keepdim);
}

Status infer_logsumexp(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& a = node.attrs<ReduceAttrs>();
  const DType d = node.operand(0)->type().real_dtype();
  return set_reduced(node, 0, is_float(d) ? d : DType::F32, a.dims, a.keepdim);
}

Status infer_var(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& a = node.attrs<VarAttrs>();
  const DType d = node.operand(0)->type().real_dtype();
  if (!is_float(d))
    return failed(node, "c2", fmt::format("elements are {}, a float type is needed", name_of(d)));
  for (size_t i = 0; i < std::max<size_t>(node.result_count(), 1); ++i)
    ZP_CHECK(set_reduced(node, i, d, a.dims, a.keepdim));
  return {};
}

Status infer_norm(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& a = node.attrs<VectorNormAttrs>();
  const DType d = a.dtype.value_or(node.operand(0)->type().real_dtype());
  if (!is_float(d))
    return failed(node, "c2", fmt::format("elements are {}, a float type is needed", name_of(d)));
  return set_reduced(node, 0, d, a.dims, a.keepdim);
}

// Values and indices along one dim.
Status set_dim_reduced(Node& node, int64_t dim, bool keepdim) {
  ZP_CHECK(check_operands(node));
  const DType d = node.operand(0)->type().real_dtype();
  if (is_complex(d))
    return failed(node, "c2", fmt::format("elements are {}, which have no order", name_of(d)));
  const int64_t dims[] = {dim};
  ZP_CHECK(set_reduced(node, 0, d, dims, keepdim));
  for (size_t i = 1; i < node.result_count(); ++i) ZP_CHECK(set_reduced(node, i, DType::I64, dims, keepdim));
  return {};
}

Status infer_dim_reduce(Context&, Node& node) {
  const auto& a = node.attrs<DimReduceAttrs>();
  return set_dim_reduced(node, a.dim, a.keepdim);
}

Status infer_kthvalue(Context&, Node& node) {
  const auto& a = node.attrs<KthValueAttrs>();
  return set_dim_reduced(node, a.dim, a.keepdim);
}

Status infer_aminmax(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& a = node.attrs<AminmaxAttrs>();
  const DType d = node.operand(0)->type().real_dtype();
  if (is_complex(d))
    return failed(node, "c2", fmt::format("elements are {}, which have no order", name_of(d)));
  const int64_t dims[] = {a.dim.value_or(0)};
  const List<int64_t> list = a.dim ? List<int64_t>(dims) : List<int64_t>();
  for (size_t i = 0; i < 2; ++i) ZP_CHECK(set_reduced(node, i, d, list, a.keepdim));
  return {};
}

Status infer_arg(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& a = node.attrs<ArgReduceAttrs>();
  const DType d = node.operand(0)->type().real_dtype();
  if (is_complex(d) || d == DType::Bool)
    return failed(node, "c2", fmt::format("elements are {}, which have no order", name_of(d)));
  const int64_t dims[] = {a.dim.value_or(0)};
  return set_reduced(node, 0, DType::I64, a.dim ? List<int64_t>(dims) : List<int64_t>(), a.keepdim);
}

Status check_dim(const Node& node, int64_t dim) {
  const Type& x = node.operand(0)->type();
  if (!x.ranked) return {};
  ZP_TRY(const int64_t d, normalize_dim(node, "c1", dim, x.rank()));
  static_cast<void>(d);
  return {};
}

Status infer_scan(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& a = node.attrs<ScanAttrs>();
  ZP_CHECK(check_dim(node, a.dim));
  const Type& x = node.operand(0)->type();
  return set_result_like(node, 0, a.dtype.value_or(summed(x.real_dtype())), x);
}

Status infer_logcumsumexp(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  ZP_CHECK(check_dim(node, node.attrs<DimAttrs>().dim));
  const Type& x = node.operand(0)->type();
  if (!is_float(x.real_dtype()))
    return failed(node, "c2",
                  fmt::format("elements are {}, a float type is needed", name_of(x.real_dtype())));
  return set_result_like(node, 0, x.real_dtype(), x);
}

Status infer_cumulative_extremum(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  ZP_CHECK(check_dim(node, node.attrs<DimAttrs>().dim));
  const Type& x = node.operand(0)->type();
  ZP_CHECK(set_result_like(node, 0, x.real_dtype(), x));
  return set_result_like(node, 1, DType::I64, x);
}

Status infer_topk(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& a = node.attrs<TopkAttrs>();
  const Type& x = node.operand(0)->type();
  if (!x.ranked) {
    ZP_CHECK(set_unranked_result(node, 0, x.real_dtype()));
    return set_unranked_result(node, 1, DType::I64);
  }
  ZP_TRY(const int64_t dim, normalize_dim(node, "c1", a.dim, x.rank()));
  std::vector<Dim> shape = x.shape.vec();
  const Dim extent = shape.empty() ? Dim(1) : shape[static_cast<size_t>(dim)];
  if (a.k.is_known() && (a.k.value() < 0 || (extent.is_known() && a.k.value() > extent.value()))) {
    return failed(node, "c2", fmt::format("k is {}, dim {} has {} elements", a.k.value(), dim, extent.str()));
  }
  if (!shape.empty()) shape[static_cast<size_t>(dim)] = a.k;
  ZP_CHECK(set_result(node, 0, x.real_dtype(), shape));
  return set_result(node, 1, DType::I64, shape);
}

Status infer_sort(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  ZP_CHECK(check_dim(node, node.attrs<SortAttrs>().dim));
  const Type& x = node.operand(0)->type();
  ZP_CHECK(set_result_like(node, 0, x.real_dtype(), x));
  return set_result_like(node, 1, DType::I64, x);
}

Status infer_argsort(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  ZP_CHECK(check_dim(node, node.attrs<SortAttrs>().dim));
  return set_result_like(node, 0, DType::I64, node.operand(0)->type());
}

// The extent along dim grows by prepend and append and shrinks by one each time.
Status infer_diff(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& a = node.attrs<DiffAttrs>();
  const Type& x = node.operand(0)->type();
  std::vector<Value*> values;
  for (size_t i = 0; i < node.operand_count(); ++i) values.push_back(node.operand(i));
  const auto dtype = promote(values);
  if (!dtype) return failed(node, "c2", "the element types of the operands have no common type");
  if (any_unranked(node)) return set_unranked_result(node, 0, *dtype);
  if (x.rank() == 0) return failed(node, "c1", "the tensor has no dims");
  if (a.n < 0) return failed(node, "c3", fmt::format("n is {}", a.n));
  ZP_TRY(const int64_t dim, normalize_dim(node, "c1", a.dim, x.rank()));
  std::vector<Dim> shape = x.shape.vec();
  Dim& extent = shape[static_cast<size_t>(dim)];
  if (a.n == 0) return set_result(node, 0, *dtype, shape);
  for (size_t i = 1; i < node.operand_count(); ++i) {
    if (node.operand(i) == nullptr) continue;
    const Shape& more = node.operand(i)->type().shape;
    if (more.size() != shape.size())
      return failed(
          node, "c2",
          fmt::format("{} has rank {}, the input {}", node.op().operands[i].name, more.size(), shape.size()));
    extent = context.dims().add(extent, more[static_cast<size_t>(dim)]);
  }
  extent = context.dims().max(context.dims().sub(extent, Dim(a.n)), Dim(0));
  return set_result(node, 0, *dtype, shape);
}

Status infer_bucketize(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type& bounds = node.operand(1)->type();
  if (bounds.ranked && bounds.rank() != 1)
    return failed(node, "c1", fmt::format("boundaries have rank {}, 1 is needed", bounds.rank()));
  return set_result_like(node, 0, node.attrs<BucketizeAttrs>().out_int32 ? DType::I32 : DType::I64,
                         node.operand(0)->type());
}

constexpr OperandDef kBucketize[] = {{"self"}, {"boundaries"}};
constexpr std::string_view kBucketizeChecks[] = {"c1: boundaries have rank 1"};
constexpr OperandDef kDiff[] = {{"self"}, {"prepend", Role::Data, true}, {"append", Role::Data, true}};
constexpr std::string_view kValuesIndices[] = {"values", "indices"};
constexpr std::string_view kVarMean[] = {"var", "mean"};
constexpr std::string_view kStdMean[] = {"std", "mean"};
constexpr std::string_view kMinMax[] = {"min", "max"};
constexpr std::string_view kDimsChecks[] = {"c1: dims are dims of the tensor, each once"};
constexpr std::string_view kFloatChecks[] = {"c1: dims are dims of the tensor, each once",
                                             "c2: elements are a float type"};
constexpr std::string_view kOrderChecks[] = {"c1: dims are dims of the tensor, each once",
                                             "c2: elements have an order",
                                             "c3: the reduced dims are not empty"};
constexpr std::string_view kTopkChecks[] = {"c1: dim is a dim of the tensor",
                                            "c2: k is 0 to the extent of the dim"};
constexpr std::string_view kDiffChecks[] = {"c1: dim is a dim of the tensor",
                                            "c2: prepend and append fit the input", "c3: n is not negative"};

}  // namespace

#define ZP_REDUCE(NAME, ATTRS, OPERANDS, RESULTS, INFER, TRAIT, FLAGS, CHECKS, DOC) \
  constinit const OpDef NAME = {.name = #NAME,                                      \
                                .doc = DOC,                                         \
                                .operands = OPERANDS,                               \
                                .results = RESULTS,                                 \
                                .attrs = &attrs_of<ATTRS>,                          \
                                .trait = Trait::TRAIT,                              \
                                .flags = FLAGS,                                     \
                                .infer = INFER,                                     \
                                .eval = ZP_EVAL(NAME),                              \
                                .checks = CHECKS}
#define ZP_REDUCE1(NAME, ATTRS, INFER, TRAIT, FLAGS, CHECKS, DOC) \
  ZP_REDUCE(NAME, ATTRS, kSelfOperand, kOneResult, INFER, TRAIT, FLAGS, CHECKS, DOC)

ZP_REDUCE1(sum, SumAttrs, infer_sum, Rescales, kIntegerForm, kDimsChecks,
           "Sum over dims (all if empty); integers and bools sum as i64");
ZP_REDUCE1(mean, SumAttrs, infer_mean, Rescales, kIntegerForm, kFloatChecks,
           "Sum over dims (all if empty) divided by the number of elements");
ZP_REDUCE1(prod, SumAttrs, infer_sum, FloatOnly, 0, kDimsChecks,
           "Product over dims (all if empty); integers and bools as i64");
ZP_REDUCE1(nansum, SumAttrs, infer_sum, FloatOnly, 0, kDimsChecks,
           "Sum over dims (all if empty) of the elements that are not NaN");
ZP_REDUCE1(amax, ReduceAttrs, infer_extremum, SharesQparams, kMonotone | kIntegerForm, kOrderChecks,
           "Largest element over dims (all if empty); NaN if there is one");
ZP_REDUCE1(amin, ReduceAttrs, infer_extremum, SharesQparams, kMonotone | kIntegerForm, kOrderChecks,
           "Smallest element over dims (all if empty); NaN if there is one");
ZP_REDUCE1(any, ReduceAttrs, infer_any, Never, 0, kDimsChecks,
           "True if an element over dims (all if empty) is not 0");
ZP_REDUCE1(all, ReduceAttrs, infer_any, Never, 0, kDimsChecks,
           "True if no element over dims (all if empty) is 0");
ZP_REDUCE1(count_nonzero, ReduceAttrs, infer_count, Never, 0, kDimsChecks,
           "Number of elements over dims (all if empty) that are not 0");
ZP_REDUCE1(logsumexp, ReduceAttrs, infer_logsumexp, FloatOnly, 0, kDimsChecks,
           "m + log(sum(exp(x - m))) over dims, m the largest x (0 if infinite)");
ZP_REDUCE1(var, VarAttrs, infer_var, FloatOnly, 0, kFloatChecks,
           "sum((x - mean)^2) / max(n - correction, 0) over dims (all if empty)");
ZP_REDUCE1(std, VarAttrs, infer_var, FloatOnly, 0, kFloatChecks, "Square root of var");
ZP_REDUCE(var_mean, VarAttrs, kSelfOperand, kVarMean, infer_var, FloatOnly, 0, kFloatChecks, "var and mean");
ZP_REDUCE(std_mean, VarAttrs, kSelfOperand, kStdMean, infer_var, FloatOnly, 0, kFloatChecks, "std and mean");
ZP_REDUCE1(linalg_vector_norm, VectorNormAttrs, infer_norm, FloatOnly, 0, kFloatChecks,
           "sum(|x|^ord)^(1/ord) over dims (all if empty); ord inf: largest |x|, -inf: smallest, 0: number "
           "of x that are not 0");
ZP_REDUCE(max, DimReduceAttrs, kSelfOperand, kValuesIndices, infer_dim_reduce, SharesQparams, 0, kOrderChecks,
          "Largest element along dim and its index (the first of equals, the first NaN)");
ZP_REDUCE(min, DimReduceAttrs, kSelfOperand, kValuesIndices, infer_dim_reduce, SharesQparams, 0, kOrderChecks,
          "Smallest element along dim and its index (the first of equals, the first NaN)");
ZP_REDUCE(median, DimReduceAttrs, kSelfOperand, kValuesIndices, infer_dim_reduce, FloatOnly, 0, kOrderChecks,
          "The lower median along dim and an index of it; the first NaN if there is one");
ZP_REDUCE(kthvalue, KthValueAttrs, kSelfOperand, kValuesIndices, infer_kthvalue, FloatOnly, 0, kOrderChecks,
          "The k-th smallest element along dim (NaN counts as largest) and an index of it");
ZP_REDUCE(aminmax, AminmaxAttrs, kSelfOperand, kMinMax, infer_aminmax, FloatOnly, 0, kOrderChecks,
          "Smallest and largest element along dim, or of all");
ZP_REDUCE1(argmax, ArgReduceAttrs, infer_arg, Never, 0, kOrderChecks,
           "Index of the largest element along dim, or of all: the first of equals, the first NaN");
ZP_REDUCE1(argmin, ArgReduceAttrs, infer_arg, Never, 0, kOrderChecks,
           "Index of the smallest element along dim, or of all: the first of equals, the first NaN");
ZP_REDUCE1(cumsum, ScanAttrs, infer_scan, FloatOnly, 0, kDimsChecks,
           "Running sum along dim; integers and bools as i64");
ZP_REDUCE1(cumprod, ScanAttrs, infer_scan, FloatOnly, 0, kDimsChecks,
           "Running product along dim; integers and bools as i64");
ZP_REDUCE1(logcumsumexp, DimAttrs, infer_logcumsumexp, FloatOnly, 0, kFloatChecks,
           "Logarithm of the running sum of exp(x) along dim");
ZP_REDUCE(cummax, DimAttrs, kSelfOperand, kValuesIndices, infer_cumulative_extremum, FloatOnly, 0,
          kDimsChecks, "Running largest element along dim and its index (the last of equals)");
ZP_REDUCE(cummin, DimAttrs, kSelfOperand, kValuesIndices, infer_cumulative_extremum, FloatOnly, 0,
          kDimsChecks, "Running smallest element along dim and its index (the last of equals)");
ZP_REDUCE(topk, TopkAttrs, kSelfOperand, kValuesIndices, infer_topk, FloatOnly, 0, kTopkChecks,
          "The k largest (or smallest) elements along dim, in order, and their indices; equal ones by index, "
          "NaN counts as largest");
ZP_REDUCE(sort, SortAttrs, kSelfOperand, kValuesIndices, infer_sort, FloatOnly, 0, kDimsChecks,
          "Elements in order along dim and their indices; equal ones by index, NaN counts as largest");
ZP_REDUCE1(argsort, SortAttrs, infer_argsort, Never, 0, kDimsChecks,
           "Indices that sort along dim; equal ones by index, NaN counts as largest");
ZP_REDUCE(diff, DiffAttrs, kDiff, kOneResult, infer_diff, FloatOnly, 0, kDiffChecks,
          "Differences of neighbours along dim, n times; of bools: not equal");
ZP_REDUCE(bucketize, BucketizeAttrs, kBucketize, kOneResult, infer_bucketize, Never, 0, kBucketizeChecks,
          "Number of the (ascending) boundaries below x, or with `right` not above x; NaN is beyond all");

}  // namespace zp::ops
