#include "passes/qat/affine_map.h"

namespace zp::qat {

Scaled sqrt(Scaled x) {
  if (x.is_zero()) return {};
  return {std::sqrt(x.value), x.order / 2};
}

void AffineMap::multiply(const std::vector<Scaled>& factor) {
  for (size_t c = 0; c < a.size(); ++c) {
    a[c] = a[c] * factor[c];
    b[c] = b[c] * factor[c];
  }
}

void AffineMap::divide(const std::vector<Scaled>& divisor) {
  for (size_t c = 0; c < a.size(); ++c) {
    a[c] = a[c] / divisor[c];
    b[c] = b[c] / divisor[c];
  }
}

void AffineMap::add(const std::vector<Scaled>& addend, double factor) {
  for (size_t c = 0; c < a.size(); ++c) b[c] = b[c] + addend[c] * Scaled::of(factor);
}

}  // namespace zp::qat
