// Inference beyond what recorded data shows: symbolic and unknown dims, quantized operands, promotion,
// messages.
#include <gtest/gtest.h>

#include "ir/model.h"
#include "ir/tensor.h"
#include "ops/binary.h"
#include "ops/create.h"
#include "ops/infer_util.h"
#include "ops/ops.h"
#include "ops/pool.h"
#include "ops/promote.h"
#include "ops/reduce.h"
#include "ops/resize.h"

namespace zp {
namespace {

class InferTest : public testing::Test {
 protected:
  Context& context() { return *model_.context; }
  Dim symbol(std::string_view name) { return context().dims().symbol(name); }
  Value* input(DType dtype, std::vector<Dim> shape) {
    return model_.graph->add_input("x", context().tensor(dtype, shape));
  }
  Value* quantized(std::vector<Dim> shape, double scale = 0.5) {
    QuantType q;
    q.scale = scale;
    return model_.graph->add_input("q", context().quantized(q, shape));
  }
  Value* number(double v) { return literal(DType::F32, std::vector<float>{static_cast<float>(v)}); }
  Value* number(int64_t v) { return literal(DType::I64, std::vector<int64_t>{v}); }
  template <typename T>
  Value* literal(DType dtype, const std::vector<T>& values) {
    return model_.graph->add_const(*context().make_constant("n", dtype, {}, values, ConstantKind::Literal));
  }
  Node* node(const OpDef& op, std::vector<Value*> operands, const void* attrs = nullptr, size_t results = 1) {
    NodeSpec spec;
    spec.op = &op;
    spec.operands = operands;
    spec.attrs = attrs;
    spec.results = results;
    return model_.graph->create(spec);
  }
  // The inferred type of result 0 as text, or the id of the error.
  std::string inferred(const OpDef& op, std::vector<Value*> operands, const void* attrs = nullptr,
                       size_t results = 1) {
    Node* n = node(op, std::move(operands), attrs, results);
    const Status status = n->infer();
    return status.ok() ? n->result()->type().str() : status.error().first().id;
  }
  Model model_;
};

TEST_F(InferTest, broadcasting_of_symbols) {
  const Dim s = symbol("s0"), t = symbol("s1");
  Value* a = input(DType::F32, {s, Dim(1), Dim(4)});
  EXPECT_EQ(inferred(ops::add, {a, input(DType::F32, {Dim(3), Dim(4)})}), "f32[s0,3,4]");
  EXPECT_EQ(inferred(ops::add, {a, input(DType::F32, {s, Dim(1), Dim(1)})}), "f32[s0,1,4]");
  EXPECT_EQ(inferred(ops::add, {a, input(DType::F32, {t, Dim(1), Dim(1)})}), "add.c1");
  EXPECT_EQ(inferred(ops::add, {a, input(DType::F32, {Dim(7), Dim(1), Dim(1)})}), "add.c1");
  EXPECT_EQ(inferred(ops::mul, {a, input(DType::F32, {})}), "f32[s0,1,4]");
  EXPECT_EQ(inferred(ops::mul, {a, number(2.5)}), "f32[s0,1,4]");
}

TEST_F(InferTest, broadcasting_of_unknown_dims) {
  Value* unknown = input(DType::F32, {Dim::unknown(), Dim::unknown()});
  EXPECT_EQ(inferred(ops::add, {unknown, input(DType::F32, {Dim(1), Dim(4)})}), "f32[?,4]");
  EXPECT_EQ(inferred(ops::add, {unknown, input(DType::F32, {symbol("s0"), Dim(4)})}), "f32[?,4]");
  Value* unranked = model_.graph->add_input("u", context().unranked(DType::F16));
  Node* sum = node(ops::add, {unranked, unknown});
  ASSERT_TRUE(sum->infer().ok());
  EXPECT_FALSE(sum->result()->type().ranked);
  EXPECT_EQ(sum->result()->type().dtype, DType::F32);
}

TEST_F(InferTest, integer_forms_keep_a_quantized_result) {
  Value* x = quantized({Dim(2), Dim(3)});
  EXPECT_EQ(inferred(ops::relu, {x}), "f32[2,3]");  // nothing was set: the real type
  Node* relu = node(ops::relu, {x});
  relu->result()->set_type(quantized({Dim(2), Dim(3)}, 0.25)->type_ptr());
  const Type* before = relu->result()->type_ptr();
  ASSERT_TRUE(relu->infer().ok());
  EXPECT_EQ(relu->result()->type_ptr(), before);
  relu->result()->set_type(quantized({Dim(2), Dim(4)}, 0.25)->type_ptr());
  const Status status = relu->infer();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().first().id, "relu.shape");
  // An op without an integer form gets the real type whatever was set.
  Node* norm = node(ops::atan2, {x, x});
  norm->result()->set_type(before);
  ASSERT_TRUE(norm->infer().ok());
  EXPECT_EQ(norm->result()->type().str(), "f32[2,3]");
}

TEST_F(InferTest, missing_and_surplus_operands) {
  Value* x = input(DType::F32, {Dim(2)});
  EXPECT_EQ(inferred(ops::add, {x}), "add.operands");
  EXPECT_EQ(inferred(ops::add, {x, nullptr}), "add.operands");
  EXPECT_EQ(inferred(ops::relu, {x, x}), "relu.operands");
  Value* size = model_.graph->add_input("n", context().scalar(TypeKind::Int, symbol("s0")));
  EXPECT_EQ(inferred(ops::relu, {size}), "relu.operands");
}

TEST_F(InferTest, pooling_of_symbols) {
  const Dim s = symbol("s0");
  Value* x = input(DType::F32, {Dim(1), Dim(3), s, s});
  const int64_t two[] = {2}, three[] = {3};
  ops::MaxPoolAttrs pool;
  pool.kernel_size = two;
  EXPECT_EQ(inferred(ops::max_pool2d, {x}, &pool), inferred(ops::max_pool2d, {x}, &pool));
  Node* n = node(ops::max_pool2d, {x}, &pool);
  ASSERT_TRUE(n->infer().ok());
  const Dim half = n->result()->type().shape[2];
  EXPECT_EQ(context().dims().evaluate(half, {{"s0", 9}}), 4);
  pool.kernel_size = three;
  pool.stride = two;
  pool.ceil_mode = true;
  n = node(ops::max_pool2d, {x}, &pool);
  ASSERT_TRUE(n->infer().ok());
  EXPECT_EQ(context().dims().evaluate(n->result()->type().shape[2], {{"s0", 6}}), 3);
  EXPECT_EQ(context().dims().evaluate(n->result()->type().shape[2], {{"s0", 7}}), 3);
  pool.kernel_size = two;
  pool.stride = three;  // the last window may start outside
  n = node(ops::max_pool2d, {x}, &pool);
  ASSERT_TRUE(n->infer().ok());
  for (int64_t in = 2; in < 20; ++in) {
    int64_t want = (in - 2 + 2) / 3 + 1;
    if ((want - 1) * 3 >= in) --want;
    EXPECT_EQ(context().dims().evaluate(n->result()->type().shape[2], {{"s0", in}}), want) << in;
  }
}

TEST_F(InferTest, resizing_of_symbols) {
  Value* x = input(DType::F32, {Dim(1), Dim(3), symbol("s0"), Dim(5)});
  ops::UpsampleNearestAttrs attrs;
  const double scales[] = {1.5, 2.0};
  attrs.scale_factors = List<double>(scales);
  Node* n = node(ops::upsample_nearest2d, {x}, &attrs);
  ASSERT_TRUE(n->infer().ok());
  EXPECT_EQ(context().dims().evaluate(n->result()->type().shape[2], {{"s0", 5}}), 7);
  EXPECT_EQ(n->result()->type().shape[3], Dim(10));
  const double odd[] = {0.3, 2.0};  // no exact fraction: the extent is not known
  attrs.scale_factors = List<double>(odd);
  n = node(ops::upsample_nearest2d, {x}, &attrs);
  ASSERT_TRUE(n->infer().ok());
  EXPECT_TRUE(n->result()->type().shape[2].is_unknown());
}

TEST_F(InferTest, ranges_of_symbols) {
  ops::ArangeAttrs attrs;
  attrs.end_dim = symbol("s0");
  attrs.start = Number::of_int(2);
  attrs.step = Number::of_int(3);
  Node* n = node(ops::arange, {}, &attrs);
  ASSERT_TRUE(n->infer().ok());
  EXPECT_EQ(n->result()->type().dtype, DType::I64);
  for (int64_t end : {2, 3, 5, 6, 11})
    EXPECT_EQ(context().dims().evaluate(n->result()->type().shape[0], {{"s0", end}}), (end - 2 + 2) / 3)
        << end;
  // The evaluator takes the value from the binding.
  std::vector<Tensor> out(1);
  const DimBinding binding{{"s0", 9}};
  EvalArgs args{*n, {}, out, &binding, {}};
  ASSERT_TRUE(n->op().eval(args).ok());
  ASSERT_EQ(out[0].shape(), std::vector<int64_t>{3});
  EXPECT_EQ(out[0].get_int(2), 8);
  EvalArgs unbound{*n, {}, out, nullptr, {}};
  const Status status = n->op().eval(unbound);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().first().id, "run.dim");
}

