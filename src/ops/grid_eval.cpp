// Evaluator of sampling on a grid. Coordinates -1..1 span the image; points outside read zeros, the nearest
// border element, or the mirrored image, by padding_mode.
#include <algorithm>
#include <array>
#include <cmath>

#include "ops/element_eval.h"
#include "ops/infer_util.h"
#include "ops/resize.h"
#include "ops/resize_eval.h"

namespace zp::ops {

namespace {

enum Padding : int64_t { kZeros, kBorder, kReflection };
enum Interpolation : int64_t { kBilinear, kNearest, kBicubic };

template <typename T>
T unnormalize(T coordinate, int64_t size, bool align_corners) {
  const T s = static_cast<T>(size);
  return align_corners ? (coordinate + 1) / 2 * (s - 1) : ((coordinate + 1) * s - 1) / 2;
}

template <typename T>
T clip(T x, int64_t size) {
  return std::min(static_cast<T>(size - 1), std::max(x, T(0)));
}

// Mirrored at twice_low / 2 and twice_high / 2 as often as needed.
template <typename T>
T reflect(T x, int64_t twice_low, int64_t twice_high) {
  if (twice_low == twice_high) return 0;
  const T low = static_cast<T>(twice_low) / 2, span = static_cast<T>(twice_high - twice_low) / 2;
  x = std::fabs(x - low);
  const T extra = std::fmod(x, span);
  const bool even = std::fmod(std::floor(x / span), T(2)) == 0;
  return even ? extra + low : span - extra + low;
}

template <typename T>
T padded(T x, int64_t size, int64_t padding, bool align_corners) {
  if (padding == kBorder) return clip(x, size);
  if (padding == kReflection) {
    x = align_corners ? reflect(x, 0, 2 * (size - 1)) : reflect(x, -1, 2 * size - 1);
    return clip(x, size);
  }
  return x;
}

// An element index from a position that may be far away or NaN; -1 is outside.
template <typename T>
int64_t index_of(T x, int64_t size) {
  return x >= 0 && x <= static_cast<T>(size - 1) ? static_cast<int64_t>(x) : -1;
}

constexpr size_t kDims = 3;

// One sample point in the volume: extents and positions are z, y, x; images have z = 0 of 1.
template <typename T>
struct Sampler {
  std::array<int64_t, kDims> size{1, 1, 1};
  int64_t padding = 0;
  bool align_corners = false;

  T value(const T* image, const std::array<T, kDims>& at) const {
    int64_t offset = 0;
    for (size_t d = 0; d < kDims; ++d) {
      const int64_t i = index_of(at[d], size[d]);
      if (i < 0) return 0;
      offset = offset * size[d] + i;
    }
    return image[offset];
  }

  T nearest(const T* image, std::array<T, kDims> at) const {
    for (size_t d = 0; d < kDims; ++d) at[d] = std::nearbyint(padded(at[d], size[d], padding, align_corners));
    return value(image, at);
  }

  T linear(const T* image, std::array<T, kDims> at) const {
    std::array<T, kDims> low, weight;
    for (size_t d = 0; d < kDims; ++d) {
      at[d] = padded(at[d], size[d], padding, align_corners);
      low[d] = std::floor(at[d]);
      weight[d] = at[d] - low[d];
    }
    T sum = 0;
    for (size_t corner = 0; corner < 8; ++corner) {
      std::array<T, kDims> point = low;
      T factor = 1;
      for (size_t d = 0; d < kDims; ++d) {
        const bool high = (corner >> (kDims - 1 - d) & 1) != 0;
        point[d] += high ? 1 : 0;
        factor *= high ? weight[d] : 1 - weight[d];
      }
      if (factor != 0) sum += value(image, point) * factor;
    }
    return sum;
  }

  // Images only; the padding applies to each of the 16 elements.
  T cubic(const T* image, const std::array<T, kDims>& at) const {
    const T y = std::floor(at[1]), x = std::floor(at[2]);
    const auto wy = weights(at[1] - y), wx = weights(at[2] - x);
    T sum = 0;
    for (size_t j = 0; j < 4; ++j) {
      T line = 0;
      for (size_t i = 0; i < 4; ++i) {
        const std::array<T, kDims> point{
            0, std::nearbyint(padded(y - 1 + static_cast<T>(j), size[1], padding, align_corners)),
            std::nearbyint(padded(x - 1 + static_cast<T>(i), size[2], padding, align_corners))};
        line += value(image, point) * wx[i];
      }
      sum += line * wy[j];
    }
    return sum;
  }

  static std::array<T, 4> weights(T t) {
    constexpr T a = T(-0.75);
    const auto near = [](T x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
    const auto far = [](T x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
    return {far(t + 1), near(t), near(1 - t), far(2 - t)};
  }
};

}  // namespace

Status eval_grid_sampler(EvalArgs& args) {
  const auto& attrs = args.node.attrs<GridSamplerAttrs>();
  const std::vector<int64_t>&in = args.in[0]->shape(), &grid_shape = args.in[1]->shape();
  const size_t rank = in.size();
  if ((rank != 4 && rank != 5) || grid_shape.size() != rank ||
      grid_shape.back() != static_cast<int64_t>(rank) - 2 || grid_shape[0] != in[0]) {
    return failed(args.node, "c1",
                  "input " + shape_text(in) + " and grid " + shape_text(grid_shape) + " do not fit");
  }
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_float(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    ZP_TRY(const Tensor grid, widen_to(*args.in[1], kDTypeOf<T>));
    std::vector<int64_t> shape{in[0], in[1]};
    shape.insert(shape.end(), grid_shape.begin() + 1, grid_shape.end() - 1);
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, shape));
    Sampler<T> sampler;
    sampler.padding = attrs.padding_mode;
    sampler.align_corners = attrs.align_corners;
    if (out.elements() == 0 || x.elements() == 0) return finish<T>(args, dtype, out);
    const size_t spatial = rank - 2;
    for (size_t d = 0; d < spatial; ++d) sampler.size[kDims - spatial + d] = in[d + 2];
    const int64_t points = product(shape, 2, shape.size()), image = product(in, 2, in.size());
    parallel_for(in[0] * in[1], 1, [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        for (int64_t i = 0; i < points; ++i) {
          // The grid lists x first.
          const T* point = grid.data<T>() + (plane / in[1] * points + i) * static_cast<int64_t>(spatial);
          std::array<T, kDims> at{};
          for (size_t d = 0; d < spatial; ++d)
            at[kDims - 1 - d] = unnormalize(point[d], sampler.size[kDims - 1 - d], attrs.align_corners);
          const T* from = x.data<T>() + plane * image;
          out.mutable_data<T>()[plane * points + i] =
              attrs.interpolation_mode == kNearest   ? sampler.nearest(from, at)
              : attrs.interpolation_mode == kBicubic ? sampler.cubic(from, at)
                                                     : sampler.linear(from, at);
        }
      }
    });
    return finish<T>(args, dtype, out);
  });
}

}  // namespace zp::ops
