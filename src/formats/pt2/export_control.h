// Export of nodes with regions, and of symbolic numbers: what reads them from tensors, computes with them and
// asserts something of them.
#pragma once

#include "support/result.h"

namespace zp::pt2 {

class NodeWriter;

Status write_control(NodeWriter& writer);  // cond, while_loop, map, scan
Status write_item(NodeWriter& writer);
Status write_number(NodeWriter& writer);
Status write_assertion(NodeWriter& writer);
Status write_assert_range(NodeWriter& writer);

}  // namespace zp::pt2
