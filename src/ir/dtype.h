// Element types. Types below 8 bits are stored packed in constants (two i4 a byte, first element in the
// low nibble) and one per byte in run-time tensors.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace zp {

enum class DType : uint8_t {
  Unknown,
  Bool,
  I2,
  U2,
  I4,
  U4,
  I8,
  U8,
  I16,
  U16,
  I32,
  U32,
  I64,
  U64,
  F8E4M3,
  F8E5M2,
  F8E4M3FNUZ,
  F8E5M2FNUZ,
  F8E8M0,
  F16,
  BF16,
  F32,
  F64,
  C32,
  C64,
  C128,
};
inline constexpr int kDTypeCount = static_cast<int>(DType::C128) + 1;

std::string_view dtype_name(DType dtype);  // "i8", "f32", "bf16", ...
std::optional<DType> dtype_from_name(std::string_view name);

int bits_of(DType dtype);        // declared width; bool is 8
int64_t byte_size(DType dtype);  // of one element in a run-time tensor; at least 1
// Bytes of `count` elements as a constant stores them: types below 8 bits are packed.
int64_t storage_bytes(DType dtype, int64_t count);

bool is_float(DType dtype);    // any floating type, f8 included; complex is not
bool is_integer(DType dtype);  // signed or unsigned; bool is not
bool is_signed(DType dtype);
bool is_complex(DType dtype);
// Smallest and largest value of an integer type (u64's maximum is clipped to INT64_MAX).
int64_t int_min(DType dtype);
int64_t int_max(DType dtype);

}  // namespace zp
