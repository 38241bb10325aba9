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

namespace zp::rewrite {

struct Match {
  const Variant* variant = nullptr;
  std::vector<Node*> nodes;   // by step of the variant
  std::vector<bool> swapped;  // by step: the first two operands were taken in the other order
  Node* root() const { return nodes[variant->root]; }
  Node* last() const { return nodes.back(); }
};

// A structural near miss: the ops were right, the uses were not.
struct Miss {
  const Variant* variant = nullptr;
  std::vector<Node*> nodes;  // those that were bound
  Node* node = nullptr;      // whose value has too many uses
  size_t uses = 0;
  size_t wanted = 0;
  bool is_output = false;  // one of them is a result of the graph
};

// A name of a pattern: an operand of the root, an outside value that the pattern names, or the result.
struct SlotName {
  std::string name;  // as the pattern or the card has it
  std::string card;  // the card's name of the operand; results: "y"
  Role role = Role::Data;
  bool optional = false;
  bool variadic = false;  // stands for this operand and all after it
  bool result = false;
  bool of_root = false;  // an operand of the root, or the value that enters the chain the root stands in
  size_t step = 0;       // where it is read
  int argument = -1;     // number of the argument of the step; -1: `operand` counts in the card
  uint32_t operand = 0;
};
// The slots of a variant whose root is `op`: operands in order of the card, then further named values, then
// the result.
std::vector<SlotName> slot_names(const Variant& variant, const OpDef& root);
// The slot a name means: its own name, the card's name of the operand, or a short name: x and a (first data
// operand), w (weight), b (bias, else the second operand), y (result). -1 if there is none.
int find_slot_name(std::span<const SlotName> slots, std::string_view name);

// A slot in a match.
struct BoundSlot {
  SlotName name;
  std::vector<SlotReading> readings;  // several for variadic operands
  std::vector<uint32_t> operands;     // the operand number of each reading at the node of `name.step`
  bool present() const { return !readings.empty() && readings.front().present; }
};
// All slots of a match, read from the graph as it is now.
std::vector<BoundSlot> bind_slots(const Match& match);
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
  size_t rank(const Variant& variant) const;  // smaller: preferred
  std::span<const Variant> variants_of(size_t pattern) const { return entries_[pattern].variants; }
  size_t rank_count() const { return ranked_.size(); }
  // Variants that only the order in the file tells apart.
  bool tied(const Variant& a, const Variant& b) const;

 private:
  std::vector<Entry> entries_;
  std::vector<const Variant*> ranked_;
  std::unordered_map<const Variant*, size_t> rank_;
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
