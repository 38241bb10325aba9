// Values of `lower` clauses: the tensors that a target's operator wants, computed from the constants of a
// match. A layout is worked out once for each constant and expression, and equal results share one constant:
// an embedding and a head that are tied stay tied after packing. Weights are read here and nowhere before.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "backend/legality.h"
#include "backend/lowering.h"
#include "ir/tensor.h"
#include "passes/constant_eval.h"
#include "passes/fuse/constant_pool.h"

namespace zp::fuse {

class LayoutValues {
 public:
  explicit LayoutValues(Graph& graph) : graph_(graph), pool_(graph.context()) {}

  // What an expression stands for where a tensor is wanted: a value of the graph, new constants included.
  // `result` is what the name `result` means; new nodes come before `before`.
  Result<Value*> value(const rewrite::Expr& expr, const backend::MatchScope& scope,
                       const backend::Verdict& verdict, const rewrite::Match& match, Value* result,
                       Node* before);
  // The slot that a tensor expression is made of; null if it names none.
  static const rewrite::BoundSlot* slot_of(const rewrite::Expr& expr,
                                           std::span<const rewrite::BoundSlot> slots);

 private:
  struct Site {
    const backend::MatchScope& scope;
    std::span<const rewrite::BoundSlot> slots;
    const rewrite::Match& match;
  };
  Result<Tensor> tensor(const rewrite::Expr& expr, const Site& site, int depth);
  Result<Tensor> tensor_of_slot(const rewrite::BoundSlot& slot);
  Result<Tensor> integers(const rewrite::BoundSlot& slot);
  Result<Tensor> scales(const rewrite::BoundSlot& slot, const rewrite::Match& match);
  Result<Value*> real(const rewrite::BoundSlot& slot, Node* before);
  Result<Value*> parameter(const rewrite::BoundSlot& slot, size_t operand);

  Graph& graph_;
  ConstantPool pool_;
  ConstantFlow flow_;
  ConstantValues constants_;
  std::map<std::pair<std::string, const Value*>, Value*> made_;
  std::map<const Value*, Value*> real_;
};

}  // namespace zp::fuse
