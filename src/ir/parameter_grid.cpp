#include "ir/parameter_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "ir/grid_util.h"

namespace zp {

using grid::at;
using grid::count_of;
using grid::kBudget;
using grid::mix;
using grid::normalize;
using grid::number_lines;
using grid::too_fine;

namespace {

// Scales of one tensor: an embedding has one a row.
constexpr int64_t kMaxSlots = int64_t{1} << 26;

}  // namespace

void grid::normalize(GridDim* dim) {
  const int64_t n = static_cast<int64_t>(dim->slots.size());
  if (n == 1) {
    *dim = GridDim::whole(dim->extent);
    return;
  }
  int64_t run = n;
  for (int64_t i = 1; i < n; ++i)
    if (dim->slots[at(i)] != dim->slots[at(i - 1)]) run = std::gcd(run, i);
  if (run > 1) {
    std::vector<int32_t> longer;
    for (int64_t i = 0; i < n; i += run) longer.push_back(dim->slots[at(i)]);
    dim->slots = std::move(longer);
    dim->block *= run;
  }
  const size_t m = dim->slots.size();
  if (m == 1) {
    *dim = GridDim::whole(dim->extent);
    return;
  }
  // Border lengths give the shortest period.
  std::vector<size_t> border(m, 0);
  for (size_t i = 1, k = 0; i < m; ++i) {
    while (k > 0 && dim->slots[i] != dim->slots[k]) k = border[k - 1];
    if (dim->slots[i] == dim->slots[k]) ++k;
    border[i] = k;
  }
  const size_t period = m - border[m - 1];
  if (period < m && m % period == 0) {
    dim->slots.resize(period);
    dim->tiles *= static_cast<int64_t>(m / period);
  }
}

GridDim GridDim::whole(int64_t extent) {
  GridDim dim;
  dim.extent = extent;
  dim.block = extent;
  return dim;
}

Result<ParameterGrid> ParameterGrid::uniform(const IntShape& shape, const IntShape& block) {
  ParameterGrid grid;
  if (count_of(shape) == 0) {
    grid.empty_ = true;
    grid.empty_shape_ = shape;
    grid.labels_ = {0};
    return grid;
  }
  int64_t labels = 1;
  for (size_t d = 0; d < shape.size(); ++d) {
    GridDim dim = GridDim::whole(shape[d]);
    if (block[d] <= 0) return Error("quant.carry", fmt::format("block extent {} is not positive", block[d]));
    const int64_t cells = shape[d] / block[d] + (shape[d] % block[d] != 0);
    if (cells > 1) {
      // A last block that is not full makes the common unit of blocks and extent shorter.
      const int64_t unit = std::gcd(block[d], shape[d]);
      if (shape[d] / unit > kMaxSlots) return too_fine("the scale grid", shape[d] / unit);
      dim.block = unit;
      dim.slots.clear();
      for (int64_t j = 0; j < shape[d]; j += unit) dim.slots.push_back(static_cast<int32_t>(j / block[d]));
      dim.slot_count = static_cast<int32_t>(cells);
    }
    if (labels > kMaxSlots / cells) return Error("quant.carry", "more scales than can be numbered");
    labels *= cells;
    grid.dims_.push_back(std::move(dim));
  }
  grid.labels_.resize(at(labels));
  std::iota(grid.labels_.begin(), grid.labels_.end(), 0);
  return grid;
}

IntShape ParameterGrid::shape() const {
  if (reshape_) return *reshape_;
  if (empty_) return empty_shape_;
  IntShape shape;
  for (const GridDim& d : dims_) shape.push_back(d.extent);
  return shape;
}

IntShape ParameterGrid::slot_shape() const {
  IntShape counts;
  for (const GridDim& d : dims_) counts.push_back(d.slot_count);
  return counts;
}

bool ParameterGrid::has_padding() const {
  return !empty_ && std::any_of(labels_.begin(), labels_.end(), [](int32_t l) { return l < 0; });
}

int32_t ParameterGrid::label_at(std::span<const int64_t> place) const {
  int64_t i = 0;
  for (size_t d = 0; d < dims_.size(); ++d) i = i * dims_[d].slot_count + dims_[d].slot_at(place[d]);
  return labels_[at(i)];
}

std::vector<int32_t> ParameterGrid::compact(GridDim* dim) {
  std::unordered_map<int32_t, int32_t> numbers;
  std::vector<int32_t> old_of_new;
  for (int32_t& s : dim->slots) {
    const auto [found, fresh] = numbers.emplace(s, static_cast<int32_t>(old_of_new.size()));
    if (fresh) old_of_new.push_back(s);
    s = found->second;
  }
  dim->slot_count = static_cast<int32_t>(old_of_new.size());
  normalize(dim);
  return old_of_new;
}

Status ParameterGrid::pick_slots(const IntShape& old_counts,
                                 const std::vector<std::vector<int32_t>>& old_of_new) {
  const size_t rank = old_of_new.size();
  int64_t count = 1, old = 1;
  bool same = true;
  std::vector<int64_t> stride(rank);
  for (size_t d = rank; d-- > 0;) {
    stride[d] = old;
    old *= old_counts[d];
    const int64_t now = static_cast<int64_t>(old_of_new[d].size());
    if (count > kBudget / now && count * now > static_cast<int64_t>(labels_.size()))
      return too_fine("a scale grid", count * now);
    count *= now;
    same &= now == old_counts[d];
    for (size_t i = 0; same && i < old_of_new[d].size(); ++i)
      same = old_of_new[d][i] == static_cast<int32_t>(i);
  }
  if (same) return {};
  std::vector<int32_t> labels(at(count));
  std::vector<size_t> j(rank, 0);
  for (int32_t& label : labels) {
    int64_t place = 0;
    int32_t padding = 0;
    for (size_t d = 0; d < rank; ++d) {
      const int32_t slot = old_of_new[d][j[d]];
      if (slot < 0) padding = slot;
      place += slot * stride[d];
    }
    label = padding < 0 ? padding : labels_[at(place)];
    for (size_t d = rank; d-- > 0;) {
      if (++j[d] < old_of_new[d].size()) break;
      j[d] = 0;
    }
  }
  labels_ = std::move(labels);
  return {};
}

// ---------------------------------------------------------------- other steps

void ParameterGrid::permute(const std::vector<int64_t>& order) {
  const IntShape counts = slot_shape();
  std::vector<int64_t> stride(counts.size());
  int64_t step = 1;
  for (size_t d = counts.size(); d-- > 0; step *= counts[d]) stride[d] = step;
  std::vector<GridDim> dims;
  IntShape new_counts;
  std::vector<int64_t> new_stride;
  for (const int64_t o : order) {
    new_counts.push_back(counts[at(o)]);
    new_stride.push_back(stride[at(o)]);
    dims.push_back(std::move(dims_[at(o)]));
  }
  dims_ = std::move(dims);
  // In place if the varying dims keep their order.
  int64_t last = INT64_MAX;
  bool moved = false;
  for (size_t d = 0; d < new_counts.size(); ++d) {
    if (new_counts[d] == 1) continue;
    moved |= new_stride[d] > last;
    last = new_stride[d];
  }
  if (!moved) return;
  std::vector<int32_t> labels(labels_.size());
  std::vector<int64_t> j(new_counts.size(), 0);
  int64_t place = 0;
  for (int32_t& label : labels) {
    label = labels_[at(place)];
    for (size_t d = new_counts.size(); d-- > 0;) {
      place += new_stride[d];
      if (++j[d] < new_counts[d]) break;
      place -= new_stride[d] * new_counts[d];
      j[d] = 0;
    }
  }
  labels_ = std::move(labels);
}

namespace {

// The part of a dim that a window shows, with the slots' old numbers.
Result<GridDim> window_dim(const GridDim& in, int64_t start, int64_t step, int64_t count) {
  if (!in.varies()) return GridDim::whole(count);
  const int64_t pattern = static_cast<int64_t>(in.slots.size()) * in.block;
  GridDim out = in;
  out.extent = count;
  if (step == 1 && start % pattern == 0 && count % pattern == 0) {
    out.tiles = count / pattern;
    return out;
  }
  // The longest run of coordinates that surely stays inside blocks.
  int64_t unit = 1;
  if (step == 0) {
    unit = count;
  } else if (step == 1 || step == -1) {
    unit = std::gcd(std::gcd(in.block, step == 1 ? start : start + 1), count);
  } else if (step > 1 && in.block % step == 0) {
    unit = std::gcd(std::gcd(in.block / step, start % in.block / step), count);
  }
  if (count / unit > kBudget) return too_fine("a slice", count / unit);
  out.tiles = 1;
  out.block = unit;
  out.slots.clear();
  for (int64_t j = 0; j < count; j += unit) out.slots.push_back(in.slot_at(start + step * j));
  return out;
}

}  // namespace

Status ParameterGrid::window(const MapStep& step) {
  const IntShape counts = slot_shape();
  std::vector<std::vector<int32_t>> old_of_new;
  for (size_t d = 0; d < dims_.size(); ++d) {
    ZP_TRY(dims_[d], window_dim(dims_[d], step.start[d], step.step[d], step.shape[d]));
    old_of_new.push_back(compact(&dims_[d]));
  }
  return pick_slots(counts, old_of_new);
}

Status ParameterGrid::take(const MapStep& step, int32_t padding) {
  const IntShape counts = slot_shape();
  const size_t d = at(step.dim);
  const bool pads = std::find(step.index.begin(), step.index.end(), -1) != step.index.end();
  GridDim dim = GridDim::whole(static_cast<int64_t>(step.index.size()));
  if (dims_[d].varies() || pads) {
    if (dim.extent > kBudget) return too_fine("an index", dim.extent);
    dim.block = 1;
    dim.slots.clear();
    for (const int64_t i : step.index) dim.slots.push_back(i < 0 ? padding : dims_[d].slot_at(i));
  }
  std::vector<std::vector<int32_t>> old_of_new(dims_.size());
  for (size_t e = 0; e < dims_.size(); ++e) {
    if (e == d) continue;
    old_of_new[e].resize(at(counts[e]));
    std::iota(old_of_new[e].begin(), old_of_new[e].end(), 0);
  }
  dims_[d] = std::move(dim);
  old_of_new[d] = compact(&dims_[d]);
  return pick_slots(counts, old_of_new);
}

Status ParameterGrid::diagonal(const MapStep& step) {
  std::vector<int64_t> order;
  for (int64_t d = 0; d < static_cast<int64_t>(dims_.size()); ++d)
    if (d != step.dims[0] && d != step.dims[1]) order.push_back(d);
  order.push_back(step.dims[0]);
  order.push_back(step.dims[1]);
  permute(order);
  const GridDim b = std::move(dims_.back());
  dims_.pop_back();
  const GridDim a = std::move(dims_.back());
  const int64_t down = std::max<int64_t>(0, -step.offset), right = std::max<int64_t>(0, step.offset);
  GridDim dim = GridDim::whole(std::min(a.extent - down, b.extent - right));
  if (a.varies() || b.varies()) {
    if (dim.extent > kBudget) return too_fine("a diagonal", dim.extent);
    dim.block = 1;
    dim.slots.clear();
    for (int64_t j = 0; j < dim.extent; ++j)
      dim.slots.push_back(a.slot_at(j + down) * b.slot_count + b.slot_at(j + right));
  }
  dims_.back() = std::move(dim);
  IntShape counts = slot_shape();
  counts.back() = int64_t{a.slot_count} * b.slot_count;
  std::vector<std::vector<int32_t>> old_of_new(dims_.size());
  for (size_t e = 0; e + 1 < dims_.size(); ++e) {
    old_of_new[e].resize(at(counts[e]));
    std::iota(old_of_new[e].begin(), old_of_new[e].end(), 0);
  }
  old_of_new.back() = compact(&dims_.back());
  return pick_slots(counts, old_of_new);
}

Status ParameterGrid::table(const MapStep& step, int32_t padding) {
  const bool pads = std::find(step.index.begin(), step.index.end(), -1) != step.index.end();
  const bool varies = labels_.size() > 1;
  const int64_t count = static_cast<int64_t>(step.index.size());
  if ((pads || varies) && count > kBudget) return too_fine("a table of indices", count);
  const IntShape in = shape();
  std::vector<int32_t> labels = labels_;
  std::vector<GridDim> dims;
  for (const int64_t e : step.shape) {
    GridDim dim = GridDim::whole(e);
    if (e > 1 && (pads || varies)) {
      dim.block = 1;
      dim.slots.resize(at(e));
      std::iota(dim.slots.begin(), dim.slots.end(), 0);
      dim.slot_count = static_cast<int32_t>(e);
    }
    dims.push_back(std::move(dim));
  }
  if (pads || varies) {
    labels.clear();
    std::vector<int64_t> place(in.size());
    for (const int64_t i : step.index) {
      int64_t rest = i;
      for (size_t d = in.size(); i >= 0 && d-- > 0; rest /= in[d]) place[d] = rest % in[d];
      labels.push_back(i < 0 ? padding : label_at(place));
    }
  }
  dims_ = std::move(dims);
  labels_ = std::move(labels);
  return merge_equal_slots();
}

Status ParameterGrid::choose(const MapStep& step) {
  ZP_CHECK(merge_equal_slots());
  const size_t d = at(step.dim);
  if (dims_[d].varies()) {
    return Error(
        "quant.carry",
        fmt::format("scales vary along dim {}, whose coordinates are picked when the model runs", step.dim));
  }
  dims_.erase(dims_.begin() + step.dim);
  for (size_t k = 0; k < step.shape.size(); ++k) {
    dims_.insert(dims_.begin() + static_cast<std::ptrdiff_t>(d + k), GridDim::whole(step.shape[k]));
  }
  return {};
}

Status ParameterGrid::apply(const MapStep& step, int32_t padding) {
  ZP_TRY(IntShape out, step_shape(step, shape()));
  if (step.kind == MapStep::Reshape && !empty_) {
    reshape_ = std::move(out);
    return {};
  }
  ZP_CHECK(settle());
  if (empty_ || count_of(out) == 0) {
    // Without elements any label will do; padding added to nothing is all there is then.
    const bool now_empty = count_of(out) == 0;
    if (!now_empty && step.kind == MapStep::Choose)
      return Error("quant.carry",
                   fmt::format("coordinates are picked from dim {}, which has none", step.dim));
    const int32_t label = now_empty ? labels_.front() : padding;
    dims_.clear();
    labels_ = {label};
    if (!now_empty)
      for (const int64_t e : out) dims_.push_back(GridDim::whole(e));
    empty_ = now_empty;
    empty_shape_ = std::move(out);
    return {};
  }
  switch (step.kind) {
    case MapStep::Reshape: break;  // put off above
    case MapStep::Permute: permute(step.dims); break;
    case MapStep::Window: return window(step);
    case MapStep::Take: return take(step, padding);
    case MapStep::Diagonal: return diagonal(step);
    case MapStep::Table: return table(step, padding);
    case MapStep::Triangle: break;  // the rest of a row keeps its parameters: zero is its zero point
    case MapStep::Choose: return choose(step);
  }
  return {};
}

Result<ParameterGrid> ParameterGrid::join(std::vector<ParameterGrid> all, int64_t dim) {
  std::vector<const ParameterGrid*> parts;
  for (ParameterGrid& p : all) {
    ZP_CHECK(p.settle());
    if (!p.empty_) parts.push_back(&p);
  }
  if (parts.empty()) {
    ParameterGrid out = all.front();
    for (size_t k = 1; k < all.size(); ++k) out.empty_shape_[at(dim)] += all[k].empty_shape_[at(dim)];
    return out;
  }
  if (parts.size() == 1) return *parts.front();
  const size_t rank = parts.front()->dims_.size(), along = at(dim);
  ParameterGrid out;
  // For each part and dim: the part's slot of each common slot.
  std::vector<std::vector<std::vector<int32_t>>> slots(parts.size(), std::vector<std::vector<int32_t>>(rank));
  for (size_t d = 0; d < rank; ++d) {
    GridDim common;
    common.slots.clear();
    int64_t unit = 0;
    for (const ParameterGrid* p : parts) unit = std::gcd(unit, p->dims_[d].block);
    if (d == along) {
      common.extent = 0;
      for (const ParameterGrid* p : parts) common.extent += p->dims_[d].extent;
      if (common.extent / unit > kBudget) return too_fine("a joined dim", common.extent / unit);
      int32_t base = 0;
      for (size_t k = 0; k < parts.size(); ++k) {
        const GridDim& own = parts[k]->dims_[d];
        for (int64_t j = 0; j < own.extent; j += unit) common.slots.push_back(base + own.slot_at(j));
        slots[k][d].resize(at(own.slot_count));
        std::iota(slots[k][d].begin(), slots[k][d].end(), 0);
        base += own.slot_count;
      }
      common.block = unit;
      common.slot_count = base;
    } else {
      common.extent = parts.front()->dims_[d].extent;
      if (common.extent / unit > kBudget)
        return too_fine("a joined tensor's other dim", common.extent / unit);
      std::map<std::vector<int32_t>, int32_t> numbers;
      std::vector<int32_t> tuple(parts.size());
      for (int64_t j = 0; j < common.extent; j += unit) {
        for (size_t k = 0; k < parts.size(); ++k) tuple[k] = parts[k]->dims_[d].slot_at(j);
        const auto [found, fresh] = numbers.emplace(tuple, static_cast<int32_t>(numbers.size()));
        if (fresh)
          for (size_t k = 0; k < parts.size(); ++k) slots[k][d].push_back(tuple[k]);
        common.slots.push_back(found->second);
      }
      common.block = unit;
      common.slot_count = static_cast<int32_t>(numbers.size());
    }
    normalize(&common);
    out.dims_.push_back(std::move(common));
  }
  // Labels in C order: the parts follow each other along the joined dim.
  int64_t outer = 1, inner = 1, total = 0;
  for (size_t d = 0; d < rank; ++d)
    (d < along ? outer : inner) *= d == along ? 1 : static_cast<int64_t>(slots[0][d].size());
  for (size_t k = 0; k < parts.size(); ++k) total += static_cast<int64_t>(slots[k][along].size());
  if (outer * total > kBudget / inner) return too_fine("a joined scale grid", outer * total * inner);
  out.labels_.resize(at(outer * total * inner));
  int64_t before = 0;
  for (size_t k = 0; k < parts.size(); ++k) {
    ParameterGrid part = *parts[k];
    ZP_CHECK(part.pick_slots(part.slot_shape(), slots[k]));
    const int64_t own = static_cast<int64_t>(slots[k][along].size()) * inner;
    for (int64_t o = 0; o < outer; ++o) {
      std::copy_n(part.labels_.begin() + o * own, own,
                  out.labels_.begin() + o * total * inner + before * inner);
    }
    before += static_cast<int64_t>(slots[k][along].size());
  }
  ZP_CHECK(out.merge_equal_slots());
  return out;
}

// ---------------------------------------------------------------- slots with equal labels

std::vector<int32_t> ParameterGrid::equal_slots(size_t d, std::span<const int32_t> classes) const {
  const IntShape counts = slot_shape();
  int64_t outer = 1, inner = 1;
  for (size_t e = 0; e < counts.size(); ++e) (e < d ? outer : inner) *= e == d ? 1 : counts[e];
  const int64_t n = counts[d];
  auto label = [&](int64_t o, int64_t s, int64_t i) {
    const int32_t l = labels_[at((o * n + s) * inner + i)];
    return l >= 0 && !classes.empty() ? classes[at(l)] : l;
  };
  std::vector<int64_t> first;
  const std::vector<int32_t> numbers = number_lines(
      n,
      [&](int64_t s) {
        size_t h = 0;
        for (int64_t o = 0; o < outer; ++o)
          for (int64_t i = 0; i < inner; ++i) h = mix(h, static_cast<size_t>(label(o, s, i)));
        return h;
      },
      [&](int64_t a, int64_t b) {
        for (int64_t o = 0; o < outer; ++o)
          for (int64_t i = 0; i < inner; ++i)
            if (label(o, a, i) != label(o, b, i)) return false;
        return true;
      },
      &first);
  std::vector<int32_t> same(at(n));
  for (int64_t s = 0; s < n; ++s) same[at(s)] = static_cast<int32_t>(first[at(numbers[at(s)])]);
  return same;
}

Status ParameterGrid::merge_equal_slots() {
  for (size_t d = 0; d < dims_.size(); ++d) {
    if (!dims_[d].varies()) continue;
    const std::vector<int32_t> same = equal_slots(d, {});
    const IntShape counts = slot_shape();
    bool changed = false;
    for (int32_t& s : dims_[d].slots) {
      changed |= same[at(s)] != s;
      s = same[at(s)];
    }
    if (!changed) continue;
    std::vector<std::vector<int32_t>> old_of_new(dims_.size());
    for (size_t e = 0; e < dims_.size(); ++e) {
      old_of_new[e].resize(at(counts[e]));
      std::iota(old_of_new[e].begin(), old_of_new[e].end(), 0);
    }
    old_of_new[d] = compact(&dims_[d]);
    ZP_CHECK(pick_slots(counts, old_of_new));
  }
  return {};
}

}  // namespace zp
