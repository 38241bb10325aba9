// The grammar and the checks of backend files: every rule with a file that breaks it, printing as a fixed
// point.
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <sstream>

#include "backend/backend.h"
#include "backend/reference.h"

namespace zp {
namespace {

constexpr std::string_view kExample = R"(
backend cpu-int8 version 1

numerics { requantize: f32-nearest-even   accumulate: i32   pair-saturation: none }

class gate  = sigmoid | hardsigmoid | softmax
type act    = u8 affine per-tensor | i8 affine per-tensor
type wt     = i8[-127:127] symmetric per-tensor | i8[-127:127] symmetric per-axis out
type acc    = i32 derived(x.scale * w.scale, 0)
type unit   = u8 fixed(1/256, 0)   | i8 fixed(1/256, -128)
type signed = u8 fixed(2/256, 128) | i8 fixed(2/256, 0)

types weighted  { x: act   w: wt   b: acc | f32   y: act }
types residual  { x: act   w: wt   b: acc | f32   r: act   y: act }
types xnnpack   { x: i8 affine scale >= 2^-12   w: i8[-127:127] symmetric scale >= 2^-12   b: f32   y: i8 affine scale >= 2^-12 }
types dynamic   { x: i8 affine per-token dynamic   w: wt   b: f32   y: f32 }
types weights4  { x: f32   w: i4[-8:7] symmetric per-group 32   b: f32   y: f32 }
types plain     { x: act   y: act }
types pair      { a: act   b: act   y: act }
types bounded   { x: act   y: unit }
types balanced  { x: act   y: signed }
types norm      { x: u8 affine   w: f32   b: f32   y: u8 affine }

pattern linear-relu : linear, relu
  types   weighted, dynamic
  becomes linear {clamp: relu}
  kernel  gemm_clamp

pattern conv-bn-relu : conv2d, batch_norm, [relu]          # bn folded, relu optional
  types   weighted, xnnpack
  becomes conv2d {clamp: of relu} with fold-batch-norm
  train   conv2d_bn_sim
  otherwise warn

pattern conv-add-relu {                                    # DAG: extra input named, commutativity from the op card
    %c = conv2d(%x, %w, %b?)
    %s = add(%c, %r)
    %y = relu(%s)
  }
  types   residual
  root    %c
  extra   %r
  observe r own
  kernel  conv_add_clamp
  before  conv-bn-relu

pattern linear-bn-relu : legacy (relu, (batch_norm, linear))
  types   weighted
  becomes linear {clamp: relu} with fold-batch-norm

pattern conv-bn-add-relu : legacy (relu, (add, (batch_norm, conv2d), _))
  types   residual
  before  conv-add-relu

pattern concat : cat
  types   plain
  observe y like x

pattern arithmetic : add | mul
  types   pair
  observe y own     when tensors == 2
  observe y like x  when tensors == 1

pattern gates : gate
  types   bounded

pattern tanh : tanh
  types   balanced

pattern linear-int4 : linear
  types   weights4
  where   in_features_multiple_of_32
  kernel  gemm_w4

pattern norm : layer_norm
  types   norm
  otherwise float
)";

std::unique_ptr<Backend> read(std::string_view text) {
  auto backend = Backend::parse(text, "test.zpb");
  EXPECT_TRUE(backend.ok()) << (backend.ok() ? "" : backend.error().str());
  return backend.ok() ? std::move(*backend) : nullptr;
}

// All messages of a file that must be refused.
std::string problems(std::string_view text) {
  auto backend = Backend::parse(text, "test.zpb");
  return backend.ok() ? std::string() : backend.error().str();
}

const backend::PatternDef& pattern(const Backend& b, std::string_view name) {
  for (const backend::PatternDef& def : b.patterns())
    if (def.pattern.name == name) return def;
  ADD_FAILURE() << "no pattern " << name;
  return b.patterns().front();
}

TEST(BackendReader, ReadsTheWholeGrammar) {
  const auto b = read(kExample);
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->patterns().size(), 11u);
  EXPECT_EQ(b->numerics("accumulate"), "i32");
  EXPECT_FALSE(b->numerics("rounding").has_value());
  const auto& residual = pattern(*b, "conv-add-relu");
  EXPECT_EQ(residual.root, "c");
  EXPECT_EQ(residual.extra, std::vector<std::string>{"r"});
  EXPECT_EQ(pattern(*b, "conv-bn-relu").otherwise, backend::Otherwise::Warn);
  EXPECT_TRUE(pattern(*b, "conv-bn-relu").pattern.steps[2].optional);
  EXPECT_EQ(b->pattern_set().variants_of(1).size(), 2u);
}

