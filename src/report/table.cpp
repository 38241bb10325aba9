#include "report/table.h"

#include <fmt/format.h>

#include <algorithm>

namespace zp {

namespace {

bool numeric(const std::string& cell) {
  return !cell.empty() && cell.find_first_not_of("0123456789.,-+e %xkMGBdmsu") == std::string::npos &&
         cell.find_first_of("0123456789") != std::string::npos;
}

// Width on the screen: continuation bytes of UTF-8 take no place.
size_t width_of(const std::string& cell) {
  return static_cast<size_t>(
      std::count_if(cell.begin(), cell.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::string TextTable::str(int indent, size_t max_width) const {
  const size_t columns = header_.size();
  std::vector<size_t> widths(columns, 0);
  std::vector<bool> right(columns, !rows_.empty());
  for (size_t c = 0; c < columns; ++c) widths[c] = width_of(header_[c]);
  for (const auto& row : rows_) {
    for (size_t c = 0; c < columns && c < row.size(); ++c) {
      widths[c] = std::max(widths[c], width_of(row[c]));
      if (!row[c].empty() && row[c] != "-" && !numeric(row[c])) right[c] = false;
    }
  }
  std::string out;
  auto line = [&](const std::vector<std::string>& row) {
    std::string text(static_cast<size_t>(indent), ' ');
    for (size_t c = 0; c < columns; ++c) {
      const std::string cell = c < row.size() ? row[c] : "";
      const std::string pad(widths[c] - width_of(cell), ' ');
      const bool last = c + 1 == columns;
      if (right[c]) {
        text += pad + cell;
      } else {
        text += cell + (last ? "" : pad);
      }
      if (!last) text += "  ";
    }
    text.erase(text.find_last_not_of(' ') + 1);
    if (max_width != 0 && width_of(text) > max_width) text = text.substr(0, max_width - 3) + "...";
    out += text + '\n';
  };
  line(header_);
  std::vector<std::string> rule;
  for (size_t w : widths) rule.emplace_back(w, '-');
  line(rule);
  for (const auto& row : rows_) line(row);
  return out;
}

std::string human_bytes(double bytes) {
  if (bytes < 1000) return fmt::format("{:.0f} B", bytes);
  if (bytes < 1e6) return fmt::format("{:.1f} kB", bytes / 1e3);
  if (bytes < 1e9) return fmt::format("{:.1f} MB", bytes / 1e6);
  return fmt::format("{:.2f} GB", bytes / 1e9);
}

}  // namespace zp
