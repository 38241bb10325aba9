// Attributes of interpolation. `output_size` gives the size; without it the size is floor(in * scale factor).
// A scale factor that is given also maps output to input positions, even beside an output size. Cards:
// resize.list. Importers: the overloads with output_size and scales_d, scales_h, scales_w give these as
// `scale_factors` when all are there; grid_sampler_2d and grid_sampler_3d are grid_sampler;
// upsample_nearest_exact* drop the leading underscore.
#pragma once

#include <optional>

#include "ir/attrs.h"

namespace zp::ops {

struct UpsampleNearestAttrs {
  std::optional<List<Dim>> output_size;
  std::optional<List<double>> scale_factors;
  ZP_ATTRS(UpsampleNearestAttrs, output_size, scale_factors)
};
struct UpsampleAttrs {
  std::optional<List<Dim>> output_size;
  bool align_corners = false;
  std::optional<List<double>> scale_factors;
  ZP_ATTRS(UpsampleAttrs, output_size, align_corners, scale_factors)
};
struct GridSamplerAttrs {
  int64_t interpolation_mode = 0;  // 0 bilinear, 1 nearest, 2 bicubic
  int64_t padding_mode = 0;        // 0 zeros, 1 border, 2 reflection
  bool align_corners = false;
  ZP_ATTRS(GridSamplerAttrs, interpolation_mode, padding_mode, align_corners)
};

}  // namespace zp::ops
