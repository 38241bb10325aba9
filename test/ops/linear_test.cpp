// Linear and matrix products with quantized operands against sums in 64 bits; every granularity that stays
// exact, and those that do not.
#include <gtest/gtest.h>

#include "affine_support.h"
#include "ops/conv.h"
#include "ops/gemm.h"
#include "support/parallel.h"

namespace zp {
namespace {

using testing::equal_bits;
using testing::Random;
using testing::random_floats;
using testing::random_integers;
using testing::TestNode;
using testing::TestOperand;

// Scale and zero point of one element.
struct Param {
  double scale;
  int64_t zero_point;
};
Param param_at(const QuantParams& p, const std::vector<int64_t>& shape, const std::vector<int64_t>& index) {
  int64_t cell = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t extent = p.type->per_axis() ? (static_cast<size_t>(p.type->axis) == d ? 1 : shape[d])
                           : p.type->per_tensor() || p.type->block[d] == 0 ? shape[d]
                                                                           : p.type->block[d];
    cell = cell * p.grid[d] + index[d] / extent;
  }
  return {p.scales[static_cast<size_t>(cell)],
          p.zero_points.empty() ? 0 : p.zero_points[static_cast<size_t>(cell)]};
}

struct Operand {
  const Tensor& tensor;
  const QuantParams& params;
  std::vector<int64_t> strides() const {
    std::vector<int64_t> s(tensor.shape().size(), 1);
    for (size_t d = s.size() - 1; d-- > 0;) s[d] = s[d + 1] * tensor.shape()[d + 1];
    return s;
  }
  int64_t centred(const std::vector<int64_t>& index) const {
    int64_t at = 0;
    const std::vector<int64_t> s = strides();
    for (size_t d = 0; d < s.size(); ++d) at += index[d] * s[d];
    return tensor.get_int(at) - param_at(params, tensor.shape(), index).zero_point;
  }
  double scale(const std::vector<int64_t>& index) const {
    return param_at(params, tensor.shape(), index).scale;
  }
};

// One output: an exact sum for each run of equal scales of b, combined in double.
float exact(const Operand& a, const Operand& b, int64_t depth,
            const std::function<std::vector<int64_t>(int64_t)>& index_a,
            const std::function<std::vector<int64_t>(int64_t)>& index_b, int64_t block, int64_t integer_bias,
            double real_bias) {
  double real = 0;
  for (int64_t begin = 0; begin < depth; begin += block) {
    int64_t sum = begin == 0 ? integer_bias : 0;
    for (int64_t k = begin; k < std::min(depth, begin + block); ++k)
      sum += a.centred(index_a(k)) * b.centred(index_b(k));
    real += static_cast<double>(sum) * (a.scale(index_a(begin)) * b.scale(index_b(begin)));
  }
  return static_cast<float>(real + real_bias);
}

TEST(linear, quantized_sums_are_exact) {
  Random random(11);
  for (int i = 0; i < 120; ++i) {
    TestNode t;
    const int64_t rows = random.pick<int64_t>({1, 2, 7, 70}),
                  depth = random.pick<int64_t>({1, 5, 32, 33, 96}), cols = random.in(1, 9);
    const DType x_type = random.pick({DType::I8, DType::U8, DType::I16}),
                w_type = random.pick({DType::I8, DType::I4, DType::U8});
    const int w_kind = static_cast<int>(random.in(0, 3)), x_kind = static_cast<int>(random.in(0, 1));
    const bool zeros = random.in(0, 1) == 0;
    const int64_t block = w_kind >= 2 ? random.pick<int64_t>({1, 3, 5, 32}) : depth;
    SCOPED_TRACE(std::to_string(i) + ": " + std::to_string(rows) + "x" + std::to_string(depth) + "x" +
                 std::to_string(cols) + " w " + std::to_string(w_kind) + " x " + std::to_string(x_kind) +
                 " block " + std::to_string(block));
    QuantType qw = t.per_tensor(w_type, 0.021, zeros ? random.in(int_min(w_type), int_max(w_type)) : 0);
    const int64_t blocks = (depth + block - 1) / block;
    if (w_kind == 1) qw = t.per_axis(w_type, random, 0, cols, zeros);
    if (w_kind == 2) qw = t.per_block(w_type, random, {1, block}, cols * blocks, zeros);
    if (w_kind == 3) qw = t.per_block(w_type, random, {2, block}, (cols + 1) / 2 * blocks, zeros);
    // Activations: one scale, or one a token.
    QuantType qx = t.per_tensor(x_type, 0.05, random.in(std::max<int64_t>(int_min(x_type), -20), 20));
    if (x_kind == 1) qx = t.per_block(x_type, random, {1, 1, 0}, 2 * rows, true);
    const Tensor x = random_integers(random, x_type, {2, rows, depth}),
                 w = random_integers(random, w_type, {cols, depth});
    const QuantParams px = *quant_params(t.context(), qx, x.shape()),
                      pw = *quant_params(t.context(), qw, w.shape());
    const Tensor b = random_floats(random, {cols});
    const bool biased = random.in(0, 1) == 0;
    auto y = t.run(ops::linear, ops::LinearAttrs{},
                   {TestOperand(x, qx), TestOperand(w, qw), biased ? TestOperand(b) : TestOperand()});
    ASSERT_TRUE(y.ok()) << y.error().str();
    for (int64_t batch = 0; batch < 2; ++batch) {
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < cols; ++c) {
          const float want = exact(
              {x, px}, {w, pw}, depth,
              [&](int64_t k) {
                return std::vector<int64_t>{batch, r, k};
              },
              [&](int64_t k) {
                return std::vector<int64_t>{c, k};
              },
              block, 0, biased ? b.get_double(c) : 0.0);
          ASSERT_EQ(y->data<float>()[(batch * rows + r) * cols + c], want) << batch << "," << r << "," << c;
        }
      }
    }
  }
}

