// Moves bytes as a shape map says. A moved tensor is a strided view as long as possible: reshapes, permutes
// and windows of dense or sliced storage touch no byte; what cannot be a view is copied once, in cache
// blocks, at the end.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ir/shape_map.h"
#include "ir/tensor.h"
#include "support/blob.h"

namespace zp {

// Elements of `width` bytes (1, 2, 4, 8 or 16), or packed ones of 4 bits.
struct StridedView {
  Blob storage;
  int64_t width = 1;
  DType packed = DType::Unknown;  // I4 or U4: two elements a byte in `storage`, the first one lowest
  IntShape shape;
  std::vector<int64_t> strides;  // in elements; may be 0 or negative
  int64_t offset = 0;            // in elements

  int64_t elements() const;
  bool dense() const;  // C order without gaps
};

std::vector<int64_t> dense_strides(const IntShape& shape);
StridedView view_of(const Tensor& tensor);

// Whole elements into dense C order; multi-threaded, see support/strided_copy.h.
void copy_strided(const StridedView& from, std::byte* to);
// The view as dense bytes: a slice of its storage where it is one already.
Result<Blob> dense_blob(const StridedView& view);

// The same, but for a type below 8 bits and packed; nibbles that only change their order are never unpacked
// in memory.
Result<Blob> packed_blob(const StridedView& view, DType dtype);

// Elements of one byte each as a constant of a type below 8 bits stores them: packed, the first one lowest.
Blob pack_elements(DType dtype, std::span<const std::byte> elements);

// Applies steps. `fill` (width bytes, null: zeros) is what padding becomes.
Result<StridedView> move_view(StridedView view, std::span<const MapStep> steps,
                              const std::byte* fill = nullptr);
// Joins views of one width along a dim into a dense one.
Result<StridedView> join_views(std::span<const StridedView> views, int64_t dim);
// A whole result of a map. Null operands are those the map does not read.
Result<StridedView> move_result(const MapResult& result, std::span<const StridedView> operands,
                                const std::byte* fill = nullptr);

}  // namespace zp
