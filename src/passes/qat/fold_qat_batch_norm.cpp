// fold-qat-batch-norm: the affine chain behind a quantized convolution or linear - in QAT graphs a division
// by gamma / sigma, an addition of the float bias and a batch norm, possibly behind a quantizer of their own
// - becomes the convolution's weight scales and bias:
//     y = a_c * conv(x, w) + b_c  =  conv(x, a_c * w) + b_c
// a_c = 1 up to rounding (the chain undoes what training put into the weights) leaves the weights alone;
// otherwise a_c goes into the scales, its sign into the integers. b_c becomes the int32 bias. The quantizer
// in front of the batch norm goes, so the result takes the parameters of the first quantizer after batch norm
// and activation: keeping the former costs up to 40 dB when the batch norm shifts the distribution. Before
// that, fake quantization becomes quantize and dequantize, so that a graph prepared for training folds like a
// converted one. It pays on every QAT graph. What is no such chain stays whole, with the reason on record.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>

#include "backend/backend.h"
#include "ops/ops.h"
#include "passes/qat/bias_before.h"
#include "passes/qat/chain.h"
#include "passes/qat/clip.h"
#include "passes/qat/fake_quantize.h"
#include "passes/qat/fold_record.h"
#include "passes/qat/qat.h"
#include "passes/shape/shape.h"

namespace zp::qat {
namespace {

constexpr std::string_view kPass = "fold-qat-batch-norm";
constexpr size_t kFarthestEnd = 64;  // steps behind a batch norm that are looked at

class BatchNormFold {
 public:
  explicit BatchNormFold(PassContext& context) : context_(context), bias_forms_(context.backend) {}

  Status run() {
    Nodes nodes = collect();
    were_float_ = split_fake_quantizers(nodes.fake_quantizers, kPass, constants_, context_.records);
    if (has_reshaped_weight(nodes.anchors)) {
      ZP_CHECK(fold_shapes());
      nodes = collect();
    }
    counts_ = count_clipped(context_.model, context_.samples);
    for (Node* node : nodes.ends) {
      if (node->erased()) continue;
      if (node->is(ops::batch_norm)) {
        ZP_CHECK(fold_batch_norm(*node));
      } else if (may_end_written_out(*node)) {
        ZP_CHECK(fold_written_out(*node));
      }
    }
    return {};
  }

 private:
  struct Nodes {
    std::vector<Node*> fake_quantizers, anchors;
    std::vector<Node*> ends;  // at which a chain may end, in order; folding one may erase later ones
  };
  Nodes collect() const;
  // A constant weight with shape operators behind its dequantize: they are carried out first.
  static bool has_reshaped_weight(std::span<Node* const> anchors);
  Status fold_shapes();

  // What goes on, even on one of several branches, is no end: half a chain is never folded.
  static bool may_end_written_out(const Node& node) {
    if (!is_affine_step(node)) return false;
    const Value* value = node.result();
    for (const Node* next = value->only_user(); next != nullptr && is_nothing(*next);
         next = value->only_user())
      value = next->result();
    for (const Use& use : value->uses())
      if (use.user()->is(ops::batch_norm) || is_affine_step(*use.user())) return false;
    return true;
  }

  Status fold_batch_norm(Node& node);
  Status fold_written_out(Node& node);
  Status keep(const Node& node, const Why& why);
  std::optional<Why> check_weight(const ConvSite& site);
  Answer<Candidate> examine(Chain chain);
  Status apply(Candidate& candidate);
  Result<Value*> make_bias(const ConvSite& site, Candidate& candidate, int64_t* saturated);
  void record(const Candidate& candidate, const OutputStage& stage, std::vector<std::string> nodes,
              int64_t saturated);

