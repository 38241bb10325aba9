// The operators that select some elements of one tensor, in some order: slice, select, split, unbind,
// diagonal, as_strided, unfold, flip, roll, tril, triu.
#include "ops/view.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/ops.h"
#include "ops/rearrange_util.h"

namespace zp::ops {

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

// The shape without dim `dim`.
template <typename T>
std::vector<T> without(std::span<const T> shape, int64_t dim) {
  std::vector<T> out(shape.begin(), shape.end());
  out.erase(out.begin() + dim);
  return out;
}

// ---------------------------------------------------------------- slice

constexpr std::string_view kSliceChecks[] = {"c1: dim is a dim of the input", "c2: step is positive"};

Status infer_slice(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  SliceAttrs& attrs = attrs_of_node<SliceAttrs>(node);
  if (attrs.step.is_known() && attrs.step.value() <= 0)
    return failed(node, "c2", fmt::format("step {}", attrs.step.value()));
  if (any_unranked(node)) return set_moved_unranked(node);
  const Type& in = node.operand(0)->type();
  if (in.rank() == 0) return failed(node, "c1", "the input has no dims");
  ZP_TRY(attrs.dim, normalize_dim(node, "c1", attrs.dim, in.rank()));
  const Dim extent = in.shape[at(attrs.dim)];
  Dim start, end;
  slice_bounds(context.dims(), attrs.start, attrs.end, extent, &start, &end);
  if (extent.is_known()) {
    if (start.is_known()) attrs.start = start;
    if (end.is_known()) attrs.end = end;
  }
  std::vector<Dim> shape = in.shape.vec();
  shape[at(attrs.dim)] = slice_length(context.dims(), start, end, attrs.step);
  return set_moved_result(node, 0, shape);
}

// Start, step and count along a dim of known extent.
struct Range {
  int64_t start, step, count;
};

Result<Range> resolve_range(const MapEnv& env, const std::optional<Dim>& start, const std::optional<Dim>& end,
                            Dim step, int64_t extent) {
  int64_t from = 0, to = extent;
  if (start) { ZP_TRY(from, env.dim(*start)); }
  if (end) { ZP_TRY(to, env.dim(*end)); }
  ZP_TRY(const int64_t by, env.dim(step));
  if (by <= 0) return failed(env.node(), "c2", fmt::format("step {}", by));
  from = std::clamp<int64_t>(from < 0 ? from + extent : from, 0, extent);
  to = std::clamp<int64_t>(to < 0 ? to + extent : to, 0, extent);
  const int64_t length = std::max<int64_t>(0, to - from);
  return Range{from, by, length / by + (length % by != 0)};
}

Status map_slice(const Node& node, ShapeMap* map) {
  const SliceAttrs& attrs = node.attrs<SliceAttrs>();
  ZP_TRY(const IntShape in, map->env->shape(0));
  ZP_TRY(const Range r, resolve_range(*map->env, attrs.start, attrs.end, attrs.step, in[at(attrs.dim)]));
  map->results = {{.parts = {{0, {MapStep::window(in, attrs.dim, r.start, r.step, r.count)}}}}};
  return {};
}

// ---------------------------------------------------------------- select, unbind

constexpr std::string_view kSelectChecks[] = {"c1: dim is a dim of the input", "c2: index is inside the dim"};

Status infer_select(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  SelectAttrs& attrs = attrs_of_node<SelectAttrs>(node);
  const Type& in = node.operand(0)->type();
  if (in.rank() == 0) return failed(node, "c1", "the input has no dims");
  ZP_TRY(attrs.dim, normalize_dim(node, "c1", attrs.dim, in.rank()));
  const Dim extent = in.shape[at(attrs.dim)];
  if (extent.is_known() && attrs.index.is_known()) {
    const int64_t index =
        attrs.index.value() < 0 ? attrs.index.value() + extent.value() : attrs.index.value();
    if (index < 0 || index >= extent.value()) {
      return failed(node, "c2",
                    fmt::format("index {} of a dim of extent {}", attrs.index.value(), extent.value()));
    }
    attrs.index = index;
  }
  return set_moved_result(node, 0, without<Dim>(in.shape, attrs.dim));
}

Result<MapPart> select_part(const MapEnv& env, const IntShape& in, int64_t dim, int64_t index) {
  if (index < 0) index += in[at(dim)];
  if (index < 0 || index >= in[at(dim)]) {
    return failed(env.node(), "c2", fmt::format("index {} of a dim of extent {}", index, in[at(dim)]));
  }
  return MapPart{0, {MapStep::window(in, dim, index, 1, 1), MapStep::reshape(without<int64_t>(in, dim))}};
}

Status map_select(const Node& node, ShapeMap* map) {
  const SelectAttrs& attrs = node.attrs<SelectAttrs>();
  ZP_TRY(const IntShape in, map->env->shape(0));
  ZP_TRY(const int64_t index, map->env->dim(attrs.index));
  ZP_TRY(MapPart part, select_part(*map->env, in, attrs.dim, index));
  map->results = {{.parts = {std::move(part)}}};
  return {};
}

constexpr std::string_view kUnbindChecks[] = {"c1: dim is a dim of the input",
                                              "c2: one result for each coordinate"};

Status infer_unbind(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  UnbindAttrs& attrs = attrs_of_node<UnbindAttrs>(node);
  const Type& in = node.operand(0)->type();
  if (in.rank() == 0) return failed(node, "c1", "the input has no dims");
  ZP_TRY(attrs.dim, normalize_dim(node, "c1", attrs.dim, in.rank()));
  const Dim extent = in.shape[at(attrs.dim)];
  if (extent.is_known() && extent.value() != static_cast<int64_t>(node.result_count())) {
    return failed(node, "c2",
                  fmt::format("{} results for a dim of extent {}", node.result_count(), extent.value()));
  }
  const std::vector<Dim> shape = without<Dim>(in.shape, attrs.dim);
  for (size_t i = 0; i < node.result_count(); ++i) ZP_CHECK(set_moved_result(node, i, shape));
  return {};
}

Status map_unbind(const Node& node, ShapeMap* map) {
  const int64_t dim = node.attrs<UnbindAttrs>().dim;
  ZP_TRY(const IntShape in, map->env->shape(0));
  for (size_t i = 0; i < node.result_count(); ++i) {
    ZP_TRY(MapPart part, select_part(*map->env, in, dim, static_cast<int64_t>(i)));
    map->results.push_back({.parts = {std::move(part)}});
  }
  return {};
}

// ---------------------------------------------------------------- split

constexpr std::string_view kSplitChecks[] = {"c1: dim is a dim of the input", "c2: one size for each result",
                                             "c3: sizes are >= 0 and add up to the dim's extent"};

Status infer_split(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  SplitAttrs& attrs = attrs_of_node<SplitAttrs>(node);
  if (attrs.sizes.size() != node.result_count()) {
    return failed(node, "c2", fmt::format("{} sizes, {} results", attrs.sizes.size(), node.result_count()));
  }
  if (any_unranked(node)) return set_moved_unranked(node);
  const Type& in = node.operand(0)->type();
  if (in.rank() == 0) return failed(node, "c1", "the input has no dims");
  ZP_TRY(attrs.dim, normalize_dim(node, "c1", attrs.dim, in.rank()));
  const Dim extent = in.shape[at(attrs.dim)];
  Dim total = 0;
  for (const Dim& size : attrs.sizes) {
    if (size.is_known() && size.value() < 0) return failed(node, "c3", fmt::format("size {}", size.value()));
    total = context.dims().add(total, size);
  }
  if (total.is_known() && extent.is_known() && total.value() != extent.value()) {
    return failed(
        node, "c3",
        fmt::format("sizes add up to {}, dim {} has extent {}", total.value(), attrs.dim, extent.value()));
  }
  std::vector<Dim> shape = in.shape.vec();
  for (size_t i = 0; i < node.result_count(); ++i) {
    shape[at(attrs.dim)] = attrs.sizes[i];
    ZP_CHECK(set_moved_result(node, i, shape));
  }
  return {};
}

Status map_split(const Node& node, ShapeMap* map) {
  const SplitAttrs& attrs = node.attrs<SplitAttrs>();
  ZP_TRY(const IntShape in, map->env->shape(0));
  ZP_TRY(const IntShape sizes, map->env->dims(attrs.sizes));
  int64_t from = 0;
  for (const int64_t size : sizes) {
    if (size < 0 || size > in[at(attrs.dim)] - from) {
      return failed(
          node, "c3",
          fmt::format("part of {} from {} on in a dim of extent {}", size, from, in[at(attrs.dim)]));
    }
    map->results.push_back({.parts = {{0, {MapStep::window(in, attrs.dim, from, 1, size)}}}});
    from += size;
  }
  return {};
}

// ---------------------------------------------------------------- diagonal

constexpr std::string_view kDiagonalChecks[] = {"c1: dim1 and dim2 are different dims of the input"};

Status infer_diagonal(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  DiagonalAttrs& attrs = attrs_of_node<DiagonalAttrs>(node);
  const Type& in = node.operand(0)->type();
  ZP_TRY(attrs.dim1, normalize_dim(node, "c1", attrs.dim1, in.rank()));
  ZP_TRY(attrs.dim2, normalize_dim(node, "c1", attrs.dim2, in.rank()));
  if (attrs.dim1 == attrs.dim2 || in.rank() < 2)
    return failed(node, "c1", fmt::format("dims {} and {}", attrs.dim1, attrs.dim2));
  DimContext& dims = context.dims();
  const Dim rows = in.shape[at(attrs.dim1)], columns = in.shape[at(attrs.dim2)];
  attrs.offset = std::max(attrs.offset, -INT64_MAX);
  const Dim above = dims.sub(columns, std::max<int64_t>(0, attrs.offset));
  const Dim below = dims.sub(rows, std::max<int64_t>(0, -attrs.offset));
  Dim length = dims.min(above, below);
  if (length.is_known()) {
    length = std::max<int64_t>(0, length.value());
  } else if (dims.lower_bound(length) < 0) {
    length = dims.max(0, length);
  }
  std::vector<Dim> shape;
  for (int d = 0; d < in.rank(); ++d)
    if (d != attrs.dim1 && d != attrs.dim2) shape.push_back(in.shape[at(d)]);
  shape.push_back(length);
  return set_moved_result(node, 0, shape);
}

Status map_diagonal(const Node& node, ShapeMap* map) {
  const DiagonalAttrs& attrs = node.attrs<DiagonalAttrs>();
  map->results = {{.parts = {{0, {MapStep::diagonal(attrs.dim1, attrs.dim2, attrs.offset)}}}}};
  return {};
}

// ---------------------------------------------------------------- as_strided, unfold

constexpr std::string_view kAsStridedChecks[] = {"c1: size and stride have one entry each, none negative",
                                                 "c2: every element lies inside the input"};

Status infer_as_strided(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const AsStridedAttrs& attrs = node.attrs<AsStridedAttrs>();
  if (attrs.size.size() != attrs.stride.size()) {
    return failed(node, "c1", fmt::format("{} sizes, {} strides", attrs.size.size(), attrs.stride.size()));
  }
  const Type& in = node.operand(0)->type();
  int64_t last = 0;
  bool known = true, empty = false;
  const Dim offset = attrs.storage_offset.value_or(Dim(int64_t{0}));
  for (size_t d = 0; d < attrs.size.size(); ++d) {
    for (const Dim& v : {attrs.size[d], attrs.stride[d]}) {
      if (v.is_known() && v.value() < 0)
        return failed(node, "c1", fmt::format("entry {} is {}", d, v.value()));
      known &= v.is_known();
    }
    if (!known) break;
    empty |= attrs.size[d].value() == 0;
    int64_t span = 0;
    if (!empty && (__builtin_mul_overflow(attrs.size[d].value() - 1, attrs.stride[d].value(), &span) ||
                   __builtin_add_overflow(last, span, &last))) {
      return failed(node, "c2", "the last element's place overflows");
    }
  }
  if (known && !empty && offset.is_known() && in.elements() >= 0 &&
      (offset.value() < 0 || last >= in.elements() || offset.value() > in.elements() - 1 - last)) {
    return failed(node, "c2",
                  fmt::format("the last element would be number {}, the input has {}", offset.value() + last,
                              in.elements()));
  }
  return set_moved_result(node, 0, attrs.size);
}

Status map_as_strided(const Node& node, ShapeMap* map) {
  const AsStridedAttrs& attrs = node.attrs<AsStridedAttrs>();
  ZP_TRY(const IntShape in, map->env->shape(0));
  ZP_TRY(IntShape size, map->env->dims(attrs.size));
  ZP_TRY(IntShape stride, map->env->dims(attrs.stride));
  ZP_TRY(const int64_t offset, map->env->dim(attrs.storage_offset.value_or(Dim(int64_t{0}))));
  int64_t count = 1, have = 1, last = 0;
  for (const int64_t d : in) have *= d;
  for (size_t d = 0; d < size.size(); ++d) {
    if (size[d] < 0 || stride[d] < 0)
      return failed(node, "c1", fmt::format("size {}, stride {}", size[d], stride[d]));
    ZP_CHECK(check_index_count(node, {count, size[d]}));
    count *= size[d];
    if (size[d] == 1) stride[d] = 0;
  }
  for (size_t d = 0; d < size.size() && count > 0; ++d) {
    int64_t span = 0;
    if (__builtin_mul_overflow(size[d] - 1, stride[d], &span) || __builtin_add_overflow(last, span, &last))
      return failed(node, "c2", "the last element's place overflows");
  }
  if (count > 0 && (offset < 0 || last >= have || offset > have - 1 - last)) {
    return failed(node, "c2",
                  fmt::format("the elements span {} places from number {} on, the input has {}", last + 1,
                              offset, have));
  }
  std::vector<int64_t> index(at(count));
  std::vector<int64_t> j(size.size(), 0);
  int64_t place = offset;
  for (int64_t i = 0; i < count; ++i) {
    index[at(i)] = place;
    for (size_t d = size.size(); d-- > 0;) {
      place += stride[d];
      if (++j[d] < size[d]) break;
      place -= stride[d] * size[d];
      j[d] = 0;
    }
  }
  map->results = {{.parts = {{0, {MapStep::table(std::move(size), std::move(index))}}}}};
  return {};
}

constexpr std::string_view kUnfoldChecks[] = {"c1: dimension is a dim of the input",
                                              "c2: 0 <= size <= extent", "c3: step is positive"};

Status infer_unfold(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  UnfoldAttrs& attrs = attrs_of_node<UnfoldAttrs>(node);
  const Type& in = node.operand(0)->type();
  ZP_TRY(attrs.dimension, normalize_dim(node, "c1", attrs.dimension, in.rank()));
  if (attrs.step <= 0) return failed(node, "c3", fmt::format("step {}", attrs.step));
  std::vector<Dim> shape = in.shape.vec();
  if (!shape.empty()) {
    Dim& extent = shape[at(attrs.dimension)];
    if (attrs.size < 0 || (extent.is_known() && attrs.size > extent.value())) {
      return failed(node, "c2", fmt::format("size {} of a dim of extent {}", attrs.size, extent.str()));
    }
    DimContext& dims = context.dims();
    extent = dims.add(dims.floordiv(dims.sub(extent, attrs.size), attrs.step), 1);
  } else if (attrs.size < 0 || attrs.size > 1) {
    return failed(node, "c2", fmt::format("size {} of a tensor without dims", attrs.size));
  }
  shape.push_back(attrs.size);
  return set_moved_result(node, 0, shape);
}

Status map_unfold(const Node& node, ShapeMap* map) {
  const UnfoldAttrs& attrs = node.attrs<UnfoldAttrs>();
  ZP_TRY(IntShape in, map->env->shape(0));
  std::vector<MapStep> steps;
  if (in.empty()) {
    in = {1};
    steps.push_back(MapStep::reshape(in));
  }
  const int64_t extent = in[at(attrs.dimension)];
  if (attrs.size < 0 || attrs.size > extent)
    return failed(node, "c2", fmt::format("size {} of a dim of extent {}", attrs.size, extent));
  const bool scalar = node.operand(0)->type().rank() == 0;
  const int64_t windows = (extent - attrs.size) / attrs.step + 1;
  ZP_CHECK(check_index_count(node, {windows, attrs.size}));
  std::vector<int64_t> index;
  for (int64_t w = 0; w < windows; ++w)
    for (int64_t i = 0; i < attrs.size; ++i) index.push_back(w * attrs.step + i);
  steps.push_back(MapStep::take(attrs.dimension, std::move(index)));
  IntShape split = in;
  split[at(attrs.dimension)] = windows;
  split.insert(split.begin() + attrs.dimension + 1, attrs.size);
  steps.push_back(MapStep::reshape(split));
  std::vector<int64_t> order;
  for (int64_t d = 0; d < static_cast<int64_t>(split.size()); ++d)
    if (d != attrs.dimension + 1) order.push_back(d);
  order.push_back(attrs.dimension + 1);
  steps.push_back(MapStep::permute(std::move(order)));
  if (scalar) steps.push_back(MapStep::reshape({attrs.size}));
  map->results = {{.parts = {{0, std::move(steps)}}}};
  return {};
}

// ---------------------------------------------------------------- flip, roll

constexpr std::string_view kFlipChecks[] = {"c1: dims are dims of the input, none twice"};

Status infer_flip(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  FlipAttrs& attrs = attrs_of_node<FlipAttrs>(node);
  const Type& in = node.operand(0)->type();
  ZP_TRY(attrs.dims, normalize_dims(node, "c1", attrs.dims, in.rank()));
  return set_moved_result(node, 0, in.shape);
}

Status map_flip(const Node& node, ShapeMap* map) {
  ZP_TRY(const IntShape in, map->env->shape(0));
  std::vector<MapStep> steps;
  for (const int64_t d : node.attrs<FlipAttrs>().dims) {
    if (in.empty()) break;
    steps.push_back(MapStep::window(in, d, std::max<int64_t>(0, in[at(d)] - 1), -1, in[at(d)]));
  }
  map->results = {{.parts = {{0, std::move(steps)}}}};
  return {};
}

constexpr std::string_view kRollChecks[] = {"c1: dims are dims of the input",
                                            "c2: one shift a dim; exactly one without dims"};

Status infer_roll(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  RollAttrs& attrs = attrs_of_node<RollAttrs>(node);
  if (attrs.dims.empty() ? attrs.shifts.size() != 1 : attrs.shifts.size() != attrs.dims.size()) {
    return failed(node, "c2", fmt::format("{} shifts, {} dims", attrs.shifts.size(), attrs.dims.size()));
  }
  if (any_unranked(node)) return set_moved_unranked(node);
  const Type& in = node.operand(0)->type();
  std::vector<int64_t> dims;  // a dim may be rolled twice
  for (const int64_t d : attrs.dims) {
    ZP_TRY(const int64_t n, normalize_dim(node, "c1", d, in.rank()));
    dims.push_back(n);
  }
  if (!std::equal(dims.begin(), dims.end(), attrs.dims.begin(), attrs.dims.end()))
    attrs.dims = context.ints(dims);
  return set_moved_result(node, 0, in.shape);
}

Status map_roll(const Node& node, ShapeMap* map) {
  const RollAttrs& attrs = node.attrs<RollAttrs>();
  ZP_TRY(const IntShape in, map->env->shape(0));
  ZP_TRY(const IntShape shifts, map->env->dims(attrs.shifts));
  std::vector<MapStep> steps;
  auto roll_dim = [&](int64_t dim, int64_t extent, int64_t shift) {
    if (extent < 2 || shift % extent == 0) return;
    std::vector<int64_t> index(at(extent));
    const int64_t by = (shift % extent + extent) % extent;
    for (int64_t j = 0; j < extent; ++j) index[at(j)] = j >= by ? j - by : j - by + extent;
    steps.push_back(MapStep::take(dim, std::move(index)));
  };
  if (attrs.dims.empty()) {
    int64_t count = 1;
    for (const int64_t d : in) count *= d;
    ZP_CHECK(check_index_count(node, {count}));
    steps.push_back(MapStep::reshape({count}));
    roll_dim(0, count, shifts[0]);
    steps.push_back(MapStep::reshape(in));
  } else if (!in.empty()) {
    for (size_t k = 0; k < shifts.size(); ++k) roll_dim(attrs.dims[k], in[at(attrs.dims[k])], shifts[k]);
  }
  map->results = {{.parts = {{0, std::move(steps)}}}};
  return {};
}

// ---------------------------------------------------------------- tril, triu

constexpr std::string_view kTriangleChecks[] = {"c1: the input has at least two dims"};

Status infer_triangle(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  const Type& in = node.operand(0)->type();
  if (in.rank() < 2) return failed(node, "c1", fmt::format("rank {}", in.rank()));
  return set_moved_result(node, 0, in.shape);
}

Status map_triangle(const Node& node, ShapeMap* map) {
  ZP_TRY(const int64_t diagonal, map->env->dim(node.attrs<TriangleAttrs>().diagonal));
  map->results = {{.parts = {{0, {MapStep::triangle(node.op().name == "triu", diagonal)}}}}};
  return {};
}

}  // namespace