TEST(BackendReader, LegacyFormsPrintForward) {
  const auto b = read(kExample);
  ASSERT_NE(b, nullptr);
  const std::string text = b->print();
  EXPECT_NE(text.find("pattern linear-bn-relu : linear, batch_norm, relu\n"), std::string::npos) << text;
  EXPECT_NE(text.find("= add(%b1, %r)"), std::string::npos) << text;
  EXPECT_EQ(text.find("legacy"), std::string::npos);
  ASSERT_EQ(b->notes().size(), 1u);
  EXPECT_EQ(b->notes()[0].id, "zpb09");
}

TEST(BackendReader, PrintingIsAFixedPoint) {
  for (std::string_view name : Backend::builtin_names()) {
    auto backend = Backend::load(name);
    ASSERT_TRUE(backend.ok()) << backend.error().str();
    const std::string once = (*backend)->print();
    const auto again = read(once);
    ASSERT_NE(again, nullptr) << once;
    EXPECT_EQ(again->print(), once);
    // What a pattern was inherited from is known only while the files are apart.
    const std::regex from(",\\s*\"from\": \"[^\"]*\"");
    EXPECT_EQ(again->json(), std::regex_replace((*backend)->json(), from, ""));
  }
  const auto b = read(kExample);
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(read(b->print())->print(), b->print());
}

TEST(BackendReader, ForwardAndLegacyGiveOneTree) {
  const auto a =
      read("backend a version 1\n pattern p : conv2d, batch_norm, relu\n pattern q : conv2d, relu");
  const auto b = read(
      "backend a version 1\n pattern p : legacy (relu, (batch_norm, conv2d))\n pattern q : legacy (relu, "
      "conv2d)");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->print(), b->print());
  EXPECT_EQ(a->json(), b->json());
}

struct Broken {
  const char* text;    // after the header line
  const char* wanted;  // part of the message
};

