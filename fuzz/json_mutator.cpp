#include "json_mutator.h"

#include <cstddef>
#include <iterator>
#include <string_view>
#include <utility>

namespace zp::fuzz {

namespace {

using Range = std::pair<size_t, size_t>;  // begin, end

bool is_scalar_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '+' || c == '.' || c == 'E';
}

size_t string_end(std::string_view text, size_t at) {
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\') ++i;
    else if (text[i] == '"') return i + 1;
  }
  return text.size();
}

// The value that begins at `at`: a string, number or word, or all of a list or object.
Range value_at(std::string_view text, size_t at) {
  size_t end = at;
  if (text[at] == '"') return {at, string_end(text, at)};
  if (text[at] != '[' && text[at] != '{') {
    while (end < text.size() && is_scalar_char(text[end])) ++end;
    return {at, end};
  }
  for (int depth = 0; end < text.size();) {
    if (text[end] == '"') {
      end = string_end(text, end);
      continue;
    }
    if (text[end] == '[' || text[end] == '{') ++depth;
    if (text[end] == ']' || text[end] == '}') --depth;
    ++end;
    if (depth == 0) break;
  }
  return {at, end};
}

// Some value: what follows a colon, a comma or a bracket somewhere after a random place.
Range some_value(std::string_view text, std::mt19937& random) {
  size_t at = text.find_first_of(":,[", random() % text.size());
  if (at == std::string_view::npos) return {0, 0};
  for (++at; at < text.size() && (text[at] == ' ' || text[at] == ':'); ++at) {}
  return at < text.size() ? value_at(text, at) : Range{0, 0};
}

Range some_scalar(std::string_view text, std::mt19937& random) {
  for (int tries = 0; tries < 20; ++tries) {
    const Range r = some_value(text, random);
    if (r.second > r.first && text[r.first] != '[' && text[r.first] != '{') return r;
  }
  return {0, 0};
}

constexpr std::string_view kScalars[] = {"0",
                                         "1",
                                         "-1",
                                         "2",
                                         "3",
                                         "7",
                                         "8",
                                         "64",
                                         "255",
                                         "256",
                                         "-128",
                                         "65536",
                                         "2147483647",
                                         "2147483648",
                                         "-2147483648",
                                         "4294967296",
                                         "4611686018427387904",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         "18446744073709551616",
                                         "0.0",
                                         "-0.0",
                                         "0.5",
                                         "1e-45",
                                         "1e308",
                                         "1e999",
                                         "-1e30",
                                         "\"NaN\"",
                                         "\"Infinity\"",
                                         "\"-Infinity\"",
                                         "true",
                                         "false",
                                         "null",
                                         "\"\"",
                                         "[]",
                                         "{}",
                                         "\"x\"",
                                         "NaN"};

}  // namespace

void mutate_json(std::string& text, std::mt19937& random) {
  if (text.size() < 2) return;
  switch (random() % 8) {
    case 0:
    case 1:
    case 2: {
      const Range r = some_scalar(text, random);
      text.replace(r.first, r.second - r.first, kScalars[random() % std::size(kScalars)]);
      break;
    }
    case 3: {  // another scalar of the file
      const Range from = some_scalar(text, random);
      const std::string value = text.substr(from.first, from.second - from.first);
      const Range r = some_scalar(text, random);
      text.replace(r.first, r.second - r.first, value);
      break;
    }
    case 4: {  // another value of the file
      const Range from = some_value(text, random);
      if (from.second - from.first > 4096) break;
      const std::string value = text.substr(from.first, from.second - from.first);
      const Range r = some_value(text, random);
      text.replace(r.first, r.second - r.first, value);
      break;
    }
    case 5: {  // an element goes, with the comma behind it
      Range r = some_value(text, random);
      while (r.second < text.size() && (text[r.second] == ',' || text[r.second] == ' ')) ++r.second;
      text.erase(r.first, r.second - r.first);
      break;
    }
    case 6: {  // an element comes twice
      const Range r = some_value(text, random);
      if (r.second - r.first > 4096) break;
      text.insert(r.second, ", " + text.substr(r.first, r.second - r.first));
      break;
    }
    default: {  // one name more often: the text of a string replaces another
      const size_t from = text.find('"', random() % text.size());
      const size_t to = text.find('"', random() % text.size());
      if (from == std::string::npos || to == std::string::npos) break;
      const std::string name = text.substr(from, string_end(text, from) - from);
      if (name.size() < 200) text.replace(to, string_end(text, to) - to, name);
      break;
    }
  }
}

}  // namespace zp::fuzz
