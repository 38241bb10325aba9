// Turning numbers into integers and back on run-time tensors: what the evaluators of quantize and dequantize,
// the evaluators of affine ops and the interpreter share. The rounding rules are in quant.h and
// support/rounding.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "ir/tensor.h"
#include "ops/eval_util.h"
#include "support/parallel.h"
#include "support/rounding.h"

namespace zp::ops {

Status eval_quantize(EvalArgs& args);
Status eval_dequantize(EvalArgs& args);
Status eval_fake_quantize(EvalArgs& args);
Status eval_choose_qparams(EvalArgs& args);
Status eval_storage_cast(EvalArgs& args);

// Parameters of a type for a tensor of that shape: the static ones, or those in the operands of a dynamic
// type.
Result<QuantParams> resolve_quant(Context& context, const QuantType& quant, std::span<const int64_t> shape,
                                  const Tensor* scale, const Tensor* zero_point);

// (q - zero_point) * scale as f32, rounded once more for a narrow `to`; in f64 for f64 or parameters of f64.
Result<Tensor> dequantize_tensor(const Tensor& q, const QuantParams& params, DType to);
Result<Tensor> quantize_tensor(const Tensor& x, const QuantParams& params, bool zero_point_first = false);

// Calls f with a null pointer of the element type that holds the integers of `dtype`; false if it is no
// integer type.
template <typename F>
bool dispatch_integer(DType dtype, const F& f) {
  switch (dtype) {
    case DType::I2:
    case DType::I4:
    case DType::I8: f(static_cast<int8_t*>(nullptr)); return true;
    case DType::U2:
    case DType::U4:
    case DType::U8: f(static_cast<uint8_t*>(nullptr)); return true;
    case DType::I16: f(static_cast<int16_t*>(nullptr)); return true;
    case DType::U16: f(static_cast<uint16_t*>(nullptr)); return true;
    case DType::I32: f(static_cast<int32_t*>(nullptr)); return true;
    case DType::U32: f(static_cast<uint32_t*>(nullptr)); return true;
    case DType::I64: f(static_cast<int64_t*>(nullptr)); return true;
    default: return false;
  }
}

// Extent that shares one scale along dim d.
inline int64_t block_extent(const QuantType& quant, std::span<const int64_t> shape, size_t d) {
  if (quant.per_axis()) return static_cast<size_t>(quant.axis) == d ? 1 : shape[d];
  if (quant.per_tensor() || quant.block[d] == 0) return shape[d];
  return quant.block[d];
}

// Cells along each dim; a block that does not divide its dim leaves a smaller one at the end.
inline std::vector<int64_t> quant_grid(const QuantType& quant, std::span<const int64_t> shape) {
  std::vector<int64_t> grid(shape.size(), 1);
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t block = std::max<int64_t>(1, block_extent(quant, shape, d));
    grid[d] = shape[d] / block + (shape[d] % block != 0);
  }
  return grid;
}

// Visits all maximal runs of neighbouring elements that lie in one cell, in parallel: f(begin, end, cell).
template <typename F>
void for_each_run(std::span<const int64_t> shape, const QuantParams& params, const F& f) {
  constexpr int64_t kGrain = 1 << 14;
  const int64_t count = product(shape);
  if (count == 0) return;
  size_t split = shape.size();  // the last dim that has several cells is split - 1
  while (split > 0 && params.grid[split - 1] <= 1) --split;
  if (split == 0) {
    parallel_for(count, kGrain, [&](int64_t begin, int64_t end) { f(begin, end, int64_t{0}); });
    return;
  }
  const size_t d = split - 1;
  const int64_t inner = product(shape, split, shape.size());
  const int64_t block = block_extent(*params.type, shape, d) * inner;
  const int64_t row = shape[d] * inner;
  const int64_t cells = params.grid[d];
  const int64_t rows = product(shape, 0, d);
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(block, 1));
  parallel_for(rows * cells, grain, [&](int64_t first, int64_t last) {
    for (int64_t unit = first; unit < last; ++unit) {
      int64_t rest = unit / cells, cell = unit % cells, step = cells;
      for (size_t k = d; k-- > 0;) {
        cell += rest % shape[k] / block_extent(*params.type, shape, k) * step;
        step *= params.grid[k];
        rest /= shape[k];
      }
      const int64_t begin = unit / cells * row + unit % cells * block;
      f(begin, std::min(begin + block, (unit / cells + 1) * row), cell);
    }
  });
}

// The parameters of one cell, ready for arithmetic.
struct Cell {
  double scale = 1;
  int64_t zero_point = 0;
  double float_zero_point = 0;  // equal to zero_point unless the domain is Float
};
inline Cell cell_of(const QuantParams& params, int64_t index) {
  const auto i = static_cast<size_t>(index);
  Cell c;
  c.scale = params.scales[i];
  c.zero_point = params.zero_points.empty() ? 0 : params.zero_points[i];
  c.float_zero_point =
      params.float_zero_points.empty() ? static_cast<double>(c.zero_point) : params.float_zero_points[i];
  return c;
}
inline bool has_float_zero_points(const QuantParams& params) { return !params.float_zero_points.empty(); }

}  // namespace zp::ops
