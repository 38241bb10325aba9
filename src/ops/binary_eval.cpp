// Evaluators of arithmetic with two and three operands. Integers wrap; division of integers by 0 is an error;
// quotients and remainders of floats are rounded as at the source (fmod first, then the quotient is
// corrected).
#include "ops/binary_eval.h"
#include "ops/cut_to_int.h"

#include <cmath>
#include <limits>
#include <optional>
#include <type_traits>

#include "ops/binary.h"
#include "ops/element_eval.h"
#include "ops/infer_util.h"
#include "ops/promote.h"

namespace zp::ops {

namespace {

template <typename T>
constexpr bool is_real = std::is_floating_point_v<T>;

int64_t wrap_add(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
int64_t wrap_mul(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}
// b is not 0; the one quotient that overflows wraps.
int64_t quotient(int64_t a, int64_t b) {
  return b == -1 ? static_cast<int64_t>(-static_cast<uint64_t>(a)) : a / b;
}
int64_t rest(int64_t a, int64_t b) { return b == -1 ? 0 : a % b; }

template <typename T>
T sum_of(T a, T b) {
  if constexpr (is_real<T>) return a + b;
  else return wrap_add(a, b);
}
template <typename T>
T product_of(T a, T b) {
  if constexpr (is_real<T>) return a * b;
  else return wrap_mul(a, b);
}
template <typename T>
T number_as(const Number& n) {
  if constexpr (is_real<T>) return static_cast<T>(n.as_double());
  else return n.kind == Number::Float ? cut_to_int(n.f) : n.i;
}

// Evaluates f in the common type of the operands, which is the type of the result.
template <size_t N, typename F>
Status map_common(EvalArgs& args, const F& f) {
  ZP_TRY(const DType common, common_dtype(args, 0, N));
  return map_operands<N>(args, common, result_dtype(args), f);
}

// The same for functions of real numbers: integers become f32.
template <size_t N, typename F>
Status map_real(EvalArgs& args, const F& f) {
  ZP_TRY(DType common, common_dtype(args, 0, N));
  if (!is_float(common)) common = DType::F32;
  return map_operands<N>(args, common, result_dtype(args), [&](auto... x) {
    if constexpr ((is_real<decltype(x)> && ...)) {
      return f(x...);
    } else {
      return int64_t{0};  // not reached: the common type is a float type
    }
  });
}
// And computed in f64, rounded once.
template <typename F>
Status map_real_in_double(EvalArgs& args, const F& f) {
  return map_real<2>(args, [&](auto a, auto b) {
    return static_cast<decltype(a)>(f(static_cast<double>(a), static_cast<double>(b)));
  });
}

// A zero in the divisor of integers is an error, as at the source.
Status check_divisor(EvalArgs& args) {
  ZP_TRY(const DType common, common_dtype(args, 0, 2));
  if (is_float(common)) return {};
  ZP_TRY(const Tensor divisor, cast_tensor(*args.in[1], common));
  if (args.in[0]->elements() == 0) return {};
  for (int64_t i = 0; i < divisor.elements(); ++i) {
    if (divisor.get_int(i) == 0) return args.node.error("run.zero", "division of integers by 0");
  }
  return {};
}

Status clamp_result(EvalArgs& args, const std::optional<double>& low, const std::optional<double>& high) {
  if (!low && !high) return {};
  Tensor& out = args.out[0];
  for (int64_t i = 0; i < out.elements(); ++i) {
    const double x = out.get_double(i);
    if (low && x < *low) out.set_double(i, *low);
    if (high && out.get_double(i) > *high) out.set_double(i, *high);
  }
  return {};
}

Status add_scaled(EvalArgs& args, bool subtract) {
  const auto& attrs = args.node.attrs<AddAttrs>();
  const bool one = attrs.alpha.as_double() == 1;
  ZP_CHECK(map_common<2>(args, [&](auto a, auto b) {
    using T = decltype(a);
    const T scaled = one ? b : product_of(number_as<T>(attrs.alpha), b);
    if constexpr (is_real<T>) return subtract ? a - scaled : a + scaled;
    else return wrap_add(a, subtract ? wrap_mul(-1, scaled) : scaled);
  }));
  return clamp_result(args, attrs.act_min, attrs.act_max);
}

// floor(a / b) from the exact remainder, so that it agrees with remainder(a, b).
template <typename T>
T floor_quotient(T a, T b) {
  if constexpr (is_real<T>) {
    if (b == 0) return a / b;
    const T mod = std::fmod(a, b);
    T div = (a - mod) / b;
    if (mod != 0 && (b < 0) != (mod < 0)) div -= 1;
    if (div == 0) return std::copysign(T(0), a / b);
    const T whole = std::floor(div);
    return div - whole > T(0.5) ? whole + 1 : whole;
  } else {
    return quotient(a, b) - (rest(a, b) != 0 && (rest(a, b) < 0) != (b < 0) ? 1 : 0);
  }
}

template <typename T>
T truncated_quotient(T a, T b) {
  if constexpr (is_real<T>) return std::trunc(a / b);
  else return quotient(a, b);
}

}  // namespace

Status eval_add(EvalArgs& args) { return add_scaled(args, false); }
Status eval_sub(EvalArgs& args) { return add_scaled(args, true); }

Status eval_mul(EvalArgs& args) {
  ZP_CHECK(map_common<2>(args, [](auto a, auto b) { return product_of(a, b); }));
  const auto& attrs = args.node.attrs<MulAttrs>();
  return clamp_result(args, attrs.act_min, attrs.act_max);
}

Status eval_floor_divide(EvalArgs& args) {
  ZP_CHECK(check_divisor(args));
  return map_common<2>(args, [](auto a, auto b) { return floor_quotient(a, b); });
}

Status eval_div(EvalArgs& args) {
  const std::string_view mode = args.node.attrs<DivAttrs>().rounding_mode;
  if (mode == "floor") return eval_floor_divide(args);
  if (mode == "trunc") {
    ZP_CHECK(check_divisor(args));
    return map_common<2>(args, [](auto a, auto b) { return truncated_quotient(a, b); });
  }
  return map_real<2>(args, [](auto a, auto b) { return a / b; });
}

Status eval_remainder(EvalArgs& args) {
  ZP_CHECK(check_divisor(args));
  return map_common<2>(args, [](auto a, auto b) {
    using T = decltype(a);
    T mod;
    if constexpr (is_real<T>) mod = std::fmod(a, b);
    else mod = rest(a, b);
    if (mod != 0 && (b < 0) != (mod < 0)) mod += b;
    return mod;
  });
}

Status eval_fmod(EvalArgs& args) {
  ZP_CHECK(check_divisor(args));
  return map_common<2>(args, [](auto a, auto b) {
    if constexpr (is_real<decltype(a)>) return std::fmod(a, b);
    else return rest(a, b);
  });
}

namespace {

// By squaring, wrapping; a negative exponent gives 0 except for 1 and -1.
int64_t integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 == 0 ? 1 : -1) : 0;
  int64_t result = 1;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 != 0) result = wrap_mul(result, base);
    base = wrap_mul(base, base);
  }
  return result;
}

