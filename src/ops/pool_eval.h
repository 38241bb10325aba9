// Evaluators of the pool cards, in pool_eval.cpp; one serves the cards of all ranks.
#pragma once

#include "ir/tensor.h"

#define ZP_EVAL(name) eval_##name

namespace zp::ops {

Status eval_max_pool(EvalArgs& args);
Status eval_avg_pool(EvalArgs& args);
Status eval_adaptive_avg_pool(EvalArgs& args);
Status eval_adaptive_max_pool(EvalArgs& args);
Status eval_im2col(EvalArgs& args);
Status eval_col2im(EvalArgs& args);

}  // namespace zp::ops
