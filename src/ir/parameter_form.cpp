// The form in which the parameters of a grid can be written: one scale, a list along one axis, or the
// coarsest uniform grid of blocks. Without padding the change points along each dim decide (their greatest
// common divisor with the extent is the block); padding is free to join any cell, so with it grids are tried
// from the coarsest on.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "ir/parameter_grid.h"

namespace zp {

namespace {

// Entries of one list, and grids tried where there is padding.
constexpr int64_t kBudget = int64_t{1} << 23;

size_t at(int64_t i) { return static_cast<size_t>(i); }

int64_t count_of(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t d : shape) {
    if (d == 0) return 0;
    if (__builtin_mul_overflow(count, d, &count)) count = INT64_MAX;
  }
  return count;
}

}  // namespace

std::vector<std::vector<int32_t>> slots_by_block(const GridDim& dim, int64_t block) {
  std::vector<std::vector<int32_t>> all(at(dim.extent / block));
  const int64_t unit = std::gcd(dim.block, block);
  for (int64_t j = 0; j < dim.extent; j += unit) {
    std::vector<int32_t>& cell = all[at(j / block)];
    const int32_t slot = dim.slot_at(j);
    if (std::find(cell.begin(), cell.end(), slot) == cell.end()) cell.push_back(slot);
  }
  return all;
}

namespace {

int64_t cells_of(const IntShape& shape, const IntShape& block) {
  int64_t cells = 1;
  for (size_t d = 0; d < shape.size(); ++d) cells *= shape[d] / block[d];
  return cells;
}

std::string list_text(std::span<const int64_t> list) {
  std::string text = "[";
  for (size_t i = 0; i < list.size(); ++i) text += (i ? "," : "") + std::to_string(list[i]);
  return text + "]";
}

// Kind of a form from its block; axis forms are looked for by `fits_axis`.
template <typename F>
void choose_kind(const IntShape& shape, GridForm* form, F fits_axis) {
  const int64_t cells = cells_of(shape, form->block), elements = count_of(shape);
  form->kind = GridForm::None;
  if (cells == 1) {
    form->kind = GridForm::PerTensor;
    return;
  }
  const bool block_fits = cells * 2 <= elements;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1 || !fits_axis(d)) continue;
    // A long list that repeats itself in runs is better written as blocks.
    constexpr int64_t kShortList = 4096;
    if (block_fits && shape[d] > kShortList && shape[d] * 2 > elements && cells * 2 <= shape[d]) break;
    form->kind = GridForm::PerAxis;
    form->axis = static_cast<int64_t>(d);
    return;
  }
  if (block_fits) {
    form->kind = GridForm::PerBlock;
    return;
  }
  std::string dims;
  for (size_t d = 0; d < shape.size(); ++d)
    if (form->block[d] != shape[d]) dims += (dims.empty() ? "" : " and ") + std::to_string(d);
  form->why = fmt::format(
      "the scales vary along dims {} of {}; the coarsest uniform block {} has {} scales for {} elements, at "
      "most one for two is written",
      dims, list_text(shape), list_text(form->block), cells, elements);
}

}  // namespace

Result<GridForm> ParameterGrid::exact_form(std::span<const int32_t> classes) const {
  GridForm form;
  const IntShape extents = shape();
  for (size_t d = 0; d < dims_.size(); ++d) {
    const GridDim& dim = dims_[d];
    int64_t block = dim.extent;
    if (dim.varies()) {
      const std::vector<int32_t> same = equal_slots(d, classes);
      const int64_t n = static_cast<int64_t>(dim.slots.size());
      auto slot = [&](int64_t i) { return same[at(dim.slots[at(i % n)])]; };
      bool changes = false;
      for (int64_t i = 1; i <= n; ++i) {
        if (i == n && dim.tiles == 1) break;
        if (slot(i) == slot(i - 1)) continue;
        block = std::gcd(block, i * dim.block);
        changes = true;
      }
      if (changes && dim.tiles > 1) block = std::gcd(block, n * dim.block);
    }
    form.block.push_back(block);
  }
  choose_kind(extents, &form, [&](size_t axis) {
    for (size_t d = 0; d < extents.size(); ++d)
      if (d != axis && form.block[d] != extents[d]) return false;
    return true;
  });
  return form;
}

namespace {

std::vector<int64_t> divisors(int64_t n) {
  std::vector<int64_t> low, high;
  for (int64_t d = 1; d * d <= n; ++d) {
    if (n % d != 0) continue;
    low.push_back(d);
    if (d * d != n) high.push_back(n / d);
  }
  low.insert(low.end(), high.rbegin(), high.rend());
  return low;
}

}  // namespace

