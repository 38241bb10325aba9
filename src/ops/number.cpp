#include "ops/number.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/infer_util.h"
#include "ops/ops.h"

namespace zp::ops {

Status eval_item(EvalArgs& args);
Status eval_size_number(EvalArgs& args);
Status eval_number(EvalArgs& args);
Status eval_number_tensor(EvalArgs& args);
Status eval_assertion(EvalArgs& args);
Status eval_assert_range(EvalArgs& args);

TypeKind number_kind(const Value& value) {
  const Type& type = value.type();
  if (!type.is_tensor()) return type.kind;
  const DType dtype = type.real_dtype();
  return dtype == DType::Bool ? TypeKind::Bool : is_float(dtype) ? TypeKind::Float : TypeKind::Int;
}

TypeKind number_result(std::string_view f, std::span<const TypeKind> kinds) {
  const auto one_of = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), f) != names.end();
  };
  const bool unary = one_of({"neg", "pos", "not_", "trunc", "floor", "ceil", "int", "float", "sqrt"});
  const size_t wanted = unary ? 1 : f == "ite" ? 3 : 2;
  if (kinds.size() != wanted && !(one_of({"max", "min", "add"}) && kinds.size() > 2)) return TypeKind::Tensor;
  if (one_of({"eq", "ne", "lt", "le", "gt", "ge", "not_"})) return TypeKind::Bool;
  if (one_of({"truediv", "float", "sqrt"})) return TypeKind::Float;
  if (one_of({"trunc", "floor", "ceil", "int"})) return TypeKind::Int;
  const auto values = f == "ite" ? kinds.subspan(1) : kinds;
  const bool floats = std::find(values.begin(), values.end(), TypeKind::Float) != values.end();
  const bool bools =
      std::all_of(values.begin(), values.end(), [](TypeKind k) { return k == TypeKind::Bool; });
  if (one_of({"and_", "or_"})) return bools ? TypeKind::Bool : floats ? TypeKind::Tensor : TypeKind::Int;
  if (one_of({"lshift", "rshift"})) return floats ? TypeKind::Tensor : TypeKind::Int;
  if (one_of({"max", "min", "ite"}) && bools) return TypeKind::Bool;
  if (one_of({"add", "sub", "mul", "floordiv", "mod", "pow", "neg", "pos", "max", "min", "ite"}))
    return floats ? TypeKind::Float : TypeKind::Int;
  return TypeKind::Tensor;
}

bool defines_symbol(const Node& node) {
  if (!node.is(item) && !node.is(number) && !node.op().has(kDataShape)) return false;
  const auto names_one = [](Dim d) { return d.is_symbolic() && d.expr()->op == DimOp::Symbol; };
  const DimContext& dims = node.context().dims();
  for (size_t i = 0; i < node.result_count(); ++i) {
    const Type& type = node.result(i)->type();
    if (type.kind == TypeKind::Int && names_one(type.value)) return true;
    if (!type.is_tensor() || !type.ranked) continue;
    for (const Dim d : type.shape) {
      if (!names_one(d)) continue;
      const SymbolInfo* info = dims.info(d.expr()->symbol);
      if (info != nullptr && info->unbacked) return true;
    }
  }
  return false;
}

