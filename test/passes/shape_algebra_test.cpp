// The algebra of shapes and parameters on all small cases: single operators up to four dims, pairs up to
// three, and a sample of the triples (bench_shape runs a million of them). Square shapes are among them all:
// the worst mistakes of this kind pass every check of sizes.
#include <gtest/gtest.h>

#include <algorithm>

#include "ops/ops.h"
#include "shape_algebra.h"
#include "shape_algebra_runs.h"

namespace zp::algebra {
namespace {

void expect_all(const Count& count, int64_t at_least) {
  EXPECT_EQ(count.problem, "");
  EXPECT_GE(count.cases, at_least);
}

TEST(ShapeAlgebra, EveryOperatorThatOnlyMovesElementsIsHere) {
  // Those that write elements of one tensor into another are no shape ops of one constant.
  const std::vector<std::string> others{"index_copy", "index_put",      "masked_scatter", "masked_select",
                                        "scatter",    "select_scatter", "slice_scatter"};
  const std::vector<std::string> known = known_operators();
  for (const OpDef* op : ops::table().all()) {
    const std::string name(op->name);
    if (op->shape_map == nullptr || std::find(others.begin(), others.end(), name) != others.end()) continue;
    EXPECT_NE(std::find(known.begin(), known.end(), name), known.end()) << name;
  }
}

TEST(ShapeAlgebra, SinglesUpToThreeDims) { expect_all(run_singles(3, 5, false, true), 20000); }
TEST(ShapeAlgebra, SinglesOfFourDims) { expect_all(run_singles(4, 30, false, false), 200000); }
TEST(ShapeAlgebra, TensorsWithoutElements) { expect_all(run_singles(3, 1, true, true), 500); }
TEST(ShapeAlgebra, PairsFirstQuarter) { expect_all(run_pairs(0, 4, false), 100000); }
TEST(ShapeAlgebra, PairsSecondQuarter) { expect_all(run_pairs(1, 4, false), 100000); }
TEST(ShapeAlgebra, PairsThirdQuarter) { expect_all(run_pairs(2, 4, false), 100000); }
TEST(ShapeAlgebra, PairsFourthQuarter) { expect_all(run_pairs(3, 4, false), 100000); }
TEST(ShapeAlgebra, SampleOfTriples) { expect_all(run_triples(20000, 1), 20000); }

// The grid theorem's checker itself, on worked examples.
TEST(ShapeAlgebra, GridTheorem) {
  EXPECT_EQ(coarsest({2, 6}, {0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3}).block, (IntShape{1, 2}));
  EXPECT_EQ(coarsest({2, 6}, {0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3}).kind, GridForm::PerBlock);
  EXPECT_EQ(coarsest({2, 2}, {0, 1, 0, 1}).axis, 1);
  EXPECT_EQ(coarsest({2, 2}, {0, 0, 1, 1}).axis, 0);
  EXPECT_EQ(coarsest({2, 2}, {0, 1, 1, 0}).kind, GridForm::None);
  EXPECT_EQ(coarsest({2, 2}, {0, -1, -1, 0}).kind, GridForm::PerTensor);
}

}  // namespace
}  // namespace zp::algebra