constinit const OpDef slice = {.name = "slice",
                               .doc = "Every step-th coordinate of one dim from start up to end.",
                               .operands = kSelfOperand,
                               .results = kOutResult,
                               .attrs = &attrs_of<SliceAttrs>,
                               .trait = Trait::ShapeOnly,
                               .infer = infer_slice,
                               .eval = eval_moved,
                               .shape_map = map_slice,
                               .checks = kSliceChecks};
constinit const OpDef select = {.name = "select",
                                .doc = "One coordinate of one dim; the dim goes.",
                                .operands = kSelfOperand,
                                .results = kOutResult,
                                .attrs = &attrs_of<SelectAttrs>,
                                .trait = Trait::ShapeOnly,
                                .infer = infer_select,
                                .eval = eval_moved,
                                .shape_map = map_select,
                                .checks = kSelectChecks};
constinit const OpDef split = {.name = "split",
                               .doc = "Consecutive parts along one dim.",
                               .operands = kSelfOperand,
                               .results = kOutResult,
                               .attrs = &attrs_of<SplitAttrs>,
                               .trait = Trait::ShapeOnly,
                               .flags = kVariadicResults,
                               .infer = infer_split,
                               .eval = eval_moved,
                               .shape_map = map_split,
                               .checks = kSplitChecks};
