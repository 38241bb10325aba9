// Evaluators of extrema with indices, of sorting and of what is built on it. NaN counts as larger than every
// number; equal elements keep the order of their indices, so results do not depend on the sorting algorithm.
#include <algorithm>
#include <numeric>

#include "ops/element_eval.h"
#include "ops/infer_util.h"
#include "ops/reduce.h"
#include "ops/reduce_eval.h"
#include "ops/slices.h"

namespace zp::ops {

namespace {

// a before b in ascending order, NaN last.
template <typename T>
bool less(T a, T b) {
  return a < b || (b != b && a == a);
}

// Index of the extremum among x[0], x[step], ...: the first of equals, the first NaN.
template <typename T>
int64_t extremum_index(const T* x, int64_t n, int64_t step, bool largest) {
  int64_t best = 0;
  for (int64_t i = 0; i < n; ++i) {
    const T v = x[i * step];
    if (v != v) return i;
    if (largest ? v > x[best * step] : v < x[best * step]) best = i;
  }
  return best;
}

Result<DimView> view_along(const EvalArgs& args, int64_t dim) {
  ZP_TRY(const int64_t d, normalize_dim(args.node, "c1", dim, args.in[0]->rank()));
  return DimView(args.in[0]->shape(), d);
}

// The shape with the extent of `dim` (0 to rank - 1) replaced, or the dim dropped when `extent` is negative.
std::vector<int64_t> with_extent(const Tensor& x, int64_t dim, int64_t extent) {
  std::vector<int64_t> shape = x.shape();
  if (shape.empty()) return shape;
  if (extent < 0) {
    shape.erase(shape.begin() + dim);
  } else {
    shape[static_cast<size_t>(dim)] = extent;
  }
  return shape;
}

// Picks one element of each slice along dim: pick(first, extent, step) gives its index. Values go to out[0]
// and indices to out[1], or indices alone to out[0] when the op has no values.
template <typename F>
Status pick_along(EvalArgs& args, const Tensor& source, int64_t dim, bool keepdim, bool values,
                  const F& pick) {
  ZP_TRY(const int64_t d, normalize_dim(args.node, "c1", dim, source.rank()));
  std::vector<int64_t> shape = with_extent(source, d, keepdim ? 1 : -1);
  const DimView view(source.shape(), d);
  if (view.extent == 0 && view.slices() > 0) return failed(args.node, "c3", "the reduced dims are empty");
  ZP_TRY(const DType computation, computation_type(args, source.dtype()));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(source, kDTypeOf<T>));
    ZP_TRY(Tensor best, Tensor::make(kDTypeOf<T>, shape));
    ZP_TRY(Tensor index, Tensor::make(DType::I64, std::move(shape)));
    for_each_slice(view, [&](int64_t s) {
      const T* first = x.data<T>() + view.first(s, view.extent);
      const int64_t i = pick(first, view.extent, view.inner);
      best.mutable_data<T>()[s] = first[i * view.inner];
      index.mutable_data<int64_t>()[s] = i;
    });
    if (!values) {
      args.out[0] = std::move(index);
      return {};
    }
    if (args.out.size() > 1) args.out[1] = std::move(index);
    return finish<T>(args, result_dtype(args), best);
  });
}

Status eval_extremum(EvalArgs& args, bool largest) {
  const auto& attrs = args.node.attrs<DimReduceAttrs>();
  return pick_along(
      args, *args.in[0], attrs.dim, attrs.keepdim, true,
      [=](const auto* x, int64_t n, int64_t step) { return extremum_index(x, n, step, largest); });
}

Status eval_arg_extremum(EvalArgs& args, bool largest) {
  const auto& attrs = args.node.attrs<ArgReduceAttrs>();
  const auto pick = [=](const auto* x, int64_t n, int64_t step) {
    return extremum_index(x, n, step, largest);
  };
  if (attrs.dim) { return pick_along(args, *args.in[0], *attrs.dim, attrs.keepdim, false, pick); }
  const Tensor flat = args.in[0]->reshaped({args.in[0]->elements()});
  ZP_CHECK(pick_along(args, flat, 0, false, false, pick));
  if (attrs.keepdim) args.out[0] = args.out[0].reshaped(std::vector<int64_t>(args.in[0]->shape().size(), 1));
  return {};
}

// Indices of the elements of a slice in order.
template <typename T>
void sorted_indices(const T* x, int64_t n, int64_t step, bool descending, std::vector<int64_t>& order) {
  order.resize(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return descending ? less(x[b * step], x[a * step]) : less(x[a * step], x[b * step]);
  });
}

