#include "formats/pt2/symbols.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <vector>

namespace zp::pt2 {
namespace {

constexpr int kMaxDepth = 100;

// A value under construction: a dim, or a quotient of two dims that waits for its rounding.
struct Term {
  Dim dim;
  Dim numerator, denominator;
  bool quotient = false;
  bool bare_symbol = false;
  std::string_view symbol;
};

// Recursive descent over srepr text. `ok` goes false at the first thing that is no expression.
class Reader {
 public:
  Reader(DimContext& dims, std::string_view text) : dims_(dims), text_(text) {}

  bool read_all(Term& term) {
    term = read(0);
    skip_space();
    return ok_ && at_ == text_.size();
  }
  bool divides_by_zero() const { return by_zero_; }

 private:
  void skip_space() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  Term fail() {
    ok_ = false;
    return {};
  }

  std::string_view word() {
    skip_space();
    const size_t begin = at_;
    while (at_ < text_.size() &&
           (isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_' || text_[at_] == '.'))
      ++at_;
    return text_.substr(begin, at_ - begin);
  }

  Term integer() {
    skip_space();
    int64_t value = 0;
    const char* begin = text_.data() + at_;
    auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (end == begin) return fail();
    at_ += static_cast<size_t>(end - begin);
    return error == std::errc() ? Term{Dim(value)} : Term{};  // beyond 64 bits: unknown
  }

  // Skips to the parenthesis that closes the current call; its content has no meaning here.
  void skip_call() {
    int depth = 1;
    char quote = 0;
    for (; at_ < text_.size() && depth > 0; ++at_) {
      const char c = text_[at_];
      if (quote != 0) quote = c == quote ? 0 : quote;
      else if (c == '\'' || c == '"') quote = c;
      else if (c == '(') ++depth;
      else if (c == ')') --depth;
    }
    if (depth != 0) ok_ = false;
  }

  static Term quotient(Dim numerator, Dim denominator) {
    Term term;
    term.quotient = true;
    term.numerator = numerator;
    term.denominator = denominator;
    return term;
  }

  // Float('1.5', precision=53): the factor of a resize. Products of sizes with a number of few binary digits
  // have no rounding, so they are kept as quotients; others are unknown.
  Term binary_fraction() {
    const size_t begin = at_;
    skip_call();
    double value = 0;
    const std::string_view call = text_.substr(begin, at_ - begin);
    const size_t open = call.find('\'');
    if (!ok_ || open == std::string_view::npos) return {};
    const char* first = call.data() + open + 1;
    if (std::from_chars(first, call.data() + call.size(), value).ec != std::errc()) return {};
    for (int64_t scale = 1; scale <= 1 << 16; scale *= 2) {
      const double scaled = value * static_cast<double>(scale);
      if (!(std::fabs(scaled) < 1 << 30)) return {};
      if (scaled == std::floor(scaled)) return quotient(Dim(static_cast<int64_t>(scaled)), Dim(scale));
    }
    return {};
  }

  Term product(const std::vector<Term>& args) {
    Dim numerator(1), denominator(1);
    for (const Term& term : args) {
      numerator = dims_.mul(numerator, term.quotient ? term.numerator : term.dim);
      if (term.quotient) denominator = dims_.mul(denominator, term.denominator);
    }
    return quotient(numerator, denominator);
  }

  Term symbol() {
    skip_space();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return fail();
    const char quote = text_[at_++];
    const size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos || end == at_) return fail();
    const std::string_view name = text_.substr(at_, end - at_);
    at_ = end + 1;
    const size_t close = text_.find(')', at_);
    if (close == std::string_view::npos) return fail();
    const std::string_view assumptions = text_.substr(at_, close - at_);
    at_ = close + 1;
    if (assumptions.find("integer=True") == std::string_view::npos && !assumptions.empty())
      return {};  // a float
    SymbolInfo info;
    info.unbacked = name.front() == 'u';
    if (assumptions.find("positive=True") == std::string_view::npos)
      info.min = std::numeric_limits<int64_t>::min();
    Term term{dims_.symbol(name, info)};
    term.bare_symbol = true;
    term.symbol = name;
    return term;
  }

  Term read(int depth) {
    skip_space();
    if (depth > kMaxDepth || at_ >= text_.size()) return fail();
    if (isdigit(static_cast<unsigned char>(text_[at_]))) return integer();
    if (text_[at_] == '-') {
      if (at_ + 1 < text_.size() && isdigit(static_cast<unsigned char>(text_[at_ + 1]))) return integer();
      ++at_;
      read(depth + 1);
      return {};  // -int_oo
    }
    const std::string_view function = word();
    if (function.empty()) return fail();
    if (!take('('))
      return function == "true" || function == "false" || function == "int_oo" ? Term{} : fail();
    if (function == "Symbol") return symbol();
    if (function == "Integer") {
      Term term = integer();
      return take(')') ? term : fail();
    }
    if (function == "Float") return binary_fraction();
    if (function == "Rational") {
      skip_call();
      return {};
    }
    std::vector<Term> args;
    do args.push_back(read(depth + 1));
    while (ok_ && take(','));
    if (!take(')')) return fail();
    return ok_ ? apply(function, args) : Term{};
  }

  Term fold(const std::vector<Term>& args, Dim (DimContext::*step)(Dim, Dim)) {
    Dim value = args[0].dim;
    for (size_t i = 1; i < args.size(); ++i) value = (dims_.*step)(value, args[i].dim);
    return {value};
  }

  Term apply(std::string_view f, const std::vector<Term>& args) {
    if (f == "Add") return fold(args, &DimContext::add);
    if (f == "Mul") {
      const bool real = std::any_of(args.begin(), args.end(), [](const Term& t) { return t.quotient; });
      return real ? product(args) : fold(args, &DimContext::mul);
    }
    if (f == "Max") return fold(args, &DimContext::max);
    if (f == "Min") return fold(args, &DimContext::min);
    if (f == "Identity" && args.size() == 1) return args[0];
    if (f == "ToFloat" && args.size() == 1) return quotient(args[0].dim, Dim(1));
    if (args.size() == 1 && args[0].quotient) {
      const auto [n, d] = std::pair{args[0].numerator, args[0].denominator};
      if (f == "FloorToInt") return {dims_.floordiv(n, d)};
      if (f == "CeilToInt") return {dims_.ceildiv(n, d)};
      // Truncation is flooring where nothing is negative.
      if (f == "TruncToInt" && dims_.lower_bound(n) >= 0 && dims_.lower_bound(d) > 0)
        return {dims_.floordiv(n, d)};
      return {};
    }
    if (args.size() == 3 && f == "ModularIndexing")
      return {dims_.mod(dims_.floordiv(args[0].dim, args[1].dim), args[2].dim)};
    if (args.size() != 2) return {};
    const Dim a = args[0].dim, b = args[1].dim;
    if ((f.ends_with("Div") || f.ends_with("Mod")) && b == Dim(0)) {
      by_zero_ = true;
      return fail();
    }
    if (f == "Pow" || f == "PowByNatural") return {dims_.pow(a, b)};
    if (f == "FloorDiv" || f == "CleanDiv") return {dims_.floordiv(a, b)};
    if (f == "CeilDiv") return {dims_.ceildiv(a, b)};
    if (f == "Mod" || f == "PythonMod") return {dims_.mod(a, b)};
    if (f == "LShift") return {dims_.mul(a, dims_.pow(2, b))};
    if (f == "RShift") return {dims_.floordiv(a, dims_.pow(2, b))};
    if (f == "IntTrueDiv") return quotient(a, b);
    return {};
  }

  DimContext& dims_;
  std::string_view text_;
  size_t at_ = 0;
  bool ok_ = true;
  bool by_zero_ = false;
};

bool is_identifier(std::string_view text) {
  if (text.empty() || isdigit(static_cast<unsigned char>(text.front()))) return false;
  for (char c : text)
    if (!isalnum(static_cast<unsigned char>(c)) && c != '_') return false;
  return true;
}

}  // namespace

Result<Dim> SymbolReader::read(std::string_view text, std::optional<int64_t> hint) {
  if (auto found = cache_.find(text); found != cache_.end()) return found->second;
  Term term;
  Reader reader(dims_, text);
  if (reader.read_all(term)) {
    if (term.bare_symbol && hint) {
      if (SymbolInfo* info = dims_.info(term.symbol)) info->hint = hint;
    }
  } else if (reader.divides_by_zero()) {
    return Error("pt2.symbol", fmt::format("the symbolic expression '{}' divides by 0", text.substr(0, 200)));
  } else if (auto infix = dims_.parse(text); infix.ok()) {
    term.dim = *infix;  // files up to torch 2.3, and hand-written ones, have infix text
  } else {
    return Error("pt2.symbol", fmt::format("cannot read the symbolic expression '{}'", text.substr(0, 200)));
  }
  cache_.emplace(text, term.dim);
  return term.dim;
}

void SymbolReader::constrain(std::string_view symbol, std::optional<int64_t> min,
                             std::optional<int64_t> max) {
  if (!is_identifier(symbol)) return;
  SymbolInfo info;
  info.unbacked = symbol.front() == 'u';
  info.min = min.value_or(std::numeric_limits<int64_t>::min());
  info.max = max.value_or(kDimUnbounded);
  dims_.symbol(symbol, info);
}

}  // namespace zp::pt2
