#include "rewrite/expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "support/text_format.h"

namespace zp::rewrite {
namespace {

constexpr int kMaxDepth = 64;       // nesting of one expression
constexpr size_t kMaxNodes = 4096;  // parts of one expression

// --- reading
// ---------------------------------------------------------------------------------------------------------

class Reader {
 public:
  explicit Reader(TextCursor& cursor) : cursor_(cursor) {}

  Result<ExprPtr> disjunction(int depth) {
    ZP_CHECK(enter(depth));
    ZP_TRY(ExprPtr left, conjunction(depth + 1));
    while (true) {
      const Place at = place_of(cursor_.place());
      if (!cursor_.accept("or")) return left;
      ZP_TRY(ExprPtr right, conjunction(depth + 1));
      left = binary("or", std::move(left), std::move(right), at);
    }
  }

 private:
  Status enter(int depth) {
    if (depth > kMaxDepth)
      return cursor_.error(fmt::format("the expression is nested deeper than {}", kMaxDepth));
    if (++nodes_ > kMaxNodes)
      return cursor_.error(fmt::format("the expression has more than {} parts", kMaxNodes));
    return {};
  }

  static ExprPtr binary(std::string_view op, ExprPtr left, ExprPtr right, Place at) {
    auto e = std::make_shared<Expr>();
    e->kind = Expr::Binary;
    e->text = op;
    e->args = {std::move(left), std::move(right)};
    e->at = at;
    return e;
  }
  static ExprPtr unary(Expr::Kind kind, ExprPtr arg, Place at) {
    auto e = std::make_shared<Expr>();
    e->kind = kind;
    e->args = {std::move(arg)};
    e->at = at;
    return e;
  }

  Result<ExprPtr> conjunction(int depth) {
    ZP_TRY(ExprPtr left, negation(depth + 1));
    while (true) {
      const Place at = place_of(cursor_.place());
      if (!cursor_.accept("and")) return left;
      ZP_TRY(ExprPtr right, negation(depth + 1));
      left = binary("and", std::move(left), std::move(right), at);
    }
  }

  Result<ExprPtr> negation(int depth) {
    ZP_CHECK(enter(depth));
    const Place at = place_of(cursor_.place());
    if (cursor_.accept("not")) {
      ZP_TRY(ExprPtr arg, negation(depth + 1));
      return unary(Expr::Not, std::move(arg), at);
    }
    return comparison(depth + 1);
  }

  Result<ExprPtr> comparison(int depth) {
    ZP_TRY(ExprPtr left, sum(depth + 1));
    const Place at = place_of(cursor_.place());
    for (std::string_view op : {"==", "!=", "<=", ">=", "<", ">", "in"}) {
      if (!cursor_.accept(op)) continue;
      ZP_TRY(ExprPtr right, sum(depth + 1));
      return binary(op, std::move(left), std::move(right), at);
    }
    return left;
  }

  Result<ExprPtr> sum(int depth) {
    ZP_CHECK(enter(depth));
    ZP_TRY(ExprPtr left, product(depth + 1));
    while (true) {
      const Place at = place_of(cursor_.place());
      const std::string_view op = cursor_.accept("+") ? "+" : cursor_.accept("-") ? "-" : "";
      if (op.empty()) return left;
      ZP_CHECK(enter(depth));
      ZP_TRY(ExprPtr right, product(depth + 1));
      left = binary(op, std::move(left), std::move(right), at);
    }
  }

  Result<ExprPtr> product(int depth) {
    ZP_TRY(ExprPtr left, signed_power(depth + 1));
    while (true) {
      const Place at = place_of(cursor_.place());
      const std::string_view op = cursor_.accept("*")    ? "*"
                                  : cursor_.accept("//") ? "//"
                                  : cursor_.accept("/")  ? "/"
                                  : cursor_.accept("%")  ? "%"
                                                         : "";
      if (op.empty()) return left;
      ZP_CHECK(enter(depth));
      ZP_TRY(ExprPtr right, signed_power(depth + 1));
      left = binary(op, std::move(left), std::move(right), at);
    }
  }

  Result<ExprPtr> signed_power(int depth) {
    ZP_CHECK(enter(depth));
    const Place at = place_of(cursor_.place());
    if (cursor_.accept("-")) {
      ZP_TRY(ExprPtr arg, signed_power(depth + 1));
      return unary(Expr::Negate, std::move(arg), at);
    }
    ZP_TRY(ExprPtr base, postfix(depth + 1));
    const Place caret = place_of(cursor_.place());
    if (!cursor_.accept("^")) return base;
    ZP_TRY(ExprPtr exponent, signed_power(depth + 1));
    return binary("^", std::move(base), std::move(exponent), caret);
  }

