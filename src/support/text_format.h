// Text of numbers, names and bytes that reads back equal: shortest decimal forms, quoted strings, base64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zp {

// Shortest form that reads back to the same value: 0.0235, 1e-05, inf, -inf, nan. With `point`, a whole
// number keeps a fraction (1.0), so that its text still says it is not an integer.
std::string shortest(double value, bool point = false);
std::string shortest(float value, bool point = false);

// Whole-text conversions; false if the text is no number or does not fit. Infinities and nan are read too.
bool read_number(std::string_view text, int64_t* value);
bool read_number(std::string_view text, uint64_t* value);
bool read_number(std::string_view text, double* value);
bool read_number(std::string_view text, float* value);

// "..." with escapes, as TextCursor::quoted reads it.
std::string quote(std::string_view text);
// The text with control characters and bytes that are no valid UTF-8 shown as \xHH.
std::string printable(std::string_view text);
// A name as it stands after a sigil: plain if it is made of letters, digits, `_`, `.` and `$`, else quoted.
std::string name_text(std::string_view name);

// Base64 (RFC 4648, with padding); white space is skipped when reading.
void append_base64(std::string* out, std::span<const std::byte> bytes);
bool read_base64(std::string_view text, std::vector<std::byte>* bytes);

}  // namespace zp
