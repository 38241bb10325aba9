#include "formats/pt2/json_writer.h"

#include <charconv>
#include <cmath>

namespace zp::pt2 {
namespace {

// Decodes one UTF-8 sequence at `at` and moves behind it; what is not UTF-8 is one byte and U+FFFD.
uint32_t decode(std::string_view text, size_t* at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(*at);
  const int extra = lead < 0x80 ? 0 : (lead & 0xE0) == 0xC0 ? 1 : (lead & 0xF0) == 0xE0 ? 2 : (lead & 0xF8) == 0xF0 ? 3 : -1;
  const size_t start = (*at)++;
  if (extra == 0) return lead;
  if (extra < 0 || start + static_cast<size_t>(extra) >= text.size()) return 0xFFFD;
  uint32_t code = lead & (0x3Fu >> extra);
  for (int i = 1; i <= extra; ++i) {
    if ((byte(start + static_cast<size_t>(i)) & 0xC0) != 0x80) return 0xFFFD;
    code = code << 6 | (byte(start + static_cast<size_t>(i)) & 0x3F);
  }
  constexpr uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[extra] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return 0xFFFD;
  *at = start + 1 + static_cast<size_t>(extra);
  return code;
}

void append_unit(std::string* out, uint32_t unit) {
  constexpr char kHex[] = "0123456789abcdef";
  *out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) *out += kHex[(unit >> shift) & 0xF];
}

}  // namespace

std::string float_text(double value) {
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  std::string out;
  if (text[0] == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const size_t e = text.find('e');
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  int exponent = 0;
  const std::string_view exponent_text = text.substr(text[e + 1] == '+' ? e + 2 : e + 1);
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out.append(".").append(digits, 1);
    out += exponent < 0 ? "e-" : "e+";
    const int magnitude = exponent < 0 ? -exponent : exponent;
    if (magnitude < 10) out += '0';
    return out + std::to_string(magnitude);
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (exponent >= count - 1) return out + digits + std::string(static_cast<size_t>(exponent - count + 1), '0') + ".0";
  return out + digits.substr(0, static_cast<size_t>(exponent) + 1) + "." + digits.substr(static_cast<size_t>(exponent) + 1);
}

void append_json_string(std::string* out, std::string_view text) {
  *out += '"';
  for (size_t at = 0; at < text.size();) {
    const uint32_t code = decode(text, &at);
    switch (code) {
      case '"': *out += "\\\""; break;
      case '\\': *out += "\\\\"; break;
      case '\n': *out += "\\n"; break;
      case '\r': *out += "\\r"; break;
      case '\t': *out += "\\t"; break;
      case '\b': *out += "\\b"; break;
      case '\f': *out += "\\f"; break;
      default:
        if (code >= 0x20 && code < 0x7F) {
          *out += static_cast<char>(code);
        } else if (code < 0x10000) {
          append_unit(out, code);
        } else {
          append_unit(out, 0xD800 + ((code - 0x10000) >> 10));
          append_unit(out, 0xDC00 + ((code - 0x10000) & 0x3FF));
        }
    }
  }
  *out += '"';
}

void JsonWriter::separate() {
  if (!first_) text_ += ", ";
  first_ = false;
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  text_ += bracket;
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  text_ += bracket;
  first_ = false;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  append_json_string(&text_, name);
  text_ += ": ";
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::string(std::string_view text) {
  separate();
  append_json_string(&text_, text);
  return *this;
}

JsonWriter& JsonWriter::integer(int64_t value) {
  separate();
  text_ += std::to_string(value);
  return *this;
}

JsonWriter& JsonWriter::number(double value) {
  if (std::isnan(value)) return string("NaN");
  if (std::isinf(value)) return string(value > 0 ? "Infinity" : "-Infinity");
  separate();
  text_ += float_text(value);
  return *this;
}

JsonWriter& JsonWriter::boolean(bool value) {
  separate();
  text_ += value ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::null() {
  separate();
  text_ += "null";
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  separate();
  text_ += json;
  return *this;
}

JsonWriter& JsonWriter::integers(std::string_view name, std::span<const int64_t> values) {
  key(name).begin_array();
  for (int64_t value : values) integer(value);
  return end_array();
}

}  // namespace zp::pt2
