// Cards and inference of interpolation and of sampling on a grid.
#include "ops/resize.h"

#include <fmt/format.h>

#include <cmath>

#include "ops/infer_util.h"
#include "ops/ops.h"
#include "ops/pool_shape.h"
#include "ops/resize_eval.h"

namespace zp::ops {

namespace {

// floor(in * scale) for a symbolic size: exact when the scale is a fraction of small numbers, else unknown.
Dim scaled(DimContext& dims, Dim in, double scale) {
  if (in.is_known()) {
    const double size = std::floor(static_cast<double>(in.value()) * scale);
    return size >= 0 && size < 1e15 ? Dim(static_cast<int64_t>(size)) : Dim::unknown();
  }
  for (int64_t denominator = 1; denominator <= 1024; denominator *= 2) {
    const double numerator = scale * static_cast<double>(denominator);
    if (numerator == std::floor(numerator) && numerator < 1e9) {
      return dims.floordiv(dims.mul(in, Dim(static_cast<int64_t>(numerator))), Dim(denominator));
    }
  }
  return Dim::unknown();
}

}  // namespace

Result<std::vector<Dim>> upsample_shape(const Node& node, std::span<const Dim> input,
                                        const std::optional<List<Dim>>& size,
                                        const std::optional<List<double>>& scales) {
  const auto spatial = static_cast<size_t>(spatial_rank(node));
  if (input.size() != spatial + 2) {
    return failed(node, "c1", fmt::format("the input has rank {}, {} is needed", input.size(), spatial + 2));
  }
  if (!size && !scales) return failed(node, "c2", "neither output_size nor scale_factors is given");
  if ((size && size->size() != spatial) || (scales && scales->size() != spatial)) {
    return failed(node, "c2",
                  fmt::format("output_size has {} entries and scale_factors {}, {} are needed",
                              size ? size->size() : 0, scales ? scales->size() : 0, spatial));
  }
  std::vector<Dim> out(input.begin(), input.end());
  for (size_t d = 0; d < spatial; ++d) {
    Dim& dim = out[d + 2];
    if (dim.is_known() && dim.value() <= 0)
      return failed(node, "c3", fmt::format("spatial dim {} of the input is empty", d));
    if (scales && !((*scales)[d] > 0))
      return failed(node, "c3", fmt::format("scale factor {} in dim {} is not positive", (*scales)[d], d));
    dim = size ? (*size)[d] : scaled(node.context().dims(), dim, (*scales)[d]);
    if (dim.is_known() && dim.value() <= 0)
      return failed(node, "c3", fmt::format("output size {} in dim {} is not positive", dim.value(), d));
  }
  return out;
}

namespace {

Status set_upsampled(Node& node, const std::optional<List<Dim>>& size,
                     const std::optional<List<double>>& scales) {
  const Type& x = node.operand(0)->type();
  const DType d = x.real_dtype();
  if (!x.ranked) return set_unranked_result(node, 0, d);
  ZP_TRY(const std::vector<Dim> shape, upsample_shape(node, x.shape, size, scales));
  return set_result(node, 0, d, shape);
}

Status infer_nearest(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& attrs = node.attrs<UpsampleNearestAttrs>();
  return set_upsampled(node, attrs.output_size, attrs.scale_factors);
}

Status infer_upsample(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const DType d = node.operand(0)->type().real_dtype();
  if (!is_float(d))
    return failed(node, "c4", fmt::format("elements are {}, a float type is needed", dtype_name(d)));
  const auto& attrs = node.attrs<UpsampleAttrs>();
  return set_upsampled(node, attrs.output_size, attrs.scale_factors);
}

Status infer_grid_sampler(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const auto& attrs = node.attrs<GridSamplerAttrs>();
  if (attrs.interpolation_mode < 0 || attrs.interpolation_mode > 2 || attrs.padding_mode < 0 ||
      attrs.padding_mode > 2) {
    return failed(node, "c3",
                  fmt::format("interpolation_mode {} and padding_mode {}: 0, 1 or 2 are known",
                              attrs.interpolation_mode, attrs.padding_mode));
  }
  const Type& x = node.operand(0)->type();
  const Type& grid = node.operand(1)->type();
  if (!is_float(x.real_dtype()) || x.real_dtype() != grid.real_dtype()) {
    return failed(node, "c4",
                  fmt::format("elements are {} and {}, one float type is needed", dtype_name(x.real_dtype()),
                              dtype_name(grid.real_dtype())));
  }
  if (any_unranked(node)) return set_unranked_result(node, 0, x.real_dtype());
  const int rank = x.rank();
  if ((rank != 4 && rank != 5) || grid.rank() != rank) {
    return failed(
        node, "c1",
        fmt::format("input and grid have ranks {} and {}, 4 and 4 or 5 and 5 are needed", rank, grid.rank()));
  }
  if (attrs.interpolation_mode == 2 && rank == 5)
    return failed(node, "c3", "bicubic sampling of volumes is not defined");
  const Dim last = grid.shape.back();
  if (last.is_known() && last.value() != rank - 2) {
    return failed(node, "c2",
                  fmt::format("the grid has {} coordinates a point, {} are needed", last.value(), rank - 2));
  }
  if (x.shape[0].is_known() && grid.shape[0].is_known() && !(x.shape[0] == grid.shape[0])) {
    return failed(
        node, "c2",
        fmt::format("input and grid have batches of {} and {}", x.shape[0].value(), grid.shape[0].value()));
  }
  std::vector<Dim> shape = x.shape.vec();
  for (size_t d = 2; d < shape.size(); ++d) {
    if (shape[d].is_known() && shape[d].value() == 0)
      return failed(node, "c1", fmt::format("spatial dim {} of the input is empty", d - 2));
    shape[d] = grid.shape[d - 1];
  }
  return set_result(node, 0, x.real_dtype(), shape);
}

constexpr OperandDef kInput[] = {{"input"}};
constexpr OperandDef kGrid[] = {{"input"}, {"grid", Role::Index}};
constexpr std::string_view kChecks[] = {"c1: the input has batch, channel and spatial dims",
                                        "c2: output_size or scale_factors has one entry per spatial dim",
                                        "c3: sizes and scale factors are positive"};
constexpr std::string_view kFloatChecks[] = {"c1: the input has batch, channel and spatial dims",
                                             "c2: output_size or scale_factors has one entry per spatial dim",
                                             "c3: sizes and scale factors are positive",
                                             "c4: elements are a float type"};
constexpr std::string_view kGridChecks[] = {"c1: input and grid have rank 4, or 5; the input is not empty",
                                            "c2: equal batch; the grid has one coordinate per spatial dim",
                                            "c3: modes are 0, 1 or 2; bicubic for images only",
                                            "c4: one float type"};

}  // namespace

#define ZP_NEAREST(NAME, DOC)                                             \
  constinit const OpDef NAME = {.name = #NAME,                            \
                                .doc = DOC,                               \
                                .operands = kInput,                       \
                                .results = kOneResult,                    \
                                .attrs = &attrs_of<UpsampleNearestAttrs>, \
                                .trait = Trait::SharesQparams,            \
                                .flags = kMonotone | kIntegerForm,        \
                                .infer = infer_nearest,                   \
                                .eval = ZP_EVAL(upsample_nearest),        \
                                .checks = kChecks}
#define ZP_UPSAMPLE(NAME, EVAL, DOC)                               \
  constinit const OpDef NAME = {.name = #NAME,                     \
                                .doc = DOC,                        \
                                .operands = kInput,                \
                                .results = kOneResult,             \
                                .attrs = &attrs_of<UpsampleAttrs>, \
                                .trait = Trait::FloatOnly,         \
                                .infer = infer_upsample,           \
                                .eval = ZP_EVAL(EVAL),             \
                                .checks = kFloatChecks}

ZP_NEAREST(upsample_nearest1d, "out[i] = in[floor(i * r)], r = 1 / scale factor, or in / out without one");
ZP_NEAREST(upsample_nearest2d,
           "out[i] = in[floor(i * r)] in each spatial dim, r = 1 / scale factor, or in / out without one");
ZP_NEAREST(upsample_nearest3d,
           "out[i] = in[floor(i * r)] in each spatial dim, r = 1 / scale factor, or in / out without one");
ZP_NEAREST(upsample_nearest_exact1d,
           "out[i] = in[floor((i + 0.5) * r)], r = 1 / scale factor, or in / out without one");
ZP_NEAREST(
    upsample_nearest_exact2d,
    "out[i] = in[floor((i + 0.5) * r)] in each spatial dim, r = 1 / scale factor, or in / out without one");
ZP_NEAREST(
    upsample_nearest_exact3d,
    "out[i] = in[floor((i + 0.5) * r)] in each spatial dim, r = 1 / scale factor, or in / out without one");
ZP_UPSAMPLE(upsample_linear1d, upsample_linear,
            "Linear interpolation at max((i + 0.5) * r - 0.5, 0), r as for nearest; with align_corners at i "
            "* (in - 1) / (out - 1)");
ZP_UPSAMPLE(upsample_bilinear2d, upsample_linear,
            "Linear interpolation in both dims at max((i + 0.5) * r - 0.5, 0), r as for nearest; with "
            "align_corners at i * (in - 1) / (out - 1)");
ZP_UPSAMPLE(upsample_trilinear3d, upsample_linear,
            "Linear interpolation in three dims at max((i + 0.5) * r - 0.5, 0), r as for nearest; with "
            "align_corners at i * (in - 1) / (out - 1)");
ZP_UPSAMPLE(upsample_bicubic2d, upsample_bicubic,
            "Cubic convolution (a = -0.75) in both dims at (i + 0.5) * r - 0.5, borders repeated; with "
            "align_corners at i * (in - 1) / (out - 1)");

constinit const OpDef grid_sampler = {.name = "grid_sampler",
                                      .doc =
                                          "The input sampled where the grid says: coordinates -1..1 span the "
                                          "input (its border pixels' centres with align_corners)",
                                      .operands = kGrid,
                                      .results = kOneResult,
                                      .attrs = &attrs_of<GridSamplerAttrs>,
                                      .trait = Trait::FloatOnly,
                                      .infer = infer_grid_sampler,
                                      .eval = ZP_EVAL(grid_sampler),
                                      .checks = kGridChecks};

}  // namespace zp::ops
