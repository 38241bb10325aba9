#include "formats/pt2/schema.h"

#include <gtest/gtest.h>

#include <set>

#include "formats/pt2/node_reader.h"
#include "ops/ops.h"

namespace zp::pt2 {
namespace {

TEST(Schema, RowsAreWellFormed) {
  for (const std::string& problem : check_rows()) ADD_FAILURE() << problem;
  EXPECT_GT(all_overloads().size(), 450u);
}

TEST(Schema, FindsTargetsInAllSpellings) {
  const Overload* conv = find_overload("torch.ops.aten.conv2d.default");
  ASSERT_NE(conv, nullptr);
  EXPECT_EQ(conv, find_overload("aten.conv2d.default"));
  EXPECT_EQ(conv, find_overload("executorch.exir.dialects.edge._ops.aten.conv2d.default"));
  EXPECT_EQ(find_overload("aten.conv2d"), nullptr);
  EXPECT_EQ(find_functional_overload("torch.ops.aten.add_.Tensor"), find_overload("aten.add.Tensor"));
  EXPECT_EQ(find_functional_overload("torch.ops.aten.__iand__.Tensor"), find_overload("aten.__and__.Tensor"));
  EXPECT_EQ(find_functional_overload("torch.ops.aten.add.Tensor"), nullptr);
  EXPECT_EQ(canonical_name("torch.ops.aten.bmm.default"), "matmul");
  EXPECT_EQ(canonical_name("torch.ops.aten.relu_.default"), "relu");
  EXPECT_EQ(canonical_name("torch.ops.mylib.foo.default"), "mylib.foo.default");
}

TEST(Schema, ParsesArguments) {
  const Overload* conv = find_overload("aten.conv2d.default");
  ASSERT_EQ(conv->args.size(), 7u);
  EXPECT_EQ(conv->find("bias")->optional, true);
  EXPECT_EQ(conv->find("bias")->operand, 2);
  EXPECT_EQ(conv->find("stride")->fixed_size, 2);
  EXPECT_TRUE(conv->find("stride")->symbolic);
  EXPECT_EQ(conv->find("stride")->default_text, "[1, 1]");
  const Overload* split = find_overload("aten.split_with_sizes.default");
  EXPECT_TRUE(split->list_result);
  EXPECT_TRUE(split->find("self")->aliased);
  EXPECT_FALSE(split->find("self")->mutated);
  const Overload* fused = find_overload("aten.fused_moving_avg_obs_fake_quant.default");
  EXPECT_TRUE(fused->find("running_min")->mutated);
  const Overload* topk = find_overload("aten.topk.default");
  EXPECT_EQ(topk->results, 2);
  const Overload* softmax = find_overload("aten._softmax.default");
  ASSERT_NE(softmax->alternative, nullptr);
  EXPECT_EQ(softmax->alternative->target, softmax->target);
  const Overload* lstm = find_overload("aten.lstm.input");
  EXPECT_EQ(lstm->find("params")->operand, 3);
  EXPECT_TRUE(find_overload("aten.sum.dim_IntList")->find("dtype")->keyword_only);
}

TEST(Schema, ReadsLiterals) {
  EXPECT_EQ(parse_literal("None", ArgKind::Int).kind, Literal::None);
  EXPECT_EQ(parse_literal("True", ArgKind::Bool).b, true);
  EXPECT_EQ(parse_literal("-1", ArgKind::Int).i, -1);
  EXPECT_EQ(parse_literal("1e-05", ArgKind::Float).f, 1e-5);
  EXPECT_EQ(parse_literal("\"none\"", ArgKind::String).s, "none");
  EXPECT_EQ(parse_literal("[0, 0]", ArgKind::Int).items.size(), 2u);
  // Defaults of schemas count dtypes as c10 does.
  EXPECT_EQ(parse_literal("6", ArgKind::DType).s, "f32");
}

TEST(Schema, NumbersOfDTypesAreThoseOfArchives) {
  EXPECT_EQ(serialized_dtype(DType::F32), 7);
  EXPECT_EQ(dtype_of_serialized(2), DType::I8);
  EXPECT_EQ(dtype_of_c10(6), DType::F32);
  EXPECT_EQ(dtype_of_serialized(0), DType::Unknown);
  EXPECT_EQ(dtype_of_serialized(999), DType::Unknown);
  for (int i = 1; i < kDTypeCount; ++i) {
    const auto d = static_cast<DType>(i);
    EXPECT_TRUE(serialized_dtype(d) == 0 || dtype_of_serialized(serialized_dtype(d)) == d) << dtype_name(d);
  }
}

// Rows name attributes and operands of cards: both must be there.
TEST(Schema, RowsFitTheCards) {
  const std::set<std::string_view> no_card_yet = {"rnn_relu"};
  Context context;
  for (const Overload* row : all_overloads()) {
    if (row->op.empty() || !row->hook.empty()) {
      const bool known = row->hook.empty() || row->hook == "sym" || find_import_hook(row->hook) != nullptr;
      EXPECT_TRUE(known) << row->target << ": hook " << row->hook;
      continue;
    }
    const OpDef* card = ops::table().find(row->op);
    if (card == nullptr) {
      EXPECT_TRUE(no_card_yet.contains(row->op)) << row->target << ": there is no card " << row->op;
      continue;
    }
    AttrBuilder attrs(*card, context);
    for (const ArgSpec& arg : row->args) {
      EXPECT_TRUE(arg.to != ArgSpec::Attribute || attrs.has(arg.attr))
          << row->target << ": " << row->op << " has no attribute " << arg.attr;
      if (arg.to != ArgSpec::Operand) continue;
      const bool inside = static_cast<size_t>(arg.operand) < card->operands.size() || card->variadic();
      EXPECT_TRUE(inside) << row->target << ": " << row->op << " has no operand " << arg.operand << " for "
                          << arg.name;
    }
    for (const FixedAttr& fixed : row->fixed) {
      EXPECT_TRUE(attrs.set_literal(fixed.attr, parse_literal(fixed.literal, ArgKind::Int)))
          << row->target << ": ." << fixed.attr << "=" << fixed.literal;
    }
  }
}

}  // namespace
}  // namespace zp::pt2
