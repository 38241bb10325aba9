#include "ir/tensor.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "support/half.h"
#include "support/rounding.h"
#include "support/strided_copy.h"

namespace zp {

namespace {

// A tensor that does not fit into the machine's memory is refused, not left to the system's killer.
int64_t g_max_tensor_bytes =
    std::min<int64_t>(int64_t{1} << 36, int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE) / 2);

Result<int64_t> count_elements(DType dtype, const std::vector<int64_t>& shape, int64_t max_bytes) {
  int64_t count = 1, strides = byte_size(dtype);
  bool zero = false;
  for (int64_t d : shape) {
    if (d < 0) return Error("tensor.shape", "negative dimension " + std::to_string(d));
    if (d == 0) zero = true;
    // Strides and partial products of empty tensors stay numbers too, as in torch.
    if (d > 0 && __builtin_mul_overflow(strides, d, &strides))
      return Error("tensor.size", "the strides of a tensor overflow");
  }
  if (zero) return int64_t{0};
  const int64_t limit = max_bytes / byte_size(dtype);
  for (int64_t d : shape) {
    if (count > limit / d)
      return Error("tensor.size", "a tensor would need more than " + std::to_string(max_bytes) + " bytes");
    count *= d;
  }
  return count;
}

}  // namespace

int64_t max_tensor_bytes() { return g_max_tensor_bytes; }
void set_max_tensor_bytes(int64_t bytes) { g_max_tensor_bytes = bytes; }

Result<Tensor> Tensor::make(DType dtype, std::vector<int64_t> shape) {
  ZP_TRY(const int64_t count, count_elements(dtype, shape, g_max_tensor_bytes));
  Tensor t;
  t.dtype_ = dtype;
  t.shape_ = std::move(shape);
  t.elements_ = count;
  const auto size = static_cast<size_t>(count * byte_size(dtype));
  t.blob_ = Blob::allocate(size, &t.writable_);
  std::memset(t.writable_, 0, size);
  return t;
}

Result<Tensor> Tensor::view(DType dtype, std::vector<int64_t> shape, Blob bytes) {
  ZP_TRY(const int64_t count, count_elements(dtype, shape, INT64_MAX));
  if (static_cast<int64_t>(bytes.size()) < storage_bytes(dtype, count)) {
    return Error("tensor.bytes", std::to_string(bytes.size()) + " bytes for " + std::to_string(count) +
                                     " elements of " + std::string(dtype_name(dtype)));
  }
  const int bits = bits_of(dtype);
  if (bits < 8) {
    ZP_TRY(Tensor t, make(dtype, std::move(shape)));
    if (bits == 4) {
      unpack_nibbles(bytes.bytes(), 0, count, is_signed(dtype), t.writable_);
      return t;
    }
    const int per_byte = 8 / bits;
    const int mask = (1 << bits) - 1;
    for (int64_t i = 0; i < count; ++i) {
      int v = (static_cast<int>(bytes.data()[i / per_byte]) >> (i % per_byte * bits)) & mask;
      if (is_signed(dtype) && v > mask / 2) v -= mask + 1;
      t.writable_[i] = static_cast<std::byte>(v);
    }
    return t;
  }
  Tensor t;
  t.dtype_ = dtype;
  t.shape_ = std::move(shape);
  t.elements_ = count;
  // Foreign writers need not align payloads; typed reads must be aligned.
  const bool aligned = reinterpret_cast<uintptr_t>(bytes.data()) %
                           static_cast<uintptr_t>(std::min<int64_t>(byte_size(dtype), 8)) ==
                       0;
  t.blob_ = aligned ? std::move(bytes) : Blob::copy_of(bytes.bytes().first(static_cast<size_t>(t.bytes())));
  return t;
}

Tensor Tensor::reshaped(std::vector<int64_t> shape) const {
  Tensor t = *this;
  t.shape_ = std::move(shape);
  return t;
}

