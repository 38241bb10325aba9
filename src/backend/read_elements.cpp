// Elements: a type with its range, scheme, grid, mode and bounds.
#include "backend/reader_parts.h"

namespace zp::backend {

Result<std::vector<Elem>> FileReader::elems() {
  std::vector<Elem> out;
  do {
    ZP_TRY(Elem one, elem());
    out.push_back(std::move(one));
  } while (cursor_.accept("|"));
  return out;
}

Result<Elem> FileReader::elem() {
  Elem e;
  e.at = rewrite::place_of(cursor_.place());
  ZP_TRY(const std::string_view word, cursor_.dotted_name("a type", true));
  if (word == "any") {
    e.any = true;
  } else if (word == "none") {
    e.none = true;
    return e;
  } else if (const auto dtype = dtype_from_name(word)) {
    e.dtype = *dtype;
    if (cursor_.peek() == '[') ZP_CHECK(range(&e));
  } else {
    e.type_name = word;
    return e;
  }
  while (true) {
    ZP_TRY(const bool more, elem_word(&e));
    if (!more) return e;
  }
}

Status FileReader::range(Elem* e) {
  ZP_CHECK(cursor_.expect("["));
  ZP_TRY(const int64_t low, cursor_.integer("the lower end of a range"));
  ZP_CHECK(cursor_.expect(":"));
  ZP_TRY(const int64_t high, cursor_.integer("the upper end of a range"));
  ZP_CHECK(cursor_.expect("]"));
  e->range = {low, high};
  return {};
}

Result<bool> FileReader::elem_word(Elem* e) {
  const TextCursor::Place at = cursor_.place();
  const auto word = cursor_.dotted_name("a word", true);
  if (!word.ok() || cursor_.peek() == ':') {
    cursor_.reset(at);
    return false;
  }
  if (*word == "const") e->constant = true;
  else if (*word == "symmetric") e->scheme = Scheme::Symmetric;
  else if (*word == "affine") e->scheme = Scheme::Affine;
  else if (*word == "float-zero") e->scheme = Scheme::FloatZero;
  else if (*word == "per-tensor") e->granularity.kind = Granularity::PerTensor;
  else if (*word == "per-token") e->granularity.kind = Granularity::PerToken;
  else if (*word == "per-axis") ZP_CHECK(axis(&e->granularity));
  else if (*word == "per-group") ZP_CHECK(group(&e->granularity));
  else if (*word == "block") ZP_CHECK(block(&e->granularity));
  else if (*word == "dynamic") e->dynamic = true;
  else if (*word == "fixed") ZP_CHECK(fixed(e));
  else if (*word == "derived") ZP_CHECK(derived(e));
  else if (*word == "scale" || *word == "eps") ZP_CHECK(bound(e, *word == "eps"));
  else {
    // Another item may follow; a word that looks like one of these is meant to be it.
    static constexpr std::string_view kWords[] = {
        "const",     "symmetric", "affine",  "float-zero", "per-tensor", "per-token", "per-axis",
        "per-group", "block",     "dynamic", "fixed",      "derived",    "scale",     "eps"};
    if (!is_item(*word) && !nearest(*word, kWords).empty()) return unknown(at, "word", *word, kWords);
    cursor_.reset(at);
    return false;
  }
  return true;
}

Status FileReader::axis(Granularity* g) {
  g->kind = Granularity::PerAxis;
  if (cursor_.accept("out")) g->axis_kind = Granularity::Out;
  else if (cursor_.accept("in")) g->axis_kind = Granularity::In;
  else if (cursor_.accept("any")) g->axis_kind = Granularity::Every;
  else {
    g->axis_kind = Granularity::Number;
    ZP_TRY(g->axis, cursor_.integer("an axis: a number, out, in or any"));
  }
  return {};
}

Status FileReader::group(Granularity* g) {
  g->kind = Granularity::PerGroup;
  if (const int c = cursor_.peek(); c >= '0' && c <= '9') {
    const TextCursor::Place at = cursor_.place();
    ZP_TRY(g->group, cursor_.integer("the size of a group"));
    if (g->group < 1) return cursor_.error_at(at, fmt::format("a group of {}", g->group), "zpb03");
  }
  return {};
}

Status FileReader::block(Granularity* g) {
  g->kind = Granularity::Block;
  ZP_CHECK(cursor_.expect("["));
  do {
    if (cursor_.accept("*")) {
      g->block.push_back(0);
    } else if (cursor_.accept("any")) {
      g->block.push_back(-1);
    } else {
      const TextCursor::Place at = cursor_.place();
      ZP_TRY(const int64_t extent, cursor_.integer("an extent, '*' for the full one, or 'any'"));
      if (extent < 1) return cursor_.error_at(at, fmt::format("a block extent of {}", extent), "zpb03");
      g->block.push_back(extent);
    }
  } while (cursor_.accept(","));
  return cursor_.expect("]");
}

Status FileReader::fixed(Elem* e) {
  ZP_CHECK(cursor_.expect("("));
  Rational scale, zero;
  if (!cursor_.accept("any")) { ZP_TRY(scale, rational()); }
  ZP_CHECK(cursor_.expect(","));
  if (!cursor_.accept("any")) { ZP_TRY(zero, rational()); }
  e->fixed = Elem::Fixed{scale.value, zero.value, scale.text, zero.text};
  return cursor_.expect(")");
}

Status FileReader::derived(Elem* e) {
  Elem::Derived d;
  ZP_CHECK(cursor_.expect("("));
  ZP_TRY(d.scale, rewrite::parse_expr(cursor_));
  ZP_CHECK(cursor_.expect(","));
  ZP_TRY(d.zero_point, rewrite::parse_expr(cursor_));
  e->derived = std::move(d);
  return cursor_.expect(")");
}

Status FileReader::bound(Elem* e, bool eps) {
  Bound b;
  b.eps = eps;
  if (cursor_.accept(">=")) b.at_least = true;
  else if (cursor_.accept("<=")) b.at_least = false;
  else return cursor_.wanted("'>=' or '<='");
  ZP_TRY(const Rational r, rational());
  b.value = r.value;
  b.text = r.text;
  e->bounds.push_back(std::move(b));
  return {};
}

}  // namespace zp::backend
