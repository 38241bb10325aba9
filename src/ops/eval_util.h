// What evaluators share: results of the right type, narrow floats widened, the one fixed order of float
// additions, and iteration over broadcast operands.
//
// The order: 16 lanes start at +0; lane i takes elements i, i + 16, i + 32, ...; then lanes are added
// pairwise 8, 4, 2, 1 apart (lane i += lane i + 8, ...). It vectorizes on every machine and does not depend
// on vector width or threads.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ir/tensor.h"

namespace zp::ops {

// Sum and dot product in the fixed order. `stride` in elements. No fused multiply-add: each product is
// rounded.
float sum16(const float* x, int64_t n, int64_t stride = 1);
double sum16(const double* x, int64_t n, int64_t stride = 1);
float dot16(const float* a, const float* b, int64_t n);
double dot16(const double* a, const double* b, int64_t n);

// The same order for a sum whose terms are computed on the way:
//   Lanes16<float> sum; for (i...) sum.add(i, term(i)); sum.total()
template <typename T>
struct Lanes16 {
  std::array<T, 16> lane{};
  void add(int64_t i, T term) { lane[static_cast<size_t>(i & 15)] += term; }
  T total() const {
    std::array<T, 16> t = lane;
    for (size_t width = 8; width >= 1; width /= 2)
      for (size_t i = 0; i < width; ++i) t[i] += t[i + width];
    return t[0];
  }
};

// What result `index` means: the expressed dtype of a quantized result (evaluators of wrapped ops return real
// numbers, the interpreter quantizes them), else its dtype.
DType result_dtype(const EvalArgs& args, size_t index = 0);
// The shape the type of result `index` promises, symbols replaced by their values.
Result<std::vector<int64_t>> result_shape(const EvalArgs& args, size_t index = 0);
// Puts a zeroed tensor in out[index] and returns it.
Result<Tensor*> make_result(EvalArgs& args, size_t index, DType dtype, std::vector<int64_t> shape);

// Any real, integer or bool tensor as f32 (or f64); the tensor itself where it has that type already.
Result<Tensor> to_float(const Tensor& x);
Result<Tensor> to_double(const Tensor& x);
// f32 or f64 values rounded once to a floating dtype; the tensor itself where it has that type already.
Result<Tensor> round_to(const Tensor& x, DType dtype);

// Element strides for reading `shape` as if broadcast to `out` (0 along broadcast dims); shapes must fit.
std::vector<int64_t> broadcast_strides(std::span<const int64_t> shape, std::span<const int64_t> out);
// The common shape of two that broadcast (callers have checked that they do).
std::vector<int64_t> broadcast_shape(std::span<const int64_t> a, std::span<const int64_t> b);

// Visits all rows of a result: row(out_offset, in_offsets, length, in_steps), where a row is a run along the
// last dims that have constant strides for all operands (or a piece of one). Rows are visited in parallel;
// they must not depend on each other.
using RowVisitor = std::function<void(int64_t out, const int64_t* in, int64_t length, const int64_t* step)>;
void for_each_row(std::span<const int64_t> out_shape, std::span<const std::vector<int64_t>> in_strides,
                  const RowVisitor& row);

// Product of the dims in [begin, end); INT64_MAX if it is larger, which only shapes of tensors without
// elements can be.
int64_t product(std::span<const int64_t> shape, size_t begin, size_t end);
inline int64_t product(std::span<const int64_t> shape) { return product(shape, 0, shape.size()); }

}  // namespace zp::ops
