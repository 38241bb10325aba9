// Which entry of a scale list covers which element of a tensor, for tensors made by any chain of shape ops.
// Parameters vary along dims independently of each other, so an element's entry is labels[slot_0(j_0),
// slot_1(j_1), ...] with one small function a dim: slots repeat in blocks, and whole patterns repeat in
// tiles. The cost of a step follows the number of slots and labels, not the number of elements; only a
// reshape that cuts through blocks has to make slots finer.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/shape_map.h"

namespace zp {

// Coordinate j of a dim of extent tiles * slots.size() * block has slot slots[j / block % slots.size()].
struct GridDim {
  int64_t extent = 1;
  int64_t tiles = 1;
  int64_t block = 1;
  std::vector<int32_t> slots = {0};
  int32_t slot_count = 1;  // every slot below it occurs

  static GridDim whole(int64_t extent);
  bool varies() const { return slots.size() > 1; }
  int32_t slot_at(int64_t j) const {
    return slots[static_cast<size_t>(j / block % static_cast<int64_t>(slots.size()))];
  }
};

// The form in which parameters can be written.
struct GridForm {
  enum Kind : uint8_t { PerTensor, PerAxis, PerBlock, None } kind = None;
  int64_t axis = -1;           // PerAxis
  IntShape block;              // coarsest uniform grid, whatever the kind
  std::vector<int32_t> cells;  // label of each entry, C order; negative where only padding is covered
  std::string why;             // None: the numbers
};

class ParameterGrid {
 public:
  // Labels 0, 1, ... in C order of a uniform grid of blocks over the shape.
  static Result<ParameterGrid> uniform(const IntShape& shape, const IntShape& block);

  IntShape shape() const;
  bool empty() const { return empty_; }  // a tensor without elements: every form fits
  const std::vector<int32_t>& labels() const { return labels_; }
  std::span<const GridDim> dims() const { return dims_; }

  // `padding` is the label (negative) of elements that a step adds.
  Status apply(const MapStep& step, int32_t padding);
  static Result<ParameterGrid> join(std::vector<ParameterGrid> parts, int64_t dim);
  // Renumbers labels: f(label) for each.
  template <typename F>
  void relabel(F f) {
    for (int32_t& l : labels_) l = f(l);
  }
  // Performs a reshape that was put off; `dims` and `labels` are final only after it.
  Status settle();

  // Whether some element is padding.
  bool has_padding() const;
  int32_t label_at(std::span<const int64_t> place) const;

  // The coarsest form; the grid must be settled. `classes` maps labels to classes of equal parameters (empty:
  // each label its own).
  Result<GridForm> form(std::span<const int32_t> classes) const;
  // For each cell of `form` that pads: calls f(cell, label of the padding); stops at the first error.
  template <typename F>
  Status each_padding(const GridForm& form, F f) const;

 private:
  Status reshape_now(const IntShape& target);
  Status window(const MapStep& step);
  Status take(const MapStep& step, int32_t padding);
  Status diagonal(const MapStep& step);
  Status table(const MapStep& step, int32_t padding);
  Status choose(const MapStep& step);
  void permute(const std::vector<int64_t>& order);
  // Dim d becomes two, the second of extent `inner`; dims d and d + 1 become one.
  Status split_dim(size_t d, int64_t inner);
  Status merge_dims(size_t d);
  // Labels for new slots, which are listed for each dim by their old number (or a negative label, for
  // padding).
  Status pick_slots(const IntShape& old_counts, const std::vector<std::vector<int32_t>>& old_of_new);
  // Renumbers the slots a dim uses to 0, 1, ...; returns the old numbers.
  static std::vector<int32_t> compact(GridDim* dim);
  // For each slot of dim `d` the first slot with the same labels (as classes).
  std::vector<int32_t> equal_slots(size_t d, std::span<const int32_t> classes) const;
  // Slots with equal labels become one.
  Status merge_equal_slots();
  IntShape slot_shape() const;
  Result<GridForm> exact_form(std::span<const int32_t> classes) const;
  Result<GridForm> padded_form(std::span<const int32_t> classes) const;
  Status fill_cells(GridForm* form) const;

  std::vector<GridDim> dims_;
  std::vector<int32_t> labels_;  // C order over the dims' slot counts
  std::optional<IntShape> reshape_;
  bool empty_ = false;
  IntShape empty_shape_;
};

// The slots that lie in each block of a dim.
std::vector<std::vector<int32_t>> slots_by_block(const GridDim& dim, int64_t block);

template <typename F>
Status ParameterGrid::each_padding(const GridForm& form, F f) const {
  if (empty_) return {};
  std::vector<std::vector<std::vector<int32_t>>> by_block;
  IntShape cells;
  for (size_t d = 0; d < dims_.size(); ++d) {
    int64_t block = d < form.block.size() ? form.block[d] : 0;
    if (form.kind == GridForm::PerAxis) block = static_cast<int64_t>(d) == form.axis ? 1 : dims_[d].extent;
    if (form.kind == GridForm::PerTensor) block = dims_[d].extent;
    by_block.push_back(slots_by_block(dims_[d], block));
    cells.push_back(static_cast<int64_t>(by_block.back().size()));
  }
  const IntShape counts = slot_shape();
  // All (cell, slot) combinations, dim by dim.
  std::vector<size_t> cell(dims_.size(), 0), pick(dims_.size(), 0);
  for (;;) {
    int64_t label_place = 0, cell_place = 0;
    for (size_t d = 0; d < dims_.size(); ++d) {
      label_place = label_place * counts[d] + by_block[d][cell[d]][pick[d]];
      cell_place = cell_place * cells[d] + static_cast<int64_t>(cell[d]);
    }
    const int32_t label = labels_[static_cast<size_t>(label_place)];
    if (label < 0) {
      if (Status s = f(cell_place, label); !s.ok()) return s;
    }
    size_t d = dims_.size();
    while (d-- > 0) {
      if (++pick[d] < by_block[d][cell[d]].size()) break;
      pick[d] = 0;
      if (++cell[d] < by_block[d].size()) break;
      cell[d] = 0;
    }
    if (d == SIZE_MAX) return {};
  }
}

}  // namespace zp
