// Conversions and shapes of elementwise evaluation: see the header.
#include "ops/element_eval.h"

#include <fmt/format.h>

#include <cmath>

#include "ops/infer_util.h"
#include "ops/promote.h"

namespace zp::ops {

namespace {

// What the conversion instructions of a 64-bit machine give: truncation, and the smallest value when out of
// range.
int32_t truncate_to_i32(double v) {
  return v > -2147483649.0 && v < 2147483648.0 ? static_cast<int32_t>(v) : INT32_MIN;
}
int64_t truncate_to_i64(double v) {
  return v >= -9223372036854775808.0 && v < 9223372036854775808.0 ? static_cast<int64_t>(v) : INT64_MIN;
}

int64_t truncate(double v, DType dtype) {
  switch (dtype) {
    case DType::Bool: return v != 0;
    case DType::I64:
    case DType::U32: return truncate_to_i64(v);
    case DType::U64:
      return v >= 9223372036854775808.0
                 ? static_cast<int64_t>(static_cast<uint64_t>(truncate_to_i64(v - 9223372036854775808.0)) ^
                                        (uint64_t{1} << 63))
                 : truncate_to_i64(v);
    default: return truncate_to_i32(v);
  }
}

template <typename From>
void copy_as(const Tensor& from, int64_t* to) {
  const From* x = from.data<From>();
  parallel_for(from.elements(), kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = static_cast<int64_t>(x[i]);
  });
}

template <typename To>
void wrap_as(const int64_t* from, Tensor& to) {
  To* out = to.mutable_data<To>();
  parallel_for(to.elements(), kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = static_cast<To>(from[i]);
  });
}

}  // namespace

Result<Tensor> to_integer(const Tensor& x) {
  if (x.dtype() == DType::I64) return x;
  if (is_float(x.dtype())) return cast_tensor(x, DType::I64);
  ZP_TRY(Tensor out, Tensor::make(DType::I64, x.shape()));
  int64_t* to = out.mutable_data<int64_t>();
  switch (x.dtype()) {
    case DType::I8: copy_as<int8_t>(x, to); break;
    case DType::U8: copy_as<uint8_t>(x, to); break;
    case DType::I16: copy_as<int16_t>(x, to); break;
    case DType::U16: copy_as<uint16_t>(x, to); break;
    case DType::I32: copy_as<int32_t>(x, to); break;
    case DType::U32: copy_as<uint32_t>(x, to); break;
    case DType::U64: copy_as<uint64_t>(x, to); break;
    case DType::Bool:
    case DType::I2:
    case DType::U2:
    case DType::I4:
    case DType::U4:
      for (int64_t i = 0; i < x.elements(); ++i) to[i] = x.get_int(i);
      break;
    default: return Error("run.dtype", fmt::format("no conversion from {} to i64", dtype_name(x.dtype())));
  }
  return out;
}

Result<Tensor> narrow_integer(const Tensor& x, DType dtype) {
  if (dtype == DType::I64) return x;
  if (is_float(dtype)) return round_to(x, dtype);
  ZP_TRY(Tensor out, Tensor::make(dtype, x.shape()));
  const int64_t* from = x.data<int64_t>();
  switch (dtype) {
    case DType::I8: wrap_as<int8_t>(from, out); break;
    case DType::U8: wrap_as<uint8_t>(from, out); break;
    case DType::I16: wrap_as<int16_t>(from, out); break;
    case DType::U16: wrap_as<uint16_t>(from, out); break;
    case DType::I32: wrap_as<int32_t>(from, out); break;
    case DType::U32: wrap_as<uint32_t>(from, out); break;
    case DType::U64: wrap_as<uint64_t>(from, out); break;
    case DType::Bool:
    case DType::I2:
    case DType::U2:
    case DType::I4:
    case DType::U4:
      for (int64_t i = 0; i < x.elements(); ++i) out.set_int(i, from[i]);
      break;
    default: return Error("run.dtype", fmt::format("no conversion from i64 to {}", dtype_name(dtype)));
  }
  return out;
}

Result<Tensor> cast_tensor(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  const bool writable = !is_complex(dtype) && dtype != DType::F8E4M3FNUZ && dtype != DType::F8E5M2FNUZ &&
                        dtype != DType::F8E8M0;
  if (!writable || is_complex(x.dtype())) {
    return Error("run.dtype",
                 fmt::format("no conversion from {} to {}", dtype_name(x.dtype()), dtype_name(dtype)));
  }
  const bool from_float = is_float(x.dtype());
  if (is_float(dtype)) {
    if (dtype == DType::F32) return to_float(x);
    if (dtype == DType::F64) return to_double(x);
    // Narrow floats are rounded from f32, as the source framework does.
    ZP_TRY(const Tensor wide, to_float(x));
    return round_to(wide, dtype);
  }
  if (!from_float) {
    ZP_TRY(const Tensor wide, to_integer(x));
    return narrow_integer(wide, dtype);
  }
  ZP_TRY(const Tensor wide, to_double(x));
  ZP_TRY(Tensor whole, Tensor::make(DType::I64, x.shape()));
  map_elements<double, int64_t>(wide, whole, [&](double v) { return truncate(v, dtype); });
  return narrow_integer(whole, dtype);
}

Result<DType> computation_type(const EvalArgs& args, DType dtype) {
  if (dtype == DType::F64) return DType::F64;
  if (is_float(dtype)) return DType::F32;
  if (is_integer(dtype) || dtype == DType::Bool) return DType::I64;
  return args.node.error("run.dtype", fmt::format("{} of {} elements cannot be computed", args.node.op().name,
                                                  dtype_name(dtype)));
}

Result<Tensor> widen_to(const Tensor& x, DType computation) {
  if (computation == DType::F64) return to_double(x);
  if (computation == DType::F32) return to_float(x);
  return to_integer(x);
}

Result<DType> common_dtype(const EvalArgs& args, size_t first, size_t last) {
  std::vector<PromotedOperand> operands;
  for (size_t i = first; i < last; ++i)
    if (args.node.operand(i) != nullptr) operands.push_back(promoted_operand(*args.node.operand(i)));
  if (const auto dtype = promote(operands)) return *dtype;
  return args.node.error("run.dtype", "the element types of the operands have no common type");
}

Result<std::vector<int64_t>> common_shape(const EvalArgs& args, std::span<const Tensor* const> tensors) {
  std::vector<int64_t> shape;
  for (const Tensor* tensor : tensors) {
    if (tensor == nullptr) continue;
    const std::vector<int64_t>& other = tensor->shape();
    for (size_t i = 0; i < std::min(shape.size(), other.size()); ++i) {
      const int64_t a = shape[shape.size() - 1 - i], b = other[other.size() - 1 - i];
      if (a != b && a != 1 && b != 1) {
        return args.node.error("run.shape", fmt::format("shapes {} and {} do not broadcast",
                                                        shape_text(shape), shape_text(other)));
      }
    }
    shape = broadcast_shape(shape, other);
  }
  return shape;
}

}  // namespace zp::ops
