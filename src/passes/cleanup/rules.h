// The rules of `cleanup` for one node: identities, pairs that undo each other, constant operands, fake
// quantization.
#pragma once

#include "ir/graph.h"
#include "ir/record.h"

namespace zp::cleanup {

// A value with the bits of `node`'s only result that makes the node superfluous, or null.
Value* same_value(const Node& node);

// The static type of a dynamic QuantType whose scale and zero point operands are constants; null if they are
// not, or are no valid parameters. For quantize, dequantize and fake_quantize nodes.
const QuantType* static_type(const Node& node);

// quantize with constant scale operands becomes static: its dequantize readers get the result without
// operands.
bool make_quantize_static(Node& node);

// The result of a computable node all of whose operands are const nodes; refuses within the budgets (see
// rules.cpp).
bool fold_constant(Node& node);

}  // namespace zp::cleanup
