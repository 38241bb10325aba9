// The weight of one convolution or linear: how far its accumulators can reach, and how to multiply it by one
// factor a channel. A changed weight is a new constant, so a shared one stays right for others.
#pragma once

#include <vector>

#include "passes/constant_eval.h"
#include "passes/qat/conv_site.h"

namespace zp::qat {

// What the weight of a site is multiplied by.
struct WeightChange {
  std::vector<double>
      factor;  // of the scale, one a channel; the sign goes into the integers, 0 clears the channel
  std::vector<double>
      shrink;  // <= 1: integers are multiplied by it and rounded, scales divided (empty: all 1)
};
// The value of the changed weight, before the node: a dequantize (or a float constant where the old weight
// was one), transposed if the old one was. Refuses what cannot be said exactly or what the backend's kernels
// do not take.
Answer<Value*> change_weight(const ConvSite& site, const WeightChange& change, const Backend* backend,
                             ConstantValues& values);

// The integers of a quantized weight without their zero point, per channel: largest |acc| for inputs of the
// declared range, and whether all are zero. Reads the weight.
struct WeightReach {
  std::vector<double> positive, negative;  // largest and smallest accumulator value without bias
  std::vector<bool> zero;
  std::vector<double> absolute;  // sum of |weight integers|
  std::vector<double> sum;       // of the integers
  std::vector<double> squares;   // sum of their squares
};
Answer<WeightReach> weight_reach(const ConvSite& site, ConstantValues& values);

// Whether the backend (null: any) takes the weight of this site with one scale an output channel.
bool takes_scale_per_channel(const ConvSite& site, const Backend* backend);

}  // namespace zp::qat
