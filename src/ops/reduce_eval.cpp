// Evaluators of reductions to one number a slice. Float sums use the fixed order of 16 lanes; variances,
// norms and logarithms of sums are computed in f64 (in that order too) and rounded once.
#include "ops/reduce_eval.h"

#include <cmath>
#include <limits>

#include "ops/element_eval.h"
#include "ops/infer_util.h"
#include "ops/reduce.h"
#include "ops/slices.h"

namespace zp::ops {

namespace {

Result<ReductionPlan> plan_for(const EvalArgs& args, List<int64_t> dims, bool keepdim) {
  const std::vector<int64_t>& shape = args.in[0]->shape();
  ZP_TRY(const std::vector<int64_t> reduced,
         reduced_dims(args.node, dims, static_cast<int64_t>(shape.size())));
  return ReductionPlan(shape, reduced, keepdim);
}

// Reduces `x`, which has the computation type T, to out[index] of type `dtype`.
template <typename T, typename F>
Status reduce_to(EvalArgs& args, size_t index, const Tensor& x, const ReductionPlan& plan, DType dtype,
                 const F& f) {
  ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, plan.out_shape));
  reduce_slices(plan, x.data<T>(), out.mutable_data<T>(), f);
  if constexpr (std::is_same_v<T, int64_t>) {
    ZP_TRY(args.out[index], narrow_integer(out, dtype));
  } else {
    ZP_TRY(args.out[index], round_to(out, dtype));
  }
  return {};
}

// Sums and the like: the input is cast to the result's type, then reduced in its computation type.
template <typename F>
Status reduce_sum(EvalArgs& args, const F& f) {
  const auto& attrs = args.node.attrs<SumAttrs>();
  const DType dtype = result_dtype(args);
  ZP_TRY(const ReductionPlan plan, plan_for(args, attrs.dims, attrs.keepdim));
  ZP_TRY(const DType computation, computation_type(args, dtype));
  ZP_TRY(const Tensor cast, attrs.dtype ? cast_tensor(*args.in[0], dtype) : Result<Tensor>(*args.in[0]));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(cast, kDTypeOf<T>));
    return reduce_to<T>(args, 0, x, plan, dtype, f);
  });
}

// Reductions of floats in f64, rounded once; integers count as f32 first.
template <typename F>
Status reduce_double(EvalArgs& args, size_t index, List<int64_t> dims, bool keepdim, const F& f) {
  const DType dtype = result_dtype(args, index);
  ZP_TRY(const ReductionPlan plan, plan_for(args, dims, keepdim));
  ZP_TRY(const Tensor cast,
         is_float(args.in[0]->dtype()) ? Result<Tensor>(*args.in[0]) : cast_tensor(*args.in[0], dtype));
  ZP_TRY(const Tensor x, to_double(cast));
  return reduce_to<double>(args, index, x, plan, dtype, f);
}

int64_t sum_of(const int64_t* x, int64_t n) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<uint64_t>(x[i]);
  return static_cast<int64_t>(sum);
}
template <typename T>
T sum_of(const T* x, int64_t n) {
  return sum16(x, n);
}

template <typename Term>
double sum_terms(int64_t n, const Term& term) {
  Lanes16<double> sum;
  for (int64_t i = 0; i < n; ++i) sum.add(i, term(i));
  return sum.total();
}

}  // namespace

Status eval_sum(EvalArgs& args) {
  return reduce_sum(args, [](const auto* x, int64_t n) { return sum_of(x, n); });
}

Status eval_mean(EvalArgs& args) {
  return reduce_sum(args, [](const auto* x, int64_t n) {
    using T = std::remove_cvref_t<decltype(*x)>;
    if constexpr (std::is_floating_point_v<T>) {
      return sum16(x, n) / static_cast<T>(n);
    } else {
      return T(0);  // not reached: the type is a float type
    }
  });
}

Status eval_prod(EvalArgs& args) {
  return reduce_sum(args, [](const auto* x, int64_t n) {
    using T = std::remove_cvref_t<decltype(*x)>;
    if constexpr (std::is_floating_point_v<T>) {
      double product = 1;
      for (int64_t i = 0; i < n; ++i) product *= x[i];
      return static_cast<T>(product);
    } else {
      uint64_t product = 1;
      for (int64_t i = 0; i < n; ++i) product *= static_cast<uint64_t>(x[i]);
      return static_cast<T>(product);
    }
  });
}

Status eval_nansum(EvalArgs& args) {
  return reduce_sum(args, [](const auto* x, int64_t n) {
    using T = std::remove_cvref_t<decltype(*x)>;
    if constexpr (std::is_floating_point_v<T>) {
      Lanes16<T> sum;
      for (int64_t i = 0; i < n; ++i) sum.add(i, x[i] == x[i] ? x[i] : T(0));
      return sum.total();
    } else {
      return sum_of(x, n);
    }
  });
}

namespace {

// The extremum of a slice; NaN as soon as there is one.
template <typename T>
T extremum(const T* x, int64_t n, bool largest) {
  T best = x[0];
  for (int64_t i = 1; i < n; ++i) {
    if (best != best) break;
    if (x[i] != x[i] || (largest ? x[i] > best : x[i] < best)) best = x[i];
  }
  return best;
}

Status reduce_extremum(EvalArgs& args, size_t index, List<int64_t> dims, bool keepdim, bool largest) {
  ZP_TRY(const ReductionPlan plan, plan_for(args, dims, keepdim));
  if (plan.terms == 0 && plan.outputs > 0) return failed(args.node, "c3", "the reduced dims are empty");
  const DType dtype = result_dtype(args, index);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    return reduce_to<T>(args, index, x, plan, dtype,
                        [=](const T* terms, int64_t n) { return extremum(terms, n, largest); });
  });
}

