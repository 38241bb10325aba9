// Evaluators of the softmax cards, in softmax_eval.cpp.
#pragma once

#include "ir/tensor.h"

#define ZP_EVAL(name) eval_##name

namespace zp::ops {

Status eval_softmax(EvalArgs& args);
Status eval_safe_softmax(EvalArgs& args);
Status eval_log_softmax(EvalArgs& args);

}  // namespace zp::ops
