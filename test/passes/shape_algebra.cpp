// Chains of operators against their meaning: parameters in the form that the grid theorem promises, every
// element's scale and zero point, and the elements themselves.
#include "shape_algebra.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <unordered_map>

#include "ir/move_data.h"

namespace zp::algebra {

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

}  // namespace

int64_t count_of(const IntShape& shape) {
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  return n;
}

std::string text_of(const IntShape& shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }

std::vector<IntShape> shapes_of(size_t rank, const std::vector<int64_t>& sizes) {
  std::vector<IntShape> all{{}};
  for (size_t d = 0; d < rank; ++d) {
    std::vector<IntShape> next;
    for (const IntShape& s : all) {
      for (const int64_t e : sizes) {
        next.push_back(s);
        next.back().push_back(e);
      }
    }
    all = std::move(next);
  }
  return all;
}

std::vector<Quantization> quantizations(const IntShape& shape) {
  std::vector<IntShape> blocks;
  IntShape whole = shape;
  for (int64_t& e : whole) e = std::max<int64_t>(1, e);
  blocks.push_back(whole);
  for (size_t d = 0; d < shape.size(); ++d) {
    IntShape axis = whole;
    axis[d] = 1;
    if (axis != whole) blocks.push_back(axis);
  }
  for (size_t d = 0; d < shape.size(); ++d) {
    // Groups along one dim, a scale each row, as 4-bit weights have them; and groups alone.
    for (const int64_t b : {2, 3}) {
      if (shape[d] % b != 0 || shape[d] <= b) continue;
      IntShape group = whole;
      group[d] = b;
      blocks.push_back(group);
      if (shape.size() > 1 && shape[(d + 1) % shape.size()] > 1) {
        group[(d + 1) % shape.size()] = 1;
        blocks.push_back(group);
      }
    }
  }
  std::vector<Quantization> all;
  for (const IntShape& block : blocks) {
    Quantization q{block, std::vector<int32_t>(at(count_of(shape))), 1};
    IntShape cells;
    for (size_t d = 0; d < shape.size(); ++d) cells.push_back((shape[d] + block[d] - 1) / block[d]);
    for (int64_t i = 0; i < count_of(shape); ++i) {
      int64_t rest = i, label = 0, scale = 1;
      for (size_t d = shape.size(); d-- > 0; rest /= shape[d]) {
        label += rest % shape[d] / block[d] * scale;
        scale *= cells[d];
      }
      q.labels[at(i)] = static_cast<int32_t>(label);
    }
    q.count = static_cast<int32_t>(std::max<int64_t>(1, count_of(cells)));
    all.push_back(std::move(q));
  }
  return all;
}

// ---------------------------------------------------------------- forms

namespace {

// Is the label the same throughout each cell, free ones aside?
bool uniform(const IntShape& shape, const std::vector<int32_t>& labels, const IntShape& block) {
  int64_t cells = 1;
  for (size_t d = 0; d < shape.size(); ++d) cells *= shape[d] / block[d];
  std::vector<int32_t> seen(at(cells), -1);
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0) continue;
    int64_t rest = static_cast<int64_t>(i), cell = 0, scale = 1;
    for (size_t d = shape.size(); d-- > 0; rest /= shape[d]) {
      cell += rest % shape[d] / block[d] * scale;
      scale *= shape[d] / block[d];
    }
    int32_t& first = seen[at(cell)];
    if (first < 0) first = labels[i];
    if (first != labels[i]) return false;
  }
  return true;
}

// With free elements there is no theorem: all grids are tried, the fewest cells win, the first found in
// ascending order.
IntShape search(const IntShape& shape, const std::vector<int32_t>& labels) {
  IntShape best, block(shape.size(), 1);
  int64_t fewest = INT64_MAX;
  for (;;) {
    int64_t cells = 1;
    for (size_t d = 0; d < shape.size(); ++d) cells *= shape[d] / block[d];
    if (cells < fewest && uniform(shape, labels, block)) {
      fewest = cells;
      best = block;
    }
    size_t d = shape.size();
    while (d-- > 0) {
      do ++block[d];
      while (block[d] <= shape[d] && shape[d] % block[d] != 0);
      if (block[d] <= shape[d]) break;
      block[d] = 1;
    }
    if (d == SIZE_MAX) return best;
  }
}

}  // namespace