TEST_F(InferTest, messages_have_numbers) {
  Node* n = node(ops::add, {input(DType::F32, {Dim(2), Dim(3)}), input(DType::F32, {Dim(4), Dim(3)})});
  const Status status = n->infer();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().str(),
            "node 'add': error: add.c1: operand 1 has 4 in dim 0 of the result, others have 2: shapes [2, 3] "
            "and [4, 3] do not broadcast");
}

// Shapes that only become known when the graph runs are checked then.
TEST_F(InferTest, shapes_are_checked_at_run_time) {
  Node* n = node(ops::add, {input(DType::F32, {Dim::unknown()}), input(DType::F32, {Dim::unknown()})});
  ASSERT_TRUE(n->infer().ok());
  const Tensor a = std::move(*Tensor::make(DType::F32, {2})), b = std::move(*Tensor::make(DType::F32, {3}));
  const Tensor* in[] = {&a, &b};
  std::vector<Tensor> out(1);
  EvalArgs args{*n, in, out, nullptr, {}};
  const Status status = n->op().eval(args);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().first().id, "run.shape");
}

// Casts beyond the largest f8e4m3 saturate.
TEST_F(InferTest, casts_to_f8_saturate) {
  ops::CastAttrs attrs;
  attrs.dtype = DType::F8E4M3;
  Node* n = node(ops::cast, {input(DType::F32, {})}, &attrs);
  ASSERT_TRUE(n->infer().ok());
  const Tensor x = Tensor::scalar(DType::F32, -1000.0f);
  const Tensor* in[] = {&x};
  std::vector<Tensor> out(1);
  EvalArgs args{*n, in, out, nullptr, {}};
  ASSERT_TRUE(n->op().eval(args).ok());
  EXPECT_EQ(out[0].get_double(0), -448.0);
}

