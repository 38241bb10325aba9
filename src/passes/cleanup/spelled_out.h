// Activations that were written out in element-wise operators, as decompositions leave them, become the one
// operator again: hardswish, hardsigmoid, clamps. Only spellings that compute the very same bits count, so
// half-precision ones, which round in between, stay. It pays because backends fuse and tabulate activations
// by name and know nothing of a quotient by 6. Source of the spellings: torch/_decomp/decompositions.py.
#pragma once

#include "ir/graph.h"

namespace zp::cleanup {

// Replaces the last operator of such a spelling by the activation, in its place in the program; the others
// lose a reader. The activation, or null if `node` ends no such spelling.
Node* merge_spelled_out(Node& node);

}  // namespace zp::cleanup
