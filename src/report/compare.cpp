#include "report/compare.h"

#include <cmath>

#include "support/noise.h"

namespace zp {

Difference compare_tensors(std::string name, const Tensor& reference, const Tensor& value) {
  Difference d;
  d.name = std::move(name);
  if (reference.shape() != value.shape()) {
    d.max_abs_error = INFINITY;
    d.sqnr_db = sqnr_db(0, INFINITY);
    d.cosine = 0;
    return d;
  }
  NoiseMeter meter;
  double dot = 0, value_power = 0;
  for (int64_t i = 0; i < reference.elements(); ++i) {
    const double a = reference.get_double(i), b = value.get_double(i);
    if (std::isfinite(a) != std::isfinite(b)) {
      meter.largest = meter.noise = INFINITY;
      continue;
    }
    if (!std::isfinite(a)) continue;
    meter.add(a, b);
    value_power += b * b;
    dot += a * b;
  }
  d.max_abs_error = meter.largest;
  d.sqnr_db = meter.db();
  d.cosine = meter.power > 0 && value_power > 0 ? dot / std::sqrt(meter.power * value_power)
                                                : (meter.noise > 0 ? 0 : 1);
  return d;
}

}  // namespace zp