double Tensor::get_double(int64_t i) const {
  switch (dtype_) {
    case DType::Bool: return data<uint8_t>()[i] ? 1.0 : 0.0;
    case DType::F16: return half_to_float(data<uint16_t>()[i]);
    case DType::BF16: return bfloat16_to_float(data<uint16_t>()[i]);
    case DType::F32: return data<float>()[i];
    case DType::F64: return data<double>()[i];
    case DType::F8E4M3: return f8e4m3_to_float(data<uint8_t>()[i]);
    case DType::F8E5M2: return f8e5m2_to_float(data<uint8_t>()[i]);
    case DType::F8E8M0: return f8e8m0_to_float(data<uint8_t>()[i]);
    case DType::U64: return static_cast<double>(data<uint64_t>()[i]);
    // Formats without a conversion here (complex, the f8 variants without infinities) read as NaN.
    default: return is_integer(dtype_) ? static_cast<double>(get_int(i)) : std::nan("");
  }
}

int64_t Tensor::get_int(int64_t i) const {
  switch (dtype_) {
    case DType::Bool: return data<uint8_t>()[i] != 0;
    case DType::I2:
    case DType::I4:
    case DType::I8: return data<int8_t>()[i];
    case DType::U2:
    case DType::U4:
    case DType::U8: return data<uint8_t>()[i];
    case DType::I16: return data<int16_t>()[i];
    case DType::U16: return data<uint16_t>()[i];
    case DType::I32: return data<int32_t>()[i];
    case DType::U32: return data<uint32_t>()[i];
    case DType::I64: return data<int64_t>()[i];
    case DType::U64: return static_cast<int64_t>(data<uint64_t>()[i]);
    default: {
      const double v = get_double(i);
      return saturate_to_int(std::trunc(v), INT64_MIN, INT64_MAX);
    }
  }
}

void Tensor::set_double(int64_t i, double value) {
  switch (dtype_) {
    case DType::Bool: mutable_data<uint8_t>()[i] = value != 0; return;
    case DType::F16: mutable_data<uint16_t>()[i] = float_to_half(static_cast<float>(value)); return;
    case DType::BF16: mutable_data<uint16_t>()[i] = float_to_bfloat16(static_cast<float>(value)); return;
    case DType::F32: mutable_data<float>()[i] = static_cast<float>(value); return;
    case DType::F64: mutable_data<double>()[i] = value; return;
    case DType::F8E4M3: mutable_data<uint8_t>()[i] = float_to_f8e4m3(static_cast<float>(value)); return;
    case DType::F8E5M2: mutable_data<uint8_t>()[i] = float_to_f8e5m2(static_cast<float>(value)); return;
    default:
      if (is_integer(dtype_))
        set_int(i, saturate_to_int(round_half_even(value), int_min(dtype_), int_max(dtype_)));
      return;
  }
}

void Tensor::set_int(int64_t i, int64_t value) {
  switch (dtype_) {
    case DType::Bool: mutable_data<uint8_t>()[i] = value != 0; return;
    case DType::I8:
    case DType::U8: mutable_data<uint8_t>()[i] = static_cast<uint8_t>(value); return;
    case DType::I2:
    case DType::I4: {
      const int bits = bits_of(dtype_);
      const int64_t wrapped = value & ((1 << bits) - 1);
      mutable_data<int8_t>()[i] =
          static_cast<int8_t>(wrapped > int_max(dtype_) ? wrapped - (1 << bits) : wrapped);
      return;
    }
    case DType::U2:
    case DType::U4: mutable_data<uint8_t>()[i] = static_cast<uint8_t>(value & int_max(dtype_)); return;
    case DType::I16:
    case DType::U16: mutable_data<uint16_t>()[i] = static_cast<uint16_t>(value); return;
    case DType::I32:
    case DType::U32: mutable_data<uint32_t>()[i] = static_cast<uint32_t>(value); return;
    case DType::I64:
    case DType::U64: mutable_data<int64_t>()[i] = value; return;
    default: set_double(i, static_cast<double>(value)); return;
  }
}

Result<int64_t> EvalArgs::dim(Dim d) const {
  if (d.is_known()) return d.value();
  if (d.is_unknown()) return node.error("run.dim", "a dimension is not known");
  static const DimBinding none;
  if (auto value = context().dims().evaluate(d, dims ? *dims : none)) return *value;
  return node.error("run.dim", "dimension " + d.str() + " has no value here");
}

Result<std::vector<int64_t>> EvalArgs::dims_value(List<Dim> ds) const {
  std::vector<int64_t> values;
  for (const Dim& d : ds) {
    ZP_TRY(const int64_t v, dim(d));
    values.push_back(v);
  }
  return values;
}