TEST(BackendReader, EveryRuleHasAMessageWithItsPlace) {
  const Broken cases[] = {
      {"pattern p : conv2d, batchnorm",
       ":2:21: error: zpb01: unknown op \"batchnorm\", did you mean \"batch_norm\""},
      {"patern p : conv2d", ":2:1: error: zpb01: unknown key \"patern\", did you mean \"pattern\""},
      {"pattern p : conv2d\n typs t", ":3:2: error: zpb01: unknown key \"typs\", did you mean \"types\""},
      {"type w = i8 per-axes out",
       ":2:13: error: zpb01: unknown word \"per-axes\", did you mean \"per-axis\""},
      {"types t { x: akt w: f32 y: f32 }\n type act = u8",
       "zpb01: unknown type \"akt\", did you mean \"act\""},
      {"pattern p : conv2d\n types weihgted\n types weighted { x: f32 w: f32 y: f32 }",
       "zpb01: unknown types \"weihgted\", did you mean \"weighted\""},
      {"pattern p : conv2d\n where gruops == 1",
       ":3:2: error: zpb01: \"gruops\" is no slot, attribute or predicate of pattern \"p\", did you mean "
       "\"groups\""},
      {"pattern p : conv2d\n where w.shap[0] == 1",
       "zpb01: unknown field \"shap\" of slot w, did you mean \"shape\""},
      {"pattern p : conv2d\n where mx(stride) == 1", "zpb01: unknown function \"mx\""},
      {"pattern p : conv2d\n becomes conv2 {clamp: relu}", "zpb01: unknown op \"conv2\""},
      {"pattern p : conv2d\n becomes conv2d {clmp: relu}", "zpb01: conv2d has no attribute \"clmp\""},
      {"pattern p : conv2d\n becomes conv2d with fold-bn", "zpb01: unknown action \"fold-bn\""},
      {"pattern p : conv2d\n before q", "zpb01: unknown pattern \"q\""},
      {"numerics { acumulate: i32 }",
       "zpb01: unknown key \"acumulate\" of numerics, did you mean \"accumulate\""},
      {"numerics { accumulate: i31 }", "zpb01: unknown word \"i31\" for accumulate"},
      {"config c { typs: t }", "zpb01: unknown key \"typs\" of config \"c\", did you mean \"types\""},
      {"pattern p : clamp {mn: 0}", "zpb01: clamp has no attribute \"mn\""},
      {"pattern p : conv2d\npattern p : linear", ":3:1: error: zpb02: pattern \"p\" repeats that of line 2"},
      {"pattern p : conv2d, relu\npattern q : conv2d, relu",
       ":3:1: error: zpb02: pattern \"q\" repeats \"p\" of line 2"},
      {"type t = u8[1:127]", ":2:10: error: zpb03: range 1:127 of u8 excludes 0"},
      {"type t = i8[7:-8]", "zpb03: range 7:-8 of i8 is empty"},
      {"type t = i8[-129:127]", "zpb03: range -129:127 of i8 is outside the type"},
      {"type t = f32 per-tensor", "zpb03: f32 is not a storage of quantized values"},
      {"pattern p : conv2d, relu\n types t\n types t { x: f32 w: f32 y: f32 z: f32 }",
       "zpb04: \"conv2d, relu\" has no operand \"z\""},
      {"pattern p : conv2d\n types t\n types t { x: f32 y: f32 }",
       "zpb04: types \"t\" say nothing of operand weight of conv2d"},
      {"pattern p : cat\n observe y like x\n observe x like y", "zpb05: y like x like y"},
      {"pattern p : cat\n observe y like z", "zpb05: y like z, which is no slot of \"cat\""},
      {"types t { x: f32 w: i8 b: i32 derived(x.scale * w.scale, 0) y: f32 }",
       "zpb06: x in slot \"b\" of types \"t\" is float and has no scale"},
      {"type t = u8 fixed(1/256, 0) scale >= 2^-7", "zpb07: fixed scale 1/256 is below 2^-7"},
      {"type t = u8 fixed(1/256, 300)", "zpb07: fixed zero point 300 is outside 0:255"},
      {"pattern p : conv2d, add", ":2:21: error: zpb08: add has two operands, write it as a graph"},
      {"kernel k { x: i8 }\n types t { x: i8 | u8 w: i8 y: i8 }\n pattern p : conv2d\n types t\n kernel k",
       "zpb10: k takes i8 x, types \"t\" allow u8"},
      {"kernel k { x: i8 }\n pattern p : conv2d\n kernel l", "zpb10: kernel \"l\" is missing"},
      {"pattern p : linear\n lower a.b { tensr x: x }",
       ":3:14: error: zpb01: unknown kind \"tensr\", did you mean \"tensor\""},
      {"pattern p : linear\n lower a.b { tensor x: pd(x, 4) }", "zpb01: unknown function \"pd\""},
      {"pattern p : linear\n lower a.b { tensor x: pad(x) }", "zpb01: pad takes 2 arguments, not 1"},
      {"pattern p : linear\n lower a.b { tensor x: x tensor x: w }", "zpb02: argument \"x\" is given twice"},
      {"pattern p : linear\n lower a.b { tensor x: result }", "zpb01: \"result\" is no slot"},
      {"pattern p : linear\n lower types t a.b { tensor x: x }",
       "zpb01: \"t\" is none of the types of pattern \"p\""},
      {"pattern p : linear\n lower a.b { tensor x: x } when gruops == 1", "zpb01: \"gruops\" is no slot"},
      {"predicate a = b\n predicate b = true", "predicate \"a\" uses \"b\", which is defined later"},
      {"pattern p { %c = conv2d(%x, %w) %y = relu(%d) %d = relu(%c) }", "zpb04"},
      {"pattern p { %c = conv2d(%x, %w) %y = relu(%z) }", "zpb04: %c is never used"},
      {"pattern p : [relu], [hardtanh]", "every step of \"p\" is optional"},
      {"pattern p : conv2d\n before q\npattern q : linear\n before p", "leads back to it"},
      {"class c = conv9d\npattern p : c, [relu]\n becomes root {clamp: of relu}",
       ":2:1: error: zpb01: unknown op \"conv9d\""},
      {"extends nothing", "unknown backend \"nothing\""},
      {"extends cpu except foo", "except \"foo\": cpu has no such item"},
  };
  for (const Broken& c : cases) {
    const std::string text = problems(std::string("backend t version 1\n") + c.text + "\n");
    EXPECT_NE(text.find(c.wanted), std::string::npos)
        << c.text << "\n  wanted: " << c.wanted << "\n  found: " << text;
  }
}

