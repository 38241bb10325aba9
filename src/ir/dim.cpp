// Arithmetic of symbolic dimensions. Everything is done on polynomials with integer coefficients: a sorted
// list of terms, each a coefficient times a sorted list of atoms. Atoms are symbols and what polynomials
// cannot say (quotients, remainders, minima, maxima, powers); each rule that simplifies one is exact for all
// integers for which the expression is defined, or for all values the symbols' ranges allow. Every size is
// bounded: what would grow beyond becomes unknown, which is always a correct answer.
#include "ir/dim.h"

#include <algorithm>
#include <unordered_set>

#include "ir/dim_bounds.h"
#include "ir/dim_poly.h"
#include "support/arena.h"

namespace zp {

namespace {

using dim_poly::common_factors;
using dim_poly::constant_of;
using dim_poly::constant_poly;
using dim_poly::constant_term;
using dim_poly::divided;
using dim_poly::exact_quotient;
using dim_poly::floor_div;
using dim_poly::floor_mod;
using dim_poly::gcd_of;
using dim_poly::is_constant;
using dim_poly::kMaxDegree;
using dim_poly::kMaxTerms;
using dim_poly::MaybePoly;
using dim_poly::minus;
using dim_poly::Monomial;
using dim_poly::normalized;
using dim_poly::plus;
using dim_poly::Poly;
using dim_poly::quotient;
using dim_poly::scaled;
using dim_poly::Term;
using dim_poly::times;

constexpr uint32_t kMaxSize = 2048;
constexpr uint32_t kMaxDepth = 64;

struct ExprHash {
  size_t operator()(const DimExpr* e) const {
    size_t h = static_cast<size_t>(e->op) * 31 + std::hash<int64_t>()(e->value);
    h = h * 1000003 + std::hash<std::string_view>()(e->symbol);
    for (const DimExpr* a : e->args) h = h * 1000003 + a->id;
    return h;
  }
};
struct ExprEqual {
  bool operator()(const DimExpr* a, const DimExpr* b) const {
    return a->op == b->op && a->value == b->value && a->symbol == b->symbol && a->args == b->args;
  }
};

}  // namespace

struct DimContext::Impl {
  Arena arena;
  std::unordered_set<const DimExpr*, ExprHash, ExprEqual> exprs;
  std::unordered_map<std::string_view, SymbolInfo> infos;
  std::vector<std::string_view> order;
  DimContext* owner = nullptr;

  const DimExpr* intern(const DimExpr& e) {
    if (auto found = exprs.find(&e); found != exprs.end()) return *found;
    uint64_t size = 1;
    uint32_t depth = 0;
    for (const DimExpr* a : e.args) size += a->size, depth = std::max(depth, a->depth);
    if (size > kMaxSize || depth >= kMaxDepth) return nullptr;
    DimExpr* copy = arena.make<DimExpr>(e);
    copy->args = arena.copy(std::span<const DimExpr* const>(e.args));
    copy->id = static_cast<uint32_t>(exprs.size());
    copy->size = static_cast<uint32_t>(size);
    copy->depth = depth + 1;
    exprs.insert(copy);
    return copy;
  }
  const DimExpr* make(DimOp op, const std::vector<const DimExpr*>& args) {
    for (const DimExpr* a : args)
      if (a == nullptr) return nullptr;
    DimExpr e{op};
    e.args = List<const DimExpr*>(args.data(), args.size());
    return intern(e);
  }
  const DimExpr* constant(int64_t value) {
    DimExpr e{DimOp::Constant};
    e.value = value;
    return intern(e);
  }

  static Poly read_term(const DimExpr* e) {
    Term t{1, {}};
    if (e->op == DimOp::Constant) {
      t.coefficient = e->value;
    } else if (e->op == DimOp::Mul) {
      for (const DimExpr* f : e->args) {
        if (f->op == DimOp::Constant) t.coefficient = f->value;
        else t.factors.push_back(f);
      }
    } else {
      t.factors = {e};
    }
    return {std::move(t)};
  }
  static Poly read(const DimExpr* e) {
    if (e->op != DimOp::Add) return read_term(e);
    Poly out;
    for (const DimExpr* a : e->args) out.push_back(std::move(read_term(a)[0]));
    return out;
  }
  static Poly read(Dim d) { return d.is_known() ? constant_poly(d.value()) : read(d.expr()); }

