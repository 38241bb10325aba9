// Wishes of a configuration on float graphs: every constraint accepts and refuses, for whatever was a module
// or a function; nothing stays float without a reason.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "backend/backend.h"
#include "backend/wish.h"
#include "ir/parser.h"
#include "ops/ops.h"

namespace zp::backend {
namespace {

constexpr const char* kLinear = R"(zp 1
@w = f32[4,2] [1,2,3,4,5,6,7,8]
@b = f32[4] [1,2,3,4]
graph main(%x: f32[2,2]) -> (%y) {
  %w = const @w : f32[4,2]
  %b = const @b : f32[4]
  %y = linear(%x, %w, %b) : f32[2,4]
}
)";

struct Tried {
  std::unique_ptr<Model> model;
  std::unique_ptr<Backend> backend;
  std::vector<Verdict> verdicts;
  const SlotDecision* slot(std::string_view name) const {
    for (const Verdict& v : verdicts)
      for (const SlotDecision& s : v.decisions)
        if (s.slot == name) return &s;
    return nullptr;
  }
};

Tried attempt(const std::string& graph, const std::string& file) {
  Tried t;
  auto model = parse_model(graph, ops::table());
  EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().str());
  auto backend = Backend::parse(file, "t.zpb");
  EXPECT_TRUE(backend.ok()) << (backend.ok() ? "" : backend.error().str());
  if (!model.ok() || !backend.ok()) return t;
  t.model = std::move(*model);
  t.backend = std::move(*backend);
  for (Node* node : t.model->graph->nodes())
    rewrite::match_at(t.backend->pattern_set(), node, [&](rewrite::Match match) {
      t.verdicts.push_back(t.backend->accepts(match, {.wish = true, .config = t.backend->find_config("c")}));
    });
  return t;
}

// A linear layer of these types, and a configuration with these wishes.
Tried linear(const std::string& types, const std::string& wishes, bool torch = false) {
  return attempt(
      kLinear,
      fmt::format(
          "backend t version 1\n{} types t {{ {} }}\n config c {{ {} }}\n pattern p : linear\n types t\n",
          torch ? "numerics { origin: torch }\n" : "", types, wishes));
}

bool fits(const std::string& types, const std::string& wishes) {
  const Tried t = linear(types, wishes);
  EXPECT_EQ(t.verdicts.size(), 1u);
  return t.verdicts.size() == 1 && t.verdicts.front().ok();
}

const std::string kStatic = "activation-type: u8 affine per-tensor weight-type: i8 symmetric per-tensor";

TEST(Decision, EveryConstraintAcceptsAndRefuses) {
  // dtype, slot by slot
  EXPECT_TRUE(fits("x: u8 w: i8 b: f32 y: u8", kStatic));
  EXPECT_FALSE(fits("x: i8 w: i8 b: f32 y: u8", kStatic));
  EXPECT_FALSE(fits("x: u8 w: u8 b: f32 y: u8", kStatic));
  EXPECT_FALSE(fits("x: u8 w: i8 b: f32 y: i8", kStatic));
  EXPECT_TRUE(fits("x: u8 w: i8 b: f32 y: i8", kStatic + " output-type: i8 affine per-tensor"));
  EXPECT_TRUE(fits("x: u8 w: i8 b: i32 y: u8", kStatic));
  EXPECT_TRUE(fits("x: u8 w: i8 b: i32 y: u8", kStatic + " bias-type: i32"));
  EXPECT_FALSE(fits("x: u8 w: i8 b: i32 y: u8", kStatic + " bias-type: f32"));
  // dynamic counts
  EXPECT_TRUE(fits("x: u8 dynamic w: i8 b: f32 y: f32", "activation-type: u8 dynamic weight-type: i8"));
  EXPECT_FALSE(fits("x: u8 w: i8 b: f32 y: f32", "activation-type: u8 dynamic weight-type: i8"));
  EXPECT_FALSE(fits("x: u8 dynamic w: i8 b: f32 y: f32", kStatic));
  // fixed scale and zero point: dictated without a wish, equal with one
  EXPECT_TRUE(fits("x: u8 w: i8 b: f32 y: u8 fixed(1/256, 0)", kStatic));
  EXPECT_TRUE(fits("x: u8 w: i8 b: f32 y: u8 fixed(1/256, 0)", kStatic + " output-type: u8 fixed(1/256, 0)"));
  EXPECT_FALSE(
      fits("x: u8 w: i8 b: f32 y: u8 fixed(1/256, 0)", kStatic + " output-type: u8 fixed(1/128, 0)"));
  EXPECT_FALSE(
      fits("x: u8 w: i8 b: f32 y: u8 fixed(1/256, 0)", kStatic + " output-type: u8 fixed(1/256, 3)"));
  EXPECT_TRUE(
      fits("x: u8 w: i8 b: f32 y: u8 fixed(1/256, any)", kStatic + " output-type: u8 fixed(1/256, 3)"));
  EXPECT_FALSE(fits("x: u8 w: i8 b: f32 y: u8 fixed(any, 0)", kStatic + " output-type: u8 fixed(1/256, 3)"));
  // an upper bound of scales holds, of what is known of them
  EXPECT_FALSE(fits("x: u8 w: i8 b: f32 y: u8 scale <= 1/512", kStatic + " output-type: u8 fixed(1/256, 0)"));
  EXPECT_TRUE(fits("x: u8 w: i8 b: f32 y: u8 scale <= 1/128", kStatic + " output-type: u8 fixed(1/256, 0)"));
  // half types are casts
  EXPECT_TRUE(fits("x: f16 w: f16 b: f16 y: f16", "activation-type: f16 weight-type: f16"));
  EXPECT_FALSE(fits("x: f16 w: f16 b: f16 y: f16", "activation-type: bf16 weight-type: f16"));
}

