// Evaluators of pooling. One- and two-dimensional inputs are treated as volumes with extents of 1 in front,
// so one loop serves all ranks. Sums of windows use the fixed order of 16 lanes, elements counted in C order
// of the window.
#include <cmath>
#include <limits>

#include "ops/element_eval.h"
#include "ops/infer_util.h"
#include "ops/pool.h"
#include "ops/pool_eval.h"
#include "ops/pool_shape.h"
#include "ops/slices.h"

namespace zp::ops {

namespace {

using Extents = std::array<int64_t, kMaxSpatial>;

// The last `spatial` dims as a volume; the dims before them count planes.
struct Planes {
  int64_t count = 1;
  Extents in{1, 1, 1}, out{1, 1, 1};
  int64_t in_size() const { return in[0] * in[1] * in[2]; }
  int64_t out_size() const { return out[0] * out[1] * out[2]; }
};

Planes planes_of(std::span<const int64_t> in, std::span<const int64_t> out, int spatial) {
  Planes p;
  const auto s = static_cast<size_t>(spatial);
  for (size_t d = 0; d < in.size() - s; ++d) p.count = saturating_product(p.count, in[d]);
  for (size_t d = 0; d < s; ++d) {
    p.in[kMaxSpatial - s + d] = in[in.size() - s + d];
    p.out[kMaxSpatial - s + d] = out[out.size() - s + d];
  }
  return p;
}

// The elements of one window along each dim: begin, begin + step, ... below end.
struct Window {
  Extents begin{}, end{}, step{1, 1, 1};
  bool empty() const { return begin[0] >= end[0] || begin[1] >= end[1] || begin[2] >= end[2]; }
  int64_t cells() const { return (end[0] - begin[0]) * (end[1] - begin[1]) * (end[2] - begin[2]); }
};

template <typename F>
void for_each_cell(const Window& w, const Extents& in, const F& f) {
  for (int64_t z = w.begin[0]; z < w.end[0]; z += w.step[0])
    for (int64_t y = w.begin[1]; y < w.end[1]; y += w.step[1])
      for (int64_t x = w.begin[2]; x < w.end[2]; x += w.step[2]) f((z * in[1] + y) * in[2] + x);
}

// Geometry aligned to volumes.
struct VolumeGeometry {
  Extents kernel{1, 1, 1}, stride{1, 1, 1}, padding{0, 0, 0}, dilation{1, 1, 1};
  explicit VolumeGeometry(const WindowGeometry& g) {
    const auto skip = static_cast<size_t>(kMaxSpatial - g.spatial);
    for (size_t d = skip; d < kMaxSpatial; ++d) {
      kernel[d] = g.kernel[d - skip], stride[d] = g.stride[d - skip];
      padding[d] = g.padding[d - skip], dilation[d] = g.dilation[d - skip];
    }
  }
};

// Calls body(plane, output offset in the plane, output position) for all results, planes in parallel.
template <typename F>
void for_each_output(const Planes& p, const F& body) {
  const int64_t grain = std::max<int64_t>(1, (int64_t{1} << 12) / std::max<int64_t>(1, p.out_size()));
  parallel_for(p.count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      int64_t at = 0;
      for (int64_t z = 0; z < p.out[0]; ++z)
        for (int64_t y = 0; y < p.out[1]; ++y)
          for (int64_t x = 0; x < p.out[2]; ++x) body(plane, at++, Extents{z, y, x});
    }
  });
}

// The window of an output inside the input, steps of the dilation.
Window max_window(const VolumeGeometry& g, const Planes& p, const Extents& at) {
  Window w;
  for (size_t d = 0; d < kMaxSpatial; ++d) {
    w.step[d] = g.dilation[d];
    w.begin[d] = at[d] * g.stride[d] - g.padding[d];
    w.end[d] = std::min(w.begin[d] + (g.kernel[d] - 1) * g.dilation[d] + 1, p.in[d]);
    if (w.begin[d] < 0) w.begin[d] += (-w.begin[d] + g.dilation[d] - 1) / g.dilation[d] * g.dilation[d];
  }
  return w;
}

Window adaptive_window(const Planes& p, const Extents& at) {
  Window w;
  for (size_t d = 0; d < kMaxSpatial; ++d) {
    w.begin[d] = at[d] * p.in[d] / p.out[d];
    w.end[d] = ((at[d] + 1) * p.in[d] + p.out[d] - 1) / p.out[d];
  }
  return w;
}

