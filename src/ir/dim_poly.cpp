// Polynomials: plain lists of terms, sorted. Dimensions have a handful of terms, so nothing here is clever;
// every size is bounded by the callers' constants in the header.
#include "ir/dim_poly.h"

#include <algorithm>
#include <numeric>
#include <string_view>

namespace zp::dim_poly {

namespace {

// s2 before s10: runs of digits compare as numbers.
int compare_names(std::string_view a, std::string_view b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (digit(a[i]) && digit(b[j])) {
      size_t m = i, n = j;
      while (m < a.size() && digit(a[m])) ++m;
      while (n < b.size() && digit(b[n])) ++n;
      if (m - i != n - j) return m - i < n - j ? -1 : 1;
      if (const int c = a.substr(i, m - i).compare(b.substr(j, n - j)); c != 0) return c;
      i = m, j = n;
    } else if (a[i] != b[j]) {
      return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[j]) ? -1 : 1;
    } else {
      ++i, ++j;
    }
  }
  return a.size() - i < b.size() - j ? -1 : a.size() - i > b.size() - j ? 1 : 0;
}

// Equal parts are the same object, so only the first differing pair is entered: the cost is the depth.
int compare(const DimExpr* a, const DimExpr* b) {
  if (a == b) return 0;
  if ((a->op == DimOp::Constant) != (b->op == DimOp::Constant)) return b->op == DimOp::Constant ? -1 : 1;
  if (a->op != b->op) return a->op < b->op ? -1 : 1;
  if (a->op == DimOp::Symbol) return compare_names(a->symbol, b->symbol);
  if (a->op == DimOp::Constant) return a->value < b->value ? -1 : 1;
  for (size_t i = 0; i < std::min(a->args.size(), b->args.size()); ++i)
    if (const int c = compare(a->args[i], b->args[i]); c != 0) return c;
  return a->args.size() < b->args.size() ? -1 : 1;
}

// Higher degree first, then by factors (the graded lexicographic order, which products keep); the constant is
// last.
int compare_monomials(const Monomial& a, const Monomial& b) {
  if (a.size() != b.size()) return a.size() > b.size() ? -1 : 1;
  for (size_t i = 0; i < a.size(); ++i)
    if (const int c = compare(a[i], b[i]); c != 0) return c;
  return 0;
}

uint64_t magnitude(int64_t v) { return v < 0 ? ~static_cast<uint64_t>(v) + 1 : static_cast<uint64_t>(v); }

Monomial product(const Monomial& a, const Monomial& b) {
  Monomial out(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), out.begin(), before);
  return out;
}

}  // namespace

bool before(const DimExpr* a, const DimExpr* b) { return compare(a, b) < 0; }

bool is_constant(const Poly& p) { return p.empty() || (p.size() == 1 && p[0].factors.empty()); }
int64_t constant_of(const Poly& p) { return p.empty() ? 0 : p[0].coefficient; }
int64_t constant_term(const Poly& p) {
  return !p.empty() && p.back().factors.empty() ? p.back().coefficient : 0;
}
Poly constant_poly(int64_t value) { return value == 0 ? Poly() : Poly{{value, {}}}; }

MaybePoly normalized(Poly terms) {
  std::sort(terms.begin(), terms.end(),
            [](const Term& a, const Term& b) { return compare_monomials(a.factors, b.factors) < 0; });
  Poly out;
  for (Term& t : terms) {
    if (!out.empty() && compare_monomials(out.back().factors, t.factors) == 0) {
      if (__builtin_add_overflow(out.back().coefficient, t.coefficient, &out.back().coefficient))
        return std::nullopt;
    } else {
      if (!out.empty() && out.back().coefficient == 0) out.pop_back();
      out.push_back(std::move(t));
    }
  }
  if (!out.empty() && out.back().coefficient == 0) out.pop_back();
  if (out.size() > kMaxTerms) return std::nullopt;
  return out;
}

MaybePoly plus(const Poly& a, const Poly& b) {
  Poly all = a;
  all.insert(all.end(), b.begin(), b.end());
  return normalized(std::move(all));
}

MaybePoly scaled(const Poly& p, int64_t by) {
  if (by == 0) return Poly();
  Poly out = p;
  for (Term& t : out)
    if (__builtin_mul_overflow(t.coefficient, by, &t.coefficient)) return std::nullopt;
  return out;
}

MaybePoly minus(const Poly& a, const Poly& b) {
  const MaybePoly negative = scaled(b, -1);
  return negative ? plus(a, *negative) : std::nullopt;
}

MaybePoly times(const Poly& a, const Poly& b) {
  if (a.size() * b.size() > kMaxTerms * 8) return std::nullopt;
  Poly out;
  for (const Term& x : a) {
    for (const Term& y : b) {
      Term t;
      if (__builtin_mul_overflow(x.coefficient, y.coefficient, &t.coefficient)) return std::nullopt;
      if (x.factors.size() + y.factors.size() > kMaxDegree) return std::nullopt;
      t.factors = product(x.factors, y.factors);
      out.push_back(std::move(t));
    }
  }
  return normalized(std::move(out));
}

std::optional<Monomial> quotient(const Monomial& a, const Monomial& b) {
  Monomial out;
  size_t j = 0;
  for (const DimExpr* f : a) {
    if (j < b.size() && b[j] == f) ++j;
    else out.push_back(f);
  }
  return j == b.size() ? std::optional(std::move(out)) : std::nullopt;
}

Monomial common_factors(const Monomial& a, const Monomial& b) {
  Monomial out;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out), before);
  return out;
}

// At most 2^62, so that it can be used as a signed number.
uint64_t gcd_of(const Poly& p, uint64_t g, bool with_constant) {
  for (const Term& t : p)
    if (with_constant || !t.factors.empty()) g = std::gcd(g, magnitude(t.coefficient));
  return g > (uint64_t{1} << 62) ? 1 : g;
}

Poly divided(const Poly& p, int64_t coefficient, const Monomial& factors) {
  Poly out;
  for (const Term& t : p) out.push_back({t.coefficient / coefficient, *quotient(t.factors, factors)});
  return out;  // dividing all terms by one monomial keeps their order
}

MaybePoly exact_quotient(Poly p, const Poly& q) {
  Poly out;
  while (!p.empty()) {
    const auto factors = quotient(p[0].factors, q[0].factors);
    if (!factors || q[0].coefficient == 0 || (p[0].coefficient == INT64_MIN && q[0].coefficient == -1) ||
        p[0].coefficient % q[0].coefficient != 0 || out.size() >= kMaxTerms) {
      return std::nullopt;
    }
    const Poly step{{p[0].coefficient / q[0].coefficient, *factors}};
    const MaybePoly taken = times(step, q);
    if (!taken) return std::nullopt;
    MaybePoly rest = minus(p, *taken);
    if (!rest) return std::nullopt;
    out.push_back(step[0]);
    p = std::move(*rest);
  }
  return out;
}

}  // namespace zp::dim_poly
