// Evaluators of the resize cards, in resize_eval.cpp, and the shape rule that inference shares with them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ir/tensor.h"

#define ZP_EVAL(name) nullptr

namespace zp::ops {

Result<std::vector<Dim>> upsample_shape(const Node& node, std::span<const Dim> input, const std::optional<List<Dim>>& size,
                                        const std::optional<List<double>>& scales);

}  // namespace zp::ops
