// Cards, geometry and inference of pooling and of windows as columns.
#include "ops/pool.h"

#include <fmt/format.h>

#include <numeric>

#include "ir/shape_map.h"
#include "ops/infer_util.h"
#include "ops/ops.h"
#include "ops/pool_eval.h"
#include "ops/pool_shape.h"

namespace zp::ops {

int spatial_rank(const Node& node) {
  for (const char c : node.op().name)
    if (c >= '1' && c <= '3') return c - '0';
  return 2;
}

namespace {

Result<std::array<int64_t, kMaxSpatial>> spread(const Node& node, std::string_view what, List<int64_t> list,
                                                int spatial, int64_t otherwise) {
  std::array<int64_t, kMaxSpatial> out{};
  if (list.size() > 1 && list.size() != static_cast<size_t>(spatial)) {
    return failed(node, "c2",
                  fmt::format("{} has {} entries, 1 or {} are needed", what, list.size(), spatial));
  }
  for (size_t d = 0; d < static_cast<size_t>(spatial); ++d) {
    out[d] = list.empty() ? otherwise : list.size() == 1 ? list[0] : list[d];
  }
  return out;
}

// Larger numbers could overflow the arithmetic of sizes.
constexpr int64_t kLargest = int64_t{1} << 30;
constexpr int64_t kLargestIndex = int64_t{1} << 26;  // of a dim of all windows, one behind the other

}  // namespace

Result<WindowGeometry> window_geometry(const Node& node, int spatial, List<int64_t> kernel,
                                       List<int64_t> stride, List<int64_t> padding, List<int64_t> dilation) {
  WindowGeometry g;
  g.spatial = spatial;
  if (kernel.empty()) return failed(node, "c2", "kernel_size is empty");
  ZP_TRY(g.kernel, spread(node, "kernel_size", kernel, spatial, 0));
  ZP_TRY(g.stride, spread(node, "stride", stride.empty() ? kernel : stride, spatial, 1));
  ZP_TRY(g.padding, spread(node, "padding", padding, spatial, 0));
  ZP_TRY(g.dilation, spread(node, "dilation", dilation, spatial, 1));
  for (size_t d = 0; d < static_cast<size_t>(spatial); ++d) {
    const bool positive = g.kernel[d] > 0 && g.stride[d] > 0 && g.dilation[d] > 0 && g.padding[d] >= 0;
    const bool small = g.kernel[d] < kLargest && g.stride[d] < kLargest && g.dilation[d] < kLargest &&
                       g.padding[d] < kLargest;
    if (!positive || !small) {
      return failed(node, "c3",
                    fmt::format("kernel {}, stride {}, padding {}, dilation {} in dim {}: all must be "
                                "positive, padding not negative",
                                g.kernel[d], g.stride[d], g.padding[d], g.dilation[d], d));
    }
  }
  return g;
}

Result<WindowGeometry> pool_geometry(const Node& node) {
  const int spatial = spatial_rank(node);
  const std::string_view name = node.op().name;
  if (name == "im2col") {
    const auto& a = node.attrs<Im2colAttrs>();
    return window_geometry(node, 2, a.kernel_size, a.stride, a.padding, a.dilation);
  }
  if (name == "col2im") {
    const auto& a = node.attrs<Col2imAttrs>();
    return window_geometry(node, 2, a.kernel_size, a.stride, a.padding, a.dilation);
  }
  const bool average = name.starts_with("avg");
  List<int64_t> kernel, stride, padding, dilation;
  if (average) {
    const auto& a = node.attrs<AvgPoolAttrs>();
    kernel = a.kernel_size, stride = a.stride, padding = a.padding;
  } else {
    const auto& a = node.attrs<MaxPoolAttrs>();
    kernel = a.kernel_size, stride = a.stride, padding = a.padding, dilation = a.dilation;
  }
  ZP_TRY(const WindowGeometry g, window_geometry(node, spatial, kernel, stride, padding, dilation));
  for (size_t d = 0; d < static_cast<size_t>(spatial); ++d) {
    const int64_t window = (g.kernel[d] - 1) * g.dilation[d] + 1;
    if (g.padding[d] > window / 2) {
      return failed(
          node, "c3",
          fmt::format("padding {} in dim {} is more than half of the window of {}", g.padding[d], d, window));
    }
  }
  return g;
}

Dim window_count(DimContext& dims, Dim in, const WindowGeometry& g, int d, bool ceil_mode) {
  const auto i = static_cast<size_t>(d);
  const int64_t window = g.dilation[i] * (g.kernel[i] - 1) + 1;
  const Dim span = dims.add(in, Dim(2 * g.padding[i] - window));
  if (!ceil_mode) return dims.add(dims.floordiv(span, Dim(g.stride[i])), Dim(1));
  const Dim all = dims.add(dims.ceildiv(span, Dim(g.stride[i])), Dim(1));
  // Windows that start inside: their number is ceil((in + p) / s). It only matters for strides beyond the
  // window.
  if (g.padding[i] + g.stride[i] <= window) return all;
  return dims.min(all, dims.ceildiv(dims.add(in, Dim(g.padding[i])), Dim(g.stride[i])));
}

namespace {

Status check_rank(const Node& node, std::span<const Dim> input, int spatial) {
  const auto rank = static_cast<int>(input.size());
  if (rank != spatial + 1 && rank != spatial + 2) {
    return failed(node, "c1",
                  fmt::format("the input has rank {}, {} or {} is needed", rank, spatial + 1, spatial + 2));
  }
  return {};
}

bool ceil_mode_of(const Node& node) {
  return node.op().name.starts_with("avg") ? node.attrs<AvgPoolAttrs>().ceil_mode
                                           : node.attrs<MaxPoolAttrs>().ceil_mode;
}

}  // namespace

Result<std::vector<Dim>> pool_shape(const Node& node, std::span<const Dim> input) {
  ZP_TRY(const WindowGeometry g, pool_geometry(node));
  ZP_CHECK(check_rank(node, input, g.spatial));
  std::vector<Dim> out(input.begin(), input.end());
  const size_t first = out.size() - static_cast<size_t>(g.spatial);
  for (int d = 0; d < g.spatial; ++d) {
    Dim& dim = out[first + static_cast<size_t>(d)];
    const Dim in = dim;
    dim = window_count(node.context().dims(), in, g, d, ceil_mode_of(node));
    if (dim.is_known() && dim.value() < 1) {
      return failed(node, "c4", fmt::format("{} elements in spatial dim {} give no window", in.value(), d));
    }
  }
  return out;
}

Result<std::vector<Dim>> adaptive_pool_shape(const Node& node, std::span<const Dim> input,
                                             std::span<const Dim> size) {
  const int spatial = spatial_rank(node);
  ZP_CHECK(check_rank(node, input, spatial));
  if (size.size() != 1 && size.size() != static_cast<size_t>(spatial)) {
    return failed(node, "c2", fmt::format("output_size has {} entries, {} are needed", size.size(), spatial));
  }
  std::vector<Dim> out(input.begin(), input.end());
  for (size_t d = 0; d < static_cast<size_t>(spatial); ++d) {
    Dim& dim = out[out.size() - static_cast<size_t>(spatial) + d];
    const Dim in = dim;
    dim = size.size() == 1 ? size[0] : size[d];
    if (dim.is_known() && dim.value() < 0)
      return failed(node, "c3", fmt::format("output_size {} in dim {} is negative", dim.value(), d));
    if (in.is_known() && in.value() == 0)
      return failed(node, "c3", fmt::format("spatial dim {} of the input is empty", d));
  }
  return out;
}

namespace {

// Number of columns: the product of the windows of both dims.
Result<Dim> column_count(const Node& node, const WindowGeometry& g, std::span<const Dim> size) {
  DimContext& dims = node.context().dims();
  Dim columns(1);
  for (int d = 0; d < g.spatial; ++d) {
    const Dim windows = window_count(dims, size[static_cast<size_t>(d)], g, d, false);
    if (windows.is_known() && windows.value() < 1) {
      return failed(
          node, "c4",
          fmt::format("{} elements in spatial dim {} give no window", size[static_cast<size_t>(d)].str(), d));
    }
    columns = dims.mul(columns, windows);
  }
  return columns;
}

}  // namespace

Result<std::vector<Dim>> im2col_shape(const Node& node, std::span<const Dim> input) {
  ZP_TRY(const WindowGeometry g, pool_geometry(node));
  ZP_CHECK(check_rank(node, input, 2));
  std::vector<Dim> out(input.begin(), input.end() - 3);
  ZP_TRY(const Dim columns, column_count(node, g, input.last(2)));
  out.push_back(node.context().dims().mul(input[input.size() - 3], Dim(g.kernel[0] * g.kernel[1])));
  out.push_back(columns);
  return out;
}

Result<std::vector<Dim>> col2im_shape(const Node& node, std::span<const Dim> input,
                                      std::span<const Dim> size) {
  ZP_TRY(const WindowGeometry g, pool_geometry(node));
  if (input.size() != 2 && input.size() != 3) {
    return failed(node, "c1", fmt::format("the input has rank {}, 2 or 3 is needed", input.size()));
  }
  if (size.size() != 2)
    return failed(node, "c2", fmt::format("output_size has {} entries, 2 are needed", size.size()));
  ZP_TRY(const Dim columns, column_count(node, g, size));
  const Dim rows = input[input.size() - 2], given = input.back();
  const int64_t window = g.kernel[0] * g.kernel[1];
  if (rows.is_known() && rows.value() % window != 0) {
    return failed(
        node, "c4",
        fmt::format("{} rows are no multiple of the {} elements of a window", rows.value(), window));
  }
  if (columns.is_known() && given.is_known() && !(columns == given)) {
    return failed(node, "c4",
                  fmt::format("the input has {} columns, output_size gives {} windows", given.value(),
                              columns.value()));
  }
  std::vector<Dim> out(input.begin(), input.end() - 2);
  out.push_back(node.context().dims().floordiv(rows, Dim(window)));
  out.insert(out.end(), size.begin(), size.end());
  return out;
}

namespace {

// Maximum keeps any real type, average is for floats (and i64, as the source framework has it).
Status check_elements(const Node& node) {
  ZP_CHECK(check_operands(node));
  const DType d = node.operand(0)->type().real_dtype();
  if (d == DType::Bool || is_complex(d))
    return failed(node, "c5", fmt::format("elements are {}, real numbers are needed", dtype_name(d)));
  return {};
}

Status set_pooled(Node& node, Result<std::vector<Dim>> shape) {
  if (!shape.ok()) return std::move(shape).error();
  ZP_CHECK(set_result(node, 0, node.operand(0)->type().real_dtype(), *shape));
  for (size_t i = 1; i < node.result_count(); ++i) ZP_CHECK(set_result(node, i, DType::I64, *shape));
  return {};
}

Status set_unranked_pool(Node& node) {
  ZP_CHECK(set_unranked_result(node, 0, node.operand(0)->type().real_dtype()));
  for (size_t i = 1; i < node.result_count(); ++i) ZP_CHECK(set_unranked_result(node, i, DType::I64));
  return {};
}

Status infer_pool(Context&, Node& node) {
  ZP_CHECK(check_elements(node));
  const Type& x = node.operand(0)->type();
  return x.ranked ? set_pooled(node, pool_shape(node, x.shape)) : set_unranked_pool(node);
}

Status infer_avg_pool(Context& context, Node& node) {
  const auto& divisor = node.attrs<AvgPoolAttrs>().divisor_override;
  if (divisor && *divisor == 0) return failed(node, "c6", "divisor_override is 0");
  return infer_pool(context, node);
}

Status infer_adaptive_pool(Context&, Node& node) {
  ZP_CHECK(check_elements(node));
  const Type& x = node.operand(0)->type();
  if (!x.ranked) return set_unranked_pool(node);
  return set_pooled(node, adaptive_pool_shape(node, x.shape, node.attrs<AdaptivePoolAttrs>().output_size));
}

Status infer_im2col(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type& x = node.operand(0)->type();
  return x.ranked ? set_pooled(node, im2col_shape(node, x.shape)) : set_unranked_pool(node);
}

Status infer_col2im(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type& x = node.operand(0)->type();
  return x.ranked ? set_pooled(node, col2im_shape(node, x.shape, node.attrs<Col2imAttrs>().output_size))
                  : set_unranked_pool(node);
}

constexpr std::string_view kWithIndices[] = {"out", "indices"};
constexpr std::string_view kPoolChecks[] = {
    "c1: the input has the spatial dims, a channel dim and perhaps a batch dim",
    "c2: lists have one entry, or one per spatial dim",
    "c3: kernel, stride and dilation are positive, padding is 0 to half of the window",
    "c4: there is at least one window in each dim", "c5: elements are real numbers"};
constexpr std::string_view kAvgChecks[] = {
    "c1: the input has the spatial dims, a channel dim and perhaps a batch dim",
    "c2: lists have one entry, or one per spatial dim",
    "c3: kernel and stride are positive, padding is 0 to half of the window",
    "c4: there is at least one window in each dim",
    "c5: elements are real numbers",
    "c6: divisor_override is not 0"};
constexpr std::string_view kAdaptiveChecks[] = {
    "c1: the input has the spatial dims, a channel dim and perhaps a batch dim",
    "c2: output_size has one entry, or one per spatial dim",
    "c3: output_size is not negative, and no spatial dim of the input is empty",
    "c5: elements are real numbers"};
constexpr std::string_view kColumnChecks[] = {
    "c1: im2col: rank 3 or 4; col2im: rank 2 or 3", "c2: lists have one entry, or one per spatial dim",
    "c3: kernel, stride and dilation are positive, padding is not negative",
    "c4: windows, rows and columns fit each other"};

// Rows and columns are taken window by window, with padding where a window looks beyond the border; then the
// places within windows come first.
Status map_im2col(const Node& node, ShapeMap* map) {
  ZP_TRY(const WindowGeometry g, pool_geometry(node));
  ZP_TRY(const IntShape in, map->env->shape(0));
  ZP_TRY(const std::vector<Dim> out, im2col_shape(node, dims_of(in)));
  const size_t first = in.size() - 2;
  std::vector<MapStep> steps;
  IntShape apart(in.begin(), in.end() - 2);
  std::vector<int64_t> order(first);
  std::iota(order.begin(), order.end(), int64_t{0});
  for (size_t d = 0; d < 2; ++d) {
    const int64_t extent = in[first + d], window = g.dilation[d] * (g.kernel[d] - 1) + 1;
    const int64_t count = (extent + 2 * g.padding[d] - window) / g.stride[d] + 1;
    if (count > kLargestIndex / g.kernel[d])
      return failed(node, "static", fmt::format("{} windows of {}", count, g.kernel[d]));
    std::vector<int64_t> index;
    for (int64_t k = 0; k < g.kernel[d]; ++k) {
      for (int64_t o = 0; o < count; ++o) {
        const int64_t place = o * g.stride[d] - g.padding[d] + k * g.dilation[d];
        index.push_back(place >= 0 && place < extent ? place : -1);
      }
    }
    steps.push_back(MapStep::take(static_cast<int64_t>(first + d), std::move(index)));
    apart.insert(apart.end(), {g.kernel[d], count});
  }
  for (const size_t d : {0, 2, 1, 3}) order.push_back(static_cast<int64_t>(first + d));
  steps.push_back(MapStep::reshape(std::move(apart)));
  steps.push_back(MapStep::permute(std::move(order)));
  steps.push_back(MapStep::reshape(known_shape(out)));
  map->results = {{.parts = {{0, std::move(steps)}}, .fill = Number::of_int(0)}};
  return {};
}

}  // namespace

#define ZP_POOL(NAME, ATTRS, INFER, EVAL, RESULTS, TRAIT, FLAGS, CHECKS, DOC) \
  constinit const OpDef NAME = {.name = #NAME,                                \
                                .doc = DOC,                                   \
                                .operands = kSelfOperand,                     \
                                .results = RESULTS,                           \
                                .attrs = &attrs_of<ATTRS>,                    \
                                .trait = Trait::TRAIT,                        \
                                .flags = FLAGS,                               \
                                .infer = INFER,                               \
                                .eval = ZP_EVAL(EVAL),                        \
                                .checks = CHECKS}
#define ZP_MAX_POOL(NAME)                                                                                \
  ZP_POOL(NAME, MaxPoolAttrs, infer_pool, max_pool, kOneResult, SharesQparams, kMonotone | kIntegerForm, \
          kPoolChecks, "The largest element of each window, padding left out; NaN if the window has one")
#define ZP_MAX_POOL_INDICES(NAME)                                                                          \
  ZP_POOL(NAME, MaxPoolAttrs, infer_pool, max_pool, kWithIndices, SharesQparams, kMonotone | kIntegerForm, \
          kPoolChecks,                                                                                     \
          "The largest element of each window and its place in the flattened spatial dims (the first of "  \
          "equals)")
#define ZP_AVG_POOL(NAME)                                                                                  \
  ZP_POOL(NAME, AvgPoolAttrs, infer_avg_pool, avg_pool, kOneResult, Rescales, kMonotone | kIntegerForm,    \
          kAvgChecks,                                                                                      \
          "The sum of each window over divisor_override, or over its cells: inside the padded border, or " \
          "without "                                                                                       \
          "count_include_pad inside the input")
#define ZP_ADAPTIVE_AVG(NAME)                                                                    \
  ZP_POOL(NAME, AdaptivePoolAttrs, infer_adaptive_pool, adaptive_avg_pool, kOneResult, Rescales, \
          kMonotone | kIntegerForm, kAdaptiveChecks,                                             \
          "The mean of the elements floor(i * in / out) to ceil((i + 1) * in / out) of each spatial dim")
#define ZP_ADAPTIVE_MAX(NAME)                                                                            \
  ZP_POOL(NAME, AdaptivePoolAttrs, infer_adaptive_pool, adaptive_max_pool, kWithIndices, SharesQparams,  \
          kMonotone | kIntegerForm, kAdaptiveChecks,                                                     \
          "The largest of the elements floor(i * in / out) to ceil((i + 1) * in / out) of each spatial " \
          "dim, and its place")

ZP_MAX_POOL(max_pool1d);
ZP_MAX_POOL(max_pool2d);
ZP_MAX_POOL(max_pool3d);
ZP_MAX_POOL_INDICES(max_pool1d_with_indices);
ZP_MAX_POOL_INDICES(max_pool2d_with_indices);
ZP_MAX_POOL_INDICES(max_pool3d_with_indices);
ZP_AVG_POOL(avg_pool1d);
ZP_AVG_POOL(avg_pool2d);
ZP_AVG_POOL(avg_pool3d);
ZP_ADAPTIVE_AVG(adaptive_avg_pool1d);
ZP_ADAPTIVE_AVG(adaptive_avg_pool2d);
ZP_ADAPTIVE_AVG(adaptive_avg_pool3d);
ZP_ADAPTIVE_MAX(adaptive_max_pool1d);
ZP_ADAPTIVE_MAX(adaptive_max_pool2d);
ZP_ADAPTIVE_MAX(adaptive_max_pool3d);
constinit const OpDef im2col = {.name = "im2col",
                                .doc = "Each window of the zero-padded input as a column of C * kernel rows",
                                .operands = kSelfOperand,
                                .results = kOneResult,
                                .attrs = &attrs_of<Im2colAttrs>,
                                .trait = Trait::SharesQparams,
                                .flags = kIntegerForm | kAddsElements,
                                .infer = infer_im2col,
                                .eval = ZP_EVAL(im2col),
                                .shape_map = map_im2col,
                                .checks = kColumnChecks};
ZP_POOL(col2im, Col2imAttrs, infer_col2im, col2im, kOneResult, FloatOnly, 0, kColumnChecks,
        "Columns added back to their windows, the padding dropped");

}  // namespace zp::ops
