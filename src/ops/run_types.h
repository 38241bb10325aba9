// A node as it stands in one run. Inference brings attributes into range (dims counted from the end) and
// refuses what does not fit, but it can do neither for an operand whose rank no one knows. When such a graph
// runs, ranks are known: the node is made again on the types of the run's tensors, inferred, and evaluated in
// this form, so that evaluators and maps never meet an unknown rank. Costs a small context for each such
// node; nodes whose operands have ranks are run as they are.
#pragma once

#include <memory>
#include <span>

#include "ir/model.h"
#include "ir/tensor.h"

namespace zp::ops {

class RunTypes {
 public:
  // `in` as for evaluators: null where an operand is absent; integers of quantized operands.
  static Result<RunTypes> of(const Node& node, std::span<const Tensor* const> in, const DimBinding* dims);
  // The node to evaluate.
  const Node& node() const { return copy_ != nullptr ? *copy_ : *node_; }

 private:
  explicit RunTypes(const Node& node) : node_(&node) {}
  const Node* node_;
  std::unique_ptr<Model> model_;  // of the copy
  const Node* copy_ = nullptr;
};

}  // namespace zp::ops
