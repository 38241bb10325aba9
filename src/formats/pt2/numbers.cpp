// Symbolic numbers of archives. What is an expression of sizes is a Dim and needs no node; numbers that are
// read from tensors, compared, divided or asserted become nodes of the family `number`. Assertions are kept:
// they guard the run, and are written again.
#include <fmt/format.h>

#include "formats/pt2/hooks.h"
#include "formats/pt2/node_reader.h"
#include "ops/number.h"
#include "ops/ops.h"

namespace zp::pt2 {

namespace {

// The function of a target: `_operator.add`, `math.trunc`, `torch.sym_max`. Empty: not known.
std::string_view function_of(std::string_view target) {
  struct Named {
    std::string_view target, function;
  };
  constexpr Named kNamed[] = {
      {"math.trunc", "trunc"},    {"math.floor", "floor"},      {"math.ceil", "ceil"},
      {"torch.sym_int", "int"},   {"torch.sym_float", "float"}, {"torch.sym_max", "max"},
      {"torch.sym_min", "min"},   {"torch.sym_not", "not_"},    {"torch.sym_ite", "ite"},
      {"torch.sym_sqrt", "sqrt"}, {"torch.sym_sum", "add"},     {"torch._sym_sqrt", "sqrt"},
      {"math.sqrt", "sqrt"},      {"_operator.not_", "not_"},
  };
  for (const Named& n : kNamed)
    if (n.target == target) return n.function;
  constexpr std::string_view kOperator = "_operator.";
  if (!target.starts_with(kOperator)) return {};
  constexpr std::string_view kPlain[] = {"add", "sub", "mul",    "floordiv", "truediv", "mod", "pow",
                                         "neg", "pos", "lshift", "rshift",   "and_",    "or_", "eq",
                                         "ne",  "lt",  "le",     "gt",       "ge"};
  for (const std::string_view name : kPlain)
    if (target.substr(kOperator.size()) == name) return name;
  return {};
}

}  // namespace

Result<Value*> GraphReader::number_value(const Arg& arg) {
  if (arg.tag == ArgTag::Int) return literal(Number::of_int(arg.i), DType::I64);
  if (arg.tag == ArgTag::Float) return literal(Number::of_float(arg.f), DType::F64);
  if (arg.tag == ArgTag::Bool) return literal(Number::of_bool(arg.b), DType::Bool);
  if (arg.tag == ArgTag::Tensor) return value_of(arg.value, true);
  if (arg.tag != ArgTag::SymInt && arg.tag != ArgTag::SymFloat && arg.tag != ArgTag::SymBool)
    return static_cast<Value*>(nullptr);
  const Name& name = names_[arg.value];
  const Dim dim = data_.values[arg.value].dim;
  if (name.value != nullptr) return name.value;
  if (arg.tag == ArgTag::SymInt && dim.is_known()) return literal(Number::of_int(dim.value()), DType::I64);
  if (arg.tag == ArgTag::SymInt && dim.is_symbolic()) {
    Value*& made = size_numbers_[dim.expr()];
    if (made == nullptr) {
      AttrBuilder attrs(ops::size_number, context());
      attrs.set_dim("value", dim);
      made = make_node(ops::size_number, {}, attrs.data(), 1, data_.values[arg.value].name)->result();
    }
    return made;
  }
  if (name.symbolic == nullptr) return static_cast<Value*>(nullptr);
  ZP_TRY(Value * value, value_of(arg.value, true));
  return value;
}

// False: nothing here can compute it, the node is kept as it is.
bool GraphReader::read_number(const NodeData& node) {
  const std::string_view function = function_of(node.target);
  if (function.empty() || node.outputs.size() != 1) return false;
  const uint32_t result = node.outputs[0].value;
  std::vector<Value*> operands;
  std::vector<TypeKind> kinds;
  const auto add = [&](const Arg& arg) {
    auto value = number_value(arg);
    if (!value.ok() || *value == nullptr) return false;
    operands.push_back(*value);
    kinds.push_back(ops::number_kind(**value));
    return true;
  };
  for (const NamedArg& named : node.inputs) {
    if (!named.arg.is_list()) {
      if (!add(named.arg)) return false;
      continue;
    }
    for (const Arg& item : named.arg.items)
      if (!add(item)) return false;
  }
  const ValueData& said = data_.values[result];
  const TypeKind kind = ops::number_result(function, kinds);
  if (kind == TypeKind::Tensor || type_of(said)->kind != kind) return false;
  AttrBuilder attrs(ops::number, context());
  attrs.set_text("function", function);
  Node* made = make_node(ops::number, operands, attrs.data(), 1, origin_->name);
  made->result()->set_type(type_of(said));
  names_[result].value = made->result();
  source_->op = &ops::number;
  source_->attrs_hash = attrs_hash(*ops::number.attrs, made->attrs_data());
  return true;
}

namespace {

// Asserted types of tensors are checked here: they say nothing that types do not say.
Result<bool> assert_metadata(NodeReader& n) {
  const Arg& a = n.arg("a");
  const auto dtype = n.dtype("dtype");
  if (a.tag != ArgTag::Tensor || !dtype) return true;
  ZP_TRY(Value * value, n.tensor("a"));
  if (value->type().is_tensor() && value->type().dtype != DType::Unknown && value->type().dtype != *dtype) {
    n.graph().state().report(Diagnostic{Severity::Warning, "pt2.assertion",
                                        n.graph().state().place(&n.data()),
                                        fmt::format("the program asserts that '{}' is {}, it is {}", a.text,
                                                    dtype_name(*dtype), value->type().str())});
  }
  return true;
}

Result<bool> assert_bounds(NodeReader& n) {
  ZP_TRY(Value * number, n.graph().number_value(n.arg("size")));
  if (number == nullptr) return n.no("its number is not known");
  AttrBuilder attrs(ops::assert_range, n.context());
  for (const std::string_view bound : {"min", "max"})
    if (const auto value = n.integer(bound)) attrs.set_int(bound, *value);
  attrs.set_bool("size", base_name(n.row().target) == "sym_constrain_range_for_size");
  ZP_TRY(Node * node, n.make(attrs, {number}, 0));
  (void)node;
  return true;
}

Result<bool> assertion(NodeReader& n) {
  if (n.row().find("a") != nullptr) return assert_metadata(n);
  if (n.row().find("size") != nullptr) return assert_bounds(n);
  const Arg& condition = n.arg("self");
  if (condition.tag == ArgTag::Bool && condition.b) return true;
  ZP_TRY(Value * value, n.graph().number_value(condition));
  if (value == nullptr) return n.no("its condition is not known");
  AttrBuilder attrs(ops::assertion, n.context());
  attrs.set_text("message", n.text("assert_msg"));
  ZP_TRY(Node * node, n.make(attrs, {value}, 0));
  (void)node;
  return true;
}

// A number read from a tensor. Where it is used like a tensor, the tensor itself (as a 0-d one) serves; where
// it is a number, the node says what the symbol is.
Result<bool> item(NodeReader& n) {
  ZP_TRY(Value * input, n.tensor("self"));
  if (n.data().outputs.empty() || n.data().outputs[0].text.empty()) return n.no({});
  const uint32_t result = n.data().outputs[0].value;
  if (n.graph().read_as_number(result)) {
    const Type* said = n.graph().type_of(n.graph().data().values[result]);
    ZP_TRY(Node * node, n.make(AttrBuilder(ops::item, n.context()), {input}));
    if (said->kind != node->result()->type().kind) return n.no("it is read as another kind of number");
    node->result()->set_type(said);
    n.graph().name(result).value = node->result();
  }
  if (input->type().ranked && input->type().rank() > 0) {
    const OpDef* reshape = n.card("reshape");
    if (reshape == nullptr) return n.no({});
    AttrBuilder attrs(*reshape, n.context());
    attrs.set_dims("shape", {});
    ZP_TRY(Node * node, n.make(attrs, {input}, 1, true));
    input = node->result();
  }
  n.graph().name(result).item_of = input;
  return true;
}

}  // namespace

std::span<const NamedHook> number_hooks() {
  static constexpr NamedHook kHooks[] = {{"assert", assertion}, {"item", item}};
  return kHooks;
}

}  // namespace zp::pt2
