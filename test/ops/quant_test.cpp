// Our own definition where the source frameworks leave the result to the machine: infinities and NaN saturate
// or become 0 in every storage, i32 saturates instead of overflowing.
#include "ops/quant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "affine_support.h"
#include "support/parallel.h"

namespace zp {
namespace {

using testing::equal_bits;
using testing::Random;
using testing::random_floats;
using testing::TestNode;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

Tensor floats(std::vector<float> values) {
  Tensor t = std::move(*Tensor::make(DType::F32, {static_cast<int64_t>(values.size())}));
  for (size_t i = 0; i < values.size(); ++i) t.set_double(static_cast<int64_t>(i), values[i]);
  return t;
}

std::vector<int64_t> quantized(const QuantType& type, const Tensor& x, bool first = false) {
  TestNode t;
  ops::QuantizeAttrs attrs{.type = t.context().quant(type), .zero_point_first = first};
  Model& model = t.model;
  Value* operands[] = {model.graph->add_input("x", t.context().tensor(x.dtype(), x.shape()))};
  Node* node = model.graph->create({.op = &ops::quantize, .operands = operands, .attrs = &attrs});
  EXPECT_TRUE(node->infer().ok());
  std::vector<Tensor> out(1);
  const Tensor* in[] = {&x};
  EvalArgs args{*node, in, out, nullptr, {}};
  const Status status = ops::quantize.eval(args);
  EXPECT_TRUE(status.ok());
  std::vector<int64_t> values;
  for (int64_t i = 0; i < out[0].elements(); ++i) values.push_back(out[0].get_int(i));
  return values;
}

QuantType type_of(DType storage, double scale, double zero_point) {
  QuantType q;
  q.storage = storage;
  q.qmin = int_min(storage);
  q.qmax = int_max(storage);
  q.scale = scale;
  q.zero_point = zero_point;
  return q;
}

TEST(quantize, infinities_saturate_and_nan_is_zero_in_every_storage) {
  for (DType storage : {DType::I2, DType::U2, DType::I4, DType::U4, DType::I8, DType::U8, DType::I16,
                        DType::U16, DType::I32, DType::U32}) {
    SCOPED_TRACE(dtype_name(storage));
    const int64_t lo = int_min(storage), hi = int_max(storage);
    const Tensor x = floats({kInf, -kInf, kNan, 1e38f, -1e38f, 0.0f});
    EXPECT_EQ(quantized(type_of(storage, 0.5, 1), x), (std::vector<int64_t>{hi, lo, 0, hi, lo, 1}));
  }
}

TEST(quantize, i32_saturates) {
  const Tensor x = floats({2147483520.0f, 2147483648.0f, -2147483648.0f, -4e9f, 5.0f});
  EXPECT_EQ(quantized(type_of(DType::I32, 1, 0), x),
            (std::vector<int64_t>{2147483520, 2147483647, -2147483648LL, -2147483648LL, 5}));
  // The zero point is added in whole numbers, where a float sum would lose it.
  EXPECT_EQ(quantized(type_of(DType::I32, 1, 1), floats({33554432.0f})), (std::vector<int64_t>{33554433}));
}

TEST(quantize, nan_goes_to_the_nearest_number_of_a_range_without_zero) {
  QuantType q = type_of(DType::I8, 1, 20);
  q.qmin = 10;
  EXPECT_EQ(quantized(q, floats({kNan}))[0], 10);
  q.qmin = -128;
  q.qmax = -5;
  EXPECT_EQ(quantized(q, floats({kNan}))[0], -5);
}

TEST(quantize, rounding_before_and_after_the_zero_point) {
  const Tensor ties = floats({0.5f, 1.5f, 2.5f, -0.5f, -1.5f});
  EXPECT_EQ(quantized(type_of(DType::I8, 1, 1), ties), (std::vector<int64_t>{1, 3, 3, 1, -1}));
  EXPECT_EQ(quantized(type_of(DType::I8, 1, 1), ties, true), (std::vector<int64_t>{2, 2, 4, 0, 0}));
}

TEST(quantize, the_reciprocal_is_rounded_from_double) {
  // For scales that are no floats, 1.0f / (float)scale may differ from it in the last place.
  for (const double scale : {0.1, 0.3, 1e-3 / 3, 0.0123456789}) {
    const auto inverse = static_cast<float>(1.0 / scale);
    Random random(31);
    std::vector<float> values;
    for (int i = 0; i < 400; ++i) values.push_back(random.real() * static_cast<float>(scale) * 40);
    const std::vector<int64_t> q = quantized(type_of(DType::I8, scale, 3), floats(values));
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(q[i], quantize_value(values[i], inverse, 3, -128, 127)) << values[i];
  }
}

// The fast path of small storages equals the general one on every pattern of halves, signs and magnitudes.
TEST(quantize, fast_path_equals_the_definition) {
  Random random(32);
  std::vector<float> values;
  for (int e = -140; e < 127; ++e)
    for (int m = 0; m < 6; ++m)
      values.push_back(std::ldexp(1.0f + static_cast<float>(random.in(0, 7)) / 8, e) *
                       (m % 2 ? -1.0f : 1.0f));
  for (int i = -600; i < 600; ++i) values.push_back(static_cast<float>(i) * 0.5f);
  for (DType storage : {DType::I8, DType::U8, DType::I16, DType::U16, DType::U4}) {
    for (const int64_t zero_point :
         {int_min(storage), (int_min(storage) + int_max(storage)) / 2, int_max(storage)}) {
      for (const double scale : {1.0, 0.037, 117.0}) {
        const std::vector<int64_t> q =
            quantized(type_of(storage, scale, static_cast<double>(zero_point)), floats(values));
        const auto inverse = static_cast<float>(1.0 / scale);
        for (size_t i = 0; i < values.size(); ++i) {
          ASSERT_EQ(q[i], quantize_value(values[i], inverse, zero_point, int_min(storage), int_max(storage)))
              << dtype_name(storage) << " " << zero_point << " " << scale << " " << values[i];
        }
      }
    }
  }
}

TEST(quantize, a_round_trip_keeps_every_integer) {
  for (const double scale : {0.1, 1.0 / 3, 1e-5, 0.02745098061859608, 300.0}) {
    for (const int64_t zero_point : {-128, -3, 0, 127}) {
      TestNode t;
      const QuantType type = type_of(DType::I8, scale, static_cast<double>(zero_point));
      Tensor all = std::move(*Tensor::make(DType::I8, {256}));
      for (int64_t i = 0; i < 256; ++i) all.set_int(i, i - 128);
      const QuantParams params = *quant_params(t.context(), type, all.shape());
      const Tensor real = *ops::dequantize_tensor(all, params, DType::F32);
      EXPECT_TRUE(equal_bits(*ops::quantize_tensor(real, params), all)) << scale << " " << zero_point;
    }
  }
}

TEST(dequantize, differences_beyond_the_storage_are_exact) {
  TestNode t;
  const QuantType type = type_of(DType::I32, 0.5, -2147483648.0);
  Tensor q = std::move(*Tensor::make(DType::I32, {1}));
  q.set_int(0, 2147483647);
  const Tensor real = *ops::dequantize_tensor(q, *quant_params(t.context(), type, q.shape()), DType::F32);
  EXPECT_EQ(real.data<float>()[0], 4294967295.0f * 0.5f);
}

TEST(quantize, threads_give_equal_bits) {
  Random random(33);
  TestNode t;
  const Tensor x = random_floats(random, {7, 60, 130});
  const QuantType per_axis = t.per_axis(DType::I8, random, 1, 60, true),
                  blocks = t.per_block(DType::I4, random, {1, 0, 16}, 7 * 9, true);
  for (const QuantType& type : {t.per_tensor(DType::U8, 0.03, 7), per_axis, blocks}) {
    const QuantParams params = *quant_params(t.context(), type, x.shape());
    set_thread_count(1);
    const Tensor one = *ops::quantize_tensor(x, params);
    set_thread_count(2);
    const Tensor two = *ops::quantize_tensor(x, params);
    set_thread_count(1);
    EXPECT_TRUE(equal_bits(one, two));
  }
}

}  // namespace
}  // namespace zp