  Result<ExprPtr> postfix(int depth) {
    ZP_TRY(ExprPtr value, primary(depth + 1));
    while (true) {
      const Place at = place_of(cursor_.place());
      if (value->kind != Expr::Path || !cursor_.accept("[")) return value;
      ZP_TRY(ExprPtr index, disjunction(depth + 1));
      ZP_CHECK(cursor_.expect("]"));
      auto e = std::make_shared<Expr>();
      e->kind = Expr::Index;
      e->args = {std::move(value), std::move(index)};
      e->at = at;
      value = std::move(e);
    }
  }

  Result<std::vector<ExprPtr>> list_until(std::string_view close, int depth) {
    std::vector<ExprPtr> items;
    if (cursor_.accept(close)) return items;
    while (true) {
      ZP_TRY(ExprPtr item, disjunction(depth + 1));
      items.push_back(std::move(item));
      if (cursor_.accept(",")) continue;
      ZP_CHECK(cursor_.expect(close));
      return items;
    }
  }

  Result<ExprPtr> primary(int depth) {
    const Place at = place_of(cursor_.place());
    auto e = std::make_shared<Expr>();
    e->at = at;
    if (cursor_.accept("(")) {
      ZP_TRY(ExprPtr inner, disjunction(depth + 1));
      ZP_CHECK(cursor_.expect(")"));
      return inner;
    }
    if (cursor_.accept("[")) {
      e->kind = Expr::List;
      ZP_TRY(e->args, list_until("]", depth));
      return ExprPtr(e);
    }
    const int c = cursor_.peek();
    if (c == '"') {
      e->kind = Expr::Text;
      ZP_TRY(e->text, cursor_.quoted("a text"));
      return ExprPtr(e);
    }
    if (c >= '0' && c <= '9') {
      ZP_TRY(const TextCursor::NumberText number, cursor_.number("a number"));
      e->kind = Expr::Number;
      if (!read_number(number.text, &e->number))
        return cursor_.error(fmt::format("'{}' is no number", number.text));
      e->text = number.text;
      return ExprPtr(e);
    }
    return path_or_call(std::move(e), depth);
  }

  Result<ExprPtr> path_or_call(std::shared_ptr<Expr> e, int depth) {
    cursor_.accept("%");  // a value may be written with its sigil
    ZP_TRY(const std::string_view first, cursor_.word("a name, a number or '('"));
    if (first == "true" || first == "false") {
      e->kind = Expr::Bool;
      e->boolean = first == "true";
      return ExprPtr(e);
    }
    if (first == "inf") {
      e->kind = Expr::Number;
      e->number = INFINITY;
      e->text = first;
      return ExprPtr(e);
    }
    if (cursor_.raw() == '(') {
      cursor_.accept("(");
      e->kind = Expr::Call;
      e->text = first;
      ZP_TRY(e->args, list_until(")", depth));
      return ExprPtr(e);
    }
    e->kind = Expr::Path;
    e->path.emplace_back(first);
    while (cursor_.raw() == '.') {
      cursor_.accept(".");
      ZP_TRY(const std::string_view next, cursor_.word("a name after '.'"));
      e->path.emplace_back(next);
    }
    return ExprPtr(e);
  }

