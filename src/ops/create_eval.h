// Evaluators of the create cards, in create_eval.cpp, and what inference shares with them.
#pragma once

#include "ir/tensor.h"
#include "ops/create.h"

#define ZP_EVAL(name) nullptr

namespace zp::ops {

// ceil((end - start) / step); checks `arange.c1`.
Result<int64_t> arange_size(const Node& node, const Number& start, const Number& end, const Number& step);
DType arange_dtype(const ArangeAttrs& attrs);

}  // namespace zp::ops
