// Copies between strided layouts against one loop over all elements: every width, dim orders, extents around
// the tile, negative and zero strides, storage without room behind it; with every set of kernels this machine
// has, in the cache and past it.
#include "support/strided_copy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "support/turn_block.h"

namespace zp {
namespace {

using Ints = std::vector<int64_t>;

int64_t count_of(const Ints& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

Ints dense(const Ints& shape) {
  Ints strides(shape.size());
  int64_t step = 1;
  for (size_t d = shape.size(); d-- > 0; step *= shape[d]) strides[d] = step;
  return strides;
}

// The place of element i of a shape in C order.
int64_t place_of(int64_t i, const Ints& shape, const Ints& strides, int64_t offset) {
  for (size_t d = shape.size(); d-- > 0; i /= shape[d]) offset += i % shape[d] * strides[d];
  return offset;
}

struct Layout {
  Ints shape, strides;
  int64_t offset = 0, extent = 0;  // elements of the storage
};

// A shape with its dims laid out in any order, some of them backwards, some with gaps.
Layout any_layout(std::mt19937& random, const Ints& shape) {
  Layout layout{shape, Ints(shape.size()), 0, 0};
  std::vector<size_t> order(shape.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::shuffle(order.begin(), order.end(), random);
  int64_t step = 1;
  for (const size_t d : order) {
    layout.strides[d] = step;
    step *= shape[d] + (random() % 4 == 0 ? 1 : 0);
  }
  layout.extent = step;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (random() % 6 != 0) continue;
    layout.offset += (shape[d] - 1) * layout.strides[d];
    layout.strides[d] = -layout.strides[d];
  }
  return layout;
}

std::vector<std::byte> noise(std::mt19937& random, int64_t bytes) {
  std::vector<std::byte> all(static_cast<size_t>(bytes));
  for (std::byte& b : all) b = static_cast<std::byte>(random());
  return all;
}

void check(std::mt19937& random, const Layout& from, int64_t width) {
  const std::vector<std::byte> storage = noise(random, from.extent * width);
  std::vector<std::byte> to(static_cast<size_t>(count_of(from.shape) * width + 8), std::byte{0x5A});
  copy_elements({storage, from.offset, from.strides}, width, from.shape, to.data(), dense(from.shape));
  for (int64_t i = 0; i < count_of(from.shape); ++i) {
    const int64_t place = place_of(i, from.shape, from.strides, from.offset);
    ASSERT_EQ(std::memcmp(to.data() + i * width, storage.data() + place * width, static_cast<size_t>(width)),
              0)
        << "width " << width << " element " << i;
  }
  for (size_t k = to.size() - 8; k < to.size(); ++k) ASSERT_EQ(to[k], std::byte{0x5A}) << "beyond the end";
}

// Once with each set of kernels.
class StridedCopy : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_turn_isa(GetParam()); }
  void TearDown() override { set_turn_isa(turn_isa_count() - 1); }
};
INSTANTIATE_TEST_SUITE_P(Isa, StridedCopy, testing::Range(0, turn_isa_count()));

TEST_P(StridedCopy, EveryWidthAndOrder) {
  std::mt19937 random(1);
  for (int r = 0; r < 2500; ++r) {
    Ints shape;
    for (size_t d = 0, rank = random() % 5; d < rank; ++d)
      shape.push_back(static_cast<int64_t>(1 + random() % (rank > 2 ? 9 : 40)));
    check(random, any_layout(random, shape), int64_t{1} << random() % 5);
    if (HasFatalFailure()) return;
  }
}

TEST_P(StridedCopy, TilesAndTheirEdges) {
  std::mt19937 random(2);
  for (const int64_t width : {1, 2, 4, 8, 16}) {
    for (const int64_t rows : {3, 9, 16, 17, 64, 255, 257}) {
      for (const int64_t columns : {3, 15, 33, 256, 300}) {
        check(random, {{columns, rows}, {1, columns}, 0, rows * columns}, width);
        check(random, {{5, columns, rows}, {rows * columns, 1, columns}, 0, 5 * rows * columns}, width);
        if (HasFatalFailure()) return;
      }
    }
    // Lines that run through several dims on both sides.
    check(random, {{3, 5, 40, 30}, {5, 1, 15 * 30, 15}, 0, 15 * 40 * 30}, width);
    check(random, {{37, 3, 3, 41}, {1, 3 * 37, 37, 9 * 37}, 0, 9 * 37 * 41}, width);
  }
}

// Results that are written past the cache, at places that start with a cache line and at others.
void check_large(std::mt19937& random, const Layout& from, int64_t width, int64_t shift) {
  const std::vector<std::byte> storage = noise(random, from.extent * width / 8);
  std::vector<std::byte> all;
  while (static_cast<int64_t>(all.size()) < from.extent * width)
    all.insert(all.end(), storage.begin(), storage.end());
  all.resize(static_cast<size_t>(from.extent * width));
  std::vector<std::byte> to(static_cast<size_t>(count_of(from.shape) * width + 256), std::byte{0x5A});
  const auto aligned = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(to.data()) % 64);
  std::byte* begin = to.data() + aligned + shift;
  copy_elements({all, from.offset, from.strides}, width, from.shape, begin, dense(from.shape));
  int64_t wrong = 0;
  for (int64_t i = 0; i < count_of(from.shape); ++i) {
    const int64_t place = place_of(i, from.shape, from.strides, from.offset);
    wrong += std::memcmp(begin + i * width, all.data() + place * width, static_cast<size_t>(width)) != 0;
  }
  EXPECT_EQ(wrong, 0) << "width " << width << " shift " << shift;
  EXPECT_TRUE(std::all_of(to.data(), begin, [](std::byte b) { return b == std::byte{0x5A}; }));
  EXPECT_TRUE(std::all_of(begin + count_of(from.shape) * width, to.data() + to.size(),
                          [](std::byte b) { return b == std::byte{0x5A}; }));
}

