// Bytes moved by steps against the element-wise definition, for every element width, dense and strided.
#include "ir/move_data.h"

#include <cstring>

#include "shape_oracle.h"

namespace zp {
namespace {

using oracle::Elements;

// A view whose element i holds the number i in its own width; `gaps`: stored with holes and in another dim
// order.
StridedView numbered(const IntShape& shape, int64_t width, bool gaps) {
  StridedView view;
  view.width = width;
  view.shape = shape;
  view.strides = dense_strides(shape);
  if (gaps) {
    int64_t step = 2;
    for (size_t d = 0; d < shape.size(); ++d) {
      view.strides[d] = step;
      step *= std::max<int64_t>(1, shape[d]) + 1;
    }
    view.offset = 3;
  }
  int64_t last = view.offset;
  for (size_t d = 0; d < shape.size(); ++d) last += view.strides[d] * std::max<int64_t>(0, shape[d] - 1);
  std::byte* bytes = nullptr;
  view.storage = Blob::allocate(static_cast<size_t>((last + 1) * width), &bytes);
  std::memset(bytes, 0xEE, static_cast<size_t>((last + 1) * width));
  for (int64_t i = 0; i < oracle::count_of(shape); ++i) {
    const IntShape j = oracle::unravel(i, shape);
    int64_t place = view.offset;
    for (size_t d = 0; d < shape.size(); ++d) place += j[d] * view.strides[d];
    std::memset(bytes + place * width, 0, static_cast<size_t>(width));
    const int64_t number = i + 1;
    std::memcpy(bytes + place * width, &number, static_cast<size_t>(std::min<int64_t>(width, 8)));
  }
  return view;
}

void expect_numbers(const StridedView& view, const Elements& wanted, int64_t padding,
                    const std::string& what) {
  ASSERT_EQ(view.shape, wanted.shape) << what;
  auto bytes = dense_blob(view);
  ASSERT_TRUE(bytes.ok()) << what;
  const int64_t mask = view.width >= 8 ? -1 : (int64_t{1} << (8 * view.width)) - 1;
  for (int64_t i = 0; i < oracle::count_of(wanted.shape); ++i) {
    int64_t got = 0;
    std::memcpy(&got, bytes->data() + i * view.width, static_cast<size_t>(std::min<int64_t>(view.width, 8)));
    const int64_t id = wanted.ids[static_cast<size_t>(i)];
    ASSERT_EQ(got, (id < 0 ? padding : id + 1) & mask) << what << " element " << i;
  }
}

TEST(MoveData, EverySmallStepOfEveryWidth) {
  std::mt19937 random(3);
  int64_t cases = 0;
  for (size_t rank = 0; rank <= 3; ++rank) {
    for (const IntShape& shape : oracle::shapes(rank, {1, 2, 3, 6})) {
      for (const int64_t width : {1, 2, 4, 8, 16}) {
        for (const bool gaps : {false, true}) {
          const StridedView view = numbered(shape, width, gaps);
          size_t k = random() % 8;
          for (MapStep s : oracle::steps(shape, 3, random)) {
            if (++k % 8 != 0) continue;
            auto moved = move_view(view, std::span(&s, 1));
            ASSERT_TRUE(moved.ok()) << oracle::text(shape) << oracle::text(s);
            expect_numbers(*moved, oracle::apply(Elements::iota(shape), s), 0,
                           oracle::text(shape) + " " + oracle::text(s));
            if (HasFatalFailure()) return;
            ++cases;
          }
        }
      }
    }
  }
  EXPECT_GT(cases, 12000);
}

TEST(MoveData, Chains) {
  std::mt19937 random(4);
  const auto shapes = oracle::shapes(3, {0, 1, 2, 3, 4, 6});
  for (int r = 0; r < 8000; ++r) {
    const IntShape& shape = shapes[random() % shapes.size()];
    const int64_t width = int64_t{1} << random() % 4;
    StridedView view = numbered(shape, width, random() % 2 == 0);
    Elements wanted = Elements::iota(shape);
    std::string what = oracle::text(shape);
    std::vector<MapStep> chain;
    for (int k = 0; k < 4 && oracle::count_of(wanted.shape) < 500; ++k) {
      const auto all = oracle::steps(wanted.shape, 3, random);
      chain.push_back(all[random() % all.size()]);
      what += " ; " + oracle::text(chain.back());
      wanted = oracle::apply(wanted, chain.back());
    }
    const int64_t fill = 0x7777777777777777;
    auto moved = move_view(view, chain, reinterpret_cast<const std::byte*>(&fill));
    ASSERT_TRUE(moved.ok()) << what;
    expect_numbers(*moved, wanted, fill, what);
    if (HasFatalFailure()) return;
  }
}

TEST(MoveData, Triangles) {
  for (const IntShape& shape : oracle::shapes(3, {1, 3, 4})) {
    for (int64_t offset = -5; offset <= 5; ++offset) {
      for (const bool upper : {false, true}) {
        const MapStep s = MapStep::triangle(upper, offset);
        const int64_t fill = 99;
        auto moved =
            move_view(numbered(shape, 2, true), std::span(&s, 1), reinterpret_cast<const std::byte*>(&fill));
        ASSERT_TRUE(moved.ok());
        expect_numbers(*moved, oracle::apply(Elements::iota(shape), s), fill,
                       oracle::text(shape) + oracle::text(s));
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(MoveData, LargeTransposesAreExact) {
  // Past all block sizes, with edges that fill no block.
  for (const int64_t width : {1, 2, 4, 8, 16}) {
    for (const auto& [shape, dims] :
         std::vector<std::pair<IntShape, std::vector<int64_t>>>{{{131, 257}, {1, 0}},
                                                                {{67, 5, 129}, {2, 1, 0}},
                                                                {{3, 65, 130}, {0, 2, 1}},
                                                                {{33, 3, 3, 40}, {3, 2, 0, 1}},
                                                                {{129, 66, 3}, {1, 0, 2}}}) {
      const MapStep s = MapStep::permute(dims);
      auto moved = move_view(numbered(shape, width, false), std::span(&s, 1));
      ASSERT_TRUE(moved.ok());
      expect_numbers(*moved, oracle::apply(Elements::iota(shape), s), 0,
                     oracle::text(shape) + oracle::text(s) + std::to_string(width));
      if (HasFatalFailure()) return;
    }
  }
}

TEST(MoveData, Joins) {
  for (int64_t dim = 0; dim < 3; ++dim) {
    // Parts of extent 1 along the last dim leave no run of elements on either side.
    for (const std::vector<int64_t>& extents :
         std::vector<std::vector<int64_t>>{{2, 0, 5}, {1, 1}, {1, 4, 1}}) {
      std::vector<StridedView> parts;
      std::vector<IntShape> shapes;
      Elements wanted;
      wanted.shape = {2, 3, 4};
      wanted.shape[static_cast<size_t>(dim)] = 0;
      for (const int64_t extent : extents) {
        shapes.push_back({2, 3, 4});
        shapes.back()[static_cast<size_t>(dim)] = extent;
        parts.push_back(numbered(shapes.back(), 2, extent > 2));
        wanted.shape[static_cast<size_t>(dim)] += extent;
      }
      for (int64_t i = 0; i < oracle::count_of(wanted.shape); ++i) {
        IntShape j = oracle::unravel(i, wanted.shape);
        size_t k = 0;
        for (int64_t& along = j[static_cast<size_t>(dim)]; along >= extents[k]; ++k) along -= extents[k];
        wanted.ids.push_back(oracle::ravel(j, shapes[k]));
      }
      auto joined = join_views(parts, dim);
      ASSERT_TRUE(joined.ok());
      expect_numbers(*joined, wanted, 0, "dim " + std::to_string(dim));
    }
  }
}

TEST(MoveData, PackedElements) {
  std::mt19937 random(6);
  const auto shapes = oracle::shapes(3, {0, 1, 2, 3, 4, 6});
  for (int r = 0; r < 4000; ++r) {
    const IntShape& shape = shapes[random() % shapes.size()];
    const int64_t count = oracle::count_of(shape), offset = static_cast<int64_t>(random() % 3);
    std::vector<std::byte> elements(static_cast<size_t>(count + offset));
    for (std::byte& e : elements) e = static_cast<std::byte>(static_cast<int>(random() % 16) - 8);
    StridedView view;
    view.storage = pack_elements(DType::I4, elements);
    view.packed = DType::I4;
    view.shape = shape;
    view.strides = dense_strides(shape);
    view.offset = offset;
    Elements wanted = Elements::iota(shape);
    std::vector<MapStep> chain;
    for (int k = 0; k < 3 && oracle::count_of(wanted.shape) < 500; ++k) {
      const auto all = oracle::steps(wanted.shape, 3, random);
      chain.push_back(all[random() % all.size()]);
      wanted = oracle::apply(wanted, chain.back());
    }
    const std::byte fill{7};
    auto moved = move_view(view, chain, &fill);
    ASSERT_TRUE(moved.ok());
    auto bytes = packed_blob(*moved, DType::I4);
    ASSERT_TRUE(bytes.ok());
    for (int64_t i = 0; i < oracle::count_of(wanted.shape); ++i) {
      const int64_t id = wanted.ids[static_cast<size_t>(i)];
      const std::byte element = id < 0 ? fill : elements[static_cast<size_t>(id + offset)];
      ASSERT_EQ(static_cast<int>(bytes->data()[i / 2]) >> (i % 2 * 4) & 15, static_cast<int>(element) & 15)
          << oracle::text(shape) << " element " << i;
    }
  }
}

TEST(MoveData, ViewsCopyNothing) {
  const StridedView view = numbered({8, 6, 4}, 4, false);
  const std::vector<MapStep> steps{MapStep::reshape({48, 4}), MapStep::window({48, 4}, 0, 6, 1, 12),
                                   MapStep::reshape({2, 6, 4})};
  auto moved = move_view(view, steps);
  ASSERT_TRUE(moved.ok());
  EXPECT_EQ(moved->storage.data(), view.storage.data());
  auto bytes = dense_blob(*moved);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(bytes->data(), view.storage.data() + 6 * 4 * 4);
}

}  // namespace
}  // namespace zp
