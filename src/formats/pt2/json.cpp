#include "formats/pt2/json.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "formats/pt2/serial.h"
#include "support/mapped_file.h"

namespace zp::pt2 {
namespace {

std::string_view strip(std::string_view s) {
  while (!s.empty() && (s.back() == ' ' || s.back() == '\n' || s.back() == '\r' || s.back() == '\t'))
    s.remove_suffix(1);
  return s;
}

int hex_digit(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) out += static_cast<char>(c);
  else if (c < 0x800) (out += static_cast<char>(0xC0 | c >> 6)) += static_cast<char>(0x80 | (c & 63));
  else if (c < 0x10000)
    ((out += static_cast<char>(0xE0 | c >> 12)) += static_cast<char>(0x80 | (c >> 6 & 63))) +=
        static_cast<char>(0x80 | (c & 63));
  else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 63));
    out += static_cast<char>(0x80 | (c >> 6 & 63));
    out += static_cast<char>(0x80 | (c & 63));
  }
}

bool read_code_unit(std::string_view s, size_t at, uint32_t* unit) {
  if (s.size() - at < 4) return false;
  *unit = 0;
  for (size_t k = 0; k < 4; ++k) {
    const int digit = hex_digit(s[at + k]);
    if (digit < 0) return false;
    *unit = *unit << 4 | static_cast<uint32_t>(digit);
  }
  return true;
}

// The inside of a JSON string with its escapes resolved; lone surrogates become U+FFFD.
bool unescape(std::string_view s, std::string& out) {
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '\\') {
      out += s[i];
      continue;
    }
    if (++i == s.size()) return false;
    constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    if (const size_t k = kFrom.find(s[i]); k != std::string_view::npos) {
      out += kTo[k];
      continue;
    }
    uint32_t unit = 0, low = 0;
    if (s[i] != 'u' || !read_code_unit(s, i + 1, &unit)) return false;
    i += 4;
    if (unit >= 0xD800 && unit < 0xDC00 && s.substr(i + 1).starts_with("\\u") &&
        read_code_unit(s, i + 3, &low) && low >= 0xDC00 && low < 0xE000) {
      unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
      i += 6;
    } else if (unit >= 0xD800 && unit < 0xE000) {
      unit = 0xFFFD;
    }
    append_utf8(out, unit);
  }
  return true;
}

// Whether the text is one JSON value. The parser checks only what is taken; this is for what is carried
// along.
class Validator {
 public:
  explicit Validator(std::string_view text) : text_(text) {}