Form coarsest(const IntShape& shape, const std::vector<int32_t>& labels) {
  Form form;
  const int64_t n = count_of(shape);
  if (n == 0 || shape.empty()) return {GridForm::PerTensor, -1, shape};
  const bool free = std::any_of(labels.begin(), labels.end(), [](int32_t l) { return l < 0; });
  if (free) {
    form.block = search(shape, labels);
  } else {
    int64_t inner = 1;
    form.block = shape;
    for (size_t d = shape.size(); d-- > 0; inner *= shape[d]) {
      for (int64_t outer = 0; outer < n; outer += inner * shape[d]) {
        for (int64_t p = 1; p < shape[d]; ++p) {
          const auto* here = labels.data() + outer + p * inner;
          if (!std::equal(here, here + inner, here - inner)) form.block[d] = std::gcd(form.block[d], p);
        }
      }
    }
  }
  int64_t cells = 1;
  for (size_t d = 0; d < shape.size(); ++d) cells *= shape[d] / form.block[d];
  if (cells == 1) {
    form.kind = GridForm::PerTensor;
    return form;
  }
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    bool fits = true;
    if (free) {
      IntShape list = shape;
      list[d] = 1;
      fits = uniform(shape, labels, list);
    } else {
      for (size_t e = 0; e < shape.size(); ++e) fits &= e == d || form.block[e] == shape[e];
    }
    if (!fits) continue;
    form.kind = GridForm::PerAxis;
    form.axis = static_cast<int64_t>(d);
    return form;
  }
  if (cells * 2 <= n) form.kind = GridForm::PerBlock;
  return form;
}

// ---------------------------------------------------------------- labels

State start(const IntShape& shape, const Quantization& quant) {
  return {*ParameterGrid::uniform(shape, quant.block), {shape, quant.labels}};
}

namespace {

// The labels behind a variant's meaning; elements set to zero keep their parameters.
void relabel(const Elements& meaning, const std::vector<int32_t>& labels, Elements* out) {
  out->shape = meaning.shape;
  std::vector<int32_t> next(meaning.ids.size());
  for (size_t i = 0; i < next.size(); ++i) {
    const int32_t id = meaning.ids[i];
    next[i] = id == kPadding ? kPadding : labels[at(id < 0 ? -2 - id : id)];
  }
  out->ids = std::move(next);
}

}  // namespace

bool apply(State* state, const Variant& variant, size_t result, std::string* problem) {
  const MapResult& map = variant.map[result];
  if (variant.operands != 1 || map.parts.size() != 1) return false;
  for (const auto* steps : {&map.parts[0].steps, &map.steps}) {
    for (const MapStep& step : *steps) {
      if (Status s = state->grid.apply(step, kPadding); !s.ok()) {
        *problem = variant.text + ": " + s.error().str();
        return false;
      }
    }
  }
  relabel(variant.results[result], state->elements.ids, &state->elements);
  return true;
}

