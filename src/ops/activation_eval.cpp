// Evaluators of clamps and activations. What is a few float operations at the source is that here, in the
// same order; what needs exp, tanh or erf is computed in f64 and rounded once (ops/element_eval.h says why).
#include <cmath>
#include <numbers>
#include <type_traits>

#include "ops/cut_to_int.h"
#include "ops/element_eval.h"
#include "ops/infer_util.h"
#include "ops/unary.h"
#include "ops/unary_eval.h"

namespace zp::ops {

namespace {

// A number as the computation type sees it.
template <typename T>
T number_as(const Number& n) {
  if constexpr (std::is_same_v<T, int64_t>) {
    return n.kind == Number::Float ? cut_to_int(n.f) : n.i;
  } else {
    return static_cast<T>(n.as_double());
  }
}

// NaN stays NaN, because comparisons with it are false; -0.0 stays -0.0 between 0 and 0.
template <typename T>
T clamp_low(T x, T low) {
  return x < low ? low : x;
}
template <typename T>
T clamp_high(T x, T high) {
  return x > high ? high : x;
}

}  // namespace

Status eval_relu(EvalArgs& args) {
  return map_any(args, [](auto x) { return clamp_low(x, decltype(x)(0)); });
}

Status eval_hardtanh(EvalArgs& args) {
  const auto& attrs = args.node.attrs<HardtanhAttrs>();
  return map_any(args, [&](auto x) {
    using T = decltype(x);
    return clamp_high(clamp_low(x, number_as<T>(attrs.min_val)), number_as<T>(attrs.max_val));
  });
}

Status eval_clamp(EvalArgs& args) {
  const auto& attrs = args.node.attrs<ClampAttrs>();
  // A bound of NaN makes everything NaN.
  for (const auto& bound : {attrs.min, attrs.max}) {
    if (bound && bound->kind == Number::Float && bound->f != bound->f) {
      return map_float(args, [&](auto x) { return x - x + static_cast<decltype(x)>(bound->f); });
    }
  }
  return map_any(args, [&](auto x) {
    using T = decltype(x);
    if (attrs.min) x = clamp_low(x, number_as<T>(*attrs.min));
    if (attrs.max) x = clamp_high(x, number_as<T>(*attrs.max));
    return x;
  });
}

Status eval_threshold(EvalArgs& args) {
  const auto& attrs = args.node.attrs<ThresholdAttrs>();
  return map_any(args, [&](auto x) {
    using T = decltype(x);
    return x <= number_as<T>(attrs.threshold) ? number_as<T>(attrs.value) : x;
  });
}

Status eval_sigmoid(EvalArgs& args) {
  return map_in_double(args, [](double x) { return 1 / (1 + std::exp(-x)); });
}

Status eval_hardsigmoid(EvalArgs& args) {
  return map_float(args, [](auto x) {
    using T = decltype(x);
    return clamp_high(clamp_low(x + T(3), T(0)), T(6)) / T(6);
  });
}

Status eval_hardswish(EvalArgs& args) {
  return map_float(args, [](auto x) {
    using T = decltype(x);
    return x * clamp_high(clamp_low(x + T(3), T(0)), T(6)) / T(6);
  });
}

Status eval_gelu(EvalArgs& args) {
  if (args.node.attrs<GeluAttrs>().approximate == "tanh") {
    return map_in_double(args, [](double x) {
      const double inner = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
      return 0.5 * x * (1 + std::tanh(inner));
    });
  }
  // erfc keeps the small values of the negative side exact where 1 + erf would cancel.
  return map_in_double(args, [](double x) { return 0.5 * x * std::erfc(-x / std::numbers::sqrt2); });
}

Status eval_silu(EvalArgs& args) {
  return map_in_double(args, [](double x) { return x / (1 + std::exp(-x)); });
}

Status eval_mish(EvalArgs& args) {
  return map_in_double(args, [](double x) { return x * std::tanh(std::log1p(std::exp(x))); });
}

Status eval_leaky_relu(EvalArgs& args) {
  const double slope = args.node.attrs<LeakyReluAttrs>().negative_slope.as_double();
  return map_float(args, [=](auto x) { return x > 0 ? x : x * static_cast<decltype(x)>(slope); });
}

namespace {

// x > 0 ? x * positive : negative * (exp(x * input) - 1); NaN stays NaN. The factors are rounded to the type
// first.
Status map_elu(EvalArgs& args, double negative, double positive, double input) {
  return map_float(args, [=](auto x) {
    using T = decltype(x);
    if (x > 0) return x * static_cast<T>(positive);
    return static_cast<T>(std::expm1(static_cast<double>(x * static_cast<T>(input)))) *
           static_cast<T>(negative);
  });
}

}  // namespace

Status eval_elu(EvalArgs& args) {
  const auto& attrs = args.node.attrs<EluAttrs>();
  const double scale = attrs.scale.as_double();
  return map_elu(args, attrs.alpha.as_double() * scale, scale, attrs.input_scale.as_double());
}

Status eval_celu(EvalArgs& args) {
  const double alpha = args.node.attrs<CeluAttrs>().alpha.as_double();
  return map_elu(args, alpha, 1, 1 / alpha);
}

Status eval_selu(EvalArgs& args) {
  constexpr double kAlpha = 1.6732632423543772848170429916717, kScale = 1.0507009873554804934193349852946;
  return map_elu(args, kAlpha * kScale, kScale, 1);
}

Status eval_softplus(EvalArgs& args) {
  const auto& attrs = args.node.attrs<SoftplusAttrs>();
  const double beta = attrs.beta.as_double(), threshold = attrs.threshold.as_double();
  return map_in_double(
      args, [=](double x) { return x * beta > threshold ? x : std::log1p(std::exp(x * beta)) / beta; });
}

Status eval_log_sigmoid(EvalArgs& args) {
  return map_in_double(args,
                       [](double x) { return clamp_high(x, 0.0) - std::log1p(std::exp(-std::fabs(x))); });
}

Status eval_hardshrink(EvalArgs& args) {
  const double bound = args.node.attrs<ShrinkAttrs>().lambd.as_double();
  return map_float(args, [=](auto x) {
    using T = decltype(x);
    return x >= static_cast<T>(-bound) && x <= static_cast<T>(bound) ? T(0) : x;
  });
}

Status eval_softshrink(EvalArgs& args) {
  const double bound = args.node.attrs<ShrinkAttrs>().lambd.as_double();
  return map_float(args, [=](auto x) {
    using T = decltype(x);
    const T b = static_cast<T>(bound);
    return x > b ? x - b : x < -b ? x + b : x == x ? T(0) : x;
  });
}

Status eval_logit(EvalArgs& args) {
  const auto eps = args.node.attrs<LogitAttrs>().eps;
  return map_float(args, [=](auto x) {
    using T = decltype(x);
    if (eps) x = clamp_high(clamp_low(x, static_cast<T>(*eps)), static_cast<T>(1 - *eps));
    const auto z = static_cast<double>(x);
    return static_cast<T>(std::log(z / (1 - z)));
  });
}

// a * sigmoid(b); a and b are the halves along dim, so each outer index holds 2 * run elements.
Status eval_glu(EvalArgs& args) {
  const std::vector<int64_t> in_shape = args.in[0]->shape();
  ZP_TRY(const int64_t dim,
         normalize_dim(args.node, "c2", args.node.attrs<GluAttrs>().dim, args.in[0]->rank()));
  const auto d = static_cast<size_t>(dim);
  if (d >= in_shape.size() || in_shape[d] % 2 != 0)
    return failed(args.node, "c3", "the halves are of unequal size");
  std::vector<int64_t> shape = in_shape;
  shape[d] /= 2;
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_float(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, shape));
    const int64_t run = out.elements() == 0 ? 1 : product(shape, d, shape.size());
    for (int64_t i = 0; i < out.elements(); ++i) {
      const int64_t at = i / run * 2 * run + i % run;
      const auto gate = static_cast<double>(x.data<T>()[at + run]);
      out.mutable_data<T>()[i] = x.data<T>()[at] * static_cast<T>(1 / (1 + std::exp(-gate)));
    }
    return finish<T>(args, dtype, out);
  });
}

}  // namespace zp::ops
