// Control flow of archives: cond, while_loop, map and scan become nodes with regions. Forms that the cards do
// not have (operands that are numbers, bodies that write their inputs) stay opaque.
#include <fmt/format.h>

#include <algorithm>

#include "formats/pt2/graph_reader.h"
#include "formats/pt2/node_reader.h"
#include "ops/ops.h"

namespace zp::pt2 {
namespace {

bool only_tensors(const Arg& arg) {
  if (arg.tag != ArgTag::Tensors) return false;
  for (const Arg& item : arg.items)
    if (item.tag != ArgTag::Tensor) return false;
  return true;
}

// A body that writes its inputs has no functional form here.
bool body_fits(const Arg& arg, size_t inputs) {
  if (arg.tag != ArgTag::Graph || arg.graph == nullptr || arg.graph->inputs.size() != inputs) return false;
  for (const Arg& input : arg.graph->inputs)
    if (input.tag != ArgTag::Tensor) return false;
  for (const Arg& output : arg.graph->outputs)
    if (output.tag != ArgTag::Tensor) return false;
  const AliasAnalysis aliases(*arg.graph);
  for (const Arg& input : arg.graph->inputs)
    if (aliases.mutated(input.value)) return false;
  return true;
}

}  // namespace

// Constants are known inside of the region, not handed in: passes then see the weights of what it computes.
Graph* GraphReader::read_region(Node& parent, const GraphData& data,
                                std::span<const Constant* const> constants) {
  Graph* region = parent.add_region();
  GraphReader reader(state_, data, *region);
  for (size_t i = 0; i < data.inputs.size(); ++i) {
    const Arg& input = data.inputs[i];
    if (i < constants.size() && constants[i] != nullptr) {
      reader.set_constant(input.value, constants[i], data.values[input.value].name);
      continue;
    }
    reader.name(input.value).value =
        region->add_input(data.values[input.value].name, type_of(data.values[input.value]));
  }
  reader.read_nodes();
  std::vector<Value*> outputs;
  for (const Arg& output : data.outputs) {
    auto value = reader.value_of(output.value, true);
    if (!value.ok()) {
      if (!reader.name(output.value).missing) state_.report(std::move(value).error(), current_);
      return region;
    }
    outputs.push_back(*value);
  }
  region->set_outputs(outputs);
  return region;
}

namespace {

// A higher-order operator: where its graphs stand, and how many lists of operands follow them.
struct ControlForm {
  std::string_view target, op;
  size_t first_graph, graphs, lists;
};
constexpr ControlForm kForms[] = {
    {"cond", "cond", 1, 2, 1},
    {"while_loop", "while_loop", 0, 2, 2},
    {"map_impl", "map", 0, 1, 2},
    {"scan", "scan", 0, 1, 3},
};

}  // namespace

bool GraphReader::read_control(const NodeData& node) {
  constexpr std::string_view kPrefix = "torch.ops.higher_order.";
  if (!node.target.starts_with(kPrefix)) return false;
  const auto form = std::find_if(std::begin(kForms), std::end(kForms), [&](const ControlForm& f) {
    return f.target == node.target.substr(kPrefix.size());
  });
  if (form == std::end(kForms) || aliases_.touches_poisoned(node)) return false;
  const size_t first_list = form->first_graph + form->graphs;
  if (node.inputs.size() != first_list + form->lists) return false;
  std::vector<const Arg*> operands;
  std::vector<size_t> counts;  // of the lists
  for (size_t i = first_list; i < node.inputs.size(); ++i) {
    if (!only_tensors(node.inputs[i].arg)) return false;
    for (const Arg& item : node.inputs[i].arg.items) operands.push_back(&item);
    counts.push_back(node.inputs[i].arg.items.size());
  }
  for (size_t g = 0; g < form->graphs; ++g)
    if (!body_fits(node.inputs[form->first_graph + g].arg, operands.size())) return false;

  std::vector<Value*> values;
  const auto problem = [&](Error error) {
    state_.report(std::move(error), &node);
    for (const Arg& out : node.outputs)
      for_each_name(out, [&](const Arg& leaf) { names_[leaf.value].missing = true; });
    return true;
  };
  if (form->first_graph == 1) {
    auto predicate = number_value(node.inputs[0].arg);
    if (!predicate.ok()) return problem(std::move(predicate).error());
    if (*predicate == nullptr) return false;
    values.push_back(*predicate);
  }
  // Operands that are the same for every run of a body: all of cond's, the last list of the others.
  size_t first_shared = 0;
  for (size_t k = 0; k + 1 < counts.size(); ++k) first_shared += counts[k];
  std::vector<const Constant*> constants(operands.size());
  for (size_t i = 0; i < operands.size(); ++i) {
    if (i >= first_shared) constants[i] = constant_of(operands[i]->value);
    if (constants[i] != nullptr) continue;
    auto value = value_of(operands[i]->value, true);
    if (!value.ok()) return problem(std::move(value).error());
    values.push_back(*value);
  }
  const OpDef* card = NodeReader::card(form->op);
  AttrBuilder attrs(*card, context());
  attrs.set_int(form->op == "map" ? "mapped" : "carried", static_cast<int64_t>(counts[0]));
  if (counts.size() == 3) attrs.set_int("scanned", static_cast<int64_t>(counts[1]));
  std::vector<const GraphData*> graphs;
  for (size_t g = 0; g < form->graphs; ++g) graphs.push_back(node.inputs[form->first_graph + g].arg.graph);
  make_control(node, *card, values, attrs.data(), graphs, constants);
  return true;
}

void GraphReader::make_control(const NodeData& node, const OpDef& card, std::span<Value* const> operands,
                               const void* attrs, std::span<const GraphData* const> graphs,
                               std::span<const Constant* const> constants) {
  std::vector<uint32_t> results;
  for (const Arg& out : node.outputs)
    for_each_name(out, [&](const Arg& leaf) { results.push_back(leaf.value); });
  NodeSpec spec;
  spec.op = &card;
  spec.operands = operands;
  spec.attrs = attrs;
  spec.results = results.size();
  spec.name = origin_->name;
  spec.origins = context().arena().copy(std::span<const Origin* const>(&origin_, 1));
  Node* made = graph_.create(spec);
  for (const GraphData* graph : graphs) read_region(*made, *graph, constants);
  if (Status status = made->infer(); !status.ok()) {
    state_.report(std::move(status).error(), &node);
    for (size_t k = 0; k < results.size(); ++k) made->result(k)->set_type(context().unranked(DType::Unknown));
  }
  for (size_t k = 0; k < results.size(); ++k) bind_result(results[k], made->result(k));
  source_->op = &card;
  if (card.attrs != nullptr) source_->attrs_hash = attrs_hash(*card.attrs, made->attrs_data());
  ++state_.model.source_ops[std::string(card.name)];
}

}  // namespace zp::pt2
