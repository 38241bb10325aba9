// Runs one node: decides what its evaluator gets (real numbers, raw integers, or integers with their
// parameters), and turns what comes back into the node's results. Shared by whole runs and by folding.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "interp/operands.h"
#include "ir/graph.h"
#include "ir/tensor.h"

namespace zp::interp {

// Gives the tensor of a value that has been computed; the pointer stays valid while the node runs.
using Lookup = std::function<Result<const Tensor*>(const Value& value)>;
// Runs a region of the node.
using RunRegion = std::function<Result<std::vector<Tensor>>(const Graph& region, std::vector<Tensor> inputs)>;

Result<std::vector<Tensor>> run_node(const Node& node, const Lookup& lookup, const DimBinding& dims,
                                     const RunRegion& region, OperandSources& sources);

void set_max_loop_rounds(int64_t rounds);  // see interp.h

// Whether a node can be computed from its operands alone: no input, no effect, no randomness.
bool is_function_of_operands(const Node& node);

// Binds symbols of a value's type that have no number yet to what was computed; refuses what contradicts the
// type.
Status accept_result(const Value& value, const Tensor& tensor, DimBinding* dims);

// An error in the words of the node.
Error in_node(const Node& node, Error error);

}  // namespace zp::interp
