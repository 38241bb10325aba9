// fold-qat-batch-norm where the weight is the question: its granularity, and what stands between its constant
// and the convolution.
#include "qat_chain.h"

namespace zp {
namespace {

using namespace test;

// Scales along the inputs of a product give its sums no common unit: what leaves the weights alone folds into
// a float bias, what would change them stays.
TEST(FoldQatWeight, ScalesAlongTheInputs) {
  ChainText transposed{.body = kDivAdd,
                       .weight = "i8<-127:127>(axis 0: @w3)",
                       .constants = "@w3 = f32[3] [0.008,0.004,0.009]\n",
                       .convolution = "conv_transpose2d",
                       .conv_attrs = "",
                       .weight_shape = "[3,4,3,3]"};
  const Folded folded = expect_fold(transposed, 1e-5);
  EXPECT_TRUE(first_of(*folded.model, ops::conv_transpose2d)->operand(2)->def()->is(kConstOp));
  EXPECT_EQ(weight_type(*folded.model, ops::conv_transpose2d)->axis, 0);
  transposed.body = "  %out = batch_norm(%y, %gamma, %beta, %mean, %var)\n";
  expect_refusal(transposed, "weight-axis");
  expect_fold({.body = "  %ve = add(%var, 0.00001)\n  %sd = sqrt(%ve)\n  %s = div(%gamma, %sd)\n"
                       "  %d = div(%y, %s)\n  %u = add(%d, %ob)\n  %out = batch_norm" +
                       std::string(kNorm),
               .weight = "i8<-127:127>(axis 1: @w6)",
               .constants = "@w6 = f32[6] [0.008,0.004,0.009,0.01,0.002,0.005]\n",
               .convolution = "linear",
               .conv_attrs = "",
               .weight_shape = "[4,6]",
               .input_shape = "[5,6]"},
              1e-5);
}

// Shape operators between a weight's dequantize and its convolution are carried out first.
TEST(FoldQatWeight, ReshapedWeights) {
  struct Case {
    const char* shape;    // of the stored weight
    const char* type;     // of the stored weight
    const char* moves;    // %wd to %wm
    const char* product;  // of %xd and %wm
    const char* input;
  };
  const Case cases[] = {{"[6,4]", "i8<-127:127>(axis 1: @ws)", "  %wm = permute(%wd) {dims: [1,0]}\n",
                         "linear(%xd, %wm)", "[5,6]"},
                        {"[3,4,3]", "i8<-127:127>(axis 1: @ws)",
                         "  %wp = permute(%wd) {dims: [1,0,2]}\n  %wm = reshape(%wp) {shape: [4,3,1,3]}\n",
                         "conv2d(%xd, %wm)", "[2,3,4,4]"},
                        {"[4,3,3,3]", "i8<-127:127>(axis 0: @ws)", "  %wm = permute(%wd) {dims: [1,0,2,3]}\n",
                         "conv_transpose2d(%xd, %wm)", "[2,3,4,4]"}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.product);
    const ChainText t{.body = "  %out = batch_norm(%y, %gamma, %beta, %mean, %var)\n",
                      .weight = c.type,
                      .weight_shape = c.shape,
                      .input_shape = c.input};
    const auto text = [&](bool middle) {
      std::string s = t.text(middle);
      const size_t at = s.find("  %c = "), end = s.find('\n', at);
      return s.replace(at, end - at, std::string(c.moves) + "  %c = " + c.product);
    };
    auto model = parse(text(true)), reference = parse(text(false));
    const auto inputs = inputs_for(*model);
    const Records records = run_pass(*model, kFoldQatBatchNormPass);
    EXPECT_EQ(count_op(*model, ops::batch_norm), 0u) << print(*model);
    EXPECT_TRUE(records.kept.empty());
    EXPECT_LT(largest_difference(run_model(*reference, inputs)[0], run_model(*model, inputs)[0]), 2e-4)
        << print(*model);
  }
}

}  // namespace
}  // namespace zp
