#include "passes/qat/distribution.h"

#include <algorithm>
#include <cmath>

#include "ops/conv.h"

namespace zp::qat {
namespace {

double below(double z) { return 0.5 * std::erfc(-z * 0.70710678118654752); }
double density(double z) { return std::isinf(z) ? 0.0 : 0.3989422804014327 * std::exp(-0.5 * z * z); }
// z * density(z), 0 at infinity.
double weighted(double z) { return std::isinf(z) ? 0.0 : z * density(z); }

struct Parts {
  double low, high;      // standardized bounds
  double inside;         // share between them
  double first, second;  // E[x; inside], E[x^2; inside]
};

Parts parts_of(const Normal& n, double low, double high) {
  Parts p{};
  p.low = (low - n.mean) / n.sigma;
  p.high = (high - n.mean) / n.sigma;
  p.inside = std::max(below(p.high) - below(p.low), 0.0);
  const double z1 = density(p.low) - density(p.high);
  const double z2 = p.inside + weighted(p.low) - weighted(p.high);
  p.first = n.mean * p.inside + n.sigma * z1;
  p.second = n.mean * n.mean * p.inside + 2 * n.mean * n.sigma * z1 + n.sigma * n.sigma * z2;
  return p;
}

double times(double share, double bound) { return share == 0 ? 0.0 : share * bound; }

// Positions of a transposed convolution see only every stride-th weight.
double weights_seen(const ConvSite& site) {
  if (!site.transposed) return 1;
  double stride = 1;
  for (int64_t s : site.node->attrs<ops::ConvAttrs>().stride)
    stride *= static_cast<double>(std::max<int64_t>(s, 1));
  return 1 / stride;
}

}  // namespace

double Normal::outside(double low, double high) const {
  return below((low - mean) / sigma) + below((mean - high) / sigma);
}

double Normal::clipped_power(double low, double high) const {
  const Parts p = parts_of(*this, low, high);
  return p.second + times(below(p.low), low * low) + times(below(-p.high), high * high);
}

double Normal::clip_noise(double low, double high) const {
  // Outside: E[x^2] - 2 bound E[x] + bound^2 on either side.
  const auto tail = [&](double bound, double from, double to) {
    if (std::isinf(bound)) return 0.0;
    const Parts t = parts_of(*this, from, to);
    return t.second - 2 * bound * t.first + bound * bound * t.inside;
  };
  return std::max(tail(low, -INFINITY, low) + tail(high, high, INFINITY), 0.0);
}

std::optional<Statistics> statistics_of(const Chain& chain, const AffineMap& map,
                                        ChannelConstants& constants) {
  const Node* batch_norm = chain.first_batch_norm();
  if (batch_norm == nullptr) return std::nullopt;
  const Answer<std::vector<Scaled>> mean =
      constants.vector(*batch_norm, *batch_norm->operand(3), chain.site.channels, Zeros::Exact);
  const Answer<std::vector<Scaled>> var =
      constants.vector(*batch_norm, *batch_norm->operand(4), chain.site.channels, Zeros::Exact);
  if (!mean || !var) return std::nullopt;
  Statistics statistics;
  std::vector<Normal>& channels = statistics.channels;
  channels.resize(map.channels());
  for (size_t c = 0; c < channels.size(); ++c) {
    statistics.initial &= (*mean)[c].standard() == 0 && (*var)[c].standard() == 1;
    const Scaled a = map.a[c], b = map.b[c];
    if (!a.is_ordinary() || !b.is_ordinary() || a.is_zero()) continue;
    const double sigma = std::sqrt((*var)[c].standard());
    if (!(sigma > 0) || !std::isfinite(sigma)) continue;
    channels[c] = {((*mean)[c].standard() - b.standard()) / a.standard(), sigma / std::abs(a.standard())};
  }
  return statistics;
}

std::vector<std::vector<Normal>> natural_of(const ConvSite& site, const AccumulatorUnits& units,
                                            const WeightReach& reach, const std::vector<double>& bias) {
  const QuantType& input = *site.input_type();
  const double low = static_cast<double>(input.qmin) - input.zero_point;
  const double high = static_cast<double>(input.qmax) - input.zero_point;
  const double width = high - low;
  // Observed ranges end at about 3.5 deviations. An input with one sign has been through a relu or the like:
  // its mean lies at some small part of its range.
  const bool one_sided = -low < 0.1 * width || high < 0.1 * width;
  const double sigma = one_sided ? 0.18 * width : width / 7;
  std::vector<double> means{0};
  if (one_sided) means = {0.08 * width, 0.15 * width, 0.25 * width, 0.4 * width};
  const double sign = high < 0.1 * width ? -1 : 1;
  const double seen = weights_seen(site);
  std::vector<std::vector<Normal>> guesses;
  for (double mean : means) {
    std::vector<Normal> channels(bias.size());
    for (size_t c = 0; c < channels.size(); ++c) {
      channels[c].mean = bias[c] + sign * mean * reach.sum[c] * seen * units.units[c];
      channels[c].sigma = sigma * std::sqrt(reach.squares[c] * seen) * units.units[c];
    }
    guesses.push_back(std::move(channels));
  }
  return guesses;
}

std::optional<double> share_outside(const std::vector<Normal>& channels, double low, double high) {
  double sum = 0;
  size_t known = 0;
  for (const Normal& n : channels) {
    if (!(n.sigma > 0)) continue;
    sum += n.outside(low, high);
    ++known;
  }
  if (known == 0) return std::nullopt;
  return sum / static_cast<double>(known);
}

}  // namespace zp::qat
