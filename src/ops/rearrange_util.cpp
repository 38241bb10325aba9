#include "ops/rearrange_util.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/quant_carry.h"

namespace zp::ops {

namespace {

// First operand whose elements the results are made of.
const Type* data_type(const Node& node) {
  const List<OperandDef>& defs = node.op().operands;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const OperandDef& def = defs[std::min(i, defs.size() - 1)];
    if (def.role == Role::Data && node.operand(i) != nullptr) return &node.operand(i)->type();
  }
  return nullptr;
}

}  // namespace

Status check_same_elements(const Node& node) {
  const List<OperandDef>& defs = node.op().operands;
  const Type* first = nullptr;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const OperandDef& def = defs[std::min(i, defs.size() - 1)];
    if (def.role != Role::Data || node.operand(i) == nullptr) continue;
    const Type& type = node.operand(i)->type();
    if (first == nullptr) {
      first = &type;
    } else if (type.is_quantized() != first->is_quantized() || type.dtype != first->dtype) {
      return failed(
          node, "elements",
          fmt::format("operand {} is {}, others are {}: elements of different kinds cannot be moved together",
                      i, type.str(), first->str()));
    }
  }
  return {};
}

Status set_moved_result(Node& node, size_t index, std::span<const Dim> shape) {
  if (index >= node.result_count()) {
    return failed(node, "results",
                  fmt::format("{} results, at least {} are needed", node.result_count(), index + 1));
  }
  const Type* from = data_type(node);
  if (from == nullptr) return failed(node, "operands", "no operand to take elements from");
  Context& context = node.context();
  if (!from->is_quantized()) {
    node.result(index)->set_type(context.tensor(from->dtype, shape));
    return {};
  }
  ZP_TRY(const QuantType* quant, carry_node(node, index));
  node.result(index)->set_type(context.quantized(*quant, shape));
  return {};
}

Status set_moved_unranked(Node& node) {
  const Type* from = data_type(node);
  if (from == nullptr) return failed(node, "operands", "no operand to take elements from");
  if (from->is_quantized() && !from->quant->per_tensor()) {
    return failed(node, "quant",
                  fmt::format("{} without a known rank: the place of its scales is not known", from->str()));
  }
  for (size_t i = 0; i < node.result_count(); ++i) {
    Type type;
    type.dtype = from->dtype;
    type.quant = from->quant;
    type.ranked = false;
    node.result(i)->set_type(node.context().type(type));
  }
  return {};
}

Status check_index_count(const Node& node, std::initializer_list<int64_t> factors) {
  constexpr int64_t kLimit = int64_t{1} << 28;
  int64_t count = 1;
  for (const int64_t f : factors) {
    if (f == 0) return {};
    if (f < 0 || count > kLimit / f) {
      return failed(node, "size", fmt::format("the op would move more than {} elements one by one", kLimit));
    }
    count *= f;
  }
  return {};
}

Dim product(DimContext& dims, std::span<const Dim> shape) {
  Dim all = 1;
  for (const Dim& d : shape) all = dims.mul(all, d);
  return all;
}

Dim clamp_bound(DimContext& dims, Dim bound, Dim extent) {
  if (bound.is_unknown() || extent.is_unknown()) {
    return bound.is_known() && bound.value() == 0 ? bound : Dim::unknown();
  }
  if (bound.is_known() && extent.is_known()) {
    const int64_t v =
        bound.value() < 0 ? std::max<int64_t>(0, bound.value() + extent.value()) : bound.value();
    return std::min(v, extent.value());
  }
  if (bound == extent) return bound;
  if (dims.upper_bound(bound) < 0) {
    const Dim from_end = dims.add(bound, extent);
    return dims.lower_bound(from_end) >= 0 ? from_end : dims.max(0, from_end);
  }
  if (dims.lower_bound(bound) < 0) return Dim::unknown();
  if (dims.lower_bound(bound) == kDimUnbounded || dims.lower_bound(bound) >= dims.upper_bound(extent))
    return extent;
  if (dims.upper_bound(bound) <= dims.lower_bound(extent)) return bound;
  return dims.min(bound, extent);
}

Dim slice_length(DimContext& dims, Dim start, Dim end, Dim step) {
  Dim length = dims.sub(end, start);
  if (!(step == Dim(1))) length = dims.ceildiv(length, step);
  if (length.is_unknown()) return length;
  if (length.is_known()) return std::max<int64_t>(0, length.value());
  return dims.lower_bound(length) >= 0 ? length : dims.max(0, length);
}

void slice_bounds(DimContext& dims, const std::optional<Dim>& start, const std::optional<Dim>& end,
                  Dim extent, Dim* from, Dim* to) {
  *from = start ? clamp_bound(dims, *start, extent) : Dim(int64_t{0});
  const bool whole = !end || (end->is_known() && end->value() >= kDimUnbounded);
  *to = whole ? extent : clamp_bound(dims, *end, extent);
}

Result<List<int64_t>> normalize_dims(const Node& node, std::string_view check, List<int64_t> list,
                                     int64_t rank) {
  std::vector<int64_t> out;
  bool changed = false;
  for (const int64_t d : list) {
    ZP_TRY(const int64_t n, normalize_dim(node, check, d, rank));
    if (std::find(out.begin(), out.end(), n) != out.end()) {
      return failed(node, check, fmt::format("dim {} is named twice", n));
    }
    changed |= n != d;
    out.push_back(n);
  }
  return changed ? node.context().ints(out) : list;
}

}  // namespace zp::ops