Result<Tensor> constant_tensor(Context& context, const Constant& constant) {
  ZP_TRY(Blob bytes, context.dense_bytes(constant));
  return Tensor::view(constant.dtype, constant.shape.vec(), std::move(bytes));
}

Result<QuantParams> quant_params(Context& context, const QuantType& quant, std::span<const int64_t> shape) {
  QuantParams p;
  p.type = &quant;
  const size_t rank = shape.size();
  p.grid.assign(rank, 1);
  if (quant.per_axis()) {
    if (static_cast<size_t>(quant.axis) >= rank) {
      return Error("quant.axis",
                   "axis " + std::to_string(quant.axis) + " of a tensor of rank " + std::to_string(rank));
    }
    p.grid[static_cast<size_t>(quant.axis)] = shape[static_cast<size_t>(quant.axis)];
  } else if (quant.per_block()) {
    if (quant.block.size() != rank) {
      return Error("quant.block", "block of " + std::to_string(quant.block.size()) +
                                      " dims for a tensor of rank " + std::to_string(rank));
    }
    for (size_t d = 0; d < rank; ++d) {
      const int64_t b = quant.block[d] == 0 ? std::max<int64_t>(shape[d], 1) : quant.block[d];
      if (b < 0) return Error("quant.block", "negative block extent " + std::to_string(b));
      p.grid[d] = shape[d] / b + (shape[d] % b != 0);
    }
  }
  int64_t cells = 1;
  for (int64_t g : p.grid) cells *= g;
  if (quant.per_tensor() && !quant.scales) {
    p.scales = {quant.scale};
    if (quant.domain == ZeroPointDomain::Float) {
      p.float_zero_points = {quant.zero_point};
      p.zero_points = {0};
    } else {
      p.zero_points = {static_cast<int64_t>(quant.zero_point)};
    }
  } else {
    if (quant.scales == nullptr) return Error("quant.scales", "no scales are known before the model runs");
    if (quant.scales->elements() != cells) {
      return Error("quant.count", std::to_string(quant.scales->elements()) + " scales, the grid has " +
                                      std::to_string(cells) + " cells");
    }
    ZP_TRY(const Tensor scales, constant_tensor(context, *quant.scales));
    p.scales.resize(static_cast<size_t>(cells));
    for (int64_t i = 0; i < cells; ++i) p.scales[static_cast<size_t>(i)] = scales.get_double(i);
    p.zero_points.assign(static_cast<size_t>(cells), 0);
    if (quant.zero_points != nullptr) {
      if (quant.zero_points->elements() != cells) {
        return Error("quant.count", std::to_string(quant.zero_points->elements()) +
                                        " zero points, the grid has " + std::to_string(cells) + " cells");
      }
      ZP_TRY(const Tensor zeros, constant_tensor(context, *quant.zero_points));
      if (quant.domain == ZeroPointDomain::Float) p.float_zero_points.resize(static_cast<size_t>(cells));
      for (int64_t i = 0; i < cells; ++i) {
        if (quant.domain == ZeroPointDomain::Float) {
          p.float_zero_points[static_cast<size_t>(i)] = zeros.get_double(i);
        } else {
          p.zero_points[static_cast<size_t>(i)] = zeros.get_int(i);
        }
      }
    }
  }
  for (size_t i = 0; i < p.scales.size(); ++i) {
    if (!(p.scales[i] > 0) || !std::isfinite(p.scales[i])) {
      return Error("quant.scale", "scale " + std::to_string(p.scales[i]) + " of cell " + std::to_string(i) +
                                      " is not finite and positive");
    }
  }
  if (quant.domain == ZeroPointDomain::Integer) {
    for (size_t i = 0; i < p.zero_points.size(); ++i) {
      if (p.zero_points[i] < int_min(quant.storage) || p.zero_points[i] > int_max(quant.storage)) {
        return Error("quant.zero_point", "zero point " + std::to_string(p.zero_points[i]) + " of cell " +
                                             std::to_string(i) + " is outside " +
                                             std::string(dtype_name(quant.storage)));
      }
    }
  }
  return p;
}

}  // namespace zp
