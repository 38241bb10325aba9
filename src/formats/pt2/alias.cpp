#include "formats/pt2/alias.h"

#include <algorithm>
#include <optional>
#include <span>

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

bool dense(const DenseMeta& meta) {
  int64_t expected = 1;
  for (size_t d = meta.sizes.size(); d-- > 0;) {
    if (meta.sizes[d] != 1 && meta.strides[d] != expected) return false;
    if (__builtin_mul_overflow(expected, std::max<int64_t>(meta.sizes[d], 1), &expected)) return false;
  }
  return true;
}

// Whether reshape gives a view: each run of dims that lie evenly in memory must be filled by new dims
// exactly.
bool viewable(const DenseMeta& from, std::span<const int64_t> to) {
  const auto rank = static_cast<int64_t>(from.sizes.size());
  for (int64_t s : from.sizes)
    if (s == 0) return true;
  if (rank == 0) return true;
  auto left = static_cast<int64_t>(to.size()) - 1;
  int64_t base = from.strides.back(), run = 1, filled = 1;
  for (int64_t d = rank - 1; d >= 0; --d) {
    const auto at = static_cast<size_t>(d);
    int64_t next = 0;
    if (__builtin_mul_overflow(run, from.sizes[at], &run) || __builtin_mul_overflow(run, base, &next))
      return false;
    if (d != 0 && (from.sizes[at - 1] == 1 || from.strides[at - 1] == next)) continue;
    for (; left >= 0 && (filled < run || to[static_cast<size_t>(left)] == 1); --left) {
      if (__builtin_mul_overflow(filled, to[static_cast<size_t>(left)], &filled)) return false;
    }
    if (filled != run) return false;
    if (d > 0) base = from.strides[at - 1];
    run = filled = 1;
  }
  return left < 0;
}

// Sizes and strides of a name; nothing if they are symbolic.
std::optional<DenseMeta> layout_of(const GraphData& graph, uint32_t name) {
  auto meta = read_dense_meta(graph.values[name].meta);
  if (!meta.ok() || meta->sizes.size() != meta->strides.size()) return std::nullopt;
  return std::move(*meta);
}

// How a node that the schema calls a view is undone; nothing if its result is a tensor of its own.
bool view_kind(const GraphData& graph, const NodeData& node, const Overload& row, uint32_t self,
               ViewKind* kind) {
  const std::string_view base = base_name(row.target);
  if (row.op == "permute") *kind = ViewKind::Permute;
  else if (row.op == "slice") *kind = ViewKind::Slice;
  else if (row.op == "select") *kind = ViewKind::Select;
  else if (row.op == "split") *kind = ViewKind::Split;
  else if (row.op == "unbind") *kind = ViewKind::Unbind;
  else if (row.op == "squeeze" || row.op == "unsqueeze") *kind = ViewKind::Reshape;
  else if (row.op == "reshape") {
    *kind = ViewKind::Reshape;
    if (base == "view" || base == "view_as" || base == "unflatten") return true;
    const auto from = layout_of(graph, self);
    const auto to = node.outputs.empty() || node.outputs[0].tag != ArgTag::Tensor
                        ? std::nullopt
                        : layout_of(graph, node.outputs[0].value);
    if (from && to) return viewable(*from, to->sizes);
    *kind = ViewKind::Maybe;
  } else if (row.op == "cast") {
    const Arg* copy = find_argument(node, row, "copy");
    if (copy != nullptr && copy->b) return false;
    if (node.outputs.empty() || node.outputs[0].tag != ArgTag::Tensor) return false;
    const DType from = graph.values[self].dtype, to = graph.values[node.outputs[0].value].dtype;
    if (from != to) return false;
    *kind = ViewKind::Same;
  } else if (row.op == "identity") {
    *kind = ViewKind::Same;
    if (base != "contiguous") return true;
    const auto from = layout_of(graph, self);
    if (from && find_argument(node, row, "memory_format") == nullptr) return dense(*from);
    *kind = ViewKind::Maybe;
  } else {
    *kind = ViewKind::Opaque;
  }
  return true;
}

// In-place forms that change only how a tensor is seen: too rare to follow.
bool changes_only_view(std::string_view op) {
  return op == "squeeze" || op == "unsqueeze" || op == "permute" || op == "reshape" || op == "as_strided" ||
         op == "expand";
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
}

void AliasAnalysis::add_view(const GraphData& graph, uint32_t result, uint32_t of, ViewKind kind) {
  if (result >= records_.size() || of >= records_.size() || graph.values[result].kind != ValueData::Tensor)
    return;
  // Other names of the same view are views of its parent: chains stay short, and beyond a bound they are
  // given up.
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
      // What may be a view sees the writes that come after it; those before it are in it either way.
      if (mutation.row == nullptr || doubtful_[base(written)]) poisoned_[base(written)] = true;
      for (uint32_t at = written; records_[at].parent != AliasRecord::kNone && !poisoned_[base(at)];
           at = records_[at].parent) {
        if (records_[at].kind == ViewKind::Opaque) poisoned_[base(at)] = true;
      }
    }
    if (!node.outputs.empty() && node.outputs[0].tag == ArgTag::Tensor) {
      add_view(graph, node.outputs[0].value, mutation.written[0],
               mutation.row == nullptr ? ViewKind::Opaque : ViewKind::Same);
    }
    return;
  }
  const Overload* row = find_overload(node.target);
  if (row == nullptr) row = find_functional_overload(node.target);  // detach_
  if (row == nullptr) return;
  const std::string_view base_op = base_name(row->target);
  if (row->op == "meshgrid" && !node.inputs.empty() && node.inputs[0].arg.tag == ArgTag::Tensors) {
    // Views of the operands, although the schema does not say so.
    std::vector<uint32_t> results;
    for (const Arg& out : node.outputs)
      for_each_name(out, [&](const Arg& leaf) { results.push_back(leaf.value); });
    const List<Arg> operands = node.inputs[0].arg.items;
    for (size_t k = 0; k < results.size() && k < operands.size(); ++k)
      add_view(graph, results[k], operands[k].value, ViewKind::Maybe);
    return;
  }
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
