#include "rewrite/matcher.h"

#include <fmt/format.h>
#include <tsl/robin_map.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "ir/tensor.h"
#include "ops/ops.h"

namespace zp::rewrite {
namespace {

// Steps whose operands may stand in either order; more than this many in one pattern keep the order written.
constexpr size_t kMaxSwaps = 6;

// `add` is commutative only when nothing scales its second operand.
bool commutes(const Node& node) {
  if (!node.op().has(kCommutative) || node.operand_count() < 2) return false;
  const AttrField* alpha = node.op().attrs == nullptr ? nullptr : node.op().attrs->find("alpha");
  if (alpha == nullptr) return true;
  if (alpha->kind == AttrKind::Number) return attr_ref<Number>(node.attrs_data(), *alpha).as_double() == 1;
  return alpha->kind != AttrKind::Float || attr_ref<double>(node.attrs_data(), *alpha) == 1;
}

std::optional<double> number_of(const Value* value) {
  const Node* def = value->def();
  if (def == nullptr || !def->is(kConstOp) || def->constant()->elements() != 1) return std::nullopt;
  const auto tensor = constant_tensor(def->context(), *def->constant());
  if (!tensor.ok()) return std::nullopt;
  return tensor->get_double(0);
}

bool attr_is(const Node& node, const AttrTest& test) {
  const AttrField* field = node.op().attrs == nullptr ? nullptr : node.op().attrs->find(test.name);
  if (field == nullptr) return false;
  const void* attrs = node.attrs_data();
  const double wanted = test.number.as_double();
  switch (field->kind) {
    case AttrKind::Int:
      return !test.is_text && static_cast<double>(attr_ref<int64_t>(attrs, *field)) == wanted;
    case AttrKind::Float: return !test.is_text && attr_ref<double>(attrs, *field) == wanted;
    case AttrKind::Bool: return !test.is_text && static_cast<double>(attr_ref<bool>(attrs, *field)) == wanted;
    case AttrKind::String: return test.is_text && attr_ref<std::string_view>(attrs, *field) == test.text;
    case AttrKind::Number: return !test.is_text && attr_ref<Number>(attrs, *field).as_double() == wanted;
    case AttrKind::OptNumber: {
      const auto& value = attr_ref<std::optional<Number>>(attrs, *field);
      return !test.is_text && value && value->as_double() == wanted;
    }
    case AttrKind::OptFloat: {
      const auto& value = attr_ref<std::optional<double>>(attrs, *field);
      return !test.is_text && value && *value == wanted;
    }
    case AttrKind::OptInt: {
      const auto& value = attr_ref<std::optional<int64_t>>(attrs, *field);
      return !test.is_text && value && static_cast<double>(*value) == wanted;
    }
    case AttrKind::Dim: {
      const Dim value = attr_ref<Dim>(attrs, *field);
      return !test.is_text && value.is_known() && static_cast<double>(value.value()) == wanted;
    }
    default: return false;
  }
}

// One attempt: a variant against a node, with a choice of order for each commutative step.
class Attempt {
 public:
  // One object makes all attempts at a node: what it holds is used again.
  void start(const Variant& variant, Node* last, size_t swaps) {
    variant_ = &variant;
    swaps_ = swaps;
    swappable_ = 0;
    match_.variant = &variant;
    match_.nodes.assign(variant.steps.size(), nullptr);
    match_.swapped.assign(variant.steps.size(), 0);
    match_.nodes.back() = last;
    free_.assign(variant.free_values.size(), nullptr);
  }

  // Later steps bind earlier ones: every step but the last is an operand of a later one.
  bool bind() {
    for (size_t i = variant_->steps.size(); i-- > 0;) {
      if (!bind_step(i)) return false;
    }
    return true;
  }

  // Number of steps of this attempt that could be swapped.
  size_t swappable() const { return swappable_; }
  Match take() { return std::move(match_); }

  // Uses: nothing of the inside may be seen outside. Fills `miss` if that fails.
  bool closed(Miss* miss) const {
    // A match has a handful of nodes: looking along them costs less than a set.
    const auto& nodes = match_.nodes;
    auto inside = [&](const Node* n) { return std::find(nodes.begin(), nodes.end(), n) != nodes.end(); };
    for (size_t i = 0; i + 1 < nodes.size(); ++i)
      if (std::find(nodes.begin() + static_cast<std::ptrdiff_t>(i) + 1, nodes.end(), nodes[i]) != nodes.end())
        return false;
    for (size_t i = 0; i < match_.nodes.size(); ++i) {
      Node* node = match_.nodes[i];
      for (size_t r = 1; r < node->result_count(); ++r) {
        if (node->result(r)->has_uses()) return refuse(miss, node, node->result(r), 0);
      }
      if (i + 1 == match_.nodes.size() || variant_->steps[i].shared) continue;
      const auto wanted = static_cast<size_t>(variant_->steps[i].inner_uses);
      if (node->result()->use_count() != wanted) return refuse(miss, node, node->result(), wanted);
      for (const Use& use : node->result()->uses()) {
        if (!inside(use.user())) return refuse(miss, node, node->result(), wanted);
      }
    }
    // A free operand that the match itself makes would have to be claimed.
    for (const Value* value : free_) {
      if (value != nullptr && value->def() != nullptr && inside(value->def())) return false;
    }
    return true;
  }

