// Evaluators of interpolation. Positions are computed in the computation type (f32 for narrower inputs) as at
// the source, so that the choice of neighbours agrees.
#include "ops/resize_eval.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ops/element_eval.h"
#include "ops/infer_util.h"
#include "ops/pool_shape.h"
#include "ops/resize.h"
#include "ops/slices.h"

namespace zp::ops {

namespace {

// One spatial dim of a resize.
struct Axis {
  int64_t in = 1, out = 1;
  double scale = 0;  // the scale factor, 0 without one
};

struct Resize {
  int64_t planes = 1;
  std::vector<int64_t> shape;
  std::array<Axis, kMaxSpatial> axis;  // aligned at the end: [0] is depth, or 1 to 1
  int64_t in_size() const { return axis[0].in * axis[1].in * axis[2].in; }
};

Result<Resize> resize_of(const EvalArgs& args, const std::optional<List<Dim>>& size,
                         const std::optional<List<double>>& scales) {
  const std::vector<int64_t>& in = args.in[0]->shape();
  std::optional<List<Dim>> known = size;
  std::vector<Dim> values;
  if (size) {
    ZP_TRY(const std::vector<int64_t> numbers, args.dims_value(*size));
    values = dims_of(numbers);
    known = List<Dim>(values.data(), values.size());
  }
  ZP_TRY(const std::vector<Dim> out, upsample_shape(args.node, dims_of(in), known, scales));
  Resize r;
  for (const Dim& d : out) {
    ZP_TRY(const int64_t extent, args.dim(d));
    r.shape.push_back(extent);
  }
  r.planes = saturating_product(in[0], in[1]);
  const size_t spatial = in.size() - 2;
  for (size_t d = 0; d < spatial; ++d) {
    r.axis[kMaxSpatial - spatial + d] = {in[d + 2], r.shape[d + 2], scales ? (*scales)[d] : 0.0};
  }
  return r;
}

// Input elements per output element.
template <typename T>
T ratio(const Axis& a) {
  return a.scale > 0 ? static_cast<T>(1.0 / a.scale) : static_cast<T>(a.in) / static_cast<T>(a.out);
}

template <typename T>
int64_t nearest(const Axis& a, int64_t i, bool exact) {
  const T position = (static_cast<T>(i) + (exact ? T(0.5) : T(0))) * ratio<T>(a);
  return std::min(static_cast<int64_t>(std::floor(position)), a.in - 1);
}

template <typename Element>
void copy_nearest(const Tensor& x, const Resize& r, const std::array<std::vector<int64_t>, kMaxSpatial>& from,
                  Tensor& out) {
  const auto* data = x.data<Element>();
  auto* to = out.mutable_data<Element>();
  const int64_t out_size = r.axis[0].out * r.axis[1].out * r.axis[2].out;
  parallel_for(r.planes, 1, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      Element* row = to + plane * out_size;
      for (const int64_t z : from[0])
        for (const int64_t y : from[1]) {
          const Element* line = data + plane * r.in_size() + (z * r.axis[1].in + y) * r.axis[2].in;
          for (const int64_t i : from[2]) *row++ = line[i];
        }
    }
  });
}

// The two neighbours of each output position and the weight of the second.
template <typename T>
struct Linear {
  int64_t low = 0, high = 0;
  T weight = 0;
};

template <typename T>
T source_position(const Axis& a, int64_t i, bool align_corners) {
  if (align_corners)
    return a.out > 1 ? static_cast<T>(a.in - 1) / static_cast<T>(a.out - 1) * static_cast<T>(i) : T(0);
  return ratio<T>(a) * (static_cast<T>(i) + T(0.5)) - T(0.5);
}

template <typename T>
std::vector<Linear<T>> linear_weights(const Axis& a, bool align_corners) {
  std::vector<Linear<T>> out;
  for (int64_t i = 0; i < a.out; ++i) {
    if (a.in == a.out) {
      out.push_back({i, i, 0});
      continue;
    }
    const T position = std::max(source_position<T>(a, i, align_corners), T(0));
    Linear<T> l;
    l.low = std::min(static_cast<int64_t>(std::floor(position)), a.in - 1);
    l.high = std::min(l.low + 1, a.in - 1);
    l.weight = std::clamp(position - static_cast<T>(l.low), T(0), T(1));
    out.push_back(l);
  }
  return out;
}

template <typename T>
T mix(T a, T b, T weight) {
  return (1 - weight) * a + weight * b;
}

// Cubic convolution with a = -0.75: weights of the elements low - 1 ... low + 2.
template <typename T>
struct Cubic {
  std::array<int64_t, 4> at{};
  std::array<T, 4> weight{};
};

