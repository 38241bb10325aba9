// Control flow: cards and inference. The interpreter runs the regions itself; there is no evaluator to call.
//   cond        operands (predicate, values...); region 0 where the predicate is true, region 1 where not
//   while_loop  operands (carried..., constant...); region 0 gives the condition, region 1 the next carried
//   map         operands (mapped..., constant...); the region runs on each part along dim 0, results are
//               stacked
//   scan        operands (carried..., scanned..., constant...); like map, and carried values go from part to
//               part: results are the last carried values, then the stacked ones
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
constexpr std::string_view kMapChecks[] = {
    "c1: there is one region",
    "c2: the region takes a part of each mapped value, then the constant ones",
    "c3: mapped values have the same extent along dim 0",
};
constexpr std::string_view kScanChecks[] = {
    "c1: there is one region",
    "c2: the region takes the carried values, a part of each scanned one, then the constant ones",
    "c3: scanned values have the same extent along dim 0",
    "c4: the region gives the next carried values first",
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

Status check_regions(const Node& node, size_t first_value, size_t values, size_t regions = 2) {
  if (node.regions().size() != regions)
    return failed(node, "c1", fmt::format("{} regions, {} are wanted", node.regions().size(), regions));
  if (node.operand_count() < first_value) return failed(node, "operands", "the predicate is missing");
  for (size_t r = 0; r < regions; ++r) {
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

// The extent of dim 0 that `count` operands from `first` on share.
Result<Dim> parts(Context& context, const Node& node, int64_t first, int64_t count) {
  Dim extent;
  for (int64_t i = first; i < first + count; ++i) {
    const Value* value = node.operand(static_cast<size_t>(i));
    if (value == nullptr || !value->type().is_tensor())
      return failed(node, "operands", fmt::format("operand {} is no tensor", i));
    if (!value->type().ranked) continue;
    if (value->type().rank() == 0)
      return failed(node, "c3", fmt::format("operand {} has no dim to take apart", i));
    const Dim here = value->type().shape[0];
    if (here.is_unknown()) continue;
    const Dim apart = extent.is_unknown() ? Dim(0) : context.dims().sub(extent, here);
    if (apart.is_known() && apart.value() != 0)
      return failed(node, "c3", fmt::format("operands of {} and {} parts", extent.str(), here.str()));
    extent = here;
  }
  return extent;
}

// Results from `first` on: what the region gives for one part, stacked.
Status stack_results(Context& context, Node& node, size_t first, Dim extent) {
  const Graph& body = *node.regions()[0];
  for (size_t i = first; i < node.result_count(); ++i) {
    const Value* part = body.output(i);
    if (part == nullptr || !part->type().is_tensor())
      return failed(node, "c2", fmt::format("result {} of the region is no tensor", i));
    const Type& type = part->type();
    if (type.quant != nullptr)
      return failed(node, "c2", fmt::format("result {} of the region is quantized", i));
    if (!type.ranked) {
      node.result(i)->set_type(context.unranked(type.dtype));
      continue;
    }
    std::vector<Dim> shape = {extent};
    shape.insert(shape.end(), type.shape.begin(), type.shape.end());
    node.result(i)->set_type(context.tensor(type.dtype, shape));
  }
  return {};
}

Status infer_map(Context& context, Node& node) {
  ZP_CHECK(check_regions(node, 0, node.operand_count(), 1));
  const auto& attrs = node.attrs<MapRegionAttrs>();
  if (attrs.mapped < 1 || static_cast<size_t>(attrs.mapped) > node.operand_count() ||
      node.regions()[0]->output_count() != node.result_count())
    return failed(node, "c2",
                  fmt::format("{} mapped values of {}, {} results of the region for {}", attrs.mapped,
                              node.operand_count(), node.regions()[0]->output_count(), node.result_count()));
  ZP_TRY(const Dim extent, parts(context, node, 0, attrs.mapped));
  return stack_results(context, node, 0, extent);
}

Status infer_scan(Context& context, Node& node) {
  ZP_CHECK(check_regions(node, 0, node.operand_count(), 1));
  const auto& attrs = node.attrs<ScanRegionAttrs>();
  const Graph& body = *node.regions()[0];
  const auto count = static_cast<int64_t>(node.operand_count());
  if (attrs.carried < 0 || attrs.scanned < 1 || attrs.carried > count ||
      attrs.scanned > count - attrs.carried || body.output_count() != node.result_count() ||
      static_cast<size_t>(attrs.carried) > node.result_count())
    return failed(node, "c4",
                  fmt::format("{} carried and {} scanned values of {}, {} results of the region for {}",
                              attrs.carried, attrs.scanned, count, body.output_count(), node.result_count()));
  for (size_t i = 0; i < static_cast<size_t>(attrs.carried); ++i) {
    const Value *in = node.operand(i), *next = body.output(i);
    if (in == nullptr || next == nullptr)
      return failed(node, "c4", fmt::format("carried value {} is absent", i));
    if (in->type().dtype != next->type().dtype || in->type().quant != next->type().quant)
      return failed(
          node, "c4",
          fmt::format("carried value {} is {}, the next one {}", i, in->type().str(), next->type().str()));
    node.result(i)->set_type(common_type(context, in->type(), next->type()));
  }
  ZP_TRY(const Dim extent, parts(context, node, attrs.carried, attrs.scanned));
  return stack_results(context, node, static_cast<size_t>(attrs.carried), extent);
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
constinit const OpDef map = {.name = "map",
                             .doc =
                                 "Runs the region on each part of the mapped values along dim 0 and "
                                 "stacks what it gives.",
                             .operands = kWhileOperands,
                             .results = kManyResults,
                             .attrs = &attrs_of<MapRegionAttrs>,
                             .trait = Trait::Structural,
                             .flags = kVariadicResults,
                             .infer = infer_map,
                             .checks = kMapChecks};
constinit const OpDef scan = {.name = "scan",
                              .doc =
                                  "Runs the region on each part of the scanned values along dim 0, in "
                                  "order, with values carried from part to part.",
                              .operands = kWhileOperands,
                              .results = kManyResults,
                              .attrs = &attrs_of<ScanRegionAttrs>,
                              .trait = Trait::Structural,
                              .flags = kVariadicResults,
                              .infer = infer_scan,
                              .checks = kScanChecks};

}  // namespace zp::ops
