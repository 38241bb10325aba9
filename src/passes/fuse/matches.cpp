#include "passes/fuse/matches.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "ops/ops.h"
#include "rewrite/trace.h"

namespace zp::fuse {
namespace {

bool quantized(const Value* v) { return v != nullptr && v->type().is_tensor() && v->type().is_quantized(); }

// Names of the nodes of a match as a person knows them.
std::vector<std::string> names_of(std::span<Node* const> nodes) {
  std::vector<std::string> names;
  for (const Node* node : nodes)
    if (node != nullptr) names.push_back(rewrite::source_name(*node));
  return names;
}

class Trials {
 public:
  Trials(const Backend& backend, const TrialOptions& options, bool wish)
      : backend_(backend), options_(options), wish_(wish) {}

  void run(const Graph& graph) {
    std::vector<rewrite::Candidate> candidates;
    std::vector<PatternTrial> missed, refused;
    for (Node* node : graph.nodes()) {
      rewrite::match_at(
          backend_.pattern_set(), node,
          [&](rewrite::Match match) {
            candidates.push_back({std::move(match), candidates.size()});
          },
          [&](const rewrite::Miss& miss) { add(&missed, describe(miss)); });
    }
    // A candidate is judged when it comes to it, or, where all are asked for, once more in order.
    std::vector<PatternTrial> judged;
    std::vector<uint32_t> row(candidates.size(), 0);
    std::vector<State> states(candidates.size(), State::Open);
    auto judge = [&](size_t i) {
      const rewrite::Match& match = candidates[i].match;
      const backend::Verdict verdict = backend_.accepts(match, {.wish = wish_, .config = options_.config});
      row[i] = static_cast<uint32_t>(judged.size());
      judged.push_back(describe(match, verdict));
      states[i] = verdict.ok() ? State::Accepted : State::Refused;
      return verdict.ok();
    };
    for (size_t i : rewrite::choose(backend_.pattern_set(), candidates, nullptr, judge)) {
      states[i] = State::Chosen;
      judged[row[i]].legal = true;
      trials_.push_back(std::move(judged[row[i]]));
    }
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (states[i] == State::Open && options_.all) judge(i);
      if (states[i] == State::Refused) add(&refused, std::move(judged[row[i]]));
      if (states[i] != State::Accepted || !options_.all) continue;
      PatternTrial& lost = judged[row[i]];
      lost.clause = "choice";
      lost.why_not = "another match takes one of its nodes: a lower cost, more steps, or first by order";
      trials_.push_back(std::move(lost));
    }
    refused.insert(refused.end(), std::make_move_iterator(missed.begin()),
                   std::make_move_iterator(missed.end()));
    if (options_.all)
      trials_.insert(trials_.end(), std::make_move_iterator(refused.begin()),
                     std::make_move_iterator(refused.end()));
    else keep_unclaimed(std::move(refused));
  }

  // Import may make several nodes of one operator of the source (a cell of an LSTM): to the reader of the
  // rows it is one, which the first match claims.
  std::vector<PatternTrial> take() {
    std::unordered_set<std::string> claimed;
    std::erase_if(trials_, [&](const PatternTrial& row) {
      if (!row.legal) return false;
      bool any_new = row.nodes.empty();
      for (const std::string& name : row.nodes) any_new |= claimed.insert(name).second;
      return !any_new;
    });
    return std::move(trials_);
  }

 private:
  enum class State : uint8_t { Open, Accepted, Refused, Chosen };

  PatternTrial describe(const rewrite::Match& match, const backend::Verdict& verdict) const {
    PatternTrial trial;
    trial.pattern = verdict.pattern->pattern.name;
    if (verdict.types != nullptr) trial.types = verdict.types->name;
    trial.nodes = names_of(match.nodes);
    trial.root = rewrite::source_name(*match.root());
    trial.slots = verdict.decisions;
    if (verdict.refusal) {
      trial.clause = verdict.refusal->clause;
      trial.why_not = verdict.refusal->text;
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

  // Of the refusals, those of nodes that nothing else took.
  void keep_unclaimed(std::vector<PatternTrial> refused) {
    std::vector<std::string> claimed;
    for (const PatternTrial& trial : trials_)
      claimed.insert(claimed.end(), trial.nodes.begin(), trial.nodes.end());
    std::sort(claimed.begin(), claimed.end());
    for (PatternTrial& row : refused) {
      const bool taken = std::any_of(row.nodes.begin(), row.nodes.end(), [&](const std::string& name) {
        return std::binary_search(claimed.begin(), claimed.end(), name);
      });
      if (!taken) trials_.push_back(std::move(row));
    }
  }

  const Backend& backend_;
  const TrialOptions& options_;
  bool wish_;
  std::vector<PatternTrial> trials_;
};

}  // namespace

bool is_float_graph(const Graph& graph) {
  std::vector<const Graph*> graphs = {&graph};
  for (size_t g = 0; g < graphs.size(); ++g) {
    for (const Value* input : graphs[g]->inputs())
      if (quantized(input)) return false;
    for (const Node* node : graphs[g]->nodes()) {
      if (node->is(ops::quantize) || node->is(ops::dequantize)) return false;
      for (size_t i = 0; i < node->result_count(); ++i)
        if (quantized(node->result(i))) return false;
      graphs.insert(graphs.end(), node->regions().begin(), node->regions().end());
    }
  }
  return true;
}

std::vector<PatternTrial> try_patterns(const Graph& graph, const Backend& backend,
                                       const TrialOptions& options) {
  Trials trials(backend, options, is_float_graph(graph));
  std::vector<const Graph*> graphs = {&graph};
  for (size_t i = 0; i < graphs.size(); ++i) {
    trials.run(*graphs[i]);
    for (const Node* node : graphs[i]->nodes())
      graphs.insert(graphs.end(), node->regions().begin(), node->regions().end());
  }
  return trials.take();
}

}  // namespace zp::fuse
