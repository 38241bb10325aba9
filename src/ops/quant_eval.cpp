// quantize, dequantize, fake_quantize and storage_cast on run-time tensors.
//
//   quantize    q = clamp(rne(x * inverse) + zero_point, qmin, qmax), inverse = (float)(1.0 / scale) for a
//   whole tensor and
//               1.0f / (float)scale per axis and block; all in f64 where the parameters themselves are f64
//   dequantize  x = (float)(q - zero_point) * (float)scale, the difference exact
//
// 8 and 16 bit storages take a branch-free float path that the compiler vectorizes: the value is clamped
// before it is rounded, which is the same because the bounds are integers, and (v + 1.5 * 2^23) - 1.5 * 2^23
// rounds to even for |v| < 2^22. Everything else goes one by one through support/rounding.h.
#include "ops/quant_eval.h"

#include <fmt/format.h>

#include "ops/quant.h"
#include "support/half.h"

namespace zp::ops {
namespace {

bool wide_math(const QuantParams& params) {
  return params.type->scale_dtype == DType::F64 && !params.type->per_tensor();
}

float inverse_of(const QuantParams& params, double scale) {
  return params.type->per_tensor() ? static_cast<float>(1.0 / scale) : 1.0f / static_cast<float>(scale);
}

// |v| < 2^22
inline float round_small(float v) {
  const float magic = 12582912.0f;
  return (v + magic) - magic;
}

struct Range {
  int64_t qmin, qmax;
};

template <typename Q>
void quantize_small(const float* x, Q* q, int64_t n, float inverse, int64_t zero_point, Range range) {
  const auto z = static_cast<int32_t>(zero_point);
  const auto lo = static_cast<float>(range.qmin - zero_point),
             hi = static_cast<float>(range.qmax - zero_point);
  const auto nan = static_cast<int32_t>(saturate_to_int(0.0, range.qmin, range.qmax));
  for (int64_t i = 0; i < n; ++i) {
    const float v = x[i] * inverse;
    float t = v < lo ? lo : v;
    t = t > hi ? hi : t;
    const bool number = t == t;
    const auto r = static_cast<int32_t>(round_small(number ? t : 0.0f)) + z;
    q[i] = static_cast<Q>(number ? r : nan);
  }
}

// The general case of one value. `sum_first`: the zero point is added before rounding.
template <typename T>
int64_t quantize_one(T x, T inverse, const Cell& cell, bool float_domain, bool sum_first, Range range) {
  T v = x * inverse;
  if (sum_first) {
    v = round_half_even(v + static_cast<T>(cell.float_zero_point));
    return saturate_to_int(static_cast<double>(v), range.qmin, range.qmax);
  }
  v = round_half_even(v);
  if (!(v == v)) return saturate_to_int(0.0, range.qmin, range.qmax);
  if (float_domain) {  // the sum is not an integer; it is clamped and then cut off
    const auto sum = static_cast<double>(v + static_cast<T>(cell.float_zero_point));
    return saturate_to_int(std::trunc(sum), range.qmin, range.qmax);
  }
  return saturate_to_int(static_cast<double>(v) + static_cast<double>(cell.zero_point), range.qmin,
                         range.qmax);
}

constexpr bool fits_small(int64_t zero_point, Range range) {
  return range.qmax - zero_point < (1 << 22) && zero_point - range.qmin < (1 << 22) &&
         zero_point < (1 << 22) && zero_point > -(1 << 22);
}

template <typename T, typename Q>
void quantize_all(const Tensor& x, const QuantParams& params, bool sum_first, Tensor& out) {
  const T* src = x.data<T>();
  Q* dst = out.mutable_data<Q>();
  const Range range{params.type->qmin, params.type->qmax};
  const bool float_domain = has_float_zero_points(params);
  for_each_run(x.shape(), params, [&](int64_t begin, int64_t end, int64_t index) {
    const Cell cell = cell_of(params, index);
    if constexpr (std::is_same_v<T, float>) {
      const float inverse = inverse_of(params, cell.scale);
      if (!float_domain && !sum_first && fits_small(cell.zero_point, range)) {
        quantize_small(src + begin, dst + begin, end - begin, inverse, cell.zero_point, range);
        return;
      }
      for (int64_t i = begin; i < end; ++i) {
        dst[i] = static_cast<Q>(quantize_one<float>(src[i], inverse, cell, float_domain, sum_first, range));
      }
    } else {
      const T inverse = T{1} / static_cast<T>(cell.scale);
      for (int64_t i = begin; i < end; ++i) {
        dst[i] = static_cast<Q>(quantize_one<T>(src[i], inverse, cell, float_domain, sum_first, range));
      }
    }
  });
}

// Float storage: x / scale, clamped to the finite range, rounded to the type.
Result<Tensor> quantize_to_float8(const Tensor& x, const QuantParams& params) {
  const DType storage = params.type->storage;
  ZP_TRY(const Tensor f, to_float(x));
  ZP_TRY(Tensor out, Tensor::make(storage, x.shape()));
  const float most = storage == DType::F8E4M3 ? 448.0f : 57344.0f;
  const float* src = f.data<float>();
  auto* dst = out.mutable_data<uint8_t>();
  for_each_run(x.shape(), params, [&](int64_t begin, int64_t end, int64_t index) {
    const auto scale = static_cast<float>(cell_of(params, index).scale);
    for (int64_t i = begin; i < end; ++i) {
      float v = src[i] / scale;
      v = v < -most ? -most : (v > most ? most : v);
      dst[i] = storage == DType::F8E4M3 ? float_to_f8e4m3(v) : float_to_f8e5m2(v);
    }
  });
  return out;
}

template <typename T, typename Q>
void dequantize_all(const Tensor& q, const QuantParams& params, Tensor& out) {
  const Q* src = q.data<Q>();
  T* dst = out.mutable_data<T>();
  const bool float_domain = has_float_zero_points(params);
  for_each_run(q.shape(), params, [&](int64_t begin, int64_t end, int64_t index) {
    const Cell cell = cell_of(params, index);
    const T scale = static_cast<T>(cell.scale);
    if (float_domain || std::is_floating_point_v<Q>) {
      const T zero_point = static_cast<T>(cell.float_zero_point);
      for (int64_t i = begin; i < end; ++i) dst[i] = (static_cast<T>(src[i]) - zero_point) * scale;
    } else if constexpr (sizeof(Q) <= 2) {
      const auto zero_point = static_cast<int32_t>(cell.zero_point);  // within the storage type
      for (int64_t i = begin; i < end; ++i)
        dst[i] = static_cast<T>(static_cast<int32_t>(src[i]) - zero_point) * scale;
    } else {
      // i64 minus a zero point may wrap; as unsigned numbers that is defined
      const auto zero_point = static_cast<uint64_t>(cell.zero_point);
      for (int64_t i = begin; i < end; ++i) {
        const auto real =
            static_cast<int64_t>(static_cast<uint64_t>(static_cast<int64_t>(src[i])) - zero_point);
        dst[i] = static_cast<T>(real) * scale;
      }
    }
  });
}

template <typename T>
Result<Tensor> dequantize_in(const Tensor& q, const QuantParams& params) {
  ZP_TRY(Tensor out, Tensor::make(sizeof(T) == 8 ? DType::F64 : DType::F32, q.shape()));
  const bool integers = dispatch_integer(q.dtype(), [&](auto* type) {
    dequantize_all<T, std::remove_pointer_t<decltype(type)>>(q, params, out);
  });
  if (integers) return out;
  ZP_TRY(const Tensor f, to_float(q));
  dequantize_all<T, float>(f, params, out);
  return out;
}

template <typename T>
void fake_quantize_all(const Tensor& x, const QuantParams& params, bool sum_first, Tensor& out) {
  const T* src = x.data<T>();
  T* dst = out.mutable_data<T>();
  const Range range{params.type->qmin, params.type->qmax};
  const bool float_domain = has_float_zero_points(params);
  for_each_run(x.shape(), params, [&](int64_t begin, int64_t end, int64_t index) {
    const Cell cell = cell_of(params, index);
    const T scale = static_cast<T>(cell.scale);
    const T inverse = T{1} / scale;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t q = src[i] == src[i]
                            ? quantize_one<T>(src[i], inverse, cell, float_domain, sum_first, range)
                            : range.qmin;
      const T centred = float_domain ? static_cast<T>(q) - static_cast<T>(cell.float_zero_point)
                                     : static_cast<T>(q - cell.zero_point);
      dst[i] = centred * scale;
    }
  });
}

Result<QuantParams> params_of_operands(EvalArgs& args, const QuantType& quant) {
  const Tensor* scale = args.in.size() > 1 ? args.in[1] : nullptr;
  const Tensor* zero_point = args.in.size() > 2 ? args.in[2] : nullptr;
  return resolve_quant(args.context(), quant, args.in[0]->shape(), scale, zero_point);
}

}  // namespace

