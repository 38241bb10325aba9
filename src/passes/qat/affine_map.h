// The normal form that every spelling of a batch norm collapses to: y = a_c * x + b_c, one pair of numbers a
// channel. Numbers are doubles times a power of an infinitesimal: a gamma of 0 counts as infinitely small, so
// that dividing by it and multiplying by it again cancels (a = 1, b = beta) where plain arithmetic gives 0 /
// 0. Source of the chains: torchao/quantization/pt2e/qat_utils.py divides by gamma / sigma before the batch
// norm.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace zp::qat {

// value * e^order with e infinitely small and positive; an exact zero has value 0.
struct Scaled {
  double value = 0;
  double order = 0;  // a multiple of 1/2

  static Scaled of(double v) { return {v, 0}; }
  bool is_zero() const { return value == 0; }
  bool is_ordinary() const { return order == 0 || value == 0; }
  bool is_infinite() const { return value != 0 && order < 0; }
  // The ordinary number it stands for; infinite ones have none.
  double standard() const { return order > 0 ? 0.0 : value; }
};

inline Scaled operator-(Scaled x) { return {-x.value, x.order}; }
inline Scaled operator*(Scaled x, Scaled y) {
  // Zero times infinitely large: the zero stands for the same small number that was divided by.
  if (x.is_zero() && y.order < 0) return {y.value, y.order + 1};
  if (y.is_zero() && x.order < 0) return {x.value, x.order + 1};
  if (x.is_zero() || y.is_zero()) return {};
  return {x.value * y.value, x.order + y.order};
}
inline Scaled operator/(Scaled x, Scaled y) {
  if (x.is_zero()) return {};
  if (y.is_zero()) return {x.value, x.order - 1};
  return {x.value / y.value, x.order - y.order};
}
inline Scaled operator+(Scaled x, Scaled y) {
  if (x.is_zero()) return y;
  if (y.is_zero()) return x;
  if (x.order != y.order) return x.order < y.order ? x : y;
  return {x.value + y.value, x.order};
}
inline Scaled operator-(Scaled x, Scaled y) { return x + -y; }
Scaled sqrt(Scaled x);

struct AffineMap {
  std::vector<Scaled> a, b;
  static AffineMap identity(size_t channels) {
    return {std::vector<Scaled>(channels, Scaled::of(1)), std::vector<Scaled>(channels)};
  }
  size_t channels() const { return a.size(); }
  void multiply(const std::vector<Scaled>& factor);
  void divide(const std::vector<Scaled>& divisor);
  void add(const std::vector<Scaled>& addend, double factor);
};

}  // namespace zp::qat
