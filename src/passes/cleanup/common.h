// Equal computations become one: nodes of one op with equal attributes and operands, const nodes of one
// constant, numbers of the program with equal bits. Each node is hashed once. Dequantize is left alone: a
// reader of its own costs nothing once fused, and backends want to claim it.
#pragma once

#include <tsl/robin_set.h>

#include "ir/graph.h"

namespace zp::cleanup {

class CommonValues {
 public:
  explicit CommonValues(size_t nodes) { nodes_.reserve(nodes); }
  // An earlier node that computes the same, or null; then `node` is remembered. To be asked in program order.
  Node* earlier(Node* node);

 private:
  struct Hash {
    size_t operator()(const Node* node) const;
  };
  struct Equal {
    bool operator()(const Node* a, const Node* b) const;
  };
  tsl::robin_set<Node*, Hash, Equal, std::allocator<Node*>, true> nodes_;  // hashes are kept
};

}  // namespace zp::cleanup
