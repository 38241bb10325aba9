#include "support/half.h"

#include <bit>
#include <cmath>

namespace zp {

namespace {

// A small IEEE-like format: 1 sign bit, `exponent_bits`, `mantissa_bits`.
float decode(uint32_t bits, int exponent_bits, int mantissa_bits) {
  const uint32_t mantissa_mask = (1u << mantissa_bits) - 1;
  const uint32_t exponent_mask = (1u << exponent_bits) - 1;
  const uint32_t mantissa = bits & mantissa_mask;
  const uint32_t exponent = (bits >> mantissa_bits) & exponent_mask;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const bool negative = (bits >> (exponent_bits + mantissa_bits)) & 1;
  float value;
  if (exponent == 0) {
    value = std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissa_bits);
  } else {
    value = std::ldexp(static_cast<float>(mantissa | (1u << mantissa_bits)),
                       static_cast<int>(exponent) - bias - mantissa_bits);
  }
  return negative ? -value : value;
}

// Nearest even; returns the magnitude bits, which may run past the largest exponent when it overflows.
uint32_t encode_magnitude(float magnitude, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  if (magnitude == 0.0f) return 0;
  int exponent = 0;
  std::frexp(magnitude, &exponent);  // magnitude = f * 2^exponent, f in [0.5, 1)
  exponent -= 1;
  const int lowest = 1 - bias;
  const int unit = (exponent < lowest ? lowest : exponent) - mantissa_bits;
  const double steps = std::nearbyint(std::ldexp(static_cast<double>(magnitude), -unit));
  const auto count = static_cast<uint32_t>(steps);
  if (exponent < lowest) return count;  // subnormal; a carry makes the smallest normal by itself
  return (static_cast<uint32_t>(exponent + bias) << mantissa_bits) + (count - (1u << mantissa_bits));
}

}  // namespace

float half_to_float(uint16_t bits) {
  if (((bits >> 10) & 31) == 31) {
    const uint32_t wide = (static_cast<uint32_t>(bits & 0x8000u) << 16) | 0x7f800000u |
                          (static_cast<uint32_t>(bits & 0x3ffu) << 13);
    return std::bit_cast<float>(wide);
  }
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
  // Subnormal: a multiple of 2^-24. Otherwise the exponent moves from bias 15 to bias 127.
  if (magnitude < 0x400)
    return std::copysign(static_cast<float>(magnitude) * 0x1p-24f, sign != 0 ? -1.0f : 1.0f);
  return std::bit_cast<float>(sign | ((magnitude << 13) + (112u << 23)));
}

uint16_t float_to_half(float value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (std::isnan(value)) return sign | 0x7e00;
  const float magnitude = std::fabs(value);
  if (magnitude >= 65520.0f) return sign | 0x7c00;  // half way to the first number that does not fit
  // Subnormal: one unit in the last place of 0.5 is 2^-24, the spacing wanted, so the addition rounds.
  if (magnitude < 0x1p-14f)
    return sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(magnitude + 0.5f) - 0x3f000000u);
  const auto bits = std::bit_cast<uint32_t>(magnitude);
  return sign | static_cast<uint16_t>((bits + 0xfff + ((bits >> 13) & 1) - (112u << 23)) >> 13);
}

float bfloat16_to_float(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t float_to_bfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float f8e4m3_to_float(uint8_t bits) {
  if ((bits & 0x7f) == 0x7f) return std::copysign(std::nanf(""), (bits & 0x80) ? -1.0f : 1.0f);
  return decode(bits, 4, 3);
}

uint8_t float_to_f8e4m3(float value) {
  const uint8_t sign = std::signbit(value) ? 0x80 : 0;
  if (std::isnan(value)) return sign | 0x7f;
  const float magnitude = std::fabs(value);
  if (magnitude >= 448.0f) return sign | 0x7e;
  return sign | static_cast<uint8_t>(encode_magnitude(magnitude, 4, 3));
}

float f8e5m2_to_float(uint8_t bits) {
  if (((bits >> 2) & 31) == 31) {
    if ((bits & 3) != 0) return std::copysign(std::nanf(""), (bits & 0x80) ? -1.0f : 1.0f);
    return (bits & 0x80) ? -INFINITY : INFINITY;
  }
  return decode(bits, 5, 2);
}

uint8_t float_to_f8e5m2(float value) {
  const uint8_t sign = std::signbit(value) ? 0x80 : 0;
  if (std::isnan(value)) return sign | 0x7f;
  const float magnitude = std::fabs(value);
  if (magnitude >= 61440.0f) return sign | 0x7c;
  return sign | static_cast<uint8_t>(encode_magnitude(magnitude, 5, 2));
}

float f8e8m0_to_float(uint8_t bits) {
  if (bits == 255) return std::nanf("");
  return std::ldexp(1.0f, static_cast<int>(bits) - 127);
}

}  // namespace zp
