// Cards and inference of the elementwise ops of one operand.
#include "ops/unary.h"

#include <fmt/format.h>

#include "ops/infer_util.h"
#include "ops/ops.h"
#include "ops/promote.h"
#include "ops/unary_eval.h"

namespace zp::ops {

namespace {

std::string real_name(const Node& node, size_t i) {
  return std::string(dtype_name(node.operand(i)->type().real_dtype()));
}

// Float functions: integers and bools become f32, floats stay.
Status infer_float_function(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type& x = node.operand(0)->type();
  const DType d = x.real_dtype();
  return set_result_like(node, 0, is_float(d) || is_complex(d) ? d : DType::F32, x);
}

Status infer_float_only(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type& x = node.operand(0)->type();
  if (!is_float(x.real_dtype()))
    return failed(node, "c1", fmt::format("elements are {}, a float type is needed", real_name(node, 0)));
  return set_result_like(node, 0, x.real_dtype(), x);
}

Status infer_same(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type& x = node.operand(0)->type();
  return set_result_like(node, 0, x.real_dtype(), x);
}

Status infer_number(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type& x = node.operand(0)->type();
  if (x.real_dtype() == DType::Bool) return failed(node, "c1", "elements are bool, numbers are needed");
  return set_result_like(node, 0, x.real_dtype(), x);
}

Status infer_integer(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type& x = node.operand(0)->type();
  if (!is_integer(x.real_dtype()) && x.real_dtype() != DType::Bool) {
    return failed(node, "c1",
                  fmt::format("elements are {}, an integer type or bool is needed", real_name(node, 0)));
  }
  return set_result_like(node, 0, x.real_dtype(), x);
}

Status infer_test(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  return set_result_like(node, 0, DType::Bool, node.operand(0)->type());
}

Status infer_gelu(Context& context, Node& node) {
  const std::string_view kind = node.attrs<GeluAttrs>().approximate;
  if (kind != "none" && kind != "tanh")
    return failed(node, "c2", fmt::format("approximate is '{}', not none or tanh", kind));
  return infer_float_only(context, node);
}

Status infer_clamp(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& attrs = node.attrs<ClampAttrs>();
  if (!attrs.min && !attrs.max) return failed(node, "c1", "neither min nor max is given");
  std::vector<PromotedOperand> all{promoted_operand(*node.operand(0))};
  if (attrs.min) all.push_back(promoted_operand(*attrs.min));
  if (attrs.max) all.push_back(promoted_operand(*attrs.max));
  const auto dtype = promote(all);
  if (!dtype || is_complex(*dtype))
    return failed(node, "c2", fmt::format("elements are {}, real numbers are needed", real_name(node, 0)));
  return set_result_like(node, 0, *dtype, node.operand(0)->type());
}

Status infer_glu(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type& x = node.operand(0)->type();
  if (!is_float(x.real_dtype()))
    return failed(node, "c1", fmt::format("elements are {}, a float type is needed", real_name(node, 0)));
  if (!x.ranked) return set_unranked_result(node, 0, x.real_dtype());
  if (x.rank() == 0) return failed(node, "c2", "the tensor has no dims");
  ZP_TRY(const int64_t dim, normalize_dim(node, "c2", node.attrs<GluAttrs>().dim, x.rank()));
  std::vector<Dim> shape = x.shape.vec();
  Dim& half = shape[static_cast<size_t>(dim)];
  if (half.is_known() && half.value() % 2 != 0)
    return failed(node, "c3",
                  fmt::format("dim {} has {} elements, an even number is needed", dim, half.value()));
  half = node.context().dims().floordiv(half, Dim(2));
  return set_result(node, 0, x.real_dtype(), shape);
}

constexpr std::string_view kFloatOnlyChecks[] = {"c1: elements are a float type"};
constexpr std::string_view kNumberChecks[] = {"c1: elements are numbers, not bool"};
constexpr std::string_view kIntegerChecks[] = {"c1: elements are integers or bool"};
constexpr std::string_view kGeluChecks[] = {"c1: elements are a float type",
                                            "c2: approximate is none or tanh"};
constexpr std::string_view kClampChecks[] = {"c1: min or max is given",
                                             "c2: elements and bounds are real numbers"};
constexpr std::string_view kGluChecks[] = {"c1: elements are a float type", "c2: dim is a dim of the tensor",
                                           "c3: its extent is even"};

constexpr uint32_t kTable = kPointwise | kIntegerForm;  // 8-bit forms are a table of 256 entries
constexpr uint32_t kMonotoneTable = kTable | kMonotone;

}  // namespace

// The doc of each card is its formula; x is an element of the operand.
#define ZP_UNARY(NAME, INFER, TRAIT, FLAGS, CHECKS, DOC)  \
  constinit const OpDef NAME = {.name = #NAME,            \
                                .doc = DOC,               \
                                .operands = kSelfOperand, \
                                .results = kOneResult,    \
                                .trait = Trait::TRAIT,    \
                                .flags = FLAGS,           \
                                .infer = INFER,           \
                                .eval = ZP_EVAL(NAME),    \
                                .checks = CHECKS}
#define ZP_UNARY_ATTRS(NAME, ATTRS, INFER, TRAIT, FLAGS, CHECKS, DOC) \
  constinit const OpDef NAME = {.name = #NAME,                        \
                                .doc = DOC,                           \
                                .operands = kSelfOperand,             \
                                .results = kOneResult,                \
                                .attrs = &attrs_of<ATTRS>,            \
                                .trait = Trait::TRAIT,                \
                                .flags = FLAGS,                       \
                                .infer = INFER,                       \
                                .eval = ZP_EVAL(NAME),                \
                                .checks = CHECKS}
#define ZP_NONE List<std::string_view>()

// Clamps.
ZP_UNARY(relu, infer_number, SharesQparams, kMonotoneTable, kNumberChecks,
         "Rectifier: max(x, 0); NaN stays NaN and -0.0 stays -0.0");
ZP_UNARY_ATTRS(hardtanh, HardtanhAttrs, infer_number, SharesQparams, kMonotoneTable, kNumberChecks,
               "Clamp to constants: min(max(x, min_val), max_val); NaN stays NaN");
ZP_UNARY_ATTRS(clamp, ClampAttrs, infer_clamp, SharesQparams, kMonotoneTable, kClampChecks,
               "Clamp to the given bounds: min(max(x, min), max), so max where min > max; NaN stays NaN");
ZP_UNARY_ATTRS(threshold, ThresholdAttrs, infer_number, Rescales, kTable, kNumberChecks,
               "x where x > threshold or NaN, else value");

// Activations.
ZP_UNARY(sigmoid, infer_float_function, FixedResult, kMonotoneTable, ZP_NONE,
         "Logistic function: 1 / (1 + exp(-x))");
ZP_UNARY(tanh, infer_float_function, FixedResult, kMonotoneTable, ZP_NONE, "Hyperbolic tangent");
ZP_UNARY(hardsigmoid, infer_float_only, FixedResult, kMonotoneTable, kFloatOnlyChecks,
         "min(max(x + 3, 0), 6) / 6");
ZP_UNARY(hardswish, infer_float_only, Rescales, kTable, kFloatOnlyChecks, "x * min(max(x + 3, 0), 6) / 6");
ZP_UNARY_ATTRS(gelu, GeluAttrs, infer_gelu, Rescales, kTable, kGeluChecks,
               "Gaussian error linear unit: x / 2 * (1 + erf(x / sqrt(2))), or with approximate tanh: "
               "x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))");
ZP_UNARY(silu, infer_float_only, Rescales, kTable, kFloatOnlyChecks, "x / (1 + exp(-x))");
ZP_UNARY(mish, infer_float_only, Rescales, kTable, kFloatOnlyChecks, "x * tanh(log(1 + exp(x)))");
ZP_UNARY_ATTRS(leaky_relu, LeakyReluAttrs, infer_float_only, Rescales, kTable, kFloatOnlyChecks,
               "x where x > 0, else x * negative_slope");
ZP_UNARY_ATTRS(elu, EluAttrs, infer_float_only, Rescales, kTable, kFloatOnlyChecks,
               "x * scale where x > 0, else alpha * scale * (exp(x * input_scale) - 1)");
ZP_UNARY_ATTRS(celu, CeluAttrs, infer_float_only, Rescales, kTable, kFloatOnlyChecks,
               "x where x > 0, else alpha * (exp(x / alpha) - 1)");
ZP_UNARY(selu, infer_float_only, Rescales, kTable, kFloatOnlyChecks,
         "1.0507009873554804934193349852946 * (x where x > 0, else 1.6732632423543772848170429916717 * "
         "(exp(x) - 1))");
ZP_UNARY_ATTRS(softplus, SoftplusAttrs, infer_float_only, Rescales, kTable, kFloatOnlyChecks,
               "log(1 + exp(x * beta)) / beta, and x where x * beta > threshold");
ZP_UNARY(log_sigmoid, infer_float_only, Rescales, kMonotoneTable, kFloatOnlyChecks,
         "min(x, 0) - log(1 + exp(-|x|))");
ZP_UNARY_ATTRS(hardshrink, ShrinkAttrs, infer_float_only, Rescales, kTable, kFloatOnlyChecks,
               "0 where -lambd <= x <= lambd, else x");
ZP_UNARY_ATTRS(softshrink, ShrinkAttrs, infer_float_only, Rescales, kTable, kFloatOnlyChecks,
               "x - lambd where x > lambd, x + lambd where x < -lambd, else 0");
ZP_UNARY_ATTRS(glu, GluAttrs, infer_glu, FloatOnly, 0, kGluChecks,
               "Gated linear unit: a * sigmoid(b), a and b the halves of `self` along dim");
ZP_UNARY_ATTRS(logit, LogitAttrs, infer_float_function, Rescales, kTable, ZP_NONE,
               "log(z / (1 - z)), z = x clamped to eps..1 - eps if eps is given");

// Mathematics.
ZP_UNARY(sqrt, infer_float_function, Rescales, kTable, ZP_NONE, "Square root; NaN below 0");
ZP_UNARY(rsqrt, infer_float_function, Rescales, kTable, ZP_NONE, "1 / sqrt(x)");
ZP_UNARY(reciprocal, infer_float_function, Rescales, kTable, ZP_NONE, "1 / x");
ZP_UNARY(exp, infer_float_function, Rescales, kMonotoneTable, ZP_NONE, "e^x");
ZP_UNARY(exp2, infer_float_function, Rescales, kMonotoneTable, ZP_NONE, "2^x");
ZP_UNARY(expm1, infer_float_function, Rescales, kMonotoneTable, ZP_NONE, "e^x - 1 without cancellation");
ZP_UNARY(log, infer_float_function, Rescales, kTable, ZP_NONE, "Natural logarithm; -inf at 0, NaN below");
ZP_UNARY(log2, infer_float_function, Rescales, kTable, ZP_NONE, "Logarithm to base 2");
ZP_UNARY(log10, infer_float_function, Rescales, kTable, ZP_NONE, "Logarithm to base 10");
ZP_UNARY(log1p, infer_float_function, Rescales, kTable, ZP_NONE, "log(1 + x) without cancellation");
ZP_UNARY(erf, infer_float_function, Rescales, kMonotoneTable, ZP_NONE,
         "Error function: 2 / sqrt(pi) * integral of exp(-t^2) over 0..x");
ZP_UNARY(erfc, infer_float_function, Rescales, kTable, ZP_NONE, "1 - erf(x) without cancellation");
ZP_UNARY(erfinv, infer_float_function, Rescales, kTable, ZP_NONE,
         "The inverse of erf; infinite at -1 and 1, NaN beyond");
ZP_UNARY(lgamma, infer_float_function, Rescales, kTable, ZP_NONE, "Logarithm of |gamma(x)|");
ZP_UNARY(sin, infer_float_function, Rescales, kTable, ZP_NONE, "Sine of x in radians");
ZP_UNARY(cos, infer_float_function, Rescales, kTable, ZP_NONE, "Cosine of x in radians");
ZP_UNARY(tan, infer_float_function, Rescales, kTable, ZP_NONE, "Tangent of x in radians");
ZP_UNARY(sinc, infer_float_function, Rescales, kTable, ZP_NONE, "sin(pi x) / (pi x), 1 at 0");
ZP_UNARY(asin, infer_float_function, Rescales, kTable, ZP_NONE, "Arc sine; NaN outside -1..1");
ZP_UNARY(acos, infer_float_function, Rescales, kTable, ZP_NONE, "Arc cosine; NaN outside -1..1");
ZP_UNARY(atan, infer_float_function, Rescales, kMonotoneTable, ZP_NONE, "Arc tangent");
ZP_UNARY(sinh, infer_float_function, Rescales, kMonotoneTable, ZP_NONE, "Hyperbolic sine");
ZP_UNARY(cosh, infer_float_function, Rescales, kTable, ZP_NONE, "Hyperbolic cosine");
ZP_UNARY(asinh, infer_float_function, Rescales, kMonotoneTable, ZP_NONE, "Inverse hyperbolic sine");
ZP_UNARY(acosh, infer_float_function, Rescales, kTable, ZP_NONE, "Inverse hyperbolic cosine; NaN below 1");
ZP_UNARY(atanh, infer_float_function, Rescales, kTable, ZP_NONE,
         "Inverse hyperbolic tangent; NaN outside -1..1");
ZP_UNARY(deg2rad, infer_float_function, Rescales, kMonotoneTable, ZP_NONE, "x * pi / 180");
ZP_UNARY(rad2deg, infer_float_function, Rescales, kMonotoneTable, ZP_NONE, "x * 180 / pi");
ZP_UNARY(abs, infer_number, Rescales, kTable, kNumberChecks, "|x|; the smallest signed integer stays itself");
ZP_UNARY(neg, infer_number, Rescales, kTable, kNumberChecks, "-x; integers wrap");
ZP_UNARY(sign, infer_same, Rescales, kMonotoneTable, ZP_NONE, "-1, 0 or 1; NaN gives 0");
ZP_UNARY(sgn, infer_same, Rescales, kMonotoneTable, ZP_NONE, "-1, 0 or 1; NaN gives 0");
ZP_UNARY(square, infer_number, Rescales, kTable, kNumberChecks, "x * x");
ZP_UNARY(floor, infer_number, Rescales, kMonotoneTable, kNumberChecks, "Largest integer not above x");
ZP_UNARY(ceil, infer_number, Rescales, kMonotoneTable, kNumberChecks, "Smallest integer not below x");
ZP_UNARY(trunc, infer_number, Rescales, kMonotoneTable, kNumberChecks, "The integer part of x");
ZP_UNARY(frac, infer_float_only, Rescales, kTable, kFloatOnlyChecks, "x - trunc(x)");
ZP_UNARY_ATTRS(round, RoundAttrs, infer_number, Rescales, kMonotoneTable, kNumberChecks,
               "Nearest integer, halves to even; with decimals d: round(x * 10^d) / 10^d");
ZP_UNARY_ATTRS(
    nan_to_num, NanToNumAttrs, infer_same, Rescales, kTable, ZP_NONE,
    "NaN becomes `nan` (0), infinities `posinf` and `neginf` (the largest and smallest finite number)");

// Tests and logic.
ZP_UNARY(isnan, infer_test, Never, kPointwise, ZP_NONE, "True where x is NaN");
ZP_UNARY(isinf, infer_test, Never, kPointwise, ZP_NONE, "True where x is an infinity");
ZP_UNARY(isfinite, infer_test, Never, kPointwise, ZP_NONE, "True where x is neither NaN nor an infinity");
ZP_UNARY(isposinf, infer_test, Never, kPointwise, ZP_NONE, "True where x is +infinity");
ZP_UNARY(isneginf, infer_test, Never, kPointwise, ZP_NONE, "True where x is -infinity");
ZP_UNARY(signbit, infer_test, Never, kPointwise, ZP_NONE,
         "True where the sign of x is negative, -0.0 included");
ZP_UNARY(logical_not, infer_test, Never, kPointwise, ZP_NONE, "True where x is 0");
ZP_UNARY(bitwise_not, infer_integer, Never, kPointwise, kIntegerChecks, "All bits inverted; of bool: not x");

}  // namespace zp::ops
