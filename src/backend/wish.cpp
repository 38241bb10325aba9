#include "backend/wish.h"

#include <fmt/format.h>

#include <algorithm>

#include "support/text_format.h"

namespace zp::backend {
namespace {

void say(Decision* d, std::string text) {
  d->outcome = Decision::Narrowed;
  d->text += (d->text.empty() ? "" : ", ") + text;
}

Decision refuse(std::string text) {
  Decision d;
  d.text = std::move(text);
  return d;
}

bool same_granularity(const Granularity& ability, const Granularity& wish) {
  if (ability.kind == Granularity::Any || wish.kind == Granularity::Any) return true;
  if (ability.kind != wish.kind) return false;
  switch (ability.kind) {
    case Granularity::PerAxis:
      return ability.axis_kind == Granularity::Every ||
             (ability.axis_kind == wish.axis_kind &&
              (ability.axis_kind != Granularity::Number || ability.axis == wish.axis));
    case Granularity::PerGroup: return ability.group == 0 || ability.group == wish.group;
    case Granularity::Block: return ability.block == wish.block;
    default: return true;
  }
}

Decision serve(const Elem& e, const Wish& wish) {
  Decision d;
  d.outcome = Decision::Accepted;
  d.elem = &e;
  d.got = wish;
  if (e.any) return d;
  if (e.none) return refuse("the operand must be absent");
  const bool packs = is_integer(e.dtype) && is_integer(wish.storage) &&
                     is_signed(e.dtype) == is_signed(wish.storage) &&
                     bits_of(e.dtype) < bits_of(wish.storage) && wish.qmin >= int_min(e.dtype) &&
                     wish.qmax <= int_max(e.dtype);
  if (e.dtype != wish.storage && !packs)
    return refuse(fmt::format("{} is wished, {} is taken", dtype_name(wish.storage), dtype_name(e.dtype)));
  if (e.dynamic != wish.dynamic)
    return refuse(wish.dynamic ? "dynamic parameters are wished" : "static parameters are wished");
  if (!same_granularity(e.granularity, wish.granularity)) return refuse("another granularity is wished");
  if (e.fixed) {
    const bool same = wish.fixed &&
                      (!e.fixed->has_scale() ||
                       static_cast<float>(wish.fixed->first) == static_cast<float>(e.fixed->scale)) &&
                      (!e.fixed->has_zero() || wish.fixed->second == e.fixed->zero_point);
    if (wish.fixed && !same) {
      return refuse(fmt::format("fixed({}, {}) is wished, fixed({}, {}) is dictated",
                                shortest(wish.fixed->first), shortest(wish.fixed->second),
                                e.fixed->scale_text, e.fixed->zero_text));
    }
    if (!wish.fixed && e.fixed->has_scale() && e.fixed->has_zero())
      d.got.fixed = {e.fixed->scale, e.fixed->zero_point};
  }
  if (e.range && (wish.qmin < e.range->first || wish.qmax > e.range->second)) {
    d.got.qmin = std::max(wish.qmin, e.range->first);
    d.got.qmax = std::min(wish.qmax, e.range->second);
    if (d.got.qmin >= d.got.qmax || d.got.qmin > 0 || d.got.qmax < 0) {
      return refuse(fmt::format("range {}:{} is wished, {}:{} is taken", wish.qmin, wish.qmax, e.range->first,
                                e.range->second));
    }
    say(&d, fmt::format("range {}:{} becomes {}:{}", wish.qmin, wish.qmax, d.got.qmin, d.got.qmax));
  }
  if (e.scheme == Scheme::Symmetric && !wish.symmetric) {
    d.got.symmetric = true;
    say(&d, "affine becomes symmetric");
  }
  for (const Bound& b : e.bounds) {
    if (b.at_least && wish.eps.value_or(0) < b.value) {
      d.got.eps = std::max(d.got.eps.value_or(0), b.value);
      say(&d, fmt::format("scales are at least {}", b.text));
    }
    const auto fixed = d.got.fixed;
    if (fixed && (b.at_least ? fixed->first < b.value : fixed->first > b.value)) {
      return refuse(
          fmt::format("scale {} is {} {}", shortest(fixed->first), b.at_least ? "below" : "above", b.text));
    }
  }
  return d;
}

}  // namespace

Decision decide(std::span<const Elem> abilities, const Wish& wish) {
  std::optional<Decision> narrowed;
  std::string why;
  for (const Elem& e : abilities) {
    Decision d = serve(e, wish);
    if (d.outcome == Decision::Accepted) return d;
    if (d.outcome == Decision::Narrowed && !narrowed) narrowed = std::move(d);
    else if (d.outcome == Decision::Refused) why += (why.empty() ? "" : "; ") + d.text;
  }
  if (narrowed) return std::move(*narrowed);
  return refuse(why.empty() ? "nothing is taken" : std::move(why));
}

}  // namespace zp::backend