Result<QuantParams> resolve_quant(Context& context, const QuantType& quant, std::span<const int64_t> shape,
                                  const Tensor* scale, const Tensor* zero_point) {
  if (!quant.dynamic) return quant_params(context, quant, shape);
  QuantParams p;
  p.type = &quant;
  if ((quant.per_axis() && static_cast<size_t>(quant.axis) >= shape.size()) ||
      (quant.per_block() && quant.block.size() != shape.size())) {
    return Error("quant.grid", fmt::format("{} for a tensor of rank {}", quant_str(quant), shape.size()));
  }
  p.grid = quant_grid(quant, shape);
  const int64_t cells = product(p.grid);
  if (scale == nullptr) return Error("quant.scales", "a dynamic type has no scale operand");
  if (scale->elements() != cells) {
    return Error("quant.count", fmt::format("{} scales, the grid has {} cells", scale->elements(), cells));
  }
  p.scales.resize(static_cast<size_t>(cells));
  for (int64_t i = 0; i < cells; ++i) p.scales[static_cast<size_t>(i)] = scale->get_double(i);
  p.zero_points.assign(static_cast<size_t>(cells), 0);
  if (zero_point == nullptr || zero_point->elements() == 0) return p;
  if (zero_point->elements() != cells) {
    return Error("quant.count",
                 fmt::format("{} zero points, the grid has {} cells", zero_point->elements(), cells));
  }
  const bool float_domain = quant.domain == ZeroPointDomain::Float;
  if (float_domain) p.float_zero_points.resize(static_cast<size_t>(cells));
  for (int64_t i = 0; i < cells; ++i) {
    const auto k = static_cast<size_t>(i);
    if (float_domain) {
      p.float_zero_points[k] = zero_point->get_double(i);
    } else {
      p.zero_points[k] = zero_point->get_int(i);
      if (is_integer(quant.storage) &&
          (p.zero_points[k] < int_min(quant.storage) || p.zero_points[k] > int_max(quant.storage))) {
        return Error("quant.zero_point", fmt::format("zero point {} of cell {} is outside {}",
                                                     p.zero_points[k], i, dtype_name(quant.storage)));
      }
    }
  }
  return p;
}

