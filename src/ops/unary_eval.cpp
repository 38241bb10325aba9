// Evaluators of unary mathematics and tests. Functions without an exact float form are computed in f64 and
// rounded once (ops/element_eval.h says why).
#include "ops/unary_eval.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <type_traits>

#include "ops/element_eval.h"
#include "ops/unary.h"

namespace zp::ops {

namespace {

// Integers are whole already; floats are rounded by f.
template <typename F>
Status map_rounding(EvalArgs& args, const F& f) {
  return map_any(args, [&](auto x) {
    if constexpr (std::is_floating_point_v<decltype(x)>) {
      return static_cast<decltype(x)>(f(x));
    } else {
      return x;
    }
  });
}

// Tests that only floats can pass; `integers` is the answer for all others.
template <typename F>
Status map_float_test(EvalArgs& args, bool integers, const F& f) {
  return map_test(args, [&](auto x) {
    if constexpr (std::is_floating_point_v<decltype(x)>) {
      return static_cast<bool>(f(x));
    } else {
      return integers;
    }
  });
}

// Wrapping arithmetic: signed overflow is not defined, unsigned is.
int64_t wrapping_negative(int64_t x) { return static_cast<int64_t>(-static_cast<uint64_t>(x)); }
int64_t wrapping_product(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

double log_gamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

// Halley steps on erfc(x) = 1 - |y|, which keeps its digits near |y| = 1, from a closed approximation (S.
// Winitzki, "A handy approximation for the error function and its inverse", 2008) of relative error below
// 0.002.
double erf_inverse(double y) {
  const double a = std::fabs(y);
  if (!(a < 1))
    return a == 1 ? std::copysign(std::numeric_limits<double>::infinity(), y)
                  : std::numeric_limits<double>::quiet_NaN();
  const double log_term = std::log1p(-a * a), k = 2 / (std::numbers::pi * 0.147) + log_term / 2;
  double x = std::sqrt(std::sqrt(k * k - log_term / 0.147) - k);
  if (a < 1e-4) x = a * std::sqrt(std::numbers::pi) / 2;
  for (int step = 0; step < 4; ++step) {
    const double slope = 2 / std::sqrt(std::numbers::pi) * std::exp(-x * x);
    if (slope == 0) break;
    const double error = (a < 0.5 ? std::erf(x) - a : (1 - a) - std::erfc(x)) / slope;
    x -= error / (1 + x * error);
  }
  return std::copysign(x, y);
}

double sinc_of(double x) {
  const double angle = std::numbers::pi * x;
  return x == 0 ? 1 : std::sin(angle) / angle;
}

}  // namespace

#define ZP_IN_DOUBLE(NAME, EXPRESSION)                               \
  Status eval_##NAME(EvalArgs& args) {                               \
    return map_in_double(args, [](double x) { return EXPRESSION; }); \
  }

ZP_IN_DOUBLE(exp, std::exp(x))
ZP_IN_DOUBLE(exp2, std::exp2(x))
ZP_IN_DOUBLE(expm1, std::expm1(x))
ZP_IN_DOUBLE(log, std::log(x))
ZP_IN_DOUBLE(log2, std::log2(x))
ZP_IN_DOUBLE(log10, std::log10(x))
ZP_IN_DOUBLE(log1p, std::log1p(x))
ZP_IN_DOUBLE(erf, std::erf(x))
ZP_IN_DOUBLE(erfc, std::erfc(x))
ZP_IN_DOUBLE(erfinv, erf_inverse(x))
ZP_IN_DOUBLE(sinc, sinc_of(x))
ZP_IN_DOUBLE(lgamma, log_gamma(x))
ZP_IN_DOUBLE(sin, std::sin(x))
ZP_IN_DOUBLE(cos, std::cos(x))
ZP_IN_DOUBLE(tan, std::tan(x))
ZP_IN_DOUBLE(asin, std::asin(x))
ZP_IN_DOUBLE(acos, std::acos(x))
ZP_IN_DOUBLE(atan, std::atan(x))
ZP_IN_DOUBLE(sinh, std::sinh(x))
ZP_IN_DOUBLE(cosh, std::cosh(x))
ZP_IN_DOUBLE(tanh, std::tanh(x))
ZP_IN_DOUBLE(asinh, std::asinh(x))
ZP_IN_DOUBLE(acosh, std::acosh(x))
ZP_IN_DOUBLE(atanh, std::atanh(x))

// Square roots and divisions are exact in f32, so that is what they are computed in.
Status eval_sqrt(EvalArgs& args) {
  return map_float(args, [](auto x) { return std::sqrt(x); });
}
Status eval_rsqrt(EvalArgs& args) {
  return map_float(args, [](auto x) { return 1 / std::sqrt(x); });
}
Status eval_reciprocal(EvalArgs& args) {
  return map_float(args, [](auto x) { return 1 / x; });
}
Status eval_deg2rad(EvalArgs& args) {
  return map_float(args, [](auto x) { return x * static_cast<decltype(x)>(std::numbers::pi / 180); });
}
Status eval_rad2deg(EvalArgs& args) {
  return map_float(args, [](auto x) { return x * static_cast<decltype(x)>(180 / std::numbers::pi); });
}
Status eval_frac(EvalArgs& args) {
  return map_float(args, [](auto x) { return x - std::trunc(x); });
}

Status eval_abs(EvalArgs& args) {
  return map_any(args, [](auto x) {
    if constexpr (std::is_floating_point_v<decltype(x)>) {
      return std::fabs(x);
    } else {
      return x < 0 ? wrapping_negative(x) : x;
    }
  });
}

Status eval_neg(EvalArgs& args) {
  return map_any(args, [](auto x) {
    if constexpr (std::is_floating_point_v<decltype(x)>) {
      return -x;
    } else {
      return wrapping_negative(x);
    }
  });
}

Status eval_sign(EvalArgs& args) {
  return map_any(args, [](auto x) { return static_cast<decltype(x)>((x > 0) - (x < 0)); });
}
Status eval_sgn(EvalArgs& args) { return eval_sign(args); }

Status eval_square(EvalArgs& args) {
  return map_any(args, [](auto x) {
    if constexpr (std::is_floating_point_v<decltype(x)>) {
      return x * x;
    } else {
      return wrapping_product(x, x);
    }
  });
}

Status eval_floor(EvalArgs& args) {
  return map_rounding(args, [](auto x) { return std::floor(x); });
}
Status eval_ceil(EvalArgs& args) {
  return map_rounding(args, [](auto x) { return std::ceil(x); });
}
Status eval_trunc(EvalArgs& args) {
  return map_rounding(args, [](auto x) { return std::trunc(x); });
}

Status eval_round(EvalArgs& args) {
  const int64_t decimals = args.node.attrs<RoundAttrs>().decimals;
  if (decimals == 0) return map_rounding(args, [](auto x) { return std::nearbyint(x); });
  const double power = std::pow(10.0, std::fabs(static_cast<double>(decimals)));
  return map_rounding(args, [=](auto x) {
    const auto p = static_cast<decltype(x)>(power);
    return decimals > 0 ? std::nearbyint(x * p) / p : std::nearbyint(x / p) * p;
  });
}

Status eval_nan_to_num(EvalArgs& args) {
  const auto& attrs = args.node.attrs<NanToNumAttrs>();
  double largest = std::numeric_limits<double>::max();
  switch (result_dtype(args)) {
    case DType::F16: largest = 65504; break;
    case DType::BF16: largest = 0x1.fep127; break;
    case DType::F32: largest = std::numeric_limits<float>::max(); break;
    default: break;
  }
  const double nan = attrs.nan.value_or(0), posinf = attrs.posinf.value_or(largest),
               neginf = attrs.neginf.value_or(-largest);
  return map_rounding(args, [=](auto x) {
    using T = decltype(x);
    if (x != x) return static_cast<T>(nan);
    if (x == std::numeric_limits<T>::infinity()) return static_cast<T>(posinf);
    if (x == -std::numeric_limits<T>::infinity()) return static_cast<T>(neginf);
    return x;
  });
}

Status eval_isnan(EvalArgs& args) {
  return map_float_test(args, false, [](auto x) { return x != x; });
}
Status eval_isinf(EvalArgs& args) {
  return map_float_test(args, false, [](auto x) { return std::isinf(x); });
}
Status eval_isfinite(EvalArgs& args) {
  return map_float_test(args, true, [](auto x) { return std::isfinite(x); });
}
Status eval_isposinf(EvalArgs& args) {
  return map_float_test(args, false, [](auto x) { return std::isinf(x) && x > 0; });
}
Status eval_isneginf(EvalArgs& args) {
  return map_float_test(args, false, [](auto x) { return std::isinf(x) && x < 0; });
}

Status eval_signbit(EvalArgs& args) {
  return map_test(args, [](auto x) {
    if constexpr (std::is_floating_point_v<decltype(x)>) {
      return std::signbit(x);
    } else {
      return x < 0;
    }
  });
}

Status eval_logical_not(EvalArgs& args) {
  return map_test(args, [](auto x) { return x == 0; });
}

Status eval_bitwise_not(EvalArgs& args) {
  const bool of_bool = result_dtype(args) == DType::Bool;
  return map_any(args, [=](auto x) {
    const auto bits = static_cast<int64_t>(x);
    return static_cast<decltype(x)>(of_bool ? int64_t{bits == 0} : ~bits);
  });
}

}  // namespace zp::ops