 private:
  bool refuse(Miss* miss, Node* node, const Value* value, size_t wanted) const {
    if (miss != nullptr) {
      miss->variant = variant_;
      miss->nodes = match_.nodes;
      miss->node = node;
      miss->uses = value->use_count();
      miss->wanted = wanted;
      for (const Use& use : value->uses()) miss->is_output = miss->is_output || use.user()->is(kReturnOp);
    }
    return false;
  }

  bool bind_step(size_t i) {
    const Variant::Step& step = variant_->steps[i];
    Node* node = match_.nodes[i];
    if (node == nullptr) return false;
    if (std::find(step.ops.begin(), step.ops.end(), &node->op()) == step.ops.end()) return false;
    for (const AttrTest& test : step.attrs) {
      if (!attr_is(*node, test)) return false;
    }
    bool swap = false;
    if (commutes(*node) && (step.chained >= 0 || !step.args.empty()) && swappable_ < kMaxSwaps) {
      swap = ((swaps_ >> swappable_) & 1) != 0;
      ++swappable_;
    }
    match_.swapped[i] = swap;
    auto at = [&](size_t operand) { return swap && operand < 2 ? 1 - operand : operand; };
    int chained = -1;
    if (step.chained >= 0) {
      chained = chained_operand(node->op());
      if (chained < 0 ||
          !bind_inner(static_cast<size_t>(step.chained), node->operand(at(static_cast<size_t>(chained)))))
        return false;
    }
    for (size_t k = 0; k < step.args.size(); ++k) {
      if (static_cast<int>(k) == chained) continue;
      if (!bind_arg(step.args[k], node->operand(at(k)))) return false;
    }
    return true;
  }

  bool bind_inner(size_t step, Value* value) {
    if (value == nullptr || value->def() == nullptr || value->index() != 0) return false;
    Node*& slot = match_.nodes[step];
    if (slot != nullptr) return slot == value->def();
    slot = value->def();
    return true;
  }

  bool bind_arg(const Variant::Arg& arg, Value* value) {
    switch (arg.kind) {
      case Variant::Arg::Any: return true;
      case Variant::Arg::Inner: return bind_inner(static_cast<size_t>(arg.index), value);
      case Variant::Arg::Literal: {
        if (value == nullptr) return false;
        const auto number = number_of(value);
        return number && *number == arg.literal.as_double();
      }
      case Variant::Arg::Free: break;
    }
    if (value == nullptr) return arg.optional;
    Value*& slot = free_[static_cast<size_t>(arg.index)];
    if (slot != nullptr && slot != value) return false;
    slot = value;
    return true;
  }

