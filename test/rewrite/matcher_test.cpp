// The matcher: chains and graphs, commutativity, alternatives, optional steps, literals, uses, choice, linear
// work.
#include "rewrite/matcher.h"

#include <gtest/gtest.h>

#include "ir/parser.h"
#include "ops/ops.h"
#include "rewrite/trace.h"

namespace zp::rewrite {
namespace {

struct Clauses {
  std::string root;
  double cost = 0;
  std::vector<size_t> before;
};

// Patterns from their text, ready to match.
struct Patterns {
  std::vector<std::unique_ptr<Pattern>> patterns;
  PatternSet set;
};

std::unique_ptr<Patterns> patterns_of(const std::vector<std::pair<std::string, Clauses>>& texts,
                                      const ClassMap& classes = {}) {
  auto all = std::make_unique<Patterns>();
  std::vector<PatternSet::Entry> entries;
  for (const auto& [text, clauses] : texts) {
    TextCursor cursor(text);
    std::vector<Diagnostic> problems;
    auto pattern = parse_pattern(cursor, "p" + std::to_string(entries.size()), &problems);
    EXPECT_TRUE(pattern.ok()) << text << (pattern.ok() ? "" : pattern.error().str());
    if (!pattern.ok()) return nullptr;
    all->patterns.push_back(std::make_unique<Pattern>(std::move(*pattern)));
    problems.clear();
    resolve(*all->patterns.back(), ops::table(), classes, &problems);
    EXPECT_TRUE(problems.empty()) << text << problems.front().str();
    auto variants = compile(*all->patterns.back(), entries.size(), clauses.root);
    EXPECT_TRUE(variants.ok());
    entries.push_back({std::move(*variants), clauses.cost, clauses.before});
  }
  auto set = PatternSet::make(std::move(entries));
  EXPECT_TRUE(set.ok());
  all->set = std::move(*set);
  return all;
}

std::unique_ptr<Model> graph(const std::string& body,
                             const std::string& head = "%x: f32[1,4,8,8], %z: f32[1,4,8,8]",
                             const std::string& out = "%y") {
  const std::string text =
      "zp 1\n@w = f32[4,4,1,1] [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]\n@m = f32[4] [1,1,1,1]\ngraph main(" +
      head + ") -> (" + out + ") {\n  %w = const @w\n" + body + "}\n";
  auto model = parse_model(text, ops::table(), "test");
  EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().str()) << text;
  return model.ok() ? std::move(*model) : nullptr;
}

std::string text_of(const Match& match) {
  std::string text = match.variant->pattern->name + ":";
  for (const Node* node : match.nodes) text += " " + std::string(node->name());
  return text + (match.root() == match.nodes.front() ? "" : " root " + std::string(match.root()->name()));
}

// The matches that are chosen, then the misses.
std::vector<std::string> matches(const Patterns& p, const Model& model,
                                 std::vector<std::string>* missed = nullptr,
                                 std::vector<std::pair<size_t, size_t>>* ties = nullptr) {
  std::vector<Candidate> candidates;
  for (Node* node : model.graph->nodes()) {
    match_at(
        p.set, node,
        [&](Match m) {
          candidates.push_back({std::move(m), 0});
        },
        [&](const Miss& m) {
          if (missed != nullptr)
            missed->push_back(m.variant->pattern->name + ": " + std::string(m.node->name()) + " " +
                              std::to_string(m.uses) + "/" + std::to_string(m.wanted));
        });
  }
  std::vector<std::string> out;
  for (size_t i : choose(p.set, candidates, ties)) out.push_back(text_of(candidates[i].match));
  return out;
}

using Lines = std::vector<std::string>;

TEST(Matcher, ChainsWithOptionalStepsAndAlternatives) {
  const auto p = patterns_of({{": conv2d, [batch_norm], [relu | hardtanh]", {}}});
  const auto m = graph(
      "  %a = conv2d(%x, %w)\n  %b = relu(%a)\n  %c = conv2d(%b, %w)\n  %m = const @m\n  %d = batch_norm(%c, "
      "%m, %m, %m, %m)\n  %e = hardtanh(%d)\n  %y = conv2d(%e, %w)\n");
  EXPECT_EQ(matches(*p, *m), (Lines{"p0: a b", "p0: c d e", "p0: y"}));
}

TEST(Matcher, ClassesStandForTheirOps) {
  const ClassMap classes = {{"act", {&ops::relu, &ops::sigmoid}}};
  const auto p = patterns_of({{": conv2d, act", {}}}, classes);
  const auto m = graph("  %a = conv2d(%x, %w)\n  %b = sigmoid(%a)\n  %c = conv2d(%b, %w)\n  %y = tanh(%c)\n");
  EXPECT_EQ(matches(*p, *m), (Lines{"p0: a b"}));
}

TEST(Matcher, GraphsMatchInEitherOrderOfCommutativeOperands) {
  const auto p =
      patterns_of({{"{ %c = conv2d(%x, %w, %b?) %s = add(%c, %r) %y = relu(%s) }", {.root = "c"}}});
  for (const char* sum : {"add(%a, %z)", "add(%z, %a)"}) {
    const auto m = graph(std::string("  %a = conv2d(%x, %w)\n  %s = ") + sum + "\n  %y = relu(%s)\n");
    EXPECT_EQ(matches(*p, *m), (Lines{"p0: a s y"})) << sum;
  }
  // Not commutative with a factor, and subtraction never is.
  for (const char* sum : {"add(%z, %a) {alpha: 2}", "sub(%a, %z)"}) {
    const auto m = graph(std::string("  %a = conv2d(%x, %w)\n  %s = ") + sum + "\n  %y = relu(%s)\n");
    EXPECT_TRUE(matches(*p, *m).empty()) << sum;
  }
}

TEST(Matcher, OneOfTwoConvolutionsTakesTheSum) {
  const auto p = patterns_of(
      {{"{ %c = conv2d(%x, %w) %s = add(%c, %r) %y = relu(%s) }", {.root = "c"}}, {": conv2d", {}}});
  const auto m = graph("  %a = conv2d(%x, %w)\n  %b = conv2d(%z, %w)\n  %s = add(%a, %b)\n  %y = relu(%s)\n");
  EXPECT_EQ(matches(*p, *m), (Lines{"p1: b", "p0: a s y"}));
}

TEST(Matcher, SlotsFollowTheOrderThatMatched) {
  const auto p = patterns_of({{"{ %c = conv2d(%x, %w) %y = add(%c, %r) }", {.root = "c"}}});
  const auto m = graph("  %a = conv2d(%x, %w)\n  %y = add(%z, %a)\n");
  Match match;
  for (Node* node : m->graph->nodes()) match_at(p->set, node, [&](Match found) { match = std::move(found); });
  ASSERT_NE(match.variant, nullptr);
  std::vector<BoundSlot> slots;
  bind_slots(match, &slots);
  ASSERT_NE(find_slot(slots, "r"), nullptr);
  EXPECT_EQ(find_slot(slots, "r")->readings[0].value->name(), "z");
  EXPECT_EQ(find_slot(slots, "x")->readings[0].value->name(), "x");
  EXPECT_EQ(find_slot(slots, "input")->readings[0].value->name(), "x");
  EXPECT_EQ(find_slot(slots, "w")->readings[0].value->name(), "w");
  EXPECT_TRUE(find_slot(slots, "y")->name.result);
  EXPECT_FALSE(find_slot(slots, "bias")->present());
  EXPECT_EQ(find_slot(slots, "nothing"), nullptr);
}

TEST(Matcher, InnerValuesHaveNoReaderOutside) {
  const auto p = patterns_of({{": conv2d, relu", {}}});
  std::vector<std::string> missed;
  const auto two = graph("  %a = conv2d(%x, %w)\n  %r = relu(%a)\n  %s = sigmoid(%a)\n  %y = add(%r, %s)\n");
  EXPECT_TRUE(matches(*p, *two, &missed).empty());
  EXPECT_EQ(missed, (Lines{"p0: a 2/1"}));
  missed.clear();
  const auto output = graph("  %a = conv2d(%x, %w)\n  %y = relu(%a)\n", "%x: f32[1,4,8,8]", "%y, %a");
  EXPECT_TRUE(matches(*p, *output, &missed).empty());
  EXPECT_EQ(missed, (Lines{"p0: a 2/1"}));
}

TEST(Matcher, SharedStepsMayHaveReaders) {
  const auto p = patterns_of({{"{ shared %c = conv2d(%x, %w) %y = relu(%c) }", {}}});
  const auto m = graph("  %a = conv2d(%x, %w)\n  %r = relu(%a)\n  %s = sigmoid(%a)\n  %y = add(%r, %s)\n");
  EXPECT_EQ(matches(*p, *m), (Lines{"p0: a r"}));
}

TEST(Matcher, ANameUsedTwiceIsOneValue) {
  const auto p = patterns_of({{"{ %s = sigmoid(%x) %y = mul(%x, %s) }", {}}});
  EXPECT_EQ(matches(*p, *graph("  %s = sigmoid(%x)\n  %y = mul(%x, %s)\n")), (Lines{"p0: s y"}));
  EXPECT_EQ(matches(*p, *graph("  %s = sigmoid(%x)\n  %y = mul(%s, %x)\n")), (Lines{"p0: s y"}));
  EXPECT_TRUE(matches(*p, *graph("  %s = sigmoid(%x)\n  %y = mul(%z, %s)\n")).empty());
  EXPECT_TRUE(matches(*p, *graph("  %s = sigmoid(%x)\n  %y = mul(%s, %s)\n")).empty());
}

TEST(Matcher, AnInnerValueMayBeUsedTwiceInside) {
  const auto p = patterns_of({{"{ %a = relu(%x) %s = sigmoid(%a) %y = mul(%a, %s) }", {}}});
  EXPECT_EQ(matches(*p, *graph("  %a = relu(%x)\n  %s = sigmoid(%a)\n  %y = mul(%a, %s)\n")),
            (Lines{"p0: a s y"}));
}

TEST(Matcher, FreeOperandsAreNotOfTheMatch) {
  const auto p = patterns_of({{"{ %c = conv2d(%x, %w) %y = add(%c, %r) }", {}}});
  EXPECT_TRUE(matches(*p, *graph("  %a = conv2d(%x, %w)\n  %y = add(%a, %a)\n")).empty());
}

TEST(Matcher, LiteralsAttributesAndAbsentOperands) {
  const auto three = patterns_of({{"{ %a = add(%x, 3) %y = hardtanh(%a) {min_val: 0, max_val: 6} }", {}}});
  EXPECT_EQ(matches(*three, *graph("  %a = add(%x, 3)\n  %y = hardtanh(%a) {min_val: 0, max_val: 6}\n")),
            (Lines{"p0: a y"}));
  EXPECT_EQ(
      matches(*three, *graph("  %a = add(%x, 3.0)\n  %y = hardtanh(%a) {min_val: 0.0, max_val: 6.0}\n")),
      (Lines{"p0: a y"}));
  EXPECT_TRUE(
      matches(*three, *graph("  %a = add(%x, 2)\n  %y = hardtanh(%a) {min_val: 0, max_val: 6}\n")).empty());
  EXPECT_TRUE(matches(*three, *graph("  %a = add(%x, 3)\n  %y = hardtanh(%a)\n")).empty());
  const auto bias = patterns_of({{"{ %y = conv2d(%x, %w, %b) }", {}}});
  EXPECT_TRUE(matches(*bias, *graph("  %y = conv2d(%x, %w)\n")).empty());
  const auto maybe = patterns_of({{"{ %y = conv2d(%x, %w, %b?) }", {}}});
  EXPECT_EQ(matches(*maybe, *graph("  %y = conv2d(%x, %w)\n")), (Lines{"p0: y"}));
}

TEST(Matcher, LegacyFormsMatchAsTheirForwardForms) {
  const auto legacy = patterns_of({{": legacy (relu, (add, conv2d, _))", {}}});
  const auto m = graph("  %a = conv2d(%x, %w)\n  %s = add(%z, %a)\n  %y = relu(%s)\n");
  EXPECT_EQ(matches(*legacy, *m), (Lines{"p0: a s y"}));
}

TEST(Matcher, ChoosesByCostThenLengthThenBefore) {
  const auto m = graph("  %a = conv2d(%x, %w)\n  %b = relu(%a)\n  %y = sigmoid(%b)\n");
  EXPECT_EQ(matches(*patterns_of({{": conv2d", {}}, {": conv2d, relu", {}}, {": relu, sigmoid", {}}}), *m),
            (Lines{"p1: a b"}));
  EXPECT_EQ(
      matches(*patterns_of({{": conv2d", {}}, {": conv2d, relu", {.cost = 1}}, {": relu, sigmoid", {}}}), *m),
      (Lines{"p0: a", "p2: b y"}));
  EXPECT_EQ(matches(*patterns_of({{": conv2d, relu", {}}, {": relu, sigmoid", {.before = {0}}}}), *m),
            (Lines{"p1: b y"}));
  std::vector<std::pair<size_t, size_t>> ties;
  EXPECT_EQ(matches(*patterns_of({{": relu", {}}, {": relu | sigmoid", {}}}), *m, nullptr, &ties),
            (Lines{"p0: b", "p1: y"}));
  EXPECT_EQ(ties.size(), 1u);
  ties.clear();
  EXPECT_EQ(
      matches(*patterns_of({{": relu", {}}, {": relu | sigmoid", {.before = {0}}}}), *m, nullptr, &ties),
      (Lines{"p1: b", "p1: y"}));
  EXPECT_TRUE(ties.empty());
}

TEST(Matcher, TheEntryOfAChainStandsForTheRootsInput) {
  const auto p = patterns_of({{": [relu], conv2d", {.root = "conv2d"}}});
  const auto m = graph("  %a = relu(%x)\n  %y = conv2d(%a, %w)\n");
  Match match;
  for (Node* node : m->graph->nodes())
    match_at(p->set, node, [&](Match found) {
      if (found.nodes.size() == 2) match = std::move(found);
    });
  ASSERT_NE(match.variant, nullptr);
  EXPECT_EQ(match.root()->name(), "y");
  std::vector<BoundSlot> slots;
  bind_slots(match, &slots);
  EXPECT_EQ(find_slot(slots, "x")->readings[0].value->name(), "x");
}

TEST(Matcher, SecondResultsMustHaveNoReader) {
  const auto p = patterns_of({{": max_pool2d_with_indices, relu", {}}});
  const auto free = graph("  %a, %i = max_pool2d_with_indices(%x) {kernel_size: [2,2]}\n  %y = relu(%a)\n");
  EXPECT_EQ(matches(*p, *free), (Lines{"p0: a y"}));
  const auto read = graph("  %a, %i = max_pool2d_with_indices(%x) {kernel_size: [2,2]}\n  %y = relu(%a)\n",
                          "%x: f32[1,4,8,8]", "%y, %i");
  EXPECT_TRUE(matches(*p, *read).empty());
}

TEST(Matcher, ALongGraphIsMatchedInEveryPlace) {
  const auto p = patterns_of({{"{ %a = add(%x, %r) %b = add(%a, %s) %y = relu(%b) }", {}}, {": relu", {}}});
  constexpr int kLayers = 8000;
  std::string body = "  %a0 = relu(%x)\n";
  for (int i = 0; i < kLayers; ++i) {
    const std::string k = std::to_string(i), l = std::to_string(i + 1);
    body += "  %s" + k + " = add(%a" + k + ", %z)\n  %t" + k + " = add(%s" + k + ", %x)\n  %a" + l +
            " = relu(%t" + k + ")\n";
  }
  const auto m = graph(body, "%x: f32[1,4,8,8], %z: f32[1,4,8,8]", "%a" + std::to_string(kLayers));
  EXPECT_EQ(matches(*p, *m).size(), static_cast<size_t>(kLayers) + 1);
}

}  // namespace
}  // namespace zp::rewrite
