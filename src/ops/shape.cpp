// The operators that keep all elements: reshape, permute, squeeze, unsqueeze, expand, identity. They cost
// nothing at run time where the consumer reads strides, and nothing at all on constants once folded.
#include "ops/shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ops/ops.h"
#include "ops/rearrange_util.h"

namespace zp::ops {

namespace {

// ---------------------------------------------------------------- reshape

constexpr std::string_view kReshapeChecks[] = {"c1: at most one entry is -1, all others are >= 0",
                                               "c2: the element count stays",
                                               "c3: -1 needs the product of the other entries not to be 0"};

Status infer_reshape(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  ReshapeAttrs& attrs = attrs_of_node<ReshapeAttrs>(node);
  const Type& in = node.operand(0)->type();
  DimContext& dims = context.dims();
  std::vector<Dim> shape = attrs.shape.vec();
  int64_t open = -1;
  Dim rest = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i].is_known() && shape[i].value() == -1) {
      if (open >= 0) return failed(node, "c1", fmt::format("entries {} and {} are both -1", open, i));
      open = static_cast<int64_t>(i);
    } else if (shape[i].is_known() && shape[i].value() < 0) {
      return failed(node, "c1", fmt::format("entry {} is {}", i, shape[i].value()));
    } else {
      rest = dims.mul(rest, shape[i]);
    }
  }
  const Dim count = in.ranked ? product(dims, in.shape) : Dim::unknown();
  if (open >= 0) {
    if (rest.is_known() && rest.value() == 0) {
      return failed(
          node, "c3",
          fmt::format("shape {} with -1 and a 0: the missing entry is not determined", shape_text(shape)));
    }
    if (count.is_known() && rest.is_known() && count.value() % rest.value() != 0) {
      return failed(node, "c2", fmt::format("{} elements do not fill {}", count.value(), shape_text(shape)));
    }
    const Dim found = dims.floordiv(count, rest);
    const Dim filled =
        dims.mul(found, rest);  // 0 where the other entries are certainly larger than the count
    if (count.is_known() && filled.is_known() && filled.value() != count.value())
      return failed(node, "c2", fmt::format("{} elements do not fill {}", count.value(), shape_text(shape)));
    shape[static_cast<size_t>(open)] = found;
    if (found.is_known()) attrs.shape = context.arena().copy(shape);
  } else if (count.is_known() && rest.is_known() && count.value() != rest.value()) {
    return failed(node, "c2",
                  fmt::format("{} elements of {} become {} of {}", count.value(), shape_text(in.shape),
                              rest.value(), shape_text(shape)));
  }
  return set_moved_result(node, 0, shape);
}

Status map_reshape(const Node& node, ShapeMap* map) {
  ZP_TRY(const IntShape in, map->env->shape(0));
  ZP_TRY(IntShape shape, map->env->dims(node.attrs<ReshapeAttrs>().shape));
  int64_t count = 1, rest = 1;
  for (const int64_t d : in) count *= d;
  for (const int64_t d : shape) {
    if (__builtin_mul_overflow(rest, d == -1 ? 1 : d, &rest))
      return failed(node, "c2", "the product of the extents overflows");
  }
  for (int64_t& d : shape) {
    if (d == -1) {
      if (rest == 0) return failed(node, "c3", "shape with -1 and a 0: the missing entry is not determined");
      d = count / rest;
    }
  }
  int64_t now = 1;
  for (const int64_t d : shape) now *= d;
  if (now != count)
    return failed(node, "c2",
                  fmt::format("{} elements of {} do not fill {}", count, shape_text(in), shape_text(shape)));
  map->results = {{.parts = {{0, {MapStep::reshape(std::move(shape))}}}}};
  return {};
}

// ---------------------------------------------------------------- permute

constexpr std::string_view kPermuteChecks[] = {"c1: dims is a permutation of the input's dims"};

Status infer_permute(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  PermuteAttrs& attrs = attrs_of_node<PermuteAttrs>(node);
  const Type& in = node.operand(0)->type();
  if (attrs.dims.size() != in.shape.size()) {
    return failed(node, "c1", fmt::format("{} dims for a tensor of rank {}", attrs.dims.size(), in.rank()));
  }
  ZP_TRY(attrs.dims, normalize_dims(node, "c1", attrs.dims, in.rank()));
  std::vector<Dim> shape;
  for (const int64_t d : attrs.dims) shape.push_back(in.shape[static_cast<size_t>(d)]);
  return set_moved_result(node, 0, shape);
}

