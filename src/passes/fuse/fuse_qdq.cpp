// fuse-qdq: finds what the backend can run on integers and says why the rest stays. It pays where quantize
// and dequantize stand directly around an operator; what stands between them and the operator (shape ops,
// batch norms, a constant's permute) is moved or folded by the passes before it.
//
// A dequantize with several readers is no obstacle: each fused reader takes the quantized value itself, the
// dequantize stays for readers of the real value. A dequantize that feeds a quantize of other parameters is
// an explicit requantization and stays as those two nodes: they are its exact meaning.
//
// The numbers do not change: a fused operator is defined as dequantize, compute, clamp, quantize (see
// interp.h).
#include "passes/fuse/fuse.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_set>

#include "backend/backend.h"
#include "ops/ops.h"
#include "passes/fuse/apply.h"
#include "passes/fuse/plan.h"
#include "passes/fuse/weight_forms.h"
#include "rewrite/nomenclature.h"
#include "rewrite/trace.h"

namespace zp {
namespace {

using backend::PatternDef;
using backend::Refusal;
using backend::Verdict;
using rewrite::Candidate;
using rewrite::Match;

constexpr std::string_view kPass = "fuse-qdq";

// What is known of a node: the most telling of the attempts to match it. Node::scratch numbers the states.
struct NodeState {
  const PatternDef* pattern = nullptr;  // null: nothing was tried
  std::unique_ptr<Refusal> refusal;     // null: refused in brief, why is worked out for nodes that stay
  const Match* match = nullptr;         // what was refused in brief
  int score = -1;
  bool root = false;     // the node is the root of the attempt
  bool fused = false;    // it is a fused operator now
  bool claimed = false;  // a match that was chosen takes it
};

class Fusion {
 public:
  Fusion(PassContext& context, const Backend& backend) : context_(context), backend_(backend) {
    for (const RewriteRecord& r : context.records.rewrites) {
      if (r.pass != kPass) moved_.insert(r.nodes.begin(), r.nodes.end());
    }
  }

  Status run() {
    for (Graph* graph : context_.model.graphs()) ZP_CHECK(fuse(*graph));
    return {};
  }

 private:
  Status fuse(Graph& graph) {
    states_.clear();
    states_.emplace_back();
    refused_.clear();
    forms_.emplace(graph, backend_);
    by_value_.clear();
    std::vector<Candidate> candidates;
    for (Node* node : graph.nodes()) node->scratch = 0;
    for (Node* node : graph.nodes()) collect(node, &candidates);
    std::vector<std::pair<size_t, size_t>> ties;
    const std::vector<size_t> chosen = rewrite::choose(backend_.pattern_set(), candidates, &ties);
    report_ties(candidates, ties);
    complete_attempts(candidates, chosen);
    fuse::Applier applier(graph);
    for (size_t index : chosen) apply(applier, candidates[index].match);
    for (Node* node : graph.nodes()) explain(node);
    if (!errors_.empty()) return Error(std::move(errors_));
    return {};
  }

  void collect(Node* node, std::vector<Candidate>* candidates) {
    const rewrite::Variant* variant = nullptr;
    const Node* root = nullptr;
    rewrite::match_at(
        backend_.pattern_set(), node,
        [&](Match match) {
          // Of the orders of a commutative match, one that fits is enough.
          if (variant == match.variant && root == match.root()) return;
          backend_.judge(match, {.brief = true}, &verdict_);
          std::optional<Refusal> refusal = judge(match, verdict_);
          if (refusal && narrowed(match)) {
            backend_.judge(match, {.brief = true}, &verdict_);
            refusal = judge(match, verdict_);
          }
          if (refusal) return note(std::move(match), std::move(*refusal));
          variant = match.variant;
          root = match.root();
          candidates->push_back({std::move(match), ignores_integers(verdict_) ? size_t{1} : size_t{0}});
        },
        [&](const rewrite::Miss& miss) { note_miss(miss); });
  }

