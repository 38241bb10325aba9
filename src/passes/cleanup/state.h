// State that only feeds itself: a counter such as num_batches_tracked whose update nobody reads goes together
// with its input and output. A state that anything else reads, or whose update reads anything but itself and
// constants (running statistics), stays.
// A state that is handed on as it came is a constant.
#pragma once

#include "ir/model.h"

namespace zp::cleanup {

// Removes such states from inputs and outputs; the nodes of their updates become dead code. Returns how many.
size_t remove_dead_state(Model& model);

}  // namespace zp::cleanup
