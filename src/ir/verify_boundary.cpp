// boundary.1: the border between quantized and plain values. An operator takes quantized operands or gives a
// quantized result only in a form that its card has; everywhere else a dequantize or a quantize must stand.
// Looks at each node's own operands and results, so checking a graph is linear and cheap enough to follow
// every pass.
//
// The forms of a card:
//   moves elements (shape only, shares or needs equal parameters): all elements quantized, or none; a row of
//     a quantized table may come out real
//   weighted (conv, linear): input and weight quantized, the result quantized or real; or real input with
//     quantized weight, and then a real result; a bias is real or an integer of the product's scale
//   other integer forms (add, pooling, tables): all data operands quantized, but for single numbers, which
//   are part
//     of the operator; the result quantized or real
//   everything else: none quantized
//
// A break always comes about by one of nine routes, each with its own repair; the message names both.
#include <fmt/format.h>

#include <algorithm>

#include "ir/verifier.h"
#include "support/text_format.h"

namespace zp {

namespace {

struct Part {
  const Value* value = nullptr;
  int operand = -1;  // -1: a result
  Role role = Role::Data;
  bool quantized() const { return value->type().is_quantized(); }
  bool plain() const { return !quantized() && is_float(value->type().dtype); }
  std::string name() const { return "%" + name_text(value->name()); }
};

// Operands and results that carry numbers: no index, shape, mask, scale or zero point.
struct Parts {
  std::vector<Part> operands, results;
  bool tensor_result = false;
  bool any(const std::vector<Part>& of, bool (Part::*what)() const) const {
    return std::any_of(of.begin(), of.end(), [&](const Part& p) { return (p.*what)(); });
  }
  bool any_quantized() const { return any(operands, &Part::quantized) || any(results, &Part::quantized); }
};

Parts parts_of(const Node& node) {
  Parts parts;
  const List<OperandDef>& defs = node.op().operands;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Value* v = node.operand(i);
    if (v == nullptr || !v->type().is_tensor()) continue;
    const Role role = defs.empty() ? Role::Data : defs[std::min(i, defs.size() - 1)].role;
    if (role != Role::Data && role != Role::Weight && role != Role::Bias && role != Role::State) continue;
    parts.operands.push_back({v, static_cast<int>(i), role});
  }
  for (size_t i = 0; i < node.result_count(); ++i) {
    if (!node.result(i)->type().is_tensor()) continue;
    parts.tensor_result = true;
    parts.results.push_back({node.result(i), -1, Role::Data});
  }
  return parts;
}

bool is_constant(const Value& v) { return v.def() != nullptr && v.def()->is(kConstOp); }

bool one_number(const Value& v) {
  return is_constant(v) && (v.def()->constant()->kind == ConstantKind::Literal || v.type().elements() == 1);
}

bool moves(const OpDef& op) {
  return op.trait == Trait::ShapeOnly || op.trait == Trait::SharesQparams || op.trait == Trait::SameQparams;
}

bool weighted_form(const Parts& parts) {
  bool data = true, weight = true, bias = false, any_weight = false;
  for (const Part& p : parts.operands) {
    if (p.role == Role::Weight) weight &= p.quantized(), any_weight = true;
    else if (p.role == Role::Bias) bias |= p.quantized();
    else data &= p.quantized();
  }
  const bool result = parts.any(parts.results, &Part::quantized);
  if (!any_weight) return data || !result;
  if (data) return weight;  // integers throughout; the bias may be real
  return !result && !bias;  // real input: only the weight is quantized, if anything is
}

bool has_form(const Node& node, const Parts& parts) {
  const OpDef& op = node.op();
  if (moves(op) && !op.has(kIntegerForm))
    return !parts.any(parts.operands, &Part::plain) && !parts.any(parts.results, &Part::plain);
  if (!op.has(kIntegerForm)) return false;
  if (op.trait == Trait::Affine) return weighted_form(parts);
  // Values that are chosen stay integers; a row of a table may come out dequantized.
  if (op.trait == Trait::SharesQparams && op.operand_index("indices") < 0 &&
      parts.any(parts.results, &Part::plain))
    return false;
  return std::all_of(parts.operands.begin(), parts.operands.end(),
                     [](const Part& p) { return !p.plain() || one_number(*p.value); });
}

// ---------------------------------------------------------------- routes

struct Break {
  std::string_view route, how;
  std::string bridge;
};

const Part* first(const std::vector<Part>& of, bool (Part::*what)() const) {
  const auto found = std::find_if(of.begin(), of.end(), [&](const Part& p) { return (p.*what)(); });
  return found == of.end() ? nullptr : &*found;
}

// Whether somebody else reads a value as the integers that it is: an integer operator, or one that moves
// them.
bool others_read(const Value& v, const Node& but) {
  for (const Use& use : v.uses()) {
    const OpDef& op = use.user()->op();
    if (use.user() != &but && (op.has(kIntegerForm) || moves(op))) return true;
  }
  return false;
}

std::string names_of(const std::vector<Part>& of, bool (Part::*what)() const) {
  std::vector<std::string> names;
  for (const Part& p : of)
    if ((p.*what)() && std::find(names.begin(), names.end(), p.name()) == names.end())
      names.push_back(p.name());
  return fmt::format("{}", fmt::join(names, ", "));
}

Break route_of(const Node& node, const Parts& parts) {
  const Part* quantized = first(parts.operands, &Part::quantized);
  const Part* plain = first(parts.operands, &Part::plain);
  const Part* result = first(parts.results, &Part::quantized);
  const std::string dequantize =
      quantized == nullptr
          ? ""
          : fmt::format("put a dequantize before {}", names_of(parts.operands, &Part::quantized));
  for (const Part& p : parts.operands) {
    if (p.quantized() && quantized != &p && p.role != Role::Bias && quantized->role == p.role &&
        p.value->type().dtype != quantized->value->type().dtype) {
      return {"R8", "operands of two storages meet where no form takes both",
              fmt::format("put a dequantize and a quantize to {} before {}",
                          quant_str(*quantized->value->type().quant), p.name())};
    }
  }
  const auto bias = std::find_if(parts.operands.begin(), parts.operands.end(),
                                 [](const Part& p) { return p.role == Role::Bias && p.quantized(); });
  if (bias != parts.operands.end()) {
    return {"R5", "the bias is an integer and the product is not",
            fmt::format("put a dequantize before {}", bias->name())};
  }
  if (quantized != nullptr && plain != nullptr && one_number(*plain->value)) {
    return {"R7", "a number stayed real beside integers",
            fmt::format("quantize {} to {}, or {}", plain->name(), quant_str(*quantized->value->type().quant),
                        dequantize)};
  }
  if (plain != nullptr && plain->value->def() == nullptr) {
    return {"R9", "an input of the graph is not quantized, what it meets is",
            fmt::format("put a quantize behind the input {}{}", plain->name(),
                        quantized != nullptr ? ", or " + dequantize : "")};
  }
  if (quantized != nullptr && plain == nullptr && quantized->value->def() == nullptr && !moves(node.op())) {
    return {"R9", "an input of the graph comes as integers, its reader wants real numbers",
            fmt::format("put a dequantize behind the input {}", quantized->name())};
  }
  if (quantized != nullptr && is_constant(*quantized->value) && !moves(node.op())) {
    return {"R2", "a constant's dequantize is gone, its reader has no form for integers", dequantize};
  }
  if (quantized != nullptr && plain != nullptr && is_constant(*plain->value)) {
    return {"R6", "a constant that a rewrite put in has no parameters",
            fmt::format("quantize {} to {}, or {}", plain->name(), quant_str(*quantized->value->type().quant),
                        dequantize)};
  }
  if (quantized != nullptr && moves(node.op()) && result == nullptr && plain == nullptr) {
    return {"R4", "an operator that keeps values does not pass their parameters on",
            fmt::format("give its result {}, or {}", quant_str(*quantized->value->type().quant), dequantize)};
  }
  if (quantized != nullptr && others_read(*quantized->value, node)) {
    return {"R3", "integers are read by one that wants them and by one that wants real numbers",
            fmt::format("{} for this reader", dequantize)};
  }
  std::string bridge = dequantize;
  if (quantized == nullptr && result != nullptr)
    bridge = fmt::format("put a quantize behind {} instead of on it", result->name());
  else if (result != nullptr) bridge += fmt::format(" and a quantize behind {}", result->name());
  return {"R1", "an operator was taken apart, or put in, after parameters were given", bridge};
}

std::string listed(const Node& node, const Parts& parts, bool (Part::*what)() const) {
  std::string out;
  for (const std::vector<Part>* side : {&parts.operands, &parts.results}) {
    for (const Part& p : *side) {
      if (!(p.*what)()) continue;
      const List<OperandDef>& defs = node.op().operands;
      const size_t def = std::min(static_cast<size_t>(std::max(p.operand, 0)), defs.size() - 1);
      const std::string where =
          p.operand < 0 ? "result"
                        : fmt::format("operand {} ({})", p.operand, defs.empty() ? "" : defs[def].name);
      out += fmt::format("{}{} {} is {}", out.empty() ? "" : ", ", where, p.name(), p.value->type().str());
    }
  }
  return out;
}

}  // namespace

