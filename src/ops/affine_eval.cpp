// See the header. The loops that cost time are in gemm.cpp; here rows are prepared chunk by chunk, so that no
// copy of a whole operand in wide numbers is made, and outputs are written where they belong.
#include "ops/affine_eval.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/quant_eval.h"
#include "support/parallel.h"

namespace zp::ops {
namespace {

constexpr int64_t kRowChunk = 64;

template <typename T>
struct SumOf {
  using type = int64_t;
};
template <>
struct SumOf<float> {
  using type = float;
};
template <>
struct SumOf<double> {
  using type = double;
};

void store(const Epilogue& e, int64_t at, double value) {
  if (e.out->dtype() == DType::F64) {
    e.out->mutable_data<double>()[at] = value;
  } else {
    e.out->mutable_data<float>()[at] = static_cast<float>(value);
  }
}

// Sums are [block][rows][cols].
void emit_exact(const Epilogue& e, const Depth& depth, int64_t row, int64_t rows, int64_t col, int64_t cols,
                const int64_t* sums) {
  const auto blocks = static_cast<size_t>(depth.count);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t base = e.start + (row + r) / e.period * e.outer_step + (row + r) % e.period * e.inner_step;
    const double row_scale = e.row_scale[e.row_scale.size() == 1 ? 0 : static_cast<size_t>(row + r)];
    for (int64_t c = 0; c < cols; ++c) {
      const double* col_scale = &e.col_scale[static_cast<size_t>(col + c) * blocks];
      const auto bias_at =
          static_cast<size_t>(e.bias_start + (row + r) * e.bias_row_step + (col + c) * e.bias_col_step);
      double real = 0;
      if (e.integer_bias != nullptr) {
        real =
            static_cast<double>(sums[r * cols + c] + (*e.integer_bias)[bias_at]) * (row_scale * col_scale[0]);
      } else {
        real = static_cast<double>(sums[r * cols + c]) * (row_scale * col_scale[0]);
        for (size_t b = 1; b < blocks; ++b) {
          const int64_t sum = sums[(static_cast<int64_t>(b) * rows + r) * cols + c];
          real += static_cast<double>(sum) * (row_scale * col_scale[b]);
        }
        if (e.alpha != 1) real *= e.alpha;
        if (e.bias != nullptr) real += e.beta == 1 ? (*e.bias)[bias_at] : e.beta * (*e.bias)[bias_at];
      }
      store(e, base + (col + c) * e.col_step, real);
    }
  }
}

template <typename T>
void emit_float(const Epilogue& e, int64_t row, int64_t rows, int64_t col, int64_t cols, const T* sums) {
  T* out = e.out->mutable_data<T>();
  const T alpha = static_cast<T>(e.alpha), beta = static_cast<T>(e.beta);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t base = e.start + (row + r) / e.period * e.outer_step + (row + r) % e.period * e.inner_step;
    for (int64_t c = 0; c < cols; ++c) {
      T real = sums[r * cols + c];
      if (e.alpha != 1) real *= alpha;
      if (e.bias != nullptr) {
        const auto at =
            static_cast<size_t>(e.bias_start + (row + r) * e.bias_row_step + (col + c) * e.bias_col_step);
        const T bias = static_cast<T>((*e.bias)[at]);
        real += e.beta == 1 ? bias : beta * bias;
      }
      out[base + (col + c) * e.col_step] = real;
    }
  }
}

// A panel of rows of one factor, padded and zeroed.
template <typename T>
std::vector<T> packed(const typename Product<T>::Fill& fill, int64_t first, int64_t count, int64_t stride) {
  std::vector<T> rows(static_cast<size_t>(count * stride), T{0});
  fill(first, count, rows.data(), stride);
  return rows;
}

template <typename T>
void multiply_panels(const Product<T>& p, const Epilogue& e, int64_t row, int64_t rows, const T* a,
                     int64_t col, int64_t cols, const T* b) {
  using Sum = typename SumOf<T>::type;
  const int64_t stride = p.depth.padded();
  std::vector<Sum> sums(static_cast<size_t>(p.depth.count * rows * cols));
  for (int64_t block = 0; block < p.depth.count; ++block) {
    const int64_t at = block * p.depth.padded_block;
    gemm(a + at, b + at, stride, stride, rows, cols, p.depth.padded_block, p.bound,
         sums.data() + block * rows * cols, cols);
  }
  if constexpr (std::is_floating_point_v<T>) {
    emit_float<T>(e, row, rows, col, cols, sums.data());
  } else {
    emit_exact(e, p.depth, row, rows, col, cols, sums.data());
  }
}

}  // namespace

