// The arithmetic that convolutions, linear and matrix products share: which numbers are multiplied (exact
// integers where both factors are quantized, else floats in the fixed order), how rows are laid out for
// gemm.h, and how sums become results.
//
//   exact   real = sum over blocks of double(acc) * (scale_a * scale_b) + bias, in f64, rounded once to f32
//           acc = sum of (a - zero_point_a) * (b - zero_point_b) in integers
//   float   real = alpha * sum + beta * bias, in f32 (f64 for f64 operands)
//
// Exact is chosen when both factors have integer zero points, the scales of a do not change along the sum and
// those of b change at most per block of it, and no sum can leave 64 bits. All of it follows from types and
// shapes, never from data.
#pragma once

#include <functional>
#include <vector>

#include "ir/tensor.h"
#include "ops/eval_util.h"
#include "ops/gemm.h"

namespace zp::ops {

// One factor as the evaluator got it: real numbers, or integers with their parameters.
struct Factor {
  const Tensor* tensor = nullptr;
  const QuantParams* quant = nullptr;
};

enum class Arithmetic { Narrow, Wide, Float, Double };  // i16 factors, i32 factors, f32, f64

// How the elements of a sum lie in a padded row: blocks of `block` elements, each padded to a multiple of
// kGemmStep.
struct Depth {
  int64_t size = 0;
  int64_t block = 1;
  int64_t padded_block = kGemmStep;
  int64_t count = 1;
  static Depth whole(int64_t size) { return blocks(size, size); }
  static Depth blocks(int64_t size, int64_t block);
  int64_t padded() const { return count * padded_block; }
  int64_t at(int64_t k) const { return k / block * padded_block + k % block; }
};

// A factor seen as rows of `depth` elements: element (row, k) is at offset + row * row_step + k * depth_step.
// Its scale is that of cell cells[row] + block * block_cell_step, where block counts the blocks of the sum.
struct RowsView {
  Factor factor;
  int64_t offset = 0, rows = 0, row_step = 0, depth_step = 1;
  std::vector<int64_t> cells;
  int64_t block_cell_step = 0;
};

// Where sums go and what is added.
struct Epilogue {
  Tensor* out = nullptr;  // f32 or f64
  // Output (row, col) is at start + row / period * outer_step + row % period * inner_step + col * col_step.
  int64_t start = 0, period = 1, outer_step = 0, inner_step = 0, col_step = 1;
  double alpha = 1, beta = 1;
  // Bias of (row, col) at bias_start + row * bias_row_step + col * bias_col_step; at most one of the two is
  // set.
  const std::vector<double>* bias = nullptr;
  const std::vector<int64_t>* integer_bias = nullptr;  // in units of scale_a * scale_b
  int64_t bias_start = 0, bias_row_step = 0, bias_col_step = 1;
  std::vector<double> row_scale, col_scale;  // exact only: one a row (or one in all), and [col][block]
};

// One product: rows of a with rows of b. `fill` writes rows [first, first + count) to zeroed, padded rows.
template <typename T>
struct Product {
  using Fill = std::function<void(int64_t first, int64_t count, T* to, int64_t stride)>;
  int64_t rows = 0, cols = 0;
  Depth depth;
  int64_t bound = 1;
  Fill fill_a, fill_b;
};
template <typename T>
void run_product(const Product<T>& product, const Epilogue& epilogue);

// Integers of a factor centred on their zero points: the range any of them can have.
struct Bounds {
  int64_t lo = 0, hi = 0;
  int64_t most() const { return hi > -lo ? hi : -lo; }
};
bool has_integers(const Factor& factor);
Bounds centred_bounds(const QuantParams& quant);
// Narrow, Wide, or Float if no exact way exists for a sum of that many products.
Arithmetic exact_arithmetic(const Factor& a, const Factor& b, int64_t depth);
// Float or Double by what the result means.
Arithmetic float_arithmetic(const EvalArgs& args);

// Real numbers of a factor as f32 or f64, dequantized if it is quantized.
Result<Tensor> real_values(const Factor& factor, DType expressed, Arithmetic arithmetic);

// Index of the cell that holds the element at `index`.
int64_t cell_at(const QuantParams& quant, std::span<const int64_t> shape, std::span<const int64_t> index);
// Cells that one step along dim d skips in the grid's C order.
int64_t grid_step(const QuantParams& quant, size_t d);

// Fills rows of a view: centred integers for T = int16_t and int32_t, values for float and double.
template <typename T>
void fill_rows(const RowsView& view, const Depth& depth, int64_t first, int64_t count, T* to, int64_t stride);

// Both factors as views, of the arithmetic chosen by the caller (the tensors of Float and Double are f32 and
// f64 already).
void multiply(const RowsView& a, const RowsView& b, const Depth& depth, Arithmetic arithmetic,
              Epilogue epilogue);

// scale[col][block] of b, and one scale a row of a (a single one where they are all the same).
std::vector<double> col_scales(const RowsView& b, const Depth& depth);
std::vector<double> row_scales(const RowsView& a);

// A bias operand, read once: `integers` when it is quantized with zero point 0 in units of scale_a * scale_b
// (within 2^-22 relative; `scales` has one such product a channel), else its real values.
struct Bias {
  std::vector<double> real;
  std::vector<int64_t> integers;
  bool present() const { return !real.empty() || !integers.empty(); }
};
Result<Bias> read_bias(const Factor& bias, std::span<const double> unit_scales);

// The factor of operand i: what args.in and args.quant say.
Factor factor_of(const EvalArgs& args, size_t i);

// Rounds the sums' tensor to what the result means and puts it in out[0].
Status finish(EvalArgs& args, Tensor real);

}  // namespace zp::ops
