// How the values of a convolution are distributed in each channel, as far as the graph itself tells: normal,
// with a mean and a deviation. The running statistics of the batch norm behind it say it best; without them,
// the integers of the weight and the range that the input was observed to have give the natural size of the
// sums. Predictions of noise and the question whether a quantizer clips rest on it.
#pragma once

#include <optional>
#include <vector>

#include "passes/qat/chain.h"
#include "passes/qat/site_weight.h"

namespace zp::qat {

struct Normal {
  double mean = 0, sigma = 0;  // a sigma of 0: not known
  // Share of the values below or above.
  double outside(double low, double high) const;
  // E[clip(x)^2] and the share of values strictly inside, for clip to low..high (which may be infinite).
  double clipped_power(double low, double high) const;
  // E[(x - clip(x))^2]
  double clip_noise(double low, double high) const;
};

// What the first batch norm of a chain says of the convolution's own result.
struct Statistics {
  std::vector<Normal> channels;
  // Mean 0 and variance 1 in every channel, as a batch norm starts: no data came through, so they describe
  // nothing.
  bool initial = true;
};
// `map` leads to the batch norm's input. Nothing without one.
std::optional<Statistics> statistics_of(const Chain& chain, const AffineMap& map,
                                        ChannelConstants& constants);

// Of the convolution's own result, from weights and the input's range, for several guesses of the input's
// mean; empty where the input is not quantized per tensor. `bias`: one number a channel.
std::vector<std::vector<Normal>> natural_of(const ConvSite& site, const AccumulatorUnits& units,
                                            const WeightReach& reach, const std::vector<double>& bias);

// Mean over channels of the share outside low..high; channels that are not known do not count. Nothing if
// none is.
std::optional<double> share_outside(const std::vector<Normal>& channels, double low, double high);

}  // namespace zp::qat
