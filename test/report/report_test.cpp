#include <gtest/gtest.h>

#include <cmath>

#include "report/compare.h"
#include "report/compile_report.h"
#include "report/table.h"

namespace zp {
namespace {

TEST(TableTest, AlignsNumbersRightAndTextLeft) {
  TextTable table({"operator", "count"});
  table.add({"conv2d", "4"});
  table.add({"add", "12"});
  EXPECT_EQ(table.str(1), " operator  count\n --------  -----\n conv2d        4\n add          12\n");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(197357), "197.4 kB");
}

Tensor vector_of(std::vector<float> values) {
  Tensor t = *Tensor::make(DType::F32, {static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), t.mutable_data<float>());
  return t;
}

TEST(CompareTest, NoiseInDecibels) {
  EXPECT_FALSE(compare_tensors("y", vector_of({1, 2}), vector_of({1, 2})).sqnr_db.has_value());
  const Difference d = compare_tensors("y", vector_of({3, 4}), vector_of({3, 4.5f}));
  EXPECT_DOUBLE_EQ(d.max_abs_error, 0.5);
  EXPECT_NEAR(*d.sqnr_db, 10 * std::log10(25 / 0.25), 1e-9);
  EXPECT_TRUE(std::isinf(compare_tensors("y", vector_of({1, 2}), vector_of({1, NAN})).max_abs_error));
  EXPECT_TRUE(std::isinf(compare_tensors("y", vector_of({1, 2}), vector_of({1})).max_abs_error));
}

TEST(ReportTest, JsonHasTheStableKeysAndHtmlEscapes) {
  CompileReport r;
  r.records.kept.push_back({"softmax_2", "softmax", "fuse-qdq", "gates", "types.x", "u8", "f32", "a < b"});
  r.records.rewrites.push_back({"fuse-qdq", "linear_qcs4w", {"linear_3"}, "linear_q_0", "", 0});
  const std::string json = report_json(r);
  for (const char* key :
       {"zeropoint", "backend", "input", "output", "passes", "rewrites", "kept", "needs_import", "verify",
        "time_ms", "peak_rss_bytes", "clause", "wanted", "found", "text"})
    EXPECT_NE(json.find('"' + std::string(key) + '"'), std::string::npos) << key;
  EXPECT_NE(report_html(r).find("a &lt; b"), std::string::npos);
  EXPECT_NE(report_text(r).find("softmax_2"), std::string::npos);
}

}  // namespace
}  // namespace zp