std::string compare(State* state_in, bool by_value) {
  State& state = *state_in;
  ParameterGrid& grid = state.grid;
  if (Status s = grid.settle(); !s.ok()) return s.error().str();
  const IntShape& shape = state.elements.shape;
  if (grid.shape() != shape) return "shape " + text_of(grid.shape());
  if (grid.empty()) return {};
  // Slots of each dim, times what they count in the labels.
  std::vector<std::vector<int64_t>> slots(shape.size());
  int64_t stride = 1;
  for (size_t d = shape.size(); d-- > 0; stride *= grid.dims()[d].slot_count)
    for (int64_t j = 0; j < shape[d]; ++j) slots[d].push_back(grid.dims()[d].slot_at(j) * stride);
  IntShape j(shape.size(), 0);
  for (const int32_t label : state.elements.ids) {
    int64_t place = 0;
    for (size_t d = 0; d < shape.size(); ++d) place += slots[d][at(j[d])];
    if (const int32_t got = grid.labels()[at(place)]; got != label)
      return fmt::format("element {} has the parameters of {}, wanted {}", text_of(j), got, label);
    for (size_t d = shape.size(); d-- > 0;) {
      if (++j[d] < shape[d]) break;
      j[d] = 0;
    }
  }
  std::vector<int32_t> labels = state.elements.ids, classes;
  if (by_value) {
    const int32_t most = labels.empty() ? 0 : *std::max_element(labels.begin(), labels.end());
    for (int32_t l = 0; l <= most || l < static_cast<int32_t>(grid.labels().size()); ++l)
      classes.push_back(l * 7 / 3 % 2);
    // A grid keeps labels that no element has.
    for (const int32_t l : grid.labels())
      while (static_cast<int32_t>(classes.size()) <= l) classes.push_back(0);
    for (int32_t& l : labels)
      if (l >= 0) l = classes[at(l)];
  }
  const Form wanted = coarsest(shape, labels);
  auto got = grid.form(classes);
  if (!got.ok()) return got.error().str();
  if (got->kind != wanted.kind || got->axis != wanted.axis || got->block != wanted.block) {
    return fmt::format("form {} axis {} block {}, wanted {} axis {} block {}", static_cast<int>(got->kind),
                       got->axis, text_of(got->block), static_cast<int>(wanted.kind), wanted.axis,
                       text_of(wanted.block));
  }
  return {};
}

// ---------------------------------------------------------------- whole values

namespace {

// A quantization as a type of the storage; `distinct` scales, so that some lists merge by value.
const QuantType* type_of(Context& context, const IntShape& shape, const Quantization& quant, DType storage,
                         int32_t distinct, int32_t salt) {
  QuantType q;
  q.storage = storage;
  q.qmin = int_min(storage);
  q.qmax = int_max(storage);
  const auto scale = [&](int32_t l) { return 0.25f + static_cast<float>((l * 5 + salt) % distinct) / 64; };
  const auto zero = [&](int32_t l) -> int64_t {
    return storage == DType::U8 ? 120 + (l * 5 + salt) % distinct % 7 : (l * 5 + salt) % distinct % 3 - 1;
  };
  IntShape cells;
  for (size_t d = 0; d < shape.size(); ++d) cells.push_back((shape[d] + quant.block[d] - 1) / quant.block[d]);
  int split = -1, splits = 0;
  for (size_t d = 0; d < shape.size(); ++d)
    if (cells[d] > 1) split = static_cast<int>(d), ++splits;
  if (quant.count == 1 && count_of(cells) <= 1) {
    q.scale = scale(0);
    q.zero_point = static_cast<double>(zero(0));
    return context.quant(q);
  }
  std::vector<float> scales;
  std::vector<int64_t> zeros;
  for (int32_t l = 0; l < quant.count; ++l) scales.push_back(scale(l)), zeros.push_back(zero(l));
  if (splits == 1 && quant.block[at(split)] == 1) {
    q.axis = split;
    cells = {shape[at(split)]};
  } else {
    q.block = context.ints(quant.block);
  }
  q.scales = context.make_constant("s", DType::F32, cells, scales);
  q.zero_points = context.make_constant("z", DType::I64, cells, zeros);
  return context.quant(q);
}

using Parameters = std::vector<std::pair<double, int64_t>>;

Result<Parameters> parameters(Context& context, const QuantType& quant, const IntShape& shape) {
  ZP_TRY(const QuantParams p, quant_params(context, quant, shape));
  Parameters out;
  for (int64_t i = 0; i < count_of(shape); ++i) {
    int64_t rest = i, cell = 0, scale = 1;
    for (size_t d = shape.size(); d-- > 0; rest /= shape[d]) {
      const int64_t block = (shape[d] + p.grid[d] - 1) / p.grid[d];
      cell += rest % shape[d] / block * scale;
      scale *= p.grid[d];
    }
    out.emplace_back(p.scales[at(cell)], p.zero_points[at(cell)]);
  }
  return out;
}

// What a chain does to parameters and elements, both ways.
class Chain {
 public:
  Chain(Context& context, const IntShape& shape, const Quantization& quant, DType storage, int32_t distinct)
      : context_(context), storage_(storage), distinct_(distinct), shape_(shape) {
    type_ = type_of(context_, shape, quant, storage, distinct, 0);
  }

