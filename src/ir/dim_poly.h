// Polynomials with integer coefficients over atoms: the arithmetic below symbolic dimensions. Nothing where a
// coefficient overflows or a bound on size is passed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/dim.h"

namespace zp::dim_poly {

inline constexpr size_t kMaxTerms = 128;
inline constexpr size_t kMaxDegree = 24;

// The canonical order of expressions: by structure and names only.
bool before(const DimExpr* a, const DimExpr* b);

using Monomial = std::vector<const DimExpr*>;  // sorted
struct Term {
  int64_t coefficient = 0;
  Monomial factors;
};
using Poly =
    std::vector<Term>;  // sorted, no zero coefficients; empty: zero. Higher degree first, the constant last
using MaybePoly = std::optional<Poly>;

bool is_constant(const Poly& p);
int64_t constant_of(const Poly& p);    // of a constant polynomial
int64_t constant_term(const Poly& p);  // of any
Poly constant_poly(int64_t value);

// floor(a / b) and a - b * floor(a / b); b is not 0 and the quotient fits.
inline int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
inline int64_t floor_mod(int64_t a, int64_t b) {
  const int64_t r = b == -1 ? 0 : a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

MaybePoly normalized(Poly terms);  // sorts and collects like terms
MaybePoly plus(const Poly& a, const Poly& b);
MaybePoly minus(const Poly& a, const Poly& b);
MaybePoly times(const Poly& a, const Poly& b);
MaybePoly scaled(const Poly& p, int64_t by);
// p / q if q divides p without remainder (long division by leading terms).
MaybePoly exact_quotient(Poly p, const Poly& q);

// a / b if b's factors are all in a.
std::optional<Monomial> quotient(const Monomial& a, const Monomial& b);
Monomial common_factors(const Monomial& a, const Monomial& b);
// The greatest common divisor of g and the coefficients (of terms that are not constant, unless
// `with_constant`).
uint64_t gcd_of(const Poly& p, uint64_t g, bool with_constant);
// Every term divided by a number (rounded towards 0) and by factors that all terms have.
Poly divided(const Poly& p, int64_t coefficient, const Monomial& factors);

}  // namespace zp::dim_poly
