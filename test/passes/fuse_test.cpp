// fuse-qdq on the cpu backend: what fuses and what does not, names, reasons, equal bits, idempotence, and the
// way back.
#include "fuse_util.h"

namespace zp {
namespace {

using namespace test;

// x -> quantize -> dequantize -> linear(w) -> `tail` -> quantize -> dequantize -> result
struct LinearCase {
  std::string x_type = "i8(0.031, -3)";
  std::string w_type = "i8<-127:127>(axis 0: @s)";
  std::string y_type = "i8(0.11, 7)";
  std::string bias = "@b = f32[12] [" + scales(12) + "]\n";
  std::string bias_node = "  %b = const @b\n";
  std::string bias_operand = ", %b";
  std::string tail;  // lines that turn %l into %t
  std::string last = "%l";
  int out = 12, in = 16;
  std::string text() const {
    return "zp 1\n@w = i8[" + std::to_string(out) + "," + std::to_string(in) + "] [" + numbers(out * in, 3) +
           "]\n@s = f32[" + std::to_string(out) + "] [" + scales(out) + "]\n" + bias +
           "graph main(%x: f32[5," + std::to_string(in) + "]) -> (%y) {\n" +
           "  %xq = quantize(%x) {type: " + x_type +
           "}\n  %xd = dequantize(%xq)\n  %w = const @w : " + w_type + "[" + std::to_string(out) + "," +
           std::to_string(in) + "]\n  %wd = dequantize(%w)\n" + bias_node + "  %l = linear(%xd, %wd" +
           bias_operand + ")\n" + tail + "  %yq = quantize(" + last + ") {type: " + y_type +
           "}\n  %y = dequantize(%yq)\n}\n";
  }
};

TEST(Fuse, StaticLinear) {
  const Fused f = fuse(LinearCase().text());
  const RewriteRecord* r = f.rewrite("linear_q8ta_q8csw_q8to");
  ASSERT_NE(r, nullptr) << print(*f.model);
  EXPECT_EQ(r->into, "yq");
  EXPECT_EQ(r->nodes, (std::vector<std::string>{"l", "xd", "wd", "yq"}));
  EXPECT_EQ(count_op(*f.model, ops::dequantize), 1u);  // of the result
  EXPECT_EQ(count_op(*f.model, ops::quantize), 1u);    // of the input
  EXPECT_TRUE(f.records.kept.empty());
}

TEST(Fuse, ClampsBecomeBounds) {
  for (const auto& [line, low, high] :
       std::vector<std::tuple<std::string, std::optional<double>, std::optional<double>>>{
           {"relu(%l)", 0.0, std::nullopt},
           {"hardtanh(%l) {min_val: 0, max_val: 6}", 0.0, 6.0},
           {"clamp(%l) {min: -0.5}", -0.5, std::nullopt},
           {"clamp(%l) {max: 0.1}", std::nullopt, 0.1},
           {"clamp(%l) {min: 2, max: 1}", 1.0, 1.0}}) {
    LinearCase c;
    c.tail = "  %t = " + line + "\n";
    c.last = "%t";
    const Fused f = fuse(c.text());
    const Node* linear = first_of(*f.model, ops::linear);
    ASSERT_NE(linear, nullptr);
    ASSERT_TRUE(linear->result()->type().is_quantized()) << line << print(*f.model);
    const AttrField* min = linear->op().attrs->find("act_min");
    const AttrField* max = linear->op().attrs->find("act_max");
    EXPECT_EQ(attr_ref<std::optional<double>>(linear->attrs_data(), *min), low) << line;
    EXPECT_EQ(attr_ref<std::optional<double>>(linear->attrs_data(), *max), high) << line;
    EXPECT_NE(f.rewrite("linear_q8ta_q8csw_q8to"), nullptr);
  }
}

TEST(Fuse, NamesSayWhatTheTensorsAre) {
  auto name = [](auto&& change) {
    LinearCase c;
    change(c);
    const Fused f = fuse(c.text());
    return f.records.rewrites.empty() ? std::string() : f.records.rewrites.front().pattern;
  };
  EXPECT_EQ(name([](LinearCase& c) { c.x_type = "u8(0.031, 120)"; }), "linear_qu8ta_q8csw_q8to");
  EXPECT_EQ(name([](LinearCase& c) { c.w_type = "i8(0.01, 0)"; }), "linear_q8ta_q8tsw_q8to");
  EXPECT_EQ(name([](LinearCase& c) { c.w_type = "i8(0.01, 5)"; }), "linear_q8ta_q8taw_q8to");
}

TEST(Fuse, FloatResultWithoutQuantizer) {
  const Fused f = fuse("zp 1\n@w = i8[3,4] [" + numbers(12, 1) +
                       "]\n@s = f32[3] [0.1,0.2,0.3]\ngraph main(%x: f32[5,4]) -> (%l) {\n"
                       "  %xq = quantize(%x) {type: i8(0.031, -3)}\n  %xd = dequantize(%xq)\n  %w = const @w "
                       ": i8<-127:127>(axis 0: @s)[3,4]\n"
                       "  %wd = dequantize(%w)\n  %l = linear(%xd, %wd)\n}\n");
  EXPECT_NE(f.rewrite("linear_q8ta_q8csw"), nullptr) << print(*f.model);
}

TEST(Fuse, WeightsAlone) {
  auto weights = [](const std::string& type, const std::string& shape, const std::string& constants,
                    int span) {
    return "zp 1\n@w = i8[4,16] [" + numbers(64, 1, span) + "]\n" + constants +
           "graph main(%x: f32[2,5,16]) -> (%l) {\n  %w = const @w : " + type + shape +
           "\n  %wd = dequantize(%w)\n  %l = linear(%x, %wd)\n}\n";
  };
  const std::string one = "@s = f32[4] [0.1,0.2,0.3,0.4]\n";
  EXPECT_NE(fuse(weights("i8<-127:127>(axis 0: @s)", "[4,16]", one, 200)).rewrite("linear_qcs8w"), nullptr);
  EXPECT_NE(fuse(weights("i8<-8:7>(axis 0: @s)", "[4,16]", one, 14)).rewrite("linear_qcs4w"), nullptr);
  EXPECT_NE(fuse(weights("i8<-7:7>(axis 0: @s)", "[4,16]", one, 14)).rewrite("linear_qcs4w"), nullptr);
  // The range is what is declared, not what the numbers happen to be.
  EXPECT_NE(fuse(weights("i8(axis 0: @s)", "[4,16]", one, 14)).rewrite("linear_qcs8w"), nullptr);
  const std::string groups = "@s = f32[4,2] [0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8]\n";
  EXPECT_NE(fuse(weights("i8<-8:7>(block [1,8]: @s)", "[4,16]", groups, 14)).rewrite("linear_q4gsw"),
            nullptr);
  const std::string zeros = groups + "@z = i8[4,2] [0,1,0,0,0,0,0,-2]\n";
  EXPECT_NE(fuse(weights("i8<-8:7>(block [1,8]: @s, @z)", "[4,16]", zeros, 14)).rewrite("linear_q4gaw"),
            nullptr);
}

TEST(Fuse, ReductionAxisIsRefused) {
  // Square, so that every check of sizes passes.
  const Fused f = fuse(
      "zp 1\n@w = i8[4,4] [" + numbers(16, 1) +
      "]\n@s = f32[4] [0.1,0.2,0.3,0.4]\ngraph main(%x: f32[5,4]) -> (%l) {\n"
      "  %w = const @w : i8<-127:127>(axis 1: @s)[4,4]\n  %wd = dequantize(%w)\n  %l = linear(%x, %wd)\n}\n");
  EXPECT_TRUE(f.records.rewrites.empty());
  const KeptRecord* kept = f.kept("l");
  ASSERT_NE(kept, nullptr);
  EXPECT_NE(kept->text.find("axis 1, the reduction axis"), std::string::npos) << kept->text;
}

TEST(Fuse, NothingIsLookedThrough) {
  LinearCase c;
  c.in = c.out = 12;
  c.bias_node = "  %b = const @b\n  %wt = permute(%wd) {dims: [1,0]}\n";
  std::string text = c.text();
  text.replace(text.find("linear(%xd, %wd"), 15, "linear(%xd, %wt");
  const Fused f = fuse(text);
  const KeptRecord* kept = f.kept("l");
  ASSERT_NE(kept, nullptr);
  EXPECT_NE(kept->text.find("permute wt stands between it and its dequantize"), std::string::npos)
      << kept->text;
  EXPECT_EQ(count_op(*f.model, ops::dequantize), 3u);
}

TEST(Fuse, EveryReaderOfADequantizeTakesTheIntegers) {
  const Fused f = fuse("zp 1\n@w = i8[4,4] [" + numbers(16, 1) +
                       "]\ngraph main(%x: f32[5,4]) -> (%p, %q, %n) {\n"
                       "  %xq = quantize(%x) {type: i8(0.031, -3)}\n  %xd = dequantize(%xq)\n  %w = const @w "
                       ": i8(0.02, 0)[4,4]\n  %wd = dequantize(%w)\n"
                       "  %a = linear(%xd, %wd)\n  %p = quantize(%a) {type: i8(0.1, 0)}\n  %c = linear(%xd, "
                       "%wd)\n  %d = relu(%c)\n  %q = quantize(%d) {type: i8(0.2, 0)}\n"
                       "  %n = layer_norm(%xd) {normalized_shape: [4]}\n}\n");
  EXPECT_EQ(f.records.rewrites.size(), 2u) << print(*f.model);
  EXPECT_EQ(count_op(*f.model, ops::dequantize), 1u);  // for the layer norm
  const KeptRecord* kept = f.kept("n");
  ASSERT_NE(kept, nullptr);
  EXPECT_EQ(kept->text, "layer_norm n is not fused: no pattern of backend cpu takes layer_norm");
}

TEST(Fuse, SeveralReadersOfTheResult) {
  LinearCase c;
  c.tail = "  %t = relu(%l)\n";
  c.last = "%t";
  std::string text = c.text();
  text.replace(text.find("-> (%y)"), 7, "-> (%y, %t)");
  const Fused f = fuse(text);
  // The clamp goes in, the result stays real, the quantize stays a node of its own.
  EXPECT_NE(f.rewrite("linear_q8ta_q8csw"), nullptr) << print(*f.model);
  EXPECT_EQ(count_op(*f.model, ops::quantize), 2u);

  text = c.text();
  text.replace(text.find("-> (%y)"), 7, "-> (%y, %l)");
  const Fused g = fuse(text);
  EXPECT_NE(g.rewrite("linear_q8ta_q8csw"), nullptr) << print(*g.model);
  const KeptRecord* kept = g.kept("t");
  ASSERT_NE(kept, nullptr);
  EXPECT_NE(kept->text.find("comes from linear l, not from a dequantize"), std::string::npos) << kept->text;
}

TEST(Fuse, TwoEqualQuantizersAreOneResult) {
  LinearCase c;
  std::string text = c.text();
  text.replace(text.find("-> (%y)"), 7, "-> (%y, %z)");
  text.insert(text.rfind('}'), "  %zq = quantize(%l) {type: i8(0.11, 7)}\n  %z = dequantize(%zq)\n");
  const Fused f = fuse(text);
  EXPECT_NE(f.rewrite("linear_q8ta_q8csw_q8to"), nullptr) << print(*f.model);
  EXPECT_EQ(count_op(*f.model, ops::quantize), 1u);
}

TEST(Fuse, RequantizationStaysExplicit) {
  const Fused f = fuse(
      "zp 1\ngraph main(%x: f32[5,4]) -> (%y) {\n  %a = quantize(%x) {type: i8(0.031, -3)}\n  %b = "
      "dequantize(%a)\n"
      "  %c = quantize(%b) {type: i8(0.05, 1)}\n  %y = dequantize(%c)\n}\n");
  EXPECT_TRUE(f.records.rewrites.empty());
  EXPECT_EQ(count_op(*f.model, ops::quantize), 2u);
  EXPECT_EQ(count_op(*f.model, ops::dequantize), 2u);
}

TEST(Fuse, IntegerBias) {
  LinearCase c;
  c.w_type = "i8(0.02, 0)";
  c.bias = "@b = i32[12] [" + numbers(12, 5, 2000) + "]\n";
  c.bias_node = "  %bq = const @b : i32(0.00062, 0)[12]\n  %b = dequantize(%bq)\n";
  const Fused f = fuse(c.text());
  const Node* linear = first_of(*f.model, ops::linear);
  EXPECT_TRUE(linear->operand(2)->type().is_quantized()) << print(*f.model);
  // Another scale: the sum is real, the bias too.
  c.bias_node = "  %bq = const @b : i32(0.0007, 0)[12]\n  %b = dequantize(%bq)\n";
  const Fused g = fuse(c.text());
  linear = first_of(*g.model, ops::linear);
  EXPECT_TRUE(linear->operand(0)->type().is_quantized()) << print(*g.model);
  EXPECT_FALSE(linear->operand(2)->type().is_quantized());
}

TEST(Fuse, DynamicActivations) {
  const Fused f = fuse(
      "zp 1\n@w = i8[4,16] [" + numbers(64, 1, 14) +
      "]\n@s = f32[4,2] [0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8]\n"
      "graph main(%x: f32[5,16]) -> (%l) {\n  %sc, %zp = choose_qparams(%x) {type: i8(dynamic block [1,*]), "
      "rule: \"affine_asymmetric\", scale_dtype: f32, zero_point_dtype: i8}\n"
      "  %xq = quantize(%x, %sc, %zp) {type: i8(dynamic block [1,*])}\n  %xd = dequantize(%xq, %sc, %zp)\n"
      "  %w = const @w : i8<-8:7>(block [1,8]: @s)[4,16]\n  %wd = dequantize(%w)\n  %l = linear(%xd, "
      "%wd)\n}\n");
  EXPECT_NE(f.rewrite("linear_dq8ca_q4gsw"), nullptr) << print(*f.model);
}

TEST(Fuse, ProductsWithConstantsAreLinears) {
  const std::string head =
      "zp 1\n@w = i8[16,4] [" + numbers(64, 1) +
      "]\n@s = f32[4] [0.1,0.2,0.3,0.4]\n@b = f32[4] [1,2,3,4]\ngraph main(%x: f32[5,16]) -> (%y) {\n"
      "  %xq = quantize(%x) {type: i8(0.031, -3)}\n  %xd = dequantize(%xq)\n  %w = const @w : "
      "i8<-127:127>(axis 1: @s)[16,4]\n  %wd = dequantize(%w)\n  %b = const @b\n";
  const std::string tail = "  %yq = quantize(%l) {type: i8(0.9, 1)}\n  %y = dequantize(%yq)\n}\n";
  const Fused f = fuse(head + "  %l = matmul(%xd, %wd)\n" + tail);
  EXPECT_NE(f.rewrite("linear_q8ta_q8csw_q8to"), nullptr) << print(*f.model);
  EXPECT_EQ(count_op(*f.model, ops::matmul), 0u);
  const Fused g = fuse(head + "  %l = addmm(%b, %xd, %wd)\n" + tail);
  EXPECT_NE(g.rewrite("linear_q8ta_q8csw_q8to"), nullptr) << print(*g.model);
  const Fused h = fuse(head + "  %l = addmm(%b, %xd, %wd) {beta: 0.5, alpha: 2}\n" + tail);
  EXPECT_TRUE(h.records.rewrites.empty());
  EXPECT_NE(h.kept("l")->text.find("alpha = 2"), std::string::npos) << h.kept("l")->text;
}

TEST(Fuse, ConvolutionsOfEveryRank) {
  struct Row {
    std::string op, x, w;
    int axis;
  };
  for (const Row& row : std::vector<Row>{{"conv1d", "[2,4,9]", "[4,4,3]", 0},
                                         {"conv2d", "[2,4,5,6]", "[4,4,3,3]", 0},
                                         {"conv3d", "[1,4,4,5,4]", "[4,4,3,3,3]", 0},
                                         {"conv_transpose1d", "[2,4,9]", "[4,4,3]", 1},
                                         {"conv_transpose2d", "[2,4,5,6]", "[4,4,3,3]", 1}}) {
    const std::string &op = row.op, &x = row.x, &w = row.w;
    int count = 1;
    for (size_t i = 1; i < w.size(); i += 2) count *= w[i] - '0';
    auto text = [&](int at) {
      return "zp 1\n@w = i8" + w + " [" + numbers(count, 1) +
             "]\n@s = f32[4] [0.01,0.02,0.03,0.04]\ngraph main(%x: f32" + x +
             ") -> (%y) {\n"
             "  %xq = quantize(%x) {type: i8(0.031, -3)}\n  %xd = dequantize(%xq)\n  %w = const @w : "
             "i8<-127:127>(axis " +
             std::to_string(at) + ": @s)" + w + "\n  %wd = dequantize(%w)\n  %c = " + op +
             "(%xd, %wd) {stride: [2], padding: [1]}\n  %r = hardtanh(%c) {min_val: 0, max_val: 6}\n"
             "  %yq = quantize(%r) {type: i8(0.1, -128)}\n  %y = dequantize(%yq)\n}\n";
    };
    EXPECT_NE(fuse(text(row.axis)).rewrite(op + "_q8ta_q8csw_q8to"), nullptr) << op;
    const Fused wrong = fuse(text(1 - row.axis));
    EXPECT_TRUE(wrong.records.rewrites.empty()) << op;
    EXPECT_NE(wrong.kept("c"), nullptr);
  }
}

TEST(Fuse, ElementwiseAndPools) {
  auto binary = [](const std::string& line) {
    return "zp 1\ngraph main(%a: f32[2,3,4,4], %b: f32[2,3,4,4]) -> (%y) {\n  %aq = quantize(%a) {type: "
           "i8(0.03, 4)}\n  %ad = dequantize(%aq)\n"
           "  %bq = quantize(%b) {type: i8(0.05, -2)}\n  %bd = dequantize(%bq)\n" +
           line + "  %yq = quantize(%t) {type: i8(0.09, 3)}\n  %y = dequantize(%yq)\n}\n";
  };
  EXPECT_NE(fuse(binary("  %t = add(%ad, %bd)\n")).rewrite("add_q8ta_q8ta_q8to"), nullptr);
  EXPECT_NE(fuse(binary("  %s = add(%ad, %bd) {alpha: 2}\n  %t = relu(%s)\n")).rewrite("add_q8ta_q8ta_q8to"),
            nullptr);
  EXPECT_NE(fuse(binary("  %t = mul(%ad, %bd)\n")).rewrite("mul_q8ta_q8ta_q8to"), nullptr);
  EXPECT_NE(fuse(binary("  %t = add(%ad, 0.5)\n")).rewrite("add_q8ta_q8to"), nullptr);
  EXPECT_NE(fuse(binary("  %t = add(%ad, %ad)\n")).rewrite("add_q8ta_q8ta_q8to"), nullptr);
  EXPECT_NE(fuse(binary("  %t = max_pool2d(%ad) {kernel_size: [2,2]}\n")).rewrite("max_pool2d_q8ta_q8to"),
            nullptr);
  EXPECT_NE(fuse(binary("  %t = mean(%ad) {dims: [2,3], keepdim: true}\n")).rewrite("mean_q8ta_q8to"),
            nullptr);
  EXPECT_NE(fuse(binary("  %t = hardswish(%ad)\n")).rewrite("hardswish_q8ta_q8to"), nullptr);
  EXPECT_NE(fuse(binary("  %t = relu(%ad)\n")).rewrite("relu_q8ta_q8to"), nullptr);
  const Fused f = fuse(binary("  %t = add(%ad, %b)\n"));
  EXPECT_TRUE(f.records.rewrites.empty());
  EXPECT_NE(f.kept("t")->text.find("it is an input of the graph"), std::string::npos) << f.kept("t")->text;
}

TEST(Fuse, EmbeddingRows) {
  const Fused f = fuse("zp 1\n@w = i8[8,16] [" + numbers(128, 1, 14) + "]\n@s = f32[8,2] [" + scales(16) +
                       "]\n@i = i64[2] [3,7]\ngraph main(%x: f32[2]) -> (%y) {\n"
                       "  %w = const @w : i8<-8:7>(block [1,8]: @s)[8,16]\n  %wd = dequantize(%w)\n  %i = "
                       "const @i\n  %e = embedding(%wd, %i)\n  %y = add(%e, %e)\n}\n");
  EXPECT_NE(f.rewrite("embedding_q4gsw"), nullptr) << print(*f.model);
}

TEST(Fuse, LongChainsAreLinear) {
  std::string text = "zp 1\n@w = i8[4,4] [" + numbers(16, 1) +
                     "]\ngraph main(%x: f32[1,4]) -> (%d400) {\n  %d0 = relu(%x)\n  %w = const @w : i8(0.02, "
                     "0)[4,4]\n  %wd = dequantize(%w)\n";
  for (int i = 0; i < 400; ++i) {
    const std::string n = std::to_string(i), m = std::to_string(i + 1);
    text += "  %q" + n + " = quantize(%d" + n + ") {type: i8(0.05, 0)}\n  %e" + n + " = dequantize(%q" + n +
            ")\n  %d" + m + " = linear(%e" + n + ", %wd)\n";
  }
  const Fused f = fuse(text + "}\n");
  EXPECT_EQ(f.records.rewrites.size(), 400u);
  EXPECT_EQ(count_op(*f.model, ops::quantize), 1u);
}

TEST(Fuse, WithoutBackendEveryIntegerFormIsTaken) {
  Fused f;
  f.model = parse(LinearCase().text());
  f.records = run_pass(*f.model, kFuseQdqPass, nullptr);
  EXPECT_NE(f.rewrite("linear_q8ta_q8csw_q8to"), nullptr);
}

TEST(Fuse, RequantizationHasARecord) {
  const Fused f = fuse(
      "zp 1\ngraph main(%x: f32[5,4]) -> (%y) {\n  %a = quantize(%x) {type: i8(0.031, -3)}\n  %b = "
      "dequantize(%a)\n"
      "  %c = quantize(%b) {type: i16(0.031, -3)}\n  %y = dequantize(%c)\n}\n");
  ASSERT_NE(f.kept("c"), nullptr);
  EXPECT_EQ(f.kept("c")->clause, "requantize");
  EXPECT_EQ(f.kept("c")->found, "i8 affine per-tensor to i16 affine per-tensor");
}

TEST(Fuse, FloatGraphsAreExplained) {
  const Fused f =
      fuse("zp 1\n@w = f32[4,4] [" + numbers(16, 1) +
           "]\ngraph main(%x: f32[5,4]) -> (%y) {\n  %w = const @w\n  %l = linear(%x, %w)\n  %r = relu(%l)\n"
           "  %n = layer_norm(%r) {normalized_shape: [4]}\n  %s = softmax(%n)\n  %g = gt(%s, 0.5)\n  %y = "
           "where(%g, %s, %r)\n}\n");
  EXPECT_TRUE(f.records.rewrites.empty());
  EXPECT_EQ(f.records.kept.size(), 6u);
}

}  // namespace
}  // namespace zp