// Exponents that are numbers of the program have forms of their own at the source: sqrt, products,
// reciprocals.
template <typename T>
std::optional<T> special_power(T x, double exponent) {
  if (exponent == 0.5) return std::sqrt(x);
  if (exponent == 2) return x * x;
  if (exponent == 3) return x * x * x;
  if (exponent == -0.5) return 1 / std::sqrt(x);
  if (exponent == -1) return 1 / x;
  if (exponent == -2) return 1 / (x * x);
  return std::nullopt;
}

}  // namespace

Status eval_pow(EvalArgs& args) {
  const bool number = is_number(*args.node.operand(1)) && args.in[1]->elements() == 1;
  const double constant = number ? args.in[1]->get_double(0) : 0;
  ZP_TRY(const DType common, common_dtype(args, 0, 2));
  if (number && constant < 0 && !is_float(common))
    return args.node.error("run.power", "integers to a negative power");
  return map_common<2>(args, [=](auto a, auto b) {
    using T = decltype(a);
    if constexpr (is_real<T>) {
      if (number) {
        if (const auto special = special_power(a, constant)) return *special;
      }
      return static_cast<T>(std::pow(static_cast<double>(a), static_cast<double>(b)));
    } else {
      return integer_power(a, b);
    }
  });
}

Status eval_atan2(EvalArgs& args) {
  return map_real_in_double(args, [](double a, double b) { return std::atan2(a, b); });
}
Status eval_hypot(EvalArgs& args) {
  return map_real_in_double(args, [](double a, double b) { return std::hypot(a, b); });
}
Status eval_copysign(EvalArgs& args) {
  return map_real<2>(args, [](auto a, auto b) { return std::copysign(a, b); });
}
Status eval_xlogy(EvalArgs& args) {
  return map_real_in_double(args, [](double a, double b) {
    return b != b ? b : a == 0 ? 0.0 : a * std::log(b);
  });
}
Status eval_logaddexp(EvalArgs& args) {
  return map_real_in_double(args, [](double a, double b) {
    if (std::isinf(a) && a == b) return a;
    return (a < b ? b : a) + std::log1p(std::exp(-std::fabs(a - b)));
  });
}
Status eval_logaddexp2(EvalArgs& args) {
  return map_real_in_double(args, [](double a, double b) {
    if (std::isinf(a) && a == b) return a;
    return (a < b ? b : a) + std::log2(1 + std::exp2(-std::fabs(a - b)));
  });
}

