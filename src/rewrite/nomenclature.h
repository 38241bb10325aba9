// Names of fused operators, derived from types and never typed by hand:
//   <op>_[d]q<bits><granularity>[s|a]<role>...      conv2d_q8ta_q8csw_q8to, linear_dq8ca_q4gsw,
//   add_q8ta_q8ta_q8to d dynamic; u unsigned storage; bits: the declared width; t per tensor, c per output
//   channel (activations: per row), g per group along the summed axis, k along another axis, b other blocks;
//   weights: s zero point 0, a others; role w, a (activation), o (output). Weight-only operators with one
//   scale a channel or tensor put the width before the role (linear_qcs4w). A product with a constant right
//   factor is a linear.
// Sources: executorch backends/vulkan (op names), extended so that a name never promises what a tensor is
// not.
#pragma once

#include <span>
#include <string>

#include "ir/graph.h"

namespace zp::rewrite {

// The token of one operand or result, e.g. q8csw.
std::string quant_token(Context& context, const QuantType& quant, std::span<const Dim> shape, char role,
                        int out_axis = -1, int in_axis = -1);

// The name of a node from the types of its operands and results; the op's name alone if nothing is quantized.
std::string derived_name(const Node& node);

}  // namespace zp::rewrite
