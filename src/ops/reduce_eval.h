// Evaluators of the reduce cards, in reduce_eval.cpp (reductions), search_eval.cpp (extrema with indices,
// sorting) and scan_eval.cpp (running sums and extrema), and what inference shares with them.
#pragma once

#include <span>
#include <vector>

#include "ir/tensor.h"

#define ZP_EVAL(name) eval_##name

namespace zp::ops {

// The reduced dims, sorted: all of them when `dims` is empty. Checks `<op>.c1`.
Result<std::vector<int64_t>> reduced_dims(const Node& node, List<int64_t> dims, int64_t rank);

Status eval_sum(EvalArgs& args);
Status eval_mean(EvalArgs& args);
Status eval_prod(EvalArgs& args);
Status eval_nansum(EvalArgs& args);
Status eval_amax(EvalArgs& args);
Status eval_amin(EvalArgs& args);
Status eval_any(EvalArgs& args);
Status eval_all(EvalArgs& args);
Status eval_count_nonzero(EvalArgs& args);
Status eval_logsumexp(EvalArgs& args);
Status eval_var(EvalArgs& args);
Status eval_std(EvalArgs& args);
Status eval_var_mean(EvalArgs& args);
Status eval_std_mean(EvalArgs& args);
Status eval_linalg_vector_norm(EvalArgs& args);
Status eval_max(EvalArgs& args);
Status eval_min(EvalArgs& args);
Status eval_median(EvalArgs& args);
Status eval_kthvalue(EvalArgs& args);
Status eval_aminmax(EvalArgs& args);
Status eval_argmax(EvalArgs& args);
Status eval_argmin(EvalArgs& args);
Status eval_cumsum(EvalArgs& args);
Status eval_cumprod(EvalArgs& args);
Status eval_logcumsumexp(EvalArgs& args);
Status eval_cummax(EvalArgs& args);
Status eval_cummin(EvalArgs& args);
Status eval_topk(EvalArgs& args);
Status eval_sort(EvalArgs& args);
Status eval_argsort(EvalArgs& args);
Status eval_diff(EvalArgs& args);
Status eval_bucketize(EvalArgs& args);

}  // namespace zp::ops