  static std::optional<Refusal> judge(const Match& match, const Verdict& verdict) {
    if (verdict.refusal) return verdict.refusal;
    if (!verdict.any_quantized()) return stays_float(verdict);
    auto plan = fuse::plan_match(match, verdict);
    if (auto* refused = std::get_if<Refusal>(&plan)) return std::move(*refused);
    return std::nullopt;
  }

  // A weight whose values fit 4 bits is declared so where that makes the difference.
  bool narrowed(const Match& match) {
    const auto weight = fuse::WeightForms::weight_of(*match.root());
    const QuantType* narrow = weight ? forms_->narrow(*weight) : nullptr;
    if (narrow == nullptr) return false;
    if (!backend_.accepts(match, {.redeclared = weight->quantized, .declaration = narrow}).ok()) return false;
    if (!forms_->redeclare(match.root(), *weight, *narrow).ok()) return false;
    by_value_.insert(rewrite::source_name(*match.root()));
    return true;
  }

  // The fused operator in the form the target has it in: another declaration of its weight, same numbers.
  void adapt(Node* fused) {
    const auto weight = fuse::WeightForms::weight_of(*fused);
    if (!weight) return;
    if (const QuantType* split = forms_->per_channel(*fused, *weight))
      redeclare(fused, *weight, *split, false, "one scale stands for each channel of the weight");
    const auto now = fuse::WeightForms::weight_of(*fused);
    if (const QuantType* narrow = now ? forms_->narrow(*now) : nullptr)
      redeclare(
          fused, *now, *narrow, true,
          fmt::format("by value: all integers of the weight fit {}:{}, declared are {}:{}", narrow->qmin,
                      narrow->qmax, now->quantized->type().quant->qmin, now->quantized->type().quant->qmax));
  }

  // `other_types`: only if the target has types of its own for it.
  void redeclare(Node* fused, const fuse::WeightForms::Weight& weight, const QuantType& quant,
                 bool other_types, const std::string& note) {
    bool done = false;
    rewrite::match_at(backend_.pattern_set(), fused, [&](const Match& match) {
      if (done || match.nodes.size() != 1) return;
      const Verdict before = backend_.accepts(match);
      const Verdict after = backend_.accepts(match, {.redeclared = weight.quantized, .declaration = &quant});
      if (!before.ok() || !after.ok() || (other_types && before.types == after.types)) return;
      if (!forms_->redeclare(fused, weight, quant).ok()) return;
      record(*fused, after, source_names(*fused), "; " + note);
      done = true;
    });
  }

  static Refusal stays_float(const Verdict& verdict) {
    Refusal r;
    r.clause = verdict.types != nullptr ? fmt::format("types {}", verdict.types->name) : "types";
    r.wanted = "quantized values";
    r.found = "float";
    r.text = "nothing at it is quantized, the target runs it in float";
    r.line = verdict.pattern->pattern.at.line;
    return r;
  }

  // Some slot is quantized and taken as the real value.
  static bool ignores_integers(const Verdict& verdict) {
    for (size_t s = 0; s < verdict.slots.size(); ++s) {
      for (size_t k = 0; k < verdict.slots[s].readings.size(); ++k)
        if (verdict.slots[s].readings[k].quant != nullptr && !verdict.as_quantized[s][k]) return true;
    }
    return false;
  }

  // Says in full why the attempts failed whose nodes stay as they are, while the graph is what was judged.
  void complete_attempts(std::span<const Candidate> candidates, std::span<const size_t> chosen) {
    for (size_t index : chosen) {
      const Match& match = candidates[index].match;
      for (Node* node : match.nodes)
        if (node != match.root() || candidates[index].tag == 0) state_of(node).claimed = true;
    }
    for (NodeState& state : states_) {
      if (state.match == nullptr || state.claimed) continue;
      const Match& match = *state.match;
      if (std::optional<Refusal> refusal = judge(match, backend_.accepts(match)))
        state.refusal = std::make_unique<Refusal>(std::move(*refusal));
      state.match = nullptr;
    }
  }