  PassContext& context_;
  ClipCounts counts_;
  ChannelConstants constants_;
  BiasForms bias_forms_;
  std::unordered_set<const Node*> were_float_;  // convolutions of values that were fake-quantized
  std::unordered_map<const Node*, double>
      moved_;  // convolutions that were folded before, and how far they moved
};

BatchNormFold::Nodes BatchNormFold::collect() const {
  Nodes found;
  for (Graph* graph : context_.model.graphs()) {
    for (Node* node : graph->nodes()) {
      node->scratch = 0;  // as ConstantFlow::start does
      if (node->is(ops::fake_quantize)) found.fake_quantizers.push_back(node);
      if (is_conv_or_linear(*node)) found.anchors.push_back(node);
      if (node->is(ops::batch_norm) || is_affine_op(*node)) found.ends.push_back(node);
    }
  }
  return found;
}

bool BatchNormFold::has_reshaped_weight(std::span<Node* const> anchors) {
  for (const Node* node : anchors) {
    const Value* weight = node->operand(1);
    const Node* def = weight != nullptr ? weight->def() : nullptr;
    if (def == nullptr || def->is(kConstOp) || def->is(ops::dequantize)) continue;
    if (ConstantFlow::is_constant(weight)) return true;
  }
  return false;
}

// What it keeps is said when its own turn comes.
Status BatchNormFold::fold_shapes() {
  const size_t kept = context_.records.kept.size();
  ZP_CHECK(kFoldShapePass.run(context_));
  context_.records.kept.resize(kept);
  return {};
}

// The longest chain that begins before the batch norm, goes through it, and can be folded.
Status BatchNormFold::fold_batch_norm(Node& node) {
  std::vector<Node*> ends{&node};
  for (Node* user = node.result()->only_user(); user != nullptr && ends.size() < kFarthestEnd;
       user = user->result()->only_user()) {
    if (user->is(ops::batch_norm) ? user->operand(0) != ends.back()->result()
                                  : !is_affine_step(*user) && !is_nothing(*user))
      break;
    ends.push_back(user);
  }
  std::optional<Why> why;
  while (!ends.empty()) {
    Answer<Chain> chain = trace_chain(*ends.back());
    if (chain) {
      Answer<Candidate> candidate = examine(std::move(*chain));
      if (candidate) return apply(*candidate);
      why = candidate.why();
    } else {
      why = chain.why();
    }
    ends.pop_back();
  }
  return keep(node, *why);
}

Status BatchNormFold::fold_written_out(Node& node) {
  Answer<Chain> chain = trace_chain(node);
  if (!chain || !is_written_out(*chain) || chain->site.weight_dequantize == nullptr) return {};
  Answer<Candidate> candidate = examine(std::move(*chain));
  if (!candidate) return keep(node, candidate.why());
  return apply(*candidate);
}

Status BatchNormFold::keep(const Node& node, const Why& why) {
  constants_.trim();
  KeptRecord record = kept_record(kPass, node, why);
  if (why.place != nullptr && why.place != &node)
    record.text += fmt::format(" (in front of '{}')", source_name(node));
  context_.records.kept.push_back(std::move(record));
  return {};
}

// A weight that is known now: integers behind a dequantize, or a float constant.
std::optional<Why> BatchNormFold::check_weight(const ConvSite& site) {
  const Value* stored = site.stored_weight();
  const std::string name = source_name(*site.node);
  if (site.weight_dequantize == nullptr) {
    if (stored->def() != nullptr && stored->def()->is(kConstOp) && is_float(stored->type().dtype))
      return std::nullopt;
    return Why{site.node, "quantized-weight", "a dequantized weight", "a float weight",
               fmt::format("the weight of '{}' is neither quantized nor a constant", name)};
  }
  if (ConstantFlow::is_constant(stored)) return std::nullopt;
  return Why{site.node, "constant-weight", "a constant weight", "a computed one",
             fmt::format("the weight of '{}' is known only at run time", name)};
}

// Everything that must hold, and the plan; touches nothing.
Answer<Candidate> BatchNormFold::examine(Chain chain) {
  Candidate c{.chain = std::move(chain)};
  const ConvSite& site = c.chain.site;
  if (site.weight_dequantize != nullptr) {
    Answer<std::vector<double>> scales = weight_scales(site);
    if (scales) {
      c.scales = std::move(*scales);
    } else {
      const std::optional<double> largest = largest_weight_scale(site);
      if (!largest) return scales.why();
      c.scales.assign(static_cast<size_t>(site.channels), *largest);
      c.fixed_weight = scales.why();
    }
  }
  if (auto why = check_weight(site)) return *why;
  Answer<ChainMap> map = chain_map(c.chain, constants_);
  if (!map) return map.why();
  c.map = std::move(*map);
  if (site.weight_dequantize != nullptr && !c.fixed_weight) {
    if (Answer<AccumulatorUnits> units = accumulator_units(site, c.scales))
      c.expected.units = std::move(*units);
  }
  c.expected.statistics = statistics_of(c.chain, c.map.at_batch_norm, constants_);
  c.drops_pair =
      c.chain.quantize != nullptr && (context_.backend == nullptr || context_.backend->qat_output_after());
  if (c.drops_pair) {
    const Answer<ClipAnswer> clip = judge_clipping(c.chain, counts_, &c.expected, constants_);
    if (!clip) return clip.why();
    c.clip = *clip;
  }
  const bool integer_bias = c.expected.units && bias_forms_.integer(site.node->op());
  Answer<FoldPlan> plan =
      make_fold_plan(c.situation(context_.backend, integer_bias, were_float_.contains(site.node)), c.scales,
                     constants_.values());
  if (!plan) return plan.why();
  if (plan->weights_change && c.fixed_weight) return *c.fixed_weight;
  c.plan = std::move(*plan);
  // A convolution folded once more moves by what it moved before, through the map, and by this.
  if (const auto before = moved_.find(site.node); before != moved_.end()) {
    double slope = 0;
    for (const Scaled& a : c.map.whole.a) slope = std::max(slope, std::abs(a.standard()));
    c.plan.bound += slope * before->second;
  }
  return c;
}

namespace {

// Erases nodes nobody reads any more, and what only they read.
void erase_dead(std::vector<Node*> work) {
  while (!work.empty()) {
    Node* node = work.back();
    work.pop_back();
    if (node->erased() || node->has_uses() || !is_computable(*node)) continue;
    std::vector<Node*> operands;
    for (size_t i = 0; i < node->operand_count(); ++i)
      if (node->operand(i) != nullptr && node->operand(i)->def() != nullptr)
        operands.push_back(node->operand(i)->def());
    node->erase();
    work.insert(work.end(), operands.begin(), operands.end());
  }
}

}  // namespace

// The bias of the folded convolution, before the node.
Result<Value*> BatchNormFold::make_bias(const ConvSite& site, Candidate& candidate, int64_t* saturated) {
  const FoldPlan& plan = candidate.plan;
  if (!plan.integer_bias) return make_real_bias(site, plan.bias);
  if (candidate.chain.quantize != nullptr && !candidate.drops_pair && !plan.weights_change) {
    if (const auto before = bias_before(candidate.chain, *candidate.expected.units, constants_)) {
      AccumulatorUnits units = *candidate.expected.units;
      units.units[0] = before->scale;
      units.per_tensor = true;
      candidate.plan.bound += before->scale / 2;  // it may be coarser than the accumulator
      ZP_TRY(const IntegerBias made, store_integer_bias(site, units, before->integers));
      return made.value;
    }
  }
  std::optional<AccumulatorUnits> changed;
  if (plan.weights_change) {
    const Answer<AccumulatorUnits> units = accumulator_units(site);
    if (!units) return Error("fold.units", units.why().text);
    changed = *units;
  }
  ZP_TRY(const IntegerBias made,
         make_integer_bias(site, changed ? *changed : *candidate.expected.units, plan.bias));
  *saturated = made.saturated;
  return made.value;
}

Status BatchNormFold::apply(Candidate& candidate) {
  const Chain& chain = candidate.chain;
  const FoldPlan& plan = candidate.plan;
  ConvSite site = chain.site;
  std::vector<Node*> dead;
  if (plan.weights_change) {
    const Answer<Value*> weight =
        change_weight(site, {plan.factor, plan.shrink}, context_.backend, constants_.values());
    if (!weight) return keep(*chain.end, weight.why());
    dead.push_back(site.node->operand(site.weight_operand)->def());
    site.node->set_operand(site.weight_operand, *weight);
    if (site.weight_permute != nullptr) site.weight_permute = (*weight)->def();
    if (site.weight_dequantize != nullptr)
      site.weight_dequantize =
          site.weight_permute ? site.weight_permute->operand(0)->def() : (*weight)->def();
  }
  int64_t saturated = 0;
  ZP_TRY(Value * bias, make_bias(site, candidate, &saturated));
  if (Value* old_bias = site.bias()) dead.push_back(old_bias->def());
  const std::string source(site.node->name());
  const OutputStage stage = output_stage(*chain.end->result());
  Node* conv = set_bias(site, bias, NewNode::Unnamed);  // it gets the name of the chain's end

  std::vector<std::string> nodes = source_names(*conv);
  Value* folded =
      candidate.drops_pair || chain.dequantize == nullptr ? conv->result() : chain.dequantize->result();
  const std::string end_name(chain.end->name());
  if (candidate.drops_pair)
    nodes.insert(nodes.begin() + 1, {source_name(*chain.quantize), source_name(*chain.dequantize)});
  for (const ChainStep& step : chain.steps) {
    nodes.push_back(source_name(*step.node));
    conv->add_origins_of(*step.node);
  }
  chain.end->result()->replace_all_uses_with(folded);
  record(candidate, stage, std::move(nodes), saturated);
  for (auto step = chain.steps.rbegin(); step != chain.steps.rend(); ++step) dead.push_back(step->node);
  if (candidate.drops_pair) dead.insert(dead.end(), {chain.dequantize, chain.quantize});
  std::reverse(dead.begin(), dead.end());  // the end of the chain first
  erase_dead(std::move(dead));
  // The value at the chain's end lives on under its name: it is the one that the fold keeps.
  folded->def()->set_name(end_name);
  RewriteRecord& last = context_.records.rewrites.back();
  last.into = std::string(folded->def()->name());
  if (!context_.samples.empty()) keep_exact(candidate, source, stage, last.fold.get());
  moved_[conv] = plan.bound;
  constants_.trim();
  return {};
}

void BatchNormFold::record(const Candidate& c, const OutputStage& stage, std::vector<std::string> nodes,
                           int64_t saturated) {
  const FoldPlan& plan = c.plan;
  RewriteRecord record;
  record.pass = std::string(kPass);
  record.pattern = fmt::format("{}-batch-norm", c.chain.site.node->op().name);
  record.nodes = std::move(nodes);
  record.max_abs_change = plan.bound;
  record.fold = std::make_shared<FoldFacts>(fold_facts(c, stage, saturated));
  record.fold->predicted =
      predict_noise(c.situation(context_.backend, plan.integer_bias, false), plan, stage);
  record.note = fold_note(c, *record.fold, saturated);
  context_.records.rewrites.push_back(std::move(record));
  if (saturated > 0) {
    context_.records.warnings.push_back(
        fmt::format("{}: the bias of '{}' exceeds int32 in {} of {} channels and was saturated", kPass,
                    source_name(*c.chain.site.node), saturated, plan.bias.size()));
  }
}

Status run_fold(PassContext& context) { return BatchNormFold(context).run(); }

}  // namespace
}  // namespace zp::qat

namespace zp {

const PassCard kFoldQatBatchNormPass{
    .name = qat::kPass,
    .doc = "folds batch norms behind quantized convolutions into weight scales and biases",
    .needs = "cleanup makes it find more and costs less",
    .gives = "no batch norm behind a quantized convolution that can be folded exactly",
    .promise = Promise::Rounded,
    .run = qat::run_fold};

}  // namespace zp
