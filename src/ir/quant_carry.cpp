#include "ir/quant_carry.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <unordered_map>

#include "support/half.h"
#include "support/rounding.h"

namespace zp {

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

int64_t count_of(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t d : shape) count *= d;
  return count;
}

// The block of each dim in elements, whatever the form of the type.
Result<IntShape> blocks_of(const QuantType& quant, const IntShape& shape) {
  IntShape block = shape;
  if (quant.per_axis()) {
    if (at(quant.axis) >= shape.size()) {
      return Error("quant.carry", fmt::format("axis {} of a tensor of rank {}", quant.axis, shape.size()));
    }
    block[at(quant.axis)] = 1;
  } else if (quant.per_block()) {
    if (quant.block.size() != shape.size()) {
      return Error("quant.carry", fmt::format("a block of {} dims for a tensor of rank {}",
                                              quant.block.size(), shape.size()));
    }
    for (size_t d = 0; d < shape.size(); ++d) {
      if (quant.block[d] < 0)
        return Error("quant.carry", fmt::format("negative block extent {}", quant.block[d]));
      if (quant.block[d] != 0) block[d] = quant.block[d];
    }
  }
  for (int64_t& b : block) b = std::max<int64_t>(1, b);
  return block;
}

// A real value as a tensor of that dtype holds it.
double as_expressed(double value, DType dtype) {
  switch (dtype) {
    case DType::F64: return value;
    case DType::F16: return half_to_float(float_to_half(static_cast<float>(value)));
    case DType::BF16: return bfloat16_to_float(float_to_bfloat16(static_cast<float>(value)));
    default: return static_cast<float>(value);
  }
}

std::optional<int64_t> exact_for(double value, double scale, int64_t zero_point, int64_t qmin, int64_t qmax,
                                 DType expressed) {
  if (!std::isfinite(value)) return std::nullopt;
  const double steps = round_half_even(value / scale);
  if (std::fabs(steps) > 9e15) return std::nullopt;
  const int64_t q = static_cast<int64_t>(steps) + zero_point;
  if (q < qmin || q > qmax) return std::nullopt;
  const float real = static_cast<float>(q - zero_point) * static_cast<float>(scale);
  if (as_expressed(real, expressed) != as_expressed(value, expressed)) return std::nullopt;
  return q;
}

}  // namespace

std::optional<int64_t> exact_integer(double value, double scale, int64_t zero_point, int64_t qmin,
                                     int64_t qmax) {
  return exact_for(value, scale, zero_point, qmin, qmax, DType::F32);
}

// ---------------------------------------------------------------- state

Result<CarriedQuant> CarriedQuant::of(Context&, const QuantType& quant, const IntShape& shape) {
  CarriedQuant out;
  ZP_TRY(const IntShape block, blocks_of(quant, shape));
  ZP_TRY(out.grid_, ParameterGrid::uniform(shape, block));
  const int64_t count = static_cast<int64_t>(out.grid_.labels().size());
  const bool listed = !quant.dynamic && quant.scales != nullptr;
  if (!quant.dynamic && quant.scales == nullptr && !quant.per_tensor()) {
    return Error("quant.carry", "no scales are known");
  }
  if (listed && !out.grid_.empty()) {
    for (const Constant* list : {quant.scales, quant.zero_points}) {
      if (list != nullptr && list->elements() != count) {
        return Error("quant.carry",
                     fmt::format("{} scales or zero points for {} cells", list->elements(), count));
      }
    }
  }
  out.sources_.push_back({&quant, 0, 0, static_cast<int32_t>(count)});
  out.storage_ = quant.storage;
  out.qmin_ = quant.qmin;
  out.qmax_ = quant.qmax;
  return out;
}

int64_t CarriedQuant::shift_between(DType from, DType to) {
  if (from == DType::U8 && to == DType::I8) return -128;
  if (from == DType::I8 && to == DType::U8) return 128;
  return 0;
}

void CarriedQuant::move_storage(DType to) {
  if (to == storage_) return;
  for (Source& s : sources_) s.shift += shift_between(storage_, to);
  storage_ = to;
  qmin_ = int_min(to);
  qmax_ = int_max(to);
}

