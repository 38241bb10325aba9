// The bulk products over sizes around their tiles, for every instruction set of the machine, at the ends of
// their ranges.
#include "ops/gemm.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "affine_support.h"
#include "ops/eval_util.h"

namespace zp {
namespace {

using testing::Random;

class GemmIsa : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { ops::set_gemm_isa(GetParam()); }
  void TearDown() override { ops::set_gemm_isa(ops::gemm_isa_count() - 1); }
};

template <typename T>
void check_integers(Random& random, int64_t most_a, int64_t most_b) {
  for (const int64_t rows : {1, 2, 3, 4, 5, 9})
    for (const int64_t cols : {1, 2, 3, 4, 5, 8})
      for (const int64_t depth : {0, 32, 64, 1056}) {
        const int64_t stride = depth + 32;
        std::vector<T> a(static_cast<size_t>(rows * stride)), b(static_cast<size_t>(cols * stride));
        for (T& v : a) v = static_cast<T>(random.in(0, 3) == 0 ? -most_a : random.in(-most_a, most_a));
        for (T& v : b) v = static_cast<T>(random.in(0, 3) == 0 ? -most_b : random.in(-most_b, most_b));
        std::vector<int64_t> c(static_cast<size_t>(rows * (cols + 1)), -7);
        ops::gemm(a.data(), b.data(), stride, stride, rows, cols, depth, most_a * most_b, c.data(), cols + 1);
        for (int64_t m = 0; m < rows; ++m) {
          for (int64_t n = 0; n < cols; ++n) {
            int64_t want = 0;
            for (int64_t k = 0; k < depth; ++k)
              want += static_cast<int64_t>(a[static_cast<size_t>(m * stride + k)]) *
                      b[static_cast<size_t>(n * stride + k)];
            ASSERT_EQ(c[static_cast<size_t>(m * (cols + 1) + n)], want)
                << rows << "x" << cols << "x" << depth;
          }
          ASSERT_EQ(c[static_cast<size_t>(m * (cols + 1) + cols)], -7) << "written beyond the tile";
        }
      }
}

TEST_P(GemmIsa, integers) {
  Random random(21);
  check_integers<int16_t>(random, 255, 255);
  check_integers<int16_t>(random, 32767, 255);   // short chunks
  check_integers<int16_t>(random, 32767, 2047);  // the bound of 32 products in 32 bits
  check_integers<int32_t>(random, INT32_MAX, 1 << 15);
}

template <typename T>
void check_floats(Random& random) {
  for (const int64_t rows : {1, 3, 4, 6})
    for (const int64_t cols : {1, 2, 4, 5})
      for (const int64_t depth : {0, 32, 320}) {
        std::vector<T> a(static_cast<size_t>(rows * depth)), b(static_cast<size_t>(cols * depth)),
            c(static_cast<size_t>(rows * cols));
        for (T& v : a) v = random.real();
        for (T& v : b) v = random.real();
        ops::gemm(a.data(), b.data(), depth, depth, rows, cols, depth, 0, c.data(), cols);
        for (int64_t m = 0; m < rows; ++m)
          for (int64_t n = 0; n < cols; ++n)
            ASSERT_EQ(c[static_cast<size_t>(m * cols + n)],
                      ops::dot16(a.data() + m * depth, b.data() + n * depth, depth));
      }
}

TEST_P(GemmIsa, floats) {
  Random random(22);
  check_floats<float>(random);
  check_floats<double>(random);
}

INSTANTIATE_TEST_SUITE_P(gemm, GemmIsa, ::testing::Range(0, ops::gemm_isa_count()));

// The order itself, written out: 16 lanes, then 8, 4, 2, 1.
TEST(float_sum, order_of_additions) {
  Random random(23);
  for (const int64_t n : {0, 1, 15, 16, 17, 31, 100}) {
    std::vector<float> x(static_cast<size_t>(n));
    for (float& v : x) v = random.real();
    float lane[16] = {};
    for (int64_t i = 0; i < n; ++i) lane[i % 16] += x[static_cast<size_t>(i)];
    float eight[8], four[4];
    for (int i = 0; i < 8; ++i) eight[i] = lane[i] + lane[i + 8];
    for (int i = 0; i < 4; ++i) four[i] = eight[i] + eight[i + 4];
    const float want = (four[0] + four[2]) + (four[1] + four[3]);
    EXPECT_EQ(ops::sum16(x.data(), n), want);
    std::vector<float> apart(static_cast<size_t>(3 * n + 1));
    for (int64_t i = 0; i < n; ++i) apart[static_cast<size_t>(3 * i)] = x[static_cast<size_t>(i)];
    EXPECT_EQ(ops::sum16(apart.data(), n, 3), want);
    const std::vector<float> ones(static_cast<size_t>(n), 1.0f);
    EXPECT_EQ(ops::dot16(x.data(), ones.data(), n), want);
  }
}

TEST(rows, cover_a_broadcast_shape_once) {
  const std::vector<int64_t> out{3, 1, 4, 5};
  const std::vector<int64_t> strides[] = {ops::broadcast_strides(std::vector<int64_t>{4, 1}, out),
                                          ops::broadcast_strides(out, out)};
  std::vector<int64_t> first(60, -1), second(60, -1);
  ops::for_each_row(out, strides, [&](int64_t at, const int64_t* in, int64_t length, const int64_t* step) {
    for (int64_t i = 0; i < length; ++i) {
      EXPECT_EQ(first[static_cast<size_t>(at + i)], -1);
      first[static_cast<size_t>(at + i)] = in[0] + i * step[0];
      second[static_cast<size_t>(at + i)] = in[1] + i * step[1];
    }
  });
  for (int64_t i = 0; i < 60; ++i) {
    EXPECT_EQ(first[static_cast<size_t>(i)], i / 5 % 4);
    EXPECT_EQ(second[static_cast<size_t>(i)], i);
  }
}

}  // namespace
}  // namespace zp
