// Whether the quantizer between a convolution and its batch norm is a range that was observed (dropping it
// changes roundings only) or a clamp (dropping it changes values). Decided in this order: by samples where
// the caller has some; by the integers, if no accumulator can leave the range; by the batch norm's own
// running statistics, which say where the values of each channel lie; and without statistics by the range
// itself, where a zero point at an end of the range would cut off one sign.
#pragma once

#include <optional>
#include <span>
#include <unordered_map>

#include "passes/pass.h"
#include "passes/qat/chain.h"

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
// The share of values that the pair of `chain` clips; or why it is a clamp that has to stay. `at_batch_norm`
// is the map from the convolution to the input of the first batch norm.
Answer<ClipAnswer> judge_clipping(const Chain& chain, const AffineMap& at_batch_norm,
                                  const ClipCounts& counts, ChannelConstants& constants);

}  // namespace zp::qat