Status map_permute(const Node& node, ShapeMap* map) {
  map->results = {{.parts = {{0, {MapStep::permute(node.attrs<PermuteAttrs>().dims.vec())}}}}};
  return {};
}

// ---------------------------------------------------------------- squeeze, unsqueeze

constexpr std::string_view kSqueezeChecks[] = {"c1: dims are dims of the input, none twice"};

Status infer_squeeze(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  SqueezeAttrs& attrs = attrs_of_node<SqueezeAttrs>(node);
  const Type& in = node.operand(0)->type();
  std::vector<int64_t> dims;
  if (attrs.all) {
    for (int d = 0; d < in.rank(); ++d) dims.push_back(d);
  } else {
    ZP_TRY(const List<int64_t> named, normalize_dims(node, "c1", attrs.dims, in.rank()));
    dims = named.vec();
  }
  // A dim whose extent is an expression counts as longer than 1, as it does for the exporter that left it
  // open.
  std::erase_if(dims,
                [&](int64_t d) { return d >= in.rank() || !(in.shape[static_cast<size_t>(d)] == Dim(1)); });
  std::vector<Dim> shape;
  for (int d = 0; d < in.rank(); ++d)
    if (std::find(dims.begin(), dims.end(), d) == dims.end())
      shape.push_back(in.shape[static_cast<size_t>(d)]);
  if (attrs.all || !std::equal(dims.begin(), dims.end(), attrs.dims.begin(), attrs.dims.end()))
    attrs.dims = context.ints(dims);
  attrs.all = false;
  return set_moved_result(node, 0, shape);
}

Status map_squeeze(const Node& node, ShapeMap* map) {
  ZP_TRY(const IntShape in, map->env->shape(0));
  const SqueezeAttrs& attrs = node.attrs<SqueezeAttrs>();
  IntShape shape;
  for (size_t d = 0; d < in.size(); ++d) {
    const bool named = attrs.all || std::find(attrs.dims.begin(), attrs.dims.end(),
                                              static_cast<int64_t>(d)) != attrs.dims.end();
    if (!named || in[d] != 1) shape.push_back(in[d]);
  }
  map->results = {{.parts = {{0, {MapStep::reshape(std::move(shape))}}}}};
  return {};
}

constexpr std::string_view kUnsqueezeChecks[] = {"c1: dim is a dim of the result"};

Status infer_unsqueeze(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  UnsqueezeAttrs& attrs = attrs_of_node<UnsqueezeAttrs>(node);
  const Type& in = node.operand(0)->type();
  ZP_TRY(attrs.dim, normalize_dim(node, "c1", attrs.dim, in.rank() + 1));
  std::vector<Dim> shape = in.shape.vec();
  shape.insert(shape.begin() + attrs.dim, Dim(1));
  return set_moved_result(node, 0, shape);
}

Status map_unsqueeze(const Node& node, ShapeMap* map) {
  ZP_TRY(IntShape shape, map->env->shape(0));
  shape.insert(shape.begin() + node.attrs<UnsqueezeAttrs>().dim, 1);
  map->results = {{.parts = {{0, {MapStep::reshape(std::move(shape))}}}}};
  return {};
}

// ---------------------------------------------------------------- expand

constexpr std::string_view kExpandChecks[] = {
    "c1: the shape has at least the input's rank, and -1 only where the input has a dim",
    "c2: a dim that grows has extent 1"};

Status infer_expand(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  ExpandAttrs& attrs = attrs_of_node<ExpandAttrs>(node);
  const Type& in = node.operand(0)->type();
  std::vector<Dim> shape = attrs.shape.vec();
  if (shape.size() < in.shape.size()) {
    return failed(node, "c1",
                  fmt::format("{} cannot be expanded to the {} dims of {}", shape_text(in.shape),
                              shape.size(), shape_text(attrs.shape)));
  }
  const size_t added = shape.size() - in.shape.size();
  bool changed = false;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d].is_known() && shape[d].value() < 0) {
      if (d < added || shape[d].value() != -1)
        return failed(node, "c1", fmt::format("entry {} is {}", d, shape[d].value()));
      shape[d] = in.shape[d - added];
      changed |= shape[d].is_known();
    } else if (d >= added) {
      const Dim from = in.shape[d - added];
      if (from.is_known() && from.value() != 1 && shape[d].is_known() && shape[d].value() != from.value()) {
        return failed(
            node, "c2",
            fmt::format("dim {} of extent {} cannot become {}", d - added, from.value(), shape[d].value()));
      }
    }
  }
  if (changed) {
    std::vector<Dim> kept = attrs.shape.vec();
    for (size_t d = 0; d < kept.size(); ++d)
      if (shape[d].is_known()) kept[d] = shape[d];
    attrs.shape = context.arena().copy(kept);
  }
  return set_moved_result(node, 0, shape);
}

