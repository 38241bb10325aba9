// cleanup: every bit of every output stays, and what it should remove is gone.
#include "passes/cleanup/cleanup.h"

#include <gtest/gtest.h>

#include "ops/ops.h"
#include "qat_util.h"

namespace zp {
namespace {

using namespace test;

// Runs cleanup and checks that outputs keep their bits and that a second run changes nothing.
std::unique_ptr<Model> expect_clean(const std::string& text) {
  auto model = parse(text), reference = parse(text);
  if (!model || !reference) return nullptr;
  const auto inputs = inputs_for(*model);
  run_pass(*model, kCleanupPass);
  const auto before = run_model(*reference, inputs), after = run_model(*model, inputs);
  EXPECT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size() && i < after.size(); ++i) {
    EXPECT_EQ(before[i].dtype(), after[i].dtype());
    EXPECT_EQ(before[i].shape(), after[i].shape());
    EXPECT_EQ(std::memcmp(before[i].data<std::byte>(), after[i].data<std::byte>(),
                          static_cast<size_t>(before[i].bytes())),
              0)
        << print(*model);
  }
  const uint64_t changes = model->context->changes();
  run_pass(*model, kCleanupPass);
  EXPECT_EQ(model->context->changes(), changes) << "a second run changes the graph\n" << print(*model);
  return model;
}

TEST(Cleanup, FoldsConstantsAndDeadCode) {
  auto m = expect_clean(
      "zp 1\n@g = f32[4] [1,2,3,4]\n@v = f32[4] [1,4,9,16]\ngraph main(%x: f32[1,4,2,2]) -> (%y) {\n"
      "  %g = const @g\n  %v = const @v\n  %a = add(%v, 0.5)\n  %s = sqrt(%a)\n  %d = div(%g, %s)\n  %r = "
      "reshape(%d) {shape: [1,-1,1,1]}\n"
      "  %dead = relu(%x)\n  %y = mul(%x, %r)\n}\n");
  EXPECT_EQ(m->graph->node_count(), 2u) << print(*m);  // the constant and the product
}

TEST(Cleanup, IntegersDoNotBecomeFloats) {
  auto m = expect_clean(
      "zp 1\n@w = i8[2,2] [1,2,3,4]\ngraph main(%x: f32[1,2]) -> (%y) {\n  %w = const @w : i8(0.5, 0)[2,2]\n "
      " %d = dequantize(%w)\n  %y = linear(%x, %d)\n}\n");
  EXPECT_EQ(count_op(*m, ops::dequantize), 1u);
}

TEST(Cleanup, QuantizedWeightsFoldToIntegers) {
  auto m = expect_clean(
      "zp 1\n@w = f32[2,2] [0.1,-0.2,0.3,0.55]\n@s = f32[2,1] [2,0.5]\ngraph main(%x: f32[1,2]) -> (%y) {\n"
      "  %w = const @w\n  %s = const @s\n  %ws = mul(%w, %s)\n  %q = quantize(%ws) : i8<-127:127>(0.01, 0)\n"
      "  %f = dequantize(%q)\n  %y = linear(%x, %f)\n}\n");
  EXPECT_EQ(count_op(*m, ops::quantize), 0u);
  const Node* dequantize = first_of(*m, ops::dequantize);
  ASSERT_NE(dequantize, nullptr);
  EXPECT_EQ(dequantize->operand(0)->def()->constant()->dtype, DType::I8);
  EXPECT_EQ(dequantize->operand(0)->type().quant->qmin, -127);
}

TEST(Cleanup, ParametersComputedFromConstants) {
  auto m = expect_clean(
      "zp 1\n@s = f32[1] [0.01]\n@z = i32[1] [3]\ngraph main(%x: f32[2,3]) -> (%y) {\n  %s = const @s\n  %t "
      "= mul(%s, 2.0)\n"
      "  %z = const @z\n  %q = quantize(%x, %t, %z) : u8(dynamic)\n  %d = dequantize(%q, %t, %z)\n  %y = "
      "relu(%d)\n}\n");
  if (!m) return;
  const Node* quantize = first_of(*m, ops::quantize);
  ASSERT_NE(quantize, nullptr);
  EXPECT_FALSE(quantize->result()->type().quant->dynamic) << print(*m);
  EXPECT_EQ(quantize->result()->type().quant->zero_point, 3);
}

TEST(Cleanup, IdentitiesKeepNegativeZero) {
  auto m = expect_clean(
      "zp 1\ngraph main(%x: f32[2,3]) -> (%a, %b, %c, %d, %e) {\n  %a = add(%x, 0.0)\n  %b = add(%x, -0.0)\n "
      " %c = mul(%x, 1.0)\n  %d = sub(%x, 0.0)\n"
      "  %i = identity(%x)\n  %r = reshape(%i) {shape: [2,3]}\n  %e = permute(%r) {dims: [0,1]}\n}\n");
  EXPECT_EQ(count_op(*m, ops::add), 1u) << print(*m);  // x + 0.0 turns -0.0 into 0.0
  EXPECT_EQ(count_op(*m, ops::mul) + count_op(*m, ops::sub) + count_op(*m, ops::reshape) +
                count_op(*m, ops::permute),
            0u);
}

TEST(Cleanup, EqualComputationsMerge) {
  auto m = expect_clean(
      "zp 1\n@c = f32[3] [1,2,3]\ngraph main(%x: f32[2,3]) -> (%a, %b, %c) {\n  %k = const @c\n  %l = const "
      "@c\n  %p = mul(%x, %k)\n  %q = mul(%x, %l)\n"
      "  %a = relu(%p)\n  %b = relu(%q)\n  %c = relu(%x)\n}\n");
  EXPECT_EQ(count_op(*m, ops::mul), 1u);
  EXPECT_EQ(count_op(*m, ops::relu), 2u);
}

TEST(Cleanup, QuantizingTwiceTheSameWay) {
  auto m = expect_clean(
      "zp 1\ngraph main(%x: f32[2,3]) -> (%y) {\n  %q = quantize(%x) : i8(0.02, 1)\n  %d = dequantize(%q)\n  "
      "%q2 = quantize(%d) : i8(0.02, 1)\n  %d2 = dequantize(%q2)\n"
      "  %q3 = quantize(%d2) : i8(0.03, 1)\n  %y = dequantize(%q3)\n}\n");
  EXPECT_EQ(count_op(*m, ops::quantize), 2u) << print(*m);
}

TEST(Cleanup, CountersNobodyReads) {
  const std::string text =
      "zp 1\n@n = buffer i64[] 5\n@m = buffer i64[] 2\ngraph main(state %n = @n: i64[], state %m = @m: "
      "i64[], %x: f32[2]) -> (update %n: %n1, update %m: %m1, %y) {\n"
      "  %n1 = add(%n, 1)\n  %m1 = add(%m, 1)\n  %f = cast(%m1) {dtype: f32}\n  %y = mul(%x, %f)\n}\n";
  auto m = expect_clean(text);
  if (!m) return;
  ASSERT_EQ(m->inputs.size(), 2u) << print(*m);  // %m is read by %y and stays
  EXPECT_EQ(m->outputs.size(), 2u);
  EXPECT_EQ(m->graph->inputs()[0]->name(), "m");
  EXPECT_EQ(m->outputs[0].target, 0);
}

}  // namespace
}  // namespace zp
