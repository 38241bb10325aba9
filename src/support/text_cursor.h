// A cursor over text for hand-written parsers: skips white space and comments, reads names, numbers and
// strings, and knows line and column for messages. There is no token stream: the grammar decides at each
// place what may come (`%` is a name's sigil in one place and a remainder in another). It never allocates
// for what it reads and never looks further ahead than one symbol.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "support/result.h"

namespace zp {

class TextCursor {
 public:
  struct Options {
    // `#name` is a name: a comment is then `#` followed by anything but a letter, `_` or a quote.
    bool hash_names = false;
  };
  struct Place {
    size_t offset = 0;
    uint32_t line = 1;
    uint32_t column = 1;
  };

  explicit TextCursor(std::string_view text, std::string_view file = {})
      : TextCursor(text, file, Options()) {}
  TextCursor(std::string_view text, std::string_view file, Options options)
      : text_(text), file_(file), options_(options) {}

  void skip();         // white space, line ends, comments
  void skip_inline();  // spaces and tabs only
  bool at_end() {
    skip();
    return at_ == text_.size();
  }
  // The next character after skipping, -1 at the end; `peek_inline` does not cross a line end.
  int peek() {
    skip();
    return raw();
  }
  int peek_inline() {
    skip_inline();
    return raw();
  }
  int raw(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? static_cast<unsigned char>(text_[at_ + ahead]) : -1;
  }
  // True if nothing but white space and comments follows on this line.
  bool at_line_end();

  void skip_raw(size_t characters) { at_ += characters; }  // they must not hold a line end

  // Consumes `symbol` if it comes next. A symbol that ends in a letter must not run into a longer word.
  bool accept(std::string_view symbol) {
    skip();
    return accept_raw(symbol);
  }
  bool accept_inline(std::string_view symbol) {
    skip_inline();
    return accept_raw(symbol);
  }
  bool looking_at(std::string_view symbol);
  Status expect(std::string_view symbol);

  // [A-Za-z_][A-Za-z0-9_]*; `wanted` is what the message asks for.
  Result<std::string_view> word(std::string_view wanted);
  // A word that may also hold dots and dashes, or start with a digit: [A-Za-z0-9_.$-]+ (dashes only if
  // `dashes`).
  Result<std::string_view> dotted_name(std::string_view wanted, bool dashes = false);
  // "..." with \" \\ \n \t \r \xHH.
  Result<std::string> quoted(std::string_view wanted);
  // The text of a number: digits, fraction, exponent, sign; also inf, -inf, nan.
  struct NumberText {
    std::string_view text;
    bool is_float = false;  // has a fraction, an exponent, or is not finite
  };
  Result<NumberText> number(std::string_view wanted);
  Result<int64_t> integer(std::string_view wanted);
  Result<double> real(std::string_view wanted);
  // Everything up to `stop`, which is consumed; comments are not known here.
  Result<std::string_view> until(char stop, std::string_view wanted);

  size_t offset() const { return at_; }
  std::string_view text() const { return text_; }
  std::string_view file() const { return file_; }
  Place place() {
    skip();
    return here();
  }  // of the next symbol
  Place here() const { return {at_, line_, static_cast<uint32_t>(at_ - line_start_ + 1)}; }
  void reset(const Place& place);

  // "wanted X, found 'y'" at the next symbol.
  Error wanted(std::string_view what);
  Error error(std::string text);  // at the next symbol
  Error error_at(const Place& place, std::string text, std::string id = {}) const;
  std::string found();  // what stands at the cursor, for messages

 private:
  bool accept_raw(std::string_view symbol);
  std::string_view text_;
  std::string_view file_;
  Options options_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  uint32_t line_ = 1;
};

// Number of edits between two words (a character added, dropped or changed, two neighbours swapped), at most
// `limit` + 1.
size_t edit_distance(std::string_view a, std::string_view b, size_t limit = 3);
// The candidate nearest to a misspelled word, or empty if none is near enough to be meant.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);
// "; did you mean 'x'?" or nothing.
std::string suggestion(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace zp