constinit const OpDef unbind = {.name = "unbind",
                                .doc = "One result for each coordinate of a dim; the dim goes.",
                                .operands = kSelfOperand,
                                .results = kOutResult,
                                .attrs = &attrs_of<UnbindAttrs>,
                                .trait = Trait::ShapeOnly,
                                .flags = kVariadicResults,
                                .infer = infer_unbind,
                                .eval = eval_moved,
                                .shape_map = map_unbind,
                                .checks = kUnbindChecks};
constinit const OpDef diagonal = {.name = "diagonal",
                                  .doc = "The diagonal of two dims as last dim.",
                                  .operands = kSelfOperand,
                                  .results = kOutResult,
                                  .attrs = &attrs_of<DiagonalAttrs>,
                                  .trait = Trait::ShapeOnly,
                                  .infer = infer_diagonal,
                                  .eval = eval_moved,
                                  .shape_map = map_diagonal,
                                  .checks = kDiagonalChecks};
constinit const OpDef as_strided = {
    .name = "as_strided",
    .doc = "Element j is element storage_offset + sum stride[d] * j[d] of the dense input.",
    .operands = kSelfOperand,
    .results = kOutResult,
    .attrs = &attrs_of<AsStridedAttrs>,
    .trait = Trait::ShapeOnly,
    .infer = infer_as_strided,
    .eval = eval_moved,
    .shape_map = map_as_strided,
    .checks = kAsStridedChecks};
