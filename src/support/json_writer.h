// Writes JSON text: keys in the order given, numbers in the shortest form that reads back equal, non-finite
// numbers as strings ("Infinity", "-Infinity", "NaN"). Commas are placed by the writer.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "support/rope.h"

namespace zp {

class JsonWriter {
 public:
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

  // A value that is already written, however long: it is not copied.
  JsonWriter& raw(Rope json);

  // Between the items of a long list: what is written so far becomes a piece of its own.
  void spill();

  const std::string& str() const { return out_; }  // not after raw(Rope) or spill()
  std::string take();
  Rope take_rope();

 private:
  void before_value();
  void newline();
  Rope done_;
  std::string out_;
  std::string has_items_;  // one byte a level
  int indent_;
  bool after_key_ = false;
};

std::string json_quote(std::string_view text);
void append_json_quoted(std::string& out, std::string_view text);

}  // namespace zp
