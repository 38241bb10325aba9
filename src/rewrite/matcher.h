// Finds patterns in a graph. One engine serves fusion, quantization and reports. Patterns are indexed by the
// op of their last step; every node is tried against the variants that end in its op, walking backwards
// through operands, so the work is linear in the graph for a fixed set of patterns.
//
// An inner value (the result of any step but the last) has no use outside the match unless its step is
// `shared`; a result of the graph counts as a use. Free operands are never claimed. Constants are claimed by
// nobody, so tied weights are safe. Commutative operands (`kCommutative` on the card) are tried in both
// orders.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "rewrite/pattern.h"
#include "rewrite/slot.h"
#include "support/inline_vector.h"

namespace zp::rewrite {

struct Match {
  const Variant* variant = nullptr;
  InlineVector<Node*, 6> nodes;      // by step of the variant
  InlineVector<uint8_t, 8> swapped;  // by step: the first two operands were taken in the other order
  Node* root() const { return nodes[variant->root]; }
  Node* last() const { return nodes.back(); }
};

// A structural near miss: the ops were right, the uses were not.
struct Miss {
  const Variant* variant = nullptr;
  InlineVector<Node*, 6> nodes;  // those that were bound
  Node* node = nullptr;          // whose value has too many uses
  size_t uses = 0;
  size_t wanted = 0;
  bool is_output = false;  // one of them is a result of the graph
};

// A slot in a match.
struct BoundSlot {
  explicit BoundSlot(const SlotName& slot) : name(slot) {}
  const SlotName& name;                   // of the variant
  InlineVector<SlotReading, 1> readings;  // several for variadic operands
  InlineVector<uint32_t, 1> operands;     // the operand number of each reading at the node of `name.step`
  bool present() const { return !readings.empty() && readings.front().present; }
};
// All slots of a match, read from the graph as it is now.
void bind_slots(const Match& match, std::vector<BoundSlot>* out);
const BoundSlot* find_slot(std::span<const BoundSlot> slots, std::string_view name);

class PatternSet {
 public:
  // Order of preference between patterns whose matches overlap: lower cost, then more steps, then `before`,
  // then order in the file. Patterns must outlive the set.
  struct Entry {
    std::vector<Variant> variants;
    double cost = 0;
    std::vector<size_t> before;  // numbers of the patterns that this one precedes
  };
  PatternSet() = default;
  PatternSet(PatternSet&&) = default;
  PatternSet& operator=(PatternSet&&) = default;
  // An error if `before` has a cycle.
  static Result<PatternSet> make(std::vector<Entry> entries);

  std::span<const Variant* const> ending_in(const OpDef& op) const;
  std::span<const Variant> variants_of(size_t pattern) const { return entries_[pattern].variants; }
  size_t rank_count() const { return ranked_.size(); }
  // Variants that only the order in the file tells apart.
  bool tied(const Variant& a, const Variant& b) const;

 private:
  std::vector<Entry> entries_;
  std::vector<const Variant*> ranked_;  // by Variant::rank
  std::unordered_map<const OpDef*, std::vector<const Variant*>> by_last_;
};

struct Candidate {
  Match match;
  size_t tag = 0;  // what the caller wants to remember
};

// All matches of the variants that end in the op of `node`, with every order of commutative operands.
void match_at(const PatternSet& set, Node* node, const std::function<void(Match)>& found,
              const std::function<void(const Miss&)>& missed = {});

// A set of matches that do not overlap: by rank, then later nodes first (as graphs are walked backwards), the
// order of the candidates last. Returns indices in graph order. `ties` receives pairs (chosen, lost) that
// only the order of the file decided.
//
// With `accept`, a candidate is asked about only when nothing preferred has taken its nodes: judging is what
// costs.
std::vector<size_t> choose(const PatternSet& set, std::span<const Candidate> candidates,
                           std::vector<std::pair<size_t, size_t>>* ties = nullptr,
                           const std::function<bool(size_t)>& accept = {});

}  // namespace zp::rewrite