Depth Depth::blocks(int64_t size, int64_t block) {
  Depth d;
  d.size = size;
  d.block = std::max<int64_t>(1, std::min(block, size));
  d.padded_block = (d.block + kGemmStep - 1) / kGemmStep * kGemmStep;
  d.count = std::max<int64_t>(1, (size + d.block - 1) / d.block);
  return d;
}

// Few rows: a is packed whole and each task packs a panel of b. Many rows: b is packed whole (it is small
// then, or a panel of it costs little beside the rows it meets) and each task packs a chunk of a.
template <typename T>
void run_product(const Product<T>& p, const Epilogue& e) {
  if (p.rows == 0 || p.cols == 0) return;
  const int64_t stride = p.depth.padded();
  if (p.rows <= kRowChunk) {
    const std::vector<T> a = packed<T>(p.fill_a, 0, p.rows, stride);
    const int64_t grain =
        std::max<int64_t>(4, std::min(kRowChunk, (int64_t{1} << 16) / std::max<int64_t>(stride, 1)));
    parallel_for(p.cols, grain, [&](int64_t begin, int64_t end) {
      const std::vector<T> b = packed<T>(p.fill_b, begin, end - begin, stride);
      multiply_panels(p, e, 0, p.rows, a.data(), begin, end - begin, b.data());
    });
    return;
  }
  // Panels of b of at most 64 MiB, so that a huge weight is never held whole in wide numbers.
  const int64_t most = (int64_t{1} << 26) / static_cast<int64_t>(sizeof(T)) / std::max<int64_t>(stride, 1);
  const int64_t panel = std::clamp<int64_t>(most, kRowChunk, p.cols > kRowChunk ? p.cols : kRowChunk);
  for (int64_t col = 0; col < p.cols; col += panel) {
    const int64_t cols = std::min(panel, p.cols - col);
    std::vector<T> b(static_cast<size_t>(cols * stride), T{0});
    parallel_for(cols, 16, [&](int64_t begin, int64_t end) {
      p.fill_b(col + begin, end - begin, b.data() + begin * stride, stride);
    });
    parallel_for(p.rows, kRowChunk, [&](int64_t begin, int64_t end) {
      const std::vector<T> a = packed<T>(p.fill_a, begin, end - begin, stride);
      for (int64_t c = 0; c < cols; c += kRowChunk) {
        multiply_panels(p, e, begin, end - begin, a.data(), col + c, std::min(kRowChunk, cols - c),
                        b.data() + c * stride);
      }
    });
  }
}
template void run_product(const Product<int16_t>&, const Epilogue&);
template void run_product(const Product<int32_t>&, const Epilogue&);
template void run_product(const Product<float>&, const Epilogue&);
template void run_product(const Product<double>&, const Epilogue&);

bool has_integers(const Factor& factor) {
  return factor.quant != nullptr && !has_float_zero_points(*factor.quant) &&
         is_integer(factor.tensor->dtype());
}

Bounds centred_bounds(const QuantParams& quant) {
  const int64_t lo = int_min(quant.type->storage), hi = int_max(quant.type->storage);
  Bounds b{0, 0};
  const auto widen = [&](int64_t zero_point) {
    // Zero points lie in the storage type; i64 storage is never exact and may clip here.
    b.lo = std::min(b.lo, lo < INT64_MIN / 2 ? INT64_MIN / 2 : lo - zero_point);
    b.hi = std::max(b.hi, hi > INT64_MAX / 2 ? INT64_MAX / 2 : hi - zero_point);
  };
  if (quant.zero_points.empty()) widen(0);
  for (int64_t zero_point : quant.zero_points) widen(zero_point);
  return b;
}

Arithmetic exact_arithmetic(const Factor& a, const Factor& b, int64_t depth) {
  if (!has_integers(a) || !has_integers(b)) return Arithmetic::Float;
  const Bounds x = centred_bounds(*a.quant), y = centred_bounds(*b.quant);
  const auto fits = [](const Bounds& v, int64_t lo, int64_t hi) { return v.lo >= lo && v.hi <= hi; };
  if (!fits(x, INT32_MIN, INT32_MAX) || !fits(y, INT32_MIN, INT32_MAX)) return Arithmetic::Float;
  const int64_t bound = std::max<int64_t>(1, x.most() * y.most());  // below 2^62
  if (depth > (int64_t{1} << 62) / bound) return Arithmetic::Float;
  const bool narrow =
      fits(x, INT16_MIN, INT16_MAX) && fits(y, INT16_MIN, INT16_MAX) && bound <= INT32_MAX / kGemmStep;
  return narrow ? Arithmetic::Narrow : Arithmetic::Wide;
}