Result<Tensor> dequantize_tensor(const Tensor& q, const QuantParams& params, DType to) {
  if (to == DType::F64 || wide_math(params)) {
    ZP_TRY(const Tensor wide, dequantize_in<double>(q, params));
    return round_to(wide, to);
  }
  ZP_TRY(const Tensor real, dequantize_in<float>(q, params));
  return round_to(real, to);
}

Result<Tensor> quantize_tensor(const Tensor& x, const QuantParams& params, bool zero_point_first) {
  const DType storage = params.type->storage;
  if (storage == DType::F8E4M3 || storage == DType::F8E5M2) return quantize_to_float8(x, params);
  const bool wide = x.dtype() == DType::F64 || wide_math(params);
  ZP_TRY(const Tensor real, wide ? to_double(x) : to_float(x));
  ZP_TRY(Tensor out, Tensor::make(storage, x.shape()));
  const bool integers = dispatch_integer(storage, [&](auto* type) {
    using Q = std::remove_pointer_t<decltype(type)>;
    if (wide) {
      quantize_all<double, Q>(real, params, zero_point_first, out);
    } else {
      quantize_all<float, Q>(real, params, zero_point_first, out);
    }
  });
  if (!integers) return Error("quant.storage", fmt::format("cannot quantize to {}", dtype_name(storage)));
  return out;
}

Status eval_quantize(EvalArgs& args) {
  const auto& attrs = args.node.attrs<QuantizeAttrs>();
  ZP_TRY(const QuantParams params, params_of_operands(args, *attrs.type));
  ZP_TRY(args.out[0], quantize_tensor(*args.in[0], params, attrs.zero_point_first));
  return {};
}

Status eval_dequantize(EvalArgs& args) {
  const QuantType& quant = *args.node.operand(0)->type().quant;
  ZP_TRY(const QuantParams params, params_of_operands(args, quant));
  ZP_TRY(args.out[0], dequantize_tensor(*args.in[0], params, quant.expressed));
  return {};
}

Status eval_fake_quantize(EvalArgs& args) {
  const auto& attrs = args.node.attrs<FakeQuantizeAttrs>();
  const Tensor& x = *args.in[0];
  ZP_TRY(const QuantParams params, params_of_operands(args, *attrs.type));
  const bool wide = x.dtype() == DType::F64 || wide_math(params);
  ZP_TRY(const Tensor real, wide ? to_double(x) : to_float(x));
  ZP_TRY(Tensor out, Tensor::make(real.dtype(), x.shape()));
  if (wide) {
    fake_quantize_all<double>(real, params, attrs.zero_point_first, out);
  } else {
    fake_quantize_all<float>(real, params, attrs.zero_point_first, out);
  }
  ZP_TRY(args.out[0], round_to(out, x.dtype()));
  return {};
}

Status eval_storage_cast(EvalArgs& args) {
  args.out[0] = *args.in[0];
  return {};
}

}  // namespace zp::ops
