#include "rewrite/slot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/tensor.h"
#include "ops/ops.h"
#include "ops/quant.h"
#include "support/text_format.h"

namespace zp::rewrite {
namespace {

bool is_constant(const Value* value) { return value->def() != nullptr && value->def()->is(kConstOp); }

// The parameters of a dynamic value are those its quantize was given; a dequantize with others means
// something else.
bool same_dynamic_source(const Node& dequantize) {
  const Value* quantized = dequantize.operand(0);
  const Node* source = quantized->def();
  if (source == nullptr || !source->is(ops::quantize)) return false;
  return source->operand(1) == dequantize.operand(1) && source->operand(2) == dequantize.operand(2);
}

}  // namespace

SlotReading read_operand(Value* value) {
  SlotReading r;
  if (value == nullptr) return r;
  r.present = true;
  r.value = value;
  r.constant = is_constant(value);
  if (!value->type().is_tensor()) return r;
  if (value->type().is_quantized()) {
    r.quantized = value;
    r.quant = value->type().quant;
    return r;
  }
  Node* def = value->def();
  if (def == nullptr || !def->is(ops::dequantize)) return r;
  Value* source = def->operand(0);
  if (source == nullptr || !source->type().is_quantized()) return r;
  if (source->type().quant->dynamic && !same_dynamic_source(*def)) {
    r.plain = SlotReading::OtherParameters;
    return r;
  }
  r.quantized = source;
  r.quant = source->type().quant;
  r.converter = def;
  r.constant = is_constant(source);
  return r;
}

SlotReading read_result(Value* value) {
  SlotReading r;
  r.present = true;
  r.result = true;
  r.value = value;
  if (!value->type().is_tensor()) return r;
  if (value->type().is_quantized()) {
    r.quantized = value;
    r.quant = value->type().quant;
    return r;
  }
  bool others = false;
  Node* first = nullptr;
  SlotReading::Plain plain = SlotReading::NoReason;
  for (const Use& use : value->uses()) {
    Node* user = use.user();
    if (!user->is(ops::quantize) || use.index() != 0) {
      others = true;
      continue;
    }
    const Type& type = user->result()->type();
    if (!type.is_quantized()) plain = SlotReading::Untyped;
    else if (type.quant->dynamic) plain = SlotReading::DynamicAfter;
    else if (user->attrs<ops::QuantizeAttrs>().zero_point_first) plain = SlotReading::RoundsAfter;
    else if (first != nullptr && first->result()->type().quant != type.quant) plain = SlotReading::Different;
    // The first in program order stands for all, whatever the order of the use list.
    if (first == nullptr || user->before(*first)) first = user;
  }
  if (first == nullptr) plain = others ? SlotReading::NotQuantized : SlotReading::Unread;
  else if (others) plain = SlotReading::OtherReaders;
  r.plain = plain;
  if (plain != SlotReading::NoReason) return r;
  r.converter = first;
  r.quantized = first->result();
  r.quant = r.quantized->type().quant;
  return r;
}

std::vector<Node*> further_quantizers(const SlotReading& reading) {
  std::vector<Node*> more;
  if (!reading.result || reading.converter == nullptr) return more;
  for (const Use& use : reading.value->uses())
    if (use.user() != reading.converter) more.push_back(use.user());
  std::sort(more.begin(), more.end(), [](const Node* a, const Node* b) { return a->before(*b); });
  return more;
}

bool from_constant(const Value& value) {
  const Value* at = &value;
  while (at->def() != nullptr && at->def()->op().trait == Trait::Quantizer &&
         at->def()->operand(0) != nullptr)
    at = at->def()->operand(0);
  return is_constant(at);
}

std::string why_plain(const SlotReading& reading) {
  switch (reading.plain) {
    case SlotReading::NoReason: return {};
    case SlotReading::OtherParameters:
      return "its dequantize has other parameters than the quantize before it";
    case SlotReading::Unread: return "nothing reads it";
    case SlotReading::NotQuantized: return "no quantize follows it directly";
    case SlotReading::Untyped: return "the quantize after it has no type";
    case SlotReading::DynamicAfter: return "the quantize after it is dynamic";
    case SlotReading::RoundsAfter: return "the quantize after it rounds after adding the zero point";
    case SlotReading::Different: return "the quantize nodes after it have different parameters";
    case SlotReading::OtherReaders: break;
  }
  size_t readers = 0, quantizers = 0;
  for (const Use& use : reading.value->uses()) {
    ++readers;
    quantizers += use.user()->is(ops::quantize) && use.index() == 0;
  }
  return fmt::format("it has {} readers of which {} quantize{}", readers, quantizers,
                     quantizers == 1 ? "s" : "");
}

WeightAxes weight_axes(const OpDef& op, size_t operand, int rank) {
  if (operand >= op.operands.size() || op.operands[operand].role != Role::Weight) return {};
  const std::string_view name = op.name;
  if (name.starts_with("conv_transpose")) return {1, 0};
  if (name.starts_with("conv")) return {0, 1};
  if (name == "linear") return rank == 2 ? WeightAxes{0, 1} : WeightAxes{-1, 0};
  if (name == "matmul" || name == "addmm" || name == "baddbmm") {
    return rank >= 2 ? WeightAxes{rank - 1, rank - 2} : WeightAxes{-1, 0};
  }
  if (name.starts_with("embedding")) return {0, rank - 1};
  return {};
}

Grid grid_of(const QuantType& quant, std::span<const Dim> shape) {
  Grid g;
  if (quant.per_tensor()) {
    g.per_tensor = true;
    return g;
  }
  const int rank = static_cast<int>(shape.size());
  if (quant.per_axis()) {
    g.axis = quant.axis;
    g.per_token = rank == 2 && quant.axis == 0;
    if (rank == 2) {  // the other axis is one group
      g.group_axis = 1 - quant.axis;
      g.whole = true;
      const Dim dim = shape[static_cast<size_t>(g.group_axis)];
      g.group = dim.is_known() ? dim.value() : 0;
    }
    return g;
  }
  if (static_cast<int>(quant.block.size()) != rank) return g;
  int split = 0, divided = -1, single = 0, single_at = -1, whole_at = -1;
  for (int d = 0; d < rank; ++d) {
    const int64_t extent = quant.block[static_cast<size_t>(d)];
    const Dim dim = shape[static_cast<size_t>(d)];
    const bool whole = extent == 0 || (dim.is_known() && extent >= dim.value());
    if (extent == 1) {
      ++single;
      single_at = d;
    } else if (whole) {
      whole_at = d;
    } else {
      ++split;
      divided = d;
    }
  }
  const int wholes = rank - single - split;
  if (split == 0 && single == 1 && wholes == rank - 1) g.axis = single_at;
  if (split == 1 && wholes == 0) {
    g.group_axis = divided;
    g.group = quant.block[static_cast<size_t>(divided)];
  } else if (split == 0 && wholes == 1 && single == rank - 1) {
    g.group_axis = whole_at;
    g.whole = true;
    const int64_t extent = quant.block[static_cast<size_t>(whole_at)];
    const Dim dim = shape[static_cast<size_t>(whole_at)];
    g.group = dim.is_known() ? dim.value() : extent;
    g.per_token = whole_at == rank - 1;
  }
  return g;
}

int declared_bits(const QuantType& quant) {
  if (!is_integer(quant.storage)) return bits_of(quant.storage);
  for (int bits : {1, 2, 4, 8, 16, 32}) {
    const int64_t low = is_signed(quant.storage) ? -(int64_t{1} << (bits - 1)) : 0;
    const int64_t high = is_signed(quant.storage) ? (int64_t{1} << (bits - 1)) - 1 : (int64_t{1} << bits) - 1;
    if (quant.qmin >= low && quant.qmax <= high) return bits;
  }
  return 64;
}

std::vector<double> scales_of(Context& context, const QuantType& quant) {
  if (quant.dynamic) return {};
  if (quant.scales == nullptr) return {quant.scale};
  std::vector<double> out;
  const auto tensor = constant_tensor(context, *quant.scales);
  if (!tensor.ok()) return out;
  out.reserve(static_cast<size_t>(tensor->elements()));
  for (int64_t i = 0; i < tensor->elements(); ++i) out.push_back(tensor->get_double(i));
  return out;
}

std::vector<double> zero_points_of(Context& context, const QuantType& quant, size_t count) {
  if (quant.dynamic) return {};
  if (quant.zero_points == nullptr)
    return std::vector<double>(count, quant.per_tensor() ? quant.zero_point : 0.0);
  std::vector<double> out;
  const auto tensor = constant_tensor(context, *quant.zero_points);
  if (!tensor.ok()) return out;
  out.reserve(static_cast<size_t>(tensor->elements()));
  for (int64_t i = 0; i < tensor->elements(); ++i) out.push_back(tensor->get_double(i));
  return out;
}

bool is_symmetric(Context& context, const QuantType& quant) {
  if (quant.dynamic || quant.domain == ZeroPointDomain::Float) return false;
  if (quant.domain == ZeroPointDomain::None) return true;
  const double middle =
      is_signed(quant.storage) || !is_integer(quant.storage)
          ? 0.0
          : std::floor((static_cast<double>(quant.qmin) + static_cast<double>(quant.qmax) + 1) / 2);
  if (quant.zero_points == nullptr) return middle == (quant.per_tensor() ? quant.zero_point : 0.0);
  const std::vector<double> zeros = zero_points_of(context, quant, 1);
  return !zeros.empty() && std::all_of(zeros.begin(), zeros.end(), [&](double z) { return z == middle; });
}

std::string describe(Context& context, const QuantType& quant, std::span<const Dim> shape) {
  std::string text(dtype_name(quant.storage));
  if (is_integer(quant.storage) &&
      (quant.qmin != int_min(quant.storage) || quant.qmax != int_max(quant.storage))) {
    text += fmt::format("[{}:{}]", quant.qmin, quant.qmax);
  }
  if (quant.domain == ZeroPointDomain::Float) text += " float-zero";
  else if (!quant.dynamic) text += is_symmetric(context, quant) ? " symmetric" : " affine";
  const Grid grid = grid_of(quant, shape);
  if (grid.per_tensor) text += " per-tensor";
  else if (quant.per_axis() || (grid.axis >= 0 && grid.group_axis < 0))
    text += fmt::format(" per-axis {}", grid.axis);
  else if (quant.dynamic && grid.per_token) text += " per-token";
  else if (grid.group_axis >= 0)
    text += fmt::format(" per-group {} along axis {}", grid.group, grid.group_axis);
  else {
    text += " block [";
    for (size_t d = 0; d < quant.block.size(); ++d) {
      text += (d > 0 ? ", " : "") + (quant.block[d] == 0 ? std::string("*") : std::to_string(quant.block[d]));
    }
    text += "]";
  }
  if (quant.dynamic) text += " dynamic";
  if (quant.expressed != DType::F32) text += fmt::format(" expressing {}", dtype_name(quant.expressed));
  return text;
}

}  // namespace zp::rewrite
