// The interpreter: runs a graph with the ops' own evaluators. It is the reference that everything else is
// compared with, and what constant folding calls: exact integers, one fixed order of float additions, the
// same bits on every machine and for every thread count. It is built for exactness first; compiled programs
// are the fast way to run a model.
//
// Affine ops whose operands come from dequantize get the integers themselves, so that `dequantize, dequantize
// -> conv2d` and the fused conv2d on quantized operands are one function and agree in every bit.
#pragma once

#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "ir/model.h"
#include "ir/tensor.h"

namespace zp {

struct RunOptions {
  // Called for every value of the main graph once it is known, inputs and constants included, in program
  // order.
  std::function<void(const Value&, const Tensor&)> trace;
  // Called like `trace`; may return a tensor of the same dtype and shape to go on with instead (null: none).
  // Verification uses it to see a difference where it arises.
  std::function<const Tensor*(const Value&, const Tensor&)> replace;
  // Keeps every value of the main graph here instead of freeing it after its last use.
  std::unordered_map<const Value*, Tensor>* values = nullptr;
  // State inputs (in the order of their inputs) to start from instead of their initial constants; empty: the
  // constants.
  std::span<const Tensor> state;
  // Receives the state after the run, in the order of the state inputs.
  std::vector<Tensor>* state_after = nullptr;
};

// Runs the model; user outputs in order. Refuses inputs whose number, dtype, rank or shape do not fit, naming
// the input and the axis, and ops that cannot run, naming the op.
Result<std::vector<Tensor>> run(const Model& model, std::span<const Tensor> user_inputs,
                                const RunOptions& options = {});

// Rounds that one loop may take, so that a model that never ends is an error at last; 10^8 unless set.
void set_max_loop_rounds(int64_t rounds);

// Values of the symbols of a model, from the shapes of user inputs; the checks of run() that concern inputs.
Result<DimBinding> bind_inputs(const Model& model, std::span<const Tensor> user_inputs);

// One node, from the values of its operands (null: absent). Quantized operands hold their integers; regions
// run too.
Result<std::vector<Tensor>> evaluate_node(const Node& node, std::span<const Tensor* const> operands,
                                          const DimBinding* dims = nullptr);

// A value that depends on constants alone, computed from them (for folding). Refuses if an input, a random op
// or an effect is reached, or more than `max_nodes` nodes.
Result<Tensor> evaluate(const Value& value, size_t max_nodes = 256);
// The only result of a node that depends on constants alone.
Result<Tensor> evaluate(const Node& node, size_t max_nodes = 256);

}  // namespace zp
