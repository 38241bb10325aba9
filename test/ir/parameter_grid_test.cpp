// The algebra of parameters through shape steps against the element-wise definition, on all small cases.
#include "ir/parameter_grid.h"

#include "shape_oracle.h"

namespace zp {
namespace {

using oracle::Elements;

// All uniform blockings of a shape that are a quantization: per tensor, per axis, and blocks.
std::vector<IntShape> blockings(const IntShape& shape, bool all) {
  std::vector<IntShape> out{shape};
  for (int64_t& b : out[0]) b = std::max<int64_t>(1, b);
  for (size_t d = 0; d < shape.size(); ++d) {
    IntShape axis = out[0];
    axis[d] = 1;
    out.push_back(axis);
    for (size_t e = 0; e < shape.size(); ++e) {
      for (int64_t b : {2, 3}) {
        if (shape[e] % b != 0 || shape[e] == b || shape[e] == 0) continue;
        IntShape block = axis;
        block[e] = b;
        out.push_back(block);
      }
    }
  }
  if (!all && out.size() > 4) out.resize(4);
  return out;
}

Elements labels_of(const IntShape& shape, const IntShape& block) {
  Elements e = Elements::iota(shape);
  IntShape cells;
  for (size_t d = 0; d < shape.size(); ++d) cells.push_back((shape[d] + block[d] - 1) / block[d]);
  for (int64_t& id : e.ids) {
    IntShape j = oracle::unravel(id, shape);
    for (size_t d = 0; d < j.size(); ++d) j[d] /= block[d];
    id = oracle::ravel(j, cells);
  }
  return e;
}

// Holds a grid to the labels of all elements: every label, the form, and every entry of the form's list.
void check(ParameterGrid grid, const Elements& labels, std::span<const int32_t> classes,
           const std::string& what) {
  ASSERT_TRUE(grid.settle().ok()) << what;
  ASSERT_EQ(grid.shape(), labels.shape) << what;
  if (grid.empty()) return;
  for (int64_t i = 0; i < oracle::count_of(labels.shape); ++i) {
    ASSERT_EQ(grid.label_at(oracle::unravel(i, labels.shape)), labels.ids[static_cast<size_t>(i)])
        << what << " element " << i;
  }
  Elements seen = labels;
  for (int64_t& id : seen.ids)
    if (id >= 0 && !classes.empty()) id = classes[static_cast<size_t>(id)];
  const oracle::Form wanted = oracle::coarsest(seen);
  auto got = grid.form(classes);
  ASSERT_TRUE(got.ok()) << what;
  ASSERT_EQ(got->kind, wanted.kind) << what << " block " << oracle::text(got->block) << " wanted "
                                    << oracle::text(wanted.block);
  ASSERT_EQ(got->block, wanted.block) << what;
  ASSERT_EQ(got->axis, wanted.axis) << what;
  if (got->kind == GridForm::None) {
    ASSERT_FALSE(got->why.empty());
    return;
  }
  IntShape block = got->block;
  if (got->kind == GridForm::PerAxis) {
    block = labels.shape;
    block[static_cast<size_t>(got->axis)] = 1;
  }
  IntShape cells;
  for (size_t d = 0; d < block.size(); ++d) cells.push_back(labels.shape[d] / block[d]);
  ASSERT_EQ(static_cast<int64_t>(got->cells.size()), oracle::count_of(cells)) << what;
  for (int64_t i = 0; i < oracle::count_of(labels.shape); ++i) {
    if (seen.ids[static_cast<size_t>(i)] < 0) continue;
    IntShape j = oracle::unravel(i, labels.shape);
    for (size_t d = 0; d < j.size(); ++d) j[d] /= block[d];
    const int32_t entry = got->cells[static_cast<size_t>(oracle::ravel(j, cells))];
    ASSERT_GE(entry, 0) << what;
    ASSERT_EQ(classes.empty() ? entry : classes[static_cast<size_t>(entry)], seen.ids[static_cast<size_t>(i)])
        << what << " element " << i;
  }
}

struct Start {
  ParameterGrid grid;
  Elements labels;
  std::vector<int32_t> classes;  // two values, so that many forms merge
};

Start start(const IntShape& shape, const IntShape& block) {
  Start s{*ParameterGrid::uniform(shape, block), labels_of(shape, block), {}};
  for (size_t i = 0; i < s.grid.labels().size(); ++i)
    s.classes.push_back(static_cast<int32_t>(i * 7 / 3 % 2));
  return s;
}

// Applies the step to both; false where the result is too large to be of interest.
bool step_both(ParameterGrid* grid, Elements* labels, const MapStep& s, const std::string& what) {
  const auto status = grid->apply(s, -1);
  EXPECT_TRUE(status.ok()) << what << (status.ok() ? "" : status.error().str());
  *labels = oracle::apply(*labels, s);
  return status.ok() && oracle::count_of(labels->shape) <= 2000;
}

int64_t run_singles(const std::vector<IntShape>& shapes, bool all, size_t every) {
  std::mt19937 random(7);
  int64_t cases = 0;
  for (const IntShape& shape : shapes) {
    for (const IntShape& block : blockings(shape, all)) {
      const Start from = start(shape, block);
      size_t k = random() % every;
      for (const MapStep& s : oracle::steps(shape, 4, random)) {
        if (++k % every != 0) continue;
        ParameterGrid grid = from.grid;
        Elements labels = from.labels;
        const std::string what =
            oracle::text(shape) + " block " + oracle::text(block) + " " + oracle::text(s);
        if (!step_both(&grid, &labels, s, what)) continue;
        check(grid, labels, {}, what);
        check(grid, labels, from.classes, what + " by value");
        if (::testing::Test::HasFatalFailure()) return cases;
        ++cases;
      }
    }
  }
  return cases;
}

const std::vector<int64_t> kSizes = {1, 2, 3, 4, 6};

TEST(ParameterGrid, EverySingleStepUpToThreeDims) {
  EXPECT_GT(run_singles({IntShape{}}, true, 1), 0);
  EXPECT_GT(run_singles(oracle::shapes(1, kSizes), true, 1), 100);
  EXPECT_GT(run_singles(oracle::shapes(2, kSizes), true, 1), 5000);
  EXPECT_GT(run_singles(oracle::shapes(3, kSizes), true, 29), 2000);
}

TEST(ParameterGrid, SampledSingleStepsOfFourDims) {
  EXPECT_GT(run_singles(oracle::shapes(4, {1, 2, 3, 4}), true, 397), 700);
}

TEST(ParameterGrid, TensorsWithoutElements) {
  run_singles(oracle::shapes(1, {0}), true, 1);
  run_singles(oracle::shapes(2, {0, 2}), true, 1);
  run_singles(oracle::shapes(3, {0, 1, 3}), true, 1);
}

// Chains are decided at their end: an illegal middle may have a legal end.
int64_t run_chains(const std::vector<IntShape>& shapes, int length, int64_t runs, uint32_t seed) {
  std::mt19937 random(seed);
  int64_t cases = 0;
  for (int64_t r = 0; r < runs; ++r) {
    const IntShape& shape = shapes[random() % shapes.size()];
    const std::vector<IntShape> blocks = blockings(shape, true);
    const IntShape& block = blocks[random() % blocks.size()];
    Start from = start(shape, block);
    std::string what = oracle::text(shape) + " block " + oracle::text(block);
    bool fine = true;
    for (int k = 0; k < length && fine; ++k) {
      const std::vector<MapStep> all = oracle::steps(from.labels.shape, 3, random);
      const MapStep& s = all[random() % all.size()];
      what += " ; " + oracle::text(s);
      fine = step_both(&from.grid, &from.labels, s, what);
    }
    if (!fine) continue;
    check(from.grid, from.labels, {}, what);
    check(from.grid, from.labels, from.classes, what + " by value");
    if (::testing::Test::HasFatalFailure()) return cases;
    ++cases;
  }
  return cases;
}

TEST(ParameterGrid, Pairs) { EXPECT_GT(run_chains(oracle::shapes(3, kSizes), 2, 5000, 11), 3500); }
TEST(ParameterGrid, Triples) { EXPECT_GT(run_chains(oracle::shapes(3, kSizes), 3, 5000, 12), 3000); }
TEST(ParameterGrid, LongChains) { EXPECT_GT(run_chains(oracle::shapes(2, {2, 3, 4, 6}), 7, 3000, 13), 1000); }

TEST(ParameterGrid, Joins) {
  std::mt19937 random(5);
  int64_t cases = 0;
  for (int r = 0; r < 6000; ++r) {
    IntShape shape;
    const size_t rank = 1 + random() % 3;
    for (size_t d = 0; d < rank; ++d) shape.push_back(kSizes[random() % kSizes.size()]);
    const size_t dim = random() % rank;
    std::vector<ParameterGrid> parts;
    Elements labels;
    std::vector<Elements> pieces;
    std::string what = "join along " + std::to_string(dim);
    IntShape joined = shape;
    joined[dim] = 0;
    const size_t count = 2 + random() % 2;
    for (size_t k = 0; k < count; ++k) {
      IntShape own = shape;
      own[dim] = static_cast<int64_t>(random() % 5);
      joined[dim] += own[dim];
      const std::vector<IntShape> blocks = blockings(own, true);
      const IntShape& block = blocks[random() % blocks.size()];
      Start s = start(own, block);
      // Sometimes the parts share their list, as tied constants do.
      const int32_t base = random() % 2 == 0 ? 0 : static_cast<int32_t>(k * 1000);
      s.grid.relabel([&](int32_t l) { return l + base; });
      for (int64_t& id : s.labels.ids) id += base;
      what += " part " + oracle::text(own) + " block " + oracle::text(block);
      parts.push_back(std::move(s.grid));
      pieces.push_back(std::move(s.labels));
    }
    labels.shape = joined;
    for (int64_t i = 0; i < oracle::count_of(joined); ++i) {
      IntShape j = oracle::unravel(i, joined);
      size_t k = 0;
      while (j[dim] >= pieces[k].shape[dim]) j[dim] -= pieces[k++].shape[dim];
      labels.ids.push_back(pieces[k].ids[static_cast<size_t>(oracle::ravel(j, pieces[k].shape))]);
    }
    auto grid = ParameterGrid::join(parts, static_cast<int64_t>(dim));
    ASSERT_TRUE(grid.ok()) << what;
    check(*grid, labels, {}, what);
    if (HasFatalFailure()) return;
    ++cases;
  }
  EXPECT_EQ(cases, 6000);
}

TEST(ParameterGrid, LargeTensorsCostTheirScalesOnly) {
  // 4096 x 4096 x 16 elements, one scale a row: none of these steps may walk over elements.
  auto grid = ParameterGrid::uniform({4096, 4096, 16}, {1, 4096, 16});
  ASSERT_TRUE(grid.ok());
  ASSERT_TRUE(grid->apply(MapStep::reshape({4096, 65536}), -1).ok());
  ASSERT_TRUE(grid->apply(MapStep::permute({1, 0}), -1).ok());
  ASSERT_TRUE(grid->apply(MapStep::window({65536, 4096}, 1, 8, 2, 100), -1).ok());
  ASSERT_TRUE(grid->apply(MapStep::reshape({16, 4096, 100}), -1).ok());
  ASSERT_TRUE(grid->settle().ok());
  auto form = grid->form({});
  ASSERT_TRUE(form.ok());
  EXPECT_EQ(form->kind, GridForm::PerAxis);
  EXPECT_EQ(form->axis, 2);
  EXPECT_EQ(form->cells[3], 14);
}

TEST(ParameterGrid, ReshapesBackAndForthAreOne) {
  // The middle would need every element of 2^26; it is never looked at.
  auto grid = ParameterGrid::uniform({8192, 8192}, {1, 32});
  ASSERT_TRUE(grid.ok());
  ASSERT_TRUE(grid->apply(MapStep::reshape({64, 1024, 1024}), -1).ok());
  ASSERT_TRUE(grid->apply(MapStep::reshape({8192, 8192}), -1).ok());
  ASSERT_TRUE(grid->settle().ok());
  auto form = grid->form({});
  ASSERT_TRUE(form.ok());
  EXPECT_EQ(form->kind, GridForm::PerBlock);
  EXPECT_EQ(form->block, (IntShape{1, 32}));
}

TEST(ParameterGrid, UnknownPlacesMayNotPickScales) {
  auto rows = ParameterGrid::uniform({6, 4}, {1, 4});
  EXPECT_FALSE(rows->apply(MapStep::choose(0, {5}), -1).ok());
  auto columns = ParameterGrid::uniform({6, 4}, {6, 1});
  ASSERT_TRUE(columns->apply(MapStep::choose(0, {5, 2}), -1).ok());
  EXPECT_EQ(columns->shape(), (IntShape{5, 2, 4}));
  auto form = columns->form({});
  EXPECT_EQ(form->axis, 2);
}

}  // namespace
}  // namespace zp
