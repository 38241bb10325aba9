// The operators that make one tensor of several: cat, stack; and meshgrid, which stretches several over a
// common grid. Quantized operands need not agree in their parameters: per tensor ones become one list along
// the joined dim.
#include "ops/join.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/ops.h"
#include "ops/rearrange_util.h"

namespace zp::ops {

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

constexpr OperandDef kTensors[] = {{"tensors", Role::Data, false, true}};

bool may_agree(Dim a, Dim b) { return a == b || !a.is_known() || !b.is_known(); }

Status check_present(const Node& node) {
  if (node.operand_count() == 0) return failed(node, "operands", "no operands");
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (node.operand(i) == nullptr) return failed(node, "operands", fmt::format("operand {} is missing", i));
  }
  return {};
}

// ---------------------------------------------------------------- cat

constexpr std::string_view kCatChecks[] = {
    "c1: operands have one rank (one-dimensional ones without elements are left out)",
    "c2: dim is a dim of the operands", "c3: all other dims are equal"};

bool left_out(std::span<const Dim> shape) { return shape.size() == 1 && shape[0] == Dim(int64_t{0}); }

Status infer_cat(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  ZP_CHECK(check_present(node));
  ZP_CHECK(check_same_elements(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  CatAttrs& attrs = attrs_of_node<CatAttrs>(node);
  size_t first = 0;
  while (first < node.operand_count() && left_out(node.operand(first)->type().shape)) ++first;
  if (first == node.operand_count()) return set_moved_result(node, 0, std::vector<Dim>{int64_t{0}});
  std::vector<Dim> shape = node.operand(first)->type().shape.vec();
  if (shape.empty()) return failed(node, "c1", fmt::format("operand {} has no dims", first));
  ZP_TRY(attrs.dim, normalize_dim(node, "c2", attrs.dim, static_cast<int64_t>(shape.size())));
  for (size_t i = first + 1; i < node.operand_count(); ++i) {
    const Shape& other = node.operand(i)->type().shape;
    if (left_out(other)) continue;
    if (other.size() != shape.size()) {
      return failed(node, "c1",
                    fmt::format("operand {} has rank {}, operand {} has rank {}", i, other.size(), first,
                                shape.size()));
    }
    for (size_t d = 0; d < shape.size(); ++d) {
      if (d == at(attrs.dim)) {
        shape[d] = context.dims().add(shape[d], other[d]);
      } else if (!may_agree(shape[d], other[d])) {
        return failed(node, "c3",
                      fmt::format("dim {} of operand {} is {}, of the others {}", d, i, other[d].str(),
                                  shape[d].str()));
      } else if (!shape[d].is_known() && !other[d].is_unknown()) {
        shape[d] = other[d].is_known() || shape[d].is_unknown() ? other[d] : shape[d];
      }
    }
  }
  return set_moved_result(node, 0, shape);
}

Status map_cat(const Node& node, ShapeMap* map) {
  MapResult result;
  result.join_dim = node.attrs<CatAttrs>().dim;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    ZP_TRY(const IntShape in, map->env->shape(i));
    if (in != IntShape{0}) result.parts.push_back({i, {}});
  }
  if (result.parts.empty()) result.parts.push_back({0, {}});
  if (result.parts.size() == 1) result.join_dim = -1;
  map->results = {std::move(result)};
  return {};
}

// ---------------------------------------------------------------- stack

constexpr std::string_view kStackChecks[] = {"c1: all operands have one shape",
                                             "c2: dim is a dim of the result"};

Status infer_stack(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  ZP_CHECK(check_present(node));
  ZP_CHECK(check_same_elements(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  StackAttrs& attrs = attrs_of_node<StackAttrs>(node);
  std::vector<Dim> shape = node.operand(0)->type().shape.vec();
  ZP_TRY(attrs.dim, normalize_dim(node, "c2", attrs.dim, static_cast<int64_t>(shape.size()) + 1));
  for (size_t i = 1; i < node.operand_count(); ++i) {
    const Shape& other = node.operand(i)->type().shape;
    bool same = other.size() == shape.size();
    for (size_t d = 0; same && d < shape.size(); ++d) {
      same = may_agree(shape[d], other[d]);
      if (!shape[d].is_known() && other[d].is_known()) shape[d] = other[d];
    }
    if (!same)
      return failed(node, "c1",
                    fmt::format("operand {} is {}, operand 0 {}", i, shape_text(other),
                                shape_text(node.operand(0)->type().shape)));
  }
  shape.insert(shape.begin() + attrs.dim, static_cast<int64_t>(node.operand_count()));
  return set_moved_result(node, 0, shape);
}

Status map_stack(const Node& node, ShapeMap* map) {
  const int64_t dim = node.attrs<StackAttrs>().dim;
  MapResult result;
  result.join_dim = node.operand_count() == 1 ? -1 : dim;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    ZP_TRY(IntShape in, map->env->shape(i));
    in.insert(in.begin() + dim, 1);
    result.parts.push_back({i, {MapStep::reshape(std::move(in))}});
  }
  map->results = {std::move(result)};
  return {};
}

// ---------------------------------------------------------------- meshgrid

constexpr std::string_view kMeshgridChecks[] = {"c1: operands have at most one dim",
                                                "c2: indexing is ij or xy", "c3: one result an operand"};

// Dim of the result that operand k runs along.
size_t grid_dim(const Node& node, size_t k) {
  const bool swapped = node.attrs<MeshgridAttrs>().indexing == "xy" && node.operand_count() > 1;
  return swapped && k < 2 ? 1 - k : k;
}

Status infer_meshgrid(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  ZP_CHECK(check_present(node));
  const MeshgridAttrs& attrs = node.attrs<MeshgridAttrs>();
  if (attrs.indexing != "ij" && attrs.indexing != "xy")
    return failed(node, "c2", fmt::format("indexing is '{}'", attrs.indexing));
  if (node.result_count() != node.operand_count()) {
    return failed(node, "c3",
                  fmt::format("{} results, {} operands", node.result_count(), node.operand_count()));
  }
  if (any_unranked(node)) return set_moved_unranked(node);
  std::vector<Dim> shape(node.operand_count());
  for (size_t k = 0; k < node.operand_count(); ++k) {
    const Type& in = node.operand(k)->type();
    if (in.rank() > 1) return failed(node, "c1", fmt::format("operand {} has rank {}", k, in.rank()));
    if (in.is_quantized()) return failed(node, "elements", fmt::format("operand {} is quantized", k));
    shape[grid_dim(node, k)] = in.rank() == 0 ? Dim(1) : in.shape[0];
  }
  for (size_t k = 0; k < node.operand_count(); ++k) {
    node.result(k)->set_type(context.tensor(node.operand(k)->type().dtype, shape));
  }
  return {};
}

Status map_meshgrid(const Node& node, ShapeMap* map) {
  IntShape shape(node.operand_count());
  for (size_t k = 0; k < shape.size(); ++k) {
    ZP_TRY(const IntShape in, map->env->shape(k));
    shape[grid_dim(node, k)] = in.empty() ? 1 : in[0];
  }
  for (size_t k = 0; k < shape.size(); ++k) {
    IntShape line(shape.size(), 1);
    line[grid_dim(node, k)] = shape[grid_dim(node, k)];
    MapStep window;
    window.kind = MapStep::Window;
    window.shape = shape;
    window.start.assign(shape.size(), 0);
    window.step.assign(shape.size(), 0);
    window.step[grid_dim(node, k)] = 1;
    map->results.push_back({.parts = {{k, {MapStep::reshape(std::move(line)), std::move(window)}}}});
  }
  return {};
}

}  // namespace

constinit const OpDef cat = {.name = "cat",
                             .doc = "Joins tensors along a dim.",
                             .operands = kTensors,
                             .results = kOutResult,
                             .attrs = &attrs_of<CatAttrs>,
                             .trait = Trait::ShapeOnly,
                             .infer = infer_cat,
                             .eval = eval_moved,
                             .shape_map = map_cat,
                             .checks = kCatChecks};
constinit const OpDef stack = {.name = "stack",
                               .doc = "Joins tensors of one shape along a new dim.",
                               .operands = kTensors,
                               .results = kOutResult,
                               .attrs = &attrs_of<StackAttrs>,
                               .trait = Trait::ShapeOnly,
                               .infer = infer_stack,
                               .eval = eval_moved,
                               .shape_map = map_stack,
                               .checks = kStackChecks};
constinit const OpDef meshgrid = {.name = "meshgrid",
                                  .doc = "Each operand stretched over the grid of all.",
                                  .operands = kTensors,
                                  .results = kOutResult,
                                  .attrs = &attrs_of<MeshgridAttrs>,
                                  .trait = Trait::Never,
                                  .flags = kVariadicResults,
                                  .infer = infer_meshgrid,
                                  .eval = eval_moved,
                                  .shape_map = map_meshgrid,
                                  .checks = kMeshgridChecks};

}  // namespace zp::ops
