// Attributes of the operators whose places are given by tensors of indices or masks, and of their writing
// forms.
#pragma once

#include <optional>
#include <string_view>

#include "ir/attrs.h"

namespace zp::ops {

// Row indices[j] of the table. padding_idx, scale_grad_by_freq and sparse matter to training only.
struct EmbeddingAttrs {
  int64_t padding_idx = -1;
  bool scale_grad_by_freq = false;
  bool sparse = false;
  ZP_ATTRS(EmbeddingAttrs, padding_idx, scale_grad_by_freq, sparse)
};

struct IndexSelectAttrs {
  int64_t dim = 0;
  ZP_ATTRS(IndexSelectAttrs, dim)
};

// Element j is that of the input with coordinate `dim` replaced by index[j].
struct GatherAttrs {
  int64_t dim = 0;
  bool sparse_grad = false;
  ZP_ATTRS(GatherAttrs, dim, sparse_grad)
};

struct IndexPutAttrs {
  bool accumulate = false;
  ZP_ATTRS(IndexPutAttrs, accumulate)
};

struct IndexCopyAttrs {
  int64_t dim = 0;
  ZP_ATTRS(IndexCopyAttrs, dim)
};

// Adds alpha * source to the rows of index.
struct IndexAddAttrs {
  int64_t dim = 0;
  Number alpha = Number::of_int(1);
  ZP_ATTRS(IndexAddAttrs, dim, alpha)
};

// The inverse of gather: writes src (or `value` where there is no src operand) to the places of index.
// `reduce`: empty, "add" or "multiply" with what is there.
struct ScatterAttrs {
  int64_t dim = 0;
  std::optional<Number> value;
  std::string_view reduce;
  ZP_ATTRS(ScatterAttrs, dim, value, reduce)
};

struct SliceScatterAttrs {
  int64_t dim = 0;
  std::optional<Dim> start, end;
  Dim step = 1;
  ZP_ATTRS(SliceScatterAttrs, dim, start, end, step)
};

struct SelectScatterAttrs {
  int64_t dim = 0;
  Dim index = 0;
  ZP_ATTRS(SelectScatterAttrs, dim, index)
};

}  // namespace zp::ops