const CarriedQuant::Source& CarriedQuant::source_of(int32_t label) const {
  for (const Source& s : sources_)
    if (label >= s.base && label < s.base + s.count) return s;
  return sources_.front();
}

Status CarriedQuant::apply(std::span<const MapStep> steps, const Number& fill) {
  for (const MapStep& step : steps) {
    int32_t padding = -1;
    if (step.kind == MapStep::Triangle) {
      needs_zero_ = true;
    } else if (std::find(step.index.begin(), step.index.end(), -1) != step.index.end()) {
      const auto found = std::find(padding_.begin(), padding_.end(), fill);
      padding = -1 - static_cast<int32_t>(found - padding_.begin());
      if (found == padding_.end()) padding_.push_back(fill);
    }
    ZP_CHECK(grid_.apply(step, padding));
  }
  return {};
}

// Takes over the sources and paddings of another; gives the new base of each source and the new label of each
// padding.
void CarriedQuant::adopt(const CarriedQuant& other, std::vector<int32_t>* bases,
                         std::vector<int32_t>* paddings) {
  int32_t next = 0;
  for (const Source& s : sources_) next = std::max(next, s.base + s.count);
  for (const Source& s : other.sources_) {
    const auto found = std::find_if(sources_.begin(), sources_.end(), [&](const Source& own) {
      return own.quant == s.quant && own.shift == s.shift && own.count == s.count;
    });
    if (found != sources_.end()) {
      bases->push_back(found->base);
      continue;
    }
    bases->push_back(next);
    sources_.push_back({s.quant, s.shift, next, s.count});
    next += s.count;
  }
  for (const Number& p : other.padding_) {
    const auto found = std::find(padding_.begin(), padding_.end(), p);
    paddings->push_back(-1 - static_cast<int32_t>(found - padding_.begin()));
    if (found == padding_.end()) padding_.push_back(p);
  }
  qmin_ = std::min(qmin_, other.qmin_);
  qmax_ = std::max(qmax_, other.qmax_);
  needs_zero_ |= other.needs_zero_;
}

Result<CarriedQuant> CarriedQuant::mapped(const MapResult& result,
                                          std::span<const CarriedQuant* const> operands) {
  std::vector<ParameterGrid> grids;
  CarriedQuant out;
  int64_t entries = 0;
  for (size_t k = 0; k < result.parts.size(); ++k) {
    const MapPart& part = result.parts[k];
    if (part.operand >= operands.size() || operands[part.operand] == nullptr) {
      return Error("quant.carry", fmt::format("operand {} is not quantized, others are", part.operand));
    }
    CarriedQuant one = *operands[part.operand];
    ZP_CHECK(one.apply(part.steps, result.fill));
    for (const Source& s : one.sources_) entries += s.count;
    if (entries > INT32_MAX) return Error("quant.carry", "more scales than can be numbered");
    if (k == 0) {
      out = std::move(one);
      grids.push_back(std::move(out.grid_));
      continue;
    }
    const QuantType &a = *out.sources_.front().quant, &b = *one.sources_.front().quant;
    if (one.storage_ != out.storage_ || a.expressed != b.expressed) {
      return Error("quant.carry", fmt::format("{} and {} do not join: other storage or other real type",
                                              quant_str(a), quant_str(b)));
    }
    if (a.dynamic || b.dynamic)
      return Error("quant.carry", "parameters known only when the model runs cannot be joined");
    if ((a.domain == ZeroPointDomain::Float) != (b.domain == ZeroPointDomain::Float)) {
      return Error("quant.carry", "zero points of different domains do not join");
    }
    std::vector<int32_t> bases, paddings;
    out.adopt(one, &bases, &paddings);
    one.grid_.relabel([&](int32_t l) {
      if (l < 0) return paddings[at(-1 - l)];
      const Source& s = one.source_of(l);
      return l - s.base + bases[at(&s - one.sources_.data())];
    });
    grids.push_back(std::move(one.grid_));
  }
  if (grids.empty()) return Error("quant.carry", "a map without parts", ErrorKind::Internal);
  if (grids.size() == 1) {
    out.grid_ = std::move(grids.front());
  } else {
    ZP_TRY(out.grid_, ParameterGrid::join(std::move(grids), result.join_dim));
  }
  ZP_CHECK(out.apply(result.steps, result.fill));
  return out;
}

