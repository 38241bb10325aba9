// Integer operators in archives. A node that computes on quantized values is written in the namespace `zp`
// under its card's name: operands and attributes by their own names, then `quantization` (one text for each
// operand, one for each result) and `parameters` (the scales and zero points the texts refer to by number).
// python/zeropoint_ops.py defines the same operators for torch, with reference implementations.
//
//   torch.ops.zp.conv2d.default(input=x, weight=w, bias=b, stride=[1, 1], act_min=0.0,
//       quantization=["u8 0 255 f32 scale=0.02 zero_point=3", "i8 -127 127 f32 axis=0 scales=0", "", "u8
//       ..."], parameters=[s])
#pragma once

#include <string>
#include <string_view>

#include "formats/pt2/export_node.h"
#include "formats/pt2/node_reader.h"

namespace zp::pt2 {

inline constexpr std::string_view kIntegerNamespace = "torch.ops.zp.";

// Moving bytes, and choosing among values of one quantization, is the same on integers and on real numbers;
// all else on quantized values is arithmetic, which torch has no operators for.
bool computes_on_quantized(const Node& node);
Status write_integer_form(NodeWriter& writer);
// How torch is told of the operator: its schema, without the namespace.
std::string integer_schema(const OpDef& op);
// Operators that may stand in an archive of this form.
bool has_integer_form(const OpDef& op);

}  // namespace zp::pt2