TEST(BackendReader, LowerClausesPrintAsTheyRead) {
  const std::string text =
      "backend t version 1\n types t { x: i8 w: i8 y: f32 }\n pattern p : linear\n types t\n lower types t "
      "a.b.c { tensor x: "
      "real(x) tensor? bias: pad(b, 4) int n: w.shape[0] text a: select(known(act_min), \"relu\", \"none\") "
      "} when x.rank == 2 then "
      "d.e { tensor y: result } when b.present\n";
  const auto first = read(text);
  ASSERT_NE(first, nullptr);
  const auto second = read(first->print());
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(first->print(), second->print());
  EXPECT_EQ(first->json(), second->json());
  ASSERT_EQ(second->patterns()[0].lowers.size(), 1u);
  EXPECT_EQ(second->patterns()[0].lowers[0].calls.size(), 2u);
}

// docs/backends holds the pages; `zp backend show NAME --markdown` writes them.
TEST(BackendReference, PagesAreUpToDate) {
  for (std::string_view name : Backend::builtin_names()) {
    const auto backend = Backend::load(name);
    ASSERT_TRUE(backend.ok());
    std::ifstream in(std::string(ZP_SOURCE_DIR) + "/docs/backends/" + std::string(name) + ".md",
                     std::ios::binary);
    std::ostringstream page;
    page << in.rdbuf();
    EXPECT_EQ(page.str(), backend::reference_page(**backend))
        << "write it again: zp backend show " << name << " --markdown > docs/backends/" << name << ".md";
  }
}

TEST(BackendReader, ReportsAllProblemsOfAFile) {
  const std::string text =
      problems("backend t version 1\n type a = u8[1:2]\n nonsense\n type b = u8[2:1]\n pattern p : conv9d\n");
  EXPECT_NE(text.find(":2:11"), std::string::npos) << text;
  EXPECT_NE(text.find(":3:2"), std::string::npos) << text;
  EXPECT_NE(text.find(":4:11"), std::string::npos) << text;
  EXPECT_NE(text.find(":5:14"), std::string::npos) << text;
}

TEST(BackendReader, PredicatesStaySmallWhenWrittenOut) {
  std::string text = "backend t version 1\n predicate p0 = groups == 1 and groups == 1\n";
  for (int i = 1; i < 40; ++i)
    text += " predicate p" + std::to_string(i) + " = p" + std::to_string(i - 1) + " and p" +
            std::to_string(i - 1) + "\n";
  EXPECT_NE(problems(text).find("parts written out"), std::string::npos);
}

TEST(BackendReader, ExtendsCopiesReplacesAndLeavesOut) {
  const auto b = read(
      "backend mine version 2\n extends cpu except embedding, softmax\n type act = i8 affine per-tensor\n");
  ASSERT_NE(b, nullptr);
  for (const auto& def : b->patterns()) {
    EXPECT_NE(def.pattern.name, "embedding");
    EXPECT_EQ(def.from, "cpu");
  }
  EXPECT_GT(b->patterns().size(), 5u);
  bool said = false;
  for (const Diagnostic& note : b->notes()) said = said || note.text == "type \"act\" replaces that of cpu";
  EXPECT_TRUE(said);
  EXPECT_TRUE(b->bias_form(*b->pattern_set().variants_of(0)[0].steps[0].ops[0]).integer);
}

TEST(BackendReader, NoTextMakesItFail) {
  // Every prefix and a few mutations of a large file end in a message, not in a crash.
  const std::string text(kExample);
  for (size_t n = 0; n < text.size(); n += 7) (void)Backend::parse(text.substr(0, n), "cut.zpb");
  for (size_t n = 0; n < text.size(); n += 11) {
    std::string changed = text;
    changed[n] = "(){}[]%:,|?=\"^/"[n % 15];
    (void)Backend::parse(changed, "changed.zpb");
  }
}

}  // namespace
}  // namespace zp