  TextCursor& cursor_;
  size_t nodes_ = 0;
};

// --- writing
// ---------------------------------------------------------------------------------------------------------

int precedence(const Expr& e) {
  if (e.kind == Expr::Not) return 3;
  if (e.kind == Expr::Negate) return 7;
  if (e.kind != Expr::Binary) return 9;
  if (e.text == "or") return 1;
  if (e.text == "and") return 2;
  if (e.text == "+" || e.text == "-") return 5;
  if (e.text == "*" || e.text == "/" || e.text == "//" || e.text == "%") return 6;
  if (e.text == "^") return 8;
  return 4;
}

std::string join_expr(std::span<const ExprPtr> items);

std::string print_at(const Expr& e, int least) {
  std::string text;
  const int own = precedence(e);
  switch (e.kind) {
    case Expr::Number: text = e.text.empty() ? shortest(e.number) : e.text; break;
    case Expr::Text: text = quote(e.text); break;
    case Expr::Bool: text = e.boolean ? "true" : "false"; break;
    case Expr::Path:
      for (const std::string& part : e.path) text += (text.empty() ? "" : ".") + part;
      break;
    case Expr::Index: text = fmt::format("{}[{}]", print_at(*e.args[0], 9), print_at(*e.args[1], 0)); break;
    case Expr::Call: text = fmt::format("{}({})", e.text, join_expr(e.args)); break;
    case Expr::List: text = fmt::format("[{}]", join_expr(e.args)); break;
    case Expr::Not: text = "not " + print_at(*e.args[0], own); break;
    case Expr::Negate: text = "-" + print_at(*e.args[0], own); break;
    case Expr::Binary: {
      const bool tight = own == 8;
      // `^` binds to the right, all others to the left.
      text = print_at(*e.args[0], tight ? own + 1 : own) + (tight ? "" : " ") + e.text + (tight ? "" : " ") +
             print_at(*e.args[1], tight ? 7 : own + 1);
      break;
    }
  }
  return own < least ? "(" + text + ")" : text;
}

std::string join_expr(std::span<const ExprPtr> items) {
  std::string text;
  for (const ExprPtr& item : items) text += (text.empty() ? "" : ", ") + print_at(*item, 0);
  return text;
}

// --- computing
// -------------------------------------------------------------------------------------------------------

ExprValue mismatch(std::string_view op, const ExprValue& a, const ExprValue& b) {
  if (a.kind == ExprValue::Unknown) return a;
  if (b.kind == ExprValue::Unknown) return b;
  return ExprValue::unknown(fmt::format("'{}' does not apply to {} and {}", op, a.str(), b.str()));
}

std::optional<double> arithmetic(std::string_view op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "^") return std::pow(a, b);
  if (b == 0) return std::nullopt;
  if (op == "/") return a / b;
  if (op == "//") return std::floor(a / b);
  return a - b * std::floor(a / b);
}

bool compare(std::string_view op, double a, double b) {
  if (op == "==") return a == b;
  if (op == "!=") return a != b;
  if (op == "<") return a < b;
  if (op == "<=") return a <= b;
  if (op == ">") return a > b;
  return a >= b;
}

bool is_comparison(std::string_view op) {
  return op == "==" || op == "!=" || op == "<" || op == "<=" || op == ">" || op == ">=";
}

bool is_numeric(const ExprValue& v) { return v.kind == ExprValue::Number || v.kind == ExprValue::List; }

// Numbers and lists, entry by entry; nan is a dim that is not known. `!=` of lists is "not all equal".
ExprValue elementwise(std::string_view op, const ExprValue& a, const ExprValue& b) {
  const bool lists = a.kind == ExprValue::List || b.kind == ExprValue::List;
  const size_t count = a.kind == ExprValue::List   ? a.list.size()
                       : b.kind == ExprValue::List ? b.list.size()
                                                   : 1;
  if (a.kind == ExprValue::List && b.kind == ExprValue::List && a.list.size() != b.list.size()) {
    if (op == "==" || op == "!=") return ExprValue::of(op == "!=");
    return ExprValue::unknown(fmt::format("lists of {} and {} entries", a.list.size(), b.list.size()));
  }
  auto at = [](const ExprValue& v, size_t i) { return v.kind == ExprValue::List ? v.list[i] : v.number; };
  if (is_comparison(op)) {
    const std::string_view each = op == "!=" ? "==" : op;
    bool all = true, sure = true;
    for (size_t i = 0; i < count; ++i) {
      if (std::isnan(at(a, i)) || std::isnan(at(b, i))) sure = false;
      else all = all && compare(each, at(a, i), at(b, i));
    }
    if (all && !sure)
      return ExprValue::unknown(fmt::format("{} {} {} has entries that are not known", a.str(), op, b.str()));
    return ExprValue::of(op == "!=" ? !all : all);
  }
  std::vector<double> out;
  out.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const auto value = arithmetic(op, at(a, i), at(b, i));
    if (!value) return ExprValue::unknown(fmt::format("{} {} 0", shortest(at(a, i)), op));
    out.push_back(*value);
  }
  return lists ? ExprValue::of(std::move(out)) : ExprValue::of(out.front());
}

ExprValue apply_binary(std::string_view op, const ExprValue& a, const ExprValue& b) {
  if (a.kind == ExprValue::Unknown || b.kind == ExprValue::Unknown) return mismatch(op, a, b);
  if (op == "in") {
    if (b.kind != ExprValue::List || a.kind != ExprValue::Number) return mismatch(op, a, b);
    return ExprValue::of(std::find(b.list.begin(), b.list.end(), a.number) != b.list.end());
  }
  if (is_numeric(a) && is_numeric(b)) return elementwise(op, a, b);
  if (a.kind == b.kind && (op == "==" || op == "!=")) {
    const bool same = a.kind == ExprValue::Text ? a.text == b.text : a.boolean == b.boolean;
    return ExprValue::of(same == (op == "=="));
  }
  return mismatch(op, a, b);
}

