// Symbolic dimensions: known identities, and random expressions against evaluation by brute force.
#include "ir/dim.h"

#include <gtest/gtest.h>

#include <random>

namespace zp {
namespace {

class DimTest : public testing::Test {
 protected:
  Dim parse(std::string_view text) {
    auto r = dims.parse(text);
    EXPECT_TRUE(r.ok()) << text << ": " << (r.ok() ? "" : r.error().str());
    return r.ok() ? *r : Dim::unknown();
  }
  std::string str(std::string_view text) { return parse(text).str(); }
  DimContext dims;
};

TEST_F(DimTest, PolynomialsAreCanonical) {
  EXPECT_EQ(str("1 + 2*s0"), "2*s0+1");
  EXPECT_EQ(str("s0 + s0"), "2*s0");
  EXPECT_EQ(str("s0 - s0"), "0");
  EXPECT_EQ(str("s1*s0"), "s0*s1");
  EXPECT_EQ(parse("(s0+1)*(s0-1)"), parse("s0*s0 - 1"));
  EXPECT_EQ(parse("(a+b)*(a+b)"), parse("b*b + 2*b*a + a*a"));
  EXPECT_EQ(str("-s0 + s1"), "s1-s0");
  EXPECT_EQ(str("-s0"), "-s0");
  EXPECT_EQ(str("s10 + s2"), "s2+s10");
  EXPECT_EQ(str("0 * s0"), "0");
  EXPECT_EQ(str("pow(s0, 3)"), "s0*s0*s0");
  EXPECT_EQ(str("?"), "?");
  EXPECT_EQ(str("? + 1"), "?");
}

TEST_F(DimTest, FloorDivision) {
  EXPECT_EQ(str("(6*s0)//3"), "2*s0");
  EXPECT_EQ(parse("(a*b)//b"), parse("a"));
  EXPECT_EQ(str("s0//1"), "s0");
  EXPECT_EQ(str("s0//s0"), "1");
  EXPECT_EQ(str("7//2"), "3");
  EXPECT_EQ(str("-7//2"), "-4");
  EXPECT_EQ(str("7//-2"), "-4");
  EXPECT_EQ(parse("(s0-1)//2 + 1"), parse("(s0+1)//2"));
  EXPECT_EQ(parse("ceildiv(s0,2)"), parse("(s0+1)//2"));
  EXPECT_EQ(parse("-((-s0)//2)"), parse("ceildiv(s0,2)"));
  EXPECT_EQ(parse("(4*s0+2)//2"), parse("2*s0+1"));
  EXPECT_EQ(parse("(2*s0)//4"), parse("s0//2"));
  EXPECT_EQ(parse("(2*s0+1)//4"), parse("s0//2"));
  EXPECT_EQ(parse("(s0//2)//3"), parse("s0//6"));
  EXPECT_EQ(parse("((s0+1)//2 + 1)//2"), parse("(s0+3)//4"));
  EXPECT_EQ(parse("(s0*s1 + s0)//(s1+1)"), parse("s0"));
  EXPECT_EQ(parse("(s0*s1)//(s0*s2)"), parse("s1//s2"));
  EXPECT_EQ(parse("(s0*s1*6)//(4*s0)"), parse("s1 + s1//2"));
  EXPECT_EQ(str("s0//2//s1"), "(s0//2)//s1");
  EXPECT_EQ(str("2*(s0//2)"), "2*(s0//2)");
  EXPECT_EQ(str("-(s0//2)"), "-(s0//2)");
  EXPECT_TRUE(dims.floordiv(dims.symbol("s0"), Dim(0)).is_unknown());
  EXPECT_TRUE(dims.floordiv(Dim(INT64_MIN), Dim(-1)).is_unknown());
}

TEST_F(DimTest, Remainder) {
  EXPECT_EQ(str("(4*s0)%2"), "0");
  EXPECT_EQ(str("(4*s0+3)%2"), "1");
  EXPECT_EQ(str("s0%1"), "0");
  EXPECT_EQ(str("(a*b)%b"), "0");
  EXPECT_EQ(str("-7%3"), "2");
  EXPECT_EQ(str("7%-3"), "-2");
  EXPECT_EQ(parse("(-s0)%4"), parse("(3*s0)%4"));
  EXPECT_EQ(parse("(s0%6)%3"), parse("s0%3"));
  EXPECT_EQ(parse("(s0%4)%6"), parse("s0%4"));
  EXPECT_EQ(parse("(2*s0)%4"), parse("2*(s0%2)"));
  EXPECT_TRUE(dims.mod(dims.symbol("s0"), Dim(0)).is_unknown());
}

TEST_F(DimTest, RangesDecide) {
  dims.symbol("n", {1, 8});
  dims.symbol("m", {10, 20});
  EXPECT_EQ(str("min(n, 10)"), "n");
  EXPECT_EQ(str("max(n, 1)"), "n");
  EXPECT_EQ(str("max(n, m)"), "m");
  EXPECT_EQ(str("min(n, m, n+1)"), "n");
  EXPECT_EQ(str("max(n-4, 0)"), "max(n-4,0)");
  EXPECT_EQ(str("n//9"), "0");
  EXPECT_EQ(str("n%9"), "n");
  EXPECT_EQ(str("n//m"), "0");
  EXPECT_EQ(str("n%m"), "n");
  EXPECT_EQ(str("min(s0, 9223372036854775807)"), "s0");
  EXPECT_EQ(dims.lower_bound(parse("2*n-m")), 2 - 20);
  EXPECT_EQ(dims.upper_bound(parse("2*n-m")), 16 - 10);
  EXPECT_EQ(dims.upper_bound(parse("s0")), kDimUnbounded);
  EXPECT_EQ(dims.lower_bound(parse("s0*n+3")), 3);
  // A second declaration narrows.
  dims.symbol("n", {3, 100});
  EXPECT_EQ(dims.info("n")->min, 3);
  EXPECT_EQ(dims.info("n")->max, 8);
}

TEST_F(DimTest, OverflowIsUnknownNotWrong) {
  EXPECT_TRUE(dims.add(Dim(INT64_MAX), Dim(1)).is_unknown());
  EXPECT_TRUE(dims.mul(parse("4611686018427387904*s0"), Dim(4)).is_unknown());
  EXPECT_TRUE(dims.pow(Dim(10), Dim(30)).is_unknown());
  EXPECT_EQ(parse("-9223372036854775808"), Dim(INT64_MIN));
  EXPECT_EQ(parse(str("s0 + -9223372036854775808")), parse("s0 + -9223372036854775808"));
  EXPECT_FALSE(dims.evaluate(parse("s0*s0"), {{"s0", int64_t{1} << 40}}).has_value());
  EXPECT_FALSE(dims.evaluate(parse("s0"), {}).has_value());
  EXPECT_FALSE(dims.evaluate(parse("s0//s1"), {{"s0", 1}, {"s1", 0}}).has_value());
}

TEST_F(DimTest, GrowthIsBounded) {
  // Each step doubles the written-out size: must end in unknown, quickly.
  Dim d = dims.symbol("s0");
  const Dim s1 = dims.symbol("s1");
  for (int i = 0; i < 200; ++i)
    d = dims.add(dims.floordiv(d, dims.add(s1, Dim(i))), dims.mod(d, dims.add(s1, Dim(i))));
  EXPECT_TRUE(d.is_unknown());
  Dim sum(0), power(1);
  for (int i = 0; i < 12; ++i) sum = dims.add(sum, dims.symbol("x" + std::to_string(i)));
  for (int i = 0; i < 8; ++i) power = dims.mul(power, sum);
  EXPECT_TRUE(power.is_unknown());
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += '(';
  EXPECT_FALSE(dims.parse(deep).ok());
  EXPECT_FALSE(dims.parse(std::string(100000, '-')).ok());
}

TEST_F(DimTest, ParseErrorsSayWhere) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "1:1: error: wanted a dimension, found the end of the text"},
      {"1 +", "1:4: error: wanted a dimension, found the end of the text"},
      {"(1", "1:3: error: wanted ')', found the end of the text"},
      {"s0 s1", "1:4: error: wanted an operator or the end, found 's1'"},
      {"foo(s0, 1)", "1:1: error: unknown function 'foo' of a dimension; known: min, max, ceildiv, pow"},
      {"min(s0)", "1:1: error: min takes 2 or more arguments, found 1"},
      {"ceildiv(1,2,3)", "1:1: error: ceildiv takes 2 arguments, found 3"},
      {"s0//0", "1:3: error: division by zero"},
      {"99999999999999999999", "1:1: error: '99999999999999999999' does not fit in 64 bits"},
      {"s0**2", "1:3: error: write pow(a,b) for a power"},
  };
  for (const auto& [text, message] : cases) {
    const auto r = dims.parse(text);
    ASSERT_FALSE(r.ok()) << text;
    EXPECT_EQ(r.error().str(), std::string("line ") + message);
  }
}

