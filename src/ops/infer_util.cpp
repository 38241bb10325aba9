#include "ops/infer_util.h"

#include <fmt/format.h>

#include <algorithm>

namespace zp::ops {

std::string check_id(const Node& node, std::string_view check) {
  return fmt::format("{}.{}", node.op().name, check);
}

Error failed(const Node& node, std::string_view check, std::string text) {
  return node.error(check_id(node, check), std::move(text));
}

Status check_operands(const Node& node) {
  const List<OperandDef>& defs = node.op().operands;
  if (node.operand_count() > defs.size() && !node.op().variadic()) {
    return failed(node, "operands",
                  fmt::format("{} operands, the op has {}", node.operand_count(), defs.size()));
  }
  for (size_t i = 0; i < defs.size(); ++i) {
    if (defs[i].variadic) break;
    if (node.operand(i) == nullptr && !defs[i].optional) {
      return failed(node, "operands", fmt::format("operand {} ({}) is missing", i, defs[i].name));
    }
  }
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Value* value = node.operand(i);
    if (value == nullptr && node.op().variadic() && i + 1 >= defs.size() && !defs.back().optional) {
      return failed(node, "operands", fmt::format("operand {} ({}) is missing", i, defs.back().name));
    }
    if (value != nullptr && !value->type().is_tensor()) {
      return failed(node, "operands", fmt::format("operand {} is {}, not a tensor", i, value->type().str()));
    }
  }
  return {};
}

bool has_quantized_operand(const Node& node) {
  for (size_t i = 0; i < node.operand_count(); ++i)
    if (node.operand(i) != nullptr && node.operand(i)->type().is_quantized()) return true;
  return false;
}

bool any_unranked(const Node& node) {
  for (size_t i = 0; i < node.operand_count(); ++i)
    if (node.operand(i) != nullptr && !node.operand(i)->type().ranked) return true;
  return false;
}

namespace {

bool keeps_quantized(const Node& node, size_t index) {
  return node.op().has(kIntegerForm) && node.result(index)->type().is_tensor() &&
         node.result(index)->type().is_quantized() && has_quantized_operand(node);
}

bool may_be_equal(std::span<const Dim> a, std::span<const Dim> b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!(a[i] == b[i]) && !a[i].is_unknown() && !b[i].is_unknown()) return false;
  return true;
}

}  // namespace

Status set_result(Node& node, size_t index, DType real, std::span<const Dim> shape) {
  if (index >= node.result_count()) {
    return failed(node, "results",
                  fmt::format("{} results, at least {} are needed", node.result_count(), index + 1));
  }
  Value* result = node.result(index);
  if (keeps_quantized(node, index)) {
    const Type& now = result->type();
    if (now.ranked && !may_be_equal(now.shape, shape)) {
      return failed(
          node, "shape",
          fmt::format("result {} is declared as {}, its shape is {}", index, now.str(), shape_text(shape)));
    }
    result->set_type(node.context().quantized(*now.quant, shape));
    return {};
  }
  result->set_type(node.context().tensor(real, shape));
  return {};
}

Status set_result(Node& node, size_t index, DType real, std::initializer_list<Dim> shape) {
  return set_result(node, index, real, std::span<const Dim>(shape.begin(), shape.size()));
}

Status set_unranked_result(Node& node, size_t index, DType real) {
  if (index >= node.result_count()) {
    return failed(node, "results",
                  fmt::format("{} results, at least {} are needed", node.result_count(), index + 1));
  }
  if (!keeps_quantized(node, index)) node.result(index)->set_type(node.context().unranked(real));
  return {};
}

Status set_result_like(Node& node, size_t index, DType real, const Type& like) {
  return like.ranked ? set_result(node, index, real, like.shape) : set_unranked_result(node, index, real);
}

namespace {

// The common extent of two dims, or nothing if they cannot agree.
bool broadcast_dim(Dim a, Dim b, Dim* out) {
  const bool one_a = a.is_known() && a.value() == 1, one_b = b.is_known() && b.value() == 1;
  if (a == b || one_b) {
    *out = a;
  } else if (one_a) {
    *out = b;
  } else if (a.is_unknown() || b.is_unknown()) {
    // An unknown dim may be 1, so only a number other than 1 decides.
    *out = a.is_known() ? a : b.is_known() ? b : Dim::unknown();
  } else {
    return false;
  }
  return true;
}

}  // namespace

Result<std::vector<Dim>> broadcast_shapes(const Node& node, std::string_view check,
                                          std::span<const Shape> shapes) {
  size_t rank = 0;
  for (const Shape& shape : shapes) rank = std::max(rank, shape.size());
  std::vector<Dim> out(rank, Dim(1));
  for (size_t s = 0; s < shapes.size(); ++s) {
    const size_t pad = rank - shapes[s].size();
    for (size_t d = pad; d < rank; ++d) {
      const Dim dim = shapes[s][d - pad];
      if (!broadcast_dim(out[d], dim, &out[d])) {
        return failed(
            node, check,
            fmt::format(
                "operand {} has {} in dim {} of the result, others have {}: shapes {} do not broadcast", s,
                dim.str(), d, out[d].str(), [&] {
                  std::string all;
                  for (const Shape& shape : shapes) all += (all.empty() ? "" : " and ") + shape_text(shape);
                  return all;
                }()));
      }
    }
  }
  return out;
}

Result<int64_t> normalize_dim(const Node& node, std::string_view check, int64_t dim, int64_t rank) {
  const int64_t range = std::max<int64_t>(rank, 1);
  if (dim < -range || dim >= range) {
    return failed(node, check, fmt::format("dim {} is outside -{}..{}", dim, range, range - 1));
  }
  return dim < 0 ? dim + range : dim;
}

std::vector<Dim> dims_of(std::span<const int64_t> shape) {
  return std::vector<Dim>(shape.begin(), shape.end());
}

std::vector<int64_t> known_shape(std::span<const Dim> shape) {
  std::vector<int64_t> out;
  for (const Dim& d : shape) out.push_back(d.value());
  return out;
}

std::string shape_text(std::span<const Dim> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + shape[i].str();
  return text + "]";
}

std::string shape_text(std::span<const int64_t> shape) { return shape_text(dims_of(shape)); }

}  // namespace zp::ops
