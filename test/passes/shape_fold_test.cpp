// fold-shape and move-qdq where texts do not show enough: whose bytes a constant has, what is the same
// constant, which bits a model gives before and after, how long it takes.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "passes/shape/shape.h"
#include "qat_util.h"

namespace zp {
namespace {

using test::parse;
using test::run_pass;

const Constant* constant_behind(const Model& model, std::string_view value) {
  const Value* v = model.graph->find(value);
  while (v != nullptr && v->def() != nullptr && v->def()->constant() == nullptr) v = v->def()->operand(0);
  return v == nullptr || v->def() == nullptr ? nullptr : v->def()->constant();
}

// Folding may not change a bit of any output.
void expect_same_bits(const std::string& text, const std::vector<const PassCard*>& passes) {
  const auto before = parse(text), after = parse(text);
  for (const PassCard* pass : passes) run_pass(*after, *pass);
  const std::vector<Tensor> inputs = test::inputs_for(*before);
  const std::vector<Tensor> a = test::run_model(*before, inputs), b = test::run_model(*after, inputs);
  ASSERT_EQ(a.size(), b.size());
  for (size_t k = 0; k < a.size(); ++k) {
    ASSERT_EQ(a[k].shape(), b[k].shape());
    EXPECT_EQ(std::memcmp(a[k].data<std::byte>(), b[k].data<std::byte>(), static_cast<size_t>(a[k].bytes())),
              0)
        << "output " << k << "\n"
        << print(*after);
  }
}

TEST(FoldShape, ReshapesSlicesAndPermutesShareTheBytes) {
  const auto model = parse(R"(zp 1
@s = f32[8] [0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8]
@w = i8[8,6] random 1
graph main(%x: f32[6,8]) -> (%a, %b, %c) {
  %w = const @w : i8(axis 0: @s)
  %f = dequantize(%w)
  %r = reshape(%f) {shape: [8,2,3]}
  %a = relu(%r)
  %p = slice(%f) {dim: 0, start: 2, end: 6}
  %b = relu(%p)
  %t = permute(%f) {dims: [1,0]}
  %c = add(%x, %t)
}
)");
  const std::byte* bytes = model->context->find_constant("w")->storage.data();
  const Records records = run_pass(*model, kFoldShapePass);
  EXPECT_EQ(records.rewrites.size(), 3u);
  for (const char* name : {"r", "p", "t"}) {
    const Constant* c = constant_behind(*model, name);
    ASSERT_NE(c, nullptr) << name;
    EXPECT_EQ(c->storage.data(), bytes) << name;
  }
  EXPECT_EQ(constant_behind(*model, "p")->offset, 12);
  EXPECT_EQ(constant_behind(*model, "t")->strides.vec(), (std::vector<int64_t>{1, 6}));
}

TEST(FoldShape, PackedElementsAreViewedToo) {
  const std::string text = R"(zp 1
@s = f32[8,2] [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]
@w = i4[8,6] random 1
graph main(%x: f32[5,8], %v: f32[5,6]) -> (%a, %b, %c) {
  %w = const @w : i4(block [1,3]: @s)
  %f = dequantize(%w)
  %t = permute(%f) {dims: [1,0]}
  %a = linear(%x, %t)
  %r = flip(%f) {dims: [0]}
  %b = linear(%v, %r)
  %o = slice(%f) {dim: 1, start: 3, end: 6}
  %c = relu(%o)
}
)";
  expect_same_bits(text, {&kFoldShapePass});
  const auto model = parse(text);
  const std::byte* bytes = model->context->find_constant("w")->storage.data();
  run_pass(*model, kFoldShapePass);
  EXPECT_EQ(constant_behind(*model, "t")->storage.data(), bytes);
  EXPECT_EQ(constant_behind(*model, "o")->storage.data(), bytes);
  EXPECT_NE(constant_behind(*model, "r")->storage.data(), bytes);
}

TEST(FoldShape, TiedConstantsStayTied) {
  // One source, three readers: two with one composition share a constant, the source itself is left as it
  // was.
  const std::string text = R"(zp 1
@w = i8[4,4] random 1
@i = i64[4] [3,2,1,0]
graph main(%x: f32[5,4]) -> (%a, %b, %c) {
  %i = const @i
  %u = const @w : i8(0.1, 0)
  %uf = dequantize(%u)
  %ut = flip(%uf) {dims: [0]}
  %a = linear(%x, %ut)
  %v = const @w : i8(0.1, 0)
  %vf = dequantize(%v)
  %vt = index_select(%vf, %i) {dim: 0}
  %b = linear(%x, %vt)
  %c = linear(%x, %uf)
}
)";
  expect_same_bits(text, {&kFoldShapePass});
  const auto folded = parse(text);
  const Constant* source = folded->context->find_constant("w");
  const Blob bytes = source->storage;
  run_pass(*folded, kFoldShapePass);
  EXPECT_EQ(constant_behind(*folded, "ut"), constant_behind(*folded, "vt"));
  EXPECT_NE(constant_behind(*folded, "ut"), source);
  EXPECT_EQ(constant_behind(*folded, "uf"), source);
  EXPECT_EQ(source->storage, bytes);
}

