#include "passes/fuse/layout_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/ops.h"
#include "rewrite/slot.h"

namespace zp::fuse {
namespace {

using backend::MatchScope;
using rewrite::BoundSlot;
using rewrite::Expr;
using rewrite::ExprValue;
using rewrite::SlotReading;

constexpr int kMaxDepth = 64;

Error refused(std::string text) { return Error("layout", std::move(text)); }

// out[i] = in[offset of i], for elements of any size; `strides` in elements of `in`, by dim of `out`.
void gather(const Tensor& in, std::span<const int64_t> strides, Tensor* out) {
  const auto size = static_cast<size_t>(byte_size(in.dtype()));
  const std::byte* from = in.data<std::byte>();
  std::byte* to = out->mutable_data<std::byte>();
  std::vector<int64_t> at(strides.size(), 0);
  int64_t offset = 0;
  for (int64_t i = 0; i < out->elements(); ++i) {
    std::memcpy(to + static_cast<size_t>(i) * size, from + static_cast<size_t>(offset) * size, size);
    for (size_t d = at.size(); d-- > 0;) {
      offset += strides[d];
      if (++at[d] < out->shape()[d]) break;
      offset -= strides[d] * at[d];
      at[d] = 0;
    }
  }
}

Result<Tensor> permuted(const Tensor& in, const std::vector<int64_t>& order) {
  const auto rank = static_cast<size_t>(in.rank());
  std::vector<bool> seen(rank, false);
  std::vector<int64_t> stride(rank, 1), shape, strides;
  for (size_t d = rank; d-- > 1;) stride[d - 1] = stride[d] * in.shape()[d];
  for (int64_t d : order) {
    if (d < 0 || d >= in.rank() || seen[static_cast<size_t>(d)])
      return refused(fmt::format("[{}] is no order of {} dims", fmt::join(order, ", "), rank));
    seen[static_cast<size_t>(d)] = true;
    shape.push_back(in.shape()[static_cast<size_t>(d)]);
    strides.push_back(stride[static_cast<size_t>(d)]);
  }
  if (order.size() != rank) return refused(fmt::format("{} dims for a tensor of {}", order.size(), rank));
  ZP_TRY(Tensor out, Tensor::make(in.dtype(), std::move(shape)));
  if (out.elements() > 0) gather(in, strides, &out);
  return out;
}

Result<Tensor> reshaped(const Tensor& in, std::vector<int64_t> shape) {
  int64_t known = 1;
  int open = -1;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == -1 && open < 0) open = static_cast<int>(d);
    else if (shape[d] < 0 || __builtin_mul_overflow(known, shape[d], &known))
      return refused(fmt::format("[{}] is no shape", fmt::join(shape, ", ")));
  }
  if (open >= 0 && known > 0) shape[static_cast<size_t>(open)] = in.elements() / known;
  if (open >= 0 && known > 0) known *= shape[static_cast<size_t>(open)];
  if (known != in.elements())
    return refused(fmt::format("{} elements as [{}]", in.elements(), fmt::join(shape, ", ")));
  return in.reshaped(std::move(shape));
}

Result<Tensor> padded(const Tensor& in, int64_t multiple) {
  if (in.rank() == 0 || multiple < 1) return refused("only dims can be padded");
  const int64_t row = in.shape().back(), wide = (row + multiple - 1) / multiple * multiple;
  if (wide == row) return in;
  std::vector<int64_t> shape = in.shape();
  shape.back() = wide;
  ZP_TRY(Tensor out, Tensor::make(in.dtype(), std::move(shape)));
  const int64_t size = byte_size(in.dtype());
  for (int64_t r = 0; row > 0 && r < in.elements() / row; ++r)
    std::memcpy(out.mutable_data<std::byte>() + r * wide * size, in.data<std::byte>() + r * row * size,
                static_cast<size_t>(row * size));
  return out;
}