  std::string run(const Quantization& quant, const std::vector<Step>& chain, bool moved) {
    auto own = parameters(context_, *type_, shape_);
    if (!own.ok()) return own.error().str();
    wanted_ = std::move(*own);
    labels_ = quant.labels;
    next_label_ = quant.count;
    const auto carried = CarriedQuant::of(context_, *type_, shape_);
    if (!carried.ok()) return carried.error().str();
    carried_ = *carried;
    view_ = numbered(shape_, 0);
    ids_.resize(at(count_of(shape_)));
    std::iota(ids_.begin(), ids_.end(), 0);
    for (const Step& step : chain) {
      if (std::string problem = advance(step); !problem.empty()) return problem;
    }
    if (moved)
      if (std::string problem = check_elements(); !problem.empty()) return problem;
    return check_type();
  }

 private:
  // Elements that count from `first` on, as many bits as the storage has.
  StridedView numbered(const IntShape& shape, int64_t first) {
    std::vector<std::byte> elements(at(count_of(shape)));
    for (size_t i = 0; i < elements.size(); ++i) elements[i] = element(first + static_cast<int64_t>(i));
    StridedView view;
    view.shape = shape;
    view.strides = dense_strides(shape);
    if (storage_ == DType::I4) {
      view.packed = DType::I4;
      view.storage = pack_elements(DType::I4, elements);
    } else {
      view.storage = Blob::copy_of(elements);
    }
    return view;
  }
  std::byte element(int64_t id) const {
    const int64_t spread = id * 37 + id / 7;
    return storage_ == DType::I4 ? static_cast<std::byte>((spread & 15) - 8) : static_cast<std::byte>(spread);
  }

  std::string advance(const Step& step) {
    const Variant& v = *step.variant;
    const MapResult& map = v.map[step.result];
    // Other operands: the same shape, per tensor with another scale, elements that are numbered on.
    const IntShape before = shape_;
    const int64_t count = count_of(before);
    std::vector<CarriedQuant> others;
    std::vector<const CarriedQuant*> quants{&carried_};
    std::vector<StridedView> views{view_};
    Parameters all = wanted_;
    std::vector<int64_t> ids = ids_;
    std::vector<int32_t> entries = labels_;
    for (size_t k = 1; k < v.operands; ++k) {
      const Quantization whole = quantizations(before)[0];
      const QuantType* type = type_of(context_, before, whole, storage_, distinct_, static_cast<int32_t>(k));
      auto carried = CarriedQuant::of(context_, *type, before);
      if (!carried.ok()) return carried.error().str();
      others.push_back(std::move(*carried));
      views.push_back(numbered(before, next_));
      for (int64_t i = 0; i < count; ++i) ids.push_back(next_ + i);
      next_ += count;
      // Entries of one type are one entry, however often it comes.
      const auto [label, fresh] = bases_.emplace(type, type == type_ ? 0 : next_label_);
      next_label_ += fresh;
      entries.insert(entries.end(), at(count), label->second);
      all.insert(all.end(), at(count), {type->scale, static_cast<int64_t>(type->zero_point)});
    }
    for (const CarriedQuant& other : others) quants.push_back(&other);
    auto carried = CarriedQuant::mapped(map, quants);
    if (!carried.ok()) return carried.error().str();
    carried_ = std::move(*carried);
    auto moved = move_result(map, views, &kFill);
    if (!moved.ok()) return moved.error().str();
    view_ = std::move(*moved);
    const Elements& meaning = v.results[step.result];
    shape_ = meaning.shape;
    wanted_.assign(meaning.ids.size(), {0.0, 0});
    ids_.assign(meaning.ids.size(), kFree);
    labels_.assign(meaning.ids.size(), kPadding);
    for (size_t i = 0; i < meaning.ids.size(); ++i) {
      const int32_t id = meaning.ids[i];
      if (id == kPadding) continue;
      wanted_[i] = all[at(id < 0 ? -2 - id : id)];
      ids_[i] = id < 0 ? kFree : ids[at(id)];
      labels_[i] = entries[at(id < 0 ? -2 - id : id)];
    }
    return {};
  }

