// The language of conditions in patterns: `w.shape[1] % 4 == 0 and alpha == 1`. It is total: every expression
// has a value, which may be `unknown` with a reason (a dim that is no number, a division by zero, a list of
// another length); there are no loops and no definitions, so a backend file cannot run away. Lists (shapes,
// scales of an axis) work elementwise with numbers and with lists of their length; a comparison of lists
// holds if it holds for every entry.
//
//   or and not   == != < <= > >= in   + -   * / // %   ^   -x   name.field[index]   f(args)   [a, b]   "text"
//   1/256 functions: min max sum prod abs len known same_shape same_quantization
//   select(condition, a, b)
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/result.h"
#include "support/text_cursor.h"

namespace zp::rewrite {

// Where something stands in a backend file.
struct Place {
  uint32_t line = 0, column = 0;
};
inline Place place_of(const TextCursor::Place& at) { return {at.line, at.column}; }

struct Expr;
using ExprPtr = std::shared_ptr<const Expr>;

struct Expr {
  enum Kind : uint8_t { Number, Text, Bool, Path, Index, Call, List, Not, Negate, Binary } kind = Number;
  double number = 0;
  bool boolean = false;
  std::string text;  // Text: the text; Number: as written; Call: the function; Binary: the operator
  std::vector<std::string> path;  // Path: w.shape -> {"w", "shape"}
  std::vector<ExprPtr> args;
  Place at;
};

struct ExprValue {
  enum Kind : uint8_t { Unknown, Bool, Number, List, Text } kind = Unknown;
  bool boolean = false;
  double number = 0;
  std::vector<double> list;
  std::string text;  // Text; of Unknown: why
  static ExprValue of(bool b) {
    ExprValue v;
    v.kind = Bool;
    v.boolean = b;
    return v;
  }
  static ExprValue of(double n) {
    ExprValue v;
    v.kind = Number;
    v.number = n;
    return v;
  }
  static ExprValue of(std::vector<double> l) {
    ExprValue v;
    v.kind = List;
    v.list = std::move(l);
    return v;
  }
  static ExprValue of_text(std::string_view t) {
    ExprValue v;
    v.kind = Text;
    v.text = t;
    return v;
  }
  static ExprValue unknown(std::string why) {
    ExprValue v;
    v.text = std::move(why);
    return v;
  }
  bool is_true() const { return kind == Bool && boolean; }
  std::string str() const;  // for messages; long lists are shortened
};

// What names stand for. A path that means nothing gives unknown.
class ExprScope {
 public:
  virtual ~ExprScope() = default;
  virtual ExprValue lookup(std::span<const std::string> path) const = 0;
  // The expression a single name abbreviates (`predicate NAME = ...`), or null.
  virtual const Expr* macro(std::string_view) const { return nullptr; }
  // `same_shape(a, b)` and `same_quantization(a, b)`: relations of what two names stand for, symbolic dims
  // included.
  virtual ExprValue relation(std::string_view name, std::span<const ExprPtr> args) const;
};

// Reads one expression; stops before the first symbol that cannot continue it.
Result<ExprPtr> parse_expr(TextCursor& cursor);
std::string print_expr(const Expr& expr);
ExprValue evaluate(const Expr& expr, const ExprScope& scope);

// Why a condition does not hold: its first conjunct that is not true, and what stands there instead.
struct ExprFailure {
  std::string wanted;
  std::string found;
};
ExprFailure explain_failure(const Expr& expr, const ExprScope& scope);

// Calls `visit` for every part of the expression, outer parts first.
void visit_parts(const Expr& expr, const std::function<void(const Expr&)>& visit);

// Functions that expressions may call, with their number of arguments (-1: any).
struct ExprFunction {
  std::string_view name;
  int arguments;
};
std::span<const ExprFunction> expr_functions();

}  // namespace zp::rewrite
