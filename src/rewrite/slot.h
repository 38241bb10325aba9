// What stands at an operand or result: the quantization a fused operator would see there. In a graph with
// quantize and dequantize the type of a slot is read from the dequantize that feeds the operand *directly*
// and from the quantize that consumes the result *directly*; nothing in between is ever looked through.
// Already fused operators carry the quantization in the types of their operands and results.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace zp::rewrite {

struct SlotReading {
  // Why what stands beside it cannot be used.
  enum Plain : uint8_t {
    NoReason,
    OtherParameters,  // an operand: its dequantize is not that of the quantize before it
    Unread,           // results from here on: nothing reads it
    NotQuantized,
    OtherReaders,
    Untyped,
    DynamicAfter,
    RoundsAfter,
    Different,
  };
  bool present = false;  // false: the operand is absent
  bool result = false;
  bool constant = false;  // the (quantized) value is a constant
  Plain plain = NoReason;
  Value* value = nullptr;            // the operand or result itself
  Value* quantized = nullptr;        // the quantized value it stands for; null: plain
  const QuantType* quant = nullptr;  // of `quantized`
  Node* converter = nullptr;  // the dequantize or quantize that was read; null: the value itself is quantized
  const Type& type() const { return value->type(); }
};

SlotReading read_operand(Value* value);
SlotReading read_result(Value* value);
// A constant, perhaps behind quantizers: what a weight is before and after it is quantized.
bool from_constant(const Value& value);
// The reason in words; empty if there is none.
std::string why_plain(const SlotReading& reading);
// Of a result: the other quantize nodes after it, which have the parameters of its converter.
std::vector<Node*> further_quantizers(const SlotReading& reading);

// Axes of a weight operand: `out` has one entry an output channel, `in` is summed over. -1: not known.
struct WeightAxes {
  int out = -1;
  int in = -1;
  int64_t groups = 1;  // of a transposed convolution: runs of `in` that have output channels of their own
};
WeightAxes weight_axes(const OpDef& op, size_t operand, int rank);

// The grid of a quantization in words that do not depend on how it was declared.
struct Grid {
  bool per_tensor = false;
  int axis = -1;           // one scale an index of this axis, else none
  int group_axis = -1;     // groups along this axis, single indices along all others
  int64_t group = 0;       // extent of a group; the whole extent where `whole`
  bool whole = false;      // one group takes the whole axis
  bool per_token = false;  // one scale a vector along the last axis
};
Grid grid_of(const QuantType& quant, std::span<const Dim> shape);

// Declared width: the smallest of 1, 2, 4, 8, 16, 32, 64 bits whose integers (of the storage's signedness)
// hold the declared range.
int declared_bits(const QuantType& quant);
// All zero points are 0 (or the middle of the range, for unsigned storage); static integer domains only.
bool is_symmetric(Context& context, const QuantType& quant);

// Scales and zero points of a static quantization as numbers, one a cell.
std::vector<double> scales_of(Context& context, const QuantType& quant);
std::vector<double> zero_points_of(Context& context, const QuantType& quant, size_t count);

// "i8[-127:127] symmetric per-axis 0", for messages.
std::string describe(Context& context, const QuantType& quant, std::span<const Dim> shape);

}  // namespace zp::rewrite
