// Whether the quantizer between a convolution and its batch norm is a range that was observed (dropping it
// changes roundings only) or a clamp (dropping it changes values). Decided in this order: by samples where
// the caller has some; by the batch norm's own running statistics; by the natural size of the sums, which the
// weights and the input's range tell; and by the integers, if no accumulator can leave the range. A range
// that is none of these is refused: samples decide.
#pragma once

#include <optional>
#include <span>
#include <unordered_map>

#include "passes/pass.h"
#include "passes/qat/chain.h"
#include "passes/qat/distribution.h"

namespace zp::qat {

// What samples showed at one quantizer.
struct ClipCount {
  int64_t values = 0;
  int64_t outside = 0;        // beyond the range by more than half a step
  double largest_excess = 0;  // of a value beyond the range, in its own unit
};
using ClipCounts = std::unordered_map<const Node*, ClipCount>;

// Runs the model on (some of) the samples and counts at every quantize that reads a convolution. Empty
// without samples or if the model cannot be run.
ClipCounts count_clipped(const Model& model, std::span<const Sample> samples);

struct ClipAnswer {
  double share = 0;           // of values expected outside the range
  double largest_excess = 0;  // known from samples
  std::string how;            // what the answer rests on
};
// What is known of a chain's convolution before the fold is decided.
struct Expected {
  std::optional<Statistics> statistics;      // from the batch norm
  std::vector<std::vector<Normal>> natural;  // from weights and input, several guesses
  std::optional<AccumulatorUnits> units;
};

// The share of values that the pair of `chain` clips; or why it is a clamp that has to stay. Fills
// `expected->natural` where it has to look at the weights.
Answer<ClipAnswer> judge_clipping(const Chain& chain, const ClipCounts& counts, Expected* expected,
                                  ChannelConstants& constants);

// The bias of the chain's convolution, one number a channel; zeros if it has none.
std::optional<std::vector<double>> bias_values(const Chain& chain, ChannelConstants& constants);

}  // namespace zp::qat
