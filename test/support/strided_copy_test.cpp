// Copies between strided layouts against one loop over all elements: every width, dim orders, extents around
// the tile, negative and zero strides, storage without room behind it.
#include "support/strided_copy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

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

TEST(StridedCopy, EveryWidthAndOrder) {
  std::mt19937 random(1);
  for (int r = 0; r < 4000; ++r) {
    Ints shape;
    for (size_t d = 0, rank = random() % 5; d < rank; ++d)
      shape.push_back(static_cast<int64_t>(1 + random() % (rank > 2 ? 9 : 40)));
    check(random, any_layout(random, shape), int64_t{1} << random() % 5);
    if (HasFatalFailure()) return;
  }
}

TEST(StridedCopy, TilesAndTheirEdges) {
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

TEST(StridedCopy, OneElementSeenEverywhere) {
  const std::vector<std::byte> storage{std::byte{1}, std::byte{2}};
  std::vector<std::byte> to(12);
  copy_elements({storage, 1, Ints{0, 0}}, 1, Ints{3, 4}, to.data(), Ints{4, 1});
  EXPECT_EQ(std::count(to.begin(), to.end(), std::byte{2}), 12);
  copy_elements({storage, 0, Ints{0, 0}}, 1, Ints{3, 0}, nullptr, Ints{0, 1});
}

int nibble(const std::vector<std::byte>& storage, int64_t i) {
  return static_cast<int>(storage[static_cast<size_t>(i / 2)]) >> (i % 2 * 4) & 15;
}

TEST(StridedCopy, Nibbles) {
  std::mt19937 random(3);
  int taken = 0;
  for (int r = 0; r < 3000; ++r) {
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
  EXPECT_GT(taken, 500);
}

TEST(StridedCopy, NibblesToBytesAndBack) {
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
