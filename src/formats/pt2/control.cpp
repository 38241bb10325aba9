// Control flow of archives: cond and while_loop become nodes with regions. Forms that the cards do not have
// (a predicate that is no tensor, operands that are numbers) stay opaque.
#include <fmt/format.h>

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

Graph* GraphReader::read_region(Node& parent, const GraphData& data) {
  Graph* region = parent.add_region();
  GraphReader reader(state_, data, *region);
  for (const Arg& input : data.inputs) {
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

bool GraphReader::read_control(const NodeData& node) {
  constexpr std::string_view kPrefix = "torch.ops.higher_order.";
  if (!node.target.starts_with(kPrefix)) return false;
  const std::string_view op = node.target.substr(kPrefix.size());
  const OpDef* card = op == "cond" || op == "while_loop" ? NodeReader::card(op) : nullptr;
  if (card == nullptr || node.inputs.size() < 3 || aliases_.touches_poisoned(node)) return false;
  const bool cond = op == "cond";
  // cond: predicate, two graphs, operands; while_loop: two graphs, carried, additional.
  const size_t first_graph = cond ? 1 : 0;
  std::vector<const Arg*> operands;
  auto add = [&](const Arg& list) {
    for (const Arg& item : list.items) operands.push_back(&item);
  };
  size_t carried = 0;
  for (size_t i = first_graph + 2; i < node.inputs.size(); ++i) {
    if (!only_tensors(node.inputs[i].arg)) return false;
    add(node.inputs[i].arg);
    if (i == first_graph + 2) carried = operands.size();
  }
  const Arg &a = node.inputs[first_graph].arg, &b = node.inputs[first_graph + 1].arg;
  if (!body_fits(a, operands.size()) || !body_fits(b, operands.size())) return false;
  if (cond && node.inputs[0].arg.tag != ArgTag::Tensor) return false;

  std::vector<Value*> values;
  if (cond) operands.insert(operands.begin(), &node.inputs[0].arg);
  for (const Arg* operand : operands) {
    auto value = value_of(operand->value, true);
    if (!value.ok()) {
      state_.report(std::move(value).error(), &node);
      for (const Arg& out : node.outputs)
        for_each_name(out, [&](const Arg& leaf) { names_[leaf.value].missing = true; });
      return true;
    }
    values.push_back(*value);
  }
  std::vector<uint32_t> results;
  for (const Arg& out : node.outputs)
    for_each_name(out, [&](const Arg& leaf) { results.push_back(leaf.value); });
  AttrBuilder attrs(*card, context());
  if (!cond) attrs.set_int("carried", static_cast<int64_t>(carried));
  NodeSpec spec;
  spec.op = card;
  spec.operands = values;
  spec.attrs = attrs.data();
  spec.results = results.size();
  spec.name = origin_->name;
  spec.origins = context().arena().copy(std::span<const Origin* const>(&origin_, 1));
  Node* made = graph_.create(spec);
  read_region(*made, *a.graph);
  read_region(*made, *b.graph);
  if (Status status = made->infer(); !status.ok()) {
    state_.report(std::move(status).error(), &node);
    for (size_t k = 0; k < results.size(); ++k) made->result(k)->set_type(context().unranked(DType::Unknown));
  }
  for (size_t k = 0; k < results.size(); ++k) bind_result(results[k], made->result(k));
  source_->op = card;
  if (card->attrs != nullptr) source_->attrs_hash = attrs_hash(*card->attrs, made->attrs_data());
  ++state_.model.source_ops[std::string(card->name)];
  return true;
}

}  // namespace zp::pt2
