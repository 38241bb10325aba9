// Evaluators of the resize cards, in resize_eval.cpp and grid_eval.cpp, and the shape rule that inference
// shares with them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ir/tensor.h"

#define ZP_EVAL(name) eval_##name

namespace zp::ops {

Status eval_upsample_nearest(EvalArgs& args);
Status eval_upsample_linear(EvalArgs& args);
Status eval_upsample_bicubic(EvalArgs& args);
Status eval_grid_sampler(EvalArgs& args);

// The input's shape with the spatial dims resized. Checks `<op>.c1` to `<op>.c3`.
Result<std::vector<Dim>> upsample_shape(const Node& node, std::span<const Dim> input,
                                        const std::optional<List<Dim>>& size,
                                        const std::optional<List<double>>& scales);

}  // namespace zp::ops
