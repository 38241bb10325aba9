// Quantizations carried by maps: every element keeps its scale and zero point, in the form that is promised.
#include "ir/quant_carry.h"

#include "shape_oracle.h"

namespace zp {
namespace {

using oracle::Elements;

QuantType listed(Context& context, std::string_view name, const IntShape& grid, int32_t axis,
                 const IntShape& block, std::mt19937& random, bool zeros, int distinct) {
  std::vector<float> scales;
  std::vector<int64_t> zero_points;
  for (int64_t i = 0; i < oracle::count_of(grid); ++i) {
    const auto k = static_cast<float>(random() % static_cast<unsigned>(distinct));
    scales.push_back(0.25f + k / 64);
    zero_points.push_back(static_cast<int64_t>(k) % 5 - 2);
  }
  QuantType q;
  q.axis = axis;
  q.block = context.ints(block);
  q.scales = context.make_constant(std::string(name) + ".scale", DType::F32, grid, scales);
  if (zeros)
    q.zero_points = context.make_constant(std::string(name) + ".zero_point", DType::I64, grid, zero_points);
  return q;
}

// Some quantization of a shape: per tensor, per axis or in blocks.
const QuantType* any_quant(Context& context, const IntShape& shape, std::mt19937& random,
                           std::string_view name) {
  const int distinct = random() % 3 == 0 ? 2 : 1000;
  const bool zeros = random() % 2 == 0;
  const auto kind = shape.empty() ? 0 : random() % 3;
  if (kind == 0) {
    QuantType q;
    q.scale = 0.1 + static_cast<double>(random() % 100) / 100;
    q.zero_point = zeros ? static_cast<double>(random() % 7) - 3 : 0;
    return context.quant(q);
  }
  const size_t d = random() % shape.size();
  if (kind == 1)
    return context.quant(
        listed(context, name, {shape[d]}, static_cast<int32_t>(d), {}, random, zeros, distinct));
  IntShape block, grid;
  for (const int64_t e : shape) {
    std::vector<int64_t> fits;
    for (int64_t b = 1; b <= e; ++b)
      if (e % b == 0) fits.push_back(b);
    block.push_back(fits[random() % fits.size()]);
    grid.push_back(e / block.back());
  }
  return context.quant(listed(context, name, grid, -1, block, random, zeros, distinct));
}

struct Parameters {
  std::vector<std::pair<double, int64_t>> of;  // each element's
};

Parameters parameters(Context& context, const QuantType& quant, const IntShape& shape) {
  auto p = quant_params(context, quant, shape);
  EXPECT_TRUE(p.ok()) << (p.ok() ? "" : p.error().str());
  Parameters out;
  for (int64_t i = 0; i < oracle::count_of(shape); ++i) {
    const IntShape j = oracle::unravel(i, shape);
    int64_t cell = 0;
    for (size_t d = 0; d < shape.size(); ++d)
      cell = cell * p->grid[d] + j[d] / ((shape[d] + p->grid[d] - 1) / p->grid[d]);
    out.of.emplace_back(static_cast<double>(static_cast<float>(p->scales[static_cast<size_t>(cell)])),
                        p->zero_points[static_cast<size_t>(cell)]);
  }
  return out;
}

// What the parameters are, as labels of equal values: for the question whether they can be written.
Elements value_labels(const IntShape& shape, const Parameters& p) {
  Elements e{shape, {}};
  std::map<std::pair<double, int64_t>, int64_t> numbers;
  for (const auto& v : p.of)
    e.ids.push_back(numbers.emplace(v, static_cast<int64_t>(numbers.size())).first->second);
  return e;
}

// Coordinates picked from a dim that has none have no parameters; the op would fail when it runs.
TEST(QuantCarry, NothingIsPickedFromAnEmptyDim) {
  Context context;
  std::mt19937 random(1);
  const QuantType* quant = context.quant(listed(context, "w", {4}, 1, {}, random, true, 1000));
  auto state = CarriedQuant::of(context, *quant, {0, 4});
  ASSERT_TRUE(state.ok());
  const CarriedQuant* operands[] = {&*state};
  auto carried = CarriedQuant::mapped({.parts = {{0, {MapStep::choose(0, {3})}}}}, operands);
  ASSERT_FALSE(carried.ok());
  EXPECT_NE(carried.error().str().find("picked from dim 0"), std::string::npos) << carried.error().str();
}

TEST(QuantCarry, ChainsKeepEveryElementsParameters) {
  std::mt19937 random(21);
  const auto shapes = oracle::shapes(3, {1, 2, 3, 4, 6});
  int written = 0, refused = 0;
  for (int r = 0; r < 4000; ++r) {
    Context context;
    const IntShape& shape = shapes[random() % shapes.size()];
    const QuantType* from = any_quant(context, shape, random, "w");
    auto state = CarriedQuant::of(context, *from, shape);
    ASSERT_TRUE(state.ok());
    Elements ids = Elements::iota(shape);
    std::string what = oracle::text(shape) + " " + quant_str(*from);
    MapResult map{.parts = {{0, {}}}};
    for (int k = 0; k < 3 && oracle::count_of(ids.shape) < 400; ++k) {
      const auto all = oracle::steps(ids.shape, 3, random);
      const MapStep& s = all[random() % all.size()];
      if (std::find(s.index.begin(), s.index.end(), -1) != s.index.end()) continue;
      what += " ; " + oracle::text(s);
      map.parts[0].steps.push_back(s);
      ids = oracle::apply(ids, s);
    }
    if (oracle::count_of(ids.shape) == 0) continue;
    const CarriedQuant* operands[] = {&*state};
    auto carried = CarriedQuant::mapped(map, operands);
    ASSERT_TRUE(carried.ok()) << what;
    const Parameters before = parameters(context, *from, shape);
    Parameters wanted;
    for (const int64_t id : ids.ids) wanted.of.push_back(before.of[static_cast<size_t>(id)]);
    const oracle::Form form = oracle::coarsest(value_labels(ids.shape, wanted));
    auto type = carried->write(context);
    // A list on one dim may be written whatever its length; everything else by the coarsest form of the
    // values.
    ASSERT_EQ(type.ok(), form.kind != GridForm::None) << what << (type.ok() ? "" : type.error().str());
    if (!type.ok()) {
      ++refused;
      continue;
    }
    ++written;
    const Parameters got = parameters(context, **type, ids.shape);
    ASSERT_EQ(got.of, wanted.of) << what << " written " << quant_str(**type);
    if (form.kind == GridForm::PerTensor && from->per_tensor()) { ASSERT_EQ(*type, from) << what; }
    // Asking again gives the very same type: inference must be stable.
    auto again = CarriedQuant::mapped(map, operands);
    ASSERT_EQ(*again->write(context), *type) << what;
  }
  EXPECT_GT(written, 1500);
  EXPECT_GT(refused, 60);
}

TEST(QuantCarry, AListThatStaysInOrderStaysTheSameConstant) {
  Context context;
  std::mt19937 random(1);
  const QuantType* rows = context.quant(listed(context, "w", {6}, 0, {}, random, true, 1000));
  auto state = CarriedQuant::of(context, *rows, {6, 4});
  const CarriedQuant* operands[] = {&*state};
  for (const auto& [steps, axis] :
       std::vector<std::pair<std::vector<MapStep>, int>>{{{MapStep::reshape({6, 2, 2})}, 0},
                                                         {{MapStep::permute({1, 0})}, 1},
                                                         {{MapStep::reshape({1, 6, 4})}, 1},
                                                         {{MapStep::window({6, 4}, 1, 1, 2, 2)}, 0}}) {
    auto type = CarriedQuant::mapped({.parts = {{0, steps}}}, operands)->write(context);
    ASSERT_TRUE(type.ok());
    EXPECT_EQ((*type)->scales, rows->scales);
    EXPECT_EQ((*type)->zero_points, rows->zero_points);
    EXPECT_EQ((*type)->axis, axis);
  }
  auto reversed = CarriedQuant::mapped({.parts = {{0, {MapStep::window({6, 4}, 0, 5, -1, 6)}}}}, operands)
                      ->write(context);
  ASSERT_TRUE(reversed.ok());
  EXPECT_NE((*reversed)->scales, rows->scales);
  EXPECT_EQ((*reversed)->scales->dtype, DType::F32);
}

TEST(QuantCarry, OneScaleOfAListIsANumber) {
  Context context;
  std::mt19937 random(1);
  const QuantType* rows = context.quant(listed(context, "w", {6}, 0, {}, random, true, 1000));
  auto state = CarriedQuant::of(context, *rows, {6, 4});
  const CarriedQuant* operands[] = {&*state};
  auto type = CarriedQuant::mapped(
                  {.parts = {{0, {MapStep::window({6, 4}, 0, 4, 1, 1), MapStep::reshape({4})}}}}, operands)
                  ->write(context);
  ASSERT_TRUE(type.ok());
  EXPECT_TRUE((*type)->per_tensor());
  EXPECT_EQ((*type)->scale, parameters(context, *rows, {6, 4}).of[16].first);
}

QuantType simple(double scale, double zero_point, DType storage = DType::I8) {
  QuantType q;
  q.storage = storage;
  q.qmin = int_min(storage);
  q.qmax = int_max(storage);
  q.scale = scale;
  q.zero_point = zero_point;
  return q;
}

Result<const QuantType*> joined(Context& context, std::vector<std::pair<const QuantType*, IntShape>> parts,
                                int64_t dim) {
  std::vector<CarriedQuant> states;
  MapResult map;
  map.join_dim = dim;
  for (const auto& [quant, shape] : parts) {
    states.push_back(*CarriedQuant::of(context, *quant, shape));
    map.parts.push_back({map.parts.size(), {}});
  }
  std::vector<const CarriedQuant*> operands;
  for (const CarriedQuant& s : states) operands.push_back(&s);
  ZP_TRY(CarriedQuant carried, CarriedQuant::mapped(map, operands));
  return carried.write(context);
}

TEST(QuantCarry, JoinedTensorsWithOtherScalesBecomeAList) {
  Context context;
  const QuantType *a = context.quant(simple(0.5, 3)), *b = context.quant(simple(0.25, 0)),
                  *c = context.quant(simple(0.5, 3));
  ASSERT_EQ(a, c);
  auto same = joined(context, {{a, {2, 3}}, {c, {1, 3}}}, 0);
  ASSERT_TRUE(same.ok());
  EXPECT_EQ(*same, a);
  auto list = joined(context, {{a, {2, 3}}, {b, {1, 3}}}, 0);
  ASSERT_TRUE(list.ok());
  EXPECT_EQ((*list)->axis, 0);
  EXPECT_EQ(parameters(context, **list, {3, 3}).of,
            (std::vector<std::pair<double, int64_t>>{
                {.5, 3}, {.5, 3}, {.5, 3}, {.5, 3}, {.5, 3}, {.5, 3}, {.25, 0}, {.25, 0}, {.25, 0}}));
  // The same numbers in two constants are one tensor's scale again.
  QuantType d = simple(0.5, 3);
  d.qmin = -127;
  auto by_value = joined(context, {{a, {2, 3}}, {context.quant(d), {1, 3}}}, 0);
  ASSERT_TRUE(by_value.ok());
  EXPECT_TRUE((*by_value)->per_tensor());
  EXPECT_EQ((*by_value)->qmin, -128);
}

TEST(QuantCarry, JoinsRefuseWhatHasNoCommonForm) {
  Context context;
  std::mt19937 random(2);
  const QuantType* a = context.quant(listed(context, "a", {4}, 0, {}, random, true, 1000));
  const QuantType* b = context.quant(listed(context, "b", {4}, 0, {}, random, true, 1000));
  auto across = joined(context, {{a, {4, 3}}, {b, {4, 2}}}, 1);
  ASSERT_FALSE(across.ok());
  EXPECT_NE(across.error().str().find("dims 0 and 1 of [4,5]"), std::string::npos) << across.error().str();
  EXPECT_FALSE(
      joined(context, {{context.quant(simple(1, 0)), {2}}, {context.quant(simple(1, 0, DType::I16)), {2}}}, 0)
          .ok());
  QuantType open = simple(1, 0);
  open.dynamic = true;
  EXPECT_FALSE(joined(context, {{context.quant(open), {2}}, {context.quant(open), {2}}}, 0).ok());
}

MapResult padded(int64_t dim, std::vector<int64_t> index, Number fill) {
  MapResult map{.parts = {{0, {MapStep::take(dim, std::move(index))}}}};
  map.fill = fill;
  return map;
}

TEST(QuantCarry, PaddingMustBeExactInEveryChannelItTouches) {
  Context context;
  const Constant* scales =
      context.make_constant("s", DType::F32, IntShape{3}, std::vector<float>{0.5f, 0.25f, 0.3f});
  QuantType q = simple(1, 0);
  q.axis = 0;
  q.scales = scales;
  const QuantType* rows = context.quant(q);
  auto state = CarriedQuant::of(context, *rows, {3, 2});
  const CarriedQuant* operands[] = {&*state};
  auto write = [&](const MapResult& map) { return CarriedQuant::mapped(map, operands)->write(context); };
  EXPECT_TRUE(write(padded(1, {-1, 0, 1}, Number::of_int(0))).ok());
  const auto one = write(padded(1, {-1, 0, 1}, Number::of_int(1)));
  ASSERT_FALSE(one.ok());
  EXPECT_NE(one.error().str().find("scale 0.3"), std::string::npos) << one.error().str();
  // Along the axis padding takes the scale of the row before it.
  auto along = write(padded(0, {0, 1, 2, -1}, Number::of_float(0.3f * 2)));
  ASSERT_TRUE(along.ok()) << along.error().str();
  EXPECT_EQ(parameters(context, **along, {4, 2}).of[6].first, static_cast<double>(0.3f));
  EXPECT_FALSE(write(padded(0, {0, 1, 2, -1}, Number::of_float(1e6))).ok());
}

TEST(QuantCarry, ExactIntegers) {
  EXPECT_EQ(exact_integer(1.0, 0.5, 3, -128, 127), 5);
  EXPECT_EQ(exact_integer(0.0, 0.3, -7, -128, 127), -7);
  EXPECT_EQ(exact_integer(1.1, 0.5, 0, -128, 127), std::nullopt);
  EXPECT_EQ(exact_integer(100.0, 0.5, 0, -128, 127), std::nullopt);
  EXPECT_EQ(exact_integer(-std::numeric_limits<double>::infinity(), 0.5, 0, -128, 127), std::nullopt);
  EXPECT_EQ(exact_integer(std::numeric_limits<double>::quiet_NaN(), 0.5, 0, -128, 127), std::nullopt);
  EXPECT_EQ(exact_integer(0.0, 0.5, -200, -128, 127), std::nullopt);
}

TEST(QuantCarry, RunTimeScalesMoveOnlyWhole) {
  Context context;
  QuantType q = simple(1, 0);
  q.dynamic = true;
  q.axis = 0;
  auto state = CarriedQuant::of(context, *context.quant(q), {6, 4});
  const CarriedQuant* operands[] = {&*state};
  auto turned = CarriedQuant::mapped({.parts = {{0, {MapStep::permute({1, 0})}}}}, operands)->write(context);
  ASSERT_TRUE(turned.ok());
  EXPECT_EQ((*turned)->axis, 1);
  EXPECT_FALSE(CarriedQuant::mapped({.parts = {{0, {MapStep::window({6, 4}, 0, 0, 1, 3)}}}}, operands)
                   ->write(context)
                   .ok());
  EXPECT_FALSE(
      CarriedQuant::mapped({.parts = {{0, {MapStep::reshape({24})}}}}, operands)->write(context).ok());
}

TEST(QuantCarry, BytesMovedToTheOtherStorageKeepTheirMeaning) {
  Context context;
  auto state = CarriedQuant::of(context, *context.quant(simple(0.5, 130, DType::U8)), {4});
  state->move_storage(DType::I8);
  auto type = state->write(context);
  ASSERT_TRUE(type.ok());
  EXPECT_EQ((*type)->storage, DType::I8);
  EXPECT_EQ((*type)->zero_point, 2);
  EXPECT_EQ(CarriedQuant::shift_between(DType::U8, DType::I8), -128);
  EXPECT_EQ(CarriedQuant::shift_between(DType::I8, DType::I16), 0);
}

TEST(QuantCarry, SameParametersInAnyForm) {
  Context context;
  QuantType axis = simple(1, 0);
  axis.axis = 0;
  axis.scales = context.make_constant("a", DType::F32, IntShape{4}, std::vector<float>{1, 1, 2, 2});
  QuantType block = simple(1, 0);
  block.block = context.ints({2, 0});
  block.scales = context.make_constant("b", DType::F32, IntShape{2, 1}, std::vector<float>{1, 2});
  EXPECT_TRUE(*same_parameters(context, *context.quant(axis), *context.quant(block), {4, 3}));
  EXPECT_FALSE(*same_parameters(context, *context.quant(axis), *context.quant(simple(1, 0)), {4, 3}));
  QuantType narrow = block;
  narrow.qmin = -127;
  EXPECT_FALSE(*same_parameters(context, *context.quant(axis), *context.quant(narrow), {4, 3}));
}

}  // namespace
}  // namespace zp
