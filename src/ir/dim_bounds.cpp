// Bounds and values of symbolic dimensions.
#include "ir/dim_bounds.h"

#include <algorithm>
#include <initializer_list>

namespace zp {

namespace {

constexpr int64_t kLow = Interval::kMinusInfinity;
constexpr int64_t kHigh = Interval::kPlusInfinity;
bool infinite(int64_t v) { return v == kLow || v == kHigh; }

// Rounds towards minus infinity; b is not 0. INT64_MIN / -1 is infinite here.
int64_t floor_quotient(int64_t a, int64_t b) {
  if (a == kLow && b == -1) return kHigh;
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
int64_t floor_remainder(int64_t a, int64_t b) {
  const int64_t r = b == -1 ? 0 : a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

int64_t negated(int64_t v) { return v == kLow ? kHigh : v == kHigh ? kLow : -v; }

int64_t sum(int64_t a, int64_t b, int64_t if_both_ends) {
  if (infinite(a) && infinite(b) && a != b) return if_both_ends;
  if (infinite(a)) return a;
  if (infinite(b)) return b;
  int64_t r = 0;
  if (__builtin_add_overflow(a, b, &r)) return a > 0 ? kHigh : kLow;
  return r;
}

int64_t times(int64_t a, int64_t b) {
  if (a == 0 || b == 0) return 0;
  int64_t r = 0;
  if (infinite(a) || infinite(b) || __builtin_mul_overflow(a, b, &r))
    return (a < 0) == (b < 0) ? kHigh : kLow;
  return r;
}

Interval product(Interval a, Interval b) {
  const auto all = {times(a.lo, b.lo), times(a.lo, b.hi), times(a.hi, b.lo), times(a.hi, b.hi)};
  return {std::min(all), std::max(all)};
}

// floor(a / b) at one corner, b >= 1; an infinite divisor leaves 0 or, for a negative dividend, -1.
int64_t corner(int64_t a, int64_t b) {
  if (infinite(a)) return a;
  if (infinite(b)) return a < 0 ? -1 : 0;
  return floor_quotient(a, b);
}

Interval quotient(Interval a, Interval b) {
  if (b.hi < 0) {
    a = {negated(a.hi), negated(a.lo)};
    b = {negated(b.hi), negated(b.lo)};
  }
  if (b.lo >= 1) {
    const auto all = {corner(a.lo, b.lo), corner(a.lo, b.hi), corner(a.hi, b.lo), corner(a.hi, b.hi)};
    return {std::min(all), std::max(all)};
  }
  // A divisor of either sign, not 0: the quotient is no larger than the dividend in magnitude.
  const int64_t most = std::max({a.hi, negated(a.lo), int64_t{0}});
  return {negated(most), most};
}

Interval remainder(Interval a, Interval b) {
  Interval r{std::min<int64_t>(0, sum(b.lo, 1, kLow)), std::max<int64_t>(0, sum(b.hi, -1, kHigh))};
  if (b.lo >= 1 && a.lo >= 0) r.hi = std::min(r.hi, a.hi);
  return r;
}

Interval power(Interval a, Interval b) {
  if (a.lo < 0 || b.lo < 0) return {};
  const auto at = [](int64_t base, int64_t exponent) {
    if (exponent == 0) return int64_t{1};
    if (base <= 1) return base;
    if (infinite(base) || infinite(exponent)) return kHigh;
    return checked_pow(base, exponent).value_or(kHigh);
  };
  // 0 ^ 0 is 1, so a base that may be 0 has its least value at the largest exponent.
  return {a.lo == 0 ? (b.hi == 0 ? 1 : 0) : at(a.lo, b.lo),
          std::max(at(a.hi, b.hi), b.lo == 0 ? int64_t{1} : int64_t{0})};
}

std::optional<int64_t> value_of(const DimExpr* e, const DimBinding& binding) {
  if (e->op == DimOp::Constant) return e->value;
  if (e->op == DimOp::Symbol) {
    const auto found = binding.find(e->symbol);
    return found == binding.end() ? std::nullopt : std::optional(found->second);
  }
  std::optional<int64_t> result = value_of(e->args[0], binding);
  if (!result) return std::nullopt;
  int64_t r = *result;
  for (size_t i = 1; i < e->args.size(); ++i) {
    const std::optional<int64_t> argument = value_of(e->args[i], binding);
    if (!argument) return std::nullopt;
    const int64_t b = *argument;
    bool bad = false;
    switch (e->op) {
      case DimOp::Add: bad = __builtin_add_overflow(r, b, &r); break;
      case DimOp::Mul: bad = __builtin_mul_overflow(r, b, &r); break;
      case DimOp::FloorDiv:
      case DimOp::CeilDiv: {
        bad = b == 0 || (b == -1 && r == std::numeric_limits<int64_t>::min());
        if (bad) break;
        const int64_t q = floor_quotient(r, b);
        r = e->op == DimOp::FloorDiv || floor_remainder(r, b) == 0 ? q : q + 1;
        break;
      }
      case DimOp::Mod:
        bad = b == 0;
        if (!bad) r = floor_remainder(r, b);
        break;
      case DimOp::Min: r = std::min(r, b); break;
      case DimOp::Max: r = std::max(r, b); break;
      case DimOp::Pow: {
        const auto p = checked_pow(r, b);
        bad = !p;
        r = p.value_or(0);
        break;
      }
      case DimOp::Symbol:
      case DimOp::Constant: break;
    }
    if (bad) return std::nullopt;
  }
  return r;
}

}  // namespace

std::optional<int64_t> checked_pow(int64_t base, int64_t exponent) {
  if (exponent < 0) return std::nullopt;
  if (base == 0 || base == 1) return exponent == 0 ? 1 : base;
  if (base == -1) return exponent % 2 == 0 ? 1 : -1;
  if (exponent > 63) return std::nullopt;
  int64_t r = 1;
  for (int64_t i = 0; i < exponent; ++i)
    if (__builtin_mul_overflow(r, base, &r)) return std::nullopt;
  return r;
}

// The trees are bounded in size and depth when they are built, so plain recursion is cheap.
Interval dim_bounds(const DimContext& context, const DimExpr* e) {
  switch (e->op) {
    case DimOp::Constant: return {e->value, e->value};
    case DimOp::Symbol: {
      const SymbolInfo* info = context.info(e->symbol);
      return info != nullptr ? Interval{info->min, info->max} : Interval();
    }
    default: break;
  }
  Interval r = dim_bounds(context, e->args[0]);
  for (size_t i = 1; i < e->args.size(); ++i) {
    const Interval b = dim_bounds(context, e->args[i]);
    switch (e->op) {
      case DimOp::Add: r = {sum(r.lo, b.lo, kLow), sum(r.hi, b.hi, kHigh)}; break;
      case DimOp::Mul: r = product(r, b); break;
      case DimOp::FloorDiv: r = quotient(r, b); break;
      case DimOp::CeilDiv: {
        const Interval q = quotient({negated(r.hi), negated(r.lo)}, b);
        r = {negated(q.hi), negated(q.lo)};
        break;
      }
      case DimOp::Mod: r = remainder(r, b); break;
      case DimOp::Min: r = {std::min(r.lo, b.lo), std::min(r.hi, b.hi)}; break;
      case DimOp::Max: r = {std::max(r.lo, b.lo), std::max(r.hi, b.hi)}; break;
      case DimOp::Pow: r = power(r, b); break;
      case DimOp::Symbol:
      case DimOp::Constant: break;
    }
  }
  return r;
}

std::optional<int64_t> DimContext::evaluate(Dim dim, const DimBinding& binding) const {
  if (dim.is_known()) return dim.value();
  if (dim.is_unknown()) return std::nullopt;
  return value_of(dim.expr(), binding);
}

int64_t DimContext::lower_bound(Dim dim) const {
  if (dim.is_known()) return dim.value();
  return dim.is_unknown() ? kLow : dim_bounds(*this, dim.expr()).lo;
}

int64_t DimContext::upper_bound(Dim dim) const {
  if (dim.is_known()) return dim.value();
  return dim.is_unknown() ? kHigh : dim_bounds(*this, dim.expr()).hi;
}

}  // namespace zp
