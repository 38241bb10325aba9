#include "formats/pt2/inline.h"

#include <fmt/format.h>

#include <map>
#include <unordered_map>

#include "formats/pt2/autocast.h"
#include "formats/pt2/schema.h"

namespace zp::pt2 {
namespace {

constexpr std::string_view kGrad = "torch.ops.higher_order.wrap_with_set_grad_enabled";
constexpr std::string_view kAutocast = "torch.ops.higher_order.wrap_with_autocast";
constexpr std::string_view kInvoke = "torch.ops.higher_order.invoke_subgraph";
constexpr std::string_view kStrict = "torch.ops.higher_order.strict_mode";

struct Wrapper {
  int body = -1;                    // position of the body among the arguments; -1: nothing to inline
  size_t operands = 0;              // position of the first operand
  DType autocast = DType::Unknown;  // the element type that autocast casts to, where it is on
};

Wrapper wrapper_of(const NodeData& node) {
  Wrapper w;
  if (node.target == kGrad) {
    w = {1, 2};
  } else if (node.target == kAutocast) {
    // device, dtype, enabled, cache, body
    w = {4, 5};
    if (node.inputs.size() < 5 || node.inputs[2].arg.tag != ArgTag::Bool) return {};
    if (node.inputs[2].arg.b) {
      const Arg &device = node.inputs[0].arg, &dtype = node.inputs[1].arg;
      if (device.tag != ArgTag::String || device.text != "cpu") return {};
      w.autocast = dtype.tag == ArgTag::ScalarType ? dtype_of_serialized(dtype.i) : DType::BF16;
      if (w.autocast != DType::BF16 && w.autocast != DType::F16) return {};
    }
  } else if (node.target == kInvoke) {
    w = {0, 2};  // body, a name, operands
  } else if (node.target == kStrict) {
    w = {0, 1};
  } else {
    return {};
  }
  const auto at = static_cast<size_t>(w.body);
  if (node.inputs.size() <= at || node.inputs[at].arg.tag != ArgTag::Graph ||
      node.inputs[at].arg.graph == nullptr)
    return {};
  if (w.autocast != DType::Unknown && !can_autocast(*node.inputs[at].arg.graph)) return {};
  return w;
}

class Inliner {
 public:
  Inliner(GraphData& outer, const GraphData& inner, Arena& arena, DType autocast)
      : outer_(outer), inner_(inner), arena_(arena), autocast_(autocast) {}

  // False if the body does not fit its call; nothing is changed then.
  bool splice(const NodeData& call, size_t first_operand, std::vector<NodeData>& out) {
    std::vector<Arg> operands;
    for (size_t i = first_operand; i < call.inputs.size(); ++i) {
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
      const DType wanted =
          autocast_ == DType::Unknown ? DType::Unknown : autocast_type(node, inner_, autocast_);
      for (const NamedArg& named : node.inputs)
        inputs.push_back(
            {named.name, wanted == DType::Unknown ? moved(named.arg) : cast(named.arg, wanted, out)});
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

  // The argument with every float tensor in it cast: what autocast does in front of an operator.
  Arg cast(const Arg& arg, DType dtype, std::vector<NodeData>& out) {
    if (arg.tag == ArgTag::Tensor) {
      if (!autocasts(inner_.values[arg.value], dtype)) return moved(arg);
      auto [at, added] = casts_.try_emplace({arg.value, dtype});
      if (added) at->second = cast_node(moved(arg), inner_.values[arg.value], dtype, out);
      return at->second;
    }
    if (arg.items.empty()) return moved(arg);
    std::vector<Arg> items;
    for (const Arg& item : arg.items) items.push_back(cast(item, dtype, out));
    Arg list = arg;
    list.items = arena_.copy(items);
    return list;
  }

  Arg cast_node(const Arg& from, const ValueData& said, DType dtype, std::vector<NodeData>& out) {
    ValueData value = said;
    value.name =
        arena_.copy_text(fmt::format("{}_{}_{}", said.name, dtype_name(dtype), outer_.values.size()));
    value.dtype = dtype;
    value.dtype_number = serialized_dtype(dtype);
    value.meta = {};
    Arg to = from;
    to.value = static_cast<uint32_t>(outer_.values.size());
    to.text = value.name;
    outer_.names.emplace(value.name, to.value);
    outer_.values.push_back(value);
    Arg type;
    type.tag = ArgTag::ScalarType;
    type.i = serialized_dtype(dtype);
    NodeData node;
    node.target = "torch.ops.aten._to_copy.default";
    node.name = value.name;
    const std::vector<NamedArg> inputs = {{"self", from}, {"dtype", type}};
    node.inputs = arena_.copy(inputs);
    node.outputs = arena_.copy(std::span<const Arg>(&to, 1));
    node.raw_inputs = "[]";
    node.raw_outputs = "[]";
    node.raw_metadata = "{}";
    out.push_back(node);
    return to;
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
  DType autocast_;
  std::unordered_map<uint32_t, Arg> actual_;  // inner name -> what it is outside
  std::map<std::pair<uint32_t, DType>, Arg> casts_;
};

void inline_graph(GraphData& graph, Arena& arena) {
  bool any = false;
  for (const NodeData& node : graph.nodes) any = any || wrapper_of(node).body >= 0;
  if (!any) return;
  std::vector<NodeData> nodes;
  nodes.reserve(graph.nodes.size());
  for (const NodeData& node : graph.nodes) {
    const Wrapper wrapper = wrapper_of(node);
    // Bodies are inlined innermost first: the reader made them in that order.
    if (wrapper.body < 0 ||
        !Inliner(graph, *node.inputs[static_cast<size_t>(wrapper.body)].arg.graph, arena, wrapper.autocast)
             .splice(node, wrapper.operands, nodes)) {
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
