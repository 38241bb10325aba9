#include "formats/pt2/export_control.h"

#include <fmt/format.h>

#include "formats/pt2/argument_json.h"
#include "formats/pt2/export_node.h"
#include "ops/control.h"
#include "ops/number.h"
#include "ops/ops.h"

namespace zp::pt2 {
namespace {

// What higher-order operators are called, how many operands go into their first lists, and whether captured
// constants belong to the last list there.
struct ControlForm {
  std::string_view target;
  std::vector<std::string_view> graphs;
  std::vector<size_t> lists;  // sizes of the lists of operands, in order; the rest goes into the last one
  bool predicate = false;
};

ControlForm form_of(const Node& node) {
  const size_t count = node.operand_count();
  if (node.is(ops::cond)) return {"higher_order.cond", {"true_graph_0", "false_graph_0"}, {count}, true};
  if (node.is(ops::while_loop)) {
    const auto carried = static_cast<size_t>(node.attrs<ops::WhileLoopAttrs>().carried);
    return {
        "higher_order.while_loop", {"while_loop_cond_graph_0", "while_loop_body_graph_0"}, {carried, count}};
  }
  if (node.is(ops::map))
    return {"higher_order.map_impl",
            {"body_graph_0"},
            {static_cast<size_t>(node.attrs<ops::MapRegionAttrs>().mapped), count}};
  const auto& scan = node.attrs<ops::ScanRegionAttrs>();
  return {"higher_order.scan",
          {"scan_combine_graph_0"},
          {static_cast<size_t>(scan.carried), static_cast<size_t>(scan.scanned), count}};
}

std::string names_json(const std::vector<std::string>& names) {
  std::string json;
  for (const std::string& name : names)
    json += fmt::format("{}{{\"name\": \"{}\"}}", json.empty() ? "" : ", ", name);
  return fmt::format("{{\"as_tensors\": [{}]}}", json);
}

Status write_operand_lists(NodeWriter& w, const ControlForm& form, const Captures& captures) {
  const Node& node = w.node();
  size_t at = form.predicate ? 1 : 0;
  for (size_t k = 0; k < form.lists.size(); ++k) {
    const bool last = k + 1 == form.lists.size();
    const size_t end = last ? node.operand_count() : std::min(node.operand_count(), at + form.lists[k]);
    std::vector<std::string> names;
    for (; at < end; ++at) {
      if (node.operand(at) == nullptr) return Error("export.region", fmt::format("operand {} is absent", at));
      ZP_TRY(std::string name, w.graph().name_of(node.operand(at)));
      names.push_back(std::move(name));
    }
    for (size_t c = 0; last && c < captures.size(); ++c) {
      ZP_TRY(std::string name, w.graph().placeholder(*captures[c]));
      names.push_back(std::move(name));
    }
    w.raw("", names_json(names));
  }
  return {};
}

std::string_view target_of(std::string_view function) {
  struct Named {
    std::string_view function, target;
  };
  constexpr Named kNamed[] = {{"trunc", "math.trunc"},      {"floor", "math.floor"},
                              {"ceil", "math.ceil"},        {"int", "torch.sym_int"},
                              {"float", "torch.sym_float"}, {"max", "torch.sym_max"},
                              {"min", "torch.sym_min"},     {"not_", "torch.sym_not"},
                              {"ite", "torch.sym_ite"},     {"sqrt", "torch._sym_sqrt"}};
  for (const Named& n : kNamed)
    if (n.function == function) return n.target;
  return {};
}

}  // namespace

// cond(predicate, graph, graph, operands), while_loop(graph, graph, carried, additional), map_impl(graph,
// mapped, constant), scan(graph, carried, scanned, additional).
Status write_control(NodeWriter& w) {
  const Node& node = w.node();
  const ControlForm form = form_of(node);
  if (node.regions().size() != form.graphs.size() || (form.predicate && node.operand(0) == nullptr))
    return Error("export.region", fmt::format("{} lacks a region or its predicate", node.op().name));
  Captures captures;
  std::vector<std::unique_ptr<GraphWriter>> regions;
  for (const Graph* region : node.regions()) {
    regions.push_back(std::make_unique<GraphWriter>(w.graph(), *region, captures));
    ZP_CHECK(regions.back()->write_nodes());
  }
  w.target(form.target);
  if (form.predicate) {
    ZP_TRY(std::string predicate, w.graph().argument(node.operand(0)));
    w.raw("", std::move(predicate));
  }
  for (size_t i = 0; i < regions.size(); ++i) {
    ZP_TRY(const std::string text, regions[i]->region_text(node.is(ops::while_loop) && i == 0));
    w.raw("", fmt::format("{{\"as_graph\": {{\"name\": \"{}\", \"graph\": {}}}}}",
                          w.graph().unique(form.graphs[i]), text));
  }
  ZP_CHECK(write_operand_lists(w, form, captures));
  w.tuple();
  return w.finish(static_cast<int>(node.result_count()));
}

Status write_item(NodeWriter& w) {
  const SourceNode* source = source_node(w.node(), w.graph().source());
  w.target(source != nullptr && source->overload != nullptr ? source->overload->target : "aten.item.default");
  ZP_CHECK(w.tensor("self", w.node().operand(0)));
  return w.finish();
}

Status write_number(NodeWriter& w) {
  const std::string_view function = w.node().attrs<ops::NumberAttrs>().function;
  const std::string_view named = target_of(function);
  w.plain_target(named.empty() ? fmt::format("_operator.{}", function) : std::string(named));
  constexpr std::string_view kNames[] = {"a", "b", "c"};
  if (w.node().operand_count() > std::size(kNames))
    return Error("export.number",
                 fmt::format("{} operands have no form in archives", w.node().operand_count()));
  for (size_t i = 0; i < w.node().operand_count(); ++i)
    ZP_CHECK(w.number_or_tensor(kNames[i], w.node().operand(i)));
  return w.finish();
}

Status write_assertion(NodeWriter& w) {
  const Value* condition = w.node().operand(0);
  const std::string_view message = w.node().attrs<ops::AssertionAttrs>().message;
  const bool tensor = condition != nullptr && condition->type().is_tensor();
  w.target(!tensor           ? "aten._assert_scalar.default"
           : message.empty() ? "aten._assert_async.default"
                             : "aten._assert_async.msg");
  ZP_CHECK(w.number_or_tensor("self", condition));
  if (!tensor || !message.empty()) w.text("assert_msg", message);
  return w.finish(0);
}

Status write_assert_range(NodeWriter& w) {
  const auto& attrs = w.node().attrs<ops::AssertRangeAttrs>();
  w.target(attrs.size ? "aten.sym_constrain_range_for_size.default" : "aten.sym_constrain_range.default");
  ZP_CHECK(w.number_or_tensor("size", w.node().operand(0)));
  if (attrs.min) w.raw("min", int_json(*attrs.min), true);
  if (attrs.max) w.raw("max", int_json(*attrs.max), true);
  return w.finish(0);
}

}  // namespace zp::pt2