// Largest elements of windows and their places: the first of equals, the last NaN.
template <typename WindowOf>
Status max_of_windows(EvalArgs& args, std::vector<int64_t> shape, const Planes& p,
                      const WindowOf& window_of) {
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, shape));
    ZP_TRY(Tensor index, Tensor::make(DType::I64, std::move(shape)));
    T* const best_of = out.mutable_data<T>();
    int64_t* const place_of = index.mutable_data<int64_t>();
    if (out.elements() > 0)
      for_each_output(p, [&](int64_t plane, int64_t at, const Extents& position) {
        const T* from = x.data<T>() + plane * p.in_size();
        T best = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                      : std::numeric_limits<T>::lowest();
        int64_t place = -1;
        for_each_cell(window_of(position), p.in, [&](int64_t i) {
          if (place < 0) place = i;
          if (from[i] > best || from[i] != from[i]) best = from[i], place = i;
        });
        best_of[plane * p.out_size() + at] = best;
        place_of[plane * p.out_size() + at] = place;
      });
    if (args.out.size() > 1) args.out[1] = std::move(index);
    return finish<T>(args, dtype, out);
  });
}

// Sums of windows over their divisors.
template <typename WindowOf, typename DivisorOf>
Status mean_of_windows(EvalArgs& args, std::vector<int64_t> shape, const Planes& p, const WindowOf& window_of,
                       const DivisorOf& divisor_of) {
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, std::move(shape)));
    T* const mean_of = out.mutable_data<T>();
    if (out.elements() > 0)
      for_each_output(p, [&](int64_t plane, int64_t at, const Extents& position) {
        const T* from = x.data<T>() + plane * p.in_size();
        const Window w = window_of(position);
        if (w.empty()) return;
        Lanes16<T> sum;
        int64_t count = 0;
        for_each_cell(w, p.in, [&](int64_t i) { sum.add(count++, from[i]); });
        mean_of[plane * p.out_size() + at] = sum.total() / static_cast<T>(divisor_of(position, w));
      });
    return finish<T>(args, dtype, out);
  });
}

Result<std::vector<int64_t>> pooled_shape(const EvalArgs& args) {
  ZP_TRY(const std::vector<Dim> shape, pool_shape(args.node, dims_of(args.in[0]->shape())));
  return known_shape(shape);
}

Result<std::vector<int64_t>> adaptive_shape(const EvalArgs& args) {
  ZP_TRY(const std::vector<int64_t> size, args.dims_value(args.node.attrs<AdaptivePoolAttrs>().output_size));
  ZP_TRY(const std::vector<Dim> shape,
         adaptive_pool_shape(args.node, dims_of(args.in[0]->shape()), dims_of(size)));
  return known_shape(shape);
}

}  // namespace

Status eval_max_pool(EvalArgs& args) {
  ZP_TRY(const WindowGeometry g, pool_geometry(args.node));
  ZP_TRY(std::vector<int64_t> shape, pooled_shape(args));
  const Planes p = planes_of(args.in[0]->shape(), shape, g.spatial);
  const VolumeGeometry volume(g);
  return max_of_windows(args, std::move(shape), p,
                        [&](const Extents& at) { return max_window(volume, p, at); });
}

Status eval_adaptive_max_pool(EvalArgs& args) {
  ZP_TRY(std::vector<int64_t> shape, adaptive_shape(args));
  const Planes p = planes_of(args.in[0]->shape(), shape, spatial_rank(args.node));
  return max_of_windows(args, std::move(shape), p, [&](const Extents& at) { return adaptive_window(p, at); });
}

Status eval_avg_pool(EvalArgs& args) {
  const auto& attrs = args.node.attrs<AvgPoolAttrs>();
  ZP_TRY(const WindowGeometry g, pool_geometry(args.node));
  ZP_TRY(std::vector<int64_t> shape, pooled_shape(args));
  const Planes p = planes_of(args.in[0]->shape(), shape, g.spatial);
  const VolumeGeometry volume(g);
  // Cells beyond the padded border never count; those of the padding do with count_include_pad.
  const auto bordered = [&](const Extents& at) {
    Window w;
    for (size_t d = 0; d < kMaxSpatial; ++d) {
      w.begin[d] = at[d] * volume.stride[d] - volume.padding[d];
      w.end[d] = std::min(w.begin[d] + volume.kernel[d], p.in[d] + volume.padding[d]);
    }
    return w;
  };
  const auto inside = [&](const Extents& at) {
    Window w = bordered(at);
    for (size_t d = 0; d < kMaxSpatial; ++d) {
      w.begin[d] = std::max<int64_t>(w.begin[d], 0);
      w.end[d] = std::min(w.end[d], p.in[d]);
    }
    return w;
  };
  return mean_of_windows(args, std::move(shape), p, inside, [&](const Extents& at, const Window& w) {
    if (attrs.divisor_override) return *attrs.divisor_override;
    return attrs.count_include_pad ? bordered(at).cells() : w.cells();
  });
}

