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

#include "backend/backend.h"
#include "ops/ops.h"
#include "passes/qat/chain.h"
#include "passes/qat/clip.h"
#include "passes/qat/fake_quantize.h"
#include "passes/qat/qat.h"

namespace zp::qat {
namespace {

constexpr std::string_view kPass = "fold-qat-batch-norm";
// |a - 1| up to which the weights stay: a handful of float roundings; a hundredth of that is lost in any
// 16-bit step.
constexpr double kUnity = 0x1p-20;
constexpr double kBiasRoom = 0x1p30;  // a bias beyond it leaves no room for the accumulator in int32
constexpr double kBiasLimit = 0x1p31 - 1;

// What the fold will do to a site, decided before anything is touched.
struct Plan {
  std::vector<double> factor;      // of the weights; 1 where they stay
  std::vector<double> shrink;      // empty: none
  std::vector<size_t> weightless;  // channels whose weights are all zero and whose a is not 1
  std::vector<double> bias;
  bool integer_bias = false;
  bool weights_change = false;
  double largest_deviation = 0;  // max |a - 1|
  int64_t cleared = 0, shrunk = 0;
  double bound = 0;
};

class BatchNormFold {
 public:
  explicit BatchNormFold(PassContext& context) : context_(context) {}

  Status run(std::span<Graph* const> graphs) {
    for (Graph* graph : graphs) {
      were_float_.merge(split_fake_quantizers(*graph, kPass, constants_, context_.records));
    }
    counts_ = count_clipped(context_.model, context_.samples);
    for (Graph* graph : graphs) ZP_CHECK(run(*graph));
    return {};
  }

 private:
  Status run(Graph& graph) {
    for (Node* node : graph.nodes()) {
      if (node->is(ops::batch_norm)) {
        ZP_CHECK(fold_batch_norm(*node));
      } else if (may_end_written_out(*node)) {
        ZP_CHECK(fold_written_out(*node));
      }
    }
    return {};
  }

  bool may_end_written_out(const Node& node) {
    if (!is_affine_step(node, constants_.flow())) return false;
    // What goes on, even on one of several branches, is no end: half a chain is never folded.
    for (const Use& use : node.result()->uses())
      if (use.user()->is(ops::batch_norm) || is_affine_step(*use.user(), constants_.flow())) return false;
    return true;
  }

  Status fold_batch_norm(Node& node) {
    Answer<Chain> chain = trace_chain(node, constants_.flow());
    if (!chain) return keep(node, chain.why());
    return fold(*chain);
  }

  Status fold_written_out(Node& node) {
    Answer<Chain> chain = trace_chain(node, constants_.flow());
    if (!chain || !is_written_out(*chain) || chain->site.weight_dequantize == nullptr) return {};
    return fold(*chain);
  }

  Status keep(const Node& node, const Why& why) {
    KeptRecord record = kept_record(kPass, node, why);
    if (why.place != nullptr && why.place != &node)
      record.text += fmt::format(" (in front of '{}')", source_name(node));
    context_.records.kept.push_back(std::move(record));
    return {};
  }

  Status fold(Chain& chain) {
    if (auto why = check_weight(chain.site)) return keep(*chain.end, *why);
    const Answer<ChainMap> map = chain_map(chain, constants_);
    if (!map) return keep(*chain.end, map.why());
    const bool drop_pair =
        chain.quantize != nullptr && (context_.backend == nullptr || context_.backend->qat_output_after());
    ClipAnswer clip;
    if (drop_pair) {
      const Answer<ClipAnswer> judged = judge_clipping(chain, map->at_batch_norm, counts_, constants_);
      if (!judged) return keep(*chain.end, judged.why());
      clip = *judged;
    }
    Answer<Plan> plan = make_plan(chain, *map, clip);
    if (!plan) return keep(*chain.end, plan.why());
    return apply(chain, *plan, drop_pair, clip);
  }

  std::optional<Why> check_weight(const ConvSite& site) {
    if (auto scales = weight_scales(site); !scales) return scales.why();
    if (constants_.flow().is_constant(site.weight_dequantize->operand(0))) return std::nullopt;
    return Why{site.node, "constant-weight", "a constant weight", "a computed one",
               fmt::format("the weight of '{}' is known only at run time", source_name(*site.node))};
  }

