// Evaluators of the create cards, in create_eval.cpp, and what inference shares with them.
#pragma once

#include "ir/tensor.h"
#include "ops/create.h"

#define ZP_EVAL(name) eval_##name

namespace zp::ops {

Status eval_arange(EvalArgs& args);
Status eval_linspace(EvalArgs& args);
Status eval_logspace(EvalArgs& args);
Status eval_full(EvalArgs& args);
Status eval_zeros(EvalArgs& args);
Status eval_ones(EvalArgs& args);
Status eval_empty(EvalArgs& args);
Status eval_full_like(EvalArgs& args);
Status eval_zeros_like(EvalArgs& args);
Status eval_ones_like(EvalArgs& args);
Status eval_empty_like(EvalArgs& args);
Status eval_new_full(EvalArgs& args);
Status eval_new_zeros(EvalArgs& args);
Status eval_new_ones(EvalArgs& args);
Status eval_new_empty(EvalArgs& args);
Status eval_scalar_tensor(EvalArgs& args);
Status eval_eye(EvalArgs& args);
Status eval_cast(EvalArgs& args);

// ceil((end - start) / step); checks `arange.c1`.
Result<int64_t> arange_size(const Node& node, const Number& start, const Number& end, const Number& step);
DType arange_dtype(const ArangeAttrs& attrs);

}  // namespace zp::ops