namespace {

constexpr OperandDef kConditionOperand[] = {{"condition", Role::Mask}};
constexpr OperandDef kNumberOperand[] = {{"number", Role::Shape}};
constexpr OperandDef kNumberOperands[] = {{"numbers", Role::Shape, false, true}};
constexpr std::string_view kItemChecks[] = {"c1: the tensor has one element"};
constexpr std::string_view kNumberChecks[] = {"c1: there is such a function of such numbers",
                                              "c2: operands are numbers or 0-d tensors"};
constexpr std::string_view kAssertionChecks[] = {
    "c1: there is one operand, a number or a tensor of one element"};

// Sets the kind of a result; the expression that it was given stays.
void set_number(Context& context, Value& result, TypeKind kind) {
  const Type& now = result.type();
  result.set_type(context.scalar(kind, now.kind == kind && kind == TypeKind::Int ? now.value : Dim()));
}

bool is_one_number(const Value* value) {
  if (value == nullptr) return false;
  const Type& type = value->type();
  if (type.is_tensor()) {
    const int64_t count = type.ranked ? type.elements() : -1;
    return count < 0 || count == 1;
  }
  return type.kind == TypeKind::Int || type.kind == TypeKind::Float || type.kind == TypeKind::Bool;
}

Status infer_item(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  if (!is_one_number(node.operand(0)))
    return failed(node, "c1", fmt::format("the operand is {}", node.operand(0)->type().str()));
  set_number(context, *node.result(), number_kind(*node.operand(0)));
  return {};
}

Status infer_size_number(Context& context, Node& node) {
  node.result()->set_type(context.scalar(TypeKind::Int, node.attrs<SizeNumberAttrs>().value));
  return {};
}

Status infer_number(Context& context, Node& node) {
  std::vector<TypeKind> kinds;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (!is_one_number(node.operand(i))) return failed(node, "c2", fmt::format("operand {} is no number", i));
    kinds.push_back(number_kind(*node.operand(i)));
  }
  const std::string_view function = node.attrs<NumberAttrs>().function;
  const TypeKind kind = number_result(function, kinds);
  if (kind == TypeKind::Tensor)
    return failed(node, "c1", fmt::format("no function '{}' of {} such operands", function, kinds.size()));
  set_number(context, *node.result(), kind);
  return {};
}

Status infer_number_tensor(Context& context, Node& node) {
  if (node.operand_count() != 1 || !is_one_number(node.operand(0)))
    return failed(node, "c1", "the operand is no number");
  const TypeKind kind = number_kind(*node.operand(0));
  const DType dtype = kind == TypeKind::Int ? DType::I64 : kind == TypeKind::Bool ? DType::Bool : DType::F64;
  node.result()->set_type(context.tensor(dtype, std::span<const Dim>()));
  return {};
}

Status infer_assertion(Context&, Node& node) {
  if (node.operand_count() != 1 || !is_one_number(node.operand(0)))
    return failed(node, "c1", "the operand is no number");
  return {};
}

}  // namespace

constinit const OpDef item = {.name = "item",
                              .doc = "The only element of a tensor as a number.",
                              .operands = kSelfOperand,
                              .results = kOneResult,
                              .trait = Trait::Structural,
                              .infer = infer_item,
                              .eval = eval_item,
                              .checks = kItemChecks};
constinit const OpDef size_number = {.name = "size_number",
                                     .doc = "An expression over sizes as a number.",
                                     .results = kOneResult,
                                     .attrs = &attrs_of<SizeNumberAttrs>,
                                     .trait = Trait::Structural,
                                     .infer = infer_size_number,
                                     .eval = eval_size_number};
constinit const OpDef number = {.name = "number",
                                .doc = "A function of numbers: arithmetic of sizes and of what item reads.",
                                .operands = kNumberOperands,
                                .results = kOneResult,
                                .attrs = &attrs_of<NumberAttrs>,
                                .trait = Trait::Structural,
                                .infer = infer_number,
                                .eval = eval_number,
                                .checks = kNumberChecks};
constinit const OpDef number_tensor = {.name = "number_tensor",
                                       .doc = "A number as a 0-d tensor; it promotes as a number does.",
                                       .operands = kNumberOperand,
                                       .results = kOneResult,
                                       .trait = Trait::Structural,
                                       .infer = infer_number_tensor,
                                       .eval = eval_number_tensor,
                                       .checks = kAssertionChecks};
constinit const OpDef assertion = {.name = "assertion",
                                   .doc = "Stops the run with a message where the condition is not true.",
                                   .operands = kConditionOperand,
                                   .attrs = &attrs_of<AssertionAttrs>,
                                   .trait = Trait::Structural,
                                   .flags = kEffect,
                                   .infer = infer_assertion,
                                   .eval = eval_assertion,
                                   .checks = kAssertionChecks};
constinit const OpDef assert_range = {.name = "assert_range",
                                      .doc = "Stops the run where a number is not within its bounds.",
                                      .operands = kNumberOperand,
                                      .attrs = &attrs_of<AssertRangeAttrs>,
                                      .trait = Trait::Structural,
                                      .flags = kEffect,
                                      .infer = infer_assertion,
                                      .eval = eval_assert_range,
                                      .checks = kAssertionChecks};

}  // namespace zp::ops
