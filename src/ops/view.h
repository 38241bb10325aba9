// Attributes of the operators that select, repeat or re-order elements of one tensor.
#pragma once

#include <optional>

#include "ir/attrs.h"

namespace zp::ops {

// Negative bounds count from the end, bounds are clamped to the extent; absent: from the start, to the end.
struct SliceAttrs {
  int64_t dim = 0;
  std::optional<Dim> start, end;
  Dim step = 1;
  ZP_ATTRS(SliceAttrs, dim, start, end, step)
};

struct SelectAttrs {
  int64_t dim = 0;
  Dim index = 0;
  ZP_ATTRS(SelectAttrs, dim, index)
};

struct SplitAttrs {
  List<Dim> sizes;
  int64_t dim = 0;
  ZP_ATTRS(SplitAttrs, sizes, dim)
};

struct UnbindAttrs {
  int64_t dim = 0;
  ZP_ATTRS(UnbindAttrs, dim)
};

// The diagonal of dims dim1 and dim2 becomes the last dim; offset > 0 is above the main diagonal.
struct DiagonalAttrs {
  int64_t offset = 0;
  int64_t dim1 = 0;
  int64_t dim2 = 1;
  ZP_ATTRS(DiagonalAttrs, offset, dim1, dim2)
};

// Element j is element storage_offset + sum stride[d] * j[d] of the dense input. An input that was a view in
// its source must be described relative to its own dense order.
struct AsStridedAttrs {
  List<Dim> size;
  List<Dim> stride;
  std::optional<Dim> storage_offset;
  ZP_ATTRS(AsStridedAttrs, size, stride, storage_offset)
};

// Windows of `size` along `dimension`, `step` apart; the window's elements become the last dim.
struct UnfoldAttrs {
  int64_t dimension = 0;
  int64_t size = 1;
  int64_t step = 1;
  ZP_ATTRS(UnfoldAttrs, dimension, size, step)
};

struct FlipAttrs {
  List<int64_t> dims;
  ZP_ATTRS(FlipAttrs, dims)
};

// No dims: the tensor is rolled as one line.
struct RollAttrs {
  List<Dim> shifts;
  List<int64_t> dims;
  ZP_ATTRS(RollAttrs, shifts, dims)
};

// Keeps elements with column - row <= diagonal (tril) or >= diagonal (triu) in the last two dims; the others
// become 0.
struct TriangleAttrs {
  Dim diagonal = 0;
  ZP_ATTRS(TriangleAttrs, diagonal)
};

struct PixelShuffleAttrs {
  int64_t upscale_factor = 1;
  ZP_ATTRS(PixelShuffleAttrs, upscale_factor)
};
struct PixelUnshuffleAttrs {
  int64_t downscale_factor = 1;
  ZP_ATTRS(PixelUnshuffleAttrs, downscale_factor)
};
struct ChannelShuffleAttrs {
  int64_t groups = 1;
  ZP_ATTRS(ChannelShuffleAttrs, groups)
};

// Tiles the tensor; more entries than dims add leading dims.
struct RepeatAttrs {
  List<Dim> repeats;
  ZP_ATTRS(RepeatAttrs, repeats)
};

// Each element `repeats` times; no dim: of the flattened tensor. With the operand `counts`, element i of it
// times.
struct RepeatInterleaveAttrs {
  Dim repeats = 1;
  std::optional<int64_t> dim;
  std::optional<Dim> output_size;
  ZP_ATTRS(RepeatInterleaveAttrs, repeats, dim, output_size)
};

}  // namespace zp::ops
