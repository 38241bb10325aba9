#include "passes/qat/clip.h"

#include <fmt/format.h>

#include <cmath>

#include "interp/interp.h"
#include "ops/norm.h"
#include "ops/ops.h"
#include "support/rounding.h"

namespace zp::qat {
namespace {

constexpr size_t kMostSamples = 8;
// Shares above which a range counts as a clamp. Measured values may be few, so a percent is a clamp;
// estimates assume a normal distribution, and a range that touches zero only from one side is suspicious
// earlier than a symmetric one.
constexpr double kMeasuredShare = 0.01;
constexpr double kEstimatedShare = 0.25;
constexpr double kEstimatedShareOneSided = 0.02;

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

double normal_below(double x) { return 0.5 * std::erfc(-x * 0.70710678118654752); }

Why clamp(const Chain& chain, const Range& range, double share, std::string_view how) {
  return Why{chain.quantize, "clip", "a range that clips next to nothing",
             fmt::format("{:.1f} % of the values outside {:.4g}..{:.4g}", share * 100, range.low, range.high),
             fmt::format("the quantizer '{}' in front of the batch norm clamps: {:.1f} % of the values of "
                         "'{}' lie outside {:.4g}..{:.4g} ({}); without it they would change",
                         source_name(*chain.quantize), share * 100, source_name(*chain.site.node), range.low,
                         range.high, how)};
}

// True if no accumulator of these integers leaves the range by more than half a step.
bool cannot_clip(const Chain& chain, const Range& range, ChannelConstants& constants) {
  const Answer<AccumulatorUnits> units = accumulator_units(chain.site);
  if (!units) return false;
  const Answer<WeightReach> reach = weight_reach(chain.site, constants.values());
  if (!reach) return false;
  std::vector<double> bias(static_cast<size_t>(chain.site.channels), 0.0);
  if (const Value* value = chain.site.bias()) {
    const Answer<std::vector<Scaled>> read =
        constants.vector(*chain.site.node, *value, chain.site.channels, Zeros::Exact);
    if (!read) return false;
    for (size_t c = 0; c < bias.size(); ++c) bias[c] = (*read)[c].standard();
  }
  for (size_t c = 0; c < bias.size(); ++c) {
    if (reach->positive[c] * units->units[c] + bias[c] > range.high + range.step / 2) return false;
    if (reach->negative[c] * units->units[c] + bias[c] < range.low - range.step / 2) return false;
  }
  return true;
}

// The share of a normal distribution with the running statistics that lies outside, averaged over channels.
std::optional<double> estimated_share(const Chain& chain, const AffineMap& map, const Range& range,
                                      ChannelConstants& constants) {
  const Node* batch_norm = chain.first_batch_norm();
  if (batch_norm == nullptr) return std::nullopt;
  const Answer<std::vector<Scaled>> mean =
      constants.vector(*batch_norm, *batch_norm->operand(3), chain.site.channels, Zeros::Exact);
  const Answer<std::vector<Scaled>> var =
      constants.vector(*batch_norm, *batch_norm->operand(4), chain.site.channels, Zeros::Exact);
  if (!mean || !var) return std::nullopt;
  double sum = 0;
  size_t counted = 0;
  for (size_t c = 0; c < map.channels(); ++c) {
    if (!map.a[c].is_ordinary() || !map.b[c].is_ordinary() || map.a[c].is_zero()) continue;
    const double sigma = std::sqrt((*var)[c].standard());
    if (!(sigma > 0) || !std::isfinite(sigma)) continue;
    double low =
        (map.a[c].standard() * (range.low - range.step / 2) + map.b[c].standard() - (*mean)[c].standard()) /
        sigma;
    double high =
        (map.a[c].standard() * (range.high + range.step / 2) + map.b[c].standard() - (*mean)[c].standard()) /
        sigma;
    if (low > high) std::swap(low, high);
    sum += normal_below(low) + normal_below(-high);
    ++counted;
  }
  if (counted == 0) return std::nullopt;
  return sum / static_cast<double>(counted);
}

}  // namespace

ClipCounts count_clipped(const Model& model, std::span<const Sample> samples) {
  ClipCounts counts;
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

Answer<ClipAnswer> judge_clipping(const Chain& chain, const AffineMap& at_batch_norm,
                                  const ClipCounts& counts, ChannelConstants& constants) {
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
  const std::optional<double> share = estimated_share(chain, at_batch_norm, *range, constants);
  const double allowed = range->one_sided ? kEstimatedShareOneSided : kEstimatedShare;
  if (share ? *share <= allowed : !range->one_sided) {
    return share ? ClipAnswer{*share, 0, "expected from the running statistics"}
                 : ClipAnswer{0, 0, "the range covers both signs"};
  }
  if (cannot_clip(chain, *range, constants)) return ClipAnswer{0, 0, "no accumulator can leave the range"};
  if (share) return clamp(chain, *range, *share, "expected from the running statistics");
  return Why{chain.quantize, "clip", "a range that covers both signs, running statistics or samples",
             fmt::format("{:.4g}..{:.4g}", range->low, range->high),
             fmt::format("the quantizer '{}' in front of the batch norm may clamp: its range {:.4g}..{:.4g} "
                         "has one sign only, and neither statistics nor samples tell",
                         source_name(*chain.quantize), range->low, range->high)};
}

}  // namespace zp::qat
