#include "support/json_writer.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace zp {

void append_json_quoted(std::string& out, std::string_view text) {
  out += '"';
  size_t copied = 0;  // most text needs no escapes: runs are appended whole
  for (size_t i = 0; i < text.size(); ++i) {
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

JsonWriter& JsonWriter::raw(Rope json) {
  before_value();
  done_.append(std::exchange(out_, {}));
  done_.append(std::move(json));
  return *this;
}

void JsonWriter::spill() {
  if (out_.size() < Rope::kPiece) return;
  done_.append(std::exchange(out_, {}));
  out_.reserve(Rope::kPiece + Rope::kPiece / 16);
}

std::string JsonWriter::take() { return done_.empty() ? std::move(out_) : take_rope().flat(); }

Rope JsonWriter::take_rope() {
  done_.append(std::exchange(out_, {}));
  return std::exchange(done_, {});
}

}  // namespace zp
