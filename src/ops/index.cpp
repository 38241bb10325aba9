// Reading by tensors of indices: embedding, index_select, gather, index. With constant indices they are shape
// ops like any other; with indices that are not known the parameters can be carried as long as no scale
// depends on them.
#include "ops/index.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/index_util.h"
#include "ops/ops.h"
#include "ops/rearrange_util.h"

namespace zp::ops {

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

// ---------------------------------------------------------------- embedding, index_select

constexpr OperandDef kEmbeddingOperands[] = {{"weight", Role::Weight}, {"indices", Role::Index}};
constexpr std::string_view kEmbeddingChecks[] = {"c1: the table has two dims",
                                                 "c2: indices are integers inside the table"};

// A quantized table gives real numbers: each row has its own scale, so rows picked at run time have no common
// one.
Status infer_embedding(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type &weight = node.operand(0)->type(), &indices = node.operand(1)->type();
  if (!is_integer(indices.dtype)) return failed(node, "c2", fmt::format("indices are {}", indices.str()));
  if (any_unranked(node)) return set_unranked_result(node, 0, weight.real_dtype());
  if (weight.rank() != 2) return failed(node, "c1", fmt::format("the table is {}", weight.str()));
  std::vector<Dim> shape = indices.shape.vec();
  shape.push_back(weight.shape[1]);
  return set_result(node, 0, weight.real_dtype(), shape);
}

Status map_embedding(const Node&, ShapeMap* map) {
  ZP_TRY(const IntShape in, map->env->shape(0));
  ZP_TRY(IntShape out, map->env->shape(1));
  ZP_TRY(MapStep pick, pick_step(*map->env, 1, "c2", 0, in[0], false));
  out.push_back(in[1]);
  map->results = {{.parts = {{0, {std::move(pick), MapStep::reshape(std::move(out))}}}}};
  return {};
}

constexpr OperandDef kIndexSelectOperands[] = {{"self"}, {"index", Role::Index}};
constexpr std::string_view kIndexSelectChecks[] = {
    "c1: dim is a dim of the input", "c2: the index has at most one dim and lies inside the dim"};

Status infer_index_select(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type &in = node.operand(0)->type(), &index = node.operand(1)->type();
  if (!is_integer(index.dtype)) return failed(node, "c2", fmt::format("the index is {}", index.str()));
  if (any_unranked(node)) return set_moved_unranked(node);
  IndexSelectAttrs& attrs = attrs_of_node<IndexSelectAttrs>(node);
  if (index.rank() > 1) return failed(node, "c2", fmt::format("the index is {}", index.str()));
  ZP_TRY(attrs.dim, normalize_dim(node, "c1", attrs.dim, in.rank()));
  std::vector<Dim> shape = in.shape.vec();
  if (!shape.empty()) shape[at(attrs.dim)] = index.rank() == 0 ? Dim(1) : index.shape[0];
  return set_moved_result(node, 0, shape);
}

Status map_index_select(const Node& node, ShapeMap* map) {
  const int64_t dim = node.attrs<IndexSelectAttrs>().dim;
  ZP_TRY(const IntShape in, map->env->shape(0));
  if (in.empty()) {
    map->results = {{.parts = {{0, {}}}}};
    return {};
  }
  ZP_TRY(MapStep pick, pick_step(*map->env, 1, "c2", dim, in[at(dim)], false));
  map->results = {{.parts = {{0, {std::move(pick)}}}}};
  return {};
}

// ---------------------------------------------------------------- gather

constexpr OperandDef kGatherOperands[] = {{"self"}, {"index", Role::Index}};
constexpr std::string_view kGatherChecks[] = {
    "c1: dim is a dim of the input", "c2: the index has the input's rank, and no longer dim but `dim`",
    "c3: indices lie inside the dim"};

Status infer_gather(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type &in = node.operand(0)->type(), &index = node.operand(1)->type();
  if (!is_integer(index.dtype)) return failed(node, "c3", fmt::format("the index is {}", index.str()));
  if (any_unranked(node)) return set_moved_unranked(node);
  GatherAttrs& attrs = attrs_of_node<GatherAttrs>(node);
  ZP_TRY(attrs.dim, normalize_dim(node, "c1", attrs.dim, in.rank()));
  const bool empty = index.elements() == 0;
  if (std::max(index.rank(), 1) != std::max(in.rank(), 1) && !empty)
    return failed(node, "c2", fmt::format("the index is {}, the input {}", index.str(), in.str()));
  for (int d = 0; d < std::min(index.rank(), in.rank()) && !empty; ++d) {
    if (d != attrs.dim && index.shape[at(d)].is_known() && in.shape[at(d)].is_known() &&
        index.shape[at(d)].value() > in.shape[at(d)].value()) {
      return failed(node, "c2",
                    fmt::format("dim {} of the index is {}, of the input {}", d, index.shape[at(d)].value(),
                                in.shape[at(d)].value()));
    }
  }
  return set_moved_result(node, 0, index.shape);
}

Status map_gather(const Node& node, ShapeMap* map) {
  const int64_t dim = node.attrs<GatherAttrs>().dim;
  ZP_TRY(IntShape in, map->env->shape(0));
  ZP_TRY(IntShape out, map->env->shape(1));
  const IntShape declared = out;
  if (out.empty()) out = {1};
  std::vector<MapStep> steps;
  if (in.empty()) {
    in = {1};
    steps.push_back(MapStep::reshape(in));
  }
  int64_t count = 1;
  for (const int64_t d : out) count *= d;
  if (count == 0) {
    // Nothing is read; the shapes need not even agree.
    steps.push_back(MapStep::table(declared, {}));
    map->results = {{.parts = {{0, std::move(steps)}}}};
    return {};
  }
  for (size_t d = 0; d < in.size(); ++d) {
    if (static_cast<int64_t>(d) == dim || out[d] == in[d]) continue;
    if (out[d] > in[d])
      return failed(node, "c2", fmt::format("dim {} of the index is {}, of the input {}", d, out[d], in[d]));
    steps.push_back(MapStep::window(in, static_cast<int64_t>(d), 0, 1, out[d]));
    in[d] = out[d];
  }
  ZP_TRY(const std::optional<Tensor> index, map->env->value(1));
  if (!index) {
    steps.push_back(MapStep::choose(dim, {out[at(dim)]}));
  } else {
    ZP_TRY(MapStep step, gather_step(node, *index, dim, in, out));
    steps.push_back(std::move(step));
  }
  if (declared.empty()) steps.push_back(MapStep::reshape({}));
  map->results = {{.parts = {{0, std::move(steps)}}}};
  return {};
}

// ---------------------------------------------------------------- index

constexpr OperandDef kIndexOperands[] = {{"self"}, {"indices", Role::Index, true, true}};
constexpr std::string_view kIndexChecks[] = {
    "c1: at most one index a dim of the input; a mask stands for as many as it has dims",
    "c2: indices broadcast together", "c3: indices lie inside their dims",
    "c4: a mask has the extents of its dims"};

Status infer_index(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  ZP_TRY(const IndexPlan plan, plan_index(node, 1));
  std::vector<Dim> shape;
  for (size_t d = 0; d < plan.front; ++d) shape.push_back(plan.dims[d].extent);
  ZP_TRY(const std::vector<Dim> picked, index_shape(context, node, plan, 1));
  size_t d = 0;
  std::vector<Dim> rest;
  for (const IndexPlan::InputDim& dim : plan.dims) {
    if (d++ >= plan.front && !dim.indexed) rest.push_back(dim.extent);
  }
  shape.insert(shape.end(), picked.begin(), picked.end());
  shape.insert(shape.end(), rest.begin(), rest.end());
  return set_moved_result(node, 0, shape);
}

Status map_index(const Node&, ShapeMap* map) {
  ZP_TRY(const IntShape in, map->env->shape(0));
  ZP_TRY(std::vector<MapStep> steps, index_steps(*map->env, 1, in));
  map->results = {{.parts = {{0, std::move(steps)}}}};
  return {};
}

}  // namespace