ExprValue list_value(const Expr& e, const ExprScope& scope) {
  std::vector<double> out;
  for (const ExprPtr& item : e.args) {
    const ExprValue v = evaluate(*item, scope);
    if (v.kind == ExprValue::Unknown) return v;
    if (v.kind != ExprValue::Number) return ExprValue::unknown("a list holds numbers");
    out.push_back(v.number);
  }
  return ExprValue::of(std::move(out));
}

ExprValue index_value(const Expr& e, const ExprScope& scope) {
  const ExprValue list = evaluate(*e.args[0], scope);
  const ExprValue index = evaluate(*e.args[1], scope);
  if (list.kind == ExprValue::Unknown) return list;
  if (index.kind == ExprValue::Unknown) return index;
  if (list.kind != ExprValue::List || index.kind != ExprValue::Number ||
      index.number != std::floor(index.number)) {
    return ExprValue::unknown(fmt::format("{} cannot be indexed by {}", list.str(), index.str()));
  }
  const auto size = static_cast<double>(list.list.size());
  const double at = index.number < 0 ? index.number + size : index.number;
  if (at < 0 || at >= size) {
    return ExprValue::unknown(fmt::format("index {} in a list of {} entries", index.str(), list.list.size()));
  }
  const double value = list.list[static_cast<size_t>(at)];
  // Dims that are no numbers stand as nan in a shape.
  if (std::isnan(value)) return ExprValue::unknown(fmt::format("{} is not known", print_at(e, 0)));
  return ExprValue::of(value);
}

ExprValue logical(const Expr& e, const ExprScope& scope) {
  const bool conjunction = e.text == "and";
  const ExprValue a = evaluate(*e.args[0], scope);
  if (a.kind == ExprValue::Bool && a.boolean != conjunction) return a;  // false and ..., true or ...
  const ExprValue b = evaluate(*e.args[1], scope);
  if (b.kind == ExprValue::Bool && b.boolean != conjunction) return b;
  if (a.kind == ExprValue::Bool && b.kind == ExprValue::Bool) return b;
  return mismatch(e.text, a, b);
}

ExprValue call(const Expr& e, const ExprScope& scope) {
  if (e.text.starts_with("same_")) return scope.relation(e.text, e.args);
  if (e.text == "select" && e.args.size() == 3) {
    const ExprValue which = evaluate(*e.args[0], scope);
    if (which.kind != ExprValue::Bool) return mismatch("select", which, which);
    return evaluate(*e.args[which.boolean ? 1 : 2], scope);
  }
  std::vector<ExprValue> args;
  for (const ExprPtr& arg : e.args) {
    args.push_back(evaluate(*arg, scope));
    if (args.back().kind == ExprValue::Unknown && e.text != "known") return args.back();
  }
  if (e.text == "known" && args.size() == 1) return ExprValue::of(args[0].kind != ExprValue::Unknown);
  if (e.text == "len" && args.size() == 1 && args[0].kind == ExprValue::List) {
    return ExprValue::of(static_cast<double>(args[0].list.size()));
  }
  if (e.text == "abs" && args.size() == 1 && is_numeric(args[0])) {
    if (args[0].kind == ExprValue::Number) return ExprValue::of(std::fabs(args[0].number));
    for (double& x : args[0].list) x = std::fabs(x);
    return args[0];
  }
  std::vector<double> numbers;
  for (const ExprValue& v : args) {
    if (v.kind == ExprValue::Number) numbers.push_back(v.number);
    else if (v.kind == ExprValue::List) numbers.insert(numbers.end(), v.list.begin(), v.list.end());
    else return ExprValue::unknown(fmt::format("'{}' does not apply to {}", e.text, v.str()));
  }
  if (std::any_of(numbers.begin(), numbers.end(), [](double x) { return std::isnan(x); })) {
    return ExprValue::unknown(fmt::format("{} has an entry that is not known", print_at(e, 0)));
  }
  if (e.text == "sum" || e.text == "prod") {
    double total = e.text == "sum" ? 0 : 1;
    for (double x : numbers) total = e.text == "sum" ? total + x : total * x;
    return ExprValue::of(total);
  }
  if (numbers.empty()) return ExprValue::unknown(fmt::format("{} of nothing", e.text));
  if (e.text == "min") return ExprValue::of(*std::min_element(numbers.begin(), numbers.end()));
  if (e.text == "max") return ExprValue::of(*std::max_element(numbers.begin(), numbers.end()));
  return ExprValue::unknown(fmt::format("unknown function '{}'", e.text));
}

}  // namespace

