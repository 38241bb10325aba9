// Conversions between float and the narrow float formats, round to nearest even unless said otherwise.
// Sources: IEEE 754-2019 binary16; bfloat16 as the upper half of binary32; OCP 8-bit floating point
// specification 1.0 (E4M3 without infinities, E5M2), OCP microscaling 1.0 (E8M0 scale).
#pragma once

#include <cstdint>

namespace zp {

float half_to_float(uint16_t bits);
uint16_t float_to_half(float value);
float bfloat16_to_float(uint16_t bits);
uint16_t float_to_bfloat16(float value);
float f8e4m3_to_float(uint8_t bits);
uint8_t float_to_f8e4m3(float value);  // saturates to 448, NaN stays NaN
float f8e5m2_to_float(uint8_t bits);
uint8_t float_to_f8e5m2(float value);  // overflows to infinity
float f8e8m0_to_float(uint8_t bits);   // 2^(bits-127), 255 is NaN

}  // namespace zp
