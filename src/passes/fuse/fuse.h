// Fusing quantize and dequantize into integer operators, and back.
#pragma once

#include "passes/pass.h"

namespace zp {

// dequantize.. -> op -> [clamp] -> quantize becomes the op with quantized operands and result, where the
// backend takes it; every other compute node gets a record that says why it stayed.
extern const PassCard kFuseQdqPass;
// The way back, for formats whose consumers want quantize and dequantize: the numbers stay the same.
extern const PassCard kExpandFusedPass;
// The target's own operators, for `--form vendor`.
extern const PassCard kLayoutPass;

}  // namespace zp
