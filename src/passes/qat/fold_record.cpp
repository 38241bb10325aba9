#include "passes/qat/fold_record.h"

#include <fmt/format.h>

#include <algorithm>

namespace zp::qat {
namespace {

std::string decibels(const std::optional<double>& db) { return db ? fmt::format("{:.1f} dB", *db) : "equal"; }

// "0.004" or "0.0011 .. 0.012 (8 channels)".
std::string range_of(const std::vector<double>& scales) {
  if (scales.empty()) return "none";
  const auto [low, high] = std::minmax_element(scales.begin(), scales.end());
  if (*low == *high) return fmt::format("{:.6g}", *low);
  return fmt::format("{:.6g} .. {:.6g} ({} channels)", *low, *high, scales.size());
}

}  // namespace

FoldFacts fold_facts(const Candidate& c, const OutputStage& stage, int64_t saturated) {
  const FoldPlan& plan = c.plan;
  FoldFacts facts;
  facts.channels = static_cast<int64_t>(plan.factor.size());
  facts.saturated_bias = saturated;
  facts.coarser_weights = plan.shrunk;
  if (plan.weights_change) {
    std::vector<double> scales = c.scales;
    for (size_t k = 0; k < scales.size(); ++k) {
      const double factor = plan.factor[k] == 0 ? 1.0 : std::abs(plan.factor[k]);
      scales[k] *= factor / (plan.shrink.empty() ? 1.0 : plan.shrink[k]);
    }
    facts.parameters.push_back(
        c.scales.empty() ? FoldFacts::Parameter{"weight", "float", "float times one factor a channel"}
                         : FoldFacts::Parameter{"weight scale", range_of(c.scales), range_of(scales)});
  }
  facts.parameters.push_back({"bias",
                              c.chain.site.bias() == nullptr ? "none" : c.chain.site.bias()->type().str(),
                              plan.integer_bias ? "i32 in units of the accumulator" : "float"});
  if (c.drops_pair) {
    const Type& was = c.chain.quantize->result()->type();
    facts.parameters.push_back({"quantizer of the result", quant_str(*was.quant),
                                stage.quant != nullptr ? quant_str(*stage.quant) : "none"});
  }
  return facts;
}

std::string fold_note(const Candidate& c, const FoldFacts& facts, int64_t saturated) {
  const FoldPlan& plan = c.plan;
  std::string note = fmt::format("weights {}, max |a - 1| {:.3g}", plan.weights_change ? "changed" : "kept",
                                 plan.largest_deviation);
  note += plan.integer_bias ? ", int32 bias" : ", float bias";
  if (!plan.weightless.empty()) note += fmt::format(", channels without weight: {}", plan.weightless.size());
  if (plan.cleared > 0) note += fmt::format(", channels whose weights became zero: {}", plan.cleared);
  if (plan.shrunk > 0)
    note += fmt::format(", channels with coarser weights so that the bias fits int32: {}", plan.shrunk);
  if (saturated > 0) note += fmt::format(", channels with a saturated bias: {}", saturated);
  if (c.chain.quantize != nullptr) {
    const QuantType& quant = *c.chain.quantize->result()->type().quant;
    note += fmt::format(", quantizer of scale {:.6g} and zero point {} in front of the batch norm ",
                        quant.scale, quant.zero_point);
    note += c.drops_pair ? fmt::format("dropped ({:.2g} % clipped, {})", c.clip.share * 100, c.clip.how)
                         : std::string("kept, as the backend asks");
  }
  if (facts.predicted) {
    note += fmt::format("; expected {} against {} before", decibels(facts.predicted->after),
                        decibels(facts.predicted->before));
  }
  return note + fmt::format("; largest change {:.3g}", plan.bound);
}

void keep_exact(const Candidate& c, std::string source, const OutputStage& stage, FoldFacts* facts) {
  facts->source = std::move(source);
  facts->axis = c.chain.site.channel_axis;
  for (size_t k = 0; k < c.plan.factor.size(); ++k) {
    const bool ordinary = c.map.whole.a[k].is_ordinary() && c.map.offset[k].is_ordinary();
    facts->a.push_back(ordinary ? c.map.whole.a[k].standard() : 0.0);
    facts->b.push_back(ordinary ? c.map.offset[k].standard() : c.plan.bias[k]);
  }
  facts->low = stage.low;
  facts->high = stage.high;
  if (stage.quant == nullptr) return;
  facts->step = stage.quant->scale;
  facts->zero_point = stage.quant->zero_point;
  facts->qmin = static_cast<double>(stage.quant->qmin);
  facts->qmax = static_cast<double>(stage.quant->qmax);
}

}  // namespace zp::qat
