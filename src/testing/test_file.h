// One text test as it stands in its file.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "support/result.h"

namespace zp::testing {

struct TestFile {
  struct ExpectedError {
    uint32_t line = 0, column = 0;  // 0: anywhere
    std::string text;
  };
  struct Refusal {
    std::string name;
    std::string text;
  };

  std::string path;
  std::string text;                             // the whole file
  std::string mode;                             // roundtrip, verify, opt, ...; empty: the file is no test
  std::vector<std::string> arguments;           // of the mode, without KEY=VALUE
  std::map<std::string, std::string> settings;  // KEY=VALUE of the mode
  std::vector<ExpectedError> errors;
  std::vector<Refusal> refusals;
  std::vector<std::string> records, absent_records;
  std::vector<std::string> inputs;
  std::optional<std::string> norun;
  int samples = 2;
  std::optional<std::string> expected;

  static Result<TestFile> read(const std::string& path);
  static Result<TestFile> parse(std::string path, std::string text);
  // The text of the file with `actual` as what is expected.
  std::string blessed(const std::string& actual) const;
};

}  // namespace zp::testing