Arithmetic float_arithmetic(const EvalArgs& args) {
  return result_dtype(args) == DType::F64 ? Arithmetic::Double : Arithmetic::Float;
}

Result<Tensor> real_values(const Factor& factor, DType expressed, Arithmetic arithmetic) {
  Tensor real = *factor.tensor;
  if (factor.quant != nullptr) { ZP_TRY(real, dequantize_tensor(*factor.tensor, *factor.quant, expressed)); }
  return arithmetic == Arithmetic::Double ? to_double(real) : to_float(real);
}

int64_t cell_at(const QuantParams& quant, std::span<const int64_t> shape, std::span<const int64_t> index) {
  int64_t cell = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t extent = std::max<int64_t>(1, block_extent(*quant.type, shape, d));
    cell = cell * quant.grid[d] + index[d] / extent;
  }
  return cell;
}

int64_t grid_step(const QuantParams& quant, size_t d) {
  return product(quant.grid, d + 1, quant.grid.size());
}

namespace {

template <typename T, typename Q>
void fill_centred(const RowsView& view, const Depth& depth, int64_t first, int64_t count, T* to,
                  int64_t stride) {
  const Q* data = view.factor.tensor->data<Q>() + view.offset;
  const QuantParams& quant = *view.factor.quant;
  const auto zero_of = [&](int64_t row, int64_t block) {
    const int64_t cell =
        (view.cells.empty() ? 0 : view.cells[static_cast<size_t>(row)]) + block * view.block_cell_step;
    return quant.zero_points.empty() ? int64_t{0} : quant.zero_points[static_cast<size_t>(cell)];
  };
  for (int64_t block = 0; block < depth.count; ++block) {
    const int64_t begin = block * depth.block, end = std::min(begin + depth.block, depth.size);
    T* const at = to + block * depth.padded_block;
    if (view.depth_step == 1) {
      for (int64_t r = 0; r < count; ++r) {
        const Q* src = data + (first + r) * view.row_step + begin;
        T* dst = at + r * stride;
        const T zero = static_cast<T>(zero_of(first + r, block));
        for (int64_t k = 0; k < end - begin; ++k) dst[k] = static_cast<T>(static_cast<T>(src[k]) - zero);
      }
      continue;
    }
    std::vector<T> zeros(static_cast<size_t>(count));
    for (int64_t r = 0; r < count; ++r)
      zeros[static_cast<size_t>(r)] = static_cast<T>(zero_of(first + r, block));
    for (int64_t k = begin; k < end; ++k) {
      const Q* src = data + k * view.depth_step + first * view.row_step;
      for (int64_t r = 0; r < count; ++r) {
        at[r * stride + k - begin] =
            static_cast<T>(static_cast<T>(src[r * view.row_step]) - zeros[static_cast<size_t>(r)]);
      }
    }
  }
}

template <typename T>
void fill_values(const RowsView& view, const Depth& depth, int64_t first, int64_t count, T* to,
                 int64_t stride) {
  const T* data = view.factor.tensor->data<T>() + view.offset;
  if (view.depth_step == 1) {
    for (int64_t r = 0; r < count; ++r) {
      std::memcpy(to + r * stride, data + (first + r) * view.row_step,
                  static_cast<size_t>(depth.size) * sizeof(T));
    }
    return;
  }
  for (int64_t k = 0; k < depth.size; ++k) {
    const T* src = data + k * view.depth_step + first * view.row_step;
    for (int64_t r = 0; r < count; ++r) to[r * stride + k] = src[r * view.row_step];
  }
}

template <typename T>
void multiply_as(const RowsView& a, const RowsView& b, const Depth& depth, const Epilogue& epilogue) {
  Product<T> p;
  p.rows = a.rows;
  p.cols = b.rows;
  p.depth = depth;
  if constexpr (!std::is_floating_point_v<T>) {
    p.bound =
        std::max<int64_t>(1, centred_bounds(*a.factor.quant).most() * centred_bounds(*b.factor.quant).most());
  }
  p.fill_a = [&](int64_t first, int64_t count, T* to, int64_t stride) {
    fill_rows(a, depth, first, count, to, stride);
  };
  p.fill_b = [&](int64_t first, int64_t count, T* to, int64_t stride) {
    fill_rows(b, depth, first, count, to, stride);
  };
  run_product(p, epilogue);
}

}  // namespace