Status CarriedQuant::advance(const MapResult& result) {
  ZP_CHECK(apply(result.parts.front().steps, result.fill));
  return apply(result.steps, result.fill);
}

// ---------------------------------------------------------------- values

Result<CarriedQuant::Entries> CarriedQuant::read(Context& context) const {
  Entries out;
  for (const Source& s : sources_) {
    if (out.scales.size() < at(s.base + s.count)) {
      out.scales.resize(at(s.base + s.count));
      out.zero_points.resize(at(s.base + s.count));
    }
    if (s.quant->scales == nullptr) {
      out.scales[at(s.base)] = s.quant->scale;
      out.zero_points[at(s.base)] = s.quant->zero_point + static_cast<double>(s.shift);
      continue;
    }
    ZP_TRY(const Tensor scales, constant_tensor(context, *s.quant->scales));
    std::optional<Tensor> zeros;
    if (s.quant->zero_points != nullptr) { ZP_TRY(zeros, constant_tensor(context, *s.quant->zero_points)); }
    for (int64_t i = 0; i < std::min<int64_t>(s.count, scales.elements()); ++i) {
      out.scales[at(s.base + i)] = scales.get_double(i);
      out.zero_points[at(s.base + i)] = (zeros ? zeros->get_double(i) : 0.0) + static_cast<double>(s.shift);
    }
  }
  return out;
}

std::vector<int32_t> CarriedQuant::Entries::classes() const {
  struct Hash {
    size_t operator()(const std::pair<uint64_t, uint64_t>& p) const {
      return (p.first ^ p.second * 0x9E3779B97F4A7C15ull) * 0xC2B2AE3D27D4EB4Full;
    }
  };
  std::unordered_map<std::pair<uint64_t, uint64_t>, int32_t, Hash> numbers;
  std::vector<int32_t> out;
  out.reserve(scales.size());
  for (size_t i = 0; i < scales.size(); ++i) {
    // What arithmetic sees of a scale is its float value.
    const auto key = std::pair(std::bit_cast<uint64_t>(static_cast<double>(static_cast<float>(scales[i]))),
                               std::bit_cast<uint64_t>(zero_points[i]));
    out.push_back(numbers.emplace(key, static_cast<int32_t>(numbers.size())).first->second);
  }
  return out;
}

// ---------------------------------------------------------------- writing

namespace {

// The name of a list made from another one, without the mark that an earlier carry appended.
std::string_view stem(std::string_view name) {
  if (name.size() > 9 && name[name.size() - 9] == '.' && std::all_of(name.end() - 8, name.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
      })) {
    name.remove_suffix(9);
  }
  return name;
}

// One constant for each content: inference may ask again and again, and equal types must have equal
// identities.
Result<const Constant*> list_constant(Context& context, std::string_view base, DType dtype,
                                      const IntShape& shape, Blob bytes) {
  uint64_t hash = 0xCBF29CE484222325ull;
  auto add = [&](uint64_t v) { hash = (hash ^ v) * 0x100000001B3ull; };
  add(static_cast<uint64_t>(dtype));
  for (const int64_t d : shape) add(static_cast<uint64_t>(d));
  for (const std::byte b : bytes.bytes()) add(static_cast<uint64_t>(b));
  const std::string name = fmt::format("{}.{:08x}", stem(base), static_cast<uint32_t>(hash ^ hash >> 32));
  if (const Constant* have = context.find_constant(name);
      have != nullptr && have->dtype == dtype && have->shape.vec() == shape) {
    ZP_TRY(const Blob own, context.dense_bytes(*have));
    if (own.size() >= bytes.size() &&
        (bytes.empty() || std::memcmp(own.data(), bytes.data(), bytes.size()) == 0))
      return have;
  }
  return context.make_constant(name, dtype, shape, std::move(bytes));
}

// The list itself where only its shape differs: no byte is copied.
Result<const Constant*> reshaped_list(Context& context, const Constant& list, const IntShape& shape) {
  if (list.shape.vec() == shape) return &list;
  ZP_TRY(Blob bytes, context.dense_bytes(list));
  return list_constant(context, list.name, list.dtype, shape, bytes.slice(0, at(list.bytes())));
}

