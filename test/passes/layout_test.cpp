// The target's own operators: `lower` clauses carried out, layouts in every bit, what is shared, what is
// refused. And a backend of one file, made here, that no line of C++ knows.
#include <filesystem>
#include <fstream>

#include "fuse_util.h"

namespace zp {
namespace {

using namespace test;

struct Lowered {
  std::unique_ptr<Model> model;
  Records records;
  std::vector<const Node*> calls;
  // Elements of the constant that operand `i` of call `call` is.
  std::vector<double> numbers(size_t call, size_t i) const {
    std::vector<double> out;
    const Node* def = calls[call]->operand(i)->def();
    EXPECT_TRUE(def != nullptr && def->is(kConstOp));
    if (def == nullptr || !def->is(kConstOp)) return out;
    const auto tensor = constant_tensor(*model->context, *def->constant());
    EXPECT_TRUE(tensor.ok());
    for (int64_t k = 0; tensor.ok() && k < tensor->elements(); ++k) out.push_back(tensor->get_double(k));
    return out;
  }
  std::string target(size_t call) const { return std::string(calls[call]->attrs<OpaqueAttrs>().target); }
  std::string payload(size_t call) const { return std::string(calls[call]->attrs<OpaqueAttrs>().payload); }
};

Lowered lower(const std::string& text, const Backend& backend) {
  Lowered l;
  l.model = parse(text);
  if (l.model == nullptr) return l;
  run_pass(*l.model, kFuseQdqPass, &backend);
  l.records = run_pass(*l.model, kLayoutPass, &backend);
  for (const Node* node : l.model->graph->nodes())
    if (node->is(kOpaqueOp)) l.calls.push_back(node);
  return l;
}

const Backend& vulkan() {
  static const std::unique_ptr<Backend> backend = std::move(*Backend::load("vulkan"));
  return *backend;
}

std::string weight_only(const std::string& weight, const std::string& type, const std::string& lists,
                        const std::string& after = "") {
  return "zp 1\n@w = i8" + weight + "\n" + lists + "@b = f32[2] [1,2]\ngraph main(%x: f32[3,4]) -> (%y" +
         (after.empty() ? "" : ", %e") + ") {\n  %w = const @w : i8" + type +
         "[2,4]\n  %wd = dequantize(%w)\n  %b = const @b\n  %y = linear(%x, %wd, %b)\n" + after + "}\n";
}

TEST(Layout, FourBitsOfARowInTheHighHalfFirst) {
  const Lowered l = lower(
      weight_only("[2,4] [-8,7,0,1,2,-3,4,-5]", "<-8:7>(axis 0: @s)", "@s = f32[2] [0.5,0.25]\n"), vulkan());
  ASSERT_EQ(l.calls.size(), 2u) << print(*l.model);
  EXPECT_EQ(l.target(0), "torch.ops.et_vk.linear_qcs4w.default");
  EXPECT_EQ(l.numbers(0, 1), (std::vector<double>{0x0F, 0x89, 0xA5, 0xC3}));
  EXPECT_EQ(l.numbers(0, 2), (std::vector<double>{0.5, 0.25}));
  EXPECT_EQ(l.target(1), "torch.ops.aten.add.Tensor");  // the bias
  EXPECT_EQ(l.calls[1]->operand(0)->def(), l.calls[0]);
  EXPECT_EQ(l.calls[1]->name(), "y");
}

TEST(Layout, GroupsHaveTheEvenElementInTheLowHalfAndScalesTransposed) {
  const std::string text =
      "zp 1\n@w = i8[4,4] [-8,7,0,1, 2,-3,4,-5, 0,0,0,0, 1,1,1,1]\n@s = f32[4,2] [1,2,3,4,5,6,7,8]\n"
      "graph main(%x: f32[3,4]) -> (%y) {\n  %w = const @w : i8<-8:7>(block [1,2]: @s)[4,4]\n  %wd = "
      "dequantize(%w)\n"
      "  %y = linear(%x, %wd)\n}\n";
  const Lowered l = lower(text, vulkan());
  ASSERT_EQ(l.calls.size(), 1u) << print(*l.model);
  EXPECT_EQ(l.target(0), "torch.ops.et_vk.linear_q4gsw.default");
  // Rows are filled to 8 elements with 0, which is 8 in each half.
  EXPECT_EQ(l.numbers(0, 1), (std::vector<double>{0xF0, 0x98, 0x88, 0x88, 0x5A, 0x3C, 0x88, 0x88, 0x88, 0x88,
                                                  0x88, 0x88, 0x99, 0x99, 0x88, 0x88}));
  EXPECT_EQ(l.numbers(0, 2), (std::vector<double>{1, 3, 5, 7, 2, 4, 6, 8}));
  EXPECT_NE(l.payload(0).find(R"("name": "group_size", "arg": {"as_int": 2})"), std::string::npos)
      << l.payload(0);
  EXPECT_NE(l.payload(0).find(R"("name": "bias", "arg": {"as_none": true})"), std::string::npos);
}

TEST(Layout, ConvolutionsLieRowByRowWithTheirSums) {
  const std::string text =
      "zp 1\n@w = i8[1,2,2,1] [1,2,3,4]\n@s = f32[1] [0.5]\ngraph main(%x: f32[1,2,3,3]) -> (%y) {\n"
      "  %xq = quantize(%x) {type: i8(0.25, -3)}\n  %xd = dequantize(%xq)\n  %w = const @w : i8(axis 0: "
      "@s)[1,2,2,1]\n"
      "  %wd = dequantize(%w)\n  %c = conv2d(%xd, %wd) {stride: [1,1], padding: [0,0], dilation: [1,1]}\n  "
      "%r = relu(%c)\n"
      "  %yq = quantize(%r) {type: i8(0.125, 7)}\n  %y = dequantize(%yq)\n}\n";
  const Lowered l = lower(text, vulkan());
  ASSERT_EQ(l.calls.size(), 1u) << print(*l.model);
  EXPECT_EQ(l.target(0), "torch.ops.et_vk.q8ta_conv2d.default");
  EXPECT_EQ(l.numbers(0, 1), (std::vector<double>{1, 3, 2, 4}));  // height, width, channel
  EXPECT_EQ(l.numbers(0, 2), (std::vector<double>{10, 0, 0, 0}));
  EXPECT_EQ(l.numbers(0, 3), (std::vector<double>{0.5, 0, 0, 0}));
  for (const char* part :
       {R"("input_scale", "arg": {"as_float": 0.25})", R"("input_zero_point", "arg": {"as_int": -3})",
        R"("activation", "arg": {"as_string": "relu"})", R"("kernel_size", "arg": {"as_ints": [2, 1]})"})
    EXPECT_NE(l.payload(0).find(part), std::string::npos) << part << "\n" << l.payload(0);
}

TEST(Layout, TiedEmbeddingAndHeadArePackedOnce) {
  const std::string text =
      "zp 1\n@w = i8[4,32] [" + numbers(128, 3, 14) +
      "]\n@s = f32[4,2] [1,2,3,4,5,6,7,8]\n@i = i64[2] [1,3]\n" +
      "graph main(%x: f32[2,32]) -> (%y) {\n  %w = const @w : i8<-8:7>(block [1,16]: @s)[4,32]\n"
      "  %d = dequantize(%w)\n  %i = const @i\n  %e = embedding(%d, %i)\n  %a = add(%e, %x)\n"
      "  %d2 = dequantize(%w)\n  %y = linear(%a, %d2)\n}\n";
  const Lowered l = lower(text, vulkan());
  ASSERT_EQ(l.calls.size(), 2u) << print(*l.model);
  EXPECT_EQ(l.target(0), "torch.ops.et_vk.embedding_q4gsw.default");
  EXPECT_EQ(l.target(1), "torch.ops.et_vk.linear_q4gsw.default");
  EXPECT_EQ(l.calls[0]->operand(0)->def()->constant(), l.calls[1]->operand(1)->def()->constant());
}

TEST(Layout, WhatTheTargetCannotSayStaysWithAReason) {
  // relu6 has no word among its activations.
  const std::string text =
      "zp 1\n@w = i8[4,4] [" + numbers(16, 3) +
      "]\ngraph main(%x: f32[2,4]) -> (%y) {\n  %xq = quantize(%x) {type: i8(0.25, -3)}\n"
      "  %xd = dequantize(%xq)\n  %w = const @w : i8(0.5, 0)[4,4]\n  %wd = dequantize(%w)\n  %l = "
      "linear(%xd, %wd)\n"
      "  %t = hardtanh(%l) {min_val: 0, max_val: 6}\n  %q = quantize(%t) {type: i8(0.125, 7)}\n  %y = "
      "dequantize(%q)\n}\n";
  const Lowered l = lower(text, vulkan());
  EXPECT_TRUE(l.calls.empty()) << print(*l.model);
  ASSERT_EQ(l.records.kept.size(), 1u);
  EXPECT_EQ(l.records.kept[0].clause, "lower");
  EXPECT_NE(l.records.kept[0].text.find("takes it only if not known(act_max)"), std::string::npos)
      << l.records.kept[0].text;
}

TEST(Layout, OneScaleBecomesOneAChannelAndNarrowValuesFourBits) {
  const std::string text = weight_only("[2,4] [-8,7,0,1,2,-3,4,-5]", "(0.5, 0)", "");
  Lowered l;
  l.model = parse(text);
  const auto reference = parse(text);
  const Records records = run_pass(*l.model, kFuseQdqPass, &vulkan());
  expect_equal_bits(*reference, *l.model);
  ASSERT_EQ(records.rewrites.size(), 3u);
  EXPECT_EQ(records.rewrites[0].pattern, "linear_qts8w");
  EXPECT_EQ(records.rewrites[1].pattern, "linear_qcs8w");
  EXPECT_EQ(records.rewrites[2].pattern, "linear_qcs4w");
  EXPECT_NE(records.rewrites[2].note.find("by value: all integers of the weight fit -8:7"), std::string::npos)
      << records.rewrites[2].note;
}

// The whole of a new target: its operator, when it fits, its layout, its name. HACKING.md shows the same
// file.
constexpr std::string_view kOwnBackend = R"(
backend neuron version 1

