#include "support/text_cursor.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

#include "support/text_format.h"

namespace zp {

namespace {

bool is_digit(int c) { return c >= '0' && c <= '9'; }
bool is_letter(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_word(int c) { return is_letter(c) || is_digit(c); }
bool starts_hash_name(int c) { return is_letter(c) || c == '"'; }

}  // namespace

void TextCursor::skip() {
  for (;;) {
    const int c = raw();
    if (c == '\n') {
      ++at_;
      ++line_;
      line_start_ = at_;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++at_;
    } else if (c == '#' && !(options_.hash_names && starts_hash_name(raw(1)))) {
      const void* end = std::memchr(text_.data() + at_, '\n', text_.size() - at_);
      at_ = end != nullptr ? static_cast<size_t>(static_cast<const char*>(end) - text_.data()) : text_.size();
    } else {
      return;
    }
  }
}

void TextCursor::skip_inline() {
  while (raw() == ' ' || raw() == '\t') ++at_;
}

bool TextCursor::at_line_end() {
  skip_inline();
  const int c = raw();
  return c == -1 || c == '\n' || c == '\r' ||
         (c == '#' && !(options_.hash_names && starts_hash_name(raw(1))));
}

bool TextCursor::accept_raw(std::string_view symbol) {
  if (text_.substr(at_, symbol.size()) != symbol) return false;
  if (is_word(static_cast<unsigned char>(symbol.back())) && is_word(raw(symbol.size()))) return false;
  at_ += symbol.size();
  return true;
}

bool TextCursor::looking_at(std::string_view symbol) {
  const Place start = place();
  const bool yes = accept_raw(symbol);
  reset(start);
  return yes;
}

Status TextCursor::expect(std::string_view symbol) {
  if (accept(symbol)) return {};
  return wanted("'" + std::string(symbol) + "'");
}

Result<std::string_view> TextCursor::word(std::string_view what) {
  if (!is_letter(peek())) return wanted(what);
  const size_t begin = at_;
  while (is_word(raw())) ++at_;
  return text_.substr(begin, at_ - begin);
}

Result<std::string_view> TextCursor::dotted_name(std::string_view what, bool dashes) {
  skip();
  const size_t begin = at_;
  while (is_word(raw()) || raw() == '.' || raw() == '$' || (dashes && raw() == '-')) ++at_;
  if (at_ == begin) return wanted(what);
  return text_.substr(begin, at_ - begin);
}

Result<std::string> TextCursor::quoted(std::string_view what) {
  const Place start = place();
  if (raw() != '"') return wanted(what);
  ++at_;
  std::string out;
  for (;;) {
    const int c = raw();
    if (c == -1 || c == '\n')
      return error_at(start, "the text that starts here has no closing quote on its line");
    ++at_;
    if (c == '"') return out;
    if (c != '\\') {
      out += static_cast<char>(c);
      continue;
    }
    const int escape = raw();
    ++at_;
    switch (escape) {
      case '"': out += '"'; break;
      case '\\': out += '\\'; break;
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case 'r': out += '\r'; break;
      case 'x': {
        unsigned value = 0;
        const std::string_view digits = text_.substr(std::min(at_, text_.size()), 2);
        const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
        if (digits.size() != 2 || read.ptr != digits.data() + 2) {
          return error_at(here(), "wanted two hexadecimal digits after \\x");
        }
        out += static_cast<char>(value);
        at_ += 2;
        break;
      }
      default:
        at_ = std::min(at_, text_.size());
        return error_at(start, "unknown escape in a text; known: \\\" \\\\ \\n \\t \\r \\xHH");
    }
  }
}

Result<TextCursor::NumberText> TextCursor::number(std::string_view what) {
  const Place start = place();
  NumberText n;
  if (raw() == '-' || raw() == '+') ++at_;
  if (is_letter(raw())) {
    if (accept_raw("inf") || accept_raw("nan")) {
      n.is_float = true;
      n.text = text_.substr(start.offset, at_ - start.offset);
      return n;
    }
    reset(start);
    return wanted(what);
  }
  if (!is_digit(raw())) {
    reset(start);
    return wanted(what);
  }
  while (is_digit(raw())) ++at_;
  if (raw() == '.' && is_digit(raw(1))) {
    n.is_float = true;
    ++at_;
    while (is_digit(raw())) ++at_;
  }
  if (raw() == 'e' || raw() == 'E') {
    const size_t sign = raw(1) == '-' || raw(1) == '+' ? 2 : 1;
    if (is_digit(raw(sign))) {
      n.is_float = true;
      at_ += sign;
      while (is_digit(raw())) ++at_;
    }
  }
  n.text = text_.substr(start.offset, at_ - start.offset);
  if (is_word(raw())) {
    while (is_word(raw())) ++at_;
    return error_at(start,
                    "'" + std::string(text_.substr(start.offset, at_ - start.offset)) + "' is not a number");
  }
  return n;
}

Result<int64_t> TextCursor::integer(std::string_view what) {
  const Place start = place();
  ZP_TRY(const NumberText n, number(what));
  if (n.is_float)
    return error_at(start, "wanted " + std::string(what) + ", found '" + std::string(n.text) + "'");
  int64_t value = 0;
  if (!read_number(n.text, &value))
    return error_at(start, "'" + std::string(n.text) + "' does not fit in 64 bits");
  return value;
}

Result<double> TextCursor::real(std::string_view what) {
  const Place start = place();
  ZP_TRY(const NumberText n, number(what));
  double value = 0;
  if (!read_number(n.text, &value))
    return error_at(start, "'" + std::string(n.text) + "' does not fit in a double");
  return value;
}

Result<std::string_view> TextCursor::until(char stop, std::string_view what) {
  const size_t begin = at_;
  for (size_t i = at_; i < text_.size(); ++i) {
    if (text_[i] == stop) {
      at_ = i + 1;
      return text_.substr(begin, i - begin);
    }
    if (text_[i] == '\n') {
      ++line_;
      line_start_ = i + 1;
    }
  }
  at_ = text_.size();
  return wanted(what);
}

void TextCursor::reset(const Place& place) {
  at_ = place.offset;
  line_ = place.line;
  line_start_ = place.offset + 1 - place.column;
}

std::string TextCursor::found() {
  skip();
  if (at_ == text_.size()) return "the end of the text";
  size_t end = at_;
  const auto in_word = [&](size_t i) {
    const int c = static_cast<unsigned char>(text_[i]);
    return is_word(c) || c == '.' || c >= 0x80;
  };
  while (end < text_.size() && end - at_ < 40 && in_word(end)) ++end;
  if (end == at_) ++end;
  // A sigil is shown with its name.
  if (end == at_ + 1 && std::strchr("%@#", text_[at_]) != nullptr) {
    while (end < text_.size() && end - at_ < 40 && in_word(end)) ++end;
  }
  return "'" + printable(text_.substr(at_, end - at_)) + "'";
}

Error TextCursor::wanted(std::string_view what) {
  const std::string was = found();
  return error("wanted " + std::string(what) + ", found " + was);
}

Error TextCursor::error(std::string text) { return error_at(place(), std::move(text)); }

Error TextCursor::error_at(const Place& place, std::string text, std::string id) const {
  Diagnostic d;
  d.id = std::move(id);
  d.text = std::move(text);
  d.where.file = file_;
  d.where.line = place.line;
  d.where.column = place.column;
  return Error(std::move(d));
}

size_t edit_distance(std::string_view a, std::string_view b, size_t limit) {
  if (a.size() > b.size()) std::swap(a, b);
  if (b.size() - a.size() > limit || b.size() > 256) return limit + 1;
  // Three rows of the usual table: two neighbours that changed places count as one edit.
  std::vector<size_t> before(a.size() + 1), last(a.size() + 1), row(a.size() + 1);
  for (size_t i = 0; i <= a.size(); ++i) row[i] = i;
  for (size_t j = 1; j <= b.size(); ++j) {
    before.swap(last);
    last.swap(row);
    row[0] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
      row[i] = std::min({last[i - 1] + (a[i - 1] != b[j - 1]), last[i] + 1, row[i - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[i] = std::min(row[i], before[i - 2] + 1);
    }
    if (*std::min_element(row.begin(), row.end()) > limit &&
        *std::min_element(last.begin(), last.end()) > limit)
      return limit + 1;
  }
  return std::min(row.back(), limit + 1);
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  // A third of the letters may differ: `cov2d` means conv2d, `add` does not mean and.
  const size_t allowed = std::min<size_t>(3, std::max<size_t>(1, word.size() / 3));
  std::string_view best;
  size_t best_distance = allowed + 1;
  for (std::string_view c : candidates) {
    const size_t distance = edit_distance(word, c, allowed);
    if (distance < best_distance) best = c, best_distance = distance;
  }
  return best;
}

std::string suggestion(std::string_view word, std::span<const std::string_view> candidates) {
  const std::string_view best = nearest(word, candidates);
  return best.empty() ? std::string() : "; did you mean '" + std::string(best) + "'?";
}

}  // namespace zp
