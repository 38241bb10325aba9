// The passes that bring shape operators and quantization into an order in which integers meet their
// consumers.
#pragma once

#include "passes/pass.h"

namespace zp {

// Shape operators on constants are carried out, on integers where the constant is quantized: the dequantize
// comes after them, with the parameters they carry along.
extern const PassCard kFoldShapePass;

// Quantize and dequantize of activations move through shape operators where that removes a pair or brings
// them to the operator that they fuse with.
extern const PassCard kMoveQdqPass;

}  // namespace zp
