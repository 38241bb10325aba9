#include "support/json_writer.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

namespace zp {

namespace {

// Bytes that JSON strings must escape, eight at a time: below 0x20, '"' or '\\'.
bool any_special(const char* at) {
  uint64_t x = 0;
  std::memcpy(&x, at, 8);
  constexpr uint64_t kOnes = 0x0101010101010101u, kHigh = 0x8080808080808080u;
  const auto zero = [](uint64_t v) { return (v - kOnes) & ~v & kHigh; };
  return (((x - kOnes * 0x20) & ~x & kHigh) | zero(x ^ kOnes * '"') | zero(x ^ kOnes * '\\')) != 0;
}

}  // namespace

void append_json_quoted(std::string& out, std::string_view text) {
  out += '"';
  size_t copied = 0;  // most text needs no escapes: runs are appended whole
  for (size_t i = 0; i < text.size(); ++i) {
    while (i + 8 <= text.size() && !any_special(text.data() + i)) i += 8;
    if (i == text.size()) break;
    const char c = text[i];
    if (static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, copied, i - copied);
    copied = i + 1;
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default: out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    }
  }
  out.append(text, copied);
  out += '"';
}

std::string json_quote(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  append_json_quoted(out, text);
  return out;
}

void JsonWriter::newline() {
  if (indent_ == 0) return;
  out_ += '\n';
  out_.append(has_items_.size() * static_cast<size_t>(indent_), ' ');
}

void JsonWriter::before_value() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (has_items_.empty()) return;
  if (has_items_.back() != 0) out_ += indent_ ? "," : ", ";
  has_items_.back() = 1;
  newline();
}

JsonWriter& JsonWriter::begin_object() {
  before_value();
  out_ += '{';
  has_items_.push_back(0);
  return *this;
}

JsonWriter& JsonWriter::end_object() {
  const bool any = has_items_.back() != 0;
  has_items_.pop_back();
  if (any) newline();
  out_ += '}';
  return *this;
}

JsonWriter& JsonWriter::begin_array() {
  before_value();
  out_ += '[';
  has_items_.push_back(0);
  return *this;
}

JsonWriter& JsonWriter::end_array() {
  has_items_.pop_back();
  out_ += ']';
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  before_value();
  append_json_quoted(out_, name);
  out_ += ": ";
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  before_value();
  append_json_quoted(out_, text);
  return *this;
}

JsonWriter& JsonWriter::value(double number) {
  if (std::isnan(number)) return raw("\"NaN\"");
  if (std::isinf(number)) return raw(number > 0 ? "\"Infinity\"" : "\"-Infinity\"");
  std::string text = fmt::format("{}", number);
  // A number that was a double stays one for the reader.
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return raw(text);
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  before_value();
  out_ += json;
  return *this;
}

void JsonWriter::flush() {
  sink_(out_);
  out_.clear();
}

}  // namespace zp
