// Signal against quantization noise in dB: the one definition that reports, verification and predictions
// share.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>

namespace zp {

// 10 log10(power / noise). Nothing: no noise. -999: noise without a signal.
inline std::optional<double> sqnr_db(double power, double noise) {
  if (!(noise > 0)) return std::nullopt;
  if (!(power > 0) || std::isinf(noise)) return -999.0;
  return 10 * std::log10(power / noise);
}

// Sums over pairs of numbers.
struct NoiseMeter {
  double power = 0, noise = 0, largest = 0;

  // Both finite.
  void add(double reference, double value) {
    const double d = reference - value;
    power += reference * reference;
    noise += d * d;
    largest = std::max(largest, std::fabs(d));
  }
  std::optional<double> db() const { return sqnr_db(power, noise); }
};

}  // namespace zp