TEST_P(StridedCopy, PastTheCache) {
  std::mt19937 random(5);
  for (const int64_t width : {1, 2, 4, 8, 16}) {
    const int64_t n = (int64_t{5} << 20) / width / 9;
    check_large(random, {{1024, 9 * n / 1024}, {1, 1024}, 0, 9 * n}, width, 0);
    check_large(random, {{9 * n / 1024, 1024}, {-1, 9 * n / 1024}, 9 * n / 1024 - 1, 9 * n}, width,
                5 * width);
    check_large(random, {{2, 9, n / 2}, {9 * (n / 2), 1, 9}, 0, 9 * n}, width, 0);
    check_large(random, {{2, n / 2, 9}, {9 * (n / 2), 1, n / 2}, 0, 9 * n}, width, 3);
    check_large(random, {{2, n / 2, 3}, {3 * (n / 2), 1, n / 2}, 0, 3 * n}, width, width);
  }
}

TEST_P(StridedCopy, NibblesPastTheCache) {
  std::mt19937 random(6);
  for (const int64_t rows : {3000, 2999}) {
    const Ints shape{rows, 3126}, strides{1, rows};
    const std::vector<std::byte> storage = noise(random, (rows * 3126 + 1) / 2);
    std::vector<std::byte> to(static_cast<size_t>(rows * 3126 / 2 + 8), std::byte{0x5A});
    ASSERT_TRUE(copy_nibbles({storage, 0, strides}, shape, to.data()));
    const auto value = [](const std::vector<std::byte>& all, int64_t i) {
      return static_cast<int>(all[static_cast<size_t>(i / 2)]) >> (i % 2 * 4) & 15;
    };
    int64_t wrong = 0;
    for (int64_t i = 0; i < rows * 3126; ++i)
      wrong += value(to, i) != value(storage, place_of(i, shape, strides, 0));
    EXPECT_EQ(wrong, 0) << rows;
    EXPECT_TRUE(std::all_of(to.end() - 8, to.end(), [](std::byte b) { return b == std::byte{0x5A}; }));
  }
}

TEST_P(StridedCopy, OneElementSeenEverywhere) {
  const std::vector<std::byte> storage{std::byte{1}, std::byte{2}};
  std::vector<std::byte> to(12);
  copy_elements({storage, 1, Ints{0, 0}}, 1, Ints{3, 4}, to.data(), Ints{4, 1});
  EXPECT_EQ(std::count(to.begin(), to.end(), std::byte{2}), 12);
  copy_elements({storage, 0, Ints{0, 0}}, 1, Ints{3, 0}, nullptr, Ints{0, 1});
}

int nibble(const std::vector<std::byte>& storage, int64_t i) {
  return static_cast<int>(storage[static_cast<size_t>(i / 2)]) >> (i % 2 * 4) & 15;
}

TEST_P(StridedCopy, Nibbles) {
  std::mt19937 random(3);
  int taken = 0;
  for (int r = 0; r < 2000; ++r) {
    Ints shape;
    for (size_t d = 0, rank = random() % 4; d < rank; ++d)
      shape.push_back(static_cast<int64_t>(1 + random() % (rank > 2 ? 12 : 300)));
    Layout from = any_layout(random, shape);
    from.offset += static_cast<int64_t>(random() % 2);
    const std::vector<std::byte> storage = noise(random, (from.extent + 2) / 2);
    std::vector<std::byte> to(static_cast<size_t>((count_of(shape) + 1) / 2 + 8), std::byte{0x5A});
    if (!copy_nibbles({storage, from.offset, from.strides}, shape, to.data())) continue;
    ++taken;
    for (int64_t i = 0; i < count_of(shape); ++i)
      ASSERT_EQ(nibble(to, i), nibble(storage, place_of(i, shape, from.strides, from.offset))) << i;
    for (size_t k = to.size() - 8; k < to.size(); ++k) ASSERT_EQ(to[k], std::byte{0x5A}) << "beyond the end";
  }
  EXPECT_GT(taken, 300);
}

TEST_P(StridedCopy, NibblesToBytesAndBack) {
  std::mt19937 random(4);
  const std::vector<std::byte> storage = noise(random, 200);
  for (const int64_t offset : {0, 1, 2, 7}) {
    for (const int64_t count : {0, 1, 2, 31, 64, 301}) {
      std::vector<std::byte> plain(static_cast<size_t>(count)), signs = plain;
      unpack_nibbles(storage, offset, count, false, plain.data());
      unpack_nibbles(storage, offset, count, true, signs.data());
      for (int64_t i = 0; i < count; ++i) {
        const int n = nibble(storage, offset + i);
        ASSERT_EQ(static_cast<int>(plain[static_cast<size_t>(i)]), n);
        ASSERT_EQ(static_cast<int8_t>(signs[static_cast<size_t>(i)]), n > 7 ? n - 16 : n);
      }
      std::vector<std::byte> packed(static_cast<size_t>((count + 1) / 2));
      pack_nibbles(signs, packed.data());
      for (int64_t i = 0; i < count; ++i) ASSERT_EQ(nibble(packed, i), nibble(storage, offset + i));
      if (count % 2 != 0) { ASSERT_EQ(nibble(packed, count), 0); }
    }
  }
}

}  // namespace
}  // namespace zp