// With padding, whose parameters are free, the coarsest grid is searched: a block per dim, all divisors of
// the extent, the fewest cells first found in ascending order of blocks.
Result<GridForm> ParameterGrid::padded_form(std::span<const int32_t> classes) const {
  const IntShape extents = shape(), counts = slot_shape();
  auto uniform = [&](const IntShape& block) {
    std::vector<std::vector<std::vector<int32_t>>> by_block;
    for (size_t d = 0; d < dims_.size(); ++d) by_block.push_back(slots_by_block(dims_[d], block[d]));
    std::vector<size_t> cell(dims_.size(), 0), pick(dims_.size(), 0);
    std::unordered_map<int64_t, int32_t> seen;
    for (;;) {
      int64_t label_place = 0, cell_place = 0;
      for (size_t d = 0; d < dims_.size(); ++d) {
        label_place = label_place * counts[d] + by_block[d][cell[d]][pick[d]];
        cell_place = cell_place * static_cast<int64_t>(by_block[d].size()) + static_cast<int64_t>(cell[d]);
      }
      int32_t label = labels_[at(label_place)];
      if (label >= 0 && !classes.empty()) label = classes[at(label)];
      if (label >= 0 && seen.emplace(cell_place, label).first->second != label) return false;
      size_t d = dims_.size();
      while (d-- > 0) {
        if (++pick[d] < by_block[d][cell[d]].size()) break;
        pick[d] = 0;
        if (++cell[d] < by_block[d].size()) break;
        cell[d] = 0;
      }
      if (d == SIZE_MAX) return true;
    }
  };
  std::vector<std::vector<int64_t>> candidates;
  int64_t grids = 1, units = 1;
  for (const GridDim& dim : dims_) {
    candidates.push_back(dim.varies() ? divisors(dim.extent) : std::vector<int64_t>{dim.extent});
    grids *= static_cast<int64_t>(candidates.back().size());
    units *= dim.varies() ? static_cast<int64_t>(dim.slots.size()) * dim.tiles : 1;
  }
  if (grids > kBudget / std::max<int64_t>(1, units)) {
    // Too many to try: padding then counts as parameters of its own.
    std::vector<int32_t> own(classes.begin(), classes.end());
    return exact_form(own);
  }
  GridForm form;
  int64_t best = INT64_MAX;
  std::vector<size_t> pick(candidates.size(), 0);
  for (;;) {
    IntShape block;
    for (size_t d = 0; d < candidates.size(); ++d) block.push_back(candidates[d][pick[d]]);
    const int64_t cells = cells_of(extents, block);
    if (cells < best && uniform(block)) {
      best = cells;
      form.block = block;
    }
    size_t d = candidates.size();
    while (d-- > 0) {
      if (++pick[d] < candidates[d].size()) break;
      pick[d] = 0;
    }
    if (d == SIZE_MAX) break;
  }
  choose_kind(extents, &form, [&](size_t axis) {
    IntShape block = extents;
    block[axis] = 1;
    return uniform(block);
  });
  return form;
}

Status ParameterGrid::fill_cells(GridForm* form) const {
  IntShape block = form->block;
  if (form->kind == GridForm::PerAxis) {
    block = shape();
    block[at(form->axis)] = 1;
  }
  const IntShape counts = slot_shape();
  std::vector<std::vector<std::vector<int32_t>>> by_block;
  int64_t cells = 1;
  for (size_t d = 0; d < dims_.size(); ++d) {
    by_block.push_back(slots_by_block(dims_[d], block[d]));
    cells *= static_cast<int64_t>(by_block.back().size());
  }
  if (cells > kBudget && cells > static_cast<int64_t>(labels_.size()))
    return Error("quant.carry", fmt::format("the list of scales would need {} entries, too many", cells));
  const bool padding = has_padding();
  form->cells.assign(at(cells), 0);
  std::vector<size_t> cell(dims_.size(), 0);
  for (int32_t& out : form->cells) {
    // The first label of the cell that is not padding.
    std::vector<size_t> pick(dims_.size(), 0);
    for (;;) {
      int64_t place = 0;
      for (size_t d = 0; d < dims_.size(); ++d) place = place * counts[d] + by_block[d][cell[d]][pick[d]];
      out = labels_[at(place)];
      if (out >= 0 || !padding) break;
      size_t d = dims_.size();
      while (d-- > 0) {
        if (++pick[d] < by_block[d][cell[d]].size()) break;
        pick[d] = 0;
      }
      if (d == SIZE_MAX) break;
    }
    for (size_t d = dims_.size(); d-- > 0;) {
      if (++cell[d] < by_block[d].size()) break;
      cell[d] = 0;
    }
  }
  return {};
}

Result<GridForm> ParameterGrid::form(std::span<const int32_t> classes) const {
  if (empty_) {
    GridForm form;
    form.kind = GridForm::PerTensor;
    form.block = empty_shape_;
    form.cells = labels_;
    return form;
  }
  ZP_TRY(GridForm form, has_padding() ? padded_form(classes) : exact_form(classes));
  if (form.kind != GridForm::None) ZP_CHECK(fill_cells(&form));
  return form;
}

}  // namespace zp
