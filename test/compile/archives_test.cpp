// Archives that torch wrote, with inputs and what torch gave for them (test/compile/data and its script):
// read and run, written and read again, compiled with every pass. Control flow, dynamic shapes, numbers read
// from tensors, assertions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <tuple>
#include <vector>

#include "compile/compile.h"
#include "compile/files.h"
#include "formats/npy.h"
#include "interp/interp.h"

namespace zp {
namespace {

namespace fs = std::filesystem;

const std::string kData = std::string(ZP_SOURCE_DIR) + "/test/compile/data/";

// Numbers may be missing: None has no file.
std::vector<NumberedOutput> read_numbered(const std::string& stem, const std::string& kind) {
  std::vector<NumberedOutput> tensors;
  for (size_t k = 0; k < 32; ++k) {
    const std::string path = stem + "_" + kind + "_" + std::to_string(k) + ".npy";
    if (!fs::exists(path)) continue;
    auto tensor = read_npy(path);
    EXPECT_TRUE(tensor.ok()) << path;
    if (tensor.ok()) tensors.push_back({k, std::move(*tensor)});
  }
  return tensors;
}

std::vector<Tensor> read_set(const std::string& stem, const std::string& kind) {
  std::vector<Tensor> tensors;
  for (NumberedOutput& numbered : read_numbered(stem, kind)) tensors.push_back(std::move(numbered.tensor));
  return tensors;
}

void expect_close(const Tensor& got, const Tensor& want, double allowed, const std::string& what) {
  ASSERT_EQ(got.shape(), want.shape()) << what;
  for (int64_t i = 0; i < want.elements(); ++i) {
    const double a = got.get_double(i), b = want.get_double(i);
    ASSERT_LE(std::fabs(a - b), allowed * std::max(1.0, std::fabs(b))) << what << " element " << i;
  }
}

void expect_runs(const Model& model, const std::string& name, const std::string& how) {
  const double allowed = name.starts_with("autocast") ? 2e-2 : 1e-5;
  int sets = 0;
  for (;; ++sets) {
    const std::string stem = kData + name + "." + std::to_string(sets);
    const std::vector<Tensor> in = read_set(stem, "in");
    const std::vector<NumberedOutput> want = read_numbered(stem, "out");
    if (want.empty()) break;
    auto results = run(model, in);
    ASSERT_TRUE(results.ok()) << how << " " << stem << ": " << results.error().str();
    const std::vector<NumberedOutput> got = numbered_outputs(model, in, *results);
    ASSERT_EQ(got.size(), want.size()) << how << " " << stem;
    for (size_t i = 0; i < want.size(); ++i) {
      const std::string what = how + " " + stem + " output " + std::to_string(want[i].number);
      EXPECT_EQ(got[i].number, want[i].number) << what;
      expect_close(got[i].tensor, want[i].tensor, allowed, what);
    }
  }
  EXPECT_GT(sets, 0) << name;
}

int opaque_nodes(const Graph& graph) {
  int count = 0;
  for (const Node* node : graph.nodes()) {
    count += node->is(kOpaqueOp) ? 1 : 0;
    for (const Graph* region : node->regions()) count += opaque_nodes(*region);
  }
  return count;
}

class Archives : public testing::TestWithParam<std::string> {};

TEST_P(Archives, run_as_torch_does) {
  auto model = load_model(kData + GetParam() + ".pt2");
  ASSERT_TRUE(model.ok()) << model.error().str();
  EXPECT_EQ(opaque_nodes(*(*model)->graph), 0);
  expect_runs(**model, GetParam(), "read");
}

TEST_P(Archives, run_the_same_after_passes_and_writing) {
  const std::string path = fs::temp_directory_path() / ("zp_archives_" + GetParam() + ".pt2");
  for (const bool passes : {false, true}) {
    std::unique_ptr<Model> model;
    if (passes) {
      auto compiled = compile_model(kData + GetParam() + ".pt2", {});
      ASSERT_TRUE(compiled.ok()) << compiled.error().str();
      model = std::move(compiled->model);
      expect_runs(*model, GetParam(), "compiled");
    } else {
      auto loaded = load_model(kData + GetParam() + ".pt2");
      ASSERT_TRUE(loaded.ok()) << loaded.error().str();
      model = std::move(*loaded);
    }
    const Status saved = save_model(*model, path);
    ASSERT_TRUE(saved.ok()) << saved.error().str();
    auto again = load_model(path);
    ASSERT_TRUE(again.ok()) << again.error().str();
    EXPECT_EQ(opaque_nodes(*(*again)->graph), 0);
    expect_runs(**again, GetParam(), passes ? "written after passes" : "written");
  }
  fs::remove(path);
}

std::vector<std::string> names() {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(kData))
    if (entry.path().extension() == ".pt2") found.push_back(entry.path().stem());
  std::sort(found.begin(), found.end());
  return found;
}

INSTANTIATE_TEST_SUITE_P(torch, Archives, testing::ValuesIn(names()),
                         [](const testing::TestParamInfo<std::string>& info) { return info.param; });

Error failure(const std::string& name, std::vector<Tensor> inputs) {
  auto model = load_model(kData + name + ".pt2");
  EXPECT_TRUE(model.ok());
  auto got = run(**model, inputs);
  EXPECT_FALSE(got.ok());
  return got.ok() ? Error("", "no error") : std::move(got).error();
}

Tensor integers(std::vector<int64_t> shape, int64_t value) {
  Tensor t = std::move(*Tensor::make(DType::I64, std::move(shape)));
  for (int64_t i = 0; i < t.elements(); ++i) t.set_int(i, value);
  return t;
}

TEST(ArchiveAssertions, stop_the_run_with_their_message) {
  const Tensor x = std::move(*Tensor::make(DType::F32, {3, 4}));
  const Error error = failure("item_checked", {x, integers({}, 4)});
  EXPECT_EQ(error.first().id, "run.assertion") << error.str();
  EXPECT_NE(error.str().find("u0 <= 3"), std::string::npos) << error.str();
  EXPECT_EQ(failure("item_checked_core", {x, integers({}, -1)}).first().id, "run.assertion");
}

TEST(ArchiveFolds, composed_shape_operators_leave_constants) {
  CompileOptions options;
  options.backend = "none";
  options.passes = {"cleanup", "fold-shape"};
  auto compiled = compile_model(kData + "composed_folds.pt2", options);
  ASSERT_TRUE(compiled.ok()) << compiled.error().str();
  for (const Node* node : compiled->model->graph->nodes())
    EXPECT_NE(node->op().trait, Trait::ShapeOnly) << node->op().name << " " << node->name();
}

size_t count_in_file(const std::string& path, const std::string& what) {
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  size_t count = 0;
  for (size_t at = bytes.find(what); at != std::string::npos; at = bytes.find(what, at + 1)) ++count;
  return count;
}

// Ranges, guards and assertions are written again, also after passes.
TEST(ArchiveAssertions, are_written_again) {
  const std::string path = fs::temp_directory_path() / "zp_archives_assertions.pt2";
  for (const auto& [name, text, count] :
       {std::tuple{"item_checked", "aten._assert_scalar.default", 2},
        std::tuple{"derived", "((4*L['arguments'][0].size()[0]) % 8) == 0", 1},
        std::tuple{"integer_input", "L['arguments'][1] >= 0 and L['arguments'][1] <= 3", 1}}) {
    const std::string source = kData + name + ".pt2";
    const size_t wanted = count_in_file(source, text);
    EXPECT_GE(wanted, static_cast<size_t>(count)) << name;
    ASSERT_TRUE(compile_file(source, path, {}).ok()) << name;
    EXPECT_EQ(count_in_file(path, text), wanted) << name;
  }
  fs::remove(path);
}

// Weights handed to a branch are constants inside of it: passes fuse there as anywhere.
TEST(ArchiveRegions, passes_fuse_inside_of_branches) {
  CompileOptions options;
  options.form = "integer";
  auto compiled = compile_model(kData + "cond_quantized.pt2", options);
  ASSERT_TRUE(compiled.ok()) << compiled.error().str();
  const Graph& graph = *compiled->model->graph;
  const Node* cond = nullptr;
  for (const Node* node : graph.nodes())
    if (node->op().name == "cond") cond = node;
  ASSERT_NE(cond, nullptr);
  EXPECT_EQ(cond->operand_count(), 2u);  // the predicate and x
  bool fused = false;
  for (const Node* node : cond->regions()[0]->nodes())
    fused |= node->op().name == "linear" && node->result()->type().is_quantized();
  EXPECT_TRUE(fused);
}

TEST(ArchiveShapes, a_dimension_that_does_not_fit_is_named) {
  const auto zeros = [](std::vector<int64_t> shape) { return std::move(*Tensor::make(DType::F32, shape)); };
  const Error odd = failure("derived", {zeros({5, 4}), zeros({2, 4})});
  EXPECT_NE(odd.str().find("axis 0"), std::string::npos) << odd.str();
  const Error many = failure("integer_input", {zeros({3, 4}), integers({}, 5)});
  EXPECT_NE(many.str().find("in 0..3, found 5"), std::string::npos) << many.str();
  const Error far = failure("cond_size", {zeros({51, 4})});
  EXPECT_NE(far.str().find("axis 0"), std::string::npos) << far.str();
  EXPECT_NE(far.str().find("50"), std::string::npos) << far.str();
}

}  // namespace
}  // namespace zp
