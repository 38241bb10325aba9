// All op cards, by name: ops::conv2d, ops::quantize, ... and the table that finds them by text.
#pragma once

#include "ir/op_def.h"

namespace zp::ops {

#include "ops/ops_declarations.inc"

// The table of every op, the IR's own (const, return, opaque) included.
const OpTable& table();

}  // namespace zp::ops