  const DimExpr* write_term(const Term& t) {
    if (t.factors.empty()) return constant(t.coefficient);
    if (t.coefficient == 1 && t.factors.size() == 1) return t.factors[0];
    std::vector<const DimExpr*> args;
    if (t.coefficient != 1) args.push_back(constant(t.coefficient));
    args.insert(args.end(), t.factors.begin(), t.factors.end());
    return make(DimOp::Mul, args);
  }
  const DimExpr* write_expr(const Poly& p) {
    if (p.empty()) return constant(0);
    if (p.size() == 1) return write_term(p[0]);
    std::vector<const DimExpr*> args;
    for (const Term& t : p) args.push_back(write_term(t));
    return make(DimOp::Add, args);
  }
  Dim write(const MaybePoly& p) {
    if (!p) return Dim::unknown();
    if (is_constant(*p)) return Dim(constant_of(*p));
    const DimExpr* e = write_expr(*p);
    return e != nullptr ? Dim(e) : Dim::unknown();
  }
  MaybePoly atom(const DimExpr* e) {
    if (e == nullptr) return std::nullopt;
    return read(e);
  }

  Interval bounds(const Poly& p) {
    const DimExpr* e = write_expr(p);
    return e != nullptr ? dim_bounds(*owner, e) : Interval();
  }

