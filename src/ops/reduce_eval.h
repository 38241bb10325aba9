// Evaluators of the reduce cards, in reduce_eval.cpp and search_eval.cpp, and what inference shares with them.
#pragma once

#include <span>
#include <vector>

#include "ir/tensor.h"

#define ZP_EVAL(name) nullptr

namespace zp::ops {

// The reduced dims, sorted: all of them when `dims` is empty. Checks `<op>.c1`.
Result<std::vector<int64_t>> reduced_dims(const Node& node, List<int64_t> dims, int64_t rank);

}  // namespace zp::ops