TEST_F(DimTest, OddSymbolNamesAreQuoted) {
  const Dim d = dims.add(dims.symbol("batch size"), dims.symbol("2nd"));
  EXPECT_EQ(d.str(), "\"2nd\"+\"batch size\"");
  EXPECT_EQ(parse(d.str()), d);
}

// A tree evaluated on its own, without any of the rules under test.
struct Tree {
  enum Op { Leaf, Symbol, Add, Sub, Mul, FloorDiv, CeilDiv, Mod, Min, Max, Pow } op = Leaf;
  int64_t value = 0;
  std::vector<Tree> args;
};

constexpr std::string_view kSymbols[] = {"a", "b", "c"};

Tree random_tree(std::mt19937& rng, int depth) {
  Tree t;
  const auto pick = [&](int n) { return static_cast<int>(rng() % static_cast<unsigned>(n)); };
  if (depth == 0 || pick(5) == 0) {
    t.op = pick(3) == 0 ? Tree::Leaf : Tree::Symbol;
    t.value = t.op == Tree::Symbol ? pick(3) : pick(15) - 5;
    return t;
  }
  t.op = static_cast<Tree::Op>(Tree::Add + pick(8));
  t.args = {random_tree(rng, depth - 1), random_tree(rng, depth - 1)};
  if (t.op >= Tree::FloorDiv && t.op <= Tree::Mod && pick(2) == 0) t.args[1] = {Tree::Leaf, pick(9) - 2, {}};
  return t;
}