  bool run() {
    std::string open;   // brackets that wait for their partner
    bool value = true;  // a value is wanted, else what may follow one
    for (;;) {
      skip_space();
      if (value) {
        const char c = peek();
        if (c == '{' || c == '[') {
          ++at_;
          open += c;
          skip_space();
          if (peek() == (c == '{' ? '}' : ']')) {
            value = false;
          } else if (c == '{' && !key()) {
            return false;
          }
          continue;
        }
        if (!scalar()) return false;
        value = false;
        continue;
      }
      if (open.empty()) return at_ == text_.size();
      const char c = peek();
      ++at_;
      if (c == ',') {
        if (open.back() == '{' && !key()) return false;
        value = true;
      } else if (c == (open.back() == '{' ? '}' : ']')) {
        open.pop_back();
      } else {
        return false;
      }
    }
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') ++at_;
  }
  bool key() {
    skip_space();
    if (peek() != '"' || !scalar()) return false;
    skip_space();
    return peek() == ':' && ++at_ > 0;
  }
  bool scalar() {
    if (peek() == '"') {
      for (++at_; at_ < text_.size(); ++at_) {
        if (text_[at_] == '\\') ++at_;
        else if (text_[at_] == '"') return ++at_ > 0;
      }
      return false;
    }
    const size_t begin = at_;
    while (at_ < text_.size() &&
           std::string_view(" \n\r\t,]}:[{\"").find(text_[at_]) == std::string_view::npos)
      ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    for (const std::string_view known : {"true", "false", "null", "NaN", "Infinity", "-Infinity"})
      if (word == known) return true;
    double number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    return !word.empty() && error != std::errc::invalid_argument && end == word.data() + word.size();
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Blob padded_text(const Blob& text) {
  // In a mapped file the bytes behind a record are those of the next one: they may be read, only not used.
  if (text.file() != nullptr &&
      text.offset() + text.size() + simdjson::SIMDJSON_PADDING <= text.file()->size())
    return text;
  return Blob::copy_of(text.bytes());  // allocations have 64 bytes to spare
}

Json::Json(const Blob& text, Arena& arena, std::string_view what) : arena_(arena), text_(text), what_(what) {
  const simdjson::padded_string_view view(reinterpret_cast<const char*>(text.data()), text.size(),
                                          text.size() + simdjson::SIMDJSON_PADDING);
  opened_ = check(text.empty() ? simdjson::EMPTY : parser_.iterate(view).get(document_));
}

bool Json::root(JsonObject* object) { return !failed_ && check(document_.get_object().get(*object)); }

bool Json::fail(std::string_view why) {
  if (failed_) return false;
  failed_ = true;
  why_ = why;
  const char* at = nullptr;
  if (opened_ && document_.current_location().get(at) == simdjson::SUCCESS) {
    where_ = static_cast<uint64_t>(at - reinterpret_cast<const char*>(text_.data()));
  }
  return false;
}

bool Json::check(simdjson::error_code code) {
  if (failed_) return false;
  return code == simdjson::SUCCESS || fail(simdjson::error_message(code));
}

Error Json::error() const {
  return Error("pt2.json", where_ != 0 ? fmt::format("record '{}', near byte {}: {}", what_, where_, why_)
                                       : fmt::format("record '{}': {}", what_, why_));
}

std::string_view Json::raw_key(simdjson::ondemand::field& field) {
  const char* begin = field.key().raw();
  const char* end = begin;
  // The parser has seen the closing quote, and the document is padded. Words of eight bytes without a quote
  // or a backslash are passed over whole.
  for (;;) {
    uint64_t word;
    std::memcpy(&word, end, sizeof(word));
    constexpr uint64_t kOnes = 0x0101010101010101u, kHigh = 0x8080808080808080u;
    const uint64_t quote = word ^ (kOnes * '"'), slash = word ^ (kOnes * '\\');
    if ((((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash)) & kHigh) break;
    end += sizeof(word);
  }
  for (; *end != '"'; ++end) end += *end == '\\';
  return {begin, static_cast<size_t>(end - begin)};
}

bool Json::key_text(std::string_view raw_key, std::string_view* out) {
  if (raw_key.find('\\') == std::string_view::npos) {
    *out = raw_key;
    return true;
  }
  std::string plain;
  if (!unescape(raw_key, plain)) return fail("a key has a bad escape");
  *out = arena_.intern(plain);
  return true;
}

bool Json::text(JsonValue value, std::string_view* out) {
  if (failed_) return false;
  std::string_view token = strip(value.raw_json_token());
  if (token.size() < 2 || token.front() != '"' || token.back() != '"') return fail("a string is wanted");
  token = token.substr(1, token.size() - 2);
  // Taking the value is what moves the cursor behind it.
  simdjson::ondemand::raw_json_string taken;
  if (!check(value.get_raw_json_string().get(taken))) return false;
  return key_text(token, out);
}

bool Json::optional_text(JsonValue value, std::string_view* out) {
  return is_null(value) || text(value, out);
}

bool Json::is_null(JsonValue value) {
  bool null = false;
  return value.is_null().get(null) == simdjson::SUCCESS && null;
}

bool Json::integer(JsonValue value, int64_t* out) { return check(value.get_int64().get(*out)); }
bool Json::boolean(JsonValue value, bool* out) { return check(value.get_bool().get(*out)); }

bool Json::number(JsonValue value, double* out) {
  if (failed_) return false;
  std::string_view token = strip(value.raw_json_token());
  if (token.empty()) return fail("a number is wanted");
  const bool quoted = token.front() == '"';
  if (!quoted && token.front() != 'I' && token.front() != 'N' && !token.starts_with("-I"))
    return check(value.get_double().get(*out));
  if (quoted) {
    std::string_view inside;
    if (!text(value, &inside)) return false;
    token = inside;
  } else {
    // A bare word is no JSON: step over it as a raw token.
    simdjson::ondemand::raw_json_string ignored;
    (void)value.get_raw_json_string().get(ignored);
  }
  constexpr double kInf = std::numeric_limits<double>::infinity();
  if (token == "Infinity") *out = kInf;
  else if (token == "-Infinity") *out = -kInf;
  else if (token == "NaN") *out = std::numeric_limits<double>::quiet_NaN();
  else return fail("a number is wanted");
  return true;
}

bool Json::check_carried(std::string_view raw) {
  return !failed_ && (Validator(raw).run() || fail("a value is no JSON"));
}

bool Json::raw(JsonValue value, std::string_view* out) {
  if (failed_) return false;
  auto type = simdjson::ondemand::json_type::null;
  if (!check(value.type().get(type))) return false;
  if (type == simdjson::ondemand::json_type::object) {
    JsonObject object;
    if (!check(value.get_object().get(object)) || !check(object.raw_json().get(*out))) return false;
  } else if (type == simdjson::ondemand::json_type::array) {
    JsonArray array;
    if (!check(value.get_array().get(array)) || !check(array.raw_json().get(*out))) return false;
  } else {
    *out = value.raw_json_token();
  }
  *out = strip(*out);
  return check_carried(*out);
}

}  // namespace zp::pt2