// Counts of elements that are not 0: f(count, n) is the result.
template <typename F>
Status reduce_nonzero(EvalArgs& args, const F& f) {
  const auto& attrs = args.node.attrs<ReduceAttrs>();
  ZP_TRY(const ReductionPlan plan, plan_for(args, attrs.dims, attrs.keepdim));
  ZP_TRY(const Tensor bools, cast_tensor(*args.in[0], DType::Bool));
  ZP_TRY(Tensor counts, Tensor::make(DType::I64, plan.out_shape));
  reduce_slices(plan, bools.data<uint8_t>(), counts.mutable_data<int64_t>(),
                [&](const uint8_t* x, int64_t n) {
                  int64_t count = 0;
                  for (int64_t i = 0; i < n; ++i) count += x[i] != 0;
                  return f(count, n);
                });
  ZP_TRY(args.out[0], narrow_integer(counts, result_dtype(args)));
  return {};
}

}  // namespace

Status eval_amax(EvalArgs& args) {
  const auto& attrs = args.node.attrs<ReduceAttrs>();
  return reduce_extremum(args, 0, attrs.dims, attrs.keepdim, true);
}
Status eval_amin(EvalArgs& args) {
  const auto& attrs = args.node.attrs<ReduceAttrs>();
  return reduce_extremum(args, 0, attrs.dims, attrs.keepdim, false);
}
Status eval_aminmax(EvalArgs& args) {
  const auto& attrs = args.node.attrs<AminmaxAttrs>();
  const int64_t dims[] = {attrs.dim.value_or(0)};
  const List<int64_t> list = attrs.dim ? List<int64_t>(dims) : List<int64_t>();
  ZP_CHECK(reduce_extremum(args, 0, list, attrs.keepdim, false));
  return reduce_extremum(args, 1, list, attrs.keepdim, true);
}

Status eval_any(EvalArgs& args) {
  return reduce_nonzero(args, [](int64_t count, int64_t) { return int64_t{count != 0}; });
}
Status eval_all(EvalArgs& args) {
  return reduce_nonzero(args, [](int64_t count, int64_t n) { return int64_t{count == n}; });
}
Status eval_count_nonzero(EvalArgs& args) {
  return reduce_nonzero(args, [](int64_t count, int64_t) { return count; });
}

Status eval_logsumexp(EvalArgs& args) {
  const auto& attrs = args.node.attrs<ReduceAttrs>();
  return reduce_double(args, 0, attrs.dims, attrs.keepdim, [](const double* x, int64_t n) {
    if (n == 0) return -std::numeric_limits<double>::infinity();
    double m = extremum(x, n, true);
    if (std::isinf(m)) m = 0;
    return m + std::log(sum_terms(n, [&](int64_t i) { return std::exp(x[i] - m); }));
  });
}

namespace {

double mean_of(const double* x, int64_t n) { return sum16(x, n) / static_cast<double>(n); }

Status reduce_variance(EvalArgs& args, bool root) {
  const auto& attrs = args.node.attrs<VarAttrs>();
  const double correction = attrs.correction ? attrs.correction->as_double() : 1;
  ZP_CHECK(reduce_double(args, 0, attrs.dims, attrs.keepdim, [=](const double* x, int64_t n) {
    const double mean = mean_of(x, n);
    const double squares = sum_terms(n, [&](int64_t i) { return (x[i] - mean) * (x[i] - mean); });
    const double variance = squares / std::fmax(static_cast<double>(n) - correction, 0);
    return root ? std::sqrt(variance) : variance;
  }));
  if (args.out.size() < 2) return {};
  return reduce_double(args, 1, attrs.dims, attrs.keepdim, mean_of);
}

}  // namespace

Status eval_var(EvalArgs& args) { return reduce_variance(args, false); }
Status eval_std(EvalArgs& args) { return reduce_variance(args, true); }
Status eval_var_mean(EvalArgs& args) { return reduce_variance(args, false); }
Status eval_std_mean(EvalArgs& args) { return reduce_variance(args, true); }

Status eval_linalg_vector_norm(EvalArgs& args) {
  const auto& attrs = args.node.attrs<VectorNormAttrs>();
  const double ord = attrs.ord.as_double();
  if (std::isinf(ord)) {
    ZP_TRY(const ReductionPlan plan, plan_for(args, attrs.dims, attrs.keepdim));
    if (plan.terms == 0 && plan.outputs > 0 && ord < 0)
      return failed(args.node, "c3", "the reduced dims are empty");
  }
  return reduce_double(args, 0, attrs.dims, attrs.keepdim, [=](const double* x, int64_t n) {
    if (std::isinf(ord)) {
      double best = n > 0 ? std::fabs(x[0]) : 0;
      for (int64_t i = 1; i < n && best == best; ++i) {
        const double a = std::fabs(x[i]);
        if (a != a || (ord > 0 ? a > best : a < best)) best = a;
      }
      return best;
    }
    if (ord == 0) return sum_terms(n, [&](int64_t i) { return x[i] != 0 ? 1.0 : 0.0; });
    if (ord == 1) return sum_terms(n, [&](int64_t i) { return std::fabs(x[i]); });
    if (ord == 2) return std::sqrt(sum_terms(n, [&](int64_t i) { return x[i] * x[i]; }));
    return std::pow(sum_terms(n, [&](int64_t i) { return std::pow(std::fabs(x[i]), ord); }), 1 / ord);
  });
}

}  // namespace zp::ops
