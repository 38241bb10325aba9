// Carries out plans: makes the fused node, hands its result to the readers, removes what nobody reads any
// more.
#pragma once

#include <unordered_map>

#include "ir/record.h"
#include "passes/fuse/constant_pool.h"
#include "passes/fuse/plan.h"

namespace zp::fuse {

class Applier {
 public:
  explicit Applier(Graph& graph) : graph_(graph), pool_(graph.context()) {}
  // The new node; `replaced` receives the source names of all nodes it stands for.
  Result<Node*> apply(const rewrite::Match& match, const Plan& plan, std::vector<std::string>* replaced);

 private:
  Result<Node*> apply_bytes(const rewrite::Match& match, std::span<Value* const> operands,
                            std::span<Node* const> stands_for, std::vector<std::string>* replaced);
  Result<Value*> transposed(Value* weight);
  Graph& graph_;
  std::unordered_map<const Value*, Value*> transposed_;  // const values, once each
  ConstantPool pool_;
};

// Erases a node and, where they then have no readers, the pure nodes that feed it.
void erase_unused(Node* node);

}  // namespace zp::fuse