template <typename T>
Blob blob_of(const std::vector<T>& values) {
  return Blob::copy_of(std::as_bytes(std::span<const T>(values)));
}

}  // namespace

Status CarriedQuant::check_padding(const GridForm& form, const Entries& entries) const {
  const DType expressed = sources_.front().quant->expressed;
  return grid_.each_padding(form, [&](int64_t cell, int32_t label) -> Status {
    const double value = padding_[at(-1 - label)].as_double();
    const double scale = form.cells[at(cell)] < 0 ? 1.0 : entries.scales[at(form.cells[at(cell)])];
    const double zero = form.cells[at(cell)] < 0 ? 0.0 : entries.zero_points[at(form.cells[at(cell)])];
    if (!exact_for(value, scale, static_cast<int64_t>(zero), qmin_, qmax_, expressed)) {
      return Error(
          "quant.carry",
          fmt::format("padding with {} is no exact integer in {}..{} under scale {} and zero point {}", value,
                      qmin_, qmax_, scale, zero));
    }
    return {};
  });
}

Result<const QuantType*> CarriedQuant::write_dynamic(Context& context, const GridForm& form) const {
  QuantType out = *sources_.front().quant;
  bool in_order = static_cast<int64_t>(form.cells.size()) == sources_.front().count;
  for (size_t i = 0; in_order && i < form.cells.size(); ++i)
    in_order = form.cells[i] == static_cast<int32_t>(i);
  if (!in_order || form.kind == GridForm::None || needs_zero_ || !padding_.empty()) {
    return Error(
        "quant.carry",
        "the scales are known only when the model runs, and the op would select, repeat or re-order them");
  }
  if (out.per_axis() && form.kind == GridForm::PerAxis) {
    out.axis = static_cast<int32_t>(form.axis);
  } else if (!out.per_tensor()) {
    IntShape block = form.block;
    if (form.kind == GridForm::PerAxis) {
      block = grid_.shape();
      block[at(form.axis)] = 1;
    }
    out.axis = -1;
    out.block = context.ints(block);
  }
  return context.quant(out);
}

Result<const QuantType*> CarriedQuant::write(Context& context) {
  ZP_CHECK(grid_.settle());
  ZP_TRY(GridForm form, grid_.form({}));
  if (sources_.front().quant->dynamic) return write_dynamic(context, form);
  const bool settled =
      form.kind == GridForm::PerTensor || (form.kind == GridForm::PerAxis && sources_.size() == 1);
  const bool pads = grid_.has_padding();
  if (pads || needs_zero_ || !settled) {
    ZP_TRY(const Entries entries, read(context));
    if ((pads || needs_zero_) && sources_.front().quant->domain == ZeroPointDomain::Float) {
      return Error("quant.carry", "padding under zero points that are not integers");
    }
    if (!settled) {
      ZP_TRY(GridForm by_value, grid_.form(entries.classes()));
      if (form.kind != GridForm::PerAxis || by_value.kind == GridForm::PerTensor) form = std::move(by_value);
    }
    if (form.kind == GridForm::None) return Error("quant.carry", form.why);
    if (pads) {
      // A cell that covers padding only takes the parameters of the cell before it, or of the first one
      // after.
      int32_t near = -1;
      for (const int32_t c : form.cells) {
        if (c >= 0) {
          near = c;
          break;
        }
      }
      for (int32_t& c : form.cells) {
        if (c >= 0) near = c;
        else c = near;
      }
      ZP_CHECK(check_padding(form, entries));
    }
    if (needs_zero_) {
      for (const int32_t c : form.cells) {
        if (c >= 0 && (entries.zero_points[at(c)] < static_cast<double>(qmin_) ||
                       entries.zero_points[at(c)] > static_cast<double>(qmax_))) {
          return Error("quant.carry", fmt::format("zero is not in {}..{} under zero point {}", qmin_, qmax_,
                                                  entries.zero_points[at(c)]));
        }
      }
    }
  }
  if (form.kind == GridForm::None) return Error("quant.carry", form.why);
  return write_form(context, form);
}