TEST_F(InferTest, every_card_has_what_people_read) {
  for (const OpDef* op : ops::table().all()) {
    if (op->trait == Trait::Structural) continue;
    EXPECT_FALSE(op->doc.empty()) << op->name;
    EXPECT_FALSE(op->results.empty()) << op->name;
    EXPECT_NE(op->infer, nullptr) << op->name;
    for (const std::string_view check : op->checks) {
      EXPECT_NE(check.find(": "), std::string_view::npos) << op->name << " " << check;
    }
  }
}

// ---------------------------------------------------------------- promotion

TEST(PromoteTest, pairs) {
  using ops::promote_dtypes;
  EXPECT_EQ(promote_dtypes(DType::U8, DType::I8), DType::I16);
  EXPECT_EQ(promote_dtypes(DType::U8, DType::I32), DType::I32);
  EXPECT_EQ(promote_dtypes(DType::Bool, DType::U8), DType::U8);
  EXPECT_EQ(promote_dtypes(DType::I64, DType::F16), DType::F16);
  EXPECT_EQ(promote_dtypes(DType::F16, DType::BF16), DType::F32);
  EXPECT_EQ(promote_dtypes(DType::BF16, DType::F32), DType::F32);
  EXPECT_EQ(promote_dtypes(DType::F32, DType::F64), DType::F64);
  EXPECT_EQ(promote_dtypes(DType::F64, DType::C64), DType::C128);
  EXPECT_EQ(promote_dtypes(DType::U64, DType::I8), std::nullopt);
  EXPECT_EQ(promote_dtypes(DType::F8E4M3, DType::F32), std::nullopt);
  EXPECT_EQ(promote_dtypes(DType::F8E4M3, DType::F8E4M3), DType::F8E4M3);
}

TEST(PromoteTest, is_symmetric_and_idempotent) {
  for (int i = 1; i < kDTypeCount; ++i) {
    const auto a = static_cast<DType>(i);
    EXPECT_EQ(ops::promote_dtypes(a, a), a);
    for (int j = 1; j < kDTypeCount; ++j)
      EXPECT_EQ(ops::promote_dtypes(a, static_cast<DType>(j)), ops::promote_dtypes(static_cast<DType>(j), a));
  }
}

TEST(PromoteTest, groups) {
  using ops::PromotedOperand;
  const auto result = [](std::vector<PromotedOperand> operands) { return ops::promote(operands); };
  const auto dims = [](DType d) { return PromotedOperand{PromotedOperand::Dimensions, d}; };
  const auto zero = [](DType d) { return PromotedOperand{PromotedOperand::ZeroDim, d}; };
  const auto number = [](DType d) { return PromotedOperand{PromotedOperand::Number, d}; };
  EXPECT_EQ(result({dims(DType::I8), number(DType::I64)}), DType::I8);
  EXPECT_EQ(result({dims(DType::F16), number(DType::F32)}), DType::F16);
  EXPECT_EQ(result({dims(DType::I32), number(DType::F32)}), DType::F32);
  EXPECT_EQ(result({dims(DType::Bool), number(DType::I64)}), DType::I64);
  EXPECT_EQ(result({dims(DType::F16), zero(DType::F64)}), DType::F16);
  EXPECT_EQ(result({dims(DType::I64), zero(DType::F16)}), DType::F16);
  EXPECT_EQ(result({zero(DType::I8), number(DType::I64)}), DType::I8);
  EXPECT_EQ(result({zero(DType::I8), zero(DType::I64)}), DType::I64);
  EXPECT_EQ(result({dims(DType::F32), number(DType::C64)}), DType::C64);
  EXPECT_EQ(result({dims(DType::F64), number(DType::C64)}), DType::C128);
  EXPECT_EQ(result({number(DType::I64), number(DType::F32)}), DType::F32);
}

}  // namespace
}  // namespace zp
