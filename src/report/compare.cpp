#include "report/compare.h"

#include <cmath>

namespace zp {

Difference compare_tensors(std::string name, const Tensor& reference, const Tensor& value) {
  Difference d;
  d.name = std::move(name);
  if (reference.shape() != value.shape()) {
    d.max_abs_error = INFINITY;
    d.sqnr_db = -INFINITY;
    d.cosine = 0;
    return d;
  }
  double noise = 0, power = 0, dot = 0, value_power = 0;
  for (int64_t i = 0; i < reference.elements(); ++i) {
    const double a = reference.get_double(i), b = value.get_double(i);
    if (std::isfinite(a) != std::isfinite(b)) {
      d.max_abs_error = INFINITY;
      noise = INFINITY;
      continue;
    }
    if (!std::isfinite(a)) continue;
    d.max_abs_error = std::max(d.max_abs_error, std::fabs(a - b));
    noise += (a - b) * (a - b);
    power += a * a;
    value_power += b * b;
    dot += a * b;
  }
  if (noise > 0) d.sqnr_db = power > 0 ? 10 * std::log10(power / noise) : -INFINITY;
  d.cosine = power > 0 && value_power > 0 ? dot / std::sqrt(power * value_power) : (noise > 0 ? 0 : 1);
  return d;
}

}  // namespace zp
