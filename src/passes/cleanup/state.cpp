#include "passes/cleanup/state.h"

#include <algorithm>
#include <unordered_set>

#include "passes/constant_eval.h"

namespace zp::cleanup {
namespace {

constexpr size_t kLongestUpdate = 16;  // nodes of an update that are looked at

// Everything that depends on `state` is inside a handful of pure nodes that read only it and constants, and
// leaves them only through output `update`.
bool feeds_only_itself(const Value& state, const Node* output_node, size_t update) {
  std::unordered_set<const Node*> inside;
  std::vector<const Value*> work{&state};
  std::vector<const Node*> nodes;
  while (!work.empty()) {
    const Value* value = work.back();
    work.pop_back();
    for (const Use& use : value->uses()) {
      if (use.user() == output_node) {
        if (use.index() != update) return false;
        continue;
      }
      if (!inside.insert(use.user()).second) continue;
      if (inside.size() > kLongestUpdate || !is_computable(*use.user())) return false;
      nodes.push_back(use.user());
      for (size_t i = 0; i < use.user()->result_count(); ++i) work.push_back(use.user()->result(i));
    }
  }
  for (const Node* node : nodes) {
    for (size_t i = 0; i < node->operand_count(); ++i) {
      const Value* operand = node->operand(i);
      if (operand == nullptr || operand == &state) continue;
      if (operand->def() == nullptr || !(operand->def()->is(kConstOp) || inside.contains(operand->def())))
        return false;
    }
  }
  return true;
}

}  // namespace

size_t remove_dead_state(Model& model) {
  Graph& graph = *model.graph;
  if (model.inputs.size() != graph.inputs().size() || model.outputs.size() != graph.output_count()) return 0;
  std::vector<bool> dead_input(model.inputs.size(), false), dead_output(model.outputs.size(), false);
  std::vector<int64_t> update_of(model.inputs.size(), -1);
  for (size_t k = 0; k < model.outputs.size(); ++k) {
    const OutputInfo& out = model.outputs[k];
    if (out.kind == OutputInfo::User || out.target < 0 ||
        out.target >= static_cast<int64_t>(update_of.size()))
      continue;
    int64_t& slot = update_of[static_cast<size_t>(out.target)];
    slot = slot == -1 ? static_cast<int64_t>(k) : -2;  // two updates of one state: leave it alone
  }
  size_t removed = 0;
  for (size_t i = 0; i < model.inputs.size(); ++i) {
    if (model.inputs[i].kind != InputInfo::State || update_of[i] == -2) continue;
    Value* state = graph.inputs()[i];
    if (update_of[i] >= 0 && model.inputs[i].initial != nullptr &&
        model.outputs[static_cast<size_t>(update_of[i])].kind == OutputInfo::StateUpdate &&
        graph.output(static_cast<size_t>(update_of[i])) == state) {
      // It never changes: whoever reads it reads a constant.
      Node* first = graph.output_node();
      for (Node* node : graph.nodes()) {
        first = node;
        break;
      }
      Value* constant = graph.add_const(*model.inputs[i].initial, state->name(), first);
      constant->set_type(state->type_ptr());
      state->replace_all_uses_with(constant);
      dead_input[i] = dead_output[static_cast<size_t>(update_of[i])] = true;
      ++removed;
      continue;
    }
    if (update_of[i] < 0) {
      dead_input[i] = !state->has_uses();
    } else {
      const auto k = static_cast<size_t>(update_of[i]);
      dead_input[i] = model.outputs[k].kind == OutputInfo::StateUpdate &&
                      feeds_only_itself(*state, graph.output_node(), k);
      dead_output[k] = dead_input[i];
    }
    removed += dead_input[i];
  }
  if (removed == 0) return 0;

  std::vector<int64_t> new_index(model.inputs.size(), -1);
  int64_t next = 0;
  for (size_t i = 0; i < model.inputs.size(); ++i)
    if (!dead_input[i]) new_index[i] = next++;
  std::vector<Value*> values;
  std::vector<OutputInfo> outputs;
  for (size_t k = 0; k < model.outputs.size(); ++k) {
    if (dead_output[k]) continue;
    OutputInfo info = model.outputs[k];
    if (info.target >= 0) info.target = new_index[static_cast<size_t>(info.target)];
    outputs.push_back(info);
    values.push_back(graph.output(k));
  }
  graph.set_outputs(values);
  model.outputs = std::move(outputs);
  // The updates are dead now; erase them from their ends, so that the inputs lose their uses.
  std::vector<Node*> nodes;
  for (Node* node : graph.nodes()) nodes.push_back(node);
  for (size_t i = nodes.size(); i-- > 0;)
    if (is_computable(*nodes[i]) && !nodes[i]->has_uses()) nodes[i]->erase();
  for (size_t i = model.inputs.size(); i-- > 0;) {
    if (!dead_input[i]) continue;
    graph.erase_input(i);
    model.inputs.erase(model.inputs.begin() + static_cast<ptrdiff_t>(i));
  }
  return removed;
}

}  // namespace zp::cleanup
