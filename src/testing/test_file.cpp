// Reads the directives of a text test. A comment that looks like a misspelled directive is an error: a check
// that silently does not happen is worse than none.
#include "testing/test_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "support/atomic_file.h"
#include "support/text_cursor.h"

namespace zp::testing {

namespace {

constexpr std::string_view kSeparator = "# ---- expected\n";
constexpr std::string_view kModes[] = {"roundtrip", "verify", "opt",  "run",
                                       "import",    "export", "same", "none"};
constexpr std::string_view kKeys[] = {"test",      "error", "refuses", "expect-record",
                                      "no-record", "input", "samples", "norun"};

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

// The text of a quoted or bare argument.
Result<std::string> argument(std::string_view text) {
  if (!text.starts_with('"')) return std::string(text);
  TextCursor cursor(text);
  ZP_TRY(std::string value, cursor.quoted("a quoted text"));
  if (!cursor.at_end()) return cursor.wanted("the end of the line");
  return value;
}

class DirectiveReader {
 public:
  DirectiveReader(TestFile* test) : test_(test) {}

  Status read(std::string_view key, std::string_view value) {
    if (key == "test") return mode(value);
    if (key == "error") return error(value);
    if (key == "refuses") return refusal(value);
    if (key == "norun")
      return take(value, "why the graph cannot run", [&](std::string v) { test_->norun = std::move(v); });
    if (key == "input")
      return take(value, "a type and its data",
                  [&](std::string v) { test_->inputs.push_back(std::move(v)); });
    if (key == "expect-record") return record(value, &test_->records);
    if (key == "no-record") return record(value, &test_->absent_records);
    TextCursor cursor(value);
    ZP_TRY(const int64_t n, cursor.integer("a number of samples"));
    if (n < 1 || n > 100) return Error("", fmt::format("{} samples; 1 to 100 are possible", n));
    test_->samples = static_cast<int>(n);
    return {};
  }

 private:
  Status take(std::string_view value, std::string_view wanted, const auto& store) {
    if (value.empty()) return Error("", fmt::format("wanted {}", wanted));
    store(std::string(value));
    return {};
  }

  Status record(std::string_view value, std::vector<std::string>* list) {
    ZP_TRY(std::string text, argument(value));
    return take(text, "the text of a record", [&](std::string v) { list->push_back(std::move(v)); });
  }

  Status mode(std::string_view value) {
    if (!test_->mode.empty()) return Error("", "a second test: in one file");
    std::vector<std::string> words;
    for (size_t i = 0; i < value.size();) {
      const size_t end = std::min(value.find(' ', i), value.size());
      if (end > i) words.emplace_back(value.substr(i, end - i));
      i = end + 1;
    }
    if (words.empty())
      return Error("", "wanted what to do: roundtrip, verify, opt, run, import, export, same or none");
    if (std::find(std::begin(kModes), std::end(kModes), words[0]) == std::end(kModes)) {
      return Error("", fmt::format("unknown test '{}'{}", words[0], suggestion(words[0], kModes)));
    }
    test_->mode = words[0];
    for (size_t i = 1; i < words.size(); ++i) {
      const size_t equals = words[i].find('=');
      if (equals == std::string::npos) test_->arguments.push_back(words[i]);
      else test_->settings[words[i].substr(0, equals)] = words[i].substr(equals + 1);
    }
    return {};
  }

  // [LINE:COL] "text"
  Status error(std::string_view value) {
    TextCursor cursor(value);
    TestFile::ExpectedError e;
    if (cursor.peek() != '"') {
      ZP_TRY(const int64_t line, cursor.integer("LINE:COLUMN or a quoted text"));
      ZP_CHECK(cursor.expect(":"));
      ZP_TRY(const int64_t column, cursor.integer("a column"));
      e.line = static_cast<uint32_t>(line);
      e.column = static_cast<uint32_t>(column);
    }
    ZP_TRY(e.text, cursor.quoted("the quoted text of the error"));
    test_->errors.push_back(std::move(e));
    return {};
  }

  // NAME "text"
  Status refusal(std::string_view value) {
    TextCursor cursor(value);
    TestFile::Refusal r;
    if (cursor.peek() == '"') {
      ZP_TRY(r.name, cursor.quoted("the name of a node or pattern"));
    } else {
      ZP_TRY(r.name, cursor.dotted_name("the name of a node or pattern", true));
    }
    ZP_TRY(r.text, cursor.quoted("the quoted text of the reason"));
    test_->refusals.push_back(std::move(r));
    return {};
  }

  TestFile* test_;
};

Error at_line(Error error, const std::string& path, uint32_t line) {
  Location where;
  where.file = path;
  where.line = line;
  where.column = 1;
  Diagnostic d = error.first();
  d.where = where;
  return Error(std::move(d));
}

}  // namespace

Result<TestFile> TestFile::read(const std::string& path) {
  ZP_TRY(std::string text, read_file(path));
  return parse(path, std::move(text));
}

Result<TestFile> TestFile::parse(std::string path, std::string text) {
  TestFile test;
  test.path = std::move(path);
  test.text = std::move(text);
  DirectiveReader reader(&test);
  uint32_t line = 0;
  const std::string_view all = test.text;
  for (size_t i = 0; i < all.size();) {
    ++line;
    const size_t end = std::min(all.find('\n', i), all.size());
    std::string_view content = trimmed(all.substr(i, end - i));
    i = end + 1;
    if (content.empty()) continue;
    if (content[0] != '#' || content.starts_with("# ----")) break;
    content = trimmed(content.substr(1));
    const size_t colon = content.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view key = content.substr(0, colon);
    const bool one_word = !key.empty() && key.find_first_of(" \"(") == std::string_view::npos;
    if (std::find(std::begin(kKeys), std::end(kKeys), key) == std::end(kKeys)) {
      if (const std::string hint = one_word ? suggestion(key, kKeys) : std::string(); !hint.empty()) {
        return at_line(Error("", fmt::format("'{}:' is no directive{}", key, hint)), test.path, line);
      }
      continue;
    }
    if (Status status = reader.read(key, trimmed(content.substr(colon + 1))); !status) {
      return at_line(std::move(status).error(), test.path, line);
    }
  }
  size_t at = all.find("\n" + std::string(kSeparator));
  if (all.starts_with(kSeparator)) at = 0;
  else if (at != std::string_view::npos) ++at;
  if (at != std::string_view::npos) test.expected = std::string(all.substr(at + kSeparator.size()));
  return test;
}

std::string TestFile::blessed(const std::string& actual) const {
  std::string body = expected ? text.substr(0, text.size() - expected->size() - kSeparator.size()) : text;
  if (!body.empty() && body.back() != '\n') body += '\n';
  return body + std::string(kSeparator) + actual;
}

}  // namespace zp::testing
