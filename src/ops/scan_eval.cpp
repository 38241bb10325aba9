// Evaluators of running sums, products and extrema, and of differences. Running sums of floats are kept in
// f64, one rounding an element.
#include <cmath>
#include <limits>

#include "ops/element_eval.h"
#include "ops/infer_util.h"
#include "ops/reduce.h"
#include "ops/reduce_eval.h"
#include "ops/slices.h"

namespace zp::ops {

namespace {

// Walks each slice along dim: `step(state, x)` gives the next state, which is written after rounding.
template <typename Step>
Status scan(EvalArgs& args, int64_t dim, const Tensor& source, double first, const Step& step) {
  const DType dtype = result_dtype(args);
  ZP_TRY(const int64_t d, normalize_dim(args.node, "c1", dim, source.rank()));
  const DimView view(source.shape(), d);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  // Floats are kept in f64.
  return with_computation(computation == DType::F32 ? DType::F64 : computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(source, kDTypeOf<T>));
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, source.shape()));
    for_each_slice(view, [&](int64_t s) {
      const int64_t at = view.first(s, view.extent);
      T state = static_cast<T>(first);
      for (int64_t i = 0; i < view.extent; ++i) {
        state = step(state, x.data<T>()[at + i * view.inner]);
        out.mutable_data<T>()[at + i * view.inner] = state;
      }
    });
    return finish<T>(args, dtype, out);
  });
}

template <typename Step>
Status scan_cast(EvalArgs& args, double first, const Step& step) {
  const auto& attrs = args.node.attrs<ScanAttrs>();
  ZP_TRY(const Tensor source,
         attrs.dtype ? cast_tensor(*args.in[0], *attrs.dtype) : Result<Tensor>(*args.in[0]));
  return scan(args, attrs.dim, source, first, step);
}

}  // namespace

Status eval_cumsum(EvalArgs& args) {
  return scan_cast(args, 0, [](auto sum, auto x) {
    if constexpr (std::is_floating_point_v<decltype(x)>) return sum + x;
    else return static_cast<int64_t>(static_cast<uint64_t>(sum) + static_cast<uint64_t>(x));
  });
}

Status eval_cumprod(EvalArgs& args) {
  return scan_cast(args, 1, [](auto product, auto x) {
    if constexpr (std::is_floating_point_v<decltype(x)>) return product * x;
    else return static_cast<int64_t>(static_cast<uint64_t>(product) * static_cast<uint64_t>(x));
  });
}

Status eval_logcumsumexp(EvalArgs& args) {
  return scan(args, args.node.attrs<DimAttrs>().dim, *args.in[0], -std::numeric_limits<double>::infinity(),
              [](auto sum, auto x) {
                const auto low = static_cast<double>(x < sum ? x : sum),
                           high = static_cast<double>(x < sum ? sum : x);
                if (low != low || high != high) return static_cast<decltype(x)>(low + high);
                if (low == high && std::isinf(low)) return x;
                return static_cast<decltype(x)>(high + std::log1p(std::exp(low - high)));
              });
}

namespace {

// NaN stays once met; of equal elements, and of NaNs, the last counts.
Status running_extremum(EvalArgs& args, bool largest) {
  const Tensor& source = *args.in[0];
  const DType dtype = result_dtype(args);
  ZP_TRY(const int64_t d, normalize_dim(args.node, "c1", args.node.attrs<DimAttrs>().dim, source.rank()));
  const DimView view(source.shape(), d);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(source, kDTypeOf<T>));
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, source.shape()));
    ZP_TRY(Tensor index, Tensor::make(DType::I64, source.shape()));
    for_each_slice(view, [&](int64_t s) {
      const int64_t at = view.first(s, view.extent);
      int64_t best = 0;
      for (int64_t i = 0; i < view.extent; ++i) {
        const T now = x.data<T>()[at + i * view.inner], then = x.data<T>()[at + best * view.inner];
        if (now != now || (then == then && (largest ? now >= then : now <= then))) best = i;
        out.mutable_data<T>()[at + i * view.inner] = x.data<T>()[at + best * view.inner];
        index.mutable_data<int64_t>()[at + i * view.inner] = best;
      }
    });
    if (args.out.size() > 1) args.out[1] = std::move(index);
    return finish<T>(args, dtype, out);
  });
}

}  // namespace