Status map_expand(const Node& node, ShapeMap* map) {
  ZP_TRY(const IntShape in, map->env->shape(0));
  ZP_TRY(IntShape shape, map->env->dims(node.attrs<ExpandAttrs>().shape));
  if (shape.size() < in.size()) return failed(node, "c1", "the shape has fewer dims than the input");
  const size_t added = shape.size() - in.size();
  IntShape aligned(added, 1);
  aligned.insert(aligned.end(), in.begin(), in.end());
  MapStep window;
  window.kind = MapStep::Window;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == -1 && d >= added) shape[d] = aligned[d];
    if (shape[d] < 0 || (aligned[d] != 1 && aligned[d] != shape[d])) {
      return failed(node, "c2", fmt::format("dim {} of extent {} cannot become {}", d, aligned[d], shape[d]));
    }
    window.start.push_back(0);
    window.step.push_back(aligned[d] == shape[d] ? 1 : 0);
  }
  window.shape = std::move(shape);
  map->results = {{.parts = {{0, {MapStep::reshape(std::move(aligned)), std::move(window)}}}}};
  return {};
}

// ---------------------------------------------------------------- identity

Status infer_identity(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  return set_moved_result(node, 0, node.operand(0)->type().shape);
}

Status map_identity(const Node&, ShapeMap* map) {
  map->results = {{.parts = {{0, {}}}}};
  return {};
}

}  // namespace

constinit const OpDef reshape = {.name = "reshape",
                                 .doc = "The same elements in C order under another shape.",
                                 .operands = kSelfOperand,
                                 .results = kOutResult,
                                 .attrs = &attrs_of<ReshapeAttrs>,
                                 .trait = Trait::ShapeOnly,
                                 .infer = infer_reshape,
                                 .eval = eval_moved,
                                 .shape_map = map_reshape,
                                 .checks = kReshapeChecks};
constinit const OpDef permute = {
    .name = "permute",
    .doc = "Dims in another order: dim i of the result is dim dims[i] of the input.",
    .operands = kSelfOperand,
    .results = kOutResult,
    .attrs = &attrs_of<PermuteAttrs>,
    .trait = Trait::ShapeOnly,
    .infer = infer_permute,
    .eval = eval_moved,
    .shape_map = map_permute,
    .checks = kPermuteChecks};
constinit const OpDef squeeze = {.name = "squeeze",
                                 .doc = "Removes dims of extent 1.",
                                 .operands = kSelfOperand,
                                 .results = kOutResult,
                                 .attrs = &attrs_of<SqueezeAttrs>,
                                 .trait = Trait::ShapeOnly,
                                 .infer = infer_squeeze,
                                 .eval = eval_moved,
                                 .shape_map = map_squeeze,
                                 .checks = kSqueezeChecks};
constinit const OpDef unsqueeze = {.name = "unsqueeze",
                                   .doc = "Inserts a dim of extent 1.",
                                   .operands = kSelfOperand,
                                   .results = kOutResult,
                                   .attrs = &attrs_of<UnsqueezeAttrs>,
                                   .trait = Trait::ShapeOnly,
                                   .infer = infer_unsqueeze,
                                   .eval = eval_moved,
                                   .shape_map = map_unsqueeze,
                                   .checks = kUnsqueezeChecks};
constinit const OpDef expand = {.name = "expand",
                                .doc = "Repeats dims of extent 1, and may add leading dims.",
                                .operands = kSelfOperand,
                                .results = kOutResult,
                                .attrs = &attrs_of<ExpandAttrs>,
                                .trait = Trait::ShapeOnly,
                                .infer = infer_expand,
                                .eval = eval_moved,
                                .shape_map = map_expand,
                                .checks = kExpandChecks};
constinit const OpDef identity = {
    .name = "identity",
    .doc = "The input itself (clone, contiguous, alias, detach, dropout in evaluation).",
    .operands = kSelfOperand,
    .results = kOutResult,
    .trait = Trait::ShapeOnly,
    .infer = infer_identity,
    .eval = eval_moved,
    .shape_map = map_identity};

}  // namespace zp::ops
