// The chains that tests of fold-qat-batch-norm are made of: a quantized convolution as text with anything
// behind it, and what must hold of a fold and of a refusal.
#pragma once

#include "ops/ops.h"
#include "passes/cleanup/cleanup.h"
#include "passes/qat/qat.h"
#include "qat_util.h"

namespace zp::test {

// conv2d 3 -> 4 channels with quantized input and weight; `body` continues from %y (the convolution, through
// a quantizer of its own if `middle`) and defines %out.
struct ChainText {
  std::string body;
  std::string middle = "i8(0.12, -4)";
  std::string weight = "i8<-127:127>(0.008, 0)";
  std::string bias;       // operand text; empty: none
  std::string constants;  // further constants
  std::string inputs;     // further inputs
  std::string outputs;    // further outputs
  std::string convolution = "conv2d";
  std::string conv_attrs = "{padding: [1,1]}";
  std::string weight_shape = "[4,3,3,3]";
  std::string input_shape = "[2,3,4,4]";

  std::string text(bool with_middle = true) const {
    std::string t = "zp 1\n@w = i8" + weight_shape +
                    " random 5 in -127..127\n"
                    "@ws = f32[4] [0.008,0.004,0.0065,0.009]\n"
                    "@gamma = f32[4] [0.75,1.25,0.5,1.5]\n@beta = f32[4] [0.3,-0.2,0.1,0.6]\n"
                    "@mean = f32[4] [0.1,-0.3,0.5,0.2]\n@var = f32[4] [0.6,1.5,0.9,1.2]\n@ob = f32[4] "
                    "[0.2,-0.1,0.4,-0.3]\n"
                    "@ib = i32[4] [100,-250,3000,7]\n" +
                    constants + "graph main(%x: f32" + input_shape + inputs + ") -> (%out" + outputs +
                    ") {\n"
                    "  %gamma = const @gamma\n  %beta = const @beta\n  %mean = const @mean\n  %var = const "
                    "@var\n  %ob = const @ob\n"
                    "  %xq = quantize(%x) : i8(0.03, 9)\n  %xd = dequantize(%xq)\n"
                    "  %w = const @w : " +
                    weight + weight_shape +
                    "\n  %wd = dequantize(%w)\n"
                    "  %c = " +
                    convolution + "(%xd, %wd" + (bias.empty() ? "" : ", " + bias) + ") " + conv_attrs + "\n";
    if (with_middle && !middle.empty()) {
      t += "  %m = quantize(%c) : " + middle + "\n  %y = dequantize(%m)\n";
    } else {
      t += "  %y = identity(%c)\n";
    }
    return t + body + "}\n";
  }
};

// gamma / sqrt(var + eps), as training leaves it, along the channels.
inline constexpr const char* kScale =
    "  %ve = add(%var, 0.00001)\n  %sd = sqrt(%ve)\n  %s = div(%gamma, %sd)\n  %s4 = reshape(%s) {shape: "
    "[1,-1,1,1]}\n"
    "  %ob4 = reshape(%ob) {shape: [1,-1,1,1]}\n";
inline constexpr const char* kNorm = "(%u, %gamma, %beta, %mean, %var) {eps: 0.00001}\n";

inline std::string chain(const std::string& steps) { return kScale + steps + "  %out = batch_norm" + kNorm; }
inline const std::string kDivAdd = chain("  %d = div(%y, %s4)\n  %u = add(%d, %ob4)\n");

struct Folded {
  std::unique_ptr<Model> model;
  Records records;
};

// Folds, checks that nothing is left, and compares with the graph without the pair: equal but for the bias's
// rounding and float roundings.
inline Folded expect_fold(const ChainText& chain_text, double tolerance = 2e-4) {
  Folded folded{parse(chain_text.text()), {}};
  auto reference = parse(chain_text.text(false));
  auto archive = parse(chain_text.text());
  if (!folded.model || !reference) return folded;
  const auto inputs = inputs_for(*folded.model);
  folded.records = run_pass(*folded.model, kFoldQatBatchNormPass);
  remove_dead_code(*folded.model);  // some spellings leave constants of the text unused
  const std::string printed = print(*folded.model);
  EXPECT_EQ(folded.records.rewrites.size(), 1u)
      << printed << (folded.records.kept.empty() ? "" : folded.records.kept[0].text);
  for (const OpDef* op : {&ops::batch_norm, &ops::div, &ops::mul, &ops::sub, &ops::sqrt, &ops::rsqrt,
                          &ops::add, &ops::reciprocal}) {
    EXPECT_EQ(count_op(*folded.model, *op), 0u) << op->name << "\n" << printed;
  }
  EXPECT_EQ(count_op(*folded.model, ops::quantize), 1u) << printed;
  const auto wanted = run_model(*reference, inputs), was = run_model(*archive, inputs),
             now = run_model(*folded.model, inputs);
  if (wanted.empty() || now.empty()) return folded;
  EXPECT_LT(largest_difference(wanted[0], now[0]), tolerance) << printed;
  if (!folded.records.rewrites.empty()) {
    EXPECT_LE(largest_difference(was[0], now[0]), folded.records.rewrites[0].max_abs_change) << printed;
  }
  // A second run finds nothing.
  const uint64_t changes = folded.model->context->changes();
  EXPECT_TRUE(run_pass(*folded.model, kFoldQatBatchNormPass).rewrites.empty());
  EXPECT_EQ(folded.model->context->changes(), changes);
  return folded;
}

// Refuses with this clause, changes nothing.
inline void expect_refusal(const ChainText& chain_text, const std::string& clause,
                           std::span<const Sample> samples = {}) {
  auto model = parse(chain_text.text());
  if (!model) return;
  const std::string before = print(*model);
  const Records records = run_pass(*model, kFoldQatBatchNormPass, nullptr, samples);
  EXPECT_EQ(print(*model), before);
  EXPECT_TRUE(records.rewrites.empty());
  ASSERT_EQ(records.kept.size(), 1u);
  EXPECT_EQ(records.kept[0].clause, clause) << records.kept[0].text;
  EXPECT_EQ(records.kept[0].pass, "fold-qat-batch-norm");
  EXPECT_FALSE(records.kept[0].text.empty());
}

inline const QuantType* weight_type(const Model& model, const OpDef& op = ops::conv2d) {
  return first_of(model, op)->operand(1)->def()->operand(0)->type().quant;
}

}  // namespace zp::test
