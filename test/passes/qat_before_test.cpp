// The other rule, `qat_output_quantizer: before`: the bias has the bits of ExecuTorch's Cadence flow,
// recorded by data/record_cadence_bias.py, and the quantizer in front of the batch norm stays.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "backend/backend.h"
#include "passes/qat/qat.h"
#include "qat_util.h"

namespace zp {
namespace {

using namespace test;

using Words = std::map<std::string, std::string>;

std::string chain_text(const Words& w) {
  const auto constant = [&](const char* key) {
    return std::string("@") + key + " = f32[8] [" + w.at(key) + "]\n";
  };
  std::string text = "zp 1\n@w = i8[8,2,1,1] random 7 in -127..127\n";
  for (const char* key : {"gamma", "beta", "mean", "var"}) text += constant(key);
  const bool added = w.at("added") != "-";
  if (added) text += constant("added");
  const std::string bias = w.at("bias");
  if (bias[0] == 'f') text += "@b = f32[8] [" + bias.substr(2) + "]\n";
  if (bias[0] == 'i') text += "@b = i32[8] [" + bias.substr(2) + "]\n";
  const bool per_channel = w.at("per_channel") == "1";
  if (per_channel) {
    text += "@ws = f32[8] [";
    for (int c = 0; c < 8; ++c) text += (c ? ", " : "") + std::to_string(0.0001 * (c + 5));
    text += "]\n";
  }
  text += "graph main(%x: f32[2,2,3,3]) -> (%y) {\n  %xq = quantize(%x) : i8(" + w.at("input_scale") +
          ", 3)\n  %xd = dequantize(%xq)\n  %w = const @w : i8<-127:127>(" +
          (per_channel ? "axis 0: @ws" : w.at("weight_scale") + ", 0") +
          ")[8,2,1,1]\n  %wd = dequantize(%w)\n";
  if (bias[0] == 'f') text += "  %b = const @b\n";
  if (bias[0] == 'i') {
    text += "  %bi = const @b : i32(" + w.at("bias_scale") + ", 0)[8]\n  %b = dequantize(%bi)\n";
  }
  text += bias[0] == '-' ? "  %c = conv2d(%xd, %wd)\n" : "  %c = conv2d(%xd, %wd, %b)\n";
  text +=
      "  %m = quantize(%c) : i8(0.01, 2)\n  %d = dequantize(%m)\n  %gamma = const @gamma\n  %beta = const "
      "@beta\n  %mean = const @mean\n  %var = const @var\n  %ve = add(%var, " +
      w.at("eps") +
      ")\n  %sd = sqrt(%ve)\n  %s = div(%gamma, %sd)\n  %s4 = reshape(%s) {shape: [1,-1,1,1]}\n"
      "  %u = div(%d, %s4)\n";
  if (added)
    text += "  %added = const @added\n  %a4 = reshape(%added) {shape: [1,-1,1,1]}\n  %v = add(%u, %a4)\n";
  text += std::string("  %n = batch_norm(%") + (added ? "v" : "u") +
          ", %gamma, %beta, %mean, %var) {eps: " + w.at("eps") +
          "}\n  %r = relu(%n)\n  %q = quantize(%r) : u8(0.02, 0)\n  %y = dequantize(%q)\n}\n";
  return text;
}

std::unique_ptr<Backend> backend(const std::string& rule) {
  auto read = Backend::parse(
      "backend t version 1\nnumerics {\n  qat_output_quantizer: " + rule +
          "\n}\ntype act = i8 affine per-tensor | u8 affine per-tensor\ntype w = i8 symmetric "
          "per-tensor | i8 symmetric per-axis out\ntypes t {\n  x: act\n  w: w\n  b: i32\n  y: "
          "act\n}\npattern conv : conv2d\n  types t\n",
      "t.zpb");
  EXPECT_TRUE(read.ok()) << (read.ok() ? "" : read.error().str());
  return read.ok() ? std::move(read).value() : nullptr;
}

TEST(QatOutputQuantizerBefore, HasTheBitsOfTheCadenceFlow) {
  const auto before = backend("before"), after = backend("after");
  std::ifstream file(std::string(ZP_SOURCE_DIR) + "/test/passes/data/cadence_bias.txt");
  std::string line;
  int cases = 0;
  while (std::getline(file, line)) {
    ++cases;
    SCOPED_TRACE(line);
    Words words;
    std::istringstream in(line);
    for (std::string word; in >> word;)
      words[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
    auto model = parse(chain_text(words));
    ASSERT_TRUE(model);
    const Records records = run_pass(*model, kFoldQatBatchNormPass, before.get());
    ASSERT_EQ(records.rewrites.size(), 1u) << (records.kept.empty() ? "" : records.kept[0].text);
    EXPECT_EQ(count_op(*model, ops::batch_norm), 0u);
    EXPECT_EQ(count_op(*model, ops::quantize), 3u);
    const Node* bias = first_of(*model, ops::conv2d)->operand(2)->def();
    const auto integers = constant_tensor(*model->context, *bias->operand(0)->def()->constant());
    ASSERT_TRUE(integers.ok());
    std::string found;
    for (int64_t i = 0; i < integers->elements(); ++i)
      found += (i ? "," : "") + std::to_string(integers->get_int(i));
    EXPECT_EQ(found, words["folded"]);

    auto ours = parse(chain_text(words));
    run_pass(*ours, kFoldQatBatchNormPass, after.get());
    if (count_op(*ours, ops::batch_norm) == 0) { EXPECT_EQ(count_op(*ours, ops::quantize), 2u); }
  }
  EXPECT_EQ(cases, 32);
}

}  // namespace
}  // namespace zp
