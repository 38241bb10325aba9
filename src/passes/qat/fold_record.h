// What a fold says about itself: parameters changed, noise expected, channels that saturate, in numbers for
// the report and in one sentence.
#pragma once

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
  std::vector<double> scales;  // of the weight; empty: a float weight
  Expected expected;
  ClipAnswer clip;
  FoldPlan plan;
  bool drops_pair = false;
  FoldSituation situation(const Backend* backend, bool integer_bias, bool was_float) const {
    return {chain, map, expected, clip, backend, integer_bias, drops_pair, was_float};
  }
};

FoldFacts fold_facts(const Candidate& candidate, const OutputStage& stage, int64_t saturated);
// One sentence with the numbers.
std::string fold_note(const Candidate& candidate, const FoldFacts& facts, int64_t saturated);
// What measuring needs; `source` is the name of the convolution's value before the fold.
void keep_exact(const Candidate& candidate, std::string source, const OutputStage& stage, FoldFacts* facts);

}  // namespace zp::qat
