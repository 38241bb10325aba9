#include "passes/fuse/matches.h"

#include <fmt/format.h>
#include <tsl/robin_set.h>

#include <algorithm>

#include "ops/ops.h"
#include "rewrite/trace.h"

namespace zp::fuse {
namespace {

bool quantized(const Value* v) { return v != nullptr && v->type().is_tensor() && v->type().is_quantized(); }

// Names of the nodes of a match as a person knows them.
std::vector<std::string> names_of(std::span<Node* const> nodes) {
  std::vector<std::string> names;
  names.reserve(nodes.size());
  for (const Node* node : nodes)
    if (node != nullptr) names.push_back(rewrite::source_name(*node));
  return names;
}

using NameSet = tsl::robin_set<std::string_view>;

class Trials {
 public:
  Trials(const Backend& backend, const TrialOptions& options, bool wish)
      : backend_(backend), options_(options), wish_(wish) {}

  void run(const Graph& graph) {
    std::vector<rewrite::Candidate> candidates;
    std::vector<rewrite::Miss> missed;
    for (Node* node : graph.nodes()) {
      rewrite::match_at(
          backend_.pattern_set(), node,
          [&](rewrite::Match match) {
            candidates.push_back({std::move(match), candidates.size()});
          },
          [&](const rewrite::Miss& miss) { missed.push_back(miss); });
    }
    // A candidate is judged when it comes to it, in brief; words are made for the rows that are shown.
    std::vector<State> states(candidates.size(), State::Open);
    std::vector<const backend::TypesDef*> types(candidates.size(), nullptr);
    auto judge = [&](size_t i) {
      backend_.judge(candidates[i].match, {.wish = wish_, .config = options_.config, .brief = true},
                     &verdict_);
      states[i] = verdict_.ok() ? State::Accepted : State::Refused;
      types[i] = verdict_.types;
      return verdict_.ok();
    };
    const std::vector<size_t> chosen = rewrite::choose(backend_.pattern_set(), candidates, nullptr, judge);
    trials_.reserve(trials_.size() + chosen.size());
    for (size_t i : chosen) {
      states[i] = State::Chosen;
      trials_.push_back(taken(candidates[i].match, types[i]));
    }
    for (size_t i = 0; options_.all && i < candidates.size(); ++i) {
      if (states[i] == State::Open) judge(i);
      if (states[i] != State::Accepted) continue;
      PatternTrial lost = describe(candidates[i].match);
      lost.clause = "choice";
      lost.why_not = "another match takes one of its nodes: a lower cost, more steps, or first by order";
      trials_.push_back(std::move(lost));
    }
    refusals(candidates, states, missed);
  }

  // Import may make several nodes of one operator of the source (a cell of an LSTM): to the reader of the
  // rows it is one, which the first match claims.
  std::vector<PatternTrial> take() {
    NameSet claimed;
    claimed.reserve(2 * trials_.size());
    std::vector<bool> repeats(trials_.size(), false);
    for (size_t i = 0; i < trials_.size(); ++i) {
      if (!trials_[i].legal || trials_[i].nodes.empty()) continue;
      bool any_new = false;
      for (const std::string& name : trials_[i].nodes) any_new |= claimed.insert(name).second;
      repeats[i] = !any_new;
    }
    std::vector<PatternTrial> rows;
    rows.reserve(trials_.size());
    for (size_t i = 0; i < trials_.size(); ++i)
      if (!repeats[i]) rows.push_back(std::move(trials_[i]));
    return rows;
  }

 private:
  enum class State : uint8_t { Open, Accepted, Refused, Chosen };

