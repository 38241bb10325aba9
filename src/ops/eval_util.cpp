// Shared parts of evaluators: see the header. The float sums here are the definition; src/ops/gemm.cpp
// computes the same bits in bulk.
#include "ops/eval_util.h"

#include <algorithm>
#include <cstring>

#include "support/half.h"
#include "support/parallel.h"

namespace zp::ops {
namespace {

// Generic vectors: sixteen lanes whatever the machine has.
typedef float Float16Lanes __attribute__((vector_size(64)));
typedef double Double16Lanes __attribute__((vector_size(128)));
template <typename T>
struct VectorOf;
template <>
struct VectorOf<float> {
  using type = Float16Lanes;
};
template <>
struct VectorOf<double> {
  using type = Double16Lanes;
};

template <typename T, typename Term>
T sum_terms(int64_t n, const Term& term) {
  Lanes16<T> sum;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int64_t lane = 0; lane < 16; ++lane) sum.lane[static_cast<size_t>(lane)] += term(i + lane);
  for (; i < n; ++i) sum.add(i, term(i));
  return sum.total();
}

template <typename T>
T sum_dense(const T* a, const T* b, int64_t n) {
  using Vector = typename VectorOf<T>::type;
  Vector lanes = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    Vector x, y;
    std::memcpy(&x, a + i, sizeof(x));
    if (b != nullptr) {
      std::memcpy(&y, b + i, sizeof(y));
      x *= y;
    }
    lanes += x;
  }
  Lanes16<T> sum;
  std::memcpy(sum.lane.data(), &lanes, sizeof(lanes));
  for (; i < n; ++i) sum.add(i, b != nullptr ? a[i] * b[i] : a[i]);
  return sum.total();
}

template <typename T>
T sum_strided(const T* x, int64_t n, int64_t stride) {
  if (stride == 1) return sum_dense<T>(x, nullptr, n);
  return sum_terms<T>(n, [&](int64_t i) { return x[i * stride]; });
}

constexpr int64_t kConvertGrain = 1 << 15;

template <typename To, typename From, typename Convert>
void convert(const Tensor& from, Tensor& to, const Convert& one) {
  const From* src = from.data<From>();
  To* dst = to.mutable_data<To>();
  parallel_for(from.elements(), kConvertGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) dst[i] = static_cast<To>(one(src[i]));
  });
}

// Integers convert to To directly, narrow floats through f32: both single roundings.
template <typename To>
Result<Tensor> widen(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  ZP_TRY(Tensor out, Tensor::make(dtype, x.shape()));
  const auto same = [](auto v) { return static_cast<To>(v); };
  switch (x.dtype()) {
    case DType::F16: convert<To, uint16_t>(x, out, half_to_float); break;
    case DType::BF16: convert<To, uint16_t>(x, out, bfloat16_to_float); break;
    case DType::F8E4M3: convert<To, uint8_t>(x, out, f8e4m3_to_float); break;
    case DType::F8E5M2: convert<To, uint8_t>(x, out, f8e5m2_to_float); break;
    case DType::F8E8M0: convert<To, uint8_t>(x, out, f8e8m0_to_float); break;
    case DType::F32: convert<To, float>(x, out, same); break;
    case DType::F64: convert<To, double>(x, out, same); break;
    case DType::Bool: convert<To, uint8_t>(x, out, [](uint8_t v) { return static_cast<To>(v != 0); }); break;
    case DType::I2:
    case DType::I4:
    case DType::I8: convert<To, int8_t>(x, out, same); break;
    case DType::U2:
    case DType::U4:
    case DType::U8: convert<To, uint8_t>(x, out, same); break;
    case DType::I16: convert<To, int16_t>(x, out, same); break;
    case DType::U16: convert<To, uint16_t>(x, out, same); break;
    case DType::I32: convert<To, int32_t>(x, out, same); break;
    case DType::U32: convert<To, uint32_t>(x, out, same); break;
    case DType::I64: convert<To, int64_t>(x, out, same); break;
    case DType::U64: convert<To, uint64_t>(x, out, same); break;
    default:
      return Error("run.dtype", "no conversion from " + std::string(dtype_name(x.dtype())) + " to " +
                                    std::string(dtype_name(dtype)));
  }
  return out;
}

}  // namespace

