// Writes JSON text the way Python's json.dumps does (", " and ": ", ASCII only, shortest numbers that read back
// equal), because archives are compared with ones that Python wrote. Commas are placed by the writer; nesting is the
// caller's. Non-finite numbers are the strings "Infinity", "-Infinity" and "NaN", as torch/_export/serde writes them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace zp::pt2 {

// The shortest decimal text that reads back as `value`, laid out like Python's repr: 0.1, 1.0, 1e-05, 1e+16.
std::string float_text(double value);
// A JSON string with its quotes; everything outside ASCII is escaped, bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string* out, std::string_view text);

class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name);

  JsonWriter& string(std::string_view text);
  JsonWriter& integer(int64_t value);
  JsonWriter& number(double value);
  JsonWriter& boolean(bool value);
  JsonWriter& null();
  JsonWriter& raw(std::string_view json);  // a complete value, already JSON

  // key and value
  JsonWriter& string(std::string_view name, std::string_view text) { return key(name).string(text); }
  JsonWriter& integer(std::string_view name, int64_t value) { return key(name).integer(value); }
  JsonWriter& boolean(std::string_view name, bool value) { return key(name).boolean(value); }
  JsonWriter& null(std::string_view name) { return key(name).null(); }
  JsonWriter& raw(std::string_view name, std::string_view json) { return key(name).raw(json); }
  JsonWriter& integers(std::string_view name, std::span<const int64_t> values);

  const std::string& text() const { return text_; }
  std::string take() { return std::move(text_); }

 private:
  void separate();
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  std::string text_;
  bool first_ = true;  // no value yet since the innermost bracket or key
};

}  // namespace zp::pt2
