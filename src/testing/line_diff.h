// Difference of two texts, line by line, for people: unchanged lines near a change are shown, the rest is
// left out.
#pragma once

#include <string>
#include <string_view>

namespace zp::testing {

// Empty if the texts are equal. Lines start with "-" (expected only), "+" (actual only) or " ".
std::string line_diff(std::string_view expected, std::string_view actual, size_t max_lines = 80);

}  // namespace zp::testing