TEST(FoldShape, RefusalsCarryTheConditionAndTheNumbers) {
  const auto model = parse(R"(zp 1
@s = f32[6] [0.1,0.2,0.3,0.4,0.5,0.6]
@w = i8[6,4] random 1
graph main(%x: f32[5,6]) -> (%y) {
  %w = const @w : i8(axis 0: @s)
  %f = dequantize(%w)
  %t = permute(%f) {dims: [1,0]}
  %bad = reshape(%t) {shape: [6,4]}
  %more = permute(%bad) {dims: [1,0]}
  %y = linear(%x, %more)
}
)");
  const Records records = run_pass(*model, kFoldShapePass);
  ASSERT_EQ(records.rewrites.size(), 1u);
  EXPECT_EQ(records.rewrites[0].into, "t");  // the longest prefix that can be written
  bool found = false;
  for (const KeptRecord& kept : records.kept) {
    if (kept.node != "bad") continue;
    found = true;
    EXPECT_EQ(kept.clause, "parameters");
    EXPECT_NE(kept.found.find("dims 0 and 1 of [6,4]"), std::string::npos) << kept.found;
    EXPECT_NE(kept.found.find("24 elements"), std::string::npos) << kept.found;
  }
  EXPECT_TRUE(found);
}

TEST(FoldShape, OneCompositionMayBeLegalWhereItsStepsAreNot) {
  // [6,2] -> [2,3,2] spreads the axis over two dims; after the permute it is one again: a channel shuffle.
  const auto model = parse(R"(zp 1
@s = f32[6] [0.1,0.2,0.3,0.4,0.5,0.6]
@w = i8[6,2] random 1
graph main(%x: f32[5,2]) -> (%y) {
  %w = const @w : i8(axis 0: @s)
  %f = dequantize(%w)
  %a = reshape(%f) {shape: [2,3,2]}
  %b = permute(%a) {dims: [1,0,2]}
  %c = reshape(%b) {shape: [6,2]}
  %y = linear(%x, %c)
}
)");
  const Records records = run_pass(*model, kFoldShapePass);
  EXPECT_TRUE(records.kept.empty());
  const QuantType* quant = model->graph->find("c")->def()->operand(0)->type().quant;
  ASSERT_NE(quant, nullptr);
  EXPECT_EQ(quant->axis, 0);
  const auto params = quant_params(*model->context, *quant, std::vector<int64_t>{6, 2});
  ASSERT_TRUE(params.ok());
  std::vector<float> scales(params->scales.begin(), params->scales.end());
  EXPECT_EQ(scales, (std::vector<float>{0.1f, 0.4f, 0.2f, 0.5f, 0.3f, 0.6f}));
}

TEST(FoldShape, LongChainsRetreatToTheirBeginning) {
  // Every value of the tail is illegal, so the retreat goes all the way back; and every one has a reader of
  // its own.
  for (const bool read : {false, true}) {
    for (const int length : {100, 8000}) {
      std::string text = R"(zp 1
@s = f32[6] [0.1,0.2,0.3,0.4,0.5,0.6]
@w = i8[6,4] random 1
graph main() -> (%y) {
  %w = const @w : i8(axis 0: @s)
  %f = dequantize(%w)
  %t = permute(%f) {dims: [1,0]}
  %v0 = reshape(%t) {shape: [6,4]}
)";
      for (int i = 1; i <= length; ++i) {
        text += "  %v" + std::to_string(i) + " = flip(%v" + std::to_string(i - 1) + ") {dims: [1]}\n";
        if (read) text += "  %z" + std::to_string(i) + " = relu(%v" + std::to_string(i) + ")\n";
      }
      text += "  %y = relu(%v" + std::to_string(length) + ")\n}\n";
      const auto model = parse(text);
      Records records;
      PassContext pass{*model, nullptr, records, {}};
      ASSERT_TRUE(kFoldShapePass.run(pass).ok());
      EXPECT_GE(records.kept.size(), static_cast<size_t>(length));
    }
  }
}