Result<const QuantType*> CarriedQuant::write_form(Context& context, const GridForm& form) const {
  QuantType out = *sources_.front().quant;
  out.storage = storage_;
  out.qmin = qmin_;
  out.qmax = qmax_;
  out.axis = -1;
  out.block = {};
  out.scales = out.zero_points = nullptr;
  if (form.cells.front() < 0) {  // nothing but padding
    out.scale = 1.0;
    out.zero_point = 0;
    return context.quant(out);
  }
  if (form.kind == GridForm::PerTensor) {
    const Source& source = source_of(form.cells.front());
    out.expressed = source.quant->expressed;
    out.domain = source.quant->domain;
    if (source.quant->scales == nullptr) {
      out.scale = source.quant->scale;
      out.zero_point = source.quant->zero_point + static_cast<double>(source.shift);
    } else {
      ZP_TRY(const Entries entries, read(context));
      out.scale = entries.scales[at(form.cells.front())];
      out.zero_point = entries.zero_points[at(form.cells.front())];
    }
    return context.quant(out);
  }
  IntShape list_shape;
  const IntShape shape = grid_.shape();
  if (form.kind == GridForm::PerAxis) {
    out.axis = static_cast<int32_t>(form.axis);
    list_shape = {shape[at(form.axis)]};
  } else {
    out.block = context.ints(form.block);
    for (size_t d = 0; d < shape.size(); ++d) list_shape.push_back(shape[d] / form.block[d]);
  }
  out.scale = 1.0;
  out.zero_point = 0;
  // Which lists the entries come from, and whether they are one whole list in its own order.
  const Source& first = source_of(form.cells.front());
  bool same_source = true, in_order = static_cast<int64_t>(form.cells.size()) == first.count, zeros = false,
       integer = false;
  const Source* source = &first;
  for (size_t i = 0; i < form.cells.size(); ++i) {
    const int32_t label = form.cells[i];
    if (label < source->base || label >= source->base + source->count) source = &source_of(label);
    same_source &= source == &first;
    in_order &= label - first.base == static_cast<int32_t>(i);
    zeros |= source->quant->zero_points != nullptr || source->shift != 0 ||
             (source->quant->scales == nullptr && source->quant->zero_point != 0);
    integer |= source->quant->domain == ZeroPointDomain::Integer;
  }
  out.domain = integer ? ZeroPointDomain::Integer : first.quant->domain;
  const std::string_view scale_name =
      first.quant->scales != nullptr ? first.quant->scales->name : "carried.scale";
  const std::string_view zero_name =
      first.quant->zero_points != nullptr ? first.quant->zero_points->name : "carried.zero_point";
  if (same_source && in_order && first.shift == 0 && first.quant->scales != nullptr) {
    ZP_TRY(out.scales, reshaped_list(context, *first.quant->scales, list_shape));
    if (first.quant->zero_points != nullptr) {
      ZP_TRY(out.zero_points, reshaped_list(context, *first.quant->zero_points, list_shape));
    }
    return context.quant(out);
  }
  // Entries of one list keep its representation; entries of several become f32 scales and i64 zero points.
  auto gather = [&](const Constant& list) -> Result<Blob> {
    ZP_TRY(const Tensor from, constant_tensor(context, list));
    const int64_t width = byte_size(list.dtype);
    std::byte* to = nullptr;
    Blob bytes = Blob::allocate(form.cells.size() * at(width), &to);
    for (const int32_t label : form.cells) {
      std::memcpy(to, from.data<std::byte>() + int64_t{label - first.base} * width, at(width));
      to += width;
    }
    return bytes;
  };
  auto raw = [](const Constant* list) { return list != nullptr && bits_of(list->dtype) >= 8; };
  if (same_source && raw(first.quant->scales) &&
      (!zeros || (first.shift == 0 && raw(first.quant->zero_points)))) {
    ZP_TRY(Blob scale_bytes, gather(*first.quant->scales));
    ZP_TRY(out.scales, list_constant(context, scale_name, first.quant->scales->dtype, list_shape,
                                     std::move(scale_bytes)));
    if (zeros) {
      ZP_TRY(Blob zero_bytes, gather(*first.quant->zero_points));
      ZP_TRY(out.zero_points, list_constant(context, zero_name, first.quant->zero_points->dtype, list_shape,
                                            std::move(zero_bytes)));
    }
    return context.quant(out);
  }
  ZP_TRY(const Entries entries, read(context));
  std::vector<float> scales;
  std::vector<int64_t> integers;
  std::vector<float> reals;
  for (const int32_t label : form.cells) {
    scales.push_back(static_cast<float>(entries.scales[at(label)]));
    integers.push_back(static_cast<int64_t>(entries.zero_points[at(label)]));
    reals.push_back(static_cast<float>(entries.zero_points[at(label)]));
  }
  out.scale_dtype = DType::F32;
  ZP_TRY(out.scales, list_constant(context, scale_name, DType::F32, list_shape, blob_of(scales)));
  if (zeros) {
    const bool real = out.domain == ZeroPointDomain::Float;
    ZP_TRY(out.zero_points, list_constant(context, zero_name, real ? DType::F32 : DType::I64, list_shape,
                                          real ? blob_of(reals) : blob_of(integers)));
  }
  return context.quant(out);
}

