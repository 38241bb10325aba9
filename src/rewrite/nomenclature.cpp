#include "rewrite/nomenclature.h"

#include <algorithm>
#include <vector>

#include "ops/ops.h"
#include "rewrite/slot.h"

namespace zp::rewrite {
namespace {

// c for one scale an output channel, and so on; a weight's groups that span the summed axis are its channels,
// except below 8 bits, where the field's kernels are group-wise.
char granularity_letter(const QuantType& quant, const Grid& grid, char role, int out_axis, int in_axis,
                        int bits) {
  if (grid.per_tensor) return 't';
  if (role != 'w') {
    if (grid.per_token || quant.per_axis()) return 'c';
    return grid.group_axis >= 0 ? 'g' : 'b';
  }
  if (quant.per_axis()) {
    // One group a row, declared as a column of scales, is still group-wise.
    const bool column =
        quant.scales != nullptr && quant.scales->shape.size() > 1 && grid.group_axis == in_axis;
    if (column && bits < 8) return 'g';
    return grid.axis == out_axis ? 'c' : 'k';
  }
  if (grid.group_axis >= 0 && grid.group_axis == in_axis) {
    return grid.whole && grid.axis == out_axis && bits >= 8 ? 'c' : 'g';
  }
  if (grid.axis >= 0) return grid.axis == out_axis ? 'c' : 'k';
  return 'b';
}

struct Token {
  std::string front;  // d, q, u
  std::string bits;
  char granularity = 't';
  std::string scheme;
  char role = 'a';
  std::string text() const { return front + bits + granularity + scheme + role; }
  // The older order of weight-only names: the width stands before the role.
  std::string weight_only() const {
    return granularity == 'g' || granularity == 'b' ? text() : front + granularity + scheme + bits + role;
  }
};

Token token_of(Context& context, const QuantType& quant, std::span<const Dim> shape, char role, int out_axis,
               int in_axis) {
  Token t;
  const int bits = declared_bits(quant);
  t.front = quant.dynamic ? "dq" : "q";
  if (is_float(quant.storage)) t.front += "f";
  else if (!is_signed(quant.storage)) t.front += "u";
  t.bits = std::to_string(bits);
  t.granularity = granularity_letter(quant, grid_of(quant, shape), role, out_axis, in_axis, bits);
  t.role = role;
  if (role != 'w') return t;
  if (quant.domain == ZeroPointDomain::Float) {
    t.scheme = "f";
  } else {
    const std::vector<double> zeros = zero_points_of(context, quant, 1);
    const bool none =
        quant.domain == ZeroPointDomain::None ||
        (!zeros.empty() && std::all_of(zeros.begin(), zeros.end(), [](double z) { return z == 0; }));
    t.scheme = none ? "s" : "a";
  }
  return t;
}

bool is_constant(const Value* value) { return value->def() != nullptr && value->def()->is(kConstOp); }

// A product whose right factor is a constant matrix is a linear by any other name.
bool is_linear(const Node& node) {
  if (node.is(ops::linear)) return true;
  const size_t right = node.is(ops::matmul) ? 1 : node.is(ops::addmm) ? 2 : 0;
  const Value* factor = right == 0 ? nullptr : node.operand(right);
  return factor != nullptr && is_constant(factor) && factor->type().is_tensor() && factor->type().rank() == 2;
}

}  // namespace

std::string quant_token(Context& context, const QuantType& quant, std::span<const Dim> shape, char role,
                        int out_axis, int in_axis) {
  return token_of(context, quant, shape, role, out_axis, in_axis).text();
}

std::string derived_name(const Node& node) {
  Context& context = node.context();
  std::string name(is_linear(node) ? std::string_view("linear") : node.op().name);
  std::vector<Token> tokens;
  std::vector<std::string> texts;
  const auto& defs = node.op().operands;
  for (size_t i = 0; i < node.operand_count() && !defs.empty(); ++i) {
    const Value* value = node.operand(i);
    const Role role = defs[std::min(i, defs.size() - 1)].role;
    if (value == nullptr || (role != Role::Data && role != Role::Weight)) continue;
    const Type& type = value->type();
    if (!type.is_tensor()) continue;
    if (!type.is_quantized()) {
      const bool number = is_constant(value) && type.rank() == 0;
      if (role == Role::Data && !number && node.op().trait != Trait::Affine)
        texts.emplace_back(dtype_name(type.dtype));
      continue;
    }
    const WeightAxes axes = weight_axes(node.op(), i, type.rank());
    const bool weight =
        role == Role::Weight &&
        (is_constant(value) || !(node.is(ops::matmul) || node.is(ops::addmm) || node.is(ops::baddbmm)));
    tokens.push_back(token_of(context, *type.quant, type.shape, weight ? 'w' : 'a', axes.out, axes.in));
    // The inputs of cat and its kin share one token where they share one type.
    const bool repeats = node.op().variadic() && i + 1 >= defs.size() && !texts.empty() &&
                         texts.back() == tokens.back().text();
    if (!repeats) texts.push_back(tokens.back().text());
  }
  const Type* result = node.result_count() > 0 ? &node.result()->type() : nullptr;
  const bool quantized_result = result != nullptr && result->is_tensor() && result->is_quantized();
  if (tokens.empty() && !quantized_result) return name;
  if (tokens.size() == 1 && tokens[0].role == 'w' && !quantized_result)
    return name + "_" + tokens[0].weight_only();
  for (const std::string& text : texts) name += "_" + text;
  if (quantized_result) name += "_" + quant_token(context, *result->quant, result->shape, 'o');
  return name;
}

}  // namespace zp::rewrite
