// Evaluators of softmax. Exponentials are computed in f64 and rounded to the computation type, then summed in
// the fixed order of 16 lanes and divided.
#include "ops/softmax.h"

#include <cmath>
#include <limits>
#include <vector>

#include "ops/element_eval.h"
#include "ops/infer_util.h"
#include "ops/slices.h"
#include "ops/softmax_eval.h"

namespace zp::ops {

namespace {

// Calls body(slice in, slice out, count) with dense copies of each slice along dim.
template <typename F>
Status map_slices(EvalArgs& args, const F& body) {
  const auto& attrs = args.node.attrs<SoftmaxAttrs>();
  const DType dtype = result_dtype(args);
  ZP_TRY(const Tensor source, attrs.dtype ? cast_tensor(*args.in[0], dtype) : Result<Tensor>(*args.in[0]));
  ZP_TRY(const int64_t dim, normalize_dim(args.node, "c2", attrs.dim, source.rank()));
  const DimView view(source.shape(), dim);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_float(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(source, kDTypeOf<T>));
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, source.shape()));
    for_each_slice(view, [&](int64_t s) {
      std::vector<T> slice(static_cast<size_t>(view.extent));
      const int64_t at = view.first(s, view.extent);
      for (int64_t i = 0; i < view.extent; ++i)
        slice[static_cast<size_t>(i)] = x.data<T>()[at + i * view.inner];
      body(slice.data(), view.extent);
      for (int64_t i = 0; i < view.extent; ++i)
        out.mutable_data<T>()[at + i * view.inner] = slice[static_cast<size_t>(i)];
    });
    return finish<T>(args, dtype, out);
  });
}

template <typename T>
T largest(const T* x, int64_t n) {
  T best = -std::numeric_limits<T>::infinity();
  for (int64_t i = 0; i < n && best == best; ++i)
    if (x[i] != x[i] || x[i] > best) best = x[i];
  return best;
}

template <typename T>
void exponentials(T* x, int64_t n, T shift) {
  for (int64_t i = 0; i < n; ++i) x[i] = static_cast<T>(std::exp(static_cast<double>(x[i] - shift)));
}

template <typename T>
void softmax_slice(T* x, int64_t n) {
  exponentials(x, n, largest(x, n));
  const T sum = sum16(x, n);
  for (int64_t i = 0; i < n; ++i) x[i] /= sum;
}

}  // namespace

Status eval_softmax(EvalArgs& args) {
  return map_slices(args, [](auto* x, int64_t n) { softmax_slice(x, n); });
}

Status eval_safe_softmax(EvalArgs& args) {
  return map_slices(args, [](auto* x, int64_t n) {
    using T = std::remove_pointer_t<decltype(x)>;
    if (largest(x, n) == -std::numeric_limits<T>::infinity()) {
      for (int64_t i = 0; i < n; ++i) x[i] = 0;
    } else {
      softmax_slice(x, n);
    }
  });
}

Status eval_log_softmax(EvalArgs& args) {
  return map_slices(args, [](auto* x, int64_t n) {
    using T = std::remove_pointer_t<decltype(x)>;
    const T shift = largest(x, n);
    std::vector<T> e(x, x + n);
    exponentials(e.data(), n, shift);
    const T log_sum = static_cast<T>(std::log(static_cast<double>(sum16(e.data(), n))));
    for (int64_t i = 0; i < n; ++i) x[i] = x[i] - shift - log_sum;
  });
}

}  // namespace zp::ops