  // What was refused, then what has too many readers; without `all`, of nodes that nothing else took.
  void refusals(std::span<const rewrite::Candidate> candidates, std::span<const State> states,
                std::span<const rewrite::Miss> missed) {
    NameSet claimed;
    const bool any =
        !missed.empty() || std::find(states.begin(), states.end(), State::Refused) != states.end();
    if (any && !options_.all) {
      for (const PatternTrial& trial : trials_) claimed.insert(trial.nodes.begin(), trial.nodes.end());
    }
    const auto known = [&](std::span<Node* const> nodes) {
      return !claimed.empty() && std::any_of(nodes.begin(), nodes.end(), [&](const Node* node) {
        return node != nullptr && claimed.contains(rewrite::source_name(*node));
      });
    };
    std::vector<PatternTrial> rows;
    for (size_t i = 0; i < candidates.size(); ++i)
      if (states[i] == State::Refused && !known(candidates[i].match.nodes))
        add(&rows, describe(candidates[i].match));
    for (const rewrite::Miss& miss : missed)
      if (!known(miss.nodes)) add(&rows, describe(miss));
    trials_.insert(trials_.end(), std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
  }

  // A match that was chosen: its verdict is known, but for what a wish came to.
  PatternTrial taken(const rewrite::Match& match, const backend::TypesDef* types) {
    PatternTrial trial;
    trial.pattern = backend_.pattern_of(*match.variant).pattern.name;
    if (types != nullptr) trial.types = types->name;
    trial.nodes = names_of(match.nodes);
    trial.root = rewrite::source_name(*match.root());
    trial.legal = true;
    if (options_.config == nullptr) return trial;
    backend_.judge(match, {.wish = wish_, .config = options_.config, .brief = true}, &verdict_);
    trial.slots = std::move(verdict_.decisions);
    return trial;
  }

  PatternTrial describe(const rewrite::Match& match) {
    backend_.judge(match, {.wish = wish_, .config = options_.config}, &verdict_);
    PatternTrial trial;
    trial.pattern = verdict_.pattern->pattern.name;
    if (verdict_.types != nullptr) trial.types = verdict_.types->name;
    trial.nodes = names_of(match.nodes);
    trial.root = rewrite::source_name(*match.root());
    trial.slots = std::move(verdict_.decisions);
    if (verdict_.refusal) {
      trial.clause = verdict_.refusal->clause;
      trial.why_not = verdict_.refusal->text;
    }
    return trial;
  }

  PatternTrial describe(const rewrite::Miss& miss) const {
    PatternTrial trial;
    trial.pattern = backend_.pattern_of(*miss.variant).pattern.name;
    trial.nodes = names_of(miss.nodes);
    const Node* root = miss.nodes[miss.variant->root];
    if (root != nullptr) trial.root = rewrite::source_name(*root);
    trial.clause = "one-use";
    trial.why_not = fmt::format("{} has {} uses{}, {} is wanted", rewrite::source_name(*miss.node), miss.uses,
                                miss.is_output ? ", one of them a result of the graph" : "", miss.wanted);
    return trial;
  }

  // The orders of one commutative match give one row.
  static void add(std::vector<PatternTrial>* rows, PatternTrial row) {
    if (!rows->empty() && rows->back().pattern == row.pattern && rows->back().nodes == row.nodes) return;
    rows->push_back(std::move(row));
  }

  const Backend& backend_;
  const TrialOptions& options_;
  bool wish_;
  backend::Verdict verdict_;  // of the match in hand; its memory is used again
  std::vector<PatternTrial> trials_;
};

}  // namespace

bool is_float_graph(const Model& model) {
  for (const Graph* graph : model.graphs()) {
    for (const Value* input : graph->inputs())
      if (quantized(input)) return false;
    for (const Node* node : graph->nodes()) {
      if (node->is(ops::quantize) || node->is(ops::dequantize)) return false;
      for (size_t i = 0; i < node->result_count(); ++i)
        if (quantized(node->result(i))) return false;
    }
  }
  return true;
}

std::vector<PatternTrial> try_patterns(const Model& model, const Backend& backend,
                                       const TrialOptions& options) {
  Trials trials(backend, options, is_float_graph(model));
  for (const Graph* graph : model.graphs()) trials.run(*graph);
  return trials.take();
}

}  // namespace zp::fuse
