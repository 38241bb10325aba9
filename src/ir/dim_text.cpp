// Symbolic dimensions as infix text, and back.
#include "ir/dim_text.h"

#include <vector>

#include "support/text_format.h"

namespace zp {

namespace {

constexpr int kMaxNesting = 64;

// How tightly the text of an expression binds; a part that binds less tightly than its place asks for gets
// parentheses.
enum Binding { kSum, kProduct, kAtom };

std::string symbol_text(std::string_view name) {
  const std::string text = name_text(name);
  return text[0] >= '0' && text[0] <= '9' ? quote(name) : text;
}

std::string text_of(const DimExpr* e, Binding place);

std::string call(std::string_view function, const DimExpr* e) {
  std::string out(function);
  for (size_t i = 0; i < e->args.size(); ++i) out += (i == 0 ? "(" : ",") + text_of(e->args[i], kSum);
  return out + ")";
}

int64_t coefficient_of(const DimExpr* term) {
  if (term->op == DimOp::Constant) return term->value;
  return term->op == DimOp::Mul && term->args[0]->op == DimOp::Constant ? term->args[0]->value : 1;
}

std::string magnitude_text(int64_t v) {
  const std::string text = std::to_string(v);
  return v < 0 ? text.substr(1) : text;
}

// A term without its sign; quotients among its factors have parentheses, so a sign in front binds to the
// whole.
std::string term_text(const DimExpr* e) {
  if (e->op == DimOp::Constant) return magnitude_text(e->value);
  if (e->op != DimOp::Mul) return text_of(e, kProduct);
  std::string out;
  for (const DimExpr* f : e->args) {
    if (f->op == DimOp::Constant && f->value == -1) continue;
    if (!out.empty()) out += '*';
    out += f->op == DimOp::Constant ? magnitude_text(f->value) : text_of(f, kAtom);
  }
  return out;
}

std::string sum_text(const DimExpr* e) {
  // A positive term goes first: `s1-s0`, not `-s0+s1`.
  size_t first = 0;
  for (size_t i = e->args.size(); i-- > 0;)
    if (coefficient_of(e->args[i]) > 0) first = i;
  std::string out;
  for (size_t n = 0; n < e->args.size(); ++n) {
    const size_t i = n == 0 ? first : n <= first ? n - 1 : n;
    const int64_t c = coefficient_of(e->args[i]);
    if (n > 0 && (c >= 0 || c == INT64_MIN))
      out += '+';  // the magnitude of INT64_MIN is no number of its own
    if (c < 0) out += '-';
    out += term_text(e->args[i]);
  }
  return out;
}

std::string text_of(const DimExpr* e, Binding place) {
  std::string out;
  Binding binding = kAtom;
  switch (e->op) {
    case DimOp::Symbol: return symbol_text(e->symbol);
    case DimOp::Constant:
      out = std::to_string(e->value);
      binding = e->value < 0 ? kSum : kAtom;
      break;
    case DimOp::Add:
      out = sum_text(e);
      binding = kSum;
      break;
    case DimOp::Mul:
      out = (coefficient_of(e) < 0 ? "-" : "") + term_text(e);
      binding = coefficient_of(e) < 0 ? kSum : kProduct;
      break;
    case DimOp::FloorDiv:
    case DimOp::Mod:
      out = text_of(e->args[0], kAtom) + (e->op == DimOp::Mod ? "%" : "//") + text_of(e->args[1], kAtom);
      binding = kProduct;
      break;
    case DimOp::CeilDiv: return call("ceildiv", e);
    case DimOp::Min: return call("min", e);
    case DimOp::Max: return call("max", e);
    case DimOp::Pow: return call("pow", e);
  }
  return binding < place ? "(" + out + ")" : out;
}

class DimReader {
 public:
  DimReader(TextCursor& cursor, DimContext& dims, bool declared_only)
      : cursor_(cursor), dims_(dims), declared_only_(declared_only) {}

  Result<Dim> sum() {
    ZP_TRY(Dim left, product());
    for (;;) {
      if (accept("+")) {
        ZP_TRY(const Dim right, product());
        left = dims_.add(left, right);
      } else if (accept("-")) {
        ZP_TRY(const Dim right, product());
        left = dims_.sub(left, right);
      } else {
        return left;
      }
    }
  }

 private:
  // Inside parentheses an expression may run over several lines.
  bool accept(std::string_view symbol) {
    return parentheses_ > 0 ? cursor_.accept(symbol) : cursor_.accept_inline(symbol);
  }

  Result<Dim> product() {
    ZP_TRY(Dim left, unary());
    for (;;) {
      const auto place = cursor_.here();
      if (accept("//")) {
        ZP_TRY(const Dim right, unary());
        if (right == Dim(0)) return cursor_.error_at(place, "division by zero");
        left = dims_.floordiv(left, right);
      } else if (accept("%")) {
        ZP_TRY(const Dim right, unary());
        if (right == Dim(0)) return cursor_.error_at(place, "division by zero");
        left = dims_.mod(left, right);
      } else if (accept("**")) {
        return cursor_.error_at(place, "write pow(a,b) for a power");
      } else if (accept("*")) {
        ZP_TRY(const Dim right, unary());
        left = dims_.mul(left, right);
      } else {
        return left;
      }
    }
  }

