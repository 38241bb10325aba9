#include "formats/pt2/alias.h"

#include <algorithm>

#include "formats/pt2/schema.h"

namespace zp::pt2 {
namespace {

constexpr uint32_t kMaxChain = 64;  // views of views

const Arg* first_tensor(const NodeData& node) {
  for (const NamedArg& named : node.inputs)
    if (named.arg.tag == ArgTag::Tensor) return &named.arg;
  return nullptr;
}

const Arg* find_argument(const NodeData& node, const Overload& row, std::string_view name) {
  for (const NamedArg& named : node.inputs)
    if (named.name == name) return &named.arg;
  // Dialects without schemas give no names: by position.
  for (size_t i = 0; i < row.args.size() && i < node.inputs.size(); ++i)
    if (row.args[i].name == name && node.inputs[i].name.empty()) return &node.inputs[i].arg;
  return nullptr;
}

bool dense(const GraphData& graph, uint32_t name) {
  auto meta = read_dense_meta(graph.values[name].meta);
  if (!meta.ok() || meta->sizes.size() != meta->strides.size()) return false;
  int64_t expected = 1;
  for (size_t d = meta->sizes.size(); d-- > 0;) {
    if (meta->sizes[d] != 1 && meta->strides[d] != expected) return false;
    expected *= std::max<int64_t>(meta->sizes[d], 1);
  }
  return true;
}

// How a node that the schema calls a view is undone; nothing if its result is a tensor of its own.
bool view_kind(const GraphData& graph, const NodeData& node, const Overload& row, uint32_t self, ViewKind* kind) {
  const std::string_view base = base_name(row.target);
  if (row.op == "permute") *kind = ViewKind::Permute;
  else if (row.op == "slice") *kind = ViewKind::Slice;
  else if (row.op == "select") *kind = ViewKind::Select;
  else if (row.op == "split") *kind = ViewKind::Split;
  else if (row.op == "unbind") *kind = ViewKind::Unbind;
  else if (row.op == "squeeze" || row.op == "unsqueeze") *kind = ViewKind::Reshape;
  else if (row.op == "reshape") {
    const bool always = base == "view" || base == "view_as" || base == "unflatten";
    *kind = always || dense(graph, self) ? ViewKind::Reshape : ViewKind::Maybe;
  } else if (row.op == "cast") {
    const Arg* copy = find_argument(node, row, "copy");
    if (copy != nullptr && copy->b) return false;
    if (node.outputs.empty() || node.outputs[0].tag != ArgTag::Tensor) return false;
    const DType from = graph.values[self].dtype, to = graph.values[node.outputs[0].value].dtype;
    if (from != to) return false;
    *kind = ViewKind::Same;
  } else if (row.op == "identity") {
    *kind = base != "contiguous" || dense(graph, self) ? ViewKind::Same : ViewKind::Maybe;
  } else {
    *kind = ViewKind::Opaque;
  }
  return true;
}

// In-place forms that change only how a tensor is seen: too rare to follow.
bool changes_only_view(std::string_view op) {
  return op == "squeeze" || op == "unsqueeze" || op == "permute" || op == "reshape" || op == "as_strided" || op == "expand";
}

}  // namespace

bool AliasAnalysis::mutation_of(const NodeData& node, Mutation* out) {
  const Overload* row = find_overload(node.target);
  auto add = [&](const Arg& arg) {
    for_each_name(arg, [&](const Arg& leaf) {
      if (leaf.tag == ArgTag::Tensor) out->written.push_back(leaf.value);
    });
  };
  if (row != nullptr) {
    for (const ArgSpec& spec : row->args) {
      if (!spec.mutated) continue;
      if (const Arg* arg = find_argument(node, *row, spec.name)) add(*arg);
      out->ignored = row->hook == "fused_fake_quantize";
    }
    return !out->written.empty();
  }
  if (const Overload* functional = find_functional_overload(node.target)) {
    if (functional->op == "identity" && base_name(functional->target) == "detach") return false;
    if (!changes_only_view(functional->op)) out->row = functional;
    if (const Arg* self = first_tensor(node)) add(*self);
    return !out->written.empty();
  }
  const std::string_view base = base_name(node.target);
  if (base.ends_with("_") && !base.ends_with("__")) {
    if (const Arg* self = first_tensor(node)) add(*self);
  } else if (node.outputs.empty()) {
    for (const NamedArg& named : node.inputs) add(named.arg);
  }
  return !out->written.empty();
}

AliasAnalysis::AliasAnalysis(const GraphData& graph) {
  for (const NodeData& node : graph.nodes) {
    Mutation mutation;
    if (mutation_of(node, &mutation) && !mutation.ignored) any_ = true;
    if (any_) break;
  }
  records_.resize(graph.values.size());
  if (!any_) return;
  mutated_.resize(graph.values.size());
  poisoned_.resize(graph.values.size());
  doubtful_.resize(graph.values.size());
  for (const NodeData& node : graph.nodes) visit(graph, node);
  for (size_t i = 0; i < poisoned_.size(); ++i)
    if (mutated_[i] && doubtful_[i]) poisoned_[i] = true;
}

void AliasAnalysis::add_view(const GraphData& graph, uint32_t result, uint32_t of, ViewKind kind) {
  if (result >= records_.size() || of >= records_.size() || graph.values[result].kind != ValueData::Tensor) return;
  // Other names of the same view are views of its parent: chains stay short, and beyond a bound they are given up.
  const AliasRecord& source = records_[of];
  if (kind == ViewKind::Same && source.parent != AliasRecord::kNone) {
    records_[result] = source;
    return;
  }
  records_[result] = {base(of), of, source.depth + 1, source.depth >= kMaxChain ? ViewKind::Opaque : kind};
  if (kind == ViewKind::Maybe) doubtful_[base(of)] = true;
}

void AliasAnalysis::visit(const GraphData& graph, const NodeData& node) {
  Mutation mutation;
  const bool writes = mutation_of(node, &mutation) && !mutation.ignored;
  if (writes) {
    for (uint32_t written : mutation.written) {
      mutated_[base(written)] = true;
      if (mutation.row == nullptr) poisoned_[base(written)] = true;
      for (uint32_t at = written; records_[at].parent != AliasRecord::kNone && !poisoned_[base(at)]; at = records_[at].parent) {
        if (records_[at].kind == ViewKind::Opaque) poisoned_[base(at)] = true;
      }
    }
    if (!node.outputs.empty() && node.outputs[0].tag == ArgTag::Tensor) {
      add_view(graph, node.outputs[0].value, mutation.written[0], mutation.row == nullptr ? ViewKind::Opaque : ViewKind::Same);
    }
    return;
  }
  const Overload* row = find_overload(node.target);
  if (row == nullptr) row = find_functional_overload(node.target);  // detach_
  if (row == nullptr) return;
  const std::string_view base_op = base_name(row->target);
  const bool returns_self = row->op == "identity" && base_op.ends_with("dropout");
  for (const ArgSpec& spec : row->args) {
    if ((!spec.aliased && !returns_self && row->op != "cast") || spec.kind != ArgKind::Tensor) continue;
    const Arg* self = find_argument(node, *row, spec.name);
    if (self == nullptr || self->tag != ArgTag::Tensor) continue;
    ViewKind kind = ViewKind::Same;
    if (!view_kind(graph, node, *row, self->value, &kind)) return;
    for (const Arg& out : node.outputs) {
      for_each_name(out, [&](const Arg& leaf) {
        if (leaf.tag == ArgTag::Tensor) add_view(graph, leaf.value, self->value, kind);
      });
    }
    return;
  }
}

bool AliasAnalysis::touches_poisoned(const NodeData& node) const {
  if (!any_) return false;
  bool touches = false;
  auto look = [&](const Arg& leaf) { touches = touches || poisoned_[base(leaf.value)]; };
  for (const NamedArg& named : node.inputs) for_each_name(named.arg, look);
  for (const Arg& out : node.outputs) for_each_name(out, look);
  return touches;
}

}  // namespace zp::pt2