TEST(Decision, WhatIsNarrowedIsSaid) {
  Tried t = linear("x: u8 w: i8[-127:127] b: f32 y: u8", kStatic);
  ASSERT_TRUE(t.verdicts.at(0).ok());
  ASSERT_NE(t.slot("weight"), nullptr);
  EXPECT_EQ(t.slot("weight")->outcome, Decision::Narrowed);
  EXPECT_EQ(t.slot("weight")->text, "range -128:127 becomes -127:127");
  EXPECT_EQ(t.slot("input")->outcome, Decision::Accepted);
  t = linear("x: u8 w: i8 scale >= 2^-12 b: f32 y: u8", kStatic);
  EXPECT_EQ(t.slot("weight")->text, "scales are at least 2^-12");
  t = linear("x: u8 w: i8 scale >= 2^-12 b: f32 y: u8", kStatic + " eps: 2^-12");
  EXPECT_EQ(t.slot("weight")->outcome, Decision::Accepted);
  t = linear("x: u8[0:127] w: i8 b: f32 y: u8", kStatic);
  EXPECT_EQ(t.slot("input")->text, "range 0:255 becomes 0:127");
  t = linear("x: u8[0:127] w: i8 b: f32 y: u8[0:127]", kStatic + " reduce-range: yes");
  EXPECT_EQ(t.slot("input")->outcome, Decision::Accepted);
  t = linear("x: u8 symmetric w: i8 b: f32 y: u8", kStatic);
  EXPECT_EQ(t.slot("input")->text, "affine becomes symmetric");
}

// Modules and functions are one operator here: the bounds of weights, which PyTorch compares for calls only,
// always hold.
TEST(Decision, ReasonsSayWherePyTorchWouldNotLook) {
  Tried t = linear("x: u8 w: i8[-127:127] b: f32 y: u8", kStatic, true);
  EXPECT_EQ(t.slot("weight")->text,
            "range -128:127 becomes -127:127 (PyTorch compares it for functional calls only)");
  t = linear("x: u8 w: u8 b: f32 y: u8", kStatic, true);
  ASSERT_FALSE(t.verdicts.at(0).ok());
  EXPECT_NE(t.verdicts[0].refusal->text.find("a module is taken and its weight stays float"),
            std::string::npos);
  t = linear("x: i8 w: i8 b: f32 y: i8", kStatic, true);
  EXPECT_EQ(t.verdicts[0].refusal->text,
            "the wish for operand input is refused: u8 is wished, i8 is taken (PyTorch leaves the operator "
            "float without a word)");
}

TEST(Decision, SlotsOfTwoCombinationsAreNotMixed) {
  const Tried t = attempt(kLinear, R"(backend t version 1
types a { x: u8 w: i8 b: f32 y: i8 }
types b { x: i8 w: i8 b: f32 y: u8 }
config c { activation-type: u8 weight-type: i8 }
pattern p : linear
  types a, b
)");
  ASSERT_EQ(t.verdicts.size(), 1u);
  EXPECT_FALSE(t.verdicts[0].ok());
  EXPECT_EQ(t.verdicts[0].refusal->clause, "types a.y");  // the nearest: only its result is wrong
}

