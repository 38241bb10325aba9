// Elementwise evaluation: operands are widened to one of three computation types (f32 for f32 and narrower
// floats, f64, i64 for integers and bool), a function runs over them with broadcasting, and the result is
// narrowed once.
//
// Functions of real numbers that the machine's library computes (exp, log, sin ...) are evaluated in f64 and
// rounded once to f32: that is the correctly rounded value except in about one of 2^28 cases, and does not
// depend on the instruction set the library picks. It costs about twice the time of a vectorized f32
// function.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "ir/tensor.h"
#include "ops/eval_util.h"
#include "support/parallel.h"

namespace zp::ops {

inline constexpr int64_t kElementGrain = 1 << 14;

// Any real tensor as i64: integers and bool widened, floats truncated as a cast does.
Result<Tensor> to_integer(const Tensor& x);
// A cast as the source framework does it on a 64-bit machine: integers wrap; floats truncate to i32 (to i64
// for types of 32 unsigned or 64 bits), out of range and NaN give that type's smallest value, and that wraps;
// bool is x != 0.
Result<Tensor> cast_tensor(const Tensor& x, DType dtype);
// i64 results as `dtype`: wrapped; bool is x != 0.
Result<Tensor> narrow_integer(const Tensor& x, DType dtype);

// The type operations on `dtype` are computed in: F32, F64 or I64; an error if there is none (complex).
Result<DType> computation_type(const EvalArgs& args, DType dtype);
// `x` in a computation type.
Result<Tensor> widen_to(const Tensor& x, DType computation);
// The common type of the operands in [first, last), as promotion has it.
Result<DType> common_dtype(const EvalArgs& args, size_t first, size_t last);
// The shape of the operands together; an error `run.shape` if they do not broadcast.
Result<std::vector<int64_t>> common_shape(const EvalArgs& args, std::span<const Tensor* const> tensors);

template <typename T>
inline constexpr DType kDTypeOf = DType::Unknown;
template <>
inline constexpr DType kDTypeOf<float> = DType::F32;
template <>
inline constexpr DType kDTypeOf<double> = DType::F64;
template <>
inline constexpr DType kDTypeOf<int64_t> = DType::I64;
template <>
inline constexpr DType kDTypeOf<uint8_t> = DType::Bool;

// Calls f with a value of the computation type: with_computation(DType::F32, [&](auto tag) { using T =
// decltype(tag); ... }).
template <typename F>
auto with_computation(DType computation, F&& f) {
  if (computation == DType::F64) return f(double());
  if (computation == DType::I64) return f(int64_t());
  return f(float());
}
template <typename F>
auto with_float(DType computation, F&& f) {
  if (computation == DType::F64) return f(double());
  return f(float());
}

// out[i] = f(x[i])
template <typename T, typename Out, typename F>
void map_elements(const Tensor& x, Tensor& out, const F& f) {
  const T* in = x.data<T>();
  Out* to = out.mutable_data<Out>();
  parallel_for(out.elements(), kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = static_cast<Out>(f(in[i]));
  });
}

// out[i] = f(a[i], b[i], ...), operands broadcast to the shape of out.
template <typename T, typename Out, size_t N, typename F>
void map_broadcast(const std::array<const Tensor*, N>& in, Tensor& out, const F& f) {
  if (out.elements() == 0) return;
  std::array<std::vector<int64_t>, N> strides;
  std::array<const T*, N> data;
  for (size_t k = 0; k < N; ++k) {
    strides[k] = broadcast_strides(in[k]->shape(), out.shape());
    data[k] = in[k]->template data<T>();
  }
  Out* to = out.mutable_data<Out>();
  for_each_row(out.shape(), strides,
               [&](int64_t at, const int64_t* offset, int64_t length, const int64_t* step) {
                 Out* row = to + at;
                 if constexpr (N == 2) {
                   const T *a = data[0] + offset[0], *b = data[1] + offset[1];
                   if (step[0] == 1 && step[1] == 1) {
                     for (int64_t i = 0; i < length; ++i) row[i] = static_cast<Out>(f(a[i], b[i]));
                   } else if (step[0] == 1 && step[1] == 0) {
                     const T value = *b;
                     for (int64_t i = 0; i < length; ++i) row[i] = static_cast<Out>(f(a[i], value));
                   } else {
                     for (int64_t i = 0; i < length; ++i)
                       row[i] = static_cast<Out>(f(a[i * step[0]], b[i * step[1]]));
                   }
                 } else {
                   static_assert(N == 3);
                   const T *a = data[0] + offset[0], *b = data[1] + offset[1], *c = data[2] + offset[2];
                   for (int64_t i = 0; i < length; ++i)
                     row[i] = static_cast<Out>(f(a[i * step[0]], b[i * step[1]], c[i * step[2]]));
                 }
               });
}

