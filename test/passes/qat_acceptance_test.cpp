// The acceptance list of the fold, one test a point, A1 to A23: chains as they were met in the field.
// Sources: executorch backends/cadence/aot/quantizer/passes/fuse_ops.py and its issues 19315, 19442, 19601,
// 22227; torchao quantization/pt2e/qat_utils.py. The points are tested closer elsewhere; here stands that
// each is met.
#include "qat_chain.h"
#include "support/noise.h"

namespace zp {
namespace {

using namespace test;

const std::string kNormOnly = "  %out = batch_norm(%y, %gamma, %beta, %mean, %var)\n";
const std::string kAdded = "  %d = div(%y, %s4)\n  %u = add(%d, %ob4)\n";

std::string with(std::string text, const std::string& old, const std::string& now) {
  const size_t at = text.find(old);
  EXPECT_NE(at, std::string::npos) << old;
  return at == std::string::npos ? text : text.replace(at, old.size(), now);
}

TEST(QatAcceptance, A01ChainWithBias) { expect_fold({.body = kDivAdd, .bias = "%ob"}); }

TEST(QatAcceptance, A02ChainWithoutBias) { expect_fold({.body = chain("  %u = div(%y, %s4)\n")}); }

TEST(QatAcceptance, A03Conv1d) {
  expect_fold({.body = with(with(kDivAdd, "[1,-1,1,1]", "[1,-1,1]"), "[1,-1,1,1]", "[1,-1,1]"),
               .convolution = "conv1d",
               .conv_attrs = "{stride: [2]}",
               .weight_shape = "[4,3,3]",
               .input_shape = "[2,3,9]"});
}

TEST(QatAcceptance, A04ViewsOfTheConstants) {
  // aten.view and aten.reshape are one operator here; extents may be written out.
  expect_fold({.body = with(kDivAdd, "[1,-1,1,1]", "[1,4,1,1]")});
}

TEST(QatAcceptance, A06Commuted) {
  expect_fold({.body = chain("  %d = div(%y, %s4)\n  %u = add(%ob4, %d)\n")});
}

TEST(QatAcceptance, A07ActivationsBehind) {
  for (const std::string act : {"relu(%n)", "hardtanh(%n) {min_val: 0.0, max_val: 6.0}"}) {
    SCOPED_TRACE(act);
    expect_fold({.body = with(kDivAdd, "%out", "%n") + "  %out = " + act + "\n"});
  }
}

TEST(QatAcceptance, A08WeightsAndBiasPerChannel) {
  const ChainText t{.body = kDivAdd, .weight = "i8<-127:127>(axis 0: @ws)", .bias = "%bd"};
  const std::string bias = "  %b = const @ib : i32(axis 0: @bs)[4]\n  %bd = dequantize(%b)\n  %c = ";
  const auto text = [&](bool middle) {
    return with(with(t.text(middle), "  %c = ", bias), "graph main",
                "@bs = f32[4] [0.00024,0.00012,0.000195,0.00027]\ngraph main");
  };
  auto model = parse(text(true)), reference = parse(text(false));
  const auto inputs = inputs_for(*model);
  EXPECT_EQ(run_pass(*model, kFoldQatBatchNormPass).rewrites.size(), 1u);
  EXPECT_LT(largest_difference(run_model(*reference, inputs)[0], run_model(*model, inputs)[0]), 3e-4);
}

TEST(QatAcceptance, A09TransposedAlongAxisOne) {
  expect_fold({.body = kDivAdd,
               .weight = "i8<-127:127>(axis 1: @ws)",
               .convolution = "conv_transpose2d",
               .conv_attrs = "{stride: [2,2]}",
               .weight_shape = "[3,4,3,3]"});
}

TEST(QatAcceptance, A10DepthwiseAndGrouped) {
  expect_fold({.body = kDivAdd,
               .conv_attrs = "{groups: 4}",
               .weight_shape = "[4,1,3,3]",
               .input_shape = "[2,4,4,4]"});
  expect_fold({.body = kDivAdd,
               .conv_attrs = "{groups: 2}",
               .weight_shape = "[4,2,3,3]",
               .input_shape = "[2,4,4,4]"});
}

// The weight is still float times gamma / sigma, quantized per channel, and a quantizer stands in front of
// the batch norm: what convert leaves unfolded.
TEST(QatAcceptance, A11UnfoldedChainPerChannel) {
  const ChainText t{
      .body = "  %d = div(%y, %s4)\n  %u = add(%d, %ob4)\n  %out = batch_norm" + std::string(kNorm),
      .constants = "@wf = f32[4,3,3,3] random 5 in -0.9..0.9\n",
      .conv_attrs = "{padding: [1,1]}"};
  const auto text = [&](bool middle) {
    return with(t.text(middle), "  %w = const @w : i8<-127:127>(0.008, 0)[4,3,3,3]\n  %wd = dequantize(%w)\n",
                std::string(kScale) +
                    "  %wf = const @wf\n  %sw = reshape(%s) {shape: [-1,1,1,1]}\n  %wm = mul(%wf, %sw)\n"
                    "  %wq = quantize(%wm) : i8<-127:127>(axis 0: @ws)\n  %wd = dequantize(%wq)\n");
  };
  auto model = parse(text(true)), reference = parse(text(false));
  const auto inputs = inputs_for(*model);
  run_pass(*model, kCleanupPass);
  EXPECT_EQ(run_pass(*model, kFoldQatBatchNormPass).rewrites.size(), 1u);
  EXPECT_EQ(count_op(*model, ops::batch_norm) + count_op(*model, ops::mul) + count_op(*model, ops::sqrt), 0u);
  EXPECT_LT(largest_difference(run_model(*reference, inputs)[0], run_model(*model, inputs)[0]), 5e-4);
}

TEST(QatAcceptance, A12LinearOfRankTwoNotThree) {
  ChainText t{.body = kNormOnly,
              .convolution = "linear",
              .conv_attrs = "",
              .weight_shape = "[4,6]",
              .input_shape = "[5,6]"};
  expect_fold(t);
  t.input_shape = "[5,4,6]";
  expect_refusal(t, "channel-axis");
}

TEST(QatAcceptance, A13EpsOfTheChainIsNotThatOfTheBatchNorm) {
  const Folded folded = expect_fold({.body = with(kDivAdd, "{eps: 0.00001}", "{eps: 0.001}")});
  EXPECT_FALSE(weight_type(*folded.model)->per_tensor());  // the factor that is left is in the scales
}

TEST(QatAcceptance, A14SecondReaderOfThePair) {
  expect_refusal({.body = kDivAdd, .outputs = ", %y"}, "one-use");
}

TEST(QatAcceptance, A15SharedBiasIsCopied) {
  const ChainText t{.body = kNormOnly +
                            "  %c2 = conv2d(%xd, %wd, %ob) {padding: [1,1]}\n"
                            "  %out2 = batch_norm(%c2, %beta, %gamma, %mean, %var)\n",
                    .bias = "%ob",
                    .outputs = ", %out2"};
  auto model = parse(t.text()), reference = parse(t.text(false));
  const auto inputs = inputs_for(*model);
  EXPECT_EQ(run_pass(*model, kFoldQatBatchNormPass).rewrites.size(), 2u);
  const auto wanted = run_model(*reference, inputs), found = run_model(*model, inputs);
  for (size_t k = 0; k < 2; ++k) EXPECT_LT(largest_difference(wanted[k], found[k]), 2e-4);
}

TEST(QatAcceptance, A16TrainingMode) {
  expect_refusal({.body = "  %out = batch_norm(%y, %gamma, %beta, %mean, %var) {training: true}\n"},
                 "training");
}

TEST(QatAcceptance, A17ZeroAndNegativeGamma) {
  expect_fold({.body = "  %g1 = const @g1\n  %out = batch_norm(%y, %g1, %beta, %mean, %var)\n",
               .constants = "@g1 = f32[4] [0.75,-1.25,0.0,-1.5]\n"});
}

TEST(QatAcceptance, A18BiasBeyondInt32) {
  // Units of 3e-14: the channels become coarser rather than saturate, and no sign flips.
  expect_fold({.body = kNormOnly, .middle = "", .weight = "i8<-127:127>(1e-12, 0)"}, 1e-3);
}

// A batch norm that moves its channels apart: the result keeps the range behind it, so next to nothing is
// lost.
TEST(QatAcceptance, A19ShiftedDistribution) {
  const std::string body = std::string(kScale) + kAdded +
                           "  %far = const @far\n  %n = batch_norm(%u, %gamma, %far, %mean, %var)\n"
                           "  %q = quantize(%n) : i8(0.12, 0)\n  %out = dequantize(%q)\n";
  const ChainText t{.body = body, .constants = "@far = f32[4] [8.0,-7.0,4.0,-9.0]\n"};
  auto model = parse(t.text()), archive = parse(t.text());
  auto exact = parse(
      with(with(t.text(false), "  %q = quantize(%n) : i8(0.12, 0)\n", ""), "dequantize(%q)", "identity(%n)"));
  const auto inputs = inputs_for(*model);
  EXPECT_EQ(run_pass(*model, kFoldQatBatchNormPass).rewrites.size(), 1u);
  const Tensor truth = run_model(*exact, inputs)[0];
  const auto db = [&](const Model& m) {
    const Tensor found = run_model(m, inputs)[0];
    NoiseMeter meter;
    for (int64_t i = 0; i < truth.elements(); ++i) meter.add(truth.get_double(i), found.get_double(i));
    return meter.db().value_or(200);
  };
  EXPECT_GE(db(*model), db(*archive));  // one quantizer less
  EXPECT_GE(db(*model), 38);
}

TEST(QatAcceptance, A20BatchNormsOfOtherThings) {
  for (const std::string other : {"add(%x, 1.0)", "div(%x, 2.0)", "relu(%x)"}) {
    SCOPED_TRACE(other);
    const ChainText t{.body = kDivAdd + "  %z = " + other +
                              "\n  %m3 = const @m3\n  %v3 = const @v3\n"
                              "  %o2 = batch_norm(%z, _, _, %m3, %v3)\n",
                      .constants = "@m3 = f32[3] [0.1,0.2,0.3]\n@v3 = f32[3] [1.0,0.7,0.5]\n",
                      .outputs = ", %o2"};
    auto model = parse(t.text());
    const Records records = run_pass(*model, kFoldQatBatchNormPass);
    EXPECT_EQ(records.rewrites.size(), 1u);
    ASSERT_EQ(records.kept.size(), 1u);
    EXPECT_EQ(records.kept[0].node, "o2");
  }
}

// Float activations with 8-bit weights, and a convolution between transpositions: nothing of training.
TEST(QatAcceptance, A21NoBatchNormStaysAsItIs) {
  const std::string weights_only =
      "zp 1\n@w = i8[4,3,3] random 5 in -127..127\n@ws = f32[4] [0.008,0.004,0.0065,0.009]\n"
      "graph main(%x: f32[2,3,9]) -> (%y) {\n  %w = const @w : i8(axis 0: @ws)\n  %wd = dequantize(%w)\n"
      "  %y = conv1d(%x, %wd)\n}\n";
  const std::string channels_last =
      "zp 1\n@w = i8[4,3,3,3] random 5 in -127..127\ngraph main(%x: f32[2,8,8,3]) -> (%y) {\n"
      "  %xq = quantize(%x) : i8(0.03, 9)\n  %xd = dequantize(%xq)\n  %p = permute(%xd) {dims: [0,3,1,2]}\n"
      "  %w = const @w : i8(0.008, 0)\n  %wd = dequantize(%w)\n  %c = conv2d(%p, %wd)\n"
      "  %r = permute(%c) {dims: [0,2,3,1]}\n  %q = quantize(%r) : i8(0.1, 0)\n  %y = dequantize(%q)\n}\n";
  for (const std::string& text : {weights_only, channels_last}) {
    auto model = parse(text);
    const std::string before = print(*model);
    const Records records = run_pass(*model, kFoldQatBatchNormPass);
    EXPECT_TRUE(records.rewrites.empty() && records.kept.empty());
    EXPECT_EQ(print(*model), before);
  }
}

TEST(QatAcceptance, A22SecondRunChangesNothing) {
  auto model = parse(ChainText{.body = kDivAdd}.text());
  EXPECT_EQ(run_pass(*model, kFoldQatBatchNormPass).rewrites.size(), 1u);
  const std::string once = print(*model);
  EXPECT_TRUE(run_pass(*model, kFoldQatBatchNormPass).rewrites.empty());
  EXPECT_EQ(print(*model), once);
}

TEST(QatAcceptance, A23DeadParametersAndCounters) {
  std::string text = ChainText{.body = kDivAdd +
                                       "  %n1 = add(%n, 1)\n  %l1 = add(%l, 1)\n"
                                       "  %lf = cast(%l1) {dtype: f32}\n  %o2 = mul(%out, %lf)\n",
                               .constants = "@n = buffer i64[] 5\n@l = buffer i64[] 2\n"}
                         .text();
  text = with(text, "graph main(%x", "graph main(state %n = @n: i64[], state %l = @l: i64[], %x");
  text = with(text, "-> (%out", "-> (update %n: %n1, update %l: %l1, %o2");
  auto model = parse(text);
  run_pass(*model, kCleanupPass);
  run_pass(*model, kFoldQatBatchNormPass);
  run_pass(*model, kCleanupPass);
  EXPECT_EQ(model->graph->inputs().size(), 2u);  // the counter that something reads stays
  EXPECT_EQ(count_op(*model, ops::batch_norm), 0u);
  for (const Node* node : model->graph->nodes()) {
    if (node->constant() == nullptr) continue;
    for (const std::string_view dead : {"gamma", "beta", "mean", "var", "ob"})
      EXPECT_NE(node->constant()->name, dead);
  }
}

}  // namespace
}  // namespace zp
