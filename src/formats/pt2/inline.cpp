#include "formats/pt2/inline.h"

#include <fmt/format.h>

#include <unordered_map>

namespace zp::pt2 {
namespace {

constexpr std::string_view kGrad = "torch.ops.higher_order.wrap_with_set_grad_enabled";
constexpr std::string_view kAutocast = "torch.ops.higher_order.wrap_with_autocast";

// Position of the body among the arguments; -1 if the node is no wrapper that means nothing.
int body_argument(const NodeData& node) {
  size_t at = 0;
  if (node.target == kGrad) {
    at = 1;
  } else if (node.target == kAutocast) {
    // device, dtype, enabled, cache, body: casts are inserted only while it is enabled.
    if (node.inputs.size() < 5 || node.inputs[2].arg.tag != ArgTag::Bool || node.inputs[2].arg.b) return -1;
    at = 4;
  } else {
    return -1;
  }
  if (node.inputs.size() <= at || node.inputs[at].arg.tag != ArgTag::Graph ||
      node.inputs[at].arg.graph == nullptr)
    return -1;
  return static_cast<int>(at);
}

class Inliner {
 public:
  Inliner(GraphData& outer, const GraphData& inner, Arena& arena)
      : outer_(outer), inner_(inner), arena_(arena) {}

  // False if the body does not fit its call; nothing is changed then.
  bool splice(const NodeData& call, size_t body, std::vector<NodeData>& out) {
    std::vector<Arg> operands;
    for (size_t i = body + 1; i < call.inputs.size(); ++i) {
      const Arg& a = call.inputs[i].arg;
      if (a.tag == ArgTag::Tensors) operands.insert(operands.end(), a.items.begin(), a.items.end());
      else operands.push_back(a);
    }
    std::vector<Arg> results;
    for (const Arg& a : call.outputs) {
      if (a.tag == ArgTag::Tensors) results.insert(results.end(), a.items.begin(), a.items.end());
      else results.push_back(a);
    }
    if (operands.size() != inner_.inputs.size() || results.size() != inner_.outputs.size()) return false;
    for (size_t i = 0; i < operands.size(); ++i) {
      const Arg& formal = inner_.inputs[i];
      if (formal.tag == ArgTag::Tensor || formal.tag == ArgTag::SymInt || formal.tag == ArgTag::SymFloat ||
          formal.tag == ArgTag::SymBool) {
        actual_.emplace(formal.value, operands[i]);
      }
    }
    // A result that the body computes is known under its outer name at once; one that only passes through
    // gets a node.
    std::vector<NodeData> passed;
    for (size_t k = 0; k < results.size(); ++k) {
      const Arg& from = inner_.outputs[k];
      if (results[k].tag != ArgTag::Tensor && results[k].tag != ArgTag::SymInt) continue;
      if (from.tag == ArgTag::Tensor && !actual_.contains(from.value))
        actual_.emplace(from.value, results[k]);
      else passed.push_back(alias_node(call, from, results[k]));
    }
    for (const NodeData& node : inner_.nodes) {
      NodeData copy = node;
      std::vector<NamedArg> inputs;
      for (const NamedArg& named : node.inputs) inputs.push_back({named.name, moved(named.arg)});
      std::vector<Arg> outputs;
      for (const Arg& a : node.outputs) outputs.push_back(moved(a));
      copy.inputs = arena_.copy(inputs);
      copy.outputs = arena_.copy(outputs);
      if (copy.module.empty()) copy.module = call.module;
      out.push_back(copy);
    }
    for (NodeData& node : passed) {
      std::vector<NamedArg> inputs = {{"self", moved(node.inputs[0].arg)}};
      node.inputs = arena_.copy(inputs);
      out.push_back(node);
    }
    return true;
  }

 private:
  NodeData alias_node(const NodeData& call, const Arg& from, const Arg& to) {
    NodeData node;
    node.target = "torch.ops.aten.alias.default";
    node.name = to.text;
    node.module = call.module;
    const NamedArg input{"self", from};
    node.inputs = arena_.copy(std::span(&input, 1));
    node.outputs = arena_.copy(std::span(&to, 1));
    node.raw_inputs = "[]";
    node.raw_outputs = "[]";
    node.raw_metadata = "{}";
    return node;
  }

  // The argument with its names resolved in the outer graph. `text` stays what the file calls it.
  Arg moved(const Arg& arg) {
    switch (arg.tag) {
      case ArgTag::Tensor:
      case ArgTag::SymInt:
      case ArgTag::SymFloat:
      case ArgTag::SymBool:
      case ArgTag::CustomObject: {
        if (auto found = actual_.find(arg.value); found != actual_.end()) {
          Arg actual = found->second;
          if (actual.tag == arg.tag) actual.text = arg.text;
          return actual;
        }
        Arg local = arg;
        local.value = add_value(arg.value);
        actual_.emplace(arg.value, local);
        return local;
      }
      default: break;
    }
    if (arg.items.empty()) return arg;
    std::vector<Arg> items;
    for (const Arg& item : arg.items) items.push_back(moved(item));
    Arg list = arg;
    list.items = arena_.copy(items);
    return list;
  }

  uint32_t add_value(uint32_t index) {
    ValueData value = inner_.values[index];
    if (outer_.names.contains(value.name))
      value.name = arena_.copy_text(fmt::format("{}.{}", value.name, outer_.values.size()));
    const auto at = static_cast<uint32_t>(outer_.values.size());
    outer_.names.emplace(value.name, at);
    outer_.values.push_back(value);
    return at;
  }

  GraphData& outer_;
  const GraphData& inner_;
  Arena& arena_;
  std::unordered_map<uint32_t, Arg> actual_;  // inner name -> what it is outside
};

void inline_graph(GraphData& graph, Arena& arena) {
  bool any = false;
  for (const NodeData& node : graph.nodes) any = any || body_argument(node) >= 0;
  if (!any) return;
  std::vector<NodeData> nodes;
  nodes.reserve(graph.nodes.size());
  for (const NodeData& node : graph.nodes) {
    const int body = body_argument(node);
    // Bodies are inlined innermost first: the reader made them in that order.
    if (body < 0 || !Inliner(graph, *node.inputs[static_cast<size_t>(body)].arg.graph, arena)
                         .splice(node, static_cast<size_t>(body), nodes)) {
      nodes.push_back(node);
    }
  }
  graph.nodes = std::move(nodes);
}

}  // namespace

void inline_wrappers(ProgramData& program, Arena& arena) {
  // A graph inside of another stands behind it in the list.
  for (size_t i = program.inner_graphs.size(); i-- > 0;) inline_graph(*program.inner_graphs[i], arena);
  inline_graph(program.graph, arena);
}

}  // namespace zp::pt2
