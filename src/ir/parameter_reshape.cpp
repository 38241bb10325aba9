// Reshapes of a grid of parameters: dims are merged and split in the smallest groups whose products agree. A
// split that cuts through blocks makes slots finer, whose equal rows and columns are then numbered anew.
#include <algorithm>
#include <numeric>

#include "ir/grid_util.h"
#include "ir/parameter_grid.h"

namespace zp {

using grid::at;
using grid::kBudget;
using grid::mix;
using grid::normalize;
using grid::number_lines;
using grid::too_fine;

Status ParameterGrid::merge_dims(size_t d) {
  GridDim outer = std::move(dims_[d]), inner = std::move(dims_[d + 1]);
  dims_.erase(dims_.begin() + static_cast<std::ptrdiff_t>(d));
  GridDim& out = dims_[d];
  const int64_t extent = outer.extent * inner.extent;
  if (!outer.varies()) {
    out = std::move(inner);
    out.tiles *= outer.extent;
    if (!out.varies()) out = GridDim::whole(extent);
  } else if (!inner.varies()) {
    out = std::move(outer);
    out.block *= inner.extent;
  } else {
    const int64_t rounds = outer.block * inner.tiles;
    const int64_t n1 = static_cast<int64_t>(outer.slots.size()),
                  n2 = static_cast<int64_t>(inner.slots.size());
    if (rounds > kBudget / n1 || rounds * n1 > kBudget / n2)
      return too_fine("a merged dim", n1 * rounds * n2);
    out = GridDim();
    out.slots.clear();
    out.slots.reserve(at(n1 * rounds * n2));
    for (const int32_t s1 : outer.slots)
      for (int64_t r = 0; r < rounds; ++r)
        for (const int32_t s2 : inner.slots) out.slots.push_back(s1 * inner.slot_count + s2);
    out.tiles = outer.tiles;
    out.block = inner.block;
    out.slot_count = outer.slot_count * inner.slot_count;
  }
  out.extent = extent;
  return {};
}

Status ParameterGrid::split_dim(size_t d, int64_t inner_extent) {
  GridDim from = dims_[d];
  const int64_t outer_extent = from.extent / inner_extent;
  const int64_t pattern = static_cast<int64_t>(from.slots.size()) * from.block;
  GridDim outer = GridDim::whole(outer_extent), inner = GridDim::whole(inner_extent);
  auto insert = [&] {
    dims_[d] = std::move(outer);
    dims_.insert(dims_.begin() + static_cast<std::ptrdiff_t>(d) + 1, std::move(inner));
  };
  if (from.varies() && from.block % inner_extent == 0) {
    outer = std::move(from);
    outer.extent = outer_extent;
    outer.block /= inner_extent;
    insert();
    return {};
  }
  if (from.varies() && inner_extent % pattern == 0) {
    inner = std::move(from);
    inner.extent = inner_extent;
    inner.tiles = inner_extent / pattern;
    insert();
    return {};
  }
  if (!from.varies()) {
    insert();
    return {};
  }
  // The blocks are cut: rows of `row` units each, of which `rows` differ before the pattern repeats.
  const int64_t unit = std::gcd(from.block, inner_extent);
  const int64_t cut = from.block / unit, row = inner_extent / unit;
  const int64_t period = static_cast<int64_t>(from.slots.size()) * cut;
  const int64_t rows = period / std::gcd(period, row);
  if (rows > kBudget / row) return too_fine("a split dim", rows * row);
  auto slot = [&](int64_t r, int64_t c) { return from.slots[at((r * row + c) % period / cut)]; };
  std::vector<int64_t> first_row, first_column;
  const std::vector<int32_t> row_numbers = number_lines(
      rows,
      [&](int64_t r) {
        size_t h = 0;
        for (int64_t c = 0; c < row; ++c) h = mix(h, static_cast<size_t>(slot(r, c)));
        return h;
      },
      [&](int64_t a, int64_t b) {
        for (int64_t c = 0; c < row; ++c)
          if (slot(a, c) != slot(b, c)) return false;
        return true;
      },
      &first_row);
  const std::vector<int32_t> column_numbers = number_lines(
      row,
      [&](int64_t c) {
        size_t h = 0;
        for (int64_t r = 0; r < rows; ++r) h = mix(h, static_cast<size_t>(slot(r, c)));
        return h;
      },
      [&](int64_t a, int64_t b) {
        for (int64_t r = 0; r < rows; ++r)
          if (slot(r, a) != slot(r, b)) return false;
        return true;
      },
      &first_column);
  outer.tiles = outer_extent / rows;
  outer.block = 1;
  outer.slots = row_numbers;
  outer.slot_count = static_cast<int32_t>(first_row.size());
  inner.block = unit;
  inner.slots = column_numbers;
  inner.slot_count = static_cast<int32_t>(first_column.size());
  // The dim's slots become pairs (row, column).
  const IntShape counts = slot_shape();
  std::vector<std::vector<int32_t>> old_of_new;
  for (size_t e = 0; e < dims_.size(); ++e) {
    std::vector<int32_t> list;
    if (e == d) {
      for (const int64_t r : first_row)
        for (const int64_t c : first_column) list.push_back(slot(r, c));
    } else {
      list.resize(at(counts[e]));
      std::iota(list.begin(), list.end(), 0);
    }
    old_of_new.push_back(std::move(list));
  }
  ZP_CHECK(pick_slots(counts, old_of_new));
  normalize(&outer);
  normalize(&inner);
  insert();
  return {};
}

Status ParameterGrid::reshape_now(const IntShape& target) {
  // Dims of extent 1 have one slot, so they come and go without touching labels.
  std::erase_if(dims_, [](const GridDim& d) { return d.extent == 1; });
  IntShape wanted;
  for (const int64_t t : target)
    if (t != 1) wanted.push_back(t);
  // The smallest groups of dims whose products agree are rewritten one by one.
  size_t d = 0;
  for (size_t w = 0; w < wanted.size();) {
    int64_t have = dims_[d].extent, want = wanted[w];
    size_t merged = 1, parts = 1;
    while (have != want) {
      if (have < want) {
        have *= dims_[d + merged++].extent;
      } else {
        want *= wanted[w + parts++];
      }
    }
    if (merged > 1 || parts > 1) {
      for (size_t k = 1; k < merged; ++k) ZP_CHECK(merge_dims(d + merged - 1 - k));
      normalize(&dims_[d]);
      for (size_t k = 1; k < parts; ++k) ZP_CHECK(split_dim(d, wanted[w + parts - k]));
    }
    d += parts;
    w += parts;
  }
  for (size_t t = 0; t < target.size(); ++t) {
    if (target[t] == 1) dims_.insert(dims_.begin() + static_cast<std::ptrdiff_t>(t), GridDim::whole(1));
  }
  return {};
}

Status ParameterGrid::settle() {
  if (!reshape_) return {};
  const IntShape target = std::move(*reshape_);
  reshape_.reset();
  return reshape_now(target);
}

}  // namespace zp