  // A node of a match that was chosen and then could not be made: judged again as the graph is now.
  void complete(NodeState* state) const {
    const auto erased = [](const Node* n) { return n->erased(); };
    if (state->match != nullptr &&
        std::none_of(state->match->nodes.begin(), state->match->nodes.end(), erased)) {
      if (std::optional<Refusal> refusal = judge(*state->match, backend_.accepts(*state->match)))
        state->refusal = std::make_unique<Refusal>(std::move(*refusal));
    }
    if (state->refusal != nullptr && !state->refusal->text.empty()) return;
    Refusal r;
    r.clause = "choice";
    r.wanted = "nodes that no other match takes";
    r.found = "another match";
    r.text = "another match took one of its nodes";
    state->refusal = std::make_unique<Refusal>(std::move(r));
  }

  NodeState& state_of(Node* node) {
    if (node->scratch == 0) {
      node->scratch = static_cast<uint32_t>(states_.size());
      states_.emplace_back();
    }
    return states_[node->scratch];
  }

  // A match that was refused, with words or in brief.
  void note(Match match, Refusal refusal) {
    const bool brief = refusal.text.empty();
    if (brief) refused_.push_back(std::move(match));
    const Match& kept = brief ? refused_.back() : match;
    note(kept.nodes, kept.root(), backend_.pattern_of(*kept.variant), refusal, kept.variant->length(),
         brief ? &kept : nullptr);
  }

  void note(std::span<Node* const> nodes, const Node* root, const PatternDef& pattern, const Refusal& refusal,
            size_t length, const Match* match = nullptr) {
    for (Node* node : nodes) {
      if (node == nullptr) continue;
      const int score = 8 * refusal.progress + static_cast<int>(length) + (node == root ? 1000 : 0);
      NodeState& best = state_of(node);
      if (score <= best.score) continue;
      best.pattern = &pattern;
      best.refusal = match == nullptr ? std::make_unique<Refusal>(refusal) : nullptr;
      best.match = match;
      best.score = score;
      best.root = node == root;
    }
  }

  void note_miss(const rewrite::Miss& miss) {
    Refusal r;
    r.clause = "one-use";
    r.wanted = fmt::format("{} use{} of {}", miss.wanted, miss.wanted == 1 ? "" : "s",
                           rewrite::source_name(*miss.node));
    r.found =
        fmt::format("{} uses{}", miss.uses, miss.is_output ? ", one of them a result of the graph" : "");
    r.text = fmt::format("{} {} is read by {} nodes{}, so what follows it cannot be fused into it",
                         op_label(*miss.node), rewrite::source_name(*miss.node), miss.uses,
                         miss.is_output ? " and is a result of the graph" : "");
    r.progress = 24;
    const PatternDef& pattern = backend_.pattern_of(*miss.variant);
    r.line = pattern.pattern.at.line;
    note(miss.nodes, miss.nodes[miss.variant->root], pattern, r, miss.variant->length());
  }

  void report_ties(std::span<const Candidate> candidates, std::span<const std::pair<size_t, size_t>> ties) {
    for (const auto& [won, lost] : ties) {
      const Match& a = candidates[won].match;
      const Match& b = candidates[lost].match;
      context_.records.warnings.push_back(fmt::format(
          "{}: patterns \"{}\" and \"{}\" of backend {} take {} alike; the first in the file was chosen",
          kPass, backend_.pattern_of(*a.variant).pattern.name, backend_.pattern_of(*b.variant).pattern.name,
          backend_.name(), rewrite::source_name(*a.root())));
    }
  }

