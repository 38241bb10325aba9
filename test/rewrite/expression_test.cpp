#include "rewrite/expression.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace zp::rewrite {
namespace {

class Names : public ExprScope {
 public:
  std::map<std::string, ExprValue> values;
  std::map<std::string, ExprPtr, std::less<>> macros;
  ExprValue lookup(std::span<const std::string> path) const override {
    std::string name;
    for (const std::string& part : path) name += (name.empty() ? "" : ".") + part;
    const auto found = values.find(name);
    return found == values.end() ? ExprValue::unknown(name + " is not known") : found->second;
  }
  const Expr* macro(std::string_view name) const override {
    const auto found = macros.find(name);
    return found == macros.end() ? nullptr : found->second.get();
  }
};

ExprPtr parse(std::string_view text) {
  TextCursor cursor(text);
  auto expr = parse_expr(cursor);
  EXPECT_TRUE(expr.ok()) << text << ": " << (expr.ok() ? "" : expr.error().str());
  EXPECT_TRUE(!expr.ok() || cursor.at_end()) << text << " stops early";
  return expr.ok() ? *expr : nullptr;
}

Names names() {
  Names n;
  n.values["w.shape"] = ExprValue::of(std::vector<double>{9, 16});
  n.values["x.shape"] = ExprValue::of(std::vector<double>{NAN, 16});
  n.values["alpha"] = ExprValue::of(1.0);
  n.values["mode"] = ExprValue::of_text("same");
  n.values["w.scale"] = ExprValue::of(std::vector<double>{0.5, 0.25});
  return n;
}

TEST(Expression, ComputesNumbersListsAndLogic) {
  const Names n = names();
  for (const char* text : {"w.shape[1] % 4 == 0 and alpha == 1",
                           "w.shape[0] % 4 != 0",
                           "w.shape == [9, 16]",
                           "2^-2 == 1/4",
                           "7 // 2 == 3",
                           "-7 // 2 == -4",
                           "-7 % 4 == 1",
                           "min(w.shape) == 9 and max(w.shape, 20) == 20",
                           "mode == \"same\"",
                           "not (alpha > 1) or false",
                           "w.scale <= 0.5",
                           "w.scale * 2 == [1, 0.5]",
                           "alpha in [1, 2]",
                           "len(w.shape) == 2",
                           "prod(w.shape) == 144",
                           "w.shape[-1] == 16",
                           "-2^2 == -4",
                           "2 * 3 - 4 - 1 == 1",
                           "w.shape != [9, 17]",
                           "known(alpha) and not known(x.shape[0])",
                           "1 + 2 * 3 == 7",
                           "%w.shape[0] == 9",
                           "12 / 4 / 3 == 1"}) {
    EXPECT_TRUE(evaluate(*parse(text), n).is_true()) << text << " is " << evaluate(*parse(text), n).str();
  }
}

TEST(Expression, WhatIsNotKnownIsNeverTrue) {
  const Names n = names();
  for (const char* text : {"x.shape[0] == 1", "x.shape[0] != 1", "1 / 0 == 1", "5 % 0 == 0",
                           "w.shape[2] == 0", "beta == 1", "not (beta == 1)", "w.scale + [1, 2, 3] == 0",
                           "mode < 3", "x.shape == [1, 16]", "true and beta == 1"}) {
    const ExprValue v = evaluate(*parse(text), n);
    EXPECT_EQ(v.kind, ExprValue::Unknown) << text << " is " << v.str();
    EXPECT_FALSE(v.text.empty()) << text;
  }
  // A definite answer wins over what is not known.
  EXPECT_EQ(evaluate(*parse("beta == 1 and alpha == 2"), n).kind, ExprValue::Bool);
  EXPECT_TRUE(evaluate(*parse("beta == 1 or alpha == 1"), n).is_true());
  EXPECT_EQ(evaluate(*parse("x.shape == [1, 17]"), n).kind, ExprValue::Bool);
}

TEST(Expression, PrintsWhatReadsBackEqual) {
  for (const char* text :
       {"w.shape[1] % 4 == 0 and alpha == 1", "(a or b) and not c", "not (a and b)", "a - (b - c)",
        "a / (b / c)", "2^-12", "(2^3)^4", "2^3^4", "-(a + b) * c", "min(a, b + 1, [1, 2])",
        "mode == \"sa\\\"me\"", "a - b - c", "-a^2", "x.shape[w.rank - 1] > 3"}) {
    const std::string once = print_expr(*parse(text));
    EXPECT_EQ(once, text);
    EXPECT_EQ(print_expr(*parse(once)), once);
  }
}

TEST(Expression, StopsWhereItCannotGoOn) {
  TextCursor cursor("alpha == 1\n kernel gemm");
  auto expr = parse_expr(cursor);
  ASSERT_TRUE(expr.ok());
  EXPECT_EQ(print_expr(**expr), "alpha == 1");
  EXPECT_TRUE(cursor.accept("kernel"));
}

TEST(Expression, RefusesWhatIsNoExpression) {
  for (const char* text : {"", "1 +", "(1", "f(1", "[1, ", "a.", "w[", "== 2", "1 2x", "\"open"}) {
    TextCursor cursor(text);
    EXPECT_FALSE(parse_expr(cursor).ok() && cursor.at_end()) << text;
  }
  const std::string deep(5000, '(');
  TextCursor cursor(deep);
  EXPECT_FALSE(parse_expr(cursor).ok());
  std::string wide = "1";
  for (int i = 0; i < 5000; ++i) wide += " + 1";
  TextCursor long_cursor(wide);
  EXPECT_FALSE(parse_expr(long_cursor).ok());
  const std::string minus(5000, '-');
  TextCursor minus_cursor(minus);
  EXPECT_FALSE(parse_expr(minus_cursor).ok());
}

TEST(Expression, ExplainsTheConjunctThatFails) {
  Names n = names();
  n.macros["aligned"] = parse("w.shape[1] % 4 == 0 and w.shape[0] % 4 == 0");
  const ExprFailure f = explain_failure(*parse("alpha == 1 and aligned"), n);
  EXPECT_EQ(f.wanted, "w.shape[0] % 4 == 0");
  EXPECT_EQ(f.found, "w.shape[0] = 9");
  EXPECT_NE(explain_failure(*parse("x.shape[0] == 1"), n).found.find("unknown"), std::string::npos);
}

}  // namespace
}  // namespace zp::rewrite