float sum16(const float* x, int64_t n, int64_t stride) { return sum_strided(x, n, stride); }
double sum16(const double* x, int64_t n, int64_t stride) { return sum_strided(x, n, stride); }
float dot16(const float* a, const float* b, int64_t n) { return sum_dense<float>(a, b, n); }
double dot16(const double* a, const double* b, int64_t n) { return sum_dense<double>(a, b, n); }

DType result_dtype(const EvalArgs& args, size_t index) {
  return args.node.result(index)->type().real_dtype();
}

Result<std::vector<int64_t>> result_shape(const EvalArgs& args, size_t index) {
  const Type& type = args.node.result(index)->type();
  if (!type.ranked) return args.node.error("run.shape", "the rank of a result is not known");
  return args.dims_value(type.shape);
}

Result<Tensor*> make_result(EvalArgs& args, size_t index, DType dtype, std::vector<int64_t> shape) {
  ZP_TRY(args.out[index], Tensor::make(dtype, std::move(shape)));
  return &args.out[index];
}

Result<Tensor> to_float(const Tensor& x) { return widen<float>(x, DType::F32); }
Result<Tensor> to_double(const Tensor& x) { return widen<double>(x, DType::F64); }

Result<Tensor> round_to(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  if (dtype == DType::F64) return to_double(x);
  ZP_TRY(Tensor out, Tensor::make(dtype, x.shape()));
  if (x.dtype() == DType::F32 && (dtype == DType::F16 || dtype == DType::BF16)) {
    convert<uint16_t, float>(x, out, dtype == DType::F16 ? float_to_half : float_to_bfloat16);
    return out;
  }
  parallel_for(x.elements(), kConvertGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out.set_double(i, x.get_double(i));
  });
  return out;
}

int64_t product(std::span<const int64_t> shape, size_t begin, size_t end) {
  int64_t count = 1;
  bool overflows = false;
  for (size_t d = begin; d < end; ++d) {
    if (shape[d] == 0) return 0;
    overflows = __builtin_mul_overflow(count, shape[d], &count) || overflows;
  }
  return overflows ? INT64_MAX : count;
}

std::vector<int64_t> broadcast_strides(std::span<const int64_t> shape, std::span<const int64_t> out) {
  std::vector<int64_t> strides(out.size(), 0);
  int64_t step = 1;
  for (size_t i = 0; i < shape.size() && i < out.size(); ++i) {
    const int64_t extent = shape[shape.size() - 1 - i];
    strides[out.size() - 1 - i] = extent == 1 ? 0 : step;
    step *= extent;
  }
  return strides;
}

std::vector<int64_t> broadcast_shape(std::span<const int64_t> a, std::span<const int64_t> b) {
  std::vector<int64_t> out(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    out[out.size() - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

void for_each_row(std::span<const int64_t> out_shape, std::span<const std::vector<int64_t>> in_strides,
                  const RowVisitor& row) {
  for (int64_t extent : out_shape)
    if (extent == 0) return;
  // Trailing dims merge into the row while every operand's strides continue: stride[d] == stride[d + 1] *
  // extent[d + 1].
  const size_t operands = in_strides.size();
  size_t split = out_shape.size();
  int64_t length = 1;
  std::vector<int64_t> step(operands, 0);
  while (split > 0) {
    const size_t d = split - 1;
    bool joins = true;
    for (size_t k = 0; k < operands && joins && length > 1; ++k)
      joins = out_shape[d] == 1 || in_strides[k][d] == step[k] * length;
    if (!joins) break;
    if (length == 1 && out_shape[d] > 1)
      for (size_t k = 0; k < operands; ++k) step[k] = in_strides[k][d];
    length *= out_shape[d];
    split = d;
  }
  // Long rows are cut into pieces, short ones are taken several at a time.
  const int64_t rows = product(out_shape, 0, split);
  const int64_t piece = std::min(length, kConvertGrain);
  const int64_t pieces = (length + piece - 1) / piece;
  const int64_t grain = std::max<int64_t>(1, kConvertGrain / piece);
  parallel_for(rows * pieces, grain, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> offset(operands);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % pieces * piece;
      for (size_t k = 0; k < operands; ++k) offset[k] = first * step[k];
      int64_t rest = i / pieces;
      for (size_t d = split; d-- > 0;) {
        const int64_t index = rest % out_shape[d];
        rest /= out_shape[d];
        for (size_t k = 0; k < operands; ++k) offset[k] += index * in_strides[k][d];
      }
      row(i / pieces * length + first, offset.data(), std::min(piece, length - first), step.data());
    }
  });
}

}  // namespace zp::ops
