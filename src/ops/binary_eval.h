// Evaluators of the binary cards, in binary_eval.cpp and compare_eval.cpp.
#pragma once

#include "ir/tensor.h"

#define ZP_EVAL(name) eval_##name

namespace zp::ops {

Status eval_add(EvalArgs& args);
Status eval_sub(EvalArgs& args);
Status eval_mul(EvalArgs& args);
Status eval_div(EvalArgs& args);
Status eval_floor_divide(EvalArgs& args);
Status eval_remainder(EvalArgs& args);
Status eval_fmod(EvalArgs& args);
Status eval_pow(EvalArgs& args);
Status eval_atan2(EvalArgs& args);
Status eval_hypot(EvalArgs& args);
Status eval_copysign(EvalArgs& args);
Status eval_xlogy(EvalArgs& args);
Status eval_logaddexp(EvalArgs& args);
Status eval_logaddexp2(EvalArgs& args);
Status eval_addcmul(EvalArgs& args);
Status eval_addcdiv(EvalArgs& args);
Status eval_lerp(EvalArgs& args);
Status eval_prelu(EvalArgs& args);
Status eval_maximum(EvalArgs& args);
Status eval_minimum(EvalArgs& args);
Status eval_heaviside(EvalArgs& args);
Status eval_fmax(EvalArgs& args);
Status eval_fmin(EvalArgs& args);
Status eval_clamp_tensor(EvalArgs& args);
Status eval_where(EvalArgs& args);
Status eval_masked_fill(EvalArgs& args);
Status eval_copy(EvalArgs& args);
Status eval_fill(EvalArgs& args);
Status eval_bitwise_and(EvalArgs& args);
Status eval_bitwise_or(EvalArgs& args);
Status eval_bitwise_xor(EvalArgs& args);
Status eval_bitwise_left_shift(EvalArgs& args);
Status eval_bitwise_right_shift(EvalArgs& args);
Status eval_eq(EvalArgs& args);
Status eval_ne(EvalArgs& args);
Status eval_lt(EvalArgs& args);
Status eval_le(EvalArgs& args);
Status eval_gt(EvalArgs& args);
Status eval_ge(EvalArgs& args);
Status eval_logical_and(EvalArgs& args);
Status eval_logical_or(EvalArgs& args);
Status eval_logical_xor(EvalArgs& args);

}  // namespace zp::ops
