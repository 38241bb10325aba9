// Nodes with regions: cond, while_loop, map, scan. Each region runs as a graph of its own; what is taken
// apart along dim 0 goes in part by part, and stacked results come out in the order of the parts.
#pragma once

#include <vector>

#include "interp/node_eval.h"

namespace zp::interp {

bool is_control_flow(const Node& node);
Result<std::vector<Tensor>> run_control_flow(const Node& node, const Lookup& lookup, const RunRegion& region);

}  // namespace zp::interp
