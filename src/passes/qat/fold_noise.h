// What a fold is expected to do to noise: in the archive the quantizer in front of the batch norm adds half a
// step through the map, in the result only the bias's rounding is left; both pass the activation and the
// first quantizer behind it. Rests on normal distributions, so it says what to expect, not what is promised.
#pragma once

#include <optional>

#include "ir/record.h"
#include "passes/qat/fold_plan.h"

namespace zp::qat {

// Clamp and quantizer that the value of a chain meets next.
struct OutputStage {
  double low = -INFINITY, high = INFINITY;
  const QuantType* quant = nullptr;  // null: none, or one with several scales
};
OutputStage output_stage(const Value& end);

// Nothing where the distribution is not known.
std::optional<FoldNoise> predict_noise(const FoldSituation& situation, const FoldPlan& plan,
                                       const OutputStage& stage);

}  // namespace zp::qat