TEST(linear, bias_in_units_of_the_accumulator_is_added_in_integers) {
  for (const double off : {0.0, 0x1p-24, -0x1p-24, 0x1p-20}) {
    TestNode t;
    const double sx = 0.0173, sw = 0.0091;
    Tensor x = *Tensor::make(DType::I8, {1, 2}), w = *Tensor::make(DType::I8, {1, 2}),
           b = *Tensor::make(DType::I32, {1});
    x.set_int(0, 100);
    x.set_int(1, -3);
    w.set_int(0, 77);
    w.set_int(1, 5);
    b.set_int(0, 1234567);
    QuantType qb = t.per_tensor(DType::I32, sx * sw * (1 + off));
    auto y = t.run(ops::linear, ops::LinearAttrs{},
                   {TestOperand(x, t.per_tensor(DType::I8, sx)), TestOperand(w, t.per_tensor(DType::I8, sw)),
                    TestOperand(b, qb)});
    ASSERT_TRUE(y.ok());
    const int64_t acc = 100 * 77 - 15;
    const float in_integers = static_cast<float>(static_cast<double>(acc + 1234567) * (sx * sw));
    const float in_reals =
        static_cast<float>(static_cast<double>(acc) * (sx * sw) +
                           static_cast<double>(1234567.0f * static_cast<float>(sx * sw * (1 + off))));
    EXPECT_EQ(y->data<float>()[0], std::abs(off) < 0x1p-22 ? in_integers : in_reals) << off;
  }
}

TEST(linear, other_forms_are_products_of_real_numbers) {
  Random random(12);
  for (int kind = 0; kind < 4; ++kind) {
    SCOPED_TRACE(kind);
    TestNode t, plain;
    const Tensor x = random_integers(random, DType::I8, {5, 37}),
                 w = random_integers(random, DType::I8, {4, 37});
    QuantType qx = t.per_tensor(DType::I8, 0.02, 3), qw = t.per_tensor(DType::I8, 0.03);
    if (kind == 0) qw = t.per_axis(DType::I8, random, 1, 37);  // along the sum
    if (kind == 1) qx = t.per_axis(DType::I8, random, 1, 37);
    if (kind == 2) {  // zero points that are not integers
      qw = t.per_tensor(DType::I8, 0.03);
      qw.domain = ZeroPointDomain::Float;
      qw.zero_point = 2.5;
    }
    const Tensor real_x = *ops::dequantize_tensor(x, *quant_params(t.context(), qx, x.shape()), DType::F32);
    const Tensor real_w = *ops::dequantize_tensor(w, *quant_params(t.context(), qw, w.shape()), DType::F32);
    const bool weight_only = kind == 3;
    auto y = t.run(ops::linear, ops::LinearAttrs{},
                   {weight_only ? TestOperand(real_x) : TestOperand(x, qx), TestOperand(w, qw)});
    auto z = plain.run(ops::linear, ops::LinearAttrs{}, {real_x, real_w});
    ASSERT_TRUE(y.ok() && z.ok());
    EXPECT_TRUE(equal_bits(*y, *z));
  }
}

