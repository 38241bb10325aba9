#include "passes/qat/clip.h"

#include <fmt/format.h>

#include <cmath>

#include "interp/interp.h"
#include "ops/ops.h"

namespace zp::qat {
namespace {

constexpr size_t kMostSamples = 8;
// Shares above which a range counts as a clamp. Measured values may be few, so a percent is a clamp.
// Estimates assume a normal distribution; statistics were taken behind the quantizer, so a real clamp shows
// at least the shares below (a range cut at zero 25 %, one cut at a deviation on both sides 16 %).
constexpr double kMeasuredShare = 0.01;
constexpr double kStatisticsShare = 0.05;
constexpr double kStatisticsShareOneSided = 0.02;
constexpr double kNaturalShare = 0.05;
constexpr double kDoubtfulShare = 0.6;  // statistics beyond it outweigh the natural size
// Without weights that can be read, statistics alone have the word.
constexpr double kOnlyStatisticsShare = 0.25;

// The ends of the quantizer's range as real numbers.
struct Range {
  double low = 0, high = 0, step = 0;
  bool one_sided = false;
};

std::optional<Range> range_of(const Chain& chain) {
  const QuantType& quant = *chain.quantize->result()->type().quant;
  if (!quant.per_tensor() || quant.scales != nullptr || !is_integer(quant.storage)) return std::nullopt;
  Range range;
  range.step = quant.scale;
  range.low = (static_cast<double>(quant.qmin) - quant.zero_point) * quant.scale;
  range.high = (static_cast<double>(quant.qmax) - quant.zero_point) * quant.scale;
  const double width = range.high - range.low;
  range.one_sided = -range.low < 0.02 * width || range.high < 0.02 * width;
  return range;
}

Why clamp(const Chain& chain, const Range& range, double share, std::string_view how) {
  return Why{chain.quantize, "clip", "a range that clips next to nothing",
             fmt::format("{:.1f} % of the values outside {:.4g}..{:.4g}", share * 100, range.low, range.high),
             fmt::format("the quantizer '{}' in front of the batch norm clamps: {:.1f} % of the values of "
                         "'{}' lie outside {:.4g}..{:.4g} ({}); without it they would change",
                         source_name(*chain.quantize), share * 100, source_name(*chain.site.node), range.low,
                         range.high, how)};
}

// True if no accumulator of these integers leaves the range by more than half a step.
bool cannot_clip(const AccumulatorUnits& units, const WeightReach& reach, const std::vector<double>& bias,
                 const Range& range) {
  for (size_t c = 0; c < bias.size(); ++c) {
    if (reach.positive[c] * units.units[c] + bias[c] > range.high + range.step / 2) return false;
    if (reach.negative[c] * units.units[c] + bias[c] < range.low - range.step / 2) return false;
  }
  return true;
}

}  // namespace

std::optional<std::vector<double>> bias_values(const Chain& chain, ChannelConstants& constants) {
  std::vector<double> bias(static_cast<size_t>(chain.site.channels), 0.0);
  const Value* value = chain.site.bias();
  if (value == nullptr) return bias;
  const Answer<std::vector<Scaled>> read =
      constants.vector(*chain.site.node, *value, chain.site.channels, Zeros::Exact);
  if (!read) return std::nullopt;
  for (size_t c = 0; c < bias.size(); ++c) bias[c] = (*read)[c].standard();
  return bias;
}

ClipCounts count_clipped(const Model& model, std::span<const Sample> samples) {
  ClipCounts counts;
  if (samples.empty()) return counts;
  std::unordered_map<const Value*, std::vector<const Node*>> watched;
  for (const Node* node : model.graph->nodes()) {
    if (!node->is(ops::quantize) || node->operand(0)->def() == nullptr ||
        !is_anchor(*node->operand(0)->def()))
      continue;
    const QuantType* quant = node->result()->type().quant;
    if (quant->dynamic || !quant->per_tensor() || quant->scales != nullptr) continue;
    watched[node->operand(0)].push_back(node);
  }
  if (watched.empty()) return counts;
  RunOptions options;
  options.trace = [&](const Value& value, const Tensor& tensor) {
    const auto found = watched.find(&value);
    if (found == watched.end()) return;
    for (const Node* node : found->second) {
      const QuantType& quant = *node->result()->type().quant;
      const double low = (static_cast<double>(quant.qmin) - 0.5 - quant.zero_point) * quant.scale;
      const double high = (static_cast<double>(quant.qmax) + 0.5 - quant.zero_point) * quant.scale;
      ClipCount& count = counts[node];
      count.values += tensor.elements();
      for (int64_t i = 0; i < tensor.elements(); ++i) {
        const double v = tensor.get_double(i);
        const double excess = v < low ? low - v : v > high ? v - high : 0;
        if (excess <= 0) continue;
        ++count.outside;
        count.largest_excess = std::max(count.largest_excess, excess);
      }
    }
  };
  for (const Sample& sample : samples.first(std::min(samples.size(), kMostSamples)))
    if (!run(model, sample, options).ok()) return {};
  return counts;
}

Answer<ClipAnswer> judge_clipping(const Chain& chain, const ClipCounts& counts, Expected* expected,
                                  ChannelConstants& constants) {
  if (chain.quantize == nullptr) return ClipAnswer{0, 0, "no quantizer in front"};
  const std::optional<Range> range = range_of(chain);
  if (!range) {
    return Why{chain.quantize, "pair", "a quantizer with one scale", "several",
               fmt::format("the quantizer '{}' in front of the batch norm has several scales",
                           source_name(*chain.quantize))};
  }
  if (const auto found = counts.find(chain.quantize); found != counts.end() && found->second.values > 0) {
    const ClipCount& count = found->second;
    const double share = static_cast<double>(count.outside) / static_cast<double>(count.values);
    if (share > kMeasuredShare) return clamp(chain, *range, share, "measured on the samples");
    return ClipAnswer{share, count.largest_excess, "measured on the samples"};
  }
  const double low = range->low - range->step / 2, high = range->high + range->step / 2;
  std::optional<double> share;
  if (expected->statistics && !expected->statistics->initial)
    share = share_outside(expected->statistics->channels, low, high);
  if (share && *share <= (range->one_sided ? kStatisticsShareOneSided : kStatisticsShare))
    return ClipAnswer{*share, 0, "expected from the running statistics"};

  const std::optional<std::vector<double>> bias = bias_values(chain, constants);
  std::optional<double> natural;
  if (expected->units && bias) {
    if (const Answer<WeightReach> reach = weight_reach(chain.site, constants.values())) {
      if (cannot_clip(*expected->units, *reach, *bias, *range))
        return ClipAnswer{0, 0, "no accumulator can leave the range"};
      expected->natural = natural_of(chain.site, *expected->units, *reach, *bias);
      for (const std::vector<Normal>& guess : expected->natural) {
        const std::optional<double> outside = share_outside(guess, low, high);
        if (outside && (!natural || *outside < *natural)) natural = outside;
      }
    }
  }
  if (natural && *natural <= kNaturalShare && share.value_or(0) <= kDoubtfulShare)
    return ClipAnswer{*natural, 0, "expected from the weights and the range of the input"};
  if (!natural && share && !range->one_sided && *share <= kOnlyStatisticsShare)
    return ClipAnswer{*share, 0, "expected from the running statistics"};
  if (share) return clamp(chain, *range, *share, "expected from the running statistics");
  if (natural) return clamp(chain, *range, *natural, "expected from the weights and the range of the input");
  return Why{
      chain.quantize, "clip", "weights, running statistics or samples that tell the range",
      fmt::format("{:.4g}..{:.4g}", range->low, range->high),
      fmt::format("the quantizer '{}' in front of the batch norm may clamp: nothing in the graph tells "
                  "whether values leave its range {:.4g}..{:.4g}; sample inputs would decide",
                  source_name(*chain.quantize), range->low, range->high)};
}

}  // namespace zp::qat