Result<Tensor> group_sums(const Tensor& in, int64_t group) {
  if (in.rank() == 0 || !is_integer(in.dtype())) return refused("only integers are summed");
  const int64_t row = in.shape().back();
  const bool all = group == 0;
  if (all) group = row;
  if (group < 1 || row % group != 0) return refused(fmt::format("{} elements in groups of {}", row, group));
  std::vector<int64_t> shape = in.shape();
  shape.pop_back();
  if (!all) shape.push_back(row / group);
  ZP_TRY(Tensor out, Tensor::make(DType::I32, std::move(shape)));
  for (int64_t i = 0; i < out.elements(); ++i) {
    int64_t sum = 0;
    for (int64_t k = 0; k < group; ++k) sum += in.get_int(i * group + k);
    out.set_int(i, sum);
  }
  return out;
}

// Byte = one element in the low half, its neighbour in the high half, each plus 8.
Result<Tensor> packed4(const Tensor& in, bool even_high) {
  if (in.rank() == 0 || in.dtype() != DType::I8) return refused("only 8-bit integers are packed");
  const int64_t row = in.shape().back();
  if (row % 2 != 0) return refused(fmt::format("rows of {} elements are no pairs", row));
  std::vector<int64_t> shape = in.shape();
  shape.back() = row / 2;
  ZP_TRY(Tensor out, Tensor::make(DType::U8, std::move(shape)));
  const int8_t* from = in.data<int8_t>();
  for (int64_t i = 0; i < out.elements(); ++i) {
    const int even = from[2 * i] + 8, odd = from[2 * i + 1] + 8;
    if (even < 0 || even > 15 || odd < 0 || odd > 15) return refused("a value is outside of -8:7");
    out.mutable_data<uint8_t>()[i] = static_cast<uint8_t>(even_high ? even << 4 | odd : odd << 4 | even);
  }
  return out;
}

Result<std::vector<int64_t>> whole_numbers(const Expr& expr, const MatchScope& scope) {
  const ExprValue v = rewrite::evaluate(expr, scope);
  std::vector<double> numbers = v.list;
  if (v.kind == ExprValue::Number) numbers = {v.number};
  else if (v.kind != ExprValue::List)
    return refused(fmt::format("{} is {}, not whole numbers", rewrite::print_expr(expr), v.str()));
  std::vector<int64_t> out;
  for (double d : numbers) {
    if (!(std::fabs(d) < 9e15) || d != std::floor(d))
      return refused(fmt::format("{} has an entry that is no whole number", rewrite::print_expr(expr)));
    out.push_back(static_cast<int64_t>(d));
  }
  return out;
}

// Same elements, one byte each: types below 8 bits keep their sign in a byte.
Tensor as_bytes(const Tensor& in, DType dtype) {
  if (in.dtype() == dtype) return in;
  return std::move(*Tensor::view(dtype, in.shape(), in.blob()));
}

bool is_slot(const Expr& e) { return e.kind == Expr::Path && e.path.size() == 1; }

}  // namespace

const BoundSlot* LayoutValues::slot_of(const Expr& expr, std::span<const BoundSlot> slots) {
  const BoundSlot* found = nullptr;
  rewrite::visit_parts(expr, [&](const Expr& part) {
    if (found == nullptr && is_slot(part)) found = rewrite::find_slot(slots, part.path[0]);
  });
  return found;
}

Result<Tensor> LayoutValues::tensor_of_slot(const BoundSlot& slot) {
  const SlotReading& r = slot.readings.front();
  const Value* value = r.quantized != nullptr ? r.quantized : r.value;
  if (value->def() != nullptr && value->def()->is(kConstOp))
    return constant_tensor(graph_.context(), *value->def()->constant());
  if (!flow_.is_constant(value)) return refused(fmt::format("{} is not a constant", slot.name.name));
  return constants_.tensor(*value);
}

Result<Tensor> LayoutValues::integers(const BoundSlot& slot) {
  const SlotReading& r = slot.readings.front();
  if (r.quant == nullptr || !is_integer(r.quant->storage))
    return refused(fmt::format("{} has no integers", slot.name.name));
  ZP_TRY(Tensor t, tensor_of_slot(slot));
  if (bits_of(t.dtype()) >= 8) return t;
  return as_bytes(t, is_signed(t.dtype()) ? DType::I8 : DType::U8);
}