  void apply(fuse::Applier& applier, const Match& match) {
    // Earlier rewrites may have changed what stands at the operands: judge again what is there now. Words
    // are made where something is left out.
    Verdict& verdict = verdict_;
    backend_.judge(match, {.brief = true}, &verdict);
    if (!verdict.ok() || ignores_integers(verdict)) backend_.judge(match, {}, &verdict);
    std::optional<Refusal> refusal = verdict.refusal;
    fuse::Plan plan;
    if (!refusal) {
      auto planned = fuse::plan_match(match, verdict);
      if (auto* refused = std::get_if<Refusal>(&planned)) refusal = std::move(*refused);
      else plan = std::move(std::get<fuse::Plan>(planned));
    }
    if (refusal) return note(match, std::move(*refusal));
    if (plan.unchanged) {
      state_of(match.last()).fused = true;
      if (plan.op->trait == Trait::ShapeOnly && moved_.contains(rewrite::source_name(*match.root()))) {
        record(*match.root(), verdict, source_names(*match.root()), " (moved onto integers before)");
      }
      return;
    }
    std::vector<std::string> replaced;
    const bool by_value = !by_value_.empty() && by_value_.contains(rewrite::source_name(*match.root()));
    auto fused = applier.apply(match, plan, &replaced);
    if (!fused.ok()) {
      Refusal r;
      r.clause = fused.error().first().id.empty() ? "becomes" : fused.error().first().id;
      r.wanted = std::string(plan.op->name);
      r.found = fused.error().first().text;
      r.text = fused.error().first().text;
      return note(match, std::move(r));
    }
    state_of(*fused).fused = true;
    std::string remark = float_remark(verdict, match.root());
    if (by_value)
      remark += "; by value: all integers of the weight fit 4 bits, which is what it is declared as now";
    record(**fused, verdict, std::move(replaced), remark);
    adapt(*fused);
  }

  // Integers stand at an operand or the result, and yet the operator takes the real value: says why.
  std::string float_remark(const Verdict& verdict, const Node* root) const {
    for (size_t s = 0; s < verdict.slots.size(); ++s) {
      const rewrite::BoundSlot& slot = verdict.slots[s];
      for (size_t k = 0; k < slot.readings.size(); ++k) {
        const bool ignored =
            slot.readings[k].quant != nullptr && !verdict.as_quantized[s][k] && slot.name.role != Role::Bias;
        if (!ignored) continue;
        std::string why = verdict.passed_over ? verdict.passed_over->text : "";
        if (const NodeState& other = states_[root->scratch]; why.empty() && other.refusal != nullptr)
          why = other.refusal->text;
        return fmt::format("; {} is taken as float: {}", slot.name.result ? "the result" : slot.name.card,
                           why);
      }
    }
    return {};
  }

  void record(const Node& fused, const Verdict& verdict, std::vector<std::string> nodes,
              std::string_view remark) {
    RewriteRecord record;
    record.pass = kPass;
    record.pattern = rewrite::derived_name(fused);
    record.nodes = std::move(nodes);
    record.into = std::string(fused.name());
    record.note = fmt::format("pattern {} of backend {}", verdict.pattern->pattern.name, backend_.name());
    if (verdict.types != nullptr) record.note += fmt::format(", types {}", verdict.types->name);
    record.note += remark;
    context_.records.rewrites.push_back(std::move(record));
  }

  // One record for every node that computes and was not fused.
  void explain(Node* node) {
    const OpDef& op = node->op();
    if (states_[node->scratch].fused || op.trait == Trait::ShapeOnly || node->is(kConstOp) ||
        node->is(kReturnOp))
      return;
    if (node->is(ops::quantize)) return explain_requantization(*node);
    if (node->is(ops::dequantize) || node->is(ops::storage_cast)) return;
    if (op.trait == Trait::Structural && !node->is(kOpaqueOp) && node->regions().empty())
      return;  // a symbolic number, an assertion
    KeptRecord record;
    record.node = rewrite::source_name(*node);
    record.op = std::string(op_label(*node));
    record.pass = kPass;
    const std::string who = fmt::format("{} {}", record.op, rewrite::person_name(*node));
    NodeState& state = states_[node->scratch];
    if (state.pattern != nullptr) {
      if (state.refusal == nullptr || state.refusal->text.empty()) complete(&state);
      const Refusal& r = *state.refusal;
      record.pattern = state.pattern->pattern.name;
      record.clause = r.clause;
      if (r.line != 0) record.clause += fmt::format(" (line {})", r.line);
      record.wanted = r.wanted;
      record.found = r.found;
      record.text = fmt::format("{} is not fused: {}; pattern {} of backend {} wants {}", who, r.text,
                                record.pattern, backend_.name(), r.wanted);
      if (state.root) otherwise(*state.pattern, *node, record.text);
    } else {
      record.clause = "pattern";
      record.wanted = fmt::format("a pattern of backend {}", backend_.name());
      record.found = "none";
      record.text = fmt::format("{} is not fused: {}", who, why_without_pattern(*node));
    }
    context_.records.kept.push_back(std::move(record));
  }

