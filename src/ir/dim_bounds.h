// Interval arithmetic over symbolic dimensions. The ends of the 64-bit range stand for infinity; a product or
// sum that overflows is infinite, so that a bound is never wrong, only wide.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "ir/dim.h"

namespace zp {

struct Interval {
  static constexpr int64_t kMinusInfinity = std::numeric_limits<int64_t>::min();
  static constexpr int64_t kPlusInfinity = kDimUnbounded;
  int64_t lo = kMinusInfinity;
  int64_t hi = kPlusInfinity;
  bool finite() const { return lo != kMinusInfinity && hi != kPlusInfinity; }
};

Interval dim_bounds(const DimContext& context, const DimExpr* expr);

// base to the power of exponent; nothing if it does not fit or the exponent is negative.
std::optional<int64_t> checked_pow(int64_t base, int64_t exponent);

}  // namespace zp
