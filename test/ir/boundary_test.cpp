// boundary.1: what mixes quantized and plain values is named, with the route by which it came about and the
// bridge that repairs it; the bridge does repair it; what a card has a form for is left alone.
#include <gtest/gtest.h>

#include "ir/parser.h"
#include "ir/verifier.h"
#include "test_ops.h"

namespace zp {
namespace {

constexpr char kDeclarations[] = R"(zp 1
@w = i8[4,2] [1,2,3,4,5,6,7,8]
@b = f32[4] zeros
@i = i32[4] zeros
@half = f32[1,1] [0.5]
@pad = f32[1,2] zeros
)";
constexpr char kInputs[] = "%x: f32[1,2], %q: u8(0.5, 3)[1,2], %h: i16(0.25, 0)[1,2]";

std::unique_ptr<Model> model_of(const std::string& nodes) {
  auto m = parse_model(std::string(kDeclarations) + "graph main(" + kInputs + ") -> () {\n" + nodes + "}\n",
                       test::table(), "f.zp");
  EXPECT_TRUE(m.ok()) << (m.ok() ? "" : m.error().str());
  return m.ok() ? std::move(*m) : std::make_unique<Model>();
}

std::string problems(const std::string& nodes) {
  const auto m = model_of(nodes);
  std::string out;
  for (const Diagnostic& d : check_boundary(*m)) out += d.id + ": " + d.text + "\n";
  return out;
}

void expect_route(const std::string& nodes, const std::string& route, const std::string& bridge,
                  const std::string& repaired) {
  const std::string found = problems(nodes);
  EXPECT_NE(found.find("route " + route + ":"), std::string::npos) << found;
  EXPECT_NE(found.find("to repair it, " + bridge), std::string::npos) << found;
  EXPECT_EQ(std::count(found.begin(), found.end(), '\n'), 1) << found;
  EXPECT_EQ(problems(repaired), "");
}

TEST(Boundary, TakenApartAfterParametersWereGiven) {  // R1
  expect_route("%a = add(%q, %q) : u8(0.5, 3)\n%y = softmax(%a)\n", "R1", "put a dequantize before %a",
               "%a = add(%q, %q) : u8(0.5, 3)\n%f = dequantize(%a)\n%y = softmax(%f)\n");
  // A result that nobody's form can give.
  expect_route("%d = dequantize(%q)\n%y = add(%d, %d) : u8(0.5, 3)\n", "R1",
               "put a quantize behind %y instead of on it",
               "%d = dequantize(%q)\n%a = add(%d, %d)\n%y = quantize(%a) : u8(0.5, 3)\n");
}

TEST(Boundary, AConstantLostItsDequantize) {  // R2
  expect_route("%w = const @w : i8(0.1, 0)\n%y = softmax(%w)\n", "R2", "put a dequantize before %w",
               "%w = const @w : i8(0.1, 0)\n%f = dequantize(%w)\n%y = softmax(%f)\n");
}

TEST(Boundary, OneReaderWantsIntegersAnotherRealNumbers) {  // R3
  const std::string both = "%a = add(%q, %q) : u8(0.5, 3)\n%r = relu(%a) : u8(0.5, 3)\n";
  expect_route(both + "%y = softmax(%a)\n", "R3", "put a dequantize before %a for this reader",
               both + "%f = dequantize(%a)\n%y = softmax(%f)\n");
}

TEST(Boundary, ParametersAreNotPassedOn) {  // R4
  expect_route("%y = cat(%q, %q)\n", "R4", "give its result u8(0.5, 3), or put a dequantize before %q",
               "%d = dequantize(%q)\n%y = cat(%d, %d)\n");
  expect_route("%y = relu(%q)\n", "R4", "give its result u8(0.5, 3)", "%y = relu(%q) : u8(0.5, 3)\n");
}

TEST(Boundary, ABiasOfIntegersWithoutAProductOfIntegers) {  // R5
  const std::string weight = "%w = const @w : i8(0.1, 0)\n%b = const @i : i32(0.05, 0)\n";
  expect_route(weight + "%y = conv2d(%x, %w, %b)\n", "R5", "put a dequantize before %b",
               weight + "%f = dequantize(%b)\n%y = conv2d(%x, %w, %f)\n");
}

TEST(Boundary, AConstantThatARewritePutIn) {  // R6
  const std::string constant = "%p = const @pad\n";
  expect_route(constant + "%y = cat(%q, %p)\n", "R6",
               "quantize %p to u8(0.5, 3), or put a dequantize before %q",
               constant + "%d = dequantize(%q)\n%y = cat(%d, %p)\n");
}

TEST(Boundary, ANumberBesideIntegers) {  // R7
  const std::string number = "%half = const @half\n";
  expect_route(number + "%y = cat(%q, %half)\n", "R7",
               "quantize %half to u8(0.5, 3), or put a dequantize before %q",
               number + "%d = dequantize(%q)\n%y = cat(%d, %half)\n");
  // An integer operator takes a number as part of itself.
  EXPECT_EQ(problems("%y = add(%q, 2.5) : u8(0.5, 3)\n"), "");
}

TEST(Boundary, TwoStorages) {  // R8
  expect_route("%y = cat(%q, %h)\n", "R8", "put a dequantize and a quantize to u8(0.5, 3) before %h",
               "%d = dequantize(%h)\n%e = quantize(%d) : u8(0.5, 3)\n%a = dequantize(%q)\n%c = "
               "dequantize(%e)\n%y = cat(%a, %c)\n");
}

TEST(Boundary, InputsOfTheGraph) {  // R9
  expect_route("%y = add(%q, %x) : u8(0.5, 3)\n", "R9", "put a quantize behind the input %x",
               "%k = quantize(%x) : u8(0.5, 3)\n%y = add(%q, %k) : u8(0.5, 3)\n");
  expect_route("%y = softmax(%q)\n", "R9", "put a dequantize behind the input %q",
               "%d = dequantize(%q)\n%y = softmax(%d)\n");
}

TEST(Boundary, FormsOfCardsAreLeftAlone) {
  EXPECT_EQ(problems("%w = const @w : i8(0.1, 0)\n%b = const @b\n%i = const @i : i32(0.05, 0)\n"
                     "%1 = conv2d(%q, %w, %b) : u8(0.5, 3)\n%2 = conv2d(%q, %w, %i) : u8(0.5, 3)\n"
                     "%3 = conv2d(%q, %w)\n%4 = conv2d(%x, %w, %b)\n%5 = conv2d(%x, %x)\n"
                     "%6 = add(%q, %h) : u8(0.5, 3)\n%7 = add(%q, %q)\n%8 = identity(%q)\n%9 = size(%q)\n"
                     "%10 = opaque \"f\"(%x) : f32[2]\n"),
            "");
  EXPECT_NE(problems("%y = opaque \"ns.op\"(%q) : u8[2]\n").find("ns.op has no form for quantized values"),
            std::string::npos);
}

TEST(Boundary, TheMessageNamesTheModule) {
  const auto m = model_of("%y = identity(%q)\n");
  static const Origin origin{
      .name = "softmax_3", .target = "aten.softmax.int", .module = "blocks.2.attention"};
  const Origin* origins[] = {&origin};
  Value* operands[] = {m->graph->find("y")};
  Node* node =
      m->graph->create({.op = &test::softmax, .operands = operands, .name = "z", .origins = origins});
  ASSERT_TRUE(node->infer().ok());
  const std::vector<Diagnostic> found = check_boundary(*m);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(
      found[0].str(),
      "f.zp: node 'softmax_3' (blocks.2.attention): error: boundary.1: softmax has no form for quantized "
      "values: quantized: operand 0 (x) %y is u8(0.5, 3)[1,2]; plain: result %z is f32[1,2]; route R1: an "
      "operator was taken apart, or put in, after parameters were given; to repair it, put a dequantize "
      "before %y");
}

TEST(Boundary, RegionsAndTheLimit) {
  const auto m = model_of(
      "%r = cond(%x, %q)\n  region (%u: u8(0.5, 3)[1,2]) -> (%v) {\n    %v = softmax(%u)\n  }\n"
      "  region (%u: u8(0.5, 3)[1,2]) -> (%v) {\n    %v = softmax(%u)\n  }\n");
  EXPECT_EQ(check_boundary(*m).size(), 2u);
  EXPECT_EQ(check_boundary(*m, 1).size(), 1u);
}

}  // namespace
}  // namespace zp
