// What quantization-aware training leaves behind a convolution, as torch writes it after its default
// decompositions (test/passes/data/record_qat_archive.py): read, run, compiled, written, read again and run.
#include <gtest/gtest.h>

#include <unistd.h>
#include <cmath>
#include <filesystem>
#include <string>

#include "compile/compile.h"
#include "compile/files.h"
#include "formats/npy.h"
#include "interp/interp.h"
#include "ops/ops.h"
#include "support/noise.h"

namespace zp {
namespace {

const std::string kStem = std::string(ZP_SOURCE_DIR) + "/test/passes/data/qat_core_aten";

double db(const Tensor& wanted, const Tensor& found) {
  EXPECT_EQ(wanted.shape(), found.shape());
  NoiseMeter meter;
  for (int64_t i = 0; i < wanted.elements(); ++i) meter.add(wanted.get_double(i), found.get_double(i));
  return meter.db().value_or(200);
}

// The point A5 of the acceptance list (test/passes/qat_acceptance_test.cpp).
TEST(QatAcceptance, A05BatchNormOfInferenceAndGetitem) {
  const auto input = read_npy(kStem + "_in.npy"), wanted = read_npy(kStem + "_out.npy");
  ASSERT_TRUE(input.ok() && wanted.ok());
  auto archive = load_model(kStem + ".pt2");
  ASSERT_TRUE(archive.ok()) << archive.error().str();
  const Sample sample{*input};
  const auto before = run(**archive, sample);
  ASSERT_TRUE(before.ok());
  EXPECT_GE(db(*wanted, (*before)[0]), 60);

  const std::string out =
      (std::filesystem::temp_directory_path() / ("zp_qat_" + std::to_string(::getpid()) + ".pt2")).string();
  const auto compiled = compile_file(kStem + ".pt2", out, {});
  ASSERT_TRUE(compiled.ok()) << compiled.error().str();
  auto folded = load_model(out);
  std::filesystem::remove(out);
  ASSERT_TRUE(folded.ok()) << folded.error().str();
  size_t quantizers = 0, left = 0;
  for (const Node* node : (*folded)->graph->nodes()) {
    quantizers += node->is(ops::quantize);
    left += node->is(ops::batch_norm) || node->is(ops::div) || node->is(ops::add) || node->is(ops::mul) ||
            node->is(ops::sqrt) || node->is(ops::clamp);
  }
  EXPECT_EQ(quantizers, 2u);
  EXPECT_EQ(left, 0u);
  const auto after = run(**folded, sample);
  ASSERT_TRUE(after.ok());
  // What is apart is the noise of the quantizer that went away: its steps are coarse.
  EXPECT_GE(db(*wanted, (*after)[0]), 31);
}

}  // namespace
}  // namespace zp