std::string boundary_problem(const Node& node) {
  const OpDef& op = node.op();
  if (op.trait == Trait::Quantizer || (op.trait == Trait::Structural && !node.is(kOpaqueOp))) return {};
  // Most nodes have nothing quantized about them.
  bool quantized = false;
  for (size_t i = 0; i < node.operand_count() && !quantized; ++i)
    quantized = node.operand(i) != nullptr && node.operand(i)->type().is_quantized();
  for (size_t i = 0; i < node.result_count() && !quantized; ++i)
    quantized = node.result(i)->type().is_quantized();
  if (!quantized) return {};
  const Parts parts = parts_of(node);
  if (!parts.any_quantized()) return {};
  if (op.trait == Trait::Never && !parts.tensor_result) return {};  // asks for a size or a type
  if (has_form(node, parts)) return {};
  const Break broken = route_of(node, parts);
  const std::string plain = listed(node, parts, &Part::plain);
  return fmt::format("{} {}: quantized: {}{}; route {}: {}; to repair it, {}", op_label(node),
                     op.has(kIntegerForm) || moves(op) ? "mixes quantized and plain values"
                                                       : "has no form for quantized values",
                     listed(node, parts, &Part::quantized), plain.empty() ? "" : "; plain: " + plain,
                     broken.route, broken.how, broken.bridge);
}

std::vector<Diagnostic> check_boundary(const Model& model, size_t limit) {
  std::vector<Diagnostic> found;
  std::vector<const Graph*> graphs{model.graph.get()};
  for (size_t g = 0; g < graphs.size(); ++g) {
    for (const Node* node : graphs[g]->nodes()) {
      for (const Graph* region : node->regions()) graphs.push_back(region);
      std::string problem = boundary_problem(*node);
      if (problem.empty()) continue;
      Diagnostic d = node->error("boundary.1", std::move(problem)).first();
      d.where.file = model.path;
      found.push_back(std::move(d));
      if (found.size() >= limit) return found;
    }
  }
  return found;
}

}  // namespace zp
