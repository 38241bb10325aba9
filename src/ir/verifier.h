// Checks what every pass must keep: order, uses, names, types equal to what inference says, quantization
// parameters valid, and the quantization boundary rule (boundary.1: no op mixes quantized and plain operands or
// results unless its card has that signature).
#pragma once

#include "ir/model.h"

namespace zp {

// All problems found, up to `limit`; empty if the model is right.
std::vector<Diagnostic> verify(const Model& model, size_t limit = 20);
Status verify_ok(const Model& model);
// Scales finite and positive, counts match the grid, zero points in range, axis below rank.
Status check_quant(Context& context, const QuantType& quant, std::span<const Dim> shape);

}  // namespace zp
