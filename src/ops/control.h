// Attributes of control flow. The bodies are regions of the node; everything a region reads comes in through
// its inputs.
#pragma once

#include "ir/attrs.h"

namespace zp::ops {

// The first `carried` operands go round the loop; the others stay the same in every round.
struct WhileLoopAttrs {
  int64_t carried = 0;
  ZP_ATTRS(WhileLoopAttrs, carried)
};

}  // namespace zp::ops