  Answer<Plan> make_plan(const Chain& chain, const ChainMap& map, const ClipAnswer& clip);
  std::optional<Why> plan_factors(const Chain& chain, const AffineMap& map, Plan* plan);
  std::optional<Why> plan_units(const Chain& chain, Plan* plan);
  double predicted_change(const Chain& chain, const ChainMap& map, const ClipAnswer& clip, const Plan& plan);
  Status apply(Chain& chain, const Plan& plan, bool drop_pair, const ClipAnswer& clip);
  void record(const Chain& chain, const Plan& plan, const std::vector<std::string>& nodes, bool drop_pair,
              const ClipAnswer& clip, int64_t saturated);

  PassContext& context_;
  ClipCounts counts_;
  ChannelConstants constants_;
  std::unordered_set<const Node*> were_float_;  // convolutions of values that were fake-quantized
};

// a into factors of the weight: 1 within rounding stays, 0 clears the channel. A channel whose weights are
// all zero does not care what it is multiplied by: that is where training pruned a gamma and the archive
// computes 0 / 0.
std::optional<Why> BatchNormFold::plan_factors(const Chain& chain, const AffineMap& map, Plan* plan) {
  std::optional<WeightReach> reach;
  for (size_t c = 0; c < map.channels(); ++c) {
    double a = map.a[c].is_infinite() ? INFINITY : map.a[c].standard();
    const double b = map.b[c].is_infinite() ? INFINITY : map.b[c].standard();
    if (!std::isfinite(b)) {
      return Why{chain.end, "finite", "finite constants", fmt::format("{}", b),
                 fmt::format("channel {} of '{}' is shifted by {}", c, source_name(*chain.end), b)};
    }
    if (!(std::abs(a - 1) <= kUnity)) {
      if (!reach) {
        Answer<WeightReach> read = weight_reach(chain.site, constants_.values());
        if (!read) return read.why();
        reach = std::move(*read);
      }
      if (reach->zero[c]) {
        a = 1;
        plan->weightless.push_back(c);
      }
    }
    if (!std::isfinite(a)) {
      return Why{chain.end, "finite", "finite constants", fmt::format("{}", a),
                 fmt::format("channel {} of '{}' is multiplied by {}", c, source_name(*chain.end), a)};
    }
    plan->largest_deviation = std::max(plan->largest_deviation, std::abs(a - 1));
    plan->cleared += a == 0;
    plan->factor.push_back(std::abs(a - 1) <= kUnity ? 1.0 : a);
    plan->weights_change |= plan->factor.back() != 1.0;
    plan->bias.push_back(b);
  }
  return std::nullopt;
}

// The accumulator units after the change. A bias that int32 cannot hold beside the accumulator (a gamma of
// 1e-9 leaves tiny units and a bias of ordinary size) makes the channel's weights coarser: what they add is
// then far below a step.
std::optional<Why> BatchNormFold::plan_units(const Chain& chain, Plan* plan) {
  Answer<AccumulatorUnits> units = accumulator_units(chain.site);
  if (!units) return units.why();
  std::optional<WeightReach> reach;
  for (size_t c = 0; c < plan->bias.size(); ++c) {
    const double factor = plan->factor[c] == 0 ? 1.0 : std::abs(plan->factor[c]);
    const double unit = units->units[c] * factor;
    const double steps = std::abs(plan->bias[c]) / unit;
    if (!(steps > kBiasRoom)) continue;
    if (!reach) {
      Answer<WeightReach> read = weight_reach(chain.site, constants_.values());
      if (!read) return read.why();
      reach = std::move(*read);
    }
    if (steps + std::max(reach->positive[c], -reach->negative[c]) <= kBiasLimit) continue;
    if (plan->shrink.empty()) plan->shrink.assign(plan->bias.size(), 1.0);
    plan->shrink[c] = kBiasRoom / steps;
    plan->weights_change = true;
    ++plan->shrunk;
  }
  // Where the weight must keep one scale, all channels become as coarse as the coarsest.
  if (plan->shrunk > 0 && units->per_tensor && plan->largest_deviation <= kUnity &&
      context_.backend != nullptr) {
    QuantType along = *chain.site.weight_type();
    along.axis = chain.site.weight_axis;
    const Shape shape = chain.site.weight_dequantize->operand(0)->type().shape;
    if (!context_.backend->takes_weight_quant(chain.site.node->op(), chain.site.weight_operand, along, shape)
             .ok) {
      const double coarsest = *std::min_element(plan->shrink.begin(), plan->shrink.end());
      plan->shrink.assign(plan->bias.size(), coarsest);
    }
  }
  return std::nullopt;
}

Answer<Plan> BatchNormFold::make_plan(const Chain& chain, const ChainMap& map, const ClipAnswer& clip) {
  Plan plan;
  if (auto why = plan_factors(chain, map.whole, &plan)) return *why;
  plan.integer_bias = wants_integer_bias(chain.site, context_.backend);
  if (plan.integer_bias) {
    if (auto why = plan_units(chain, &plan)) return *why;
  }
  plan.bound = predicted_change(chain, map, clip, plan);
  return plan;
}

// |folded - archive| in the value at the chain's end: half a step of the dropped quantizer through the map,
// half a unit of the bias, the deviations of a that were dropped, coarser weights, and the float roundings of
// the archive's chain.
double BatchNormFold::predicted_change(const Chain& chain, const ChainMap& map, const ClipAnswer& clip,
                                       const Plan& plan) {
  const ConvSite& site = chain.site;
  const Answer<std::vector<double>> scales = weight_scales(site);
  const QuantType& weight = *site.weight_type();
  const QuantType* input = site.input_type();
  double input_scale = 0, input_reach = 0, step = 0;
  if (input != nullptr && !input->dynamic && input->per_tensor()) {
    input_scale = input->scale;
    input_reach = static_cast<double>(input->qmax - input->qmin);
  }
  const Type& w = site.weight_dequantize->operand(0)->type();
  const double products = static_cast<double>(w.elements()) /
                          static_cast<double>(std::max<int64_t>(site.channels_per_scale_run, 1));
  if (chain.quantize != nullptr) step = chain.quantize->result()->type().quant->scale;
  std::vector<double>
      absolute;  // sums of |weight integers|, read only where the archive's sum was a float one
  if (were_float_.contains(site.node)) {
    if (auto reach = weight_reach(site, constants_.values())) absolute = reach->absolute;
  }
  const double roundings = 0x1p-23 * static_cast<double>(chain.steps.size() + 4);
  double bound = 0;
  for (size_t c = 0; c < plan.factor.size(); ++c) {
    const Scaled slope = map.whole.a[c];
    if (!slope.is_ordinary() || std::binary_search(plan.weightless.begin(), plan.weightless.end(), c))
      continue;  // 0 / 0 in the archive
    const double unit = (*scales)[c] * input_scale;
    const double reach = products * static_cast<double>(weight.qmax - weight.qmin) * input_reach * unit;
    const double a = std::abs(slope.standard());
    double change =
        a * (step / 2 + clip.largest_excess) + std::abs(slope.standard() - plan.factor[c]) * reach;
    const double shrink = plan.shrink.empty() ? 1.0 : plan.shrink[c];
    if (plan.integer_bias) change += unit * std::max(std::abs(plan.factor[c]), 0x1p-100) / shrink / 2;
    if (shrink != 1.0) change += products * input_reach * unit * a / shrink / 2;
    if (!absolute.empty()) change += a * float_sum_error(products, absolute[c] * input_reach * unit);
    const double magnitude =
        map.magnitude.a[c].standard() * reach + map.magnitude.b[c].standard() + a * reach;
    bound = std::max(bound, change + roundings * magnitude);
  }
  return bound;
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

Status BatchNormFold::apply(Chain& chain, const Plan& plan, bool drop_pair, const ClipAnswer& clip) {
  ConvSite site = chain.site;
  std::vector<Node*> dead;
  Value* old_weight = site.node->operand(site.weight_operand);
  if (plan.weights_change) {
    const Answer<Value*> weight =
        change_weight(site, {plan.factor, plan.shrink}, context_.backend, constants_.values());
    if (!weight) return keep(*chain.end, weight.why());
    site.node->set_operand(site.weight_operand, *weight);
    site.weight_dequantize = site.weight_permute ? (*weight)->def()->operand(0)->def() : (*weight)->def();
    dead.push_back(old_weight->def());
  }
  int64_t saturated = 0;
  Value* bias = nullptr;
  if (plan.integer_bias) {
    const Answer<AccumulatorUnits> units = accumulator_units(site);
    if (!units) {
      site.node->set_operand(site.weight_operand, old_weight);
      return keep(*chain.end, units.why());
    }
    ZP_TRY(const IntegerBias made, make_integer_bias(site, *units, plan.bias));
    bias = made.value;
    saturated = made.saturated;
  } else {
    ZP_TRY(bias, make_real_bias(site, plan.bias));
  }
  if (Value* old_bias = site.bias()) dead.push_back(old_bias->def());
  Node* conv = set_bias(site, bias);

  std::vector<std::string> nodes = source_names(*conv);
  Value* folded = drop_pair || chain.dequantize == nullptr ? conv->result() : chain.dequantize->result();
  const std::string end_name(chain.end->name());
  chain.end->result()->replace_all_uses_with(folded);
  for (auto step = chain.steps.rbegin(); step != chain.steps.rend(); ++step) dead.push_back(step->node);
  if (drop_pair) dead.insert(dead.end(), {chain.dequantize, chain.quantize});
  for (const ChainStep& step : chain.steps) {
    nodes.push_back(source_name(*step.node));
    conv->add_origins_of(*step.node);
  }
  if (drop_pair)
    nodes.insert(nodes.begin() + 1, {source_name(*chain.quantize), source_name(*chain.dequantize)});
  record(chain, plan, nodes, drop_pair, clip, saturated);
  std::reverse(dead.begin(), dead.end());  // the end of the chain first
  erase_dead(std::move(dead));
  // The value at the chain's end lives on under its name: it is the one that the fold keeps.
  folded->def()->set_name(end_name);
  if (!context_.records.rewrites.empty())
    context_.records.rewrites.back().into = std::string(folded->def()->name());
  return {};
}

void BatchNormFold::record(const Chain& chain, const Plan& plan, const std::vector<std::string>& nodes,
                           bool drop_pair, const ClipAnswer& clip, int64_t saturated) {
  RewriteRecord record;
  record.pass = std::string(kPass);
  record.pattern = fmt::format("{}-batch-norm", chain.site.node->op().name);
  record.nodes = nodes;
  record.max_abs_change = plan.bound;
  std::string& note = record.note;
  note = plan.weights_change ? fmt::format("weights changed, max |a - 1| {:.3g}", plan.largest_deviation)
                             : fmt::format("weights kept, max |a - 1| {:.3g}", plan.largest_deviation);
  note += plan.integer_bias ? ", int32 bias" : ", float bias";
  if (!plan.weightless.empty()) note += fmt::format(", channels without weight: {}", plan.weightless.size());
  if (plan.cleared > 0) note += fmt::format(", channels whose weights became zero: {}", plan.cleared);
  if (plan.shrunk > 0)
    note += fmt::format(", channels with coarser weights so that the bias fits int32: {}", plan.shrunk);
  if (saturated > 0) note += fmt::format(", channels with a saturated bias: {}", saturated);
  if (drop_pair) {
    const QuantType& quant = *chain.quantize->result()->type().quant;
    note += fmt::format(
        ", quantizer of scale {:.6g} and zero point {} in front of the batch norm dropped ({:.2g} % clipped, "
        "{})",
        quant.scale, quant.zero_point, clip.share * 100, clip.how);
  }
  note += fmt::format("; largest change {:.3g}", plan.bound);
  context_.records.rewrites.push_back(std::move(record));
  if (saturated > 0) {
    context_.records.warnings.push_back(
        fmt::format("{}: the bias of '{}' exceeds int32 in {} of {} channels and was saturated", kPass,
                    source_name(*chain.site.node), saturated, plan.bias.size()));
  }
}

Status run_fold(PassContext& context) {
  std::vector<Graph*> graphs{context.model.graph.get()};
  for (size_t i = 0; i < graphs.size(); ++i)
    for (const Node* node : graphs[i]->nodes())
      for (Graph* region : node->regions()) graphs.push_back(region);
  return BatchNormFold(context).run(graphs);
}

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
