// What `torch.autocast("cpu")` does to operators: which ones get their float operands cast to the lower type,
// to f32, or to the widest of them. Source: the operator lists of aten/src/ATen/autocast_mode.cpp. Programs
// exported inside of autocast have a wrapping operator with a body in which the casts are not written; its
// body is inlined with them.
#pragma once

#include "formats/pt2/serial.h"

namespace zp::pt2 {

// The element type that the node's float operands are cast to; Unknown: none.
DType autocast_type(const NodeData& node, const GraphData& graph, DType lower);
// Whether a value of that type is cast: floats that are not f64, nor of the type already.
bool autocasts(const ValueData& value, DType to);
// False if the body holds operators whose parts autocast would reach into: recurrent layers, further bodies.
bool can_autocast(const GraphData& body);

}  // namespace zp::pt2