  Result<Dim> unary() {
    bool negative = false;
    while (cursor_.accept("-")) negative = !negative;
    if (negative && is_digit(cursor_.raw())) return number(true);  // so that INT64_MIN can be read
    ZP_TRY(const Dim value, primary());
    return negative ? dims_.sub(Dim(0), value) : value;
  }

  static bool is_digit(int c) { return c >= '0' && c <= '9'; }

  Result<Dim> number(bool negative) {
    const auto place = cursor_.place();
    std::string digits = negative ? "-" : "";
    while (is_digit(cursor_.raw())) {
      digits += static_cast<char>(cursor_.raw());
      cursor_.skip_raw(1);
    }
    int64_t value = 0;
    if (!read_number(digits, &value))
      return cursor_.error_at(place, "'" + digits + "' does not fit in 64 bits");
    return Dim(value);
  }

  Result<Dim> primary() {
    if (++depth_ > kMaxNesting)
      return cursor_.error("expression nested deeper than " + std::to_string(kMaxNesting));
    Result<Dim> result = primary_inner();
    --depth_;
    return result;
  }

  Result<Dim> primary_inner() {
    const int c = cursor_.peek();
    if (is_digit(c)) return number(false);
    if (cursor_.accept("?")) return Dim::unknown();
    if (cursor_.accept("(")) {
      ++parentheses_;
      ZP_TRY(const Dim inside, sum());
      ZP_CHECK(cursor_.expect(")"));
      --parentheses_;
      return inside;
    }
    const auto place = cursor_.place();
    if (c == '"') {
      ZP_TRY(const std::string name, cursor_.quoted("a symbol"));
      return symbol(name, place);
    }
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == '.';
    if (!letter) return cursor_.wanted("a dimension");
    ZP_TRY(const std::string_view name, cursor_.dotted_name("a symbol"));
    if (cursor_.raw() == '(') return call(name, place);
    return symbol(name, place);
  }

  Result<Dim> symbol(std::string_view name, const TextCursor::Place& place) {
    if (name.empty()) return cursor_.error_at(place, "a symbol needs a name");
    if (declared_only_ && dims_.info(name) == nullptr) {
      const std::vector<std::string_view> known = dims_.symbols();
      const std::string hint = suggestion(name, known);
      return cursor_.error_at(
          place, "symbol '" + printable(name) + "' is not declared" +
                     (hint.empty() ? " (as in `sym " + symbol_text(name) + " in 1..64`)" : hint));
    }
    return dims_.symbol(name);
  }

  Result<Dim> call(std::string_view name, const TextCursor::Place& place) {
    static constexpr std::string_view kFunctions[] = {"min", "max", "ceildiv", "pow"};
    size_t which = 0;
    while (which < 4 && kFunctions[which] != name) ++which;
    if (which == 4) {
      return cursor_.error_at(place, "unknown function '" + std::string(name) +
                                         "' of a dimension; known: min, max, ceildiv, pow");
    }
    ZP_CHECK(cursor_.expect("("));
    ++parentheses_;
    std::vector<Dim> args;
    do {
      ZP_TRY(const Dim arg, sum());
      args.push_back(arg);
    } while (cursor_.accept(","));
    ZP_CHECK(cursor_.expect(")"));
    --parentheses_;
    if (args.size() < 2 || (which >= 2 && args.size() > 2)) {
      return cursor_.error_at(place, std::string(name) + " takes " + (which < 2 ? "2 or more" : "2") +
                                         " arguments, found " + std::to_string(args.size()));
    }
    if (which == 2 && args[1] == Dim(0)) return cursor_.error_at(place, "division by zero");
    Dim value = args[0];
    for (size_t i = 1; i < args.size(); ++i) value = apply(which, value, args[i]);
    return value;
  }

  // The function of that place in the list of names above.
  Dim apply(size_t which, Dim a, Dim b) {
    switch (which) {
      case 0: return dims_.min(a, b);
      case 1: return dims_.max(a, b);
      case 2: return dims_.ceildiv(a, b);
      default: return dims_.pow(a, b);
    }
  }

  TextCursor& cursor_;
  DimContext& dims_;
  bool declared_only_;
  int depth_ = 0;
  int parentheses_ = 0;
};

}  // namespace

std::string Dim::str() const {
  if (known_) return std::to_string(value_);
  return expr_ != nullptr ? text_of(expr_, kSum) : "?";
}

Result<Dim> read_dim(TextCursor& cursor, DimContext& dims, bool declared_only) {
  return DimReader(cursor, dims, declared_only).sum();
}

Result<Dim> DimContext::parse(std::string_view text) {
  TextCursor cursor(text);
  ZP_TRY(const Dim dim, read_dim(cursor, *this, false));
  if (!cursor.at_end()) return cursor.wanted("an operator or the end");
  return dim;
}

}  // namespace zp