// Wide arithmetic, so that overflow of intermediate values is no concern; nothing where it is not defined.
std::optional<__int128> value_of(const Tree& t, const int64_t* symbols) {
  if (t.op == Tree::Leaf) return t.value;
  if (t.op == Tree::Symbol) return symbols[t.value];
  const auto l = value_of(t.args[0], symbols), r = value_of(t.args[1], symbols);
  if (!l || !r) return std::nullopt;
  const __int128 x = *l, y = *r;
  const auto floor_div = [](__int128 p, __int128 q) { return p / q - (p % q != 0 && (p < 0) != (q < 0)); };
  switch (t.op) {
    case Tree::Add: return x + y;
    case Tree::Sub: return x - y;
    case Tree::Mul: return x * y;
    case Tree::FloorDiv: return y == 0 ? std::nullopt : std::optional(floor_div(x, y));
    case Tree::CeilDiv: return y == 0 ? std::nullopt : std::optional(-floor_div(-x, y));
    case Tree::Mod: return y == 0 ? std::nullopt : std::optional(x - y * floor_div(x, y));
    case Tree::Min: return x < y ? x : y;
    case Tree::Max: return x > y ? x : y;
    default: return std::nullopt;
  }
}

Dim build(DimContext& dims, const Tree& t) {
  if (t.op == Tree::Leaf) return Dim(t.value);
  if (t.op == Tree::Symbol) return dims.symbol(kSymbols[t.value]);
  const Dim a = build(dims, t.args[0]), b = build(dims, t.args[1]);
  switch (t.op) {
    case Tree::Add: return dims.add(a, b);
    case Tree::Sub: return dims.sub(a, b);
    case Tree::Mul: return dims.mul(a, b);
    case Tree::FloorDiv: return dims.floordiv(a, b);
    case Tree::CeilDiv: return dims.ceildiv(a, b);
    case Tree::Mod: return dims.mod(a, b);
    case Tree::Min: return dims.min(a, b);
    default: return dims.max(a, b);
  }
}