Status eval_addcmul(EvalArgs& args) {
  const Number& value = args.node.attrs<AddcAttrs>().value;
  return map_common<3>(args, [&](auto a, auto b, auto c) {
    using T = decltype(a);
    return sum_of(a, product_of(product_of(number_as<T>(value), b), c));
  });
}

Status eval_addcdiv(EvalArgs& args) {
  const Number& value = args.node.attrs<AddcAttrs>().value;
  return map_real<3>(args, [&](auto a, auto b, auto c) { return a + number_as<decltype(a)>(value) * b / c; });
}

Status eval_lerp(EvalArgs& args) {
  return map_real<3>(args, [](auto start, auto end, auto weight) {
    using T = decltype(start);
    return std::fabs(weight) < T(0.5) ? start + weight * (end - start) : end - (end - start) * (1 - weight);
  });
}

// The weight lies along dim 1: it is read as a tensor of shape [C, 1, 1, ...].
Status eval_prelu(EvalArgs& args) {
  const Tensor& x = *args.in[0];
  if (args.in[1]->elements() != 1 && (x.rank() < 2 || args.in[1]->elements() != x.shape()[1])) {
    return failed(args.node, "c2", "the weight does not fit the channels");
  }
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_float(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor wide, widen_to(x, kDTypeOf<T>));
    ZP_TRY(const Tensor slopes, widen_to(*args.in[1], kDTypeOf<T>));
    std::vector<int64_t> aligned(static_cast<size_t>(x.rank() < 2 ? 1 : x.rank() - 1), 1);
    aligned[0] = slopes.elements();
    if (x.rank() == 0) aligned.clear();
    const Tensor weight = slopes.reshaped(aligned);
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, x.shape()));
    map_broadcast<T, T>(std::array<const Tensor*, 2>{&wide, &weight}, out,
                        [](T a, T w) { return a > 0 ? a : w * a; });
    return finish<T>(args, dtype, out);
  });
}

namespace {

// The larger or smaller; NaN if either is NaN (the first one).
template <typename T>
T larger(T a, T b) {
  return a != a ? a : b != b ? b : a < b ? b : a;
}
template <typename T>
T smaller(T a, T b) {
  return a != a ? a : b != b ? b : b < a ? b : a;
}

}  // namespace

Status eval_maximum(EvalArgs& args) {
  return map_common<2>(args, [](auto a, auto b) { return larger(a, b); });
}
Status eval_minimum(EvalArgs& args) {
  return map_common<2>(args, [](auto a, auto b) { return smaller(a, b); });
}
Status eval_heaviside(EvalArgs& args) {
  return map_common<2>(args, [](auto a, auto b) { return a == 0 ? b : static_cast<decltype(a)>(a > 0); });
}
Status eval_fmax(EvalArgs& args) {
  return map_common<2>(args, [](auto a, auto b) { return a != a ? b : b != b ? a : a < b ? b : a; });
}
Status eval_fmin(EvalArgs& args) {
  return map_common<2>(args, [](auto a, auto b) { return a != a ? b : b != b ? a : b < a ? b : a; });
}

Status eval_clamp_tensor(EvalArgs& args) {
  ZP_TRY(const DType common, common_dtype(args, 0, args.in.size()));
  const DType dtype = result_dtype(args);
  const bool has_high = args.in.size() > 2 && args.in[2] != nullptr,
             has_low = args.in.size() > 1 && args.in[1] != nullptr;
  const Tensor* low = has_low ? args.in[1] : args.in[0];
  const Tensor* high = has_high ? args.in[2] : args.in[0];
  ZP_TRY(const DType computation, computation_type(args, common));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    std::array<Tensor, 3> wide;
    const Tensor* const given[] = {args.in[0], low, high};
    for (size_t k = 0; k < 3; ++k) {
      ZP_TRY(const Tensor narrow, cast_tensor(*given[k], common));
      ZP_TRY(wide[k], widen_to(narrow, kDTypeOf<T>));
    }
    const std::array<const Tensor*, 3> in{&wide[0], &wide[1], &wide[2]};
    ZP_TRY(std::vector<int64_t> shape, common_shape(args, in));
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, std::move(shape)));
    map_broadcast<T, T>(in, out, [&](T x, T l, T h) {
      if (has_low) x = larger(x, l);
      return has_high ? smaller(x, h) : x;
    });
    return finish<T>(args, dtype, out);
  });
}

}  // namespace zp::ops
