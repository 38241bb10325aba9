// Wishes against abilities: accepted, narrowed with words, refused with a reason.
#include "backend/wish.h"

#include <gtest/gtest.h>

#include "backend/backend.h"

namespace zp::backend {
namespace {

std::vector<Elem> elems(const std::string& text) {
  auto b = Backend::parse("backend t version 1\n types t { x: " + text + " }\n", "t.zpb");
  EXPECT_TRUE(b.ok()) << (b.ok() ? "" : b.error().str());
  return b.ok() ? (*b)->tree().typesets[0].slots[0].accepted : std::vector<Elem>();
}

Wish wish(DType storage = DType::I8, int64_t qmin = -128, int64_t qmax = 127) {
  Wish w;
  w.storage = storage;
  w.qmin = qmin;
  w.qmax = qmax;
  return w;
}

TEST(Wish, DtypeMustAgree) {
  EXPECT_EQ(decide(elems("i8 affine"), wish()).outcome, Decision::Accepted);
  const Decision d = decide(elems("u8 affine"), wish());
  EXPECT_EQ(d.outcome, Decision::Refused);
  EXPECT_EQ(d.text, "i8 is wished, u8 is taken");
  EXPECT_EQ(decide(elems("u8 affine | i8 affine"), wish()).outcome, Decision::Accepted);
  EXPECT_EQ(decide(elems("i4"), wish(DType::I8, -8, 7)).outcome, Decision::Accepted);
  EXPECT_EQ(decide(elems("i4"), wish()).outcome, Decision::Refused);
}

TEST(Wish, RangesNarrow) {
  const auto able = elems("i8[-127:127] symmetric");
  Wish w = wish(DType::I8, -127, 127);
  w.symmetric = true;
  EXPECT_EQ(decide(able, w).outcome, Decision::Accepted);
  w.qmin = -128;
  const Decision d = decide(able, w);
  EXPECT_EQ(d.outcome, Decision::Narrowed);
  EXPECT_EQ(d.got.qmin, -127);
  EXPECT_EQ(d.text, "range -128:127 becomes -127:127");
  // An exact ability comes before one that narrows, whatever the order.
  EXPECT_EQ(decide(elems("i8[-127:127] | i8"), w).outcome, Decision::Accepted);
}

TEST(Wish, SchemesGranularitiesDynamics) {
  EXPECT_EQ(decide(elems("i8 symmetric"), wish()).outcome, Decision::Narrowed);
  EXPECT_TRUE(decide(elems("i8 symmetric"), wish()).got.symmetric);
  Wish w = wish();
  w.granularity.kind = Granularity::PerAxis;
  w.granularity.axis_kind = Granularity::Out;
  EXPECT_EQ(decide(elems("i8 per-axis out"), w).outcome, Decision::Accepted);
  EXPECT_EQ(decide(elems("i8 per-tensor"), w).outcome, Decision::Refused);
  EXPECT_EQ(decide(elems("i8"), w).outcome, Decision::Accepted);
  w = wish();
  w.dynamic = true;
  EXPECT_EQ(decide(elems("i8"), w).outcome, Decision::Refused);
  EXPECT_EQ(decide(elems("i8 per-tensor dynamic"), w).outcome, Decision::Accepted);
  w = wish();
  w.granularity.kind = Granularity::PerGroup;
  w.granularity.group = 32;
  EXPECT_EQ(decide(elems("i8 per-group 32"), w).outcome, Decision::Accepted);
  EXPECT_EQ(decide(elems("i8 per-group"), w).outcome, Decision::Accepted);
  EXPECT_EQ(decide(elems("i8 per-group 64"), w).outcome, Decision::Refused);
}

TEST(Wish, ScalesHaveBoundsAndMayBeDictated) {
  Wish w = wish();
  w.eps = 0x1p-12;
  EXPECT_EQ(decide(elems("i8 scale >= 2^-12"), w).outcome, Decision::Accepted);
  w.eps = 1.1920929e-07;
  const Decision d = decide(elems("i8 scale >= 2^-12"), w);
  EXPECT_EQ(d.outcome, Decision::Narrowed);
  EXPECT_EQ(d.got.eps, 0x1p-12);
  const Decision fixed = decide(elems("u8 fixed(1/256, 0)"), wish(DType::U8, 0, 255));
  EXPECT_EQ(fixed.outcome, Decision::Accepted);
  EXPECT_EQ(fixed.got.fixed, std::make_pair(1.0 / 256, 0.0));
  w = wish(DType::U8, 0, 255);
  w.fixed = {1.0 / 256, 0};
  EXPECT_EQ(decide(elems("u8 fixed(1/256, 0)"), w).outcome, Decision::Accepted);
  w.fixed = {1.0 / 256, 128};
  EXPECT_EQ(decide(elems("u8 fixed(1/256, 0)"), w).outcome, Decision::Refused);
  w.fixed = {1.0 / 128, 0};
  EXPECT_EQ(decide(elems("u8 fixed(1/256, 0)"), w).outcome, Decision::Refused);
  EXPECT_EQ(decide(elems("u8 scale <= 1/256"), w).outcome, Decision::Refused);
}

}  // namespace
}  // namespace zp::backend