constinit const OpDef unfold = {.name = "unfold",
                                .doc = "Windows along one dim; the elements of a window become the last dim.",
                                .operands = kSelfOperand,
                                .results = kOutResult,
                                .attrs = &attrs_of<UnfoldAttrs>,
                                .trait = Trait::ShapeOnly,
                                .infer = infer_unfold,
                                .eval = eval_moved,
                                .shape_map = map_unfold,
                                .checks = kUnfoldChecks};
constinit const OpDef flip = {.name = "flip",
                              .doc = "Reverses dims.",
                              .operands = kSelfOperand,
                              .results = kOutResult,
                              .attrs = &attrs_of<FlipAttrs>,
                              .trait = Trait::ShapeOnly,
                              .infer = infer_flip,
                              .eval = eval_moved,
                              .shape_map = map_flip,
                              .checks = kFlipChecks};
constinit const OpDef roll = {.name = "roll",
                              .doc = "Rotates dims: coordinate j comes from j - shift, modulo the extent.",
                              .operands = kSelfOperand,
                              .results = kOutResult,
                              .attrs = &attrs_of<RollAttrs>,
                              .trait = Trait::ShapeOnly,
                              .infer = infer_roll,
                              .eval = eval_moved,
                              .shape_map = map_roll,
                              .checks = kRollChecks};
constinit const OpDef tril = {.name = "tril",
                              .doc = "Zero above the diagonal of the last two dims.",
                              .operands = kSelfOperand,
                              .results = kOutResult,
                              .attrs = &attrs_of<TriangleAttrs>,
                              .trait = Trait::ShapeOnly,
                              .flags = kAddsElements,
                              .infer = infer_triangle,
                              .eval = eval_moved,
                              .shape_map = map_triangle,
                              .checks = kTriangleChecks};
constinit const OpDef triu = {.name = "triu",
                              .doc = "Zero below the diagonal of the last two dims.",
                              .operands = kSelfOperand,
                              .results = kOutResult,
                              .attrs = &attrs_of<TriangleAttrs>,
                              .trait = Trait::ShapeOnly,
                              .flags = kAddsElements,
                              .infer = infer_triangle,
                              .eval = eval_moved,
                              .shape_map = map_triangle,
                              .checks = kTriangleChecks};

}  // namespace zp::ops
