// What a backend wants observed, on float graphs, on prepared ones and on quantized ones.
#include "passes/fuse/observers.h"

#include "fuse_util.h"

namespace zp {
namespace {

using namespace test;
using fuse::ObserverRow;

constexpr const char* kHead = "zp 1\n@w = f32[2,4] [1,2,3,4,5,6,7,8]\n@s = f32[2] [0.1,0.2]\n";

std::vector<ObserverRow> rows(const std::string& body, const Backend& backend,
                              const backend::ConfigDef* config = nullptr) {
  const auto model = parse(kHead + body);
  return model == nullptr ? std::vector<ObserverRow>() : fuse::observers_of(*model, backend, config);
}

const ObserverRow* at(const std::vector<ObserverRow>& rows, std::string_view value, std::string_view slot) {
  for (const ObserverRow& r : rows)
    if (r.value == value && r.slot == slot) return &r;
  return nullptr;
}

std::unique_ptr<Backend> own() {
  auto backend = Backend::parse(
      "backend own version 1\n types s { x: u8 affine per-tensor w: i8[-127:127] const symmetric per-axis "
      "out b: f32 "
      "y: u8 affine per-tensor }\n types p { x: u8 affine per-tensor y: u8 affine per-tensor }\n"
      " config wide { activation-type: u8 affine per-tensor weight-type: i8 symmetric per-axis out "
      "activation: "
      "histogram weight: minmax }\n"
      " pattern linear : linear, [relu]\n  types s\n  train linear\n pattern pool : amax\n  types p\n  "
      "observe y like x\n",
      "own.zpb");
  EXPECT_TRUE(backend.ok()) << (backend.ok() ? "" : backend.error().str());
  return backend.ok() ? std::move(*backend) : nullptr;
}

TEST(Observers, AFloatGraphMissesThem) {
  const auto backend = own();
  const auto found = rows(
      "graph main(%x: f32[3,4]) -> (%y) {\n  %w = const @w\n  %l = linear(%x, %w)\n  %r = relu(%l)\n  %y = "
      "amax(%r) "
      "{dims: [1]}\n}\n",
      *backend, backend->find_config("wide"));
  ASSERT_EQ(found.size(), 5u);
  const ObserverRow* x = at(found, "x", "input");
  ASSERT_NE(x, nullptr);
  EXPECT_EQ(x->state, ObserverRow::Missing);
  EXPECT_EQ(x->observer, "histogram");
  EXPECT_EQ(x->trains_as, "linear");
  const ObserverRow* w = at(found, "w", "weight");
  ASSERT_NE(w, nullptr);
  EXPECT_NE(w->wants.find("range -128:127 becomes -127:127"), std::string::npos) << w->wants;
  EXPECT_EQ(w->observer, "minmax");
  const ObserverRow* y = at(found, "y", "y");
  ASSERT_NE(y, nullptr);
  EXPECT_EQ(y->rule, "like r");
}

TEST(Observers, APreparedGraphIsHeldToWhatIsTaken) {
  const auto backend = own();
  const auto found = rows(
      "graph main(%x: f32[3,4]) -> (%y) {\n  %xf = fake_quantize(%x) {type: u8(0.1, 100)}\n  %w = const @w\n"
      "  %wf = fake_quantize(%w) {type: i8(axis 0: @s)}\n  %l = linear(%xf, %wf)\n"
      "  %lf = fake_quantize(%l) {type: i8(0.2, 0)}\n  %y = neg(%lf)\n}\n",
      *backend);
  const ObserverRow* x = at(found, "x", "input");
  ASSERT_NE(x, nullptr);
  EXPECT_EQ(x->state, ObserverRow::Agrees) << x->why;
  const ObserverRow* w = at(found, "w", "weight");
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(w->state, ObserverRow::Differs);
  EXPECT_EQ(w->why, "its declared range is -128:127");
  const ObserverRow* l = at(found, "l", "y");
  ASSERT_NE(l, nullptr);
  EXPECT_EQ(l->state, ObserverRow::Differs);
  EXPECT_EQ(l->why, "it is stored as i8");
}

TEST(Observers, SharedParametersMustBeTheSame) {
  const auto backend = own();
  for (const bool same : {true, false}) {
    const auto found = rows(
        std::string("graph main(%x: f32[3,4]) -> (%y) {\n  %q = quantize(%x) {type: u8(0.1, 100)}\n  %d = "
                    "dequantize(%q)\n  %m = amax(%d) {dims: [1]}\n  %yq = quantize(%m) {type: u8(") +
            (same ? "0.1" : "0.2") + ", 100)}\n  %y = dequantize(%yq)\n}\n",
        *backend);
    const ObserverRow* y = at(found, "m", "y");
    ASSERT_NE(y, nullptr);
    EXPECT_EQ(y->state, same ? ObserverRow::Agrees : ObserverRow::Differs);
    EXPECT_EQ(y->why, same ? "" : "its parameters are not those of x");
  }
}

// "b" is the bias or the second operand, but not a weight that the configuration names itself.
TEST(Observers, TheOrderOfSlotsDoesNotMatter) {
  for (const char* order : {"x: i8 w: i8 const b: f32 y: i8", "b: f32 w: i8 const x: i8 y: i8"}) {
    const auto backend = Backend::parse(std::string("backend own version 1\n types s { ") + order +
                                            " }\n pattern product : matmul\n  types s\n  becomes linear with "
                                            "transpose-weight\n",
                                        "own.zpb");
    ASSERT_TRUE(backend.ok()) << backend.error().str();
    Fused f;
    f.model = parse(
        "zp 1\n@w = i8[4,2] [1,2,3,4,5,6,7,8]\ngraph main(%x: f32[3,4]) -> (%y) {\n  %q = quantize(%x) "
        "{type: "
        "i8(0.1, 1)}\n  %d = dequantize(%q)\n  %w = const @w : i8(0.5, 0)[4,2]\n  %wd = dequantize(%w)\n"
        "  %m = matmul(%d, %wd)\n  %yq = quantize(%m) {type: i8(0.2, 0)}\n  %y = dequantize(%yq)\n}\n");
    f.records = run_pass(*f.model, kFuseQdqPass, backend->get());
    EXPECT_NE(f.rewrite("linear_q8ta_q8tsw_q8to"), nullptr) << print(*f.model);
  }
}

}  // namespace
}  // namespace zp