template <size_t N, typename F, typename T>
auto call_with(const F& f, T x) {
  if constexpr (N == 2) {
    return f(x, x);
  } else {
    return f(x, x, x);
  }
}

// Puts a result of the computation type T into out[0] as `dtype`.
template <typename T>
Status finish(EvalArgs& args, DType dtype, const Tensor& computed) {
  if constexpr (std::is_same_v<T, int64_t>) {
    ZP_TRY(args.out[0], narrow_integer(computed, dtype));
  } else {
    ZP_TRY(args.out[0], round_to(computed, dtype));
  }
  return {};
}

// One operand of a float function: integers become f32 first. f is called with float or double.
template <typename F>
Status map_float(EvalArgs& args, const F& f) {
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_float(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, x.shape()));
    map_elements<T, T>(x, out, f);
    ZP_TRY(args.out[0], round_to(out, dtype));
    return {};
  });
}

// A function of real numbers, computed in f64 whatever the type.
template <typename F>
Status map_in_double(EvalArgs& args, const F& f) {
  return map_float(args, [&](auto x) { return static_cast<decltype(x)>(f(static_cast<double>(x))); });
}

// One operand of any real type; the function is called with float, double or int64_t.
template <typename F>
Status map_any(EvalArgs& args, const F& f) {
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, x.shape()));
    map_elements<T, T>(x, out, f);
    return finish<T>(args, dtype, out);
  });
}

// A test of one operand: the result is bool.
template <typename F>
Status map_test(EvalArgs& args, const F& f) {
  ZP_TRY(const DType computation, computation_type(args, args.in[0]->dtype()));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    ZP_TRY(Tensor * out, make_result(args, 0, DType::Bool, x.shape()));
    map_elements<T, uint8_t>(x, *out, f);
    return {};
  });
}

// The first N operands in the computation type T of `common`. A wider integer takes part as the common type
// sees it: i8 + 1000 adds -24.
template <typename T, size_t N>
Result<std::array<Tensor, N>> widen_operands(EvalArgs& args, DType common) {
  std::array<Tensor, N> wide;
  for (size_t k = 0; k < N; ++k) {
    if (std::is_same_v<T, int64_t> && args.in[k]->dtype() != common) {
      ZP_TRY(const Tensor narrow, cast_tensor(*args.in[k], common));
      ZP_TRY(wide[k], to_integer(narrow));
    } else {
      ZP_TRY(wide[k], widen_to(*args.in[k], kDTypeOf<T>));
    }
  }
  return wide;
}

// The first N operands, computed in the computation type of `common` by f(a, b) or f(a, b, c); a function
// that gives bool has a bool result, others one of type `dtype`.
template <size_t N, typename F>
Status map_operands(EvalArgs& args, DType common, DType dtype, const F& f) {
  ZP_TRY(const DType computation, computation_type(args, common));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const auto wide, widen_operands<T, N>(args, common));
    std::array<const Tensor*, N> in;
    for (size_t k = 0; k < N; ++k) in[k] = &wide[k];
    ZP_TRY(std::vector<int64_t> shape, common_shape(args, in));
    using R = decltype(call_with<N>(f, T()));
    using Out = std::conditional_t<std::is_same_v<R, bool>, uint8_t, T>;
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<Out>, std::move(shape)));
    map_broadcast<T, Out>(in, out, f);
    if constexpr (std::is_same_v<R, bool>) {
      args.out[0] = std::move(out);
      return {};
    } else {
      return finish<T>(args, dtype, out);
    }
  });
}

}  // namespace zp::ops
