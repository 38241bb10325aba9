// What the sources of parameter_grid.h share; for no one else.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "ir/parameter_grid.h"

namespace zp::grid {

// Slots and labels that one step may write: a reshape that cuts through blocks of a large constant is refused
// rather than followed element by element.
inline constexpr int64_t kBudget = int64_t{1} << 23;

inline size_t at(int64_t i) { return static_cast<size_t>(i); }

inline int64_t count_of(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t d : shape) {
    if (d == 0) return 0;
    if (__builtin_mul_overflow(count, d, &count)) count = INT64_MAX;
  }
  return count;
}

inline Error too_fine(const char* what, int64_t count) {
  return Error("quant.carry", fmt::format("{} would need {} entries one by one, too many", what, count));
}

// Rewrites a dim in its shortest form: longest blocks, then shortest repeated pattern.
void normalize(GridDim* dim);

// Numbers equal lines of a matrix of slots: `line(i)` hashes line i, `equal(i, j)` compares.
template <typename Hash, typename Equal>
std::vector<int32_t> number_lines(int64_t lines, Hash hash, Equal equal, std::vector<int64_t>* first) {
  std::unordered_map<size_t, std::vector<int32_t>> seen;
  std::vector<int32_t> numbers(at(lines));
  for (int64_t i = 0; i < lines; ++i) {
    std::vector<int32_t>& same = seen[hash(i)];
    const auto found =
        std::find_if(same.begin(), same.end(), [&](int32_t k) { return equal(i, (*first)[at(k)]); });
    if (found != same.end()) {
      numbers[at(i)] = *found;
    } else {
      numbers[at(i)] = static_cast<int32_t>(first->size());
      same.push_back(numbers[at(i)]);
      first->push_back(i);
    }
  }
  return numbers;
}

inline size_t mix(size_t h, size_t v) { return (h ^ v) * 0x9E3779B97F4A7C15ull + (h >> 31); }

}  // namespace zp::grid
