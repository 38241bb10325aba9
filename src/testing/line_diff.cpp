#include "testing/line_diff.h"

#include <cstdint>
#include <vector>

namespace zp::testing {

namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t i = 0; i < text.size();) {
    const size_t end = std::min(text.find('\n', i), text.size());
    lines.push_back(text.substr(i, end - i));
    i = end + 1;
  }
  return lines;
}

struct Edit {
  char kind;  // ' ', '-', '+'
  std::string_view line;
};

// The longest common subsequence of the part that differs, by the usual table; texts too long for it are
// shown as replaced.
constexpr size_t kMaxCells = size_t{1} << 24;

std::vector<Edit> edits(const std::vector<std::string_view>& a, const std::vector<std::string_view>& b) {
  size_t head = 0, tail = 0;
  while (head < a.size() && head < b.size() && a[head] == b[head]) ++head;
  while (tail < a.size() - head && tail < b.size() - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail])
    ++tail;
  const size_t m = a.size() - head - tail, n = b.size() - head - tail;
  std::vector<Edit> out;
  for (size_t i = 0; i < head; ++i) out.push_back({' ', a[i]});
  if ((m + 1) * (n + 1) > kMaxCells) {
    for (size_t i = 0; i < m; ++i) out.push_back({'-', a[head + i]});
    for (size_t j = 0; j < n; ++j) out.push_back({'+', b[head + j]});
  } else {
    std::vector<uint32_t> length((m + 1) * (n + 1), 0);
    const auto at = [&](size_t i, size_t j) -> uint32_t& { return length[i * (n + 1) + j]; };
    for (size_t i = m; i-- > 0;)
      for (size_t j = n; j-- > 0;)
        at(i, j) = a[head + i] == b[head + j] ? at(i + 1, j + 1) + 1 : std::max(at(i + 1, j), at(i, j + 1));
    size_t i = 0, j = 0;
    while (i < m || j < n) {
      if (i < m && j < n && a[head + i] == b[head + j]) {
        out.push_back({' ', a[head + i]});
        ++i, ++j;
      } else if (i < m && (j == n || at(i + 1, j) >= at(i, j + 1))) {
        out.push_back({'-', a[head + i++]});
      } else {
        out.push_back({'+', b[head + j++]});
      }
    }
  }
  for (size_t i = a.size() - tail; i < a.size(); ++i) out.push_back({' ', a[i]});
  return out;
}

}  // namespace

std::string line_diff(std::string_view expected, std::string_view actual, size_t max_lines) {
  if (expected == actual) return {};
  const std::vector<Edit> all = edits(lines_of(expected), lines_of(actual));
  constexpr size_t kContext = 3;
  std::vector<bool> shown(all.size(), false);
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].kind == ' ') continue;
    for (size_t k = i < kContext ? 0 : i - kContext; k < std::min(all.size(), i + kContext + 1); ++k)
      shown[k] = true;
  }
  std::string out;
  size_t count = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!shown[i]) continue;
    if (count++ == max_lines) return out + "  ... more lines differ\n";
    if (i > 0 && !shown[i - 1]) out += "  ...\n";
    ((out += all[i].kind) += ' ').append(all[i].line) += '\n';
  }
  if (out.empty()) out = "  the texts differ in the line end of the last line only\n";
  return out;
}

}  // namespace zp::testing
