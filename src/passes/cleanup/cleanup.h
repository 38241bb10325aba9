// The pass `cleanup`: what never changes a bit of any output. Constant subgraphs are computed, operators that
// do nothing go, equal computations become one, activations written out become one operator, counters nobody
// reads and dead code go. It pays before every other pass: they then see constants instead of the arithmetic
// that makes them. A dequantize of a constant is never computed: integers do not turn into float constants.
#pragma once

#include "passes/pass.h"

namespace zp {

extern const PassCard kCleanupPass;

// Removes nodes whose results nobody reads and which have no effect, in all graphs of the model. Linear.
void remove_dead_code(Model& model);

}  // namespace zp
