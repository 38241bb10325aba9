// Checks what every pass must keep: order, uses, names, types equal to what inference says, quantization
// parameters valid, and the quantization boundary rule (boundary.1: no op mixes quantized and plain operands
// or results unless its card has that signature). Linear in the graph; the scales of a type are read once in
// a Context's life. docs: `zp help checks` lists the constraints.
#pragma once

#include "ir/model.h"

namespace zp {

// All problems found, up to `limit`; empty if the model is right. The model is not changed.
std::vector<Diagnostic> verify(const Model& model, size_t limit = 20);
Status verify_ok(const Model& model);
// Scales finite and positive, counts match the grid, zero points in range, axis below rank. What depends on
// dims that are not known, or on weights that are not in the file, is not checked.
Status check_quant(Context& context, const QuantType& quant, std::span<const Dim> shape);
// boundary.1 for one node: empty, or what is quantized, what is plain, the route by which such a break comes
// about (R1 to R9), and the bridge that would repair it.
std::string boundary_problem(const Node& node);
// boundary.1 for a whole model: one look at each node, so it may follow every pass.
std::vector<Diagnostic> check_boundary(const Model& model, size_t limit = 20);

}  // namespace zp