template <typename T>
std::array<T, 4> cubic_weights(T t) {
  constexpr T a = T(-0.75);
  const auto near = [](T x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  const auto far = [](T x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
  return {far(t + 1), near(t), near(1 - t), far(2 - t)};
}

template <typename T>
std::vector<Cubic<T>> cubic_positions(const Axis& a, bool align_corners) {
  std::vector<Cubic<T>> out;
  for (int64_t i = 0; i < a.out; ++i) {
    const T position = source_position<T>(a, i, align_corners);
    const auto low = std::min(static_cast<int64_t>(std::floor(position)), a.in - 1);
    Cubic<T> c;
    c.weight = cubic_weights(std::clamp(position - static_cast<T>(low), T(0), T(1)));
    for (int64_t k = 0; k < 4; ++k)
      c.at[static_cast<size_t>(k)] = std::clamp<int64_t>(low - 1 + k, 0, a.in - 1);
    out.push_back(c);
  }
  return out;
}

}  // namespace

Status eval_upsample_nearest(EvalArgs& args) {
  const auto& attrs = args.node.attrs<UpsampleNearestAttrs>();
  const bool exact = args.node.op().name.find("exact") != std::string_view::npos;
  const Tensor& x = *args.in[0];
  ZP_TRY(const Resize r, resize_of(args, attrs.output_size, attrs.scale_factors));
  ZP_TRY(Tensor * out, make_result(args, 0, x.dtype(), r.shape));
  if (out->elements() == 0) return {};
  std::array<std::vector<int64_t>, kMaxSpatial> from;
  for (size_t d = 0; d < kMaxSpatial; ++d)
    for (int64_t i = 0; i < r.axis[d].out; ++i)
      from[d].push_back(x.dtype() == DType::F64 ? nearest<double>(r.axis[d], i, exact)
                                                : nearest<float>(r.axis[d], i, exact));
  switch (byte_size(x.dtype())) {
    case 1: copy_nearest<uint8_t>(x, r, from, *out); break;
    case 2: copy_nearest<uint16_t>(x, r, from, *out); break;
    case 4: copy_nearest<uint32_t>(x, r, from, *out); break;
    case 8: copy_nearest<uint64_t>(x, r, from, *out); break;
    default: return args.node.error("run.dtype", "elements of that size cannot be moved");
  }
  return {};
}

Status eval_upsample_linear(EvalArgs& args) {
  const auto& attrs = args.node.attrs<UpsampleAttrs>();
  ZP_TRY(const Resize r, resize_of(args, attrs.output_size, attrs.scale_factors));
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_float(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, r.shape));
    if (out.elements() == 0) return finish<T>(args, dtype, out);
    const auto zs = linear_weights<T>(r.axis[0], attrs.align_corners),
               ys = linear_weights<T>(r.axis[1], attrs.align_corners),
               xs = linear_weights<T>(r.axis[2], attrs.align_corners);
    const int64_t width = r.axis[2].in, slice = width * r.axis[1].in;
    const auto out_size = static_cast<int64_t>(zs.size() * ys.size() * xs.size());
    parallel_for(r.planes, 1, [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        const T* from = x.data<T>() + plane * r.in_size();
        T* to = out.mutable_data<T>() + plane * out_size;
        const auto line = [&](const T* row, const Linear<T>& l) {
          return mix(row[l.low], row[l.high], l.weight);
        };
        const auto area = [&](const T* image, const Linear<T>& l, const Linear<T>& h) {
          return mix(line(image + h.low * width, l), line(image + h.high * width, l), h.weight);
        };
        for (const Linear<T>& z : zs)
          for (const Linear<T>& y : ys)
            for (const Linear<T>& l : xs)
              *to++ = mix(area(from + z.low * slice, l, y), area(from + z.high * slice, l, y), z.weight);
      }
    });
    return finish<T>(args, dtype, out);
  });
}

Status eval_upsample_bicubic(EvalArgs& args) {
  const auto& attrs = args.node.attrs<UpsampleAttrs>();
  ZP_TRY(const Resize r, resize_of(args, attrs.output_size, attrs.scale_factors));
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_float(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, r.shape));
    if (out.elements() == 0) return finish<T>(args, dtype, out);
    const auto ys = cubic_positions<T>(r.axis[1], attrs.align_corners),
               xs = cubic_positions<T>(r.axis[2], attrs.align_corners);
    parallel_for(r.planes, 1, [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        const T* from = x.data<T>() + plane * r.in_size();
        T* to = out.mutable_data<T>() + plane * static_cast<int64_t>(ys.size() * xs.size());
        for (const Cubic<T>& y : ys)
          for (const Cubic<T>& c : xs) {
            T sum = 0;
            for (size_t k = 0; k < 4; ++k) {
              const T* row = from + y.at[k] * r.axis[2].in;
              T line = 0;
              for (size_t j = 0; j < 4; ++j) line += row[c.at[j]] * c.weight[j];
              sum += line * y.weight[k];
            }
            *to++ = sum;
          }
      }
    });
    return finish<T>(args, dtype, out);
  });
}

}  // namespace zp::ops