Result<Tensor> LayoutValues::scales(const BoundSlot& slot, const rewrite::Match& match) {
  const SlotReading& r = slot.readings.front();
  if (r.quant == nullptr || r.quant->dynamic)
    return refused(fmt::format("{} has no scales before it runs", slot.name.name));
  const Type& type = r.quantized->type();
  std::vector<int64_t> shape;
  for (Dim d : type.shape) {
    if (!d.is_known()) return refused(fmt::format("the shape of {} is not known", slot.name.name));
    shape.push_back(d.value());
  }
  ZP_TRY(const QuantParams params, quant_params(graph_.context(), *r.quant, shape));
  const Node& node = *match.nodes[slot.name.step];
  const rewrite::WeightAxes axes = rewrite::weight_axes(node.op(), slot.operands.front(), type.rank());
  if (axes.out < 0) return refused(fmt::format("{} has no output channels", slot.name.name));
  const int64_t channels = shape[static_cast<size_t>(axes.out)];
  int64_t groups = 1;
  for (size_t d = 0; d < params.grid.size(); ++d) {
    if (static_cast<int>(d) == axes.out) {
      if (params.grid[d] != 1 && params.grid[d] != channels)
        return refused(fmt::format("{} channels share {} scales", channels, params.grid[d]));
    } else if (static_cast<int>(d) == axes.in && type.rank() == 2 && axes.out == 0) {
      groups = params.grid[d];
    } else if (params.grid[d] != 1) {
      return refused(fmt::format("the scales of {} run along dim {}", slot.name.name, d));
    }
  }
  // A column of scales is one group a row where the pattern says groups.
  const bool grouped = groups > 1 || (!r.quant->per_tensor() && !r.quant->per_axis()) ||
                       (r.quant->scales != nullptr && r.quant->scales->shape.size() > 1);
  ZP_TRY(Tensor out, Tensor::make(DType::F32, grouped ? std::vector<int64_t>{channels, groups}
                                                      : std::vector<int64_t>{channels}));
  const auto count = static_cast<int64_t>(params.scales.size());
  for (int64_t i = 0; i < out.elements(); ++i) {
    const int64_t at = count == channels * groups ? i : count == channels ? i / groups : 0;
    out.set_double(i, params.scales[static_cast<size_t>(at)]);
  }
  return out;
}

Result<Tensor> LayoutValues::tensor(const Expr& e, const Site& site, int depth) {
  if (depth > kMaxDepth) return refused("the layout is nested too deeply");
  const BoundSlot* slot = is_slot(e) ? rewrite::find_slot(site.slots, e.path[0]) : nullptr;
  if (slot != nullptr && slot->present()) return tensor_of_slot(*slot);
  if (e.kind != Expr::Call || e.args.empty())
    return refused(fmt::format("{} is no tensor", rewrite::print_expr(e)));
  if (e.text == "ints" || e.text == "scales") {
    slot = is_slot(*e.args[0]) ? rewrite::find_slot(site.slots, e.args[0]->path[0]) : nullptr;
    if (slot == nullptr || !slot->present())
      return refused(fmt::format("{} is absent", rewrite::print_expr(*e.args[0])));
    return e.text == "ints" ? integers(*slot) : scales(*slot, site.match);
  }
  ZP_TRY(Tensor in, tensor(*e.args[0], site, depth + 1));
  if (e.text == "transpose") {
    std::vector<int64_t> order;
    for (int64_t d = 0; d < in.rank(); ++d) order.push_back(d);
    if (in.rank() >= 2) std::swap(order[order.size() - 1], order[order.size() - 2]);
    return permuted(in, order);
  }
  if (e.text == "pack4" && e.args[1]->kind == Expr::Text) {
    const std::string& order = e.args[1]->text;
    if (order != "even-high" && order != "even-low")
      return refused(fmt::format("pack4 knows \"even-high\" and \"even-low\", not \"{}\"", order));
    return packed4(in, order == "even-high");
  }
  ZP_TRY(std::vector<int64_t> numbers, whole_numbers(*e.args.back(), site.scope));
  if (e.text == "permute") return permuted(in, numbers);
  if (e.text == "reshape") return reshaped(in, std::move(numbers));
  if (numbers.size() == 1 && e.text == "pad") return padded(in, numbers[0]);
  if (numbers.size() == 1 && e.text == "sums") return group_sums(in, numbers[0]);
  return refused(fmt::format("{} makes no tensor", rewrite::print_expr(e)));
}

