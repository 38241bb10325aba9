// Control flow: cards and inference. The interpreter runs the regions itself; there is no evaluator to call.
//   cond        operands (predicate, values...); region 0 where the predicate is true, region 1 where it is
//   not while_loop  operands (carried..., constant...); region 0 gives the condition, region 1 the next
//   carried values
#include "ops/control.h"

#include <fmt/format.h>

#include "ops/infer_util.h"
#include "ops/ops.h"

namespace zp::ops {
namespace {

constexpr OperandDef kCondOperands[] = {{"predicate", Role::Mask}, {"values", Role::Data, false, true}};
constexpr OperandDef kWhileOperands[] = {{"values", Role::Data, false, true}};
constexpr std::string_view kManyResults[] = {"out"};
constexpr std::string_view kCondChecks[] = {
    "c1: there are two regions",
    "c2: each region takes the values",
    "c3: the regions give the same number and element types of results",
};
constexpr std::string_view kWhileChecks[] = {
    "c1: there are two regions",
    "c2: each region takes all values",
    "c3: region 0 gives one bool, region 1 as many results as there are carried values",
};

// The type a result has whichever region gives it: dims that differ become unknown.
const Type* common_type(Context& context, const Type& a, const Type& b) {
  if (&a == &b || a == b || !a.is_tensor() || !b.is_tensor()) return context.type(a);
  Type t = a;
  if (!a.ranked || !b.ranked || a.shape.size() != b.shape.size()) {
    t.ranked = false;
    t.shape = {};
    return context.type(t);
  }
  std::vector<Dim> shape;
  for (size_t d = 0; d < a.shape.size(); ++d)
    shape.push_back(a.shape[d] == b.shape[d] ? a.shape[d] : Dim::unknown());
  return context.with_shape(a, shape);
}

Status check_regions(const Node& node, size_t first_value, size_t values) {
  if (node.regions().size() != 2)
    return failed(node, "c1", fmt::format("{} regions, 2 are wanted", node.regions().size()));
  if (node.operand_count() < first_value) return failed(node, "operands", "the predicate is missing");
  for (size_t r = 0; r < 2; ++r) {
    const size_t inputs = node.regions()[r]->inputs().size();
    if (inputs != values)
      return failed(node, "c2", fmt::format("region {} takes {} values of {}", r, inputs, values));
  }
  return {};
}

Status infer_cond(Context& context, Node& node) {
  ZP_CHECK(check_regions(node, 1, node.operand_count() - std::min<size_t>(1, node.operand_count())));
  const Graph &yes = *node.regions()[0], &no = *node.regions()[1];
  if (yes.output_count() != no.output_count() || yes.output_count() != node.result_count()) {
    return failed(node, "c3",
                  fmt::format("the regions give {} and {} results for {}", yes.output_count(),
                              no.output_count(), node.result_count()));
  }
  for (size_t i = 0; i < node.result_count(); ++i) {
    const Value *a = yes.output(i), *b = no.output(i);
    if (a == nullptr || b == nullptr) continue;
    if (a->type().dtype != b->type().dtype || a->type().quant != b->type().quant) {
      return failed(node, "c3", fmt::format("result {} is {} or {}", i, a->type().str(), b->type().str()));
    }
    node.result(i)->set_type(common_type(context, a->type(), b->type()));
  }
  return {};
}

Status infer_while_loop(Context& context, Node& node) {
  ZP_CHECK(check_regions(node, 0, node.operand_count()));
  const auto& attrs = node.attrs<WhileLoopAttrs>();
  const Graph &condition = *node.regions()[0], &body = *node.regions()[1];
  const bool counts = attrs.carried >= 0 && static_cast<size_t>(attrs.carried) <= node.operand_count() &&
                      condition.output_count() == 1 &&
                      body.output_count() == static_cast<size_t>(attrs.carried) &&
                      node.result_count() == body.output_count();
  if (!counts) {
    return failed(
        node, "c3",
        fmt::format("{} carried values, {} results of the condition, {} of the body, {} of the loop",
                    attrs.carried, condition.output_count(), body.output_count(), node.result_count()));
  }
  for (size_t i = 0; i < node.result_count(); ++i) {
    const Value* in = node.operand(i);
    const Value* next = body.output(i);
    if (in == nullptr || next == nullptr)
      return failed(node, "c3", fmt::format("carried value {} is absent", i));
    node.result(i)->set_type(common_type(context, in->type(), next->type()));
  }
  return {};
}

}  // namespace

constinit const OpDef cond = {.name = "cond",
                              .doc = "Runs one of two regions, by a predicate known when the model runs.",
                              .operands = kCondOperands,
                              .results = kManyResults,
                              .trait = Trait::Structural,
                              .flags = kVariadicResults,
                              .infer = infer_cond,
                              .checks = kCondChecks};
constinit const OpDef while_loop = {.name = "while_loop",
                                    .doc = "Runs region 1 on the carried values while region 0 gives true.",
                                    .operands = kWhileOperands,
                                    .results = kManyResults,
                                    .attrs = &attrs_of<WhileLoopAttrs>,
                                    .trait = Trait::Structural,
                                    .flags = kVariadicResults,
                                    .infer = infer_while_loop,
                                    .checks = kWhileChecks};

}  // namespace zp::ops
