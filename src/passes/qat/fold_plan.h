// What folding one chain will do to its convolution, decided before anything is touched: factors of the
// weight, the bias, what becomes coarser, and how far values may move.
#pragma once

#include <vector>

#include "passes/qat/chain.h"
#include "passes/qat/clip.h"
#include "passes/qat/site_weight.h"

namespace zp::qat {

// |a - 1| up to which the weights stay: a handful of float roundings; a hundredth of that is lost in any
// 16-bit step.
inline constexpr double kUnity = 0x1p-20;

struct FoldPlan {
  std::vector<double> factor;      // of the weights; 1 where they stay
  std::vector<double> shrink;      // empty: none
  std::vector<size_t> weightless;  // channels whose weights are all zero and whose a is not 1
  std::vector<double> bias;
  bool integer_bias = false;
  bool weights_change = false;
  double largest_deviation = 0;  // max |a - 1|
  int64_t cleared = 0, shrunk = 0;
  double bound = 0;  // no value moves by more
};

// What a plan rests on.
struct FoldSituation {
  const Chain& chain;
  const ChainMap& map;
  const Expected& expected;
  const ClipAnswer& clip;
  const Backend* backend;
  bool integer_bias = false;  // the bias is to be int32
  bool drops_pair = false;
  bool was_float = false;     // the archive's sum was a float one: its operands were fake-quantized
  bool fixed_weight = false;  // the weight cannot change: its scales are no channels' (they are upper bounds)
};
Answer<FoldPlan> make_fold_plan(const FoldSituation& situation, const std::vector<double>& weight_scales,
                                ConstantValues& values);

}  // namespace zp::qat
