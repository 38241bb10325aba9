// The operators that repeat elements, and those that move elements between channels and pixels: repeat,
// repeat_interleave, pixel_shuffle, pixel_unshuffle, channel_shuffle.
#include <fmt/format.h>

#include <algorithm>

#include "ops/ops.h"
#include "ops/rearrange_util.h"
#include "ops/view.h"

namespace zp::ops {

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

// ---------------------------------------------------------------- repeat

constexpr std::string_view kRepeatChecks[] = {"c1: at least one entry a dim, none negative"};

Status infer_repeat(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  const RepeatAttrs& attrs = node.attrs<RepeatAttrs>();
  const Type& in = node.operand(0)->type();
  if (attrs.repeats.size() < in.shape.size()) {
    return failed(node, "c1",
                  fmt::format("{} entries for a tensor of rank {}", attrs.repeats.size(), in.rank()));
  }
  const size_t added = attrs.repeats.size() - in.shape.size();
  std::vector<Dim> shape;
  for (size_t d = 0; d < attrs.repeats.size(); ++d) {
    if (attrs.repeats[d].is_known() && attrs.repeats[d].value() < 0)
      return failed(node, "c1", fmt::format("entry {} is {}", d, attrs.repeats[d].value()));
    shape.push_back(d < added ? attrs.repeats[d] : context.dims().mul(attrs.repeats[d], in.shape[d - added]));
  }
  return set_moved_result(node, 0, shape);
}

// Repeats along dims of [.., n, extent, ..] (outer) or [.., extent, n, ..] (inner): a dim of 1 that is
// stretched.
void add_stretch(const IntShape& in, const IntShape& counts, bool outer, std::vector<MapStep>* steps) {
  IntShape split, out;
  MapStep window;
  window.kind = MapStep::Window;
  for (size_t d = 0; d < in.size(); ++d) {
    for (const bool repeated : {outer, !outer}) {
      split.push_back(repeated ? 1 : in[d]);
      window.shape.push_back(repeated ? counts[d] : in[d]);
      window.start.push_back(0);
      window.step.push_back(repeated ? 0 : 1);
    }
    int64_t extent = 0;  // the step refuses what overflows
    out.push_back(__builtin_mul_overflow(in[d], counts[d], &extent) ? INT64_MAX : extent);
  }
  steps->push_back(MapStep::reshape(std::move(split)));
  steps->push_back(std::move(window));
  steps->push_back(MapStep::reshape(std::move(out)));
}

Status map_repeat(const Node& node, ShapeMap* map) {
  ZP_TRY(IntShape in, map->env->shape(0));
  ZP_TRY(const IntShape repeats, map->env->dims(node.attrs<RepeatAttrs>().repeats));
  for (const int64_t r : repeats)
    if (r < 0) return failed(node, "c1", fmt::format("entry {}", r));
  in.insert(in.begin(), repeats.size() - in.size(), 1);
  std::vector<MapStep> steps;
  steps.push_back(MapStep::reshape(in));
  add_stretch(in, repeats, true, &steps);
  map->results = {{.parts = {{0, std::move(steps)}}}};
  return {};
}

// ---------------------------------------------------------------- repeat_interleave

constexpr OperandDef kRepeatInterleaveOperands[] = {{"self"}, {"counts", Role::Index, true}};
constexpr std::string_view kRepeatInterleaveChecks[] = {
    "c1: dim is a dim of the input", "c2: repeats are not negative",
    "c3: one count a coordinate, or one for all", "c4: output_size is the sum of the counts"};

// The counts where they are an operand and known; nothing where they are not.
Result<std::optional<std::vector<int64_t>>> known_counts(const MapEnv& env, int64_t extent,
                                                         const std::optional<Dim>& output_size) {
  ZP_TRY(const std::optional<Tensor> counts, env.value(1));
  if (!counts) return std::optional<std::vector<int64_t>>();
  if (counts->elements() != extent && counts->elements() != 1) {
    return failed(env.node(), "c3",
                  fmt::format("{} counts for a dim of extent {}", counts->elements(), extent));
  }
  std::vector<int64_t> all;
  int64_t total = 0;
  for (int64_t i = 0; i < extent; ++i) {
    all.push_back(counts->get_int(counts->elements() == 1 ? 0 : i));
    if (all.back() < 0)
      return failed(env.node(), "c2", fmt::format("count {} of coordinate {}", all.back(), i));
    ZP_CHECK(check_index_count(env.node(), {all.back()}));
    total += all.back();
    ZP_CHECK(check_index_count(env.node(), {total}));
  }
  if (output_size && !output_size->is_unknown()) {
    auto size = env.dim(*output_size);  // a symbol may be unknown before the model runs
    if (!size.ok() && env.running()) return std::move(size).error();
    if (size.ok() && *size != total)
      return failed(env.node(), "c4",
                    fmt::format("output_size is {}, the counts add up to {}", *size, total));
  }
  return std::optional(std::move(all));
}

Status infer_repeat_interleave(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  RepeatInterleaveAttrs& attrs = attrs_of_node<RepeatInterleaveAttrs>(node);
  const Type& in = node.operand(0)->type();
  std::vector<Dim> shape = in.shape.vec();
  if (attrs.dim) { ZP_TRY(attrs.dim, normalize_dim(node, "c1", *attrs.dim, in.rank())); }
  if (!attrs.dim || shape.empty()) shape = {product(context.dims(), in.shape)};
  Dim& extent = shape[attrs.dim ? at(*attrs.dim) : 0];
  if (node.operand(1) == nullptr) {
    if (attrs.repeats.is_known() && attrs.repeats.value() < 0)
      return failed(node, "c2", fmt::format("repeats is {}", attrs.repeats.value()));
    extent = context.dims().mul(extent, attrs.repeats);
    return set_moved_result(node, 0, shape);
  }
  Dim total = attrs.output_size.value_or(Dim::unknown());
  if (extent.is_known()) {
    ZP_TRY(const std::optional<std::vector<int64_t>> counts,
           known_counts(MapEnv(node), extent.value(), attrs.output_size));
    if (counts) {
      int64_t sum = 0;
      for (const int64_t c : *counts) sum += c;
      total = sum;
    }
  }
  extent = total;
  return set_moved_result(node, 0, shape);
}

Status map_repeat_interleave(const Node& node, ShapeMap* map) {
  const RepeatInterleaveAttrs& attrs = node.attrs<RepeatInterleaveAttrs>();
  ZP_TRY(IntShape in, map->env->shape(0));
  std::vector<MapStep> steps;
  if (!attrs.dim || in.empty()) {
    int64_t count = 1;
    for (const int64_t d : in) count *= d;
    in = {count};
    steps.push_back(MapStep::reshape(in));
  }
  const int64_t dim = attrs.dim.value_or(0);
  if (!map->env->has(1)) {
    IntShape counts(in.size(), 1);
    ZP_TRY(counts[at(dim)], map->env->dim(attrs.repeats));
    if (counts[at(dim)] < 0) return failed(node, "c2", fmt::format("repeats is {}", counts[at(dim)]));
    add_stretch(in, counts, false, &steps);
  } else {
    ZP_TRY(const std::optional<std::vector<int64_t>> counts,
           known_counts(*map->env, in[at(dim)], attrs.output_size));
    if (counts) {
      std::vector<int64_t> index;
      for (size_t i = 0; i < counts->size(); ++i)
        index.insert(index.end(), at((*counts)[i]), static_cast<int64_t>(i));
      steps.push_back(MapStep::take(dim, std::move(index)));
    } else {
      if (!attrs.output_size) return failed(node, "c3", "the counts are not known before the model runs");
      ZP_TRY(const int64_t size, map->env->dim(*attrs.output_size));
      steps.push_back(MapStep::choose(dim, {size}));
    }
  }
  map->results = {{.parts = {{0, std::move(steps)}}}};
  return {};
}

// ---------------------------------------------------------------- pixel_shuffle, pixel_unshuffle,
// channel_shuffle

constexpr std::string_view kPixelShuffleChecks[] = {"c1: at least three dims", "c2: the factor is positive",
                                                    "c3: channels divide by the factor squared"};
constexpr std::string_view kPixelUnshuffleChecks[] = {"c1: at least three dims", "c2: the factor is positive",
                                                      "c3: height and width divide by the factor"};

bool divides(Dim extent, int64_t by) { return !extent.is_known() || extent.value() % by == 0; }

Status infer_pixel_shuffle(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  const int64_t r = node.attrs<PixelShuffleAttrs>().upscale_factor;
  std::vector<Dim> shape = node.operand(0)->type().shape.vec();
  if (shape.size() < 3) return failed(node, "c1", fmt::format("rank {}", shape.size()));
  if (r <= 0 || r > 46340) return failed(node, "c2", fmt::format("factor {}", r));
  const size_t c = shape.size() - 3;
  if (!divides(shape[c], r * r))
    return failed(node, "c3", fmt::format("{} channels, factor {}", shape[c].str(), r));
  DimContext& dims = context.dims();
  shape[c] = dims.floordiv(shape[c], r * r);
  shape[c + 1] = dims.mul(shape[c + 1], r);
  shape[c + 2] = dims.mul(shape[c + 2], r);
  return set_moved_result(node, 0, shape);
}

Status map_pixel_shuffle(const Node& node, ShapeMap* map) {
  const int64_t r = node.attrs<PixelShuffleAttrs>().upscale_factor;
  ZP_TRY(const IntShape in, map->env->shape(0));
  const size_t c = in.size() - 3;
  if (in[c] % (r * r) != 0) return failed(node, "c3", fmt::format("{} channels, factor {}", in[c], r));
  IntShape split(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(c)), out = split;
  std::vector<int64_t> order;
  for (size_t d = 0; d < c; ++d) order.push_back(static_cast<int64_t>(d));
  split.insert(split.end(), {in[c] / (r * r), r, r, in[c + 1], in[c + 2]});
  const int64_t b = static_cast<int64_t>(c);
  order.insert(order.end(), {b, b + 3, b + 1, b + 4, b + 2});
  out.insert(out.end(), {in[c] / (r * r), in[c + 1] * r, in[c + 2] * r});
  map->results = {{.parts = {{0,
                              {MapStep::reshape(std::move(split)), MapStep::permute(std::move(order)),
                               MapStep::reshape(std::move(out))}}}}};
  return {};
}

Status infer_pixel_unshuffle(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  const int64_t r = node.attrs<PixelUnshuffleAttrs>().downscale_factor;
  std::vector<Dim> shape = node.operand(0)->type().shape.vec();
  if (shape.size() < 3) return failed(node, "c1", fmt::format("rank {}", shape.size()));
  if (r <= 0 || r > 46340) return failed(node, "c2", fmt::format("factor {}", r));
  const size_t c = shape.size() - 3;
  if (!divides(shape[c + 1], r) || !divides(shape[c + 2], r)) {
    return failed(node, "c3",
                  fmt::format("{} by {} pixels, factor {}", shape[c + 1].str(), shape[c + 2].str(), r));
  }
  DimContext& dims = context.dims();
  shape[c] = dims.mul(shape[c], r * r);
  shape[c + 1] = dims.floordiv(shape[c + 1], r);
  shape[c + 2] = dims.floordiv(shape[c + 2], r);
  return set_moved_result(node, 0, shape);
}

Status map_pixel_unshuffle(const Node& node, ShapeMap* map) {
  const int64_t r = node.attrs<PixelUnshuffleAttrs>().downscale_factor;
  ZP_TRY(const IntShape in, map->env->shape(0));
  const size_t c = in.size() - 3;
  if (in[c + 1] % r != 0 || in[c + 2] % r != 0)
    return failed(node, "c3", fmt::format("{} by {} pixels, factor {}", in[c + 1], in[c + 2], r));
  IntShape split(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(c)), out = split;
  std::vector<int64_t> order;
  for (size_t d = 0; d < c; ++d) order.push_back(static_cast<int64_t>(d));
  split.insert(split.end(), {in[c], in[c + 1] / r, r, in[c + 2] / r, r});
  const int64_t b = static_cast<int64_t>(c);
  order.insert(order.end(), {b, b + 2, b + 4, b + 1, b + 3});
  out.insert(out.end(), {in[c] * r * r, in[c + 1] / r, in[c + 2] / r});
  map->results = {{.parts = {{0,
                              {MapStep::reshape(std::move(split)), MapStep::permute(std::move(order)),
                               MapStep::reshape(std::move(out))}}}}};
  return {};
}

constexpr std::string_view kChannelShuffleChecks[] = {"c1: at least three dims",
                                                      "c2: dim 1 divides by the number of groups"};

Status infer_channel_shuffle(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  const int64_t groups = node.attrs<ChannelShuffleAttrs>().groups;
  const Type& in = node.operand(0)->type();
  if (in.rank() < 3) return failed(node, "c1", fmt::format("rank {}", in.rank()));
  if (groups <= 0 || !divides(in.shape[1], groups))
    return failed(node, "c2", fmt::format("{} channels, {} groups", in.shape[1].str(), groups));
  return set_moved_result(node, 0, in.shape);
}

Status map_channel_shuffle(const Node& node, ShapeMap* map) {
  const int64_t groups = node.attrs<ChannelShuffleAttrs>().groups;
  ZP_TRY(const IntShape in, map->env->shape(0));
  if (in[1] % groups != 0) return failed(node, "c2", fmt::format("{} channels, {} groups", in[1], groups));
  IntShape split = in;
  split[1] = in[1] / groups;
  split.insert(split.begin() + 1, groups);
  std::vector<int64_t> order;
  for (size_t d = 0; d < split.size(); ++d) order.push_back(static_cast<int64_t>(d));
  std::swap(order[1], order[2]);
  map->results = {{.parts = {{0,
                              {MapStep::reshape(std::move(split)), MapStep::permute(std::move(order)),
                               MapStep::reshape(in)}}}}};
  return {};
}

}  // namespace

