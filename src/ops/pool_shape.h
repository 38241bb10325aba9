// The geometry of windows over spatial dims, shared by inference (symbolic dims) and evaluation (numbers).
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace zp::ops {

inline constexpr int kMaxSpatial = 3;

struct WindowGeometry {
  int spatial = 0;
  std::array<int64_t, kMaxSpatial> kernel{}, stride{}, padding{}, dilation{};
};

// Spatial rank of a card from its name: max_pool2d is 2.
int spatial_rank(const Node& node);

// Lists of one entry are spread, an empty stride is the kernel, an empty padding 0, an empty dilation 1.
// Checks `<op>.c2` (lengths) and `<op>.c3` (ranges of values).
Result<WindowGeometry> window_geometry(const Node& node, int spatial, List<int64_t> kernel,
                                       List<int64_t> stride, List<int64_t> padding, List<int64_t> dilation);
// The geometry of a node of the max_pool, avg_pool, im2col or col2im cards.
Result<WindowGeometry> pool_geometry(const Node& node);

// Number of windows along one dim: floor or ceil of (in + 2 p - d (k - 1) - 1) / s, plus 1; with ceil_mode
// without the windows that would start at or beyond in + p.
Dim window_count(DimContext& dims, Dim in, const WindowGeometry& g, int d, bool ceil_mode);

// Shape of the pooled input. Checks `<op>.c1` (rank) and `<op>.c4` (at least one window).
Result<std::vector<Dim>> pool_shape(const Node& node, std::span<const Dim> input);
Result<std::vector<Dim>> adaptive_pool_shape(const Node& node, std::span<const Dim> input,
                                             std::span<const Dim> size);
Result<std::vector<Dim>> im2col_shape(const Node& node, std::span<const Dim> input);
Result<std::vector<Dim>> col2im_shape(const Node& node, std::span<const Dim> input,
                                      std::span<const Dim> size);

}  // namespace zp::ops
