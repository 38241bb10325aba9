// Evaluators of the unary cards, in unary_eval.cpp and activation_eval.cpp.
#pragma once

#include "ir/tensor.h"

#define ZP_EVAL(name) eval_##name

namespace zp::ops {

Status eval_relu(EvalArgs& args);
Status eval_hardtanh(EvalArgs& args);
Status eval_clamp(EvalArgs& args);
Status eval_threshold(EvalArgs& args);
Status eval_sigmoid(EvalArgs& args);
Status eval_tanh(EvalArgs& args);
Status eval_hardsigmoid(EvalArgs& args);
Status eval_hardswish(EvalArgs& args);
Status eval_gelu(EvalArgs& args);
Status eval_silu(EvalArgs& args);
Status eval_mish(EvalArgs& args);
Status eval_leaky_relu(EvalArgs& args);
Status eval_elu(EvalArgs& args);
Status eval_celu(EvalArgs& args);
Status eval_selu(EvalArgs& args);
Status eval_softplus(EvalArgs& args);
Status eval_log_sigmoid(EvalArgs& args);
Status eval_hardshrink(EvalArgs& args);
Status eval_softshrink(EvalArgs& args);
Status eval_glu(EvalArgs& args);
Status eval_logit(EvalArgs& args);
Status eval_sqrt(EvalArgs& args);
Status eval_rsqrt(EvalArgs& args);
Status eval_reciprocal(EvalArgs& args);
Status eval_exp(EvalArgs& args);
Status eval_exp2(EvalArgs& args);
Status eval_expm1(EvalArgs& args);
Status eval_log(EvalArgs& args);
Status eval_log2(EvalArgs& args);
Status eval_log10(EvalArgs& args);
Status eval_log1p(EvalArgs& args);
Status eval_erf(EvalArgs& args);
Status eval_erfc(EvalArgs& args);
Status eval_erfinv(EvalArgs& args);
Status eval_lgamma(EvalArgs& args);
Status eval_sin(EvalArgs& args);
Status eval_cos(EvalArgs& args);
Status eval_tan(EvalArgs& args);
Status eval_sinc(EvalArgs& args);
Status eval_asin(EvalArgs& args);
Status eval_acos(EvalArgs& args);
Status eval_atan(EvalArgs& args);
Status eval_sinh(EvalArgs& args);
Status eval_cosh(EvalArgs& args);
Status eval_asinh(EvalArgs& args);
Status eval_acosh(EvalArgs& args);
Status eval_atanh(EvalArgs& args);
Status eval_deg2rad(EvalArgs& args);
Status eval_rad2deg(EvalArgs& args);
Status eval_abs(EvalArgs& args);
Status eval_neg(EvalArgs& args);
Status eval_sign(EvalArgs& args);
Status eval_sgn(EvalArgs& args);
Status eval_square(EvalArgs& args);
Status eval_floor(EvalArgs& args);
Status eval_ceil(EvalArgs& args);
Status eval_trunc(EvalArgs& args);
Status eval_frac(EvalArgs& args);
Status eval_round(EvalArgs& args);
Status eval_nan_to_num(EvalArgs& args);
Status eval_isnan(EvalArgs& args);
Status eval_isinf(EvalArgs& args);
Status eval_isfinite(EvalArgs& args);
Status eval_isposinf(EvalArgs& args);
Status eval_isneginf(EvalArgs& args);
Status eval_signbit(EvalArgs& args);
Status eval_logical_not(EvalArgs& args);
Status eval_bitwise_not(EvalArgs& args);

}  // namespace zp::ops
