// Padding, with a constant or from the tensor's own elements. Padding from own elements only moves bytes; a
// constant is a real number, which quantized elements must be able to say exactly.
#include "ops/pad.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/ops.h"
#include "ops/rearrange_util.h"

namespace zp::ops {

namespace {

constexpr std::string_view kPadChecks[] = {
    "c1: pairs of numbers, at most one a dim", "c2: mode is constant, reflect, replicate or circular",
    "c3: no dim becomes negative",
    "c4: reflect pads less than the extent, circular at most the extent, replicate needs an element",
    "quant: the value is exact in the scale of every padded element"};

Status check_mode(const Node& node, int64_t extent, int64_t before, int64_t after) {
  const std::string_view mode = node.attrs<PadAttrs>().mode;
  int64_t padded = 0;
  if (__builtin_add_overflow(extent, before, &padded) || __builtin_add_overflow(padded, after, &padded) ||
      padded < 0) {
    return failed(node, "c3", fmt::format("extent {} with {} before and {} after", extent, before, after));
  }
  const int64_t most = std::max(before, after);
  if (most <= 0 || mode == "constant") return {};
  if ((mode == "reflect" && most >= extent) || (mode == "circular" && most > extent) ||
      (mode == "replicate" && extent == 0)) {
    return failed(node, "c4", fmt::format("{} pads {} around an extent of {}", mode, most, extent));
  }
  return {};
}

Status infer_pad(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  const PadAttrs& attrs = node.attrs<PadAttrs>();
  if (attrs.mode != "constant" && attrs.mode != "reflect" && attrs.mode != "replicate" &&
      attrs.mode != "circular") {
    return failed(node, "c2", fmt::format("mode is '{}'", attrs.mode));
  }
  if (any_unranked(node)) return set_moved_unranked(node);
  std::vector<Dim> shape = node.operand(0)->type().shape.vec();
  if (attrs.pad.size() % 2 != 0 || attrs.pad.size() / 2 > shape.size()) {
    return failed(node, "c1",
                  fmt::format("{} numbers for a tensor of rank {}", attrs.pad.size(), shape.size()));
  }
  DimContext& dims = context.dims();
  for (size_t k = 0; 2 * k < attrs.pad.size(); ++k) {
    Dim& extent = shape[shape.size() - 1 - k];
    const Dim before = attrs.pad[2 * k], after = attrs.pad[2 * k + 1];
    if (extent.is_known() && before.is_known() && after.is_known()) {
      ZP_CHECK(check_mode(node, extent.value(), before.value(), after.value()));
    }
    extent = dims.add(extent, dims.add(before, after));
  }
  return set_moved_result(node, 0, shape);
}

// Coordinate of the input for place j (which may lie outside) of a dim.
int64_t source_of(std::string_view mode, int64_t j, int64_t extent) {
  if (j >= 0 && j < extent) return j;
  if (mode == "reflect") return j < 0 ? -j : 2 * (extent - 1) - j;
  if (mode == "replicate") return j < 0 ? 0 : extent - 1;
  if (mode == "circular") return j < 0 ? j + extent : j - extent;
  return -1;
}

Status map_pad(const Node& node, ShapeMap* map) {
  const PadAttrs& attrs = node.attrs<PadAttrs>();
  ZP_TRY(IntShape in, map->env->shape(0));
  ZP_TRY(const IntShape pad, map->env->dims(attrs.pad));
  std::vector<MapStep> steps;
  for (size_t k = 0; 2 * k < pad.size(); ++k) {
    const size_t d = in.size() - 1 - k;
    const int64_t extent = in[d], before = pad[2 * k], after = pad[2 * k + 1];
    ZP_CHECK(check_mode(node, extent, before, after));
    if (before == 0 && after == 0) continue;
    const int64_t count = extent + before + after;
    if (before <= 0 && after <= 0) {
      steps.push_back(MapStep::window(in, static_cast<int64_t>(d), -before, 1, count));
    } else {
      ZP_CHECK(check_index_count(node, {count}));
      std::vector<int64_t> index(static_cast<size_t>(count));
      for (int64_t j = 0; j < count; ++j)
        index[static_cast<size_t>(j)] = source_of(attrs.mode, j - before, extent);
      steps.push_back(MapStep::take(static_cast<int64_t>(d), std::move(index)));
    }
    in[d] = count;
  }
  map->results = {{.parts = {{0, std::move(steps)}}, .fill = attrs.value}};
  return {};
}

}  // namespace

constinit const OpDef pad = {
    .name = "pad",
    .doc =
        "Adds coordinates around dims: a constant, or elements of the tensor (reflect, replicate, circular).",
    .operands = kSelfOperand,
    .results = kOutResult,
    .attrs = &attrs_of<PadAttrs>,
    .trait = Trait::ShapeOnly,
    .flags = kAddsElements,
    .infer = infer_pad,
    .eval = eval_moved,
    .shape_map = map_pad,
    .checks = kPadChecks};

}  // namespace zp::ops
