// The engine of text tests: that directives are read, that tests can fail, and that they say why.
#include "testing/text_tests.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "support/atomic_file.h"
#include "testing/line_diff.h"
#include "testing/run_test.h"
#include "testing/test_file.h"

namespace zp::testing {
namespace {

TestFile file_of(const std::string& text) {
  auto f = TestFile::parse("t.zp", text);
  EXPECT_TRUE(f.ok()) << (f.ok() ? "" : f.error().str());
  return f.ok() ? *f : TestFile();
}

// All failures of a test, or "passed".
std::string outcome(const std::string& text) {
  const TestFile file = file_of(text);
  const Outcome o = run_test(file, 0);
  std::string out;
  for (const std::string& f : o.failures) out += f + "\n";
  if (o.actual && file.expected && *o.actual != *file.expected) out += line_diff(*file.expected, *o.actual);
  return out.empty() ? "passed" : out;
}

constexpr char kGraph[] = "zp 1\ngraph main(%x: f32[2]) -> (%y) {\n  %y = relu(%x) : f32[2]\n}\n";

TEST(TestFile, ReadsDirectives) {
  const TestFile f = file_of(
      "# test: opt a,b backend=cpu\n# A sentence: with a colon.\n# refuses: conv-relu \"value %c has 2 "
      "uses\"\n# refuses: \"odd node\" \"why\"\n"
      "# error: 3:14 \"text \\\"q\\\"\"\n# error: \"anywhere\"\n# expect-record: fuse-qdq linear: a -> b\n# "
      "no-record: \"quoted\"\n"
      "# input: f32[2] [1,2]\n# samples: 5\n# norun: no evaluator\nzp 1\n# test: not read here\n# ---- "
      "expected\nsome\nlines\n");
  EXPECT_EQ(f.mode, "opt");
  EXPECT_EQ(f.arguments, std::vector<std::string>{"a,b"});
  EXPECT_EQ(f.settings.at("backend"), "cpu");
  ASSERT_EQ(f.refusals.size(), 2u);
  EXPECT_EQ(f.refusals[0].name, "conv-relu");
  EXPECT_EQ(f.refusals[0].text, "value %c has 2 uses");
  EXPECT_EQ(f.refusals[1].name, "odd node");
  ASSERT_EQ(f.errors.size(), 2u);
  EXPECT_EQ(f.errors[0].line, 3u);
  EXPECT_EQ(f.errors[0].column, 14u);
  EXPECT_EQ(f.errors[0].text, "text \"q\"");
  EXPECT_EQ(f.errors[1].line, 0u);
  EXPECT_EQ(f.records, std::vector<std::string>{"fuse-qdq linear: a -> b"});
  EXPECT_EQ(f.absent_records, std::vector<std::string>{"quoted"});
  EXPECT_EQ(f.inputs, std::vector<std::string>{"f32[2] [1,2]"});
  EXPECT_EQ(f.samples, 5);
  EXPECT_EQ(f.norun, "no evaluator");
  EXPECT_EQ(f.expected, "some\nlines\n");
  EXPECT_TRUE(f.blessed("new\n").ends_with("# ---- expected\nnew\n"));
  EXPECT_EQ(file_of(f.blessed("new\n")).expected, "new\n");
  EXPECT_EQ(file_of(file_of("# test: run\nzp 1").blessed("x\n")).expected, "x\n");
}

TEST(TestFile, MisspelledDirectivesAreErrors) {
  const std::pair<const char*, const char*> cases[] = {
      {"# test: rountrip\n", "t.zp:1:1: error: unknown test 'rountrip'; did you mean 'roundtrip'?"},
      {"# tets: run\n", "t.zp:1:1: error: 'tets:' is no directive; did you mean 'test'?"},
      {"# test: run\n# refuse: a \"b\"\n",
       "t.zp:2:1: error: 'refuse:' is no directive; did you mean 'refuses'?"},
      {"# test: run\n# refuses: a b\n", "t.zp:2:1: error: wanted the quoted text of the reason, found 'b'"},
      {"# test: run\n# error: 3 \"b\"\n", "t.zp:2:1: error: wanted ':', found '\"'"},
      {"# test: run\n# test: run\n", "t.zp:2:1: error: a second test: in one file"},
      {"# test: run\n# samples: 0\n", "t.zp:2:1: error: 0 samples; 1 to 100 are possible"},
      {"# test: run\n# expect-record:\n", "t.zp:2:1: error: wanted the text of a record"},
      {"# test:\n",
       "t.zp:1:1: error: wanted what to do: roundtrip, verify, opt, run, import, export, same or none"},
  };
  for (const auto& [text, message] : cases) {
    const auto f = TestFile::parse("t.zp", text);
    ASSERT_FALSE(f.ok()) << text;
    EXPECT_EQ(f.error().str(), message) << text;
  }
}

TEST(LineDiff, ShowsWhatChanged) {
  EXPECT_EQ(line_diff("a\nb\n", "a\nb\n"), "");
  EXPECT_EQ(line_diff("1\n2\n3\n4\n5\n6\n7\nold\n8\n", "1\n2\n3\n4\n5\n6\n7\nnew\n8\n"),
            "  ...\n  5\n  6\n  7\n- old\n+ new\n  8\n");
  EXPECT_EQ(line_diff("a\n", ""), "- a\n");
  EXPECT_EQ(line_diff("", "a\nb\n"), "+ a\n+ b\n");
  EXPECT_EQ(line_diff("a", "a\n"), "  the texts differ in the line end of the last line only\n");
  std::string many;
  for (int i = 0; i < 6000; ++i) many += std::to_string(i) + "\n";
  EXPECT_EQ(line_diff(many, "x\n" + many, 5), "+ x\n  0\n  1\n  2\n");
  EXPECT_EQ(line_diff("x\n" + many + "y\n", many + "z\n", 2),
            "- x\n- 0\n  ... more lines differ\n");  // too long for the table
}

TEST(TextTest, RoundtripPassesAndFails) {
  const std::string graph = kGraph;
  EXPECT_EQ(outcome("# test: roundtrip\n" + graph + "# ---- expected\n" + graph), "passed");
  EXPECT_EQ(outcome("# test: roundtrip\n" + graph +
                    "# ---- expected\nzp 1\ngraph main(%x: f32[2]) -> (%y) {\n  %y = relu(%x) : f32[3]\n}\n"),
            "  zp 1\n  graph main(%x: f32[2]) -> (%y) {\n-   %y = relu(%x) : f32[3]\n+   %y = relu(%x) : "
            "f32[2]\n  }\n");
  EXPECT_EQ(outcome("# test: roundtrip\nzp 1\ngraph main() -> (%y) {}\n"),
            "error:\n  t.zp:3:18: error: output '%y' is not defined in this graph\n");
}

TEST(TextTest, ExpectedErrors) {
  const std::string bad = "zp 1\ngraph main() -> (%y) {}\n";
  EXPECT_EQ(outcome("# test: roundtrip\n# error: 4:18 \"not defined\"\n" + bad), "passed");
  EXPECT_EQ(outcome("# test: roundtrip\n# error: 4:1 \"not defined\"\n" + bad),
            "the expected error at 4:1 \"not defined\" did not come; there was:\n  t.zp:4:18: error: output "
            "'%y' is not defined in this graph\n");
  EXPECT_EQ(outcome("# test: roundtrip\n# error: \"other\"\n" + std::string(kGraph)),
            "the expected error \"other\" did not come; there was none\n");
  EXPECT_EQ(outcome("# test: verify\n# error: 5:3 \"boundary.1\"\nzp 1\ngraph main(%x: u8(0.5, 3)[2]) -> "
                    "(%y) {\n  %y = layer_norm(%x) {normalized_shape: [2]}\n}\n"),
            "passed");
  EXPECT_EQ(outcome("# test: verify\n# error: \"boundary.1\"\n" + std::string(kGraph)),
            "the expected error \"boundary.1\" did not come; there was none\n");
}

TEST(TextTest, RunComparesOutputs) {
  const std::string test =
      "# test: run\n# input: f32[2] [-1,2]\n" + std::string(kGraph) + "# ---- expected\n";
  EXPECT_EQ(outcome(test + "out 0: f32[2] [0,2]\n"), "passed");
  EXPECT_EQ(outcome(test + "out 0: f32[2] [0,3]\n"), "- out 0: f32[2] [0,3]\n+ out 0: f32[2] [0,2]\n");
}

TEST(TextTest, OptRunsPassesAndReads) {
  const std::string graph =
      "zp 1\ngraph main(%x: f32[2]) -> (%y) {\n  %i = identity(%x)\n  %y = relu(%i)\n}\n";
  EXPECT_EQ(outcome("# test: opt cleanup\n" + graph + "# ---- expected\n" + kGraph), "passed");
  EXPECT_NE(outcome("# test: opt cleanup\n# refuses: y \"nothing\"\n" + graph)
                .find("no refusal of 'y' because of \"nothing\"; kept:"),
            std::string::npos);
  EXPECT_NE(outcome("# test: opt cleanup\n# expect-record: no such thing\n" + graph)
                .find("no record holds \"no such thing\"; recorded:"),
            std::string::npos);
  EXPECT_NE(outcome("# test: opt no-such-pass\n" + graph).find("no-such-pass"), std::string::npos);
  EXPECT_NE(outcome("# test: opt cleanup bakend=cpu\n" + graph).find("has no setting 'bakend'"),
            std::string::npos);
}

class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("zp_text_tests_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_ / "inner");
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  void write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(write_file(path(name), text).ok());
  }
  std::string path(const std::string& name = "") const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

TEST(TextTests, FoldersSummaryAndBless) {
  Folder folder;
  folder.write("inner/good.zp", "# test: roundtrip\n" + std::string(kGraph) + "# ---- expected\n" + kGraph);
  folder.write("fresh.zp", "# test: run\n# input: f32[2] [-1,2]\n" + std::string(kGraph));
  folder.write("model.zp", "# test: none\n" + std::string(kGraph));
  folder.write(
      "same.zp",
      "# test: same model.zp\nzp 1\ngraph main(%x: f32[2]) -> (%y) {\n  %y = clamp(%x) {min: 0}\n}\n");
  folder.write("other.txt", "no test");
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(run_text_tests({folder.path()}, {}), 1);
  std::string out = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(out.find("nothing is expected yet"), std::string::npos) << out;
  EXPECT_TRUE(out.ends_with("2 passed, 1 failed\n")) << out;
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(run_text_tests({folder.path()}, {.bless = true}), 0);
  EXPECT_EQ(run_text_tests({folder.path()}, {}), 0);
  out = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(out.find("blessed"), std::string::npos) << out;
  EXPECT_TRUE(out.ends_with("3 passed, 0 failed\n")) << out;
  EXPECT_TRUE(read_file(folder.path("fresh.zp"))->ends_with("# ---- expected\nout 0: f32[2] [0,2]\n"));
  // A file without a directive is a mistake; so is a path without tests.
  folder.write("silent.zp", kGraph);
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(run_text_tests({folder.path()}, {}), 1);
  EXPECT_EQ(run_text_tests({folder.path("missing")}, {}), 2);
  EXPECT_EQ(run_text_tests({folder.path("inner/good.zp")}, {}), 0);
  (void)::testing::internal::GetCapturedStdout();
}

TEST(TextTests, SameFindsDifferences) {
  Folder folder;
  folder.write("model.zp", "# test: none\n" + std::string(kGraph));
  folder.write("a.zp", "# test: same model.zp\nzp 1\ngraph main(%x: f32[2]) -> (%y) {\n  %y = abs(%x)\n}\n");
  folder.write(
      "b.zp", "# test: same model.zp within 10\nzp 1\ngraph main(%x: f32[2]) -> (%y) {\n  %y = abs(%x)\n}\n");
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(run_text_tests({folder.path("a.zp")}, {}), 1);
  EXPECT_EQ(run_text_tests({folder.path("b.zp")}, {}), 0);
  const std::string out = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(out.find("output 0 differs by "), std::string::npos) << out;
}

}  // namespace
}  // namespace zp::testing
