// What a quantizer wishes for a slot against what the backend can do there. Three outcomes: as wished, after
// narrowing (said in words), or not at all.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "backend/tree.h"

namespace zp::backend {

struct Wish {
  DType storage = DType::I8;
  int64_t qmin = -128, qmax = 127;
  bool symmetric = false;
  Granularity granularity;  // kind Any: no wish
  bool dynamic = false;
  std::optional<double> eps;                       // smallest scale the observer gives
  std::optional<std::pair<double, double>> fixed;  // scale and zero point that are dictated
};

struct Decision {
  enum Outcome : uint8_t { Accepted, Narrowed, Refused } outcome = Refused;
  const Elem* elem = nullptr;  // the ability that serves the wish
  Wish got;                    // what will be done
  std::string text;            // what was narrowed, or why it is refused
};

// The first element that serves the wish as it is, else the first that serves it after narrowing.
Decision decide(std::span<const Elem> abilities, const Wish& wish);

}  // namespace zp::backend
