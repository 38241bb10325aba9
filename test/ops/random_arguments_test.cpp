// Every operator with random operands and attributes: inference and evaluation end with results or with an
// error, whatever a file says. Nothing is compared; run it with ZP_SANITIZE=address,undefined to see more
// than signals and exceptions.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "ir/model.h"
#include "ir/tensor.h"
#include "ops/ops.h"
#include "ops/run_types.h"

namespace zp {
namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint64_t below(uint64_t n) { return engine_() % n; }
  bool chance(uint64_t percent) { return below(100) < percent; }
  template <typename T, size_t N>
  T any_of(const T (&items)[N]) {
    return items[below(N)];
  }

  int64_t integer() {
    static constexpr int64_t kSmall[] = {-3, -2, -1, 0, 1, 1, 2, 2, 3, 4};
    static constexpr int64_t kLarge[] = {
        -(int64_t{1} << 40), 1 << 30, int64_t{1} << 31, int64_t{1} << 62, INT64_MIN, INT64_MAX, 17, 100};
    return chance(90) ? any_of(kSmall) : any_of(kLarge);
  }
  double real() {
    static constexpr double kReals[] = {0.0, -0.0, 0.5, 1.0, -1.0, 2.0, 1e-5, 3.7, 1e30, -1e300};
    if (chance(5)) return std::numeric_limits<double>::quiet_NaN();
    if (chance(5)) return chance(50) ? INFINITY : -INFINITY;
    return any_of(kReals);
  }
  Number number() {
    if (chance(10)) return Number::of_bool(chance(50));
    return chance(50) ? Number::of_int(integer()) : Number::of_float(real());
  }
  DType dtype() {
    static constexpr DType kUsual[] = {DType::F32, DType::F32, DType::I64, DType::Bool, DType::F16,
                                       DType::I8,  DType::F64, DType::U8,  DType::I32};
    return chance(90) ? any_of(kUsual)
                      : static_cast<DType>(1 + below(static_cast<uint64_t>(kDTypeCount - 1)));
  }
  std::vector<int64_t> shape() {
    static constexpr int64_t kExtents[] = {1, 1, 2, 2, 3, 4, 5};
    std::vector<int64_t> out(chance(80) ? 1 + below(4) : below(7));
    for (int64_t& d : out) d = chance(4) ? 0 : any_of(kExtents);
    // Empty tensors may claim any other extent.
    if (chance(3) && !out.empty()) {
      for (int64_t& d : out) d = int64_t{1} << (20 + below(42));
      out[below(out.size())] = 0;
    }
    return out;
  }

 private:
  std::mt19937_64 engine_;
};

template <typename T, typename F>
List<T> random_list(Context& context, Random& random, F one) {
  std::vector<T> items;
  for (uint64_t n = random.chance(85) ? 1 + random.below(3) : random.below(6); n > 0; --n)
    items.push_back(one());
  return context.arena().copy(items);
}

void randomize(Context& context, Random& random, void* attrs, const AttrField& field) {
  if (random.chance(35)) return;  // keep the default
  const auto text = [&] {
    static constexpr std::string_view kWords[] = {"",         "none",     "tanh",  "floor", "trunc",
                                                  "constant", "reflect",  "same",  "valid", "sum",
                                                  "ij",       "circular", "minmax"};
    return context.text(random.any_of(kWords));
  };
  const auto integer = [&] { return random.integer(); };
  const auto dim = [&] {
    return random.chance(5)   ? Dim::unknown()
           : random.chance(5) ? context.dims().symbol("s0")
                              : Dim(random.integer());
  };
  const auto real = [&] { return random.real(); };
  switch (field.kind) {
    case AttrKind::Int: attr_ref<int64_t>(attrs, field) = integer(); break;
    case AttrKind::Float: attr_ref<double>(attrs, field) = real(); break;
    case AttrKind::Bool: attr_ref<bool>(attrs, field) = random.chance(50); break;
    case AttrKind::String: attr_ref<std::string_view>(attrs, field) = text(); break;
    case AttrKind::DType: attr_ref<DType>(attrs, field) = random.dtype(); break;
    case AttrKind::Number: attr_ref<Number>(attrs, field) = random.number(); break;
    case AttrKind::Dim: attr_ref<Dim>(attrs, field) = dim(); break;
    case AttrKind::Ints:
      attr_ref<List<int64_t>>(attrs, field) = random_list<int64_t>(context, random, integer);
      break;
    case AttrKind::Floats:
      attr_ref<List<double>>(attrs, field) = random_list<double>(context, random, real);
      break;
    case AttrKind::Dims: attr_ref<List<Dim>>(attrs, field) = random_list<Dim>(context, random, dim); break;
    case AttrKind::Strings:
      attr_ref<List<std::string_view>>(attrs, field) = random_list<std::string_view>(context, random, text);
      break;
    case AttrKind::OptInt: attr_ref<std::optional<int64_t>>(attrs, field) = integer(); break;
    case AttrKind::OptFloat: attr_ref<std::optional<double>>(attrs, field) = real(); break;
    case AttrKind::OptBool: attr_ref<std::optional<bool>>(attrs, field) = random.chance(50); break;
    case AttrKind::OptDType: attr_ref<std::optional<DType>>(attrs, field) = random.dtype(); break;
    case AttrKind::OptNumber: attr_ref<std::optional<Number>>(attrs, field) = random.number(); break;
    case AttrKind::OptDim: attr_ref<std::optional<Dim>>(attrs, field) = dim(); break;
    case AttrKind::OptDims:
      attr_ref<std::optional<List<Dim>>>(attrs, field) = random_list<Dim>(context, random, dim);
      break;
    case AttrKind::OptFloats:
      attr_ref<std::optional<List<double>>>(attrs, field) = random_list<double>(context, random, real);
      break;
    case AttrKind::Quant: break;  // types of quantization have tests of their own
  }
}