  type act = i8 affine per-tensor
  type rows = i8[-127:127] const symmetric per-axis out

  types whole {
    x: act
    w: rows
    b: none
    y: act
  }

  pattern dense : linear, [relu]
    types whole
    where w.shape[1] % 4 == 0
    lower npu.dense.default {
        tensor x: x
        tensor w: transpose(ints(w))
        tensor scales: scales(w)
        ints zero_points: [x.zero_point, y.zero_point]
        float out_scale: y.scale
        bool relu: known(act_min)
      }
)";

TEST(Layout, ABackendIsOneFile) {
  const std::string path = std::filesystem::temp_directory_path() / "zp_layout_test_neuron.zpb";
  std::ofstream(path) << kOwnBackend;
  const auto backend = Backend::load(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(backend.ok()) << backend.error().str();
  const auto text = [](const std::string& features) {
    return "zp 1\n@w = i8[2," + features + "] [" + numbers(features == "4" ? 8 : 6, 3) +
           "]\n@s = f32[2] [0.5,0.25]\n" + "graph main(%x: f32[3," + features +
           "]) -> (%y) {\n  %xq = quantize(%x) {type: i8(0.25, -3)}\n  %xd = dequantize(%xq)\n"
           "  %w = const @w : i8<-127:127>(axis 0: @s)[2," +
           features +
           "]\n  %wd = dequantize(%w)\n  %l = linear(%xd, %wd)\n"
           "  %r = relu(%l)\n  %q = quantize(%r) {type: i8(0.125, 7)}\n  %y = dequantize(%q)\n}\n";
  };
  const Fused fused = fuse(text("4"), backend->get());
  EXPECT_NE(fused.rewrite("linear_q8ta_q8csw_q8to"), nullptr);
  const Lowered l = lower(text("4"), **backend);
  ASSERT_EQ(l.calls.size(), 1u) << print(*l.model);
  EXPECT_EQ(l.target(0), "torch.ops.npu.dense.default");
  EXPECT_EQ(l.calls[0]->operand(1)->type().str(), "i8[4,2]");
  for (const char* part :
       {R"("zero_points", "arg": {"as_ints": [-3, 7]})", R"("relu", "arg": {"as_bool": true})"})
    EXPECT_NE(l.payload(0).find(part), std::string::npos) << l.payload(0);
  const Fused refused = fuse(text("3"), backend->get());
  ASSERT_NE(refused.kept("l"), nullptr);
  EXPECT_EQ(refused.kept("l")->found, "w.shape[1] = 3");
}

}  // namespace
}  // namespace zp
