// Runs one text test.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "testing/test_file.h"

namespace zp::testing {

struct Outcome {
  std::vector<std::string> failures;  // empty: passed
  std::optional<std::string>
      actual;  // what is compared with the expected text; nothing if the test ended before
};

Outcome run_test(const TestFile& test, uint64_t seed);

}  // namespace zp::testing
