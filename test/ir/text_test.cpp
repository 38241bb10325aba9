// The text form: what is printed reads back equal; what is wrong is refused at its place.
#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "ir/parser.h"
#include "ir/printer.h"
#include "ir/tensor.h"
#include "ir/verifier.h"
#include "test_ops.h"

namespace zp {
namespace {

// Parses, prints, parses and prints again; gives the first print.
std::string roundtrip(std::string_view text) {
  const auto first = parse_model(text, test::table());
  if (!first) return first.error().str();
  const std::string once = print(**first);
  const auto second = parse_model(once, test::table());
  if (!second) return once + "\nDOES NOT READ BACK: " + second.error().str();
  const std::string twice = print(**second);
  return once == twice ? once : once + "\nREADS BACK AS:\n" + twice;
}

// Text that is in canonical form already.
void expect_canonical(std::string_view text) { EXPECT_EQ(roundtrip(text), text); }

TEST(Text, Example) {
  expect_canonical(R"(zp 1
@w.scale = f32[2] [0.5,0.25]
@w = i8[2,3] [1,2,3,-127,0,127]
graph main(%x: u8(0.0235, 128)[1,3]) -> (%y) {
  %w = const @w : i8<-127:127>(axis 0: @w.scale)[2,3]
  %wf = dequantize(%w) : f32[2,3]
  %xf = dequantize(%x) : f32[1,3]
  %c = conv2d(%xf, %wf) {act_min: 0.0} : f32[1,3]
  %y = quantize(%c) : u8(0.05, 3)[1,3]
}
)");
}

TEST(Text, TypesMayBeLeftOutOrShort) {
  const std::string full = roundtrip(R"(zp 1
# A comment.
@w.scale = f32[2] [0.5, 0.25]   # and another
@w = i8[2,3] [1, 2, 3, -127, 0, 127]
#w = i8<-127:127>(axis 0: @w.scale)
graph main(%x: f32[1,3]) -> (%y) {
  %w = const @w : #w
  %wf = dequantize(%w)
  %c = conv2d(%x, %wf, _)
  %y = quantize(%c) : u8(0.05)
}
# ---- expected
anything at all
)");
  EXPECT_NE(full.find("%w = const @w : i8<-127:127>(axis 0: @w.scale)[2,3]\n"), std::string::npos) << full;
  EXPECT_NE(full.find("%c = conv2d(%x, %wf) : f32[1,3]\n"), std::string::npos) << full;
  EXPECT_NE(full.find("%y = quantize(%c) : u8(0.05, 0)[1,3]\n"), std::string::npos) << full;
}

TEST(Text, QuantizedTypes) {
  const char* types[] = {
      "u8(0.05, 128)",
      "i8(0.05, 0)",
      "i8<-127:127>(0.05, 0)",
      "u4(1e-05, 7)",
      "i2(1, -1)",
      "i8:f16(0.5, 0)",
      "i8<-127:127>:bf16(0.5:f16, 0)",
      "i8(axis 1: @s)",
      "i8(axis 0: @s, @z)",
      "i8(axis 0: @s:f64, @z)",
      "i8(axis 0: @h)",
      "i4<-7:7>(block [1,32]: @s, @z)",
      "u4(block [*,2]: @s, float @f)",
      "u8(dynamic)",
      "u8(dynamic axis 0)",
      "i8(dynamic block [1,*])",
      "i8(dynamic:f64 axis 0, none)",
      "i8(dynamic, float)",
      "f8e4m3(0.25, none)",
      "i8(axis 0: @s, none)",
      "i8(axis 0: @s, float)",
      "u8(0.5, float 3.25)",
      "i8(@s, @z)",
      "i16(0.1, 0)",
      "u16(0.1, 32768)",
      "i32(0.0011750000225380062, 0)",
  };
  for (const char* type : types) {
    const std::string text =
        std::string(
            "zp 1\n@s = f32[2] [0.5,0.25]\n@z = i8[2] [0,1]\n@f = f32[2] [0.5,1.5]\n@h = f16[2] [0.5,1]\n") +
        "graph main(%x: " + type + "[2,64]) -> (%x) {\n}\n";
    const std::string out = roundtrip(text);
    EXPECT_NE(out.find(std::string("%x: ") + type + "[2,64]"), std::string::npos) << out;
  }
}

TEST(Text, SharedQuantizationsGetAName) {
  expect_canonical(R"(zp 1
@s = f32[2] [0.5,0.25]
#q0 = i8(axis 0: @s)
graph main(%a: #q0[2,3], %b: #q0[2,4]) -> (%a, %b) {
}
)");
}

TEST(Text, SymbolsAndOtherKinds) {
  expect_canonical(R"(zp 1
sym s0 in 1..64 hint 8
sym s1
sym u0 in 0..100 unbacked
sym z in -5..5
sym w in ..
graph main(
    %x: f32[s0,2*s1+1,s0//2,s0%2],
    %t: token,
    %n: int,
    %v: f32[?,3],
    %r: f32[*],
    %m: int = s0+u0,
    %j: bool,
    %l: bool[2]) -> (%k, %t, _) {
  %k = size(%x) : int = s0
  %i = nonzero(%x) : i64[u0,4]
}
)");
}

TEST(Text, StateTokensAndMutation) {
  expect_canonical(R"(zp 1
@b = buffer f32[2] [0,0]
graph main(
    %x: f32[2],
    state %s = @b: f32[2],
    token %t: token) -> (%y, update %s: %n, mutate %x: %n, token %t) {
  %n = add(%s, %x) : f32[2]
  %y = relu(%n) : f32[2]
}
)");
}

TEST(Text, KindsOfConstants) {
  expect_canonical(R"(zp 1
@p = param grad f32[2] [0.1,-0]
@b = buffer bool[3] [true,false,true]
@t = transient f64[] 1.7976931348623157e+308
@l = literal i64[1] [3]
@"odd name" = i4[3] [-8,7,0]
@u = u2[5] [0,1,2,3,0]
@h = f16[3] [0.33325195,inf,nan]
@bf = bf16[2] [1.5,-inf]
@f8 = f8e4m3[2] [448,0.001953125]
@big = u64[1] [18446744073709551615]
@e = f32[0,3] []
@c = c64[1] base64 {
  AACAPwAAAEA=
}
@stripped = f32[1000,1000]
graph main() -> (%a, %b, %c, %d, %e, %f, %g, %h, %i, %j, %k, %l, %m) {
  %a = const @p : f32[2]
  %b = const @b : bool[3]
  %c = const @t : f64[]
  %d = const @l : i64[1]
  %e = const @"odd name" : i4[3]
  %f = const @u : u2[5]
  %g = const @h : f16[3]
  %h = const @bf : bf16[2]
  %i = const @f8 : f8e4m3[2]
  %j = const @big : u64[1]
  %k = const @e : f32[0,3]
  %l = const @c : c64[1]
  %m = const @stripped : f32[1000,1000]
}
)");
}

TEST(Text, LongDataAndRules) {
  const std::string out = roundtrip(R"(zp 1
@z = f32[10,10] zeros
@f = i4[67] fill -3
@r = i8[100] random 7
@g = f32[100] random 1 in -2..2
graph main() -> (%a, %b, %c, %d) {
  %a = const @z
  %b = const @f
  %c = const @r
  %d = const @g
}
)");
  EXPECT_NE(out.find("@z = f32[10,10] zeros\n"), std::string::npos) << out;
  EXPECT_NE(out.find("@r = i8[100] base64 {\n  "), std::string::npos) << out;
  const auto m =
      parse_model("zp 1\n@f = i4[3] fill -3\n@r = i8[4] random 7\ngraph main() -> () {\n}\n", test::table());
  ASSERT_TRUE(m.ok()) << m.error().str();
  const auto f = constant_tensor(*(*m)->context, *(*m)->context->find_constant("f"));
  ASSERT_TRUE(f.ok());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f->get_int(i), -3);
}

TEST(Text, NumbersStandWhereTheyAreUsed) {
  expect_canonical(R"(zp 1
graph main(%x: f32[2]) -> (%g) {
  %a = add(%x, 1.5) : f32[2]
  %b = add(%a, 3) : f32[2]
  %c = add(%b, true) : f32[2]
  %d = add(%c, -2.0:f64) : f32[2]
  %e = add(%d, inf) : f32[2]
  %f = add(%e, 7:i32) : f32[2]
  %g = add(%f, nan) : f32[2]
}
)");
  // A name that the parser would have given to a number goes to the value that was written with it.
  expect_canonical(R"(zp 1
graph main(%x: f32[2]) -> (%literal_1) {
  %a = add(%x, 1.5) : f32[2]
  %b = add(%x, 2.5) : f32[2]
  %literal = add(%a, %b) : f32[2]
  %literal_1 = relu(%literal) : f32[2]
}
)");
  // A literal that is an output is a node of its own.
  expect_canonical(R"(zp 1
@l = literal f32[] 1.5
graph main(%x: f32[2]) -> (%a, %c) {
  %c = const @l : f32[]
  %a = add(%x, %c) : f32[2]
}
)");
}

TEST(Text, EveryAttribute) {
  expect_canonical(R"(zp 1
sym s0
@s = f32[1] [0.5]
graph main(%x: f32[1]) -> (%b) {
  %a = everything(%x) {i: -3, f: 1e-05, b: true, s: "q\"uote\n\x01 ü", dtype: i4, n: 2.0, d: s0//2, ints: [1,-2], floats: [1.0,inf,nan], dims: [s0,-1,?], strings: ["a","b,c"], oi: 0, of: none, ob: false, od: bf16, on: true, odim: s0%3, odims: [], ofloats: [0.5], q: i8(axis 0: @s)} : f32[1]
  %b = everything(%a) : f32[1]
}
)");
}

TEST(Text, TypeAttribute) {
  expect_canonical(R"(zp 1
graph main(%x: f32[2], %i: i8[2]) -> (%f, %p, %q) {
  %f = fake_quantize(%x) {type: u8(0.5, 3)} : f32[2]
  %q = quantize(%x) : u8(0.5, 3)[2]
  %p = storage_cast(%q) : u8[2]
  %r = storage_cast(%i) : i8(0.25, 0)[2]
}
)");
}

TEST(Text, ResultsRegionsOpaque) {
  expect_canonical(R"(zp 1
graph "odd graph"(%x: f32[5], %p: bool[]) -> (%r, %o, %r.1) {
  %a, %a.1 = split(%x) {sizes: [2,3]} : (f32[2], f32[3])
  %c, %a.2, %a.3 = split(%x) {sizes: [2,2,1]} : (f32[2], f32[2], f32[1])
  %r, %r.1 = cond(%p, %a, %a.1) : (f32[2], f32[3])
    region then(%u: f32[2], %v: f32[3]) -> (%u, %w) {
      %w = relu(%v) : f32[3]
    }
    region (%u: f32[2], %v: f32[3]) -> (%y, %v) {
      %y = add(%u, 1.0) : f32[2]
    }
  %o = opaque "torch.ops.my.op.default"(%a, _, 2) {payload: "{\"k\": 1}"} : f32[2,2]
  opaque "log"(%o) {effect: true}
  opaque "log"(%o) {effect: true} as %"the end"
  assert(%p)
  %"odd/name: 1" = cat(%a, _, %a) : f32[2]
}
)");
}

TEST(Text, LongSignaturesBreak) {
  std::string inputs, outputs;
  for (int i = 0; i < 12; ++i) {
    inputs += std::string(i ? "," : "") + "\n    %input_" + std::to_string(i) + ": f32[1,3,224,224]";
    outputs += std::string(i ? "," : "") + "\n    %input_with_a_long_name_" + std::to_string(i);
  }
  const std::string text = "zp 1\ngraph main(" + inputs + ") -> (%input_0, %input_1) {\n}\n";
  expect_canonical(text);
}

TEST(Text, OptionsOfThePrinter) {
  const auto m = parse_model(
      "zp 1\n@w = f32[2] [1,2]\n@l = i8[70] random 3\ngraph main() -> (%w, %l) {\n  %w = const @w\n  %l = "
      "const @l\n}\n",
      test::table());
  ASSERT_TRUE(m.ok());
  EXPECT_NE(print(**m, {.constants = false}).find("@w = f32[2]\n"), std::string::npos);
  EXPECT_NE(print(**m, {.inline_limit = 1}).find("@w = f32[2] base64 {\n  AACAPwAAAEA=\n}\n"),
            std::string::npos);
  EXPECT_NE(print(**m, {.digests = true}).find("@l = i8[70]  # 70 bytes, sha256 "), std::string::npos);
  EXPECT_NE(print(**m, {.origins = true}).find("%w = const @w : f32[2]  # w\n"), std::string::npos);
  EXPECT_EQ(print(*(*m)->graph->first_node()), "%w = const @w : f32[2]");
}

struct Mistake {
  const char* text;     // of the graph, or of a whole file if it starts with "zp" or "!"
  const char* message;  // LINE:COLUMN: error: ...
};

std::string whole(const char* text) {
  if (text[0] == '!') return text + 1;
  const std::string t(text);
  if (t.rfind("zp", 0) == 0) return t;
  return "zp 1\nsym s0\n@w = i8[2] [1,2]\n@s = f32[2] [0.5,0.25]\n#w = i8(axis 0: @s)\ngraph main(%x: "
         "f32[2], %xq: u8(0.5, 3)[2]) -> (%x) {\n" +
         t + "\n}\n";
}

TEST(TextErrors, AreAtTheirPlace) {
  const Mistake mistakes[] = {
      {"!", "1:1: error: wanted the header 'zp 1', found the end of the text"},
      {"!graph", "1:1: error: wanted the header 'zp 1', found 'graph'"},
      {"zp 2", "1:4: error: version 2 of the text form is not known; this reader knows 1"},
      {"zp 1\n",
       "2:1: error: wanted a declaration (sym, @constant, #type) or graph, found the end of the text"},
      {"zp 1\ngrahp main() -> () {}",
       "2:1: error: wanted a declaration (sym, @constant, #type) or graph, found 'grahp'; did you mean "
       "'graph'?"},
      {"zp 1\nsym s0 in 5..2", "2:5: error: empty range 5..2"},
      {"zp 1\nsym s0\nsym s0", "3:5: error: symbol 's0' is declared twice"},
      {"zp 1\n@a = f33[2] [1,2]", "2:6: error: unknown dtype 'f33'; did you mean 'f32'?"},
      {"zp 1\n@a = f32[2] [1,2,3]", "2:18: error: more than the 2 numbers the type needs"},
      {"zp 1\n@a = f32[2] [1]", "2:13: error: 1 numbers, the type needs 2"},
      {"zp 1\n@a = i8[1] [128]", "2:13: error: '128' does not fit in i8"},
      {"zp 1\n@a = i8[1] [1.5]", "2:13: error: wanted an integer for i8, found '1.5'"},
      {"zp 1\n@a = f32[1] [1e39]", "2:14: error: '1e39' does not fit in f32"},
      {"zp 1\n@a = f16[1] [70000]", "2:14: error: '70000' does not fit in f16"},
      {"zp 1\n@a = f32[1] [12abc]", "2:14: error: '12abc' is not a number"},
      {"zp 1\n@a = f32[2] base64 {AAAA}", "2:13: error: 3 bytes of data, the type needs 8"},
      {"zp 1\n@a = f32[2] base64 {A?}", "2:13: error: the text in braces is not base64"},
      {"zp 1\n@a = f32[2] base64 {AAAA",
       "2:25: error: wanted '}' after the base64 text, found the end of the text"},
      {"zp 1\n@a = f32[99999999999999] zeros",
       "2:26: error: 399999999999996 bytes by rule are more than 268435456"},
      {"zp 1\n@a = f32[9999999999,9999999999] zeros", "2:1: error: the constant has too many elements"},
      {"zp 1\n@a = f32[?] zeros", "2:1: error: the shape of a constant is made of numbers"},
      {"zp 1\n@a = f32[] 1\n@a = f32[] 1", "3:1: error: constant '@a' is declared twice"},
      {"zp 1\n#q = f32(0.5)", "2:9: error: f32 cannot hold quantized values"},
      {"zp 1\n#q = i8<5:2>(0.5)", "2:9: error: empty range 5:2"},
      {"zp 1\n#q = i8(axis 0: 0.5)",
       "2:17: error: wanted the constant that holds the scales (@name), found '0.5'"},
      {"zp 1\n#q = i8(0.5, 1.5)",
       "2:14: error: zero point 1.5 is no integer; write `float 1.5` if it is a real number"},
      {"zp 1\n#q = i8(axis 0: @s)", "2:17: error: constant '@s' is not declared"},
      {"zp 1\n#q = i8(block [0]: @s)", "2:16: error: block extent 0 is not positive"},
      {"zp 1\ngraph main(%x: f32) -> (%x) {}",
       "2:16: error: the type of an input needs a shape, as in f32[*]"},
      {"zp 1\ngraph main(%x: f32[-1]) -> (%x) {}", "2:20: error: dimension -1 is negative"},
      {"zp 1\ngraph main(%x: f32[s0]) -> (%x) {}",
       "2:20: error: symbol 's0' is not declared (as in `sym s0 in 1..64`)"},
      {"zp 1\ngraph main(%x: f32[2], %x: f32[2]) -> (%x) {}", "2:24: error: value '%x' is defined twice"},
      {"zp 1\ngraph main(%x: f32[2]) -> (%y) {}", "2:28: error: output '%y' is not defined in this graph"},
      {"zp 1\ngraph main(%x: f32[2]) -> (update %x: %x) {}", "2:35: error: '%x' is no state input"},
      {"zp 1\ngraph main(state %x: f32[2]) -> (mutate %x: %x) {}", "2:41: error: '%x' is not a user input"},
      {"zp 1\ngraph main(%x: f32[2]) -> (%x) {} more",
       "2:35: error: wanted the end of the text after the graph, found 'more'"},
      {"zp 1\ngraph main(%x: f32[2]) -> (%x) {",
       "2:33: error: wanted a node or '}', found the end of the text"},
      {"  %y = reul(%x)", "7:8: error: unknown op 'reul'; did you mean 'relu'?"},
      {"  %y = relu(%z)", "7:13: error: value '%z' is not defined before this place; did you mean 'x'?"},
      {"  %y = relu(%later)\n  %later = relu(%x)",
       "7:13: error: value '%later' is not defined before this place"},
      {"  %y = relu(%x, %x)", "7:8: error: relu takes at most 1 operands (x), found 2"},
      {"  %y = conv2d(%x)",
       "7:8: error: operand 1 (weight) of conv2d is missing; its operands: input, weight, bias?"},
      {"  %y = conv2d(%x, %x) {actmin: 0}",
       "7:24: error: conv2d has no attribute 'actmin'; did you mean 'act_min'?"},
      {"  %y = relu(%x) {foo: 0}", "7:18: error: relu has no attribute 'foo'; it has none"},
      {"  %y = conv2d(%x, %x) {act_min: 0, act_min: 1}", "7:36: error: attribute 'act_min' is given twice"},
      {"  %y = conv2d(%x, %x) {act_min: yes}", "7:33: error: wanted a number, found 'yes'"},
      {"  %x = relu(%x)", "7:3: error: value '%x' is defined twice"},
      {"  %y = relu(%x) : f32[3]", "7:19: error: type: '%y' is inferred as f32[2], the text says f32[3]"},
      {"  %y = relu(%x) : i8", "7:19: error: type: '%y' is inferred as f32[2], the text says i8[*]"},
      {"  %y = relu(%x) : #v", "7:19: error: type '#v' is not declared; did you mean 'w'?"},
      {"  %y = const @v", "7:14: error: constant '@v' is not declared; did you mean 'w'?"},
      {"  %y = const @w : u8(0.5, 0)",
       "7:19: error: type: the constant is i8[2], the text says u8(0.5, 0)[*]"},
      {"  %y = opaque \"f\"(%x)",
       "7:8: error: the types of the results of opaque cannot be inferred: write them after ':'"},
      {"  %y = opaque \"f\"(%x) : f32", "7:25: error: the type needs a shape, as it cannot be inferred"},
      {"  %y, %z = relu(%x)", "7:3: error: relu has 1 result, found 2 names"},
      {"  relu(%x)", "7:3: error: relu has 1 result, found 0 names"},
      {"  %a, %a = split(%x) {sizes: [1,1]}", "7:7: error: value '%a' is defined twice"},
      {"  %a, %b = split(%x) {sizes: [1,1]} : (f32[1])", "7:39: error: 1 types for 2 results"},
      {"  %a, %b = split(%x) {sizes: [1]}", "7:3: node 'a': error: split.c1: 1 sizes"},
      {"  %y = dequantize(%x)", "7:3: node 'y': error: dequantize.c1: the operand is f32[2], not quantized"},
      {"  %y = add(%x, 1e300)", "7:16: error: '1e300' does not fit in f32"},
      {"  %y = add(%x, foo)", "7:16: error: wanted an operand (%name, a number, or _), found 'foo'"},
      {"  %y = relu(%x", "8:1: error: wanted ',', found '}'"},
      {"  %\"y = relu(%x)", "7:4: error: the text that starts here has no closing quote on its line"},
      {"  %y = cond(%x) : f32[2]\n  region (%u: f32[2]) -> (%u) {\n    %v = relu(%x)\n  }",
       "9:15: error: value '%x' is not defined before this place in this region (what it uses from outside "
       "are its inputs); did you mean 'u'?"},
      {"  %y = everything(%x) {s: \"\\q\"}",
       "7:27: error: unknown escape in a text; known: \\\" \\\\ \\n \\t \\r \\xHH"},
  };
  for (const Mistake& m : mistakes) {
    const auto r = parse_model(whole(m.text), test::table(), "f.zp");
    ASSERT_FALSE(r.ok()) << m.text;
    EXPECT_EQ(r.error().str(), std::string("f.zp:") + m.message) << m.text;
  }
}

TEST(TextErrors, DeepTextIsRefused) {
  std::string text = "zp 1\ngraph main(%x: f32[2]) -> (%x) {\n";
  for (int i = 0; i < 100000; ++i) text += "%y = cond(%x) : f32[2] region (%x: f32[2]) -> (%x) {\n";
  const auto r = parse_model(text, test::table());
  ASSERT_FALSE(r.ok());
  EXPECT_NE(r.error().str().find("nested deeper"), std::string::npos) << r.error().str().substr(0, 200);
}

// Any damage to a valid text gives a model or an error, never a crash; what parses prints and reads back.
TEST(TextProperty, DamagedTextNeverCrashes) {
  const std::string good = R"(zp 1
sym s0 in 1..64
@w.scale = f32[2] [0.5,0.25]
@w = i8[2,3] [1,2,3,-127,0,127]
@b = f32[4] base64 {
  AACAPwAAgD8AAIA/AACAPw==
}
#w = i8<-127:127>(axis 0: @w.scale)
graph main(%x: f32[s0,3], state %st = @b: f32[4], %q: u8(dynamic axis 0)[2]) -> (%y, update %st: %st) {
  %w = const @w : #w[2,3]
  %wf = dequantize(%w) : f32[2,3]
  %c = conv2d(%x, %wf, _) {act_min: 0.0, act_max: 6.5} : f32[s0,3]
  %e = everything(%c) {dims: [s0//2,min(s0,3)], s: "a\x41"} : f32[s0,3]
  %y = quantize(%e) : u8(0.05, 3)[s0,3]
  %r = cond(%x) : f32[s0,3]
    region (%u: f32[s0,3]) -> (%u) {
      %z = add(%u, 1.5:f64) : f32[s0,3]
    }
    region (%u: f32[s0,3]) -> (%u) {
    }
}
)";
  ASSERT_TRUE(parse_model(good, test::table()).ok()) << parse_model(good, test::table()).error().str();
  std::mt19937 rng(3);
  int parsed = 0;
  for (int round = 0; round < 40000; ++round) {
    std::string text = good;
    for (unsigned n = 1 + rng() % 3; n > 0; --n) {
      const size_t at = rng() % text.size();
      switch (rng() % 5) {
        case 0: text.erase(at, 1 + rng() % 5); break;
        case 1: text.insert(at, 1, "%@#(){}[]<>:,=\"-+*/.0x9aes\n\0"[rng() % 28]); break;
        case 2: text[at] = static_cast<char>(rng()); break;
        case 3: text.resize(at); break;
        default: text.insert(at, text.substr(rng() % text.size(), rng() % 30)); break;
      }
      if (text.empty()) text = "z";
    }
    const auto m = parse_model(text, test::table());
    if (!m) {
      ASSERT_GT(m.error().first().where.line, 0u) << text;
      continue;
    }
    ++parsed;
    (void)verify(**m);
    const std::string once = print(**m);
    const auto again = parse_model(once, test::table());
    ASSERT_TRUE(again.ok()) << text << "\n-- printed --\n" << once << again.error().str();
    ASSERT_EQ(print(**again), once) << text;
  }
  EXPECT_GT(parsed, 400);
}

// Graphs made by the API, with everything the text form knows, in random combination.
class RandomModel {
 public:
  explicit RandomModel(uint32_t seed) : rng_(seed) {}

  std::unique_ptr<Model> make() {
    auto m = std::make_unique<Model>();
    ctx_ = m->context.get();
    for (int i = 0; i < 3; ++i)
      ctx_->dims().symbol("s" + std::to_string(i), {pick(3), chance(2) ? 64 + pick(9) : kDimUnbounded});
    for (int i = 0; i < 6; ++i) constant();
    Graph& g = *m->graph;
    if (chance(3)) g.set_name(name());
    std::vector<Value*> values;
    for (int i = 0; i < 1 + pick(4); ++i) {
      InputInfo info;
      const Type* t = type();
      if (chance(4)) {
        info.kind = InputInfo::State;
        if (chance(2)) info.initial = any_constant();
      }
      values.push_back(g.add_input(name(), t));
      m->inputs.push_back(info);
    }
    fill(g, values, 12, 0);
    std::vector<Value*> outputs;
    for (int i = 0; i < pick(4); ++i) {
      OutputInfo info;
      const size_t target = static_cast<size_t>(pick(static_cast<int>(m->inputs.size())));
      if (chance(3))
        info = {
            m->inputs[target].kind == InputInfo::State ? OutputInfo::StateUpdate : OutputInfo::InputMutation,
            static_cast<int64_t>(target)};
      outputs.push_back(chance(8) ? nullptr : any(values));
      m->outputs.push_back(info);
    }
    g.set_outputs(outputs);
    return m;
  }

 private:
  int pick(int n) { return static_cast<int>(rng_() % static_cast<unsigned>(n)); }
  bool chance(int n) { return pick(n) == 0; }
  template <typename T>
  T any(const std::vector<T>& v) {
    return v[rng_() % v.size()];
  }
  double real() {
    const uint64_t bits = (uint64_t{rng_()} << 32) | rng_();
    const double values[] = {0.5,
                             -1,
                             1e-300,
                             3,
                             0.1,
                             -0.0,
                             std::numeric_limits<double>::infinity(),
                             std::bit_cast<double>(bits & ~(uint64_t{1} << 62))};
    return values[pick(8)];
  }
  std::string name() {
    const std::string names[] = {"x",        "y_1", "a.b",   "odd name", "literal", "\"q\"", "new\nline",
                                 "\xff\xfe", "ü",   "const", "region",   "1",       "%x",    "x_1"};
    return names[pick(14)] + (chance(2) ? std::to_string(pick(5)) : "");
  }
  Dim dim() {
    DimContext& d = ctx_->dims();
    const Dim s = d.symbol("s" + std::to_string(pick(3))), t = d.symbol("s" + std::to_string(pick(3)));
    const Dim forms[] = {Dim(pick(5)),
                         Dim::unknown(),
                         s,
                         d.floordiv(s, Dim(1 + pick(5))),
                         d.mod(t, Dim(1 + pick(5))),
                         d.mul(s, t),
                         d.add(d.mul(Dim(2), s), Dim(1)),
                         d.min(s, t),
                         d.max(d.sub(s, Dim(3)), Dim(0))};
    return forms[pick(9)];
  }
  const Constant* any_constant() { return ctx_->constants()[rng_() % ctx_->constants().size()]; }
  const Constant* constant() {
    Constant c;
    const std::string n = name();
    c.name = n;
    c.kind = static_cast<ConstantKind>(pick(5));
    c.dtype = static_cast<DType>(1 + pick(kDTypeCount - 1));
    std::vector<int64_t> shape;
    for (int i = pick(3); i > 0; --i) shape.push_back(pick(5));
    c.shape = List<int64_t>(shape.data(), shape.size());
    c.requires_grad = chance(4);
    c.stripped = chance(8);
    std::vector<std::byte> bytes(static_cast<size_t>(c.bytes()));
    for (auto& b : bytes) b = chance(3) ? std::byte{0} : static_cast<std::byte>(rng_());
    const int used = bits_of(c.dtype) < 8 ? static_cast<int>(c.elements() * bits_of(c.dtype) % 8) : 0;
    if (used != 0) bytes.back() &= static_cast<std::byte>((1 << used) - 1);
    if (c.dtype == DType::Bool)
      for (auto& b : bytes) b &= std::byte{1};
    if (!c.stripped) c.storage = Blob::copy_of(bytes);
    return ctx_->add_constant(std::move(c));
  }
  const QuantType* quant() {
    QuantType q;
    const DType storages[] = {DType::I2, DType::U4, DType::I8, DType::U8, DType::I16, DType::I32};
    q.storage = storages[pick(6)];
    q.qmin = int_min(q.storage) + pick(2);
    q.qmax = int_max(q.storage) - pick(2);
    if (chance(4)) q.expressed = chance(2) ? DType::F16 : DType::F64;
    if (chance(4)) q.scale_dtype = chance(2) ? DType::BF16 : DType::F64;
    q.domain = static_cast<ZeroPointDomain>(pick(3));
    q.dynamic = chance(4);
    const int64_t block[] = {pick(3), 32};
    if (chance(3)) q.axis = pick(3);
    else if (chance(2)) q.block = List<int64_t>(block);
    if (!q.dynamic) {
      if (!q.per_tensor() || chance(4)) {
        q.scales = any_constant();
        if (chance(2)) q.scale_dtype = q.scales->dtype;
        if (q.domain != ZeroPointDomain::None && chance(2)) q.zero_points = any_constant();
      } else {
        q.scale = real();
        if (q.domain == ZeroPointDomain::Integer) q.zero_point = pick(300) - 128;
        if (q.domain == ZeroPointDomain::Float) q.zero_point = real();
      }
    }
    return ctx_->quant(q);
  }
  const Type* type() {
    Type t;
    std::vector<Dim> dims;
    for (int i = pick(4); i > 0; --i) dims.push_back(dim());
    t.shape = Shape(dims.data(), dims.size());
    if (chance(8)) t.ranked = false, t.shape = {};
    t.dtype = static_cast<DType>(pick(kDTypeCount));
    if (chance(2)) t.quant = quant(), t.dtype = t.quant->storage;
    if (chance(10)) {
      t = {};
      t.kind = static_cast<TypeKind>(1 + pick(6));
      if (t.kind == TypeKind::Int && chance(2)) t.value = dim();
    }
    return ctx_->type(t);
  }
  template <typename T, typename F>
  List<T> list(F&& make) {
    std::vector<T> items;
    for (int i = pick(3); i > 0; --i) items.push_back(make());
    return ctx_->arena().copy(items);
  }
  test::EverythingAttrs everything() {
    test::EverythingAttrs a;
    const auto integer = [&] { return static_cast<int64_t>(rng_()) - pick(1000000); };
    const auto text = [&] { return ctx_->text(name()); };
    const auto number = [&] {
      return chance(3)   ? Number::of_bool(chance(2))
             : chance(2) ? Number::of_int(integer())
                         : Number::of_float(real());
    };
    if (chance(2)) a.i = integer();
    if (chance(2)) a.f = real();
    a.b = chance(2);
    if (chance(2)) a.s = text();
    if (chance(2)) a.dtype = static_cast<DType>(pick(kDTypeCount));
    if (chance(2)) a.n = number();
    if (chance(2)) a.d = dim();
    a.ints = list<int64_t>(integer);
    a.floats = list<double>([&] { return real(); });
    a.dims = list<Dim>([&] { return dim(); });
    a.strings = list<std::string_view>(text);
    if (chance(2)) a.oi = integer();
    if (chance(2)) a.of = chance(2) ? std::optional(real()) : std::nullopt;
    if (chance(2)) a.ob = chance(2);
    if (chance(2)) a.od = static_cast<DType>(pick(kDTypeCount));
    if (chance(2)) a.on = number();
    if (chance(2)) a.odim = dim();
    if (chance(2)) a.odims = list<Dim>([&] { return dim(); });
    if (chance(2)) a.ofloats = list<double>([&] { return real(); });
    if (chance(2)) a.q = quant();
    return a;
  }
  void fill(Graph& g, std::vector<Value*>& values, int count, int depth) {
    for (int i = 0; i < count; ++i) {
      const std::string wish = name();
      NodeSpec spec;
      spec.name = wish;
      std::vector<Value*> operands = {any(values)};
      test::EverythingAttrs attrs;
      OpaqueAttrs opaque;
      switch (pick(5)) {
        case 0: {
          const Constant* c = any_constant();
          Value* v = g.add_const(*c, wish);
          if (chance(3)) {
            QuantType q = *quant();
            q.storage = c->dtype;
            if (is_integer(c->dtype))
              q.qmin = int_min(c->dtype), q.qmax = int_max(c->dtype),
              v->set_type(ctx_->with_quant(v->type(), q));
          }
          values.push_back(v);
          continue;
        }
        case 1:
          spec.op = &kOpaqueOp;
          opaque = {ctx_->text(name()), ctx_->text(name()), chance(2)};
          spec.attrs = &opaque;
          spec.results = static_cast<size_t>(pick(4));
          operands.push_back(nullptr);
          operands.push_back(any(values));
          break;
        case 2:
          if (depth < 2) {
            spec.op = &test::cond;
            spec.results = 0;
            break;
          }
          [[fallthrough]];
        case 3: spec.op = &test::identity; break;
        default:
          spec.op = &test::everything;
          attrs = everything();
          spec.attrs = &attrs;
          break;
      }
      spec.operands = operands;
      Node* n = g.create(spec);
      if (spec.op == &test::cond) {
        for (int r = 0; r < 2; ++r) {
          Graph* region = n->add_region();
          if (chance(2)) region->set_name(name());
          std::vector<Value*> inner = {region->add_input(name(), type())};
          fill(*region, inner, 3, depth + 1);
          region->set_outputs({});
        }
      }
      for (size_t k = 0; k < n->result_count(); ++k) {
        if (n->is(kOpaqueOp)) n->result(k)->set_type(type());
        values.push_back(n->result(k));
      }
      EXPECT_TRUE(n->infer().ok());
    }
  }

  std::mt19937 rng_;
  Context* ctx_ = nullptr;
};

TEST(TextProperty, RandomModelsReadBackEqual) {
  for (uint32_t seed = 0; seed < 600; ++seed) {
    const std::unique_ptr<Model> m = RandomModel(seed).make();
    const std::string once = print(*m);
    const auto again = parse_model(once, test::table());
    ASSERT_TRUE(again.ok()) << "seed " << seed << "\n" << once << again.error().str();
    ASSERT_EQ(print(**again), once) << "seed " << seed;
  }
}

}  // namespace
}  // namespace zp
