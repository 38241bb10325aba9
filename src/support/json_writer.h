// Writes JSON text: keys in the order given, numbers in the shortest form that reads back equal, non-finite
// numbers as strings ("Infinity", "-Infinity", "NaN"). Commas are placed by the writer.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace zp {

// Takes text piece by piece, in order.
using TextSink = std::function<void(std::string_view piece)>;

class JsonWriter {
 public:
  static constexpr size_t kPiece = size_t{1} << 18;  // how much text goes to a sink at once, about

  // indent 0: one line.
  explicit JsonWriter(int indent = 0) : indent_(indent) {}

  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  JsonWriter& value(bool b) { return raw(b ? "true" : "false"); }
  JsonWriter& value(double number);
  template <std::integral T>
  requires(!std::same_as<T, bool>) JsonWriter& value(T number) {
    char digits[24];
    return raw({digits, std::to_chars(digits, digits + sizeof(digits), number).ptr});
  }
  JsonWriter& null() { return raw("null"); }
  JsonWriter& raw(std::string_view json);  // already valid JSON

  template <typename T>
  JsonWriter& field(std::string_view name, const T& v) {
    return key(name).value(v);
  }

  // Text to a sink instead of into one string: a document of any length needs no memory. Callers say where it
  // may be cut: spill() between the items of long lists, flush() at the end.
  explicit JsonWriter(TextSink sink) : sink_(std::move(sink)), indent_(0) {}
  void spill() {
    if (sink_ && out_.size() >= kPiece) flush();
  }
  void flush();

  const std::string& str() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  void before_value();
  void newline();
  TextSink sink_;
  std::string out_;
  std::string has_items_;  // one byte a level
  int indent_;
  bool after_key_ = false;
};

std::string json_quote(std::string_view text);
void append_json_quoted(std::string& out, std::string_view text);

}  // namespace zp