template <typename T>
void fill_rows(const RowsView& view, const Depth& depth, int64_t first, int64_t count, T* to,
               int64_t stride) {
  if constexpr (std::is_floating_point_v<T>) {
    fill_values(view, depth, first, count, to, stride);
  } else {
    dispatch_integer(view.factor.tensor->dtype(), [&](auto* type) {
      fill_centred<T, std::remove_pointer_t<decltype(type)>>(view, depth, first, count, to, stride);
    });
  }
}
template void fill_rows(const RowsView&, const Depth&, int64_t, int64_t, int16_t*, int64_t);
template void fill_rows(const RowsView&, const Depth&, int64_t, int64_t, int32_t*, int64_t);
template void fill_rows(const RowsView&, const Depth&, int64_t, int64_t, float*, int64_t);
template void fill_rows(const RowsView&, const Depth&, int64_t, int64_t, double*, int64_t);

std::vector<double> col_scales(const RowsView& b, const Depth& depth) {
  std::vector<double> scales(static_cast<size_t>(b.rows * depth.count));
  for (int64_t row = 0; row < b.rows; ++row) {
    const int64_t cell = b.cells.empty() ? 0 : b.cells[static_cast<size_t>(row)];
    for (int64_t block = 0; block < depth.count; ++block) {
      scales[static_cast<size_t>(row * depth.count + block)] =
          b.factor.quant->scales[static_cast<size_t>(cell + block * b.block_cell_step)];
    }
  }
  return scales;
}

std::vector<double> row_scales(const RowsView& a) {
  if (a.cells.empty()) return {a.factor.quant->scales[0]};
  std::vector<double> scales;
  scales.reserve(a.cells.size());
  for (int64_t cell : a.cells) scales.push_back(a.factor.quant->scales[static_cast<size_t>(cell)]);
  return scales;
}

void multiply(const RowsView& a, const RowsView& b, const Depth& depth, Arithmetic arithmetic,
              Epilogue epilogue) {
  switch (arithmetic) {
    case Arithmetic::Float: multiply_as<float>(a, b, depth, epilogue); return;
    case Arithmetic::Double: multiply_as<double>(a, b, depth, epilogue); return;
    case Arithmetic::Narrow:
    case Arithmetic::Wide: break;
  }
  epilogue.row_scale = row_scales(a);
  epilogue.col_scale = col_scales(b, depth);
  if (arithmetic == Arithmetic::Narrow) {
    multiply_as<int16_t>(a, b, depth, epilogue);
  } else {
    multiply_as<int32_t>(a, b, depth, epilogue);
  }
}

Result<Bias> read_bias(const Factor& bias, std::span<const double> unit_scales) {
  Bias result;
  if (bias.tensor == nullptr) return result;
  const auto count = static_cast<size_t>(bias.tensor->elements());
  if (bias.quant != nullptr && has_integers(bias) && !unit_scales.empty()) {
    const QuantParams& quant = *bias.quant;
    bool fits = unit_scales.size() == 1 || unit_scales.size() == count;
    fits = fits && (quant.scales.size() == 1 || quant.scales.size() == count);
    for (size_t i = 0; fits && i < count; ++i) {
      const double unit = unit_scales[unit_scales.size() == 1 ? 0 : i];
      const size_t cell = quant.scales.size() == 1 ? 0 : i;
      const int64_t zero_point = quant.zero_points.empty() ? 0 : quant.zero_points[cell];
      fits = zero_point == 0 && std::abs(quant.scales[cell] - unit) <= std::ldexp(unit, -22);
    }
    if (fits && bias.tensor->dtype() != DType::I64) {
      for (size_t i = 0; i < count; ++i)
        result.integers.push_back(bias.tensor->get_int(static_cast<int64_t>(i)));
      return result;
    }
  }
  Tensor real = *bias.tensor;
  if (bias.quant != nullptr) {
    ZP_TRY(real, dequantize_tensor(*bias.tensor, *bias.quant, bias.quant->type->expressed));
  }
  for (size_t i = 0; i < count; ++i) result.real.push_back(real.get_double(static_cast<int64_t>(i)));
  return result;
}

Factor factor_of(const EvalArgs& args, size_t i) {
  Factor f;
  if (i < args.in.size()) f.tensor = args.in[i];
  if (i < args.quant.size()) f.quant = args.quant[i];
  return f;
}

Status finish(EvalArgs& args, Tensor real) {
  ZP_TRY(args.out[0], round_to(real, result_dtype(args)));
  return {};
}

}  // namespace zp::ops
