#include "support/text_format.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace zp {

namespace {

template <typename T>
std::string shortest_of(T value, bool point) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 64> buffer;
  const auto written = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string text(buffer.data(), written.ptr);
  if (point && text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

template <typename T>
bool read_whole(std::string_view text, T* value) {
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);
  if (text.empty()) return false;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), *value);
  return read.ec == std::errc() && read.ptr == text.data() + text.size();
}

template <typename T>
bool read_real(std::string_view text, T* value) {
  const bool negative = !text.empty() && text[0] == '-';
  const std::string_view magnitude = negative || (!text.empty() && text[0] == '+') ? text.substr(1) : text;
  if (magnitude == "inf")
    return *value = negative ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity(), true;
  if (magnitude == "nan") return *value = std::numeric_limits<T>::quiet_NaN(), true;
  if (magnitude.empty() || magnitude[0] < '0' || magnitude[0] > '9') return false;
  return read_whole(text, value);
}

constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> make_base64_values() {
  std::array<int8_t, 256> values{};
  for (auto& v : values) v = -1;
  for (int i = 0; i < 64; ++i) values[static_cast<unsigned char>(kBase64[i])] = static_cast<int8_t>(i);
  return values;
}
constexpr auto kBase64Values = make_base64_values();

void append_escape(std::string* out, unsigned char c) {
  constexpr char digits[] = "0123456789abcdef";
  *out += "\\x";
  *out += digits[c >> 4];
  *out += digits[c & 15];
}

// Length of the valid UTF-8 sequence that starts at text[i], or 0 (overlong forms and surrogates are not
// valid).
size_t utf8_length(std::string_view text, size_t i) {
  const auto at = [&](size_t k) { return k < text.size() ? static_cast<unsigned char>(text[k]) : 0u; };
  const unsigned c = at(i);
  if (c < 0x80) return 1;
  const size_t length = c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
  for (size_t k = 1; k < length; ++k)
    if ((at(i + k) & 0xC0) != 0x80) return 0;
  const unsigned second = at(i + 1);
  if ((c == 0xE0 && second < 0xA0) || (c == 0xED && second >= 0xA0)) return 0;
  if ((c == 0xF0 && second < 0x90) || (c == 0xF4 && second >= 0x90)) return 0;
  return length;
}

std::string escape(std::string_view text, bool quotes) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const size_t length = utf8_length(text, i);
    if (quotes && (c == '"' || c == '\\')) {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c < 0x20 || c == 0x7F || length == 0) {
      append_escape(&out, c);
    } else {
      out.append(text, i, length);
      i += length;
      continue;
    }
    ++i;
  }
  return out;
}

}  // namespace

std::string shortest(double value, bool point) { return shortest_of(value, point); }
std::string shortest(float value, bool point) { return shortest_of(value, point); }

bool read_number(std::string_view text, int64_t* value) { return read_whole(text, value); }
bool read_number(std::string_view text, uint64_t* value) { return read_whole(text, value); }
bool read_number(std::string_view text, double* value) { return read_real(text, value); }
bool read_number(std::string_view text, float* value) { return read_real(text, value); }

std::string quote(std::string_view text) { return "\"" + escape(text, true) + "\""; }
std::string printable(std::string_view text) { return escape(text, false); }

std::string name_text(std::string_view name) {
  bool plain = !name.empty();
  for (char c : name) {
    plain = plain && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '.' || c == '$');
  }
  return plain ? std::string(name) : quote(name);
}

void append_base64(std::string* out, std::span<const std::byte> bytes) {
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = bytes.size() - i;
    uint32_t group = std::to_integer<uint32_t>(bytes[i]) << 16;
    if (left > 1) group |= std::to_integer<uint32_t>(bytes[i + 1]) << 8;
    if (left > 2) group |= std::to_integer<uint32_t>(bytes[i + 2]);
    *out += kBase64[group >> 18];
    *out += kBase64[(group >> 12) & 63];
    *out += left > 1 ? kBase64[(group >> 6) & 63] : '=';
    *out += left > 2 ? kBase64[group & 63] : '=';
  }
}

bool read_base64(std::string_view text, std::vector<std::byte>* bytes) {
  bytes->clear();
  bytes->reserve(text.size() / 4 * 3);
  uint32_t group = 0;
  int digits = 0, padding = 0;
  for (char c : text) {
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    const int8_t value = kBase64Values[static_cast<unsigned char>(c)];
    if (value < 0 || padding > 0) return false;
    group = group << 6 | static_cast<uint32_t>(value);
    if (++digits == 4) {
      for (int shift = 16; shift >= 0; shift -= 8) bytes->push_back(static_cast<std::byte>(group >> shift));
      group = 0;
      digits = 0;
    }
  }
  if (digits == 0) return padding == 0;
  if (digits == 1 || padding != 4 - digits) return false;
  bytes->push_back(static_cast<std::byte>(group >> (digits == 3 ? 10 : 4)));
  if (digits == 3) bytes->push_back(static_cast<std::byte>(group >> 2));
  const uint32_t unused = digits == 3 ? group & 3 : group & 15;
  return unused == 0;
}

}  // namespace zp