Result<ExprPtr> parse_expr(TextCursor& cursor) { return Reader(cursor).disjunction(0); }

std::string print_expr(const Expr& expr) { return print_at(expr, 0); }

std::string ExprValue::str() const {
  switch (kind) {
    case Unknown: return "unknown (" + text + ")";
    case Bool: return boolean ? "true" : "false";
    case Number: return shortest(number);
    case Text: return quote(text);
    case List: break;
  }
  std::string out = "[";
  const size_t shown = std::min<size_t>(list.size(), 8);
  for (size_t i = 0; i < shown; ++i)
    out += (i == 0 ? "" : ", ") + (std::isnan(list[i]) ? "?" : shortest(list[i]));
  if (shown < list.size()) out += fmt::format(", ... {} more", list.size() - shown);
  return out + "]";
}

ExprValue evaluate(const Expr& e, const ExprScope& scope) {
  switch (e.kind) {
    case Expr::Number: return ExprValue::of(e.number);
    case Expr::Text: return ExprValue::of_text(e.text);
    case Expr::Bool: return ExprValue::of(e.boolean);
    case Expr::List: return list_value(e, scope);
    case Expr::Index: return index_value(e, scope);
    case Expr::Call: return call(e, scope);
    case Expr::Path:
      if (e.path.size() == 1) {
        if (const Expr* macro = scope.macro(e.path[0])) return evaluate(*macro, scope);
      }
      return scope.lookup(e.path);
    case Expr::Not: {
      const ExprValue v = evaluate(*e.args[0], scope);
      if (v.kind == ExprValue::Bool) return ExprValue::of(!v.boolean);
      return v.kind == ExprValue::Unknown ? v : ExprValue::unknown("'not' of " + v.str());
    }
    case Expr::Negate: return apply_binary("-", ExprValue::of(0.0), evaluate(*e.args[0], scope));
    case Expr::Binary:
      if (e.text == "and" || e.text == "or") return logical(e, scope);
      return apply_binary(e.text, evaluate(*e.args[0], scope), evaluate(*e.args[1], scope));
  }
  return ExprValue::unknown("no such expression");
}

ExprFailure explain_failure(const Expr& e, const ExprScope& scope) {
  if (e.kind == Expr::Binary && e.text == "and") {
    if (!evaluate(*e.args[0], scope).is_true()) return explain_failure(*e.args[0], scope);
    return explain_failure(*e.args[1], scope);
  }
  if (e.kind == Expr::Path && e.path.size() == 1) {
    if (const Expr* macro = scope.macro(e.path[0])) return explain_failure(*macro, scope);
  }
  ExprFailure failure;
  failure.wanted = print_expr(e);
  const ExprValue whole = evaluate(e, scope);
  if (whole.kind == ExprValue::Unknown) {
    failure.found = whole.str();
    return failure;
  }
  // The values of every path in it, once each.
  std::vector<std::string> seen;
  auto add = [&](const Expr& part) {
    const std::string name = print_expr(part);
    const std::string line = name + " = " + evaluate(part, scope).str();
    if (std::find(seen.begin(), seen.end(), line) == seen.end()) seen.push_back(line);
  };
  std::function<void(const Expr&)> walk = [&](const Expr& part) {
    if (part.kind == Expr::Path || part.kind == Expr::Index) return add(part);
    for (const ExprPtr& arg : part.args) walk(*arg);
  };
  walk(e);
  for (const std::string& line : seen) failure.found += (failure.found.empty() ? "" : ", ") + line;
  if (failure.found.empty()) failure.found = whole.str();
  return failure;
}

void visit_parts(const Expr& expr, const std::function<void(const Expr&)>& visit) {
  visit(expr);
  for (const ExprPtr& arg : expr.args) visit_parts(*arg, visit);
}

std::span<const ExprFunction> expr_functions() {
  static constexpr ExprFunction kFunctions[] = {
      {"min", -1}, {"max", -1},  {"sum", -1},   {"prod", -1},      {"abs", 1},
      {"len", 1},  {"known", 1}, {"select", 3}, {"same_shape", 2}, {"same_quantization", 2}};
  return kFunctions;
}

ExprValue ExprScope::relation(std::string_view name, std::span<const ExprPtr>) const {
  return ExprValue::unknown(fmt::format("{} does not apply here", name));
}

}  // namespace zp::rewrite