Status eval_adaptive_avg_pool(EvalArgs& args) {
  ZP_TRY(std::vector<int64_t> shape, adaptive_shape(args));
  const Planes p = planes_of(args.in[0]->shape(), shape, spatial_rank(args.node));
  return mean_of_windows(
      args, std::move(shape), p, [&](const Extents& at) { return adaptive_window(p, at); },
      [](const Extents&, const Window& w) { return w.cells(); });
}

namespace {

int64_t extent_of(const std::vector<int64_t>& shape, size_t first) {
  int64_t count = 1;
  for (size_t d = first; d < shape.size(); ++d) count = saturating_product(count, shape[d]);
  return count;
}

// Visits the cells of im2col: row (channel and place in the window), column (window), and the offset in the
// image or -1 for padding.
template <typename F>
void for_each_column_cell(const WindowGeometry& g, int64_t channels, int64_t height, int64_t width,
                          const F& f) {
  const int64_t window_h = g.dilation[0] * (g.kernel[0] - 1) + 1,
                window_w = g.dilation[1] * (g.kernel[1] - 1) + 1;
  const int64_t rows = (height + 2 * g.padding[0] - window_h) / g.stride[0] + 1;
  const int64_t columns = (width + 2 * g.padding[1] - window_w) / g.stride[1] + 1;
  int64_t at = 0;
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t ky = 0; ky < g.kernel[0]; ++ky)
      for (int64_t kx = 0; kx < g.kernel[1]; ++kx)
        for (int64_t oy = 0; oy < rows; ++oy)
          for (int64_t ox = 0; ox < columns; ++ox) {
            const int64_t y = oy * g.stride[0] - g.padding[0] + ky * g.dilation[0];
            const int64_t x = ox * g.stride[1] - g.padding[1] + kx * g.dilation[1];
            const bool inside = y >= 0 && y < height && x >= 0 && x < width;
            f(at++, inside ? (c * height + y) * width + x : -1);
          }
}

}  // namespace

Status eval_im2col(EvalArgs& args) {
  ZP_TRY(const WindowGeometry g, pool_geometry(args.node));
  const std::vector<int64_t>& in = args.in[0]->shape();
  ZP_TRY(const std::vector<Dim> dims, im2col_shape(args.node, dims_of(in)));
  const std::vector<int64_t> shape = known_shape(dims);
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, shape));
    const size_t r = in.size();
    const int64_t image = extent_of(in, r - 3), matrix = extent_of(shape, shape.size() - 2);
    for (int64_t n = 0; n < (x.elements() == 0 ? 0 : x.elements() / image); ++n) {
      for_each_column_cell(g, in[r - 3], in[r - 2], in[r - 1], [&](int64_t at, int64_t from) {
        if (from >= 0) out.mutable_data<T>()[n * matrix + at] = x.data<T>()[n * image + from];
      });
    }
    return finish<T>(args, dtype, out);
  });
}

Status eval_col2im(EvalArgs& args) {
  ZP_TRY(const WindowGeometry g, pool_geometry(args.node));
  const std::vector<int64_t>& in = args.in[0]->shape();
  ZP_TRY(const std::vector<int64_t> size, args.dims_value(args.node.attrs<Col2imAttrs>().output_size));
  ZP_TRY(const std::vector<Dim> dims, col2im_shape(args.node, dims_of(in), dims_of(size)));
  const std::vector<int64_t> shape = known_shape(dims);
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, shape));
    const size_t r = shape.size();
    const int64_t image = extent_of(shape, r - 3), matrix = extent_of(in, in.size() - 2);
    for (int64_t n = 0; n < (x.elements() == 0 ? 0 : x.elements() / matrix); ++n) {
      for_each_column_cell(g, shape[r - 3], size[0], size[1], [&](int64_t at, int64_t to) {
        if (to >= 0) out.mutable_data<T>()[n * image + to] += x.data<T>()[n * matrix + at];
      });
    }
    return finish<T>(args, dtype, out);
  });
}

}  // namespace zp::ops