Status fill_padding(Context& context, const QuantType& quant, const IntShape& shape,
                    std::span<const uint8_t> mask, std::span<const Number> values, std::byte* data) {
  ZP_TRY(const QuantParams params, quant_params(context, quant, shape));
  const int64_t width = byte_size(quant.storage);
  ZP_TRY(const IntShape block, blocks_of(quant, shape));
  IntShape place(shape.size());
  for (size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] == 0) continue;
    int64_t rest = static_cast<int64_t>(i), cell = 0;
    for (size_t d = shape.size(); d-- > 0; rest /= shape[d]) place[d] = rest % shape[d];
    for (size_t d = 0; d < shape.size(); ++d) cell = cell * params.grid[d] + place[d] / block[d];
    const double value = values[at(mask[i] - 1)].as_double();
    const auto q = exact_for(value, params.scales[at(cell)], params.zero_points[at(cell)], quant.qmin,
                             quant.qmax, quant.expressed);
    if (!q) return Error("quant.carry", fmt::format("padding with {} is no exact integer", value));
    std::memcpy(data + static_cast<int64_t>(i) * width, &*q, at(width));  // little endian: the low bytes
  }
  return {};
}

Result<bool> same_parameters(Context& context, const QuantType& a, const QuantType& b,
                             const IntShape& shape) {
  if (&a == &b) return true;
  if (a.storage != b.storage || a.expressed != b.expressed || a.qmin != b.qmin || a.qmax != b.qmax ||
      a.dynamic || b.dynamic)
    return false;
  if ((a.domain == ZeroPointDomain::Float) != (b.domain == ZeroPointDomain::Float)) return false;
  ZP_TRY(const QuantParams pa, quant_params(context, a, shape));
  ZP_TRY(const QuantParams pb, quant_params(context, b, shape));
  // Both lists over the common refinement of the two grids.
  IntShape units, place(shape.size(), 0);
  int64_t cells = 1;
  ZP_TRY(const IntShape block_a, blocks_of(a, shape));
  ZP_TRY(const IntShape block_b, blocks_of(b, shape));
  if (count_of(shape) == 0) return true;
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t extent = shape[d];
    units.push_back(std::gcd(std::gcd(block_a[d], block_b[d]), extent));
    cells *= extent / units[d];
  }
  for (int64_t c = 0; c < cells; ++c) {
    int64_t ia = 0, ib = 0;
    for (size_t d = 0; d < shape.size(); ++d) {
      ia = ia * pa.grid[d] + place[d] / block_a[d];
      ib = ib * pb.grid[d] + place[d] / block_b[d];
    }
    if (static_cast<float>(pa.scales[at(ia)]) != static_cast<float>(pb.scales[at(ib)])) return false;
    if (pa.zero_points[at(ia)] != pb.zero_points[at(ib)]) return false;
    if (!pa.float_zero_points.empty() && pa.float_zero_points[at(ia)] != pb.float_zero_points[at(ib)])
      return false;
    for (size_t d = shape.size(); d-- > 0;) {
      if ((place[d] += units[d]) < shape[d]) break;
      place[d] = 0;
    }
  }
  return true;
}

}  // namespace zp