  MaybePoly floordiv(Poly p, Poly q, int steps);
  MaybePoly floordiv_number(Poly p, int64_t k, int steps);
  MaybePoly mod(Poly p, Poly q, int steps);
  MaybePoly mod_number(Poly p, int64_t k);
  MaybePoly extreme(DimOp op, const Poly& a, const Poly& b);
};

// p // k for a positive number k.
//   (k*a + r) // k = a + r // k;   (g*a + c) // (g*k) = (a + c // g) // k;   (-a) // k = -((a + k - 1) // k);
//   (a // m + b) // k = (a + b*m) // (m*k)
MaybePoly DimContext::Impl::floordiv_number(Poly p, int64_t k, int steps) {
  Poly whole, rest;
  for (const Term& t : p) {
    // The constant's remainder lies in [0, k); the other coefficients keep their sign, which keeps bounds
    // tight.
    const int64_t q = t.factors.empty() ? floor_div(t.coefficient, k) : t.coefficient / k;
    if (q != 0) whole.push_back({q, t.factors});
    if (const int64_t r = t.coefficient - q * k; r != 0) rest.push_back({r, t.factors});
  }
  if (is_constant(rest)) return whole;
  if (const auto g = static_cast<int64_t>(gcd_of(rest, static_cast<uint64_t>(k), false)); g > 1) {
    const int64_t c = constant_term(rest);
    if (c != 0) rest.pop_back();
    rest = divided(rest, g, {});
    if (c / g != 0) rest.push_back({c / g, {}});
    k /= g;
  }
  if (k == 1) return plus(whole, rest);
  const int64_t sign = rest[0].coefficient < 0 ? -1 : 1;
  if (sign < 0) {
    const MaybePoly flipped = scaled(rest, -1);
    const MaybePoly shifted = flipped ? plus(*flipped, constant_poly(k - 1)) : std::nullopt;
    if (!shifted) return std::nullopt;
    rest = *shifted;
  }
  MaybePoly inner;
  const Interval range = bounds(rest);
  const Term* nested = nullptr;
  int quotients = 0;
  for (const Term& t : rest) {
    if (t.factors.size() != 1 || t.factors[0]->op != DimOp::FloorDiv) continue;
    ++quotients;
    if (t.coefficient == 1) nested = &t;
  }
  if (range.finite() && floor_div(range.lo, k) == floor_div(range.hi, k)) {
    inner = constant_poly(floor_div(range.lo, k));
  } else if (quotients == 1 && nested != nullptr && steps > 0) {
    const Poly m = read(nested->factors[0]->args[1]);
    const MaybePoly others = minus(rest, {*nested});
    const MaybePoly raised = others ? times(*others, m) : std::nullopt;
    const MaybePoly numerator = raised ? plus(*raised, read(nested->factors[0]->args[0])) : std::nullopt;
    const MaybePoly denominator = scaled(m, k);
    if (numerator && denominator) inner = floordiv(*numerator, *denominator, steps - 1);
  }
  if (!inner) inner = atom(make(DimOp::FloorDiv, {write_expr(rest), constant(k)}));
  if (!inner) return std::nullopt;
  return sign < 0 ? minus(whole, *inner) : plus(whole, *inner);
}

MaybePoly DimContext::Impl::floordiv(Poly p, Poly q, int steps) {
  if (q.empty()) return std::nullopt;
  if (p.empty()) return Poly();
  if (q[0].coefficient < 0) {  // p // q = (-p) // (-q)
    const MaybePoly negative_p = scaled(p, -1), negative_q = scaled(q, -1);
    if (!negative_p || !negative_q) return std::nullopt;
    p = *negative_p, q = *negative_q;
  }
  if (is_constant(q)) return floordiv_number(std::move(p), constant_of(q), steps);
  if (MaybePoly exact = exact_quotient(p, q)) return exact;
  Poly whole, rest;
  if (q.size() == 1) {
    for (const Term& t : p) {
      const auto factors = quotient(t.factors, q[0].factors);
      const int64_t times = factors ? t.coefficient / q[0].coefficient : 0;
      if (times != 0) whole.push_back({times, *factors});
      if (const int64_t r = t.coefficient - times * q[0].coefficient; r != 0) rest.push_back({r, t.factors});
    }
  } else {
    rest = p;
  }
  if (rest.empty()) return whole;
  Monomial common = q[0].factors;
  for (const Poly* part : {&rest, &q})
    for (const Term& t : *part) common = common_factors(common, t.factors);
  const auto g = static_cast<int64_t>(gcd_of(q, gcd_of(rest, 0, true), true));
  if (g > 1 || !common.empty()) {
    rest = divided(rest, g, common);
    q = divided(q, g, common);
    if (is_constant(q)) {
      const MaybePoly inner = floordiv_number(rest, constant_of(q), steps);
      return inner ? plus(whole, *inner) : std::nullopt;
    }
  }
  const MaybePoly gap = minus(q, rest);
  if (gap && bounds(rest).lo >= 0 && bounds(*gap).lo >= 1) return whole;  // 0 <= rest < q
  const MaybePoly inner = atom(make(DimOp::FloorDiv, {write_expr(rest), write_expr(q)}));
  return inner ? plus(whole, *inner) : std::nullopt;
}

// p % k for a positive number k.
//   (k*a + r) % k = r % k;   c*(a % m) may be replaced by c*a if k divides c*m;   (g*a + r) % (g*k) = g*(a %
//   k) + r for 0 <= r < g
MaybePoly DimContext::Impl::mod_number(Poly p, int64_t k) {
  for (int round = 0; round < 8; ++round) {
    Poly reduced;
    bool opened = false;
    for (const Term& t : p) {
      const int64_t c = floor_mod(t.coefficient, k);
      if (c == 0) continue;
      const DimExpr* f = t.factors.size() == 1 ? t.factors[0] : nullptr;
      int64_t cm = 1;
      if (f != nullptr && f->op == DimOp::Mod && f->args[1]->op == DimOp::Constant &&
          !__builtin_mul_overflow(c, f->args[1]->value, &cm) && cm % k == 0) {
        const MaybePoly a = scaled(read(f->args[0]), c);
        if (a) {
          reduced.insert(reduced.end(), a->begin(), a->end());
          opened = true;
          continue;
        }
      }
      reduced.push_back({c, t.factors});
    }
    MaybePoly next = normalized(std::move(reduced));
    if (!next) return std::nullopt;
    p = std::move(*next);
    if (!opened) break;
  }
  if (is_constant(p)) return constant_poly(floor_mod(constant_of(p), k));
  const auto g = static_cast<int64_t>(gcd_of(p, static_cast<uint64_t>(k), false));
  const int64_t r = floor_mod(constant_term(p), g);
  if (g > 1) {
    MaybePoly without = minus(p, constant_poly(r));
    if (!without) return std::nullopt;
    p = divided(*without, g, {});
    k /= g;
  }
  if (k == 1) return constant_poly(r);
  MaybePoly inner;
  const Interval range = bounds(p);
  if (range.finite() && floor_div(range.lo, k) == floor_div(range.hi, k)) {
    inner = minus(p, constant_poly(floor_div(range.lo, k) * k));
  } else {
    inner = atom(make(DimOp::Mod, {write_expr(p), constant(k)}));
  }
  if (inner) inner = scaled(*inner, g);
  return inner ? plus(*inner, constant_poly(r)) : std::nullopt;
}

MaybePoly DimContext::Impl::mod(Poly p, Poly q, int steps) {
  if (q.empty()) return std::nullopt;
  if (p.empty()) return Poly();
  if (q[0].coefficient < 0) {  // p % -q = -(-p % q)
    if (steps == 0) return std::nullopt;
    const MaybePoly negative_p = scaled(p, -1), negative_q = scaled(q, -1);
    if (!negative_p || !negative_q) return std::nullopt;
    const MaybePoly inner = mod(*negative_p, *negative_q, steps - 1);
    return inner ? scaled(*inner, -1) : std::nullopt;
  }
  if (is_constant(q)) return mod_number(std::move(p), constant_of(q));
  if (exact_quotient(p, q)) return Poly();
  if (q.size() == 1) {
    Poly rest;
    for (const Term& t : p) {
      const bool divides = quotient(t.factors, q[0].factors).has_value();
      const int64_t r = divides ? floor_mod(t.coefficient, q[0].coefficient) : t.coefficient;
      if (r != 0) rest.push_back({r, t.factors});
    }
    p = std::move(rest);
    if (p.empty()) return Poly();
  }
  Monomial common = q[0].factors;
  for (const Poly* part : {&p, &q})
    for (const Term& t : *part) common = common_factors(common, t.factors);
  const auto g = static_cast<int64_t>(gcd_of(q, gcd_of(p, 0, true), true));
  const Poly outer{{g, common}};
  if (g > 1 || !common.empty()) {  // (g*a) % (g*b) = g*(a % b)
    p = divided(p, g, common);
    q = divided(q, g, common);
    if (is_constant(q)) {
      const MaybePoly inner = mod_number(p, constant_of(q));
      return inner ? times(outer, *inner) : std::nullopt;
    }
  }
  const MaybePoly gap = minus(q, p);
  if (gap && bounds(p).lo >= 0 && bounds(*gap).lo >= 1) return times(outer, p);  // 0 <= p < q
  const MaybePoly inner = atom(make(DimOp::Mod, {write_expr(p), write_expr(q)}));
  return inner ? times(outer, *inner) : std::nullopt;
}

// min and max: flattened, duplicates and everything that another argument bounds for all symbol values
// dropped.
MaybePoly DimContext::Impl::extreme(DimOp op, const Poly& a, const Poly& b) {
  const bool is_min = op == DimOp::Min;
  std::vector<Poly> args;
  for (const Poly* p : {&a, &b}) {
    const bool nested = p->size() == 1 && (*p)[0].coefficient == 1 && (*p)[0].factors.size() == 1 &&
                        (*p)[0].factors[0]->op == op;
    if (!nested) {
      args.push_back(*p);
      continue;
    }
    for (const DimExpr* e : (*p)[0].factors[0]->args)
      args.push_back(e->op == DimOp::Constant ? constant_poly(e->value) : read(e));
  }
  if (args.size() > kMaxTerms) return std::nullopt;
  std::vector<Poly> kept;
  for (Poly& candidate : args) {
    // `x` makes `y` superfluous if x <= y (min) or x >= y (max) always.
    const auto covers = [&](const Poly& x, const Poly& y) {
      const int64_t limit = is_min ? INT64_MAX : INT64_MIN;
      if (is_constant(y) && constant_of(y) == limit) return true;
      const MaybePoly gap = is_min ? minus(y, x) : minus(x, y);
      return gap && bounds(*gap).lo >= 0;
    };
    bool covered = false;
    for (const Poly& k : kept) covered = covered || covers(k, candidate);
    if (covered) continue;
    std::erase_if(kept, [&](const Poly& k) { return covers(candidate, k); });
    kept.push_back(std::move(candidate));
  }
  if (kept.size() == 1) return kept[0];
  std::vector<const DimExpr*> exprs;
  for (const Poly& k : kept) {
    exprs.push_back(write_expr(k));
    if (exprs.back() == nullptr) return std::nullopt;
  }
  std::sort(exprs.begin(), exprs.end(), dim_poly::before);
  return atom(make(op, exprs));
}

DimContext::DimContext() : impl_(std::make_unique<Impl>()) { impl_->owner = this; }
DimContext::~DimContext() = default;

Dim DimContext::symbol(std::string_view name) {
  const SymbolInfo* known = info(name);
  return symbol(name, known != nullptr ? *known : SymbolInfo());
}

Dim DimContext::symbol(std::string_view name, const SymbolInfo& info) {
  if (name.empty()) return Dim::unknown();
  const auto found = impl_->infos.find(name);
  if (found == impl_->infos.end()) {
    name = impl_->arena.copy_text(name);
    impl_->infos.emplace(name, info);
    impl_->order.push_back(name);
  } else {
    SymbolInfo& known = found->second;
    name = found->first;
    known.min = std::max(known.min, info.min);
    known.max = std::min(known.max, info.max);
    known.unbacked = known.unbacked || info.unbacked;
    if (!known.hint) known.hint = info.hint;
  }
  DimExpr e{DimOp::Symbol};
  e.symbol = name;
  return Dim(impl_->intern(e));
}

const SymbolInfo* DimContext::info(std::string_view symbol) const {
  const auto found = impl_->infos.find(symbol);
  return found == impl_->infos.end() ? nullptr : &found->second;
}
SymbolInfo* DimContext::info(std::string_view symbol) {
  const auto found = impl_->infos.find(symbol);
  return found == impl_->infos.end() ? nullptr : &found->second;
}
std::vector<std::string_view> DimContext::symbols() const { return impl_->order; }

// Two numbers need no polynomial: nearly all sizes are such. What overflows has no value, as below.
namespace {
template <typename F>
std::optional<Dim> of_numbers(Dim a, Dim b, F overflows) {
  int64_t value = 0;
  if (!a.is_known() || !b.is_known() || overflows(a.value(), b.value(), &value)) return std::nullopt;
  return Dim(value);
}
}  // namespace

Dim DimContext::add(Dim a, Dim b) {
  if (a.is_unknown() || b.is_unknown()) return Dim::unknown();
  const auto number = [](int64_t x, int64_t y, int64_t* r) { return __builtin_add_overflow(x, y, r); };
  if (const auto sum = of_numbers(a, b, number)) return *sum;
  if (a.is_known() && a.value() == 0) return b;
  if (b.is_known() && b.value() == 0) return a;
  return impl_->write(plus(Impl::read(a), Impl::read(b)));
}

Dim DimContext::sub(Dim a, Dim b) {
  if (a.is_unknown() || b.is_unknown()) return Dim::unknown();
  const auto number = [](int64_t x, int64_t y, int64_t* r) { return __builtin_sub_overflow(x, y, r); };
  if (const auto difference = of_numbers(a, b, number)) return *difference;
  if (b.is_known() && b.value() == 0) return a;
  return impl_->write(minus(Impl::read(a), Impl::read(b)));
}

Dim DimContext::mul(Dim a, Dim b) {
  if (a.is_unknown() || b.is_unknown()) return Dim::unknown();
  const auto number = [](int64_t x, int64_t y, int64_t* r) { return __builtin_mul_overflow(x, y, r); };
  if (const auto product = of_numbers(a, b, number)) return *product;
  if (a.is_known() && a.value() == 1) return b;
  if (b.is_known() && b.value() == 1) return a;
  return impl_->write(times(Impl::read(a), Impl::read(b)));
}

Dim DimContext::floordiv(Dim a, Dim b) {
  if (a.is_unknown() || b.is_unknown()) return Dim::unknown();
  if (a.is_known() && b.is_known() && b.value() > 0) return Dim(floor_div(a.value(), b.value()));
  return impl_->write(impl_->floordiv(Impl::read(a), Impl::read(b), 16));
}

// ceil(a / b) = (a + b - 1) // b for a number b > 0, else -((-a) // b): one form for both kinds of quotient.
Dim DimContext::ceildiv(Dim a, Dim b) {
  if (b.is_known() && b.value() > 0) return floordiv(add(a, Dim(b.value() - 1)), b);
  return sub(Dim(0), floordiv(sub(Dim(0), a), b));
}

Dim DimContext::mod(Dim a, Dim b) {
  if (a.is_unknown() || b.is_unknown()) return Dim::unknown();
  if (a.is_known() && b.is_known() && b.value() > 0) return Dim(floor_mod(a.value(), b.value()));
  return impl_->write(impl_->mod(Impl::read(a), Impl::read(b), 1));
}

Dim DimContext::min(Dim a, Dim b) {
  if (a.is_unknown() || b.is_unknown()) return Dim::unknown();
  if (a.is_known() && b.is_known()) return Dim(std::min(a.value(), b.value()));
  return impl_->write(impl_->extreme(DimOp::Min, Impl::read(a), Impl::read(b)));
}

Dim DimContext::max(Dim a, Dim b) {
  if (a.is_unknown() || b.is_unknown()) return Dim::unknown();
  if (a.is_known() && b.is_known()) return Dim(std::max(a.value(), b.value()));
  return impl_->write(impl_->extreme(DimOp::Max, Impl::read(a), Impl::read(b)));
}

Dim DimContext::pow(Dim a, Dim b) {
  if (a.is_unknown() || b.is_unknown()) return Dim::unknown();
  if (a.is_known() && b.is_known()) {
    const auto value = checked_pow(a.value(), b.value());
    return value ? Dim(*value) : Dim::unknown();
  }
  if (b.is_known() && b.value() < 0) return Dim::unknown();
  if (b.is_known() && b.value() <= static_cast<int64_t>(kMaxDegree)) {
    Dim out(1);
    for (int64_t i = 0; i < b.value(); ++i) out = mul(out, a);
    return out;
  }
  const DimExpr* base = impl_->write_expr(Impl::read(a));
  const DimExpr* exponent = impl_->write_expr(Impl::read(b));
  return impl_->write(impl_->atom(impl_->make(DimOp::Pow, {base, exponent})));
}

}  // namespace zp