TEST(FoldShape, QuantizedArithmeticKeepsItsBits) {
  expect_same_bits(R"(zp 1
@a = i8[4,6] random 1
@b = u8[4,6] random 2
graph main(%x: f32[5,6]) -> (%y, %z) {
  %a = const @a : i8(0.1, 0)
  %af = dequantize(%a)
  %b = const @b : u8(0.05, 130)
  %bf = dequantize(%b)
  %sum = add(%af, %bf)
  %q = quantize(%sum) : i8(0.15, 1)
  %d = dequantize(%q)
  %y = linear(%x, %d)
  %j = cat(%af, %bf) {dim: 0}
  %z = linear(%x, %j)
}
)",
                   {&kFoldShapePass});
}

TEST(FoldShape, ABodyOfControlFlowSeesTheConstantsItIsGiven) {
  const std::string text = R"(zp 1
@w = i8[4,6] random 1
graph main(%p: bool[], %x: f32[5,6]) -> (%y) {
  %w = const @w : i8(0.1, 0)
  %f = dequantize(%w)
  %y = cond(%p, %x, %f)
    region (%a: f32[5,6], %m: f32[4,6]) -> (%r) {
      %t = slice(%m) {dim: 0, start: 1}
      %r = linear(%a, %t)
    }
    region (%a: f32[5,6], %m: f32[4,6]) -> (%r) {
      %t = slice(%m) {dim: 0, end: 3}
      %r = linear(%a, %t)
    }
}
)";
  expect_same_bits(text, {&kFoldShapePass});
  const auto model = parse(text);
  const std::byte* bytes = model->context->find_constant("w")->storage.data();
  run_pass(*model, kFoldShapePass);
  for (const Graph* region : test::first_of(*model, ops::cond)->regions()) {
    const Node* d = region->find("t")->def();
    ASSERT_TRUE(d->is(ops::dequantize));
    EXPECT_EQ(d->operand(0)->def()->constant()->storage.data(), bytes);
  }
}

// Random chains of shape operators on activations: whatever moves, no bit of the result changes.
TEST(MoveQdq, RandomChainsKeepTheirBits) {
  std::mt19937 random(5);
  for (int r = 0; r < 60; ++r) {
    std::string text = "zp 1\n@s = f32[4] [0.02,0.03,0.05,0.07]\n@w = i8[7,6] random 1\n";
    text += "graph main(%x: f32[4,4,6]) -> (%y, %z) {\n";
    text +=
        random() % 2 == 0 ? "  %q = quantize(%x) : i8(0.03, 2)\n" : "  %q = quantize(%x) : i8(axis 1: @s)\n";
    text += "  %v0 = dequantize(%q)\n";
    int k = 0;
    const char* const kSteps[] = {
        "permute(%) {dims: [1,0,2]}",       "flip(%) {dims: [1]}", "flip(%) {dims: [0,2]}",
        "roll(%) {shifts: [1], dims: [1]}", "identity(%)",         "slice(%) {dim: 0, start: 0, end: 4}"};
    for (int i = 0; i < 3; ++i, ++k) {
      std::string step = kSteps[random() % std::size(kSteps)];
      step.replace(step.find('%'), 1, "%v" + std::to_string(k));
      text += "  %v" + std::to_string(k + 1) + " = " + step + "\n";
    }
    const std::string last = "%v" + std::to_string(k);
    text += "  %w = const @w : i8(0.02, 0)\n  %wf = dequantize(%w)\n  %y = linear(" + last + ", %wf)\n";
    text += random() % 2 == 0 ? "  %e = quantize(" + last + ") : i8(0.03, 2)\n"
                              : "  %e = quantize(" + last + ") : i8(0.04, 0)\n";
    text += "  %z = dequantize(%e)\n}\n";
    expect_same_bits(text, {&kMoveQdqPass});
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace zp
