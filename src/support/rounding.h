// Rounding and saturation that every layer agrees on. All functions are exact for finite arguments;
// NaN becomes 0 when an integer is asked for.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace zp {

// Half to even; relies on the default rounding mode, which Zeropoint never changes.
inline float round_half_even(float x) { return std::nearbyintf(x); }
inline double round_half_even(double x) { return std::nearbyint(x); }

// Saturating conversion of an already rounded value; NaN gives 0.
inline int64_t saturate_to_int(double x, int64_t lo, int64_t hi) {
  if (!(x == x)) return 0 < lo ? lo : (0 > hi ? hi : 0);
  if (x <= static_cast<double>(lo)) return lo;
  if (x >= static_cast<double>(hi)) return hi;
  return static_cast<int64_t>(x);
}

// The quantization of one real value: clamp(rne(x * inverse_scale) + zero_point), in float as the
// reference quantizers do (multiply by the reciprocal, round, then add the zero point, then clamp).
inline int64_t quantize_value(float x, float inverse_scale, int64_t zero_point, int64_t qmin, int64_t qmax) {
  const float rounded = round_half_even(x * inverse_scale);
  if (!(rounded == rounded)) return saturate_to_int(0.0, qmin, qmax);
  return saturate_to_int(static_cast<double>(rounded) + static_cast<double>(zero_point), qmin, qmax);
}

}  // namespace zp