constinit const OpDef repeat = {.name = "repeat",
                                .doc = "Tiles the tensor along each dim.",
                                .operands = kSelfOperand,
                                .results = kOutResult,
                                .attrs = &attrs_of<RepeatAttrs>,
                                .trait = Trait::ShapeOnly,
                                .infer = infer_repeat,
                                .eval = eval_moved,
                                .shape_map = map_repeat,
                                .checks = kRepeatChecks};
constinit const OpDef repeat_interleave = {
    .name = "repeat_interleave",
    .doc = "Repeats each coordinate of a dim (or each element) in place.",
    .operands = kRepeatInterleaveOperands,
    .results = kOutResult,
    .attrs = &attrs_of<RepeatInterleaveAttrs>,
    .trait = Trait::ShapeOnly,
    .infer = infer_repeat_interleave,
    .eval = eval_moved,
    .shape_map = map_repeat_interleave,
    .checks = kRepeatInterleaveChecks};
constinit const OpDef pixel_shuffle = {.name = "pixel_shuffle",
                                       .doc = "[.., c*r*r, h, w] to [.., c, h*r, w*r].",
                                       .operands = kSelfOperand,
                                       .results = kOutResult,
                                       .attrs = &attrs_of<PixelShuffleAttrs>,
                                       .trait = Trait::ShapeOnly,
                                       .infer = infer_pixel_shuffle,
                                       .eval = eval_moved,
                                       .shape_map = map_pixel_shuffle,
                                       .checks = kPixelShuffleChecks};
constinit const OpDef pixel_unshuffle = {.name = "pixel_unshuffle",
                                         .doc = "[.., c, h*r, w*r] to [.., c*r*r, h, w].",
                                         .operands = kSelfOperand,
                                         .results = kOutResult,
                                         .attrs = &attrs_of<PixelUnshuffleAttrs>,
                                         .trait = Trait::ShapeOnly,
                                         .infer = infer_pixel_unshuffle,
                                         .eval = eval_moved,
                                         .shape_map = map_pixel_unshuffle,
                                         .checks = kPixelUnshuffleChecks};
constinit const OpDef channel_shuffle = {.name = "channel_shuffle",
                                         .doc = "Channel g*n + k becomes channel k*groups + g.",
                                         .operands = kSelfOperand,
                                         .results = kOutResult,
                                         .attrs = &attrs_of<ChannelShuffleAttrs>,
                                         .trait = Trait::ShapeOnly,
                                         .infer = infer_channel_shuffle,
                                         .eval = eval_moved,
                                         .shape_map = map_channel_shuffle,
                                         .checks = kChannelShuffleChecks};

}  // namespace zp::ops