Status eval_cummax(EvalArgs& args) { return running_extremum(args, true); }
Status eval_cummin(EvalArgs& args) { return running_extremum(args, false); }

namespace {

// The operands one after the other along dim: prepend, self, append.
template <typename T>
Result<Tensor> joined(EvalArgs& args, int64_t dim, DType dtype) {
  std::vector<Tensor> parts;
  for (const size_t i : {size_t{1}, size_t{0}, size_t{2}}) {
    if (i >= args.in.size() || args.in[i] == nullptr) continue;
    ZP_TRY(const Tensor narrow, cast_tensor(*args.in[i], dtype));
    ZP_TRY(Tensor wide, widen_to(narrow, kDTypeOf<T>));
    parts.push_back(std::move(wide));
  }
  if (parts.size() == 1) return parts[0];
  std::vector<int64_t> shape = args.in[0]->shape();
  const auto d = static_cast<size_t>(dim);
  shape[d] = 0;
  for (const Tensor& part : parts) {
    std::vector<int64_t> like = part.shape();
    if (like.size() != shape.size())
      return failed(args.node, "c2", "prepend and append have another rank than the input");
    shape[d] += like[d];
    like[d] = shape[d];
    if (like != shape) return failed(args.node, "c2", "prepend and append have another shape than the input");
  }
  ZP_TRY(Tensor all, Tensor::make(kDTypeOf<T>, shape));
  const DimView view(shape, dim);
  int64_t begin = 0;
  for (const Tensor& part : parts) {
    const int64_t run = part.shape()[d] * view.inner;
    for (int64_t o = 0; o < view.outer; ++o) {
      std::copy_n(part.data<T>() + o * run, run,
                  all.mutable_data<T>() + (o * view.extent + begin) * view.inner);
    }
    begin += part.shape()[d];
  }
  return all;
}

}  // namespace

Status eval_diff(EvalArgs& args) {
  const auto& attrs = args.node.attrs<DiffAttrs>();
  const DType dtype = result_dtype(args);
  ZP_TRY(const int64_t dim, normalize_dim(args.node, "c1", attrs.dim, args.in[0]->rank()));
  if (args.in[0]->rank() == 0) return failed(args.node, "c1", "the tensor has no dims");
  if (attrs.n == 0) {
    ZP_TRY(args.out[0], cast_tensor(*args.in[0], dtype));
    return {};
  }
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(Tensor x, joined<T>(args, dim, dtype));
    for (int64_t round = 0; round < attrs.n && x.shape()[static_cast<size_t>(dim)] > 0; ++round) {
      std::vector<int64_t> shape = x.shape();
      const DimView view(shape, dim);
      shape[static_cast<size_t>(dim)] -= 1;
      ZP_TRY(Tensor next, Tensor::make(kDTypeOf<T>, shape));
      for (int64_t i = 0; i < next.elements(); ++i) {
        const int64_t run = (view.extent - 1) * view.inner;
        const int64_t at = i / run * view.extent * view.inner + i % run;
        const T a = x.data<T>()[at], b = x.data<T>()[at + view.inner];
        if constexpr (std::is_floating_point_v<T>) {
          next.mutable_data<T>()[i] = b - a;
        } else {
          next.mutable_data<T>()[i] =
              dtype == DType::Bool ? T(a != b)
                                   : static_cast<T>(static_cast<uint64_t>(b) - static_cast<uint64_t>(a));
        }
      }
      // Each difference is rounded to the type before the next one.
      ZP_CHECK(finish<T>(args, dtype, next));
      ZP_TRY(x, widen_to(args.out[0], kDTypeOf<T>));
    }
    return finish<T>(args, dtype, x);
  });
}

}  // namespace zp::ops