constinit const OpDef embedding = {.name = "embedding",
                                   .doc = "Rows of a table; a quantized table is dequantized row by row.",
                                   .operands = kEmbeddingOperands,
                                   .results = kOutResult,
                                   .attrs = &attrs_of<EmbeddingAttrs>,
                                   .trait = Trait::SharesQparams,
                                   .flags = kIntegerForm,
                                   .infer = infer_embedding,
                                   .eval = eval_moved,
                                   .shape_map = map_embedding,
                                   .checks = kEmbeddingChecks};
constinit const OpDef index_select = {.name = "index_select",
                                      .doc = "The coordinates index[j] of one dim.",
                                      .operands = kIndexSelectOperands,
                                      .results = kOutResult,
                                      .attrs = &attrs_of<IndexSelectAttrs>,
                                      .trait = Trait::ShapeOnly,
                                      .infer = infer_index_select,
                                      .eval = eval_moved,
                                      .shape_map = map_index_select,
                                      .checks = kIndexSelectChecks};
constinit const OpDef gather = {
    .name = "gather",
    .doc = "Element j is that of the input with coordinate dim replaced by index[j].",
    .operands = kGatherOperands,
    .results = kOutResult,
    .attrs = &attrs_of<GatherAttrs>,
    .trait = Trait::ShapeOnly,
    .infer = infer_gather,
    .eval = eval_moved,
    .shape_map = map_gather,
    .checks = kGatherChecks};
constinit const OpDef index = {
    .name = "index",
    .doc = "Advanced indexing: some dims are picked by broadcast index tensors or masks.",
    .operands = kIndexOperands,
    .results = kOutResult,
    .attrs = nullptr,
    .trait = Trait::ShapeOnly,
    .infer = infer_index,
    .eval = eval_moved,
    .shape_map = map_index,
    .checks = kIndexChecks};

}  // namespace zp::ops
