// Higher-order operators that only change the mode their body was traced in (no_grad, a disabled autocast)
// are replaced by their bodies before anything else looks at the program.
#pragma once

#include "formats/pt2/serial.h"

namespace zp::pt2 {

void inline_wrappers(ProgramData& program, Arena& arena);

}  // namespace zp::pt2
