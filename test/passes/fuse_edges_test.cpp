// Edges that fusers of the field get wrong, as whole graphs for the vulkan backend; the bounds of single
// conditions are swept in fuse_sweep_test.cpp, layouts are in layout_test.cpp.
#include "fuse_util.h"
#include "passes/qat/qat.h"

namespace zp {
namespace {

using namespace test;

const Backend& vulkan() {
  static const std::unique_ptr<Backend> backend = std::move(*Backend::load("vulkan"));
  return *backend;
}

std::string weight(const std::string& name, int out, int in, int seed) {
  return "@" + name + " = i8[" + std::to_string(out) + "," + std::to_string(in) + "] [" +
         numbers(out * in, seed) + "]\n@" + name + "s = f32[" + std::to_string(out) + "] [" + scales(out) +
         "]\n";
}
std::string weight_lines(const std::string& name, int out, int in) {
  return "  %" + name + " = const @" + name + " : i8<-127:127>(axis 0: @" + name + "s)[" +
         std::to_string(out) + "," + std::to_string(in) + "]\n  %" + name + "d = dequantize(%" + name + ")\n";
}
size_t rewrites(const Fused& f, std::string_view pattern) {
  size_t count = 0;
  for (const RewriteRecord& r : f.records.rewrites) count += r.pattern == pattern;
  return count;
}

// Layers in a chain, the output parameters of one those of the input of the next: 256 -> 128 -> 64 -> 32, one
// row (a matrix by a vector) or more, output channels that fill no block of four.
TEST(FuseEdges, ChainedLinears) {
  for (int rows : {1, 4}) {
    for (int last : {32, 9}) {
      const std::vector<int> sizes = {64, 32, 16, last};
      std::string head = "zp 1\n", body;
      std::string x = "x";
      for (int i = 0; i < 3; ++i) {
        const std::string n = std::to_string(i);
        const auto at = static_cast<size_t>(i);
        head += weight("w" + n, sizes[at + 1], sizes[at], i + 1);
        if (i == 0) body += "  %q = quantize(%x) {type: i8(0.02, 3)}\n";
        body += "  %a" + n + " = dequantize(%" + (i == 0 ? "q" : "q" + std::to_string(i - 1)) + ")\n" +
                weight_lines("w" + n, sizes[at + 1], sizes[at]) + "  %l" + n + " = linear(%a" + n + ", %w" +
                n + "d)\n  %q" + n + " = quantize(%l" + n + ") {type: i8(0." + std::to_string(i + 1) + ", -" +
                n + ")}\n";
      }
      const Fused f = fuse(head + "graph main(%x: f32[" + std::to_string(rows) + ",64]) -> (%y) {\n" + body +
                               "  %y = dequantize(%q2)\n}\n",
                           &vulkan());
      EXPECT_EQ(rewrites(f, "linear_q8ta_q8csw_q8to"), 3u) << print(*f.model);
      EXPECT_EQ(count_op(*f.model, ops::quantize), 1u);
      for (const Node* node : f.model->graph->nodes()) {
        if (!node->is(ops::linear)) continue;
        const Value* in = node->operand(0);
        if (in->def()->is(ops::linear)) { EXPECT_EQ(in->type().quant, in->def()->result()->type().quant); }
      }
    }
  }
}

// The clamp is at the integer of zero, not at the smallest integer.
TEST(FuseEdges, ClampWithAZeroPointAboveTheMinimum) {
  const std::string text =
      "zp 1\n" + weight("w", 8, 8, 3) +
      "graph main(%x: f32[3,8]) -> (%q) {\n  %xq = quantize(%x) {type: i8(0.03, -3)}\n  %xd = "
      "dequantize(%xq)\n" +
      weight_lines("w", 8, 8) +
      "  %l = linear(%xd, %wd)\n  %r = relu(%l)\n  %q = quantize(%r) {type: i8(0.05, 7)}\n}\n";
  const Fused f = fuse(text, &vulkan());
  EXPECT_EQ(rewrites(f, "linear_q8ta_q8csw_q8to"), 1u);
  const auto inputs = inputs_for(*f.model, 3);
  const auto out = run_model(*f.model, inputs);
  int64_t least = 127, most = -128;
  for (int64_t i = 0; i < out[0].elements(); ++i) {
    least = std::min(least, out[0].get_int(i));
    most = std::max(most, out[0].get_int(i));
  }
  EXPECT_EQ(least, 7);
  EXPECT_GT(most, 7);
}

// A relu whose quantized result joins others of the same parameters.
TEST(FuseEdges, SharedParametersBehindRelu) {
  const Fused f = fuse("zp 1\n@w = i8[4,4,1,1] [" + numbers(16, 3) +
                           "]\n@s = f32[4] [0.1,0.2,0.3,0.4]\ngraph main(%x: f32[1,4,3,3]) -> (%y) {\n  %xq "
                           "= quantize(%x) {type: i8(0.03, -3)}\n"
                           "  %xd = dequantize(%xq)\n  %w = const @w : i8(axis 0: @s)[4,4,1,1]\n  %wd = "
                           "dequantize(%w)\n  %c = conv2d(%xd, %wd)\n"
                           "  %r = relu(%c)\n  %q = quantize(%r) {type: i8(0.1, -5)}\n  %d = "
                           "dequantize(%q)\n  %j = cat(%d, %d) {dim: 1}\n"
                           "  %yq = quantize(%j) {type: i8(0.1, -5)}\n  %y = dequantize(%yq)\n}\n",
                       &vulkan());
  EXPECT_EQ(rewrites(f, "conv2d_q8ta_q8csw_q8to"), 1u) << print(*f.model);
}

// What does not fuse keeps its quantize and dequantize: saturation and rounding are part of the numbers.
TEST(FuseEdges, UnfusedPairsStay) {
  const Fused f = fuse(
      "zp 1\ngraph main(%x: f32[3,8]) -> (%y) {\n  %q = quantize(%x) {type: i8(0.05, 0)}\n  %d = "
      "dequantize(%q)\n"
      "  %s = softmax(%d) {dim: -1}\n  %r = quantize(%s) {type: i8(0.00390625, -128)}\n  %y = "
      "dequantize(%r)\n}\n",
      &vulkan());
  EXPECT_EQ(count_op(*f.model, ops::quantize), 2u);
  EXPECT_EQ(count_op(*f.model, ops::dequantize), 2u);
  ASSERT_NE(f.kept("s"), nullptr);
  EXPECT_EQ(f.kept("s")->text, "softmax s is not fused: no pattern of backend vulkan takes softmax");
}

// A product between a weight's dequantize and its reader is not looked through: negative, zero, broadcast.
TEST(FuseEdges, ConstantFactorsOfWeights) {
  for (const char* factor : {"@f = f32[] -2", "@f = f32[] 0", "@f = f32[8,1] [1,2,3,4,5,6,7,8]",
                             "@f = f32[8] [1,2,3,4,5,6,7,8]"}) {
    const Fused f =
        fuse("zp 1\n" + weight("w", 8, 8, 3) + factor + "\ngraph main(%x: f32[3,8]) -> (%l) {\n" +
                 weight_lines("w", 8, 8) + "  %f = const @f\n  %m = mul(%wd, %f)\n  %l = linear(%x, %m)\n}\n",
             &vulkan());
    EXPECT_TRUE(f.records.rewrites.empty()) << print(*f.model);
    ASSERT_NE(f.kept("l"), nullptr);
    EXPECT_NE(f.kept("l")->text.find("it comes from mul m, not from a dequantize"), std::string::npos)
        << f.kept("l")->text;
  }
}

// One weight in two operators, one dequantize or two: each takes the integers.
TEST(FuseEdges, OneWeightInTwoOperators) {
  for (const bool twice : {false, true}) {
    const Fused f = fuse(
        "zp 1\n@w = i8[8,8] [" + numbers(64, 3, 14) + "]\n@ws = f32[8] [" + scales(8) +
            "]\ngraph main(%x: f32[3,8]) -> (%a, %b) {\n  %w = const @w : i8<-8:7>(axis 0: @ws)[8,8]\n"
            "  %d = dequantize(%w)\n" +
            (twice ? "  %e = dequantize(%w)\n" : "") +
            "  %a = linear(%x, %d)\n  %n = neg(%x)\n  %b = linear(%n, " + (twice ? "%e" : "%d") + ")\n}\n",
        &vulkan());
    EXPECT_EQ(rewrites(f, "linear_qcs4w"), 2u) << print(*f.model);
    EXPECT_EQ(count_op(*f.model, ops::dequantize), 0u);
  }
}

// A list of scales without zero points, and one that is all zeros, are the same; a dequantize also read as a
// real value stays for that reader.
TEST(FuseEdges, ReadersOfTheRealWeight) {
  const Fused f = fuse("zp 1\n" + weight("w", 8, 8, 3) +
                           "@z = i64[8] [0,0,0,0,0,0,0,0]\ngraph main(%x: f32[3,8]) -> (%a, %d) {\n" +
                           "  %w = const @w : i8<-127:127>(axis 0: @ws, @z)[8,8]\n  %d = dequantize(%w)\n  "
                           "%a = linear(%x, %d)\n}\n",
                       &vulkan());
  EXPECT_EQ(rewrites(f, "linear_qcs8w"), 1u);
  EXPECT_EQ(count_op(*f.model, ops::dequantize), 1u);
}

// A float bias stays as it is where no pattern of the target takes a bias at all.
TEST(FuseEdges, ABiasThatNobodyTakesIsNotPrepared) {
  for (const bool taken : {false, true}) {
    const auto backend =
        Backend::parse(std::string("backend own version 1\n types s { x: i8 w: i8 const b: ") +
                           (taken ? "i32 derived(x.scale * w.scale, 0)" : "none") +
                           " y: i8 }\n pattern p : linear\n  types s\n",
                       "own.zpb");
    ASSERT_TRUE(backend.ok()) << backend.error().str();
    const auto model = parse(
        "zp 1\n@w = i8[2,4] [1,2,3,4,5,6,7,8]\n@b = f32[2] [0.3,0.7]\ngraph main(%x: f32[3,4]) -> (%y) {\n"
        "  %q = quantize(%x) {type: i8(0.1, 1)}\n  %d = dequantize(%q)\n  %w = const @w : i8(0.5, 0)[2,4]\n"
        "  %wd = dequantize(%w)\n  %b = const @b\n  %l = linear(%d, %wd, %b)\n"
        "  %yq = quantize(%l) {type: i8(0.2, 0)}\n  %y = dequantize(%yq)\n}\n");
    const Records records = run_pass(*model, kPrepareBiasPass, backend->get());
    EXPECT_EQ(records.rewrites.size(), taken ? 1u : 0u) << print(*model);
  }
}

}  // namespace
}  // namespace zp
