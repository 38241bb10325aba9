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

// The first `mapped` operands are taken apart along dim 0; the others are the same for every part.
struct MapRegionAttrs {
  int64_t mapped = 1;
  ZP_ATTRS(MapRegionAttrs, mapped)
};

// The first `carried` operands go from step to step, the next `scanned` ones are taken apart along dim 0, the
// others stay the same.
struct ScanRegionAttrs {
  int64_t carried = 0;
  int64_t scanned = 1;
  ZP_ATTRS(ScanRegionAttrs, carried, scanned)
};

}  // namespace zp::ops