// The first `count` of each slice along dim in order.
Status sort_along(EvalArgs& args, int64_t dim, int64_t count, bool descending, bool values) {
  const Tensor& source = *args.in[0];
  ZP_TRY(const int64_t d, normalize_dim(args.node, "c1", dim, source.rank()));
  const DimView view(source.shape(), d);
  if (count > view.extent || count < 0) {
    return failed(args.node, "c2",
                  "k is " + std::to_string(count) + " of " + std::to_string(view.extent) + " elements");
  }
  ZP_TRY(const DType computation, computation_type(args, source.dtype()));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(source, kDTypeOf<T>));
    ZP_TRY(Tensor sorted, Tensor::make(kDTypeOf<T>, with_extent(source, d, count)));
    ZP_TRY(Tensor index, Tensor::make(DType::I64, sorted.shape()));
    for_each_slice(view, [&](int64_t s) {
      std::vector<int64_t> order;
      const T* first = x.data<T>() + view.first(s, view.extent);
      sorted_indices(first, view.extent, view.inner, descending, order);
      const int64_t at = view.first(s, count);
      for (int64_t i = 0; i < count; ++i) {
        sorted.mutable_data<T>()[at + i * view.inner] = first[order[static_cast<size_t>(i)] * view.inner];
        index.mutable_data<int64_t>()[at + i * view.inner] = order[static_cast<size_t>(i)];
      }
    });
    if (!values) {
      args.out[0] = std::move(index);
      return {};
    }
    if (args.out.size() > 1) args.out[1] = std::move(index);
    return finish<T>(args, result_dtype(args), sorted);
  });
}

}  // namespace

Status eval_max(EvalArgs& args) { return eval_extremum(args, true); }
Status eval_min(EvalArgs& args) { return eval_extremum(args, false); }
Status eval_argmax(EvalArgs& args) { return eval_arg_extremum(args, true); }
Status eval_argmin(EvalArgs& args) { return eval_arg_extremum(args, false); }

Status eval_median(EvalArgs& args) {
  const auto& attrs = args.node.attrs<DimReduceAttrs>();
  return pick_along(args, *args.in[0], attrs.dim, attrs.keepdim, true,
                    [](const auto* x, int64_t n, int64_t step) {
                      for (int64_t i = 0; i < n; ++i)
                        if (x[i * step] != x[i * step]) return i;
                      std::vector<int64_t> order;
                      sorted_indices(x, n, step, false, order);
                      return order[static_cast<size_t>((n - 1) / 2)];
                    });
}

Status eval_kthvalue(EvalArgs& args) {
  const auto& attrs = args.node.attrs<KthValueAttrs>();
  ZP_TRY(const int64_t k, args.dim(attrs.k));
  ZP_TRY(const DimView view, view_along(args, attrs.dim));
  if (k < 1 || k > view.extent) {
    return failed(args.node, "c3",
                  "k is " + std::to_string(k) + " of " + std::to_string(view.extent) + " elements");
  }
  return pick_along(args, *args.in[0], attrs.dim, attrs.keepdim, true,
                    [=](const auto* x, int64_t n, int64_t step) {
                      std::vector<int64_t> order;
                      sorted_indices(x, n, step, false, order);
                      return order[static_cast<size_t>(k - 1)];
                    });
}

Status eval_topk(EvalArgs& args) {
  const auto& attrs = args.node.attrs<TopkAttrs>();
  ZP_TRY(const int64_t k, args.dim(attrs.k));
  return sort_along(args, attrs.dim, k, attrs.largest, true);
}

namespace {

Status sort_all(EvalArgs& args, bool values) {
  const auto& attrs = args.node.attrs<SortAttrs>();
  ZP_TRY(const DimView view, view_along(args, attrs.dim));
  return sort_along(args, attrs.dim, view.extent, attrs.descending, values);
}

}  // namespace

Status eval_sort(EvalArgs& args) { return sort_all(args, true); }
Status eval_argsort(EvalArgs& args) { return sort_all(args, false); }

Status eval_bucketize(EvalArgs& args) {
  const bool right = args.node.attrs<BucketizeAttrs>().right;
  if (args.in[1]->rank() != 1) return failed(args.node, "c1", "boundaries have another rank than 1");
  // Integers are compared exactly, mixed types as f64.
  const bool integers = !is_float(args.in[0]->dtype()) && !is_float(args.in[1]->dtype());
  return with_computation(integers ? DType::I64 : DType::F64, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    ZP_TRY(const Tensor bounds, widen_to(*args.in[1], kDTypeOf<T>));
    ZP_TRY(Tensor out, Tensor::make(DType::I64, x.shape()));
    const T *first = bounds.data<T>(), *last = first + bounds.elements();
    map_elements<T, int64_t>(x, out, [=](T v) {
      return right ? std::partition_point(first, last, [=](T b) { return !(b > v); }) - first
                   : std::partition_point(first, last, [=](T b) { return !(b >= v); }) - first;
    });
    ZP_TRY(args.out[0], narrow_integer(out, result_dtype(args)));
    return {};
  });
}

}  // namespace zp::ops
