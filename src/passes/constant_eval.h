// Evaluating what depends on constants alone: which values do, their tensors (through the interpreter's
// evaluators, so a folded value has the bits that running the graph would give), and new constants and const
// nodes for the results. It pays wherever a rewrite needs the numbers behind a subgraph; it does not touch
// weights nobody asks for.
#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"
#include "ir/tensor.h"

namespace zp {

// Which values depend on constants alone, found on demand and remembered in Node::scratch, which the pass
// that asks must not use otherwise. Asking for all values of a graph is linear. Stays right while a pass
// rewrites the graph as long as no value becomes or ceases to be constant.
class ConstantFlow {
 public:
  // Forgets what an earlier pass left in the nodes; before the first question.
  static void start(const Graph& graph);
  static bool is_constant(const Value* value);
};

// True if a node is a function of its operands alone and can be computed at compile time: no effect, no
// random numbers, no regions, an evaluator. Says nothing of its operands.
bool is_computable(const Node& node);

// Tensors of constant values, computed once each; those of const nodes are views and not kept. Refuses values
// that need more than `max_nodes` evaluations or tensors of more than `max_elements` elements.
class ConstantValues {
 public:
  explicit ConstantValues(size_t max_nodes = 4096, int64_t max_elements = int64_t{1} << 28)
      : max_nodes_(max_nodes), max_elements_(max_elements) {}
  // `value` must be constant (see ConstantFlow).
  Result<Tensor> tensor(const Value& value);
  // Forgets all tensors once there are more than `most` of them: bounds memory, costs a second evaluation.
  void trim(size_t most) {
    if (known_.size() > most) known_.clear();
  }

 private:
  Result<Tensor> compute(const Node& node);
  size_t max_nodes_;
  int64_t max_elements_;
  std::unordered_map<const Value*, Tensor> known_;
};

// A constant that holds a run-time tensor; types below 8 bits are packed.
Result<const Constant*> store_tensor(Context& context, std::string_view name, const Tensor& tensor);
// A const node for it before `before`; `type` may be a quantized type with the constant's storage (null:
// plain).
Value* add_const_node(Graph& graph, const Constant& constant, const Type* type, Node* before);

// All elements of a small constant are equal to `number` in every bit of the number's value (so -0.0 is not
// 0.0).
bool all_elements_are(Context& context, const Constant& constant, double number);

}  // namespace zp