Tensor random_tensor(Random& random, DType dtype, std::vector<int64_t>& shape) {
  auto made = Tensor::make(dtype, shape);
  if (!made.ok()) made = Tensor::make(dtype, shape = {0});  // strides that overflow make no tensor
  Tensor t = std::move(*made);
  for (int64_t i = 0; i < t.elements(); ++i) {
    if (is_float(dtype)) {
      t.set_double(i, random.real());
    } else {
      t.set_int(i, random.chance(80) ? static_cast<int64_t>(random.below(4)) : random.integer());
    }
  }
  return t;
}

struct Trial {
  Model model;
  std::vector<Tensor> tensors;
  std::vector<const Tensor*> in;
  Node* node = nullptr;
  std::string described;
};

void build(const OpDef& op, Random& random, Trial& trial) {
  Context& context = *trial.model.context;
  std::vector<Value*> operands;
  size_t count = op.operands.size();
  if (op.variadic()) count += random.below(3);
  trial.tensors.reserve(count);
  std::vector<int64_t> shape = random.shape();
  DType dtype = random.dtype();
  for (size_t i = 0; i < count; ++i) {
    const OperandDef& def = op.operands[std::min(i, op.operands.size() - 1)];
    if (def.optional && random.chance(50)) {
      operands.push_back(nullptr);
      trial.in.push_back(nullptr);
      continue;
    }
    // Operands mostly resemble each other, so that many get past inference.
    if (random.chance(50)) shape = random.shape();
    if (random.chance(25)) dtype = random.dtype();
    trial.tensors.push_back(random_tensor(random, dtype, shape));
    trial.in.push_back(&trial.tensors.back());
    std::vector<Dim> dims(shape.begin(), shape.end());
    const bool vague = random.chance(20);
    for (Dim& d : dims)
      if (vague && random.chance(70)) d = Dim::unknown();
    const Type* type = random.chance(3) ? context.unranked(dtype) : context.tensor(dtype, dims);
    trial.described += " " + type->str();
    operands.push_back(trial.model.graph->add_input("x", type));
  }
  NodeSpec spec;
  spec.op = &op;
  spec.operands = operands;
  spec.results = std::max<size_t>(op.results.size(), 1);
  if (op.has(kVariadicResults)) spec.results = 1 + random.below(3);
  trial.node = trial.model.graph->create(spec);
  if (op.attrs != nullptr)
    for (const AttrField& field : op.attrs->fields)
      randomize(context, random, trial.node->attrs_data(), field);
}

uint64_t name_hash(std::string_view name) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : name) hash = (hash ^ static_cast<uint64_t>(c)) * 1099511628211u;
  return hash;
}

std::vector<const OpDef*> evaluated_ops() {
  std::vector<const OpDef*> out;
  for (const OpDef* op : ops::table().all())
    if (op->trait != Trait::Structural && op->eval != nullptr) out.push_back(op);
  return out;
}

// What inference promised of a result holds.
void check_promise(const Type& type, const Tensor& out) {
  if (!type.is_tensor()) return;
  EXPECT_EQ(dtype_name(out.dtype()), dtype_name(type.real_dtype()));
  if (!type.ranked) return;
  ASSERT_EQ(static_cast<size_t>(type.rank()), out.shape().size()) << type.str();
  for (size_t d = 0; d < out.shape().size(); ++d) {
    if (!type.shape[d].is_known()) continue;
    EXPECT_EQ(type.shape[d].value(), out.shape()[d]) << type.str();
  }
}

class RandomArguments : public testing::TestWithParam<const OpDef*> {
 protected:
  void SetUp() override { set_max_tensor_bytes(1 << 20); }
  void TearDown() override { set_max_tensor_bytes(limit_); }
  int64_t limit_ = max_tensor_bytes();
};

void run_trial(const OpDef& op, uint64_t seed) {
  Random random(seed + name_hash(op.name));
  Trial trial;
  build(op, random, trial);
  SCOPED_TRACE(trial.described);
  std::fprintf(stderr, "seed %d:%s\n", static_cast<int>(seed), trial.described.c_str());
  if (!trial.node->infer().ok()) return;
  std::vector<Tensor> out(trial.node->result_count());
  const DimBinding binding{{"s0", 3}};
  const auto run = ops::RunTypes::of(*trial.node, trial.in, &binding);
  if (!run.ok()) return;
  EvalArgs args{run->node(), trial.in, out, &binding, {}};
  if (!op.eval(args).ok()) return;
  for (size_t i = 0; i < out.size(); ++i) {
    check_promise(trial.node->result(i)->type(), out[i]);
    check_promise(run->node().result(i)->type(), out[i]);
  }
}

// Runs in a process of its own, so that a signal fails one operator and names the seed: the last line it
// wrote.
TEST_P(RandomArguments, end_with_results_or_errors) {
  const OpDef& op = *GetParam();
  for (uint64_t first = 0; first < 300; first += 100) {
    const auto trials = [&] {
      for (uint64_t seed = first; seed < first + 100; ++seed) run_trial(op, seed);
      std::fflush(nullptr);
      std::_Exit(HasFailure() ? 1 : 0);
    };
    EXPECT_EXIT(trials(), testing::ExitedWithCode(0), "");
  }
}

INSTANTIATE_TEST_SUITE_P(ops, RandomArguments, testing::ValuesIn(evaluated_ops()),
                         [](const testing::TestParamInfo<const OpDef*>& info) {
                           return std::string(info.param->name);
                         });

}  // namespace
}  // namespace zp