  // A quantize of what a dequantize gives: other parameters, or it would be gone. The two are the
  // requantization's exact meaning and stay.
  void explain_requantization(const Node& node) {
    const Value* real = node.operand(0);
    const Node* source = real == nullptr ? nullptr : real->def();
    if (source == nullptr || !source->is(ops::dequantize)) return;
    const Type& from = source->operand(0)->type();
    const Type& to = node.result()->type();
    if (!from.is_quantized() || !to.is_quantized()) return;
    Context& context = node.context();
    KeptRecord record;
    record.node = rewrite::source_name(node);
    record.op = std::string(op_label(node));
    record.pass = kPass;
    record.clause = "requantize";
    record.wanted = "one quantization on both sides";
    record.found = fmt::format("{} to {}", rewrite::describe(context, *from.quant, from.shape),
                               rewrite::describe(context, *to.quant, to.shape));
    record.text = fmt::format("{} requantizes {}; dequantize and quantize stay, they are its exact meaning",
                              rewrite::person_name(node), record.found);
    context_.records.kept.push_back(std::move(record));
  }

  // What the pattern asks for where it does not fit.
  void otherwise(const PatternDef& pattern, const Node& node, const std::string& text) {
    if (!pattern.otherwise || *pattern.otherwise == backend::Otherwise::Float) return;
    if (*pattern.otherwise == backend::Otherwise::Warn) {
      context_.records.warnings.push_back(fmt::format("{}: {}", kPass, text));
      return;
    }
    const Error error = node.error("fuse.otherwise", text);
    errors_.insert(errors_.end(), error.diagnostics().begin(), error.diagnostics().end());
  }

  std::string why_without_pattern(const Node& node) const {
    const OpDef& op = node.op();
    const std::string label(op_label(node));
    if (node.is(kOpaqueOp)) return fmt::format("operator {} is not known here", label);
    if (!node.regions().empty()) return "it is control flow; what its regions hold is fused there";
    if (op.trait == Trait::Never)
      return fmt::format("{} works on plain numbers, there is nothing to quantize", label);
    if (op.trait == Trait::Quantizer)
      return fmt::format("{} computes or simulates quantization and is no integer operator", label);
    if (!backend_.knows(op, true))
      return fmt::format("no pattern of backend {} takes {}", backend_.name(), label);
    if (!backend_.knows(op))
      return fmt::format("backend {} takes {} only as part of larger patterns, none of which is here",
                         backend_.name(), label);
    return fmt::format("no pattern of backend {} that takes {} fits what stands around it", backend_.name(),
                       label);
  }

  PassContext& context_;
  const Backend& backend_;
  Verdict verdict_;  // of the match in hand; its memory is used again
  std::vector<NodeState>
      states_;                 // by Node::scratch; the first stands for all nodes of which nothing is known
  std::deque<Match> refused_;  // in brief
  std::optional<fuse::WeightForms> forms_;    // of the graph that is fused
  std::unordered_set<std::string> by_value_;  // roots whose weight was declared anew
  std::vector<Diagnostic> errors_;            // of patterns with `otherwise error`
  std::unordered_set<std::string> moved_;     // nodes that earlier passes of this run rewrote
};

Status run_fuse_qdq(PassContext& context) {
  const Backend& backend = context.backend != nullptr ? *context.backend : Backend::permissive();
  return Fusion(context, backend).run();
}

}  // namespace

constinit const PassCard kFuseQdqPass = {
    .name = "fuse-qdq",
    .doc = "turns dequantize, op, clamp, quantize into integer operators the backend takes",
    .needs = "cleanup; fold-shape and move-qdq, so that quantizers stand beside operators",
    .gives = "integer operators, and a reason for every operator that is none",
    .promise = Promise::Exact,
    .run = run_fuse_qdq,
};

}  // namespace zp