  std::string check_elements() {
    auto bytes = storage_ == DType::I4 ? packed_blob(view_, DType::I4) : dense_blob(view_);
    if (!bytes.ok()) return bytes.error().str();
    if (view_.shape != shape_) return "moved to " + text_of(view_.shape);
    for (size_t i = 0; i < ids_.size(); ++i) {
      const std::byte wanted = ids_[i] == kFree ? kFill : element(ids_[i]);
      std::byte got = bytes->data()[storage_ == DType::I4 ? i / 2 : i];
      std::byte low = wanted;
      if (storage_ == DType::I4) {
        got = (i % 2 == 0 ? got : got >> 4) & std::byte{15};
        low = wanted & std::byte{15};
      }
      if (got != low) return fmt::format("element {} was not moved right", i);
    }
    return {};
  }

  std::string check_type() {
    // Classes of equal parameters are what a form is judged by in the end.
    std::vector<int32_t> labels;
    std::unordered_map<std::string, int32_t> numbers;
    for (const auto& [scale, zero] : wanted_) {
      if (scale == 0.0) {
        labels.push_back(kPadding);
        continue;
      }
      const auto key = fmt::format("{} {}", scale, zero);
      labels.push_back(numbers.emplace(key, static_cast<int32_t>(numbers.size())).first->second);
    }
    const Form form = coarsest(shape_, labels);
    auto type = carried_.write(context_);
    if (type.ok() != (form.kind != GridForm::None)) {
      return type.ok() ? "written as " + quant_str(**type) + ", though no form fits"
                       : "refused: " + type.error().str();
    }
    if (!type.ok() || count_of(shape_) == 0) return {};
    auto got = parameters(context_, **type, shape_);
    if (!got.ok()) return got.error().str();
    for (size_t i = 0; i < wanted_.size(); ++i) {
      if (wanted_[i].first != 0.0 && (*got)[i] != wanted_[i])
        return fmt::format("element {} has scale {} zero point {}, wanted {} and {}, written {}", i,
                           (*got)[i].first, (*got)[i].second, wanted_[i].first, wanted_[i].second,
                           quant_str(**type));
    }
    if (form.kind == GridForm::PerAxis && (*type)->per_axis() && (*type)->axis != form.axis) {
      // A list that holds for any scales is kept where others would do by chance.
      const Form structure = coarsest(shape_, labels_);
      if (structure.kind != GridForm::PerAxis || (*type)->axis != structure.axis)
        return fmt::format("axis {}, wanted {}", (*type)->axis, form.axis);
    }
    if ((*type)->storage != storage_ || (*type)->qmin != int_min(storage_) ||
        (*type)->qmax != int_max(storage_))
      return "another range: " + quant_str(**type);
    return {};
  }

  static constexpr int64_t kFree = -1;
  static constexpr std::byte kFill{3};
  Context& context_;
  DType storage_;
  int32_t distinct_;
  IntShape shape_;
  const QuantType* type_ = nullptr;
  Parameters wanted_;
  std::vector<int32_t> labels_;  // which entry of which list each element has
  int32_t next_label_ = 0;
  std::map<const QuantType*, int32_t> bases_;
  std::vector<int64_t> ids_;
  int64_t next_ = 100000;
  CarriedQuant carried_;
  StridedView view_;
};

}  // namespace

std::string check_chain(Context& context, const IntShape& shape, const Quantization& quant,
                        const std::vector<Step>& chain, DType storage, bool two_scales, bool moved) {
  const std::string problem =
      Chain(context, shape, quant, storage, two_scales ? 2 : 1000).run(quant, chain, moved);
  if (problem.empty()) return {};
  std::string what = fmt::format("{} block {} {}", text_of(shape), text_of(quant.block), dtype_name(storage));
  for (const Step& step : chain) what += fmt::format(" ; {} ({})", step.variant->text, step.result);
  return fmt::format("{}{}: {}", what, two_scales ? ", two scales" : "", problem);
}

}  // namespace zp::algebra