TEST(matmul, quantized_batches_are_exact) {
  Random random(13);
  for (int i = 0; i < 60; ++i) {
    TestNode t;
    const int64_t rows = random.in(1, 6), depth = random.pick<int64_t>({3, 32, 40}), cols = random.in(1, 6);
    const int a_kind = static_cast<int>(random.in(0, 2)), b_kind = static_cast<int>(random.in(0, 2));
    SCOPED_TRACE(std::to_string(i) + ": a " + std::to_string(a_kind) + " b " + std::to_string(b_kind));
    const Tensor a = random_integers(random, DType::U8, {2, 1, rows, depth}),
                 b = random_integers(random, DType::I8, {3, depth, cols});
    QuantType qa = t.per_tensor(DType::U8, 0.07, 100), qb = t.per_tensor(DType::I8, 0.003, -4);
    if (a_kind == 1) qa = t.per_axis(DType::U8, random, 2, rows, true);
    if (a_kind == 2) qa = t.per_block(DType::U8, random, {1, 0, 1, 0}, 2 * rows, true);
    if (b_kind == 1) qb = t.per_axis(DType::I8, random, 2, cols, true);
    if (b_kind == 2) qb = t.per_block(DType::I8, random, {1, 8, 1}, 3 * ((depth + 7) / 8) * cols, true);
    const QuantParams pa = *quant_params(t.context(), qa, a.shape()),
                      pb = *quant_params(t.context(), qb, b.shape());
    auto y = t.run(ops::matmul, ops::LinearAttrs{}, {TestOperand(a, qa), TestOperand(b, qb)});
    ASSERT_TRUE(y.ok()) << y.error().str();
    ASSERT_EQ(y->shape(), (std::vector<int64_t>{2, 3, rows, cols}));
    for (int64_t n = 0; n < 6 * rows * cols; ++n) {
      const int64_t c = n % cols, r = n / cols % rows, j = n / cols / rows % 3, h = n / cols / rows / 3;
      const float want = exact(
          {a, pa}, {b, pb}, depth,
          [&](int64_t k) {
            return std::vector<int64_t>{h, 0, r, k};
          },
          [&](int64_t k) {
            return std::vector<int64_t>{j, k, c};
          },
          b_kind == 2 ? 8 : depth, 0, 0);
      ASSERT_EQ(y->data<float>()[n], want) << n;
    }
  }
}

TEST(addmm, quantized_factors_and_scaled_bias) {
  Random random(14);
  TestNode t;
  const Tensor a = random_integers(random, DType::I8, {3, 20}),
               b = random_integers(random, DType::I8, {20, 4}), bias = random_floats(random, {3, 1});
  const QuantType qa = t.per_tensor(DType::I8, 0.02, 5), qb = t.per_axis(DType::I8, random, 1, 4);
  const QuantParams pb = *quant_params(t.context(), qb, b.shape());
  ops::AddmmAttrs attrs;
  attrs.alpha = Number::of_float(0.5);
  attrs.beta = Number::of_int(-3);
  auto y = t.run(ops::addmm, attrs, {TestOperand(bias), TestOperand(a, qa), TestOperand(b, qb)});
  ASSERT_TRUE(y.ok()) << y.error().str();
  for (int64_t r = 0; r < 3; ++r) {
    for (int64_t c = 0; c < 4; ++c) {
      int64_t sum = 0;
      for (int64_t k = 0; k < 20; ++k) sum += (a.get_int(r * 20 + k) - 5) * b.get_int(k * 4 + c);
      const double real = static_cast<double>(sum) * (0.02 * pb.scales[static_cast<size_t>(c)]) * 0.5 +
                          -3.0 * bias.get_double(r);
      EXPECT_EQ(y->data<float>()[r * 4 + c], static_cast<float>(real));
    }
  }
}

TEST(linear, threads_and_instruction_sets_give_equal_bits) {
  Random random(15);
  for (const int64_t rows : {1, 3, 200}) {
    const Tensor x = random_floats(random, {rows, 301}), w = random_floats(random, {130, 301});
    std::vector<Tensor> results;
    for (int threads : {1, 2}) {
      set_thread_count(threads);
      for (int isa = 0; isa < ops::gemm_isa_count(); ++isa) {
        ops::set_gemm_isa(isa);
        TestNode t;
        results.push_back(*t.run(ops::linear, ops::LinearAttrs{}, {x, w}));
      }
    }
    set_thread_count(1);
    ops::set_gemm_isa(ops::gemm_isa_count() - 1);
    for (const Tensor& r : results) EXPECT_TRUE(equal_bits(r, results[0]));
    // ... and it is the documented order.
    for (int64_t r = 0; r < rows; ++r)
      ASSERT_EQ(results[0].data<float>()[r * 130 + 7],
                ops::dot16(x.data<float>() + r * 301, w.data<float>() + 7 * 301, 301));
  }
}

}  // namespace
}  // namespace zp
