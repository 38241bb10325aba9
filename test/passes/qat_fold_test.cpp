// fold-qat-batch-norm and prepare-bias on chains in every spelling, against the same graph in float without
// the quantizer in front of the batch norm.
#include <gtest/gtest.h>

#include "backend/backend.h"
#include "qat_chain.h"

namespace zp {
namespace {

using namespace test;

TEST(FoldQatBatchNorm, DividesAddsNormalizes) {
  const Folded folded = expect_fold({.body = kDivAdd});
  // The chain undoes what training put into the weights: a is 1 and the weights stay.
  EXPECT_TRUE(weight_type(*folded.model)->per_tensor());
  EXPECT_DOUBLE_EQ(weight_type(*folded.model)->scale, 0.008);
  const Value* bias = first_of(*folded.model, ops::conv2d)->operand(2);
  ASSERT_NE(bias, nullptr);
  EXPECT_EQ(bias->def()->operand(0)->type().quant->storage, DType::I32);
  EXPECT_DOUBLE_EQ(bias->def()->operand(0)->type().quant->scale, 0.03 * 0.008);
}

TEST(FoldQatBatchNorm, EverySpelling) {
  const char* steps[] = {
      "  %d = div(%y, %s4)\n  %u = add(%ob4, %d)\n",
      "  %r = reciprocal(%s4)\n  %d = mul(%r, %y)\n  %u = add(%d, %ob4)\n",
      ("  %i = div(%sd, %gamma)\n  %i4 = unsqueeze(%i) {dim: -1}\n  %i5 = unsqueeze(%i4) {dim: -1}\n"
       "  %d = mul(%y, %i5)\n  %u = add(%d, %ob4)\n"),
      "  %d = div(%y, %s4)\n  %n = neg(%ob4)\n  %u = sub(%d, %n)\n",
      "  %d = div(%y, %s4)\n  %n = sub(%ob4, %d)\n  %u = neg(%n)\n",
      "  %d = div(%y, %s4)\n  %u = add(%d, %ob4) {alpha: 2}\n",
      "  %d = div(%y, %s4)\n  %u = add(%d, 0.75)\n",
      "  %p = mul(%ob4, %s4)\n  %a = add(%y, %p)\n  %u = div(%a, %s4)\n",
      "  %e = expand(%s4) {shape: [1,4,1,1]}\n  %d = div(%y, %e)\n  %u = add(%d, %ob4)\n",
  };
  for (const char* s : steps) {
    SCOPED_TRACE(s);
    const Folded folded = expect_fold({.body = chain(s)}, 1e-3);
    const bool negated = std::string(s).find("sub(%ob4") != std::string::npos;
    EXPECT_EQ(weight_type(*folded.model)->per_tensor(), true) << negated;
  }
}

TEST(FoldQatBatchNorm, ScalesBecomeOnePerChannel) {
  // A batch norm alone: a_c = gamma / sigma goes into the weight scales.
  const Folded folded = expect_fold({.body = "  %out = batch_norm(%y, %gamma, %beta, %mean, %var)\n"});
  const QuantType* type = weight_type(*folded.model);
  EXPECT_EQ(type->axis, 0);
  const auto params = quant_params(*folded.model->context, *type, std::vector<int64_t>{4, 3, 3, 3});
  ASSERT_TRUE(params.ok());
  EXPECT_NEAR(params->scales[1], 0.008 * 1.25 / std::sqrt(1.5 + 1e-5), 1e-9);
  EXPECT_EQ(first_of(*folded.model, ops::conv2d)->operand(2)->def()->operand(0)->type().quant->axis, 0);
}

TEST(FoldQatBatchNorm, OneFactorForAllChannelsKeepsOneScale) {
  const Folded folded = expect_fold(
      {.body = "  %two = const @two\n  %ob4 = const @ob4\n  %d = mul(%y, %two)\n  %out = add(%d, %ob4)\n",
       .constants = "@two = f32[1,4,1,1] [2,2,2,2]\n@ob4 = f32[1,4,1,1] [0.2,-0.1,0.4,-0.3]\n"});
  EXPECT_TRUE(weight_type(*folded.model)->per_tensor());
  EXPECT_DOUBLE_EQ(weight_type(*folded.model)->scale, 0.016);
}

TEST(FoldQatBatchNorm, NoAffineAndTwoInARow) {
  expect_fold({.body = "  %out = batch_norm(%y, _, _, %mean, %var)\n"});
  auto model = parse(ChainText{.body = "  %n = batch_norm(%y, %gamma, %beta, %mean, %var)\n  %out = "
                                       "batch_norm(%n, %beta, %gamma, %ob, %var)\n"}
                         .text());
  auto reference = parse(ChainText{.body = "  %n = batch_norm(%y, %gamma, %beta, %mean, %var)\n  %out = "
                                           "batch_norm(%n, %beta, %gamma, %ob, %var)\n"}
                             .text(false));
  const auto inputs = inputs_for(*model);
  run_pass(*model, kFoldQatBatchNormPass);
  EXPECT_EQ(count_op(*model, ops::batch_norm), 0u);
  EXPECT_LT(largest_difference(run_model(*reference, inputs)[0], run_model(*model, inputs)[0]), 3e-4);
}

TEST(FoldQatBatchNorm, NegativeAndZeroGamma) {
  ChainText t{.body = "  %g = const @g\n  %out = batch_norm(%y, %g, %beta, %mean, %var)\n",
              .constants = "@g = f32[4] [-0.75,0.0,0.5,-1.5]\n"};
  const Folded folded = expect_fold(t);
  const Node* conv = first_of(*folded.model, ops::conv2d);
  const auto weight =
      constant_tensor(*folded.model->context, *conv->operand(1)->def()->operand(0)->def()->constant());
  const auto source = constant_tensor(*folded.model->context, *folded.model->context->find_constant("w"));
  for (int64_t i = 0; i < weight->elements(); ++i) {
    const int64_t channel = i / 27;
    const int64_t wanted = channel == 1 ? 0 : channel == 2 ? source->get_int(i) : -source->get_int(i);
    ASSERT_EQ(weight->get_int(i), wanted) << i;
  }
}

TEST(FoldQatBatchNorm, ZeroGammaCancels) {
  // The archive computes 0 / 0 in channel 1, whose weights are zero; folded, that channel is beta.
  ChainText t{.body =
                  "  %g = const @g\n  %ve = add(%var, 0.00001)\n  %sd = sqrt(%ve)\n  %s = div(%g, %sd)\n  "
                  "%s4 = reshape(%s) {shape: [1,-1,1,1]}\n"
                  "  %u = div(%y, %s4)\n  %out = batch_norm(%u, %g, %beta, %mean, %var)\n",
              .weight = "i8<-127:127>(axis 0: @ws)",
              .constants = "@g = f32[4] [0.75,0.0,0.5,1.5]\n"};
  auto model = parse(t.text());
  const Records records = run_pass(*model, kFoldQatBatchNormPass);
  ASSERT_EQ(records.rewrites.size(), 1u);
  EXPECT_EQ(count_op(*model, ops::batch_norm), 0u);
  // With weights in that channel a is still 1: gamma cancels as a symbol.
  EXPECT_NE(records.rewrites[0].note.find("weights kept"), std::string::npos) << records.rewrites[0].note;
}

// -128 has no negative in i8: the channel is mirrored about the middle of its range, with the zero point, and
// stays exact. A target without zero points keeps the batch norm.
TEST(FoldQatBatchNorm, SignThatDoesNotFit) {
  ChainText t{.body = "  %g = const @g\n  %out = batch_norm(%y, %g, %beta, %mean, %var)\n",
              .weight = "i8<-128:127>(0.008, 0)",
              .constants = "@g = f32[4] [-0.75,-0.1,-0.5,-1.5]\n"};
  t.conv_attrs = "";
  t.weight_shape = "[4,1,1,1]";
  t.input_shape = "[2,1,4,4]";
  const auto text = [&](bool middle) {
    std::string all = t.text(middle);
    return all.replace(all.find("random 5 in -127..127"), 21, "[-128,1,2,3]");
  };
  auto model = parse(text(true)), wanted = parse(text(false));
  const Records records = run_pass(*model, kFoldQatBatchNormPass);
  ASSERT_EQ(records.rewrites.size(), 1u) << records.kept[0].text;
  EXPECT_EQ(count_op(*model, ops::batch_norm), 0u);
  const auto params = quant_params(*model->context, *weight_type(*model), std::vector<int64_t>{4, 1, 1, 1});
  ASSERT_TRUE(params.ok());
  EXPECT_EQ(params->zero_points, (std::vector<int64_t>{-1, 0, 0, 0}));
  const auto inputs = inputs_for(*model);
  EXPECT_LT(largest_difference(run_model(*wanted, inputs)[0], run_model(*model, inputs)[0]), 1e-4);

  auto symmetric = Backend::parse(
      "backend s version 1\ntype act = i8 affine per-tensor\n"
      "type w = i8 symmetric per-tensor | i8 symmetric per-axis out\n"
      "types t {\n  x: act\n  w: w\n  b: i32 | f32\n  y: act\n}\n"
      "pattern conv : conv2d\n  types t\n",
      "s");
  ASSERT_TRUE(symmetric.ok());
  auto kept = parse(text(true));
  const Records refused = run_pass(*kept, kFoldQatBatchNormPass, symmetric->get());
  ASSERT_EQ(refused.kept.size(), 1u);
  EXPECT_EQ(refused.kept[0].clause, "backend.weight") << refused.kept[0].text;
  EXPECT_EQ(count_op(*kept, ops::batch_norm), 1u);
}

TEST(FoldQatBatchNorm, BiasOfEveryKind) {
  expect_fold({.body = kDivAdd, .bias = "%ob"});
  ChainText integer{.body = kDivAdd, .bias = "%ibd"};
  std::string text = integer.text();
  const auto add = [](std::string t) {
    t.insert(t.find("  %c = "), "  %ib = const @ib : i32(0.0001, 0)[4]\n  %ibd = dequantize(%ib)\n");
    return t;
  };
  auto model = parse(add(text)), reference = parse(add(integer.text(false)));
  const auto inputs = inputs_for(*model);
  run_pass(*model, kFoldQatBatchNormPass);
  EXPECT_EQ(count_op(*model, ops::batch_norm), 0u);
  EXPECT_LT(largest_difference(run_model(*reference, inputs)[0], run_model(*model, inputs)[0]), 2e-4);
}

TEST(FoldQatBatchNorm, TinyUnitsMakeWeightsCoarser) {
  // gamma of 1e-9 leaves units in which the bias does not fit int32: saturating would lose it.
  ChainText t{.body = "  %g = const @g\n  %out = batch_norm(%y, %g, %beta, %mean, %var)\n",
              .constants = "@g = f32[4] [1e-9,1e-9,1e-9,1.0]\n"};
  const Folded folded = expect_fold(t);
  EXPECT_NE(folded.records.rewrites[0].note.find("coarser weights so that the bias fits int32: 3"),
            std::string::npos)
      << folded.records.rewrites[0].note;
  EXPECT_TRUE(folded.records.warnings.empty());
}

TEST(FoldQatBatchNorm, OtherConvolutions) {
  const std::string norm = "  %out = batch_norm(%y, %gamma, %beta, %mean, %var)\n";
  expect_fold({.body = norm,
               .convolution = "conv_transpose2d",
               .conv_attrs = "{stride: [2,2]}",
               .weight_shape = "[3,4,3,3]"});
  expect_fold({.body = norm,
               .convolution = "conv1d",
               .conv_attrs = "",
               .weight_shape = "[4,3,3]",
               .input_shape = "[2,3,8]"});
  expect_fold({.body = norm,
               .convolution = "conv3d",
               .conv_attrs = "",
               .weight_shape = "[4,3,2,2,2]",
               .input_shape = "[1,3,3,4,4]"});
  expect_fold({.body = norm,
               .conv_attrs = "{groups: 4, padding: [1,1]}",
               .weight_shape = "[4,1,3,3]",
               .input_shape = "[2,4,4,4]"});
  expect_fold({.body = norm, .conv_attrs = "{pad_mode: \"same\", dilation: [2,2]}"});
  expect_fold({.body = norm,
               .convolution = "linear",
               .conv_attrs = "",
               .weight_shape = "[4,6]",
               .input_shape = "[5,6]"});
  expect_fold({.body = norm, .weight = "i8<-127:127>(axis 0: @ws)"});
  expect_fold({.body = norm,
               .weight = "i8<-127:127>(axis 1: @ws)",
               .convolution = "conv_transpose2d",
               .conv_attrs = "",
               .weight_shape = "[3,4,3,3]"});
}

TEST(FoldQatBatchNorm, GroupsOfTransposedConvolutions) {
  // Both groups share the weight's channel dim; a scale of their own makes them blocks.
  const Folded folded = expect_fold({.body = "  %out = batch_norm(%y, %gamma, %beta, %mean, %var)\n",
                                     .convolution = "conv_transpose2d",
                                     .conv_attrs = "{groups: 2, stride: [2,2]}",
                                     .weight_shape = "[6,2,3,3]",
                                     .input_shape = "[2,6,4,4]"});
  const QuantType* type = weight_type(*folded.model, ops::conv_transpose2d);
  ASSERT_TRUE(type->per_block());
  EXPECT_EQ(type->block.vec(), (std::vector<int64_t>{3, 1, 0, 0}));
}

TEST(FoldQatBatchNorm, DecomposedLinear) {
  const ChainText t{.body = "  %out = batch_norm(%y, %gamma, %beta, %mean, %var)\n",
                    .convolution = "linear",
                    .conv_attrs = "",
                    .weight_shape = "[4,6]",
                    .input_shape = "[5,6]"};
  const std::string products[] = {"  %wt = permute(%wd) {dims: [1,0]}\n  %c = addmm(%ob, %xd, %wt)",
                                  "  %wt = permute(%wd) {dims: [1,0]}\n  %c = matmul(%xd, %wt)"};
  for (const std::string& product : products) {
    SCOPED_TRACE(product);
    const auto text = [&](bool middle) {
      std::string s = t.text(middle);
      return s.replace(s.find("  %c = linear(%xd, %wd)"), 23, product);
    };
    auto model = parse(text(true)), reference = parse(text(false));
    const auto inputs = inputs_for(*model);
    run_pass(*model, kFoldQatBatchNormPass);
    EXPECT_EQ(count_op(*model, ops::batch_norm), 0u) << print(*model);
    EXPECT_EQ(count_op(*model, ops::addmm), 1u);
    EXPECT_LT(largest_difference(run_model(*reference, inputs)[0], run_model(*model, inputs)[0]), 2e-4)
        << print(*model);
  }
}

TEST(FoldQatBatchNorm, LinearOfRankThreeHasOtherChannels) {
  expect_refusal({.body = "  %out = batch_norm(%y, %gamma, %beta, %mean, %var)\n",
                  .convolution = "linear",
                  .conv_attrs = "",
                  .weight_shape = "[4,6]",
                  .input_shape = "[5,4,6]"},
                 "channel-axis");
}

TEST(FoldQatBatchNorm, WrittenOut) {
  const std::string body = std::string(kScale) +
                           "  %m4 = reshape(%mean) {shape: [1,-1,1,1]}\n  %b4 = reshape(%beta) {shape: "
                           "[1,-1,1,1]}\n  %g4 = reshape(%gamma) {shape: [1,-1,1,1]}\n"
                           "  %i = rsqrt(%ve)\n  %i4 = reshape(%i) {shape: [1,-1,1,1]}\n"
                           "  %d = div(%y, %s4)\n  %u = add(%d, %ob4)\n  %z = sub(%u, %m4)\n  %zi = mul(%z, "
                           "%i4)\n  %zg = mul(%zi, %g4)\n  %out = add(%zg, %b4)\n";
  expect_fold({.body = body});
  // A product with one number is no batch norm.
  auto model = parse(ChainText{.body = "  %z = mul(%y, 0.5)\n  %out = add(%z, 1.0)\n"}.text());
  const Records records = run_pass(*model, kFoldQatBatchNormPass);
  EXPECT_TRUE(records.rewrites.empty());
  EXPECT_TRUE(records.kept.empty());
}

TEST(FoldQatBatchNorm, FloatInputGetsFloatBias) {
  std::string text = ChainText{.body = "  %out = batch_norm(%y, %gamma, %beta, %mean, %var)\n"}.text();
  text.replace(text.find("conv2d(%xd"), 10, "conv2d(%x");
  auto model = parse(text);
  ASSERT_TRUE(model);
  run_pass(*model, kFoldQatBatchNormPass);
  EXPECT_EQ(count_op(*model, ops::batch_norm), 0u);
  EXPECT_EQ(first_of(*model, ops::conv2d)->operand(2)->def()->constant()->dtype, DType::F32);
}

TEST(FoldQatBatchNorm, SharedConstantsAreCopied) {
  // Two convolutions share weight and bias; each gets its own.
  std::string text = ChainText{.body =
                                   "  %out = batch_norm(%y, %gamma, %beta, %mean, %var)\n  %c2 = conv2d(%xd, "
                                   "%wd, %ob) {padding: [1,1]}\n"
                                   "  %out2 = batch_norm(%c2, %beta, %gamma, %mean, %var)\n",
                               .bias = "%ob",
                               .outputs = ", %out2"}
                         .text();
  auto model = parse(text), reference = parse(text);
  const auto inputs = inputs_for(*model);
  const Records records = run_pass(*model, kFoldQatBatchNormPass);
  EXPECT_EQ(records.rewrites.size(), 2u);
  EXPECT_EQ(count_op(*model, ops::batch_norm), 0u);
  EXPECT_LT(largest_difference(run_model(*reference, inputs)[1], run_model(*model, inputs)[1]), 2e-4);
}

TEST(FoldQatBatchNorm, RefusesOtherReaders) {
  expect_refusal({.body = kDivAdd, .outputs = ", %y"}, "one-use");
  expect_refusal({.body = kDivAdd + "  %r = relu(%c)\n", .outputs = ", %r"}, "one-use");
  expect_refusal({.body = kDivAdd + "  %r = relu(%d)\n", .outputs = ", %r"}, "one-use");
}

TEST(FoldQatBatchNorm, RefusesWhatIsNoChain) {
  expect_refusal({.body = "  %out = batch_norm(%y, %gamma, %beta, %mean, %var) {training: true}\n"},
                 "training");
  expect_refusal({.body = chain("  %d = div(%y, %s4) {rounding_mode: \"floor\"}\n  %u = add(%d, %ob4)\n")},
                 "rounding");
  expect_refusal(
      {.body = chain("  %d = div(%y, %s4)\n  %u = add(%d, %dyn)\n"), .inputs = ", %dyn: f32[1,4,1,1]"},
      "constant-operand");
  expect_refusal({.body = chain("  %d = div(%y, %s4)\n  %v = relu(%d)\n  %u = add(%v, %ob4)\n")}, "affine");
  // The width is 4 as the channels are.
  expect_refusal(
      {.body = chain("  %sw = reshape(%s) {shape: [1,1,1,-1]}\n  %d = div(%y, %sw)\n  %u = add(%d, %ob4)\n")},
      "channel-axis");
  expect_refusal({.body = chain("  %d = div(%y, %s4)\n  %u = add(%d, %ob)\n")}, "channel-axis");
}

TEST(FoldQatBatchNorm, RefusesWeightsItCannotChange) {
  std::string text = ChainText{.body = kDivAdd, .inputs = ", %wf: f32[4,3,3,3]"}.text();
  text.replace(text.find("  %w = const @w : i8<-127:127>(0.008, 0)[4,3,3,3]"), 49,
               "  %w = quantize(%wf) : i8<-127:127>(0.008, 0)");
  auto model = parse(text);
  ASSERT_TRUE(model);
  const Records records = run_pass(*model, kFoldQatBatchNormPass);
  ASSERT_EQ(records.kept.size(), 1u);
  EXPECT_EQ(records.kept[0].clause, "constant-weight");
}

TEST(FoldQatBatchNorm, RefusesClamps) {
  // The zero point is qmin: every negative value is cut.
  expect_refusal({.body = kDivAdd, .middle = "i8(0.03, -128)"}, "clip");
  // An eighth of the range.
  expect_refusal({.body = kDivAdd, .middle = "i8(0.002, 0)"}, "clip");
  // One-sided, but no accumulator is negative: all weights and inputs are positive.
  std::string text = ChainText{.body = kDivAdd, .middle = "i8(0.5, -128)"}.text();
  text.replace(text.find("random 5 in -127..127"), 21, "random 5 in 0..127");
  text.replace(text.find("i8(0.03, 9)"), 11, "i8(0.03, -128)");
  auto model = parse(text);
  EXPECT_EQ(run_pass(*model, kFoldQatBatchNormPass).rewrites.size(), 1u);
}

// What decides where samples and statistics are missing: weights and the range of the input.
TEST(FoldQatBatchNorm, NaturalSizeDecidesWithoutStatistics) {
  const std::string body = std::string(kScale) + "  %d = mul(%y, %s4)\n  %out = add(%d, %ob4)\n";
  expect_fold({.body = body, .middle = "i8(0.12, -4)"});
  expect_refusal({.body = body, .middle = "i8(0.004, 0)"}, "clip");    // a small part of the natural size
  expect_refusal({.body = body, .middle = "i8(0.06, -128)"}, "clip");  // one sign
  // Statistics that do not describe the data do not outweigh it.
  expect_fold({.body = "  %m1 = const @m1\n  %out = batch_norm(%y, %gamma, %beta, %m1, %var)\n",
               .constants = "@m1 = f32[4] [12.0,3.0,-2.0,14.0]\n"});
  // Statistics as a batch norm starts with them describe nothing, however far they are from the range.
  ChainText untrained{.body =
                          "  %m1 = const @m1\n  %v1 = const @v1\n"
                          "  %out = batch_norm(%y, %gamma, %beta, %m1, %v1)\n",
                      .middle = "i8(0.003, -4)",
                      .weight = "i8<-127:127>(0.0002, 0)",
                      .constants = "@m1 = f32[4] [0,0,0,0]\n@v1 = f32[4] [1,1,1,1]\n"};
  expect_fold(untrained);
  untrained.constants = "@m1 = f32[4] [0,0.1,0,0]\n@v1 = f32[4] [1,1,1,1]\n";
  expect_refusal(untrained, "clip");
  // A float input says nothing.
  std::string text = ChainText{.body = body}.text();
  text.replace(text.find("conv2d(%xd"), 10, "conv2d(%x");
  auto model = parse(text);
  const Records records = run_pass(*model, kFoldQatBatchNormPass);
  ASSERT_EQ(records.kept.size(), 1u);
  EXPECT_NE(records.kept[0].text.find("sample inputs would decide"), std::string::npos)
      << records.kept[0].text;
}

TEST(FoldQatBatchNorm, ShiftsAloneAreABatchNormLeftover) {
  expect_fold({.body = std::string(kScale) + "  %out = add(%y, %ob4)\n"});
  // One number for all is arithmetic of the network.
  auto model = parse(ChainText{.body = "  %out = add(%y, 0.5)\n"}.text());
  EXPECT_TRUE(run_pass(*model, kFoldQatBatchNormPass).rewrites.empty());
}

TEST(FoldQatBatchNorm, GoesOnBehindTheBatchNorm) {
  const std::string norm = "  %n = batch_norm(%y, %gamma, %beta, %mean, %var)\n";
  expect_fold({.body = norm + "  %h = mul(%n, 0.5)\n  %out = sub(1.0, %h)\n"});
  expect_fold({.body = norm + "  %out = batch_norm(%n, %beta, %gamma, %mean, %var)\n"});
  // What cannot go along stays behind: the width is 4 as the channels are.
  auto model = parse(ChainText{.body = norm + "  %out = mul(%n, %ob)\n"}.text());
  EXPECT_EQ(run_pass(*model, kFoldQatBatchNormPass).rewrites.size(), 1u);
  EXPECT_EQ(count_op(*model, ops::batch_norm), 0u);
  EXPECT_EQ(count_op(*model, ops::mul), 1u);
}

// What quantizers leave wholly float: the weight is multiplied.
TEST(FoldQatBatchNorm, FloatWeights) {
  for (const char* convolution :
       {"conv2d(%x, %wf)", "conv2d(%xd, %wf)", "conv_transpose2d(%x, %wf) {groups: 2}"}) {
    const bool groups = std::string(convolution).find("groups") != std::string::npos;
    const std::string text = std::string("zp 1\n@wf = f32") + (groups ? "[4,2,3,3]" : "[4,4,3,3]") +
                             " random 5 in -1..1\n@g = f32[4] [0.75,-1.25,0.5,1.5]\n@b = f32[4] "
                             "[0.3,-0.2,0.1,0.6]\n@v = f32[4] [0.6,1.5,0.9,1.2]\n"
                             "graph main(%x: f32[2,4,4,4]) -> (%out) {\n  %q = quantize(%x) : i8(0.03, 9)\n"
                             "  %xd = dequantize(%q)\n  %wf = const @wf\n  %g = const @g\n  %b = const @b\n"
                             "  %v = const @v\n  %c = " +
                             convolution + "\n  %out = batch_norm(%c, %g, %b, %b, %v)\n}\n";
    SCOPED_TRACE(text);
    auto model = parse(text), archive = parse(text);
    ASSERT_TRUE(model);
    const Records records = run_pass(*model, kFoldQatBatchNormPass);
    ASSERT_EQ(records.rewrites.size(), 1u) << records.kept[0].text;
    EXPECT_EQ(count_op(*model, ops::batch_norm), 0u);
    const auto inputs = inputs_for(*model);
    const double moved = largest_difference(run_model(*archive, inputs)[0], run_model(*model, inputs)[0]);
    EXPECT_LE(moved, records.rewrites[0].max_abs_change);
    EXPECT_LT(moved, 1e-4);
  }
}

// A backend that names its weights: transposed weights of decomposed linears are asked for as the operand has
// them, blocks of grouped transposed convolutions as one scale an output channel.
TEST(FoldQatBatchNorm, AsksTheBackendForWhatTheOperandHas) {
  auto cpu = Backend::load("cpu");
  ASSERT_TRUE(cpu.ok());
  const std::string norm = "  %out = batch_norm(%y, %gamma, %beta, %mean, %var)\n";
  std::string product = ChainText{.body = norm,
                                  .convolution = "linear",
                                  .conv_attrs = "",
                                  .weight_shape = "[4,6]",
                                  .input_shape = "[5,6]"}
                            .text();
  product.replace(product.find("  %c = linear(%xd, %wd)"), 23,
                  "  %wt = permute(%wd) {dims: [1,0]}\n  %c = addmm(%ob, %xd, %wt)");
  const std::string groups = ChainText{.body = norm,
                                       .convolution = "conv_transpose2d",
                                       .conv_attrs = "{groups: 2, stride: [2,2]}",
                                       .weight_shape = "[6,2,3,3]",
                                       .input_shape = "[2,6,4,4]"}
                                 .text();
  for (const std::string& text : {product, groups}) {
    auto model = parse(text);
    const Records records = run_pass(*model, kFoldQatBatchNormPass, cpu->get());
    EXPECT_EQ(records.rewrites.size(), 1u) << text << (records.kept.empty() ? "" : records.kept[0].text);
  }
}

TEST(FoldQatBatchNorm, SamplesDecideBeforeStatistics) {
  // The running statistics say nothing of the data: samples do.
  ChainText t{.body = kDivAdd, .middle = "i8(0.03, -128)"};
  auto probe = parse(t.text());
  const Sample sample = inputs_for(*probe, 3);
  expect_refusal(t, "clip", std::span<const Sample>(&sample, 1));
  t.middle = "i8(0.2, -70)";
  auto model = parse(t.text());
  const Records records =
      run_pass(*model, kFoldQatBatchNormPass, nullptr, std::span<const Sample>(&sample, 1));
  ASSERT_EQ(records.rewrites.size(), 1u);
  EXPECT_NE(records.rewrites[0].note.find("measured"), std::string::npos);
}

TEST(FoldQatBatchNorm, LinearInTheGraph) {
  std::string text =
      "zp 1\n@w = i8[2,2,1,1] [5,-7,9,11]\n@g = f32[2] [0.5,0.75]\n@v = f32[2] [1.0,2.0]\ngraph main(%x: "
      "f32[1,2,2,2]) -> (%last) {\n"
      "  %w = const @w : i8(0.01, 0)[2,2,1,1]\n  %g = const @g\n  %v = const @v\n  %n0 = identity(%x)\n";
  constexpr int kBlocks = 2000;
  for (int i = 0; i < kBlocks; ++i) {
    const std::string k = std::to_string(i), next = std::to_string(i + 1);
    text += "  %q" + k + " = quantize(%n" + k + ") : i8(0.02, 1)\n  %d" + k + " = dequantize(%q" + k +
            ")\n  %wd" + k + " = dequantize(%w)\n  %c" + k + " = conv2d(%d" + k + ", %wd" + k + ")\n  %n" +
            next + " = batch_norm(%c" + k + ", %g, %g, %g, %v)\n";
  }
  text += "  %last = identity(%n" + std::to_string(kBlocks) + ")\n}\n";
  auto model = parse(text);
  EXPECT_EQ(run_pass(*model, kFoldQatBatchNormPass).rewrites.size(), static_cast<size_t>(kBlocks));
}

TEST(PrepareBias, FloatMissingAndForeignScales) {
  const std::string body = "  %out = relu(%y)\n";
  for (const std::string bias : {"", "%ob"}) {
    const ChainText t{.body = body, .bias = bias};
    auto model = parse(t.text()), reference = parse(t.text());
    const auto inputs = inputs_for(*model);
    const Records records = run_pass(*model, kPrepareBiasPass);
    ASSERT_EQ(records.rewrites.size(), 1u);
    const Node* conv = first_of(*model, ops::conv2d);
    ASSERT_NE(conv->operand(2), nullptr);
    EXPECT_EQ(conv->operand(2)->def()->operand(0)->type().quant->storage, DType::I32);
    EXPECT_LE(largest_difference(run_model(*reference, inputs)[0], run_model(*model, inputs)[0]),
              records.rewrites[0].max_abs_change + 0.06);
    EXPECT_TRUE(run_pass(*model, kPrepareBiasPass).rewrites.empty());
  }
}

TEST(PrepareBias, SaturatesWithAWarning) {
  const ChainText t{.body = "  %out = relu(%y)\n", .weight = "i8<-127:127>(1e-12, 0)", .bias = "%ob"};
  auto model = parse(t.text());
  const Records records = run_pass(*model, kPrepareBiasPass);
  ASSERT_EQ(records.warnings.size(), 1u);
  const Node* conv = first_of(*model, ops::conv2d);
  const auto bias = constant_tensor(*model->context, *conv->operand(2)->def()->operand(0)->def()->constant());
  EXPECT_EQ(bias->get_int(0), INT32_MAX);  // never a flipped sign
  EXPECT_EQ(bias->get_int(1), INT32_MIN);
}

}  // namespace
}  // namespace zp