Result<Value*> LayoutValues::real(const BoundSlot& slot, Node* before) {
  const SlotReading& r = slot.readings.front();
  if (r.quantized == nullptr) return r.value;
  const Node* source = r.quantized->def();
  if (source != nullptr && source->is(ops::quantize)) return source->operand(0);
  if (r.quant->dynamic) return refused(fmt::format("the real value of {} is not known", slot.name.name));
  Value*& known = real_[r.quantized];
  if (known != nullptr) return known;
  Value* const operands[] = {r.quantized};
  Node* node = graph_.create(
      {.op = &ops::dequantize, .operands = operands, .name = fmt::format("{}_dq", r.quantized->name())},
      before);
  ZP_CHECK(node->infer());
  return known = node->result();
}

Result<Value*> LayoutValues::parameter(const BoundSlot& slot, size_t operand) {
  const SlotReading& r = slot.readings.front();
  const Node* source = r.quantized == nullptr ? nullptr : r.quantized->def();
  if (r.quant == nullptr || !r.quant->dynamic || source == nullptr || !source->is(ops::quantize) ||
      operand >= source->operand_count() || source->operand(operand) == nullptr)
    return refused(fmt::format("{} has no parameters that are known while it runs", slot.name.name));
  return source->operand(operand);
}

Result<Value*> LayoutValues::value(const Expr& expr, const MatchScope& scope, const backend::Verdict& verdict,
                                   const rewrite::Match& match, Value* result, Node* before) {
  const std::span<const BoundSlot> slots = verdict.slots;
  // What is quantized and taken as the real value stands for that.
  const auto as_integers = [&](const BoundSlot& slot) {
    const auto& taken = verdict.as_quantized[static_cast<size_t>(&slot - slots.data())];
    return !taken.empty() && taken.front();
  };
  if (is_slot(expr)) {
    if (expr.path[0] == "result" && result != nullptr) return result;
    const BoundSlot* slot = rewrite::find_slot(slots, expr.path[0]);
    if (slot == nullptr || !slot->present()) return refused(fmt::format("{} is absent", expr.path[0]));
    const SlotReading& r = slot->readings.front();
    return as_integers(*slot) ? r.quantized : r.value;
  }
  const BoundSlot* slot = slot_of(expr, slots);
  if (slot == nullptr || !slot->present())
    return refused(fmt::format("what {} is made of is absent", rewrite::print_expr(expr)));
  if (expr.kind == Expr::Call && expr.text == "real")
    return as_integers(*slot) ? real(*slot, before) : Result<Value*>(slot->readings.front().value);
  if (expr.kind == Expr::Call && expr.text == "runtime_scale") return parameter(*slot, 1);
  if (expr.kind == Expr::Call && expr.text == "runtime_zero_point") return parameter(*slot, 2);
  const SlotReading& r = slot->readings.front();
  const Value* source = r.quantized != nullptr ? r.quantized : r.value;
  Value*& known = made_[{rewrite::print_expr(expr), source}];
  if (known != nullptr) return known;
  ZP_TRY(const Tensor made, tensor(expr, {scope, slots, match}, 0));
  const bool is_const = source->def() != nullptr && source->def()->is(kConstOp);
  const std::string name =
      is_const ? std::string(source->def()->constant()->name) : std::string(source->name());
  ZP_TRY(const Constant* stored, store_tensor(graph_.context(), fmt::format("{}.{}", name, expr.text), made));
  if (const Constant* same = pool_.equal(*stored)) stored = same;
  // First in the graph: every later reader may take it.
  Node* first = *graph_.nodes().begin();
  return known = add_const_node(graph_, *stored, nullptr, first);
}

}  // namespace zp::fuse
