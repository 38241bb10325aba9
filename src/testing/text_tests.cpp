// Finds the tests, runs them one after the other, tells what failed.
#include "testing/text_tests.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "support/atomic_file.h"
#include "testing/line_diff.h"
#include "testing/run_test.h"

namespace zp {

namespace {

namespace fs = std::filesystem;

struct Found {
  std::string path;
  bool named;  // by the caller itself, not found in a folder
};

// Files in order of names. False if a path does not exist.
bool collect(const std::vector<std::string>& paths, std::vector<Found>* files) {
  bool all = true;
  for (const std::string& path : paths) {
    std::error_code error;
    if (fs::is_directory(path, error)) {
      std::vector<Found> inside;
      for (fs::recursive_directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
        if (at->path().extension() == ".zp" && at->is_regular_file(error))
          inside.push_back({at->path().string(), false});
      }
      std::sort(inside.begin(), inside.end(), [](const Found& a, const Found& b) { return a.path < b.path; });
      files->insert(files->end(), inside.begin(), inside.end());
    } else if (fs::exists(path, error)) {
      files->push_back({path, true});
    } else {
      fmt::print(stderr, "error: {} does not exist\n", path);
      all = false;
    }
  }
  return all;
}

class Runner {
 public:
  explicit Runner(const TestOptions& options) : options_(options) {}

  void run(const Found& file) {
    const auto test = testing::TestFile::read(file.path);
    if (!test) return failed(file.path, {test.error().str()});
    if (test->mode == "none" && !file.named) return;
    if (test->mode.empty() || test->mode == "none") {
      return failed(file.path,
                    {"no `# test:` line says what to do (`# test: none` marks a file that is no test)"});
    }
    testing::Outcome outcome = testing::run_test(*test, options_.seed);
    bool blessed = false;
    if (outcome.actual && test->expected != outcome.actual) {
      if (options_.bless) {
        if (const Status written = write_file(file.path, test->blessed(*outcome.actual)); !written)
          outcome.failures.push_back(written.error().str());
        blessed = true;
      } else if (!test->expected) {
        outcome.failures.push_back("nothing is expected yet (no `# ---- expected`); --bless would write:\n" +
                                   *outcome.actual);
      } else {
        outcome.failures.push_back("what came out (+) is not what is expected (-):\n" +
                                   testing::line_diff(*test->expected, *outcome.actual));
      }
    }
    if (!outcome.actual && test->expected && !options_.bless && outcome.failures.empty()) {
      outcome.failures.push_back("a result is expected, but this test gives none");
    }
    if (!outcome.failures.empty()) return failed(file.path, outcome.failures);
    ++passed_;
    if (blessed) fmt::print("blessed {}\n", file.path);
    else if (options_.verbose) fmt::print("ok      {}\n", file.path);
  }

  int finish() const {
    fmt::print("{} passed, {} failed\n", passed_, failed_);
    return failed_ == 0 ? 0 : 1;
  }
  int count() const { return passed_ + failed_; }

 private:
  void failed(const std::string& path, const std::vector<std::string>& failures) {
    ++failed_;
    fmt::print("FAILED  {}\n", path);
    for (const std::string& text : failures) {
      fmt::print("{}{}", text, text.empty() || text.back() != '\n' ? "\n" : "");
    }
    std::fflush(stdout);
  }

  TestOptions options_;
  int passed_ = 0, failed_ = 0;
};

}  // namespace

int run_text_tests(const std::vector<std::string>& paths, const TestOptions& options) {
  std::vector<Found> files;
  const bool all_exist = collect(paths, &files);
  Runner runner(options);
  for (const Found& file : files) runner.run(file);
  const int result = runner.finish();
  if (!all_exist || runner.count() == 0) return 2;
  return result;
}

}  // namespace zp