TEST(DimProperty, SimplifiedExpressionsKeepTheirValue) {
  std::mt19937 rng(1);
  int compared = 0;
  for (int round = 0; round < 6000; ++round) {
    DimContext dims;
    int64_t lo[3], hi[3];
    for (int s = 0; s < 3; ++s) {
      lo[s] = static_cast<int64_t>(rng() % 12) - 4;
      hi[s] = lo[s] + static_cast<int64_t>(rng() % 9);
      dims.symbol(kSymbols[s], {lo[s], hi[s]});
    }
    const Tree tree = random_tree(rng, 4);
    const Dim dim = build(dims, tree);
    const std::string text = dim.str();
    if (!dim.is_unknown()) {
      const auto again = dims.parse(text);
      ASSERT_TRUE(again.ok()) << text << ": " << again.error().str();
      ASSERT_EQ(*again, dim) << text << " reads back as " << again->str();
    }
    const int64_t lower = dims.lower_bound(dim), upper = dims.upper_bound(dim);
    for (int sample = 0; sample < 30; ++sample) {
      int64_t v[3];
      DimBinding binding;
      for (int s = 0; s < 3; ++s) {
        v[s] = lo[s] + static_cast<int64_t>(rng() % static_cast<unsigned>(hi[s] - lo[s] + 1));
        binding[kSymbols[s]] = v[s];
      }
      const auto expected = value_of(tree, v);
      if (!expected || dim.is_unknown()) continue;
      const auto value = dims.evaluate(dim, binding);
      // A factor that cancelled may have removed a division by zero, never added one.
      ASSERT_TRUE(value.has_value()) << text << " at a=" << v[0] << " b=" << v[1] << " c=" << v[2];
      ASSERT_EQ(*value, static_cast<int64_t>(*expected))
          << text << " at a=" << v[0] << " b=" << v[1] << " c=" << v[2];
      ASSERT_LE(lower, *value) << text;
      ASSERT_GE(upper, *value) << text;
      ++compared;
    }
  }
  EXPECT_GT(compared, 60000);
}

// Polynomials built in two different orders are one object.
TEST(DimProperty, EqualPolynomialsAreIdentical) {
  std::mt19937 rng(2);
  for (int round = 0; round < 500; ++round) {
    DimContext dims;
    std::vector<Dim> parts;
    for (int i = 0; i < 6; ++i) {
      Dim term(static_cast<int64_t>(rng() % 7) - 3);
      for (unsigned f = rng() % 3; f > 0; --f)
        term =
            dims.mul(term, dims.add(dims.symbol(kSymbols[rng() % 3]), Dim(static_cast<int64_t>(rng() % 3))));
      parts.push_back(term);
    }
    Dim forward(0), backward(0);
    for (size_t i = 0; i < parts.size(); ++i) forward = dims.add(forward, parts[i]);
    for (size_t i = parts.size(); i-- > 0;) backward = dims.add(backward, parts[i]);
    EXPECT_EQ(forward, backward) << forward.str() << " / " << backward.str();
    const Dim factor = dims.add(dims.symbol("a"), Dim(2));
    EXPECT_EQ(dims.floordiv(dims.mul(forward, factor), factor), forward);
    EXPECT_EQ(dims.mod(dims.mul(forward, factor), factor), Dim(0));
  }
}

}  // namespace
}  // namespace zp
