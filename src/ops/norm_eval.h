// Evaluators of the norm cards, in norm_eval.cpp.
#pragma once

#include "ir/tensor.h"

#define ZP_EVAL(name) eval_##name

namespace zp::ops {

Status eval_batch_norm(EvalArgs& args);
Status eval_native_batch_norm(EvalArgs& args);
Status eval_layer_norm(EvalArgs& args);
Status eval_native_layer_norm(EvalArgs& args);
Status eval_group_norm(EvalArgs& args);
Status eval_native_group_norm(EvalArgs& args);
Status eval_instance_norm(EvalArgs& args);
Status eval_rms_norm(EvalArgs& args);
Status eval_native_rms_norm(EvalArgs& args);

}  // namespace zp::ops