  const Variant* variant_ = nullptr;
  size_t swaps_ = 0;
  size_t swappable_ = 0;
  Match match_;
  InlineVector<Value*, 8> free_;
};

// True if `a` must come before `b` by a chain of `before`.
std::vector<std::vector<bool>> reachability(const std::vector<PatternSet::Entry>& entries) {
  std::vector<std::vector<bool>> reach(entries.size(), std::vector<bool>(entries.size(), false));
  for (size_t from = 0; from < entries.size(); ++from) {
    std::vector<size_t> stack(entries[from].before.begin(), entries[from].before.end());
    while (!stack.empty()) {
      const size_t to = stack.back();
      stack.pop_back();
      if (to >= entries.size() || reach[from][to]) continue;
      reach[from][to] = true;
      stack.insert(stack.end(), entries[to].before.begin(), entries[to].before.end());
    }
  }
  return reach;
}

}  // namespace

// --- the set
// ---------------------------------------------------------------------------------------------------------

Result<PatternSet> PatternSet::make(std::vector<Entry> entries) {
  PatternSet set;
  set.entries_ = std::move(entries);
  const auto reach = reachability(set.entries_);
  for (size_t i = 0; i < set.entries_.size(); ++i) {
    if (!reach[i][i]) continue;
    const Pattern* pattern =
        set.entries_[i].variants.empty() ? nullptr : set.entries_[i].variants.front().pattern;
    return Error("zpb02", fmt::format("\"before\" of pattern \"{}\" leads back to it",
                                      pattern != nullptr ? pattern->name : ""));
  }
  // Patterns in an order that keeps `before` and, where that says nothing, the file.
  std::vector<size_t> position(set.entries_.size(), 0);
  std::vector<bool> placed(set.entries_.size(), false);
  for (size_t next = 0; next < set.entries_.size(); ++next) {
    for (size_t i = 0; i < set.entries_.size(); ++i) {
      bool free = !placed[i];
      for (size_t other = 0; free && other < set.entries_.size(); ++other)
        free = placed[other] || !reach[other][i];
      if (!free) continue;
      placed[i] = true;
      position[i] = next;
      break;
    }
  }
  std::vector<Variant*> ranked;
  for (Entry& entry : set.entries_)
    for (Variant& variant : entry.variants) ranked.push_back(&variant);
  auto key = [&](const Variant* v) { return set.entries_[v->pattern_index].cost; };
  std::stable_sort(ranked.begin(), ranked.end(), [&](const Variant* a, const Variant* b) {
    if (key(a) != key(b)) return key(a) < key(b);
    if (a->length() != b->length()) return a->length() > b->length();
    return position[a->pattern_index] < position[b->pattern_index];
  });
  set.ranked_.assign(ranked.begin(), ranked.end());
  for (size_t i = 0; i < ranked.size(); ++i) {
    ranked[i]->rank = i;
    for (const OpDef* op : ranked[i]->steps.back().ops) set.by_last_[op].push_back(ranked[i]);
  }
  return set;
}

std::span<const Variant* const> PatternSet::ending_in(const OpDef& op) const {
  const auto found = by_last_.find(&op);
  return found == by_last_.end() ? std::span<const Variant* const>()
                                 : std::span<const Variant* const>(found->second);
}

bool PatternSet::tied(const Variant& a, const Variant& b) const {
  if (a.pattern_index == b.pattern_index) return false;
  const Entry& ea = entries_[a.pattern_index];
  const Entry& eb = entries_[b.pattern_index];
  auto names = [](const Entry& e, size_t i) {
    return std::find(e.before.begin(), e.before.end(), i) != e.before.end();
  };
  return ea.cost == eb.cost && a.length() == b.length() && !names(ea, b.pattern_index) &&
         !names(eb, a.pattern_index);
}

// What chains end in is seen before anything is bound: the last step reads a value of the step before.
static bool may_end_in(const Variant& variant, const Node& node) {
  const Variant::Step& last = variant.steps.back();
  if (last.chained < 0) return true;
  const auto& before = variant.steps[static_cast<size_t>(last.chained)].ops;
  auto made = [&](size_t operand) {
    const Value* value = operand < node.operand_count() ? node.operand(operand) : nullptr;
    const Node* def = value == nullptr ? nullptr : value->def();
    return def != nullptr && std::find(before.begin(), before.end(), &def->op()) != before.end();
  };
  const int chained = chained_operand(node.op());
  if (chained < 0) return false;
  return made(static_cast<size_t>(chained)) || (node.op().has(kCommutative) && (made(0) || made(1)));
}

// --- matching
// --------------------------------------------------------------------------------------------------------

void match_at(const PatternSet& set, Node* node, const std::function<void(Match)>& found,
              const std::function<void(const Miss&)>& missed) {
  Attempt attempt;
  for (const Variant* variant : set.ending_in(node->op())) {
    if (!may_end_in(*variant, *node)) continue;
    size_t orders = 1;
    for (size_t swaps = 0; swaps < orders; ++swaps) {
      attempt.start(*variant, node, swaps);
      const bool bound = attempt.bind();
      orders = std::max(orders, size_t{1} << attempt.swappable());
      if (!bound) continue;
      Miss miss;
      if (attempt.closed(&miss)) found(attempt.take());
      else if (missed && miss.node != nullptr) missed(miss);
    }
  }
}

std::vector<size_t> choose(const PatternSet& set, std::span<const Candidate> candidates,
                           std::vector<std::pair<size_t, size_t>>* ties,
                           const std::function<bool(size_t)>& accept) {
  // Candidates come in graph order; buckets keep the choice linear.
  std::vector<std::vector<size_t>> by_rank(set.rank_count());
  for (size_t i = 0; i < candidates.size(); ++i) by_rank[candidates[i].match.variant->rank].push_back(i);
  tsl::robin_map<const Node*, size_t> claimed;
  claimed.reserve(candidates.size());
  std::vector<size_t> chosen;
  for (const std::vector<size_t>& bucket : by_rank) {
    for (size_t at = bucket.size(); at-- > 0;) {
      // Of the orders of one match, the first comes first.
      size_t first = at;
      while (first > 0 && candidates[bucket[first - 1]].match.last() == candidates[bucket[at]].match.last())
        --first;
      for (size_t k = first; k <= at; ++k) {
        const size_t index = bucket[k];
        const Match& match = candidates[index].match;
        const auto taken = std::find_if(match.nodes.begin(), match.nodes.end(),
                                        [&](const Node* n) { return claimed.contains(n); });
        if (taken != match.nodes.end()) {
          const size_t winner = claimed.at(*taken);
          const Match& other = candidates[winner].match;
          if (ties != nullptr && other.last() == match.last() && set.tied(*other.variant, *match.variant))
            ties->push_back({winner, index});
          continue;
        }
        if (accept && !accept(index)) continue;
        for (const Node* n : match.nodes) claimed.emplace(n, index);
        chosen.push_back(index);
      }
      at = first;
    }
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace zp::rewrite