TEST(Decision, TheFirstCombinationThatFitsCounts) {
  const Tried t = attempt(kLinear, R"(backend t version 1
types a { x: i8 w: i8 b: f32 y: i8 }
types b { x: u8 w: i8 b: f32 y: u8 }
config c { activation-type: u8 weight-type: i8 }
pattern p : linear
  types a, b
)");
  ASSERT_TRUE(t.verdicts.at(0).ok());
  EXPECT_EQ(t.verdicts[0].types->name, "b");
  EXPECT_EQ(t.verdicts[0].passed_over->clause, "types a.x");
}

// The measured silence: signed activations wished of a table of unsigned ones leave 115 of 115 models float
// without a word.
TEST(Decision, NothingStaysFloatInSilence) {
  auto backend = Backend::load("fbgemm");
  ASSERT_TRUE(backend.ok()) << backend.error().str();
  auto model = parse_model(kLinear, ops::table());
  ASSERT_TRUE(model.ok()) << model.error().str();
  size_t tried = 0;
  for (Node* node : (*model)->graph->nodes()) {
    rewrite::match_at((*backend)->pattern_set(), node, [&](rewrite::Match match) {
      ++tried;
      const Verdict v =
          (*backend)->accepts(match, {.wish = true, .config = (*backend)->find_config("symmetric")});
      ASSERT_FALSE(v.ok());
      EXPECT_NE(v.refusal->text.find("i8 is wished, u8 is taken"), std::string::npos) << v.refusal->text;
      EXPECT_GT(v.refusal->line, 0u);
    });
  }
  EXPECT_GT(tried, 0u);
}

// alpha is part of a sum: an operand that is scaled is no plain addend, whichever side it is on.
TEST(Decision, AlphaIsNotDropped) {
  for (const char* alpha : {"1", "2"}) {
    auto model = parse_model(fmt::format(R"(zp 1
@w = f32[2,2,1,1] [1,2,3,4]
graph main(%x: f32[1,2,8,8], %r: f32[1,2,8,8]) -> (%y) {{
  %w = const @w : f32[2,2,1,1]
  %c = conv2d(%x, %w) : f32[1,2,8,8]
  %y = add(%r, %c) {{alpha: {}}} : f32[1,2,8,8]
}}
)",
                                         alpha),
                             ops::table());
    ASSERT_TRUE(model.ok()) << model.error().str();
    auto backend = Backend::load("onednn");
    ASSERT_TRUE(backend.ok());
    bool fused = false;
    for (Node* node : (*model)->graph->nodes())
      rewrite::match_at((*backend)->pattern_set(), node, [&](rewrite::Match match) {
        const Verdict v = (*backend)->accepts(match, {.wish = true});
        fused = fused || (v.ok() && v.pattern->pattern.name == "convolution-add");
      });
    EXPECT_EQ(fused, std::string_view(alpha) == "1");
  }
}

// One convolution called twice is two matches with parameters of their own.
TEST(Decision, PerCallAndNotPerModule) {
  auto model = parse_model(R"(zp 1
@w = f32[2,2,1,1] [1,2,3,4]
graph main(%x: f32[1,2,8,8]) -> (%y) {
  %w = const @w : f32[2,2,1,1]
  %c = conv2d(%x, %w) : f32[1,2,8,8]
  %r = relu(%c) : f32[1,2,8,8]
  %y = conv2d(%r, %w) : f32[1,2,8,8]
}
)",
                           ops::table());
  ASSERT_TRUE(model.ok()) << model.error().str();
  auto backend = Backend::load("native");
  ASSERT_TRUE(backend.ok());
  std::vector<rewrite::Candidate> candidates;
  for (Node* node : (*model)->graph->nodes())
    rewrite::match_at((*backend)->pattern_set(), node, [&](rewrite::Match match) {
      if ((*backend)->accepts(match, {.wish = true}).ok()) candidates.push_back({std::move(match), 0});
    });
  std::vector<size_t> lengths;
  for (size_t i : rewrite::choose((*backend)->pattern_set(), candidates))
    lengths.push_back(candidates[i].match.nodes.size());
  EXPECT_EQ(lengths, (std::vector<size_t>{2, 1}));
}

}  // namespace
}  // namespace zp::backend
