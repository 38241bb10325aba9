// The passes that turn what quantization-aware training leaves behind into plain quantized operators.
// Source of the graphs they meet: torchao/quantization/pt2e/qat_utils.py.
#pragma once

#include "passes/pass.h"

namespace zp {

// Every convolution and linear whose input and weight are quantized gets the bias its integer kernel wants:
// int32 with the scale of input times weight. A missing bias becomes zeros.
extern const PassCard kPrepareBiasPass;

// Batch norms behind a quantized convolution or linear, in any spelling, become its weight scales and its
// bias.
extern const PassCard kFoldQatBatchNormPass;

}  // namespace zp
