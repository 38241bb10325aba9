// What a fold says about itself: parameters changed, noise expected, channels that saturate, in numbers for
// the report and in one sentence.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/record.h"
#include "passes/qat/fold_noise.h"
#include "passes/qat/fold_plan.h"

namespace zp::qat {

// One chain on its way through the pass.
struct Candidate {
  Chain chain;
  ChainMap map;
  std::vector<double> scales;  // of the weight, one a channel; empty: a float weight
  // Why the weight cannot be multiplied by a factor a channel: its scales lie along its inputs or in blocks.
  // `scales` then are upper bounds, and the sums have no common unit.
  std::optional<Why> fixed_weight;
  Expected expected;
  ClipAnswer clip;
  FoldPlan plan;
  bool drops_pair = false;
  FoldSituation situation(const Backend* backend, bool integer_bias, bool was_float) const {
    return {
        chain, map, expected, clip, backend, integer_bias, drops_pair, was_float, fixed_weight.has_value()};
  }
};

FoldFacts fold_facts(const Candidate& candidate, const OutputStage& stage, int64_t saturated);
// One sentence with the numbers.
std::string fold_note(const Candidate& candidate, const FoldFacts& facts, int64_t saturated);
// What measuring needs; `source` is the name of the convolution's value before the fold.
void keep_exact(const Candidate& candidate, std::string source, const OutputStage& stage, FoldFacts* facts);

}  // namespace zp::qat
