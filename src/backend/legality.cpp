#include "backend/legality.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/ops.h"
#include "rewrite/trace.h"
#include "support/text_format.h"

namespace zp::backend {
namespace {

using rewrite::BoundSlot;
using rewrite::ExprValue;
using rewrite::Grid;
using rewrite::SlotReading;
using rewrite::WeightAxes;

// Scales of a derived bias agree if they are equal up to the rounding of their product to float.
constexpr double kDerivedTolerance = 1.0 / (1 << 22);

double dim_value(Dim dim) {
  return dim.is_known() ? static_cast<double>(dim.value()) : std::numeric_limits<double>::quiet_NaN();
}

ExprValue list_of(std::span<const Dim> dims) {
  std::vector<double> out;
  for (Dim d : dims) out.push_back(dim_value(d));
  return ExprValue::of(std::move(out));
}

template <typename T>
ExprValue number_list(const List<T>& items) {
  std::vector<double> out;
  for (const T& item : items) out.push_back(static_cast<double>(item));
  return ExprValue::of(std::move(out));
}

ExprValue of_dim(Dim d) {
  return d.is_known() ? ExprValue::of(static_cast<double>(d.value())) : ExprValue::unknown(d.str() + " is no number");
}

ExprValue attribute(const Node& node, std::string_view name) {
  const AttrField* field = node.op().attrs == nullptr ? nullptr : node.op().attrs->find(name);
  if (field == nullptr) return ExprValue::unknown(fmt::format("{} has no attribute {}", node.op().name, name));
  const void* a = node.attrs_data();
  auto optional = [&](const auto& value, auto&& give) -> ExprValue {
    return value ? give(*value) : ExprValue::unknown(fmt::format("{} is not set", name));
  };
  auto plain = [](const auto& v) { return ExprValue::of(static_cast<double>(v)); };
  switch (field->kind) {
    case AttrKind::Int: return plain(attr_ref<int64_t>(a, *field));
    case AttrKind::Float: return ExprValue::of(attr_ref<double>(a, *field));
    case AttrKind::Bool: return ExprValue::of(attr_ref<bool>(a, *field));
    case AttrKind::String: return ExprValue::of_text(attr_ref<std::string_view>(a, *field));
    case AttrKind::DType: return ExprValue::of_text(dtype_name(attr_ref<DType>(a, *field)));
    case AttrKind::Number: return ExprValue::of(attr_ref<Number>(a, *field).as_double());
    case AttrKind::Dim: return of_dim(attr_ref<Dim>(a, *field));
    case AttrKind::Ints: return number_list(attr_ref<List<int64_t>>(a, *field));
    case AttrKind::Floats: return number_list(attr_ref<List<double>>(a, *field));
    case AttrKind::Dims: return list_of(attr_ref<List<Dim>>(a, *field));
    case AttrKind::Strings: return ExprValue::unknown(fmt::format("{} is a list of texts", name));
    case AttrKind::OptInt: return optional(attr_ref<std::optional<int64_t>>(a, *field), plain);
    case AttrKind::OptFloat: return optional(attr_ref<std::optional<double>>(a, *field), plain);
    case AttrKind::OptBool:
      return optional(attr_ref<std::optional<bool>>(a, *field), [](bool b) { return ExprValue::of(b); });
    case AttrKind::OptDType:
      return optional(attr_ref<std::optional<DType>>(a, *field), [](DType d) { return ExprValue::of_text(dtype_name(d)); });
    case AttrKind::OptNumber:
      return optional(attr_ref<std::optional<Number>>(a, *field), [](const Number& n) { return ExprValue::of(n.as_double()); });
    case AttrKind::OptDim: return optional(attr_ref<std::optional<Dim>>(a, *field), of_dim);
    case AttrKind::OptDims:
      return optional(attr_ref<std::optional<List<Dim>>>(a, *field), [](const List<Dim>& l) { return list_of(l); });
    case AttrKind::OptFloats:
      return optional(attr_ref<std::optional<List<double>>>(a, *field), [](const List<double>& l) { return number_list(l); });
    case AttrKind::Quant: return ExprValue::unknown(fmt::format("{} is a type", name));
  }
  return ExprValue::unknown(fmt::format("{} has no value here", name));
}

// A quantization as text, or the plain type.
std::string reading_text(Context& context, const SlotReading& r) {
  if (!r.present) return "absent";
  if (r.quant != nullptr) return rewrite::describe(context, *r.quant, r.quantized->type().shape);
  return r.value->type().is_tensor() ? std::string(dtype_name(r.value->type().dtype)) : r.value->type().str();
}

ExprValue slot_field(const Node& root, const BoundSlot& slot, std::string_view field) {
  Context& context = root.context();
  if (field == "present") return ExprValue::of(slot.present());
  if (!slot.present()) return ExprValue::unknown(fmt::format("{} is absent", slot.name.name));
  const SlotReading& r = slot.readings.front();
  const Type& type = r.quantized != nullptr ? r.quantized->type() : r.value->type();
  if (field == "constant") return ExprValue::of(r.constant);
  if (field == "quantized") return ExprValue::of(r.quant != nullptr);
  if (field == "uses") return ExprValue::of(static_cast<double>(r.value->use_count()));
  if (!type.is_tensor()) return ExprValue::unknown(fmt::format("{} is no tensor", slot.name.name));
  if (field == "dtype") return ExprValue::of_text(dtype_name(type.real_dtype()));
  if (field == "storage") return ExprValue::of_text(dtype_name(type.dtype));
  if (field == "rank" || field == "shape" || field == "elements") {
    if (!type.ranked) return ExprValue::unknown(fmt::format("the shape of {} is not known", slot.name.name));
    if (field == "rank") return ExprValue::of(static_cast<double>(type.rank()));
    if (field == "shape") return list_of(type.shape);
    return type.elements() >= 0 ? ExprValue::of(static_cast<double>(type.elements())) : ExprValue::unknown("a dim is no number");
  }
  if (r.quant == nullptr) return ExprValue::unknown(fmt::format("{} is float and has no {}", slot.name.name, field));
  const QuantType& q = *r.quant;
  const Grid grid = rewrite::grid_of(q, type.shape);
  if (field == "dynamic") return ExprValue::of(q.dynamic);
  if (field == "qmin") return ExprValue::of(static_cast<double>(q.qmin));
  if (field == "qmax") return ExprValue::of(static_cast<double>(q.qmax));
  if (field == "bits") return ExprValue::of(static_cast<double>(rewrite::declared_bits(q)));
  if (field == "axis") return ExprValue::of(static_cast<double>(grid.axis));
  if (field == "group_size") {
    if (grid.group_axis < 0) return ExprValue::unknown(fmt::format("{} has no groups along one axis", slot.name.name));
    return ExprValue::of(static_cast<double>(grid.group));
  }
  if (field == "block") return number_list(q.block);
  if (field == "symmetric") return q.dynamic ? ExprValue::unknown("dynamic") : ExprValue::of(rewrite::is_symmetric(context, q));
  if (q.dynamic) return ExprValue::unknown(fmt::format("the {} of {} is known only at run time", field, slot.name.name));
  std::vector<double> scales = rewrite::scales_of(context, q);
  if (scales.empty()) return ExprValue::unknown(fmt::format("the scales of {} cannot be read", slot.name.name));
  const bool single = q.per_tensor();
  if (field == "scale") return single ? ExprValue::of(scales.front()) : ExprValue::of(std::move(scales));
  if (field == "zero_point") {
    std::vector<double> zeros = rewrite::zero_points_of(context, q, scales.size());
    return single && !zeros.empty() ? ExprValue::of(zeros.front()) : ExprValue::of(std::move(zeros));
  }
  return ExprValue::unknown(fmt::format("{} has no field {}", slot.name.name, field));
}

}  // namespace

std::span<const std::string_view> slot_fields() {
  static constexpr std::string_view kFields[] = {"present", "constant", "quantized", "uses", "dtype", "storage", "rank", "shape",
                                                 "elements", "dynamic", "qmin", "qmax", "bits", "axis", "group_size", "block",
                                                 "symmetric", "scale", "zero_point"};
  return kFields;
}

ExprValue MatchScope::lookup(std::span<const std::string> path) const {
  const Node& root = *match_.root();
  Context& context = root.context();
  if (const BoundSlot* slot = rewrite::find_slot(slots_, path[0])) {
    if (path.size() == 1) return ExprValue::of_text(slot->present() ? reading_text(context, slot->readings.front()) : "absent");
    if (path.size() == 2) return slot_field(root, *slot, path[1]);
  }
  if (path.size() == 1 && path[0] == "tensors") {
    size_t n = 0;
    for (size_t i = 0; i < root.operand_count(); ++i) {
      const Value* v = root.operand(i);
      const bool number = v != nullptr && v->def() != nullptr && v->def()->is(kConstOp) && v->type().rank() == 0;
      n += v != nullptr && v->type().is_tensor() && !number;
    }
    return ExprValue::of(static_cast<double>(n));
  }
  if (path.size() == 1) return attribute(root, path[0]);
  if (path.size() == 2 && path[0] == "root") return attribute(root, path[1]);
  for (size_t i = 0; path.size() == 2 && i < match_.nodes.size(); ++i) {
    const rewrite::PatternStep& step = match_.variant->pattern->steps[match_.variant->steps[i].source];
    const bool named = step.value == path[0] || match_.nodes[i]->op().name == path[0] ||
                       std::find(step.alternatives.begin(), step.alternatives.end(), path[0]) != step.alternatives.end();
    if (named) return attribute(*match_.nodes[i], path[1]);
  }
  return ExprValue::unknown(fmt::format("{} means nothing here", fmt::join(path, ".")));
}

ExprValue MatchScope::relation(std::string_view name, std::span<const rewrite::ExprPtr> args) const {
  const BoundSlot* slots[2] = {};
  for (size_t i = 0; i < 2; ++i) {
    if (args.size() != 2 || args[i]->kind != rewrite::Expr::Path || args[i]->path.size() != 1) {
      return ExprValue::unknown(fmt::format("{} takes two slots", name));
    }
    slots[i] = rewrite::find_slot(slots_, args[i]->path[0]);
    if (slots[i] == nullptr || !slots[i]->present()) return ExprValue::unknown(fmt::format("{} is absent", args[i]->path[0]));
  }
  // All readings of both (the inputs of cat are one slot) agree with the first.
  bool same = true;
  const SlotReading& first = slots[0]->readings.front();
  for (const BoundSlot* slot : slots) {
    for (const SlotReading& r : slot->readings) {
      if (name == "same_shape") {
        const auto a = first.value->type().shape, b = r.value->type().shape;
        same = same && first.value->type().ranked && r.value->type().ranked && a == b &&
               std::none_of(a.begin(), a.end(), [](Dim d) { return d.is_unknown(); });
      } else {
        // Interned types: equal parameters of one tensor scale are one pointer.
        same = same && first.quant != nullptr && first.quant == r.quant;
      }
    }
  }
  return ExprValue::of(same);
}

// --- elements --------------------------------------------------------------------------------------------------------

namespace {

struct Mismatch {
  int progress = 0;
  std::string why;
  bool ok() const { return why.empty(); }
};

// Does the storage hold the declared range, in at most the width the element names?
Mismatch check_storage(const Elem& e, const QuantType& q) {
  if (q.storage != e.dtype) {
    const bool packs = is_integer(e.dtype) && is_integer(q.storage) && is_signed(e.dtype) == is_signed(q.storage) &&
                       bits_of(e.dtype) < bits_of(q.storage) && q.qmin >= int_min(e.dtype) && q.qmax <= int_max(e.dtype);
    if (!packs) {
      if (is_integer(e.dtype) && bits_of(e.dtype) < bits_of(q.storage) && is_integer(q.storage)) {
        return {0, fmt::format("its declared range {}:{} does not fit {}", q.qmin, q.qmax, dtype_name(e.dtype))};
      }
      return {0, fmt::format("it is stored as {}", dtype_name(q.storage))};
    }
  }
  if (e.range && (q.qmin < e.range->first || q.qmax > e.range->second)) {
    return {2, fmt::format("its declared range is {}:{}", q.qmin, q.qmax)};
  }
  return {3, ""};
}

Mismatch check_granularity(const Elem& e, const QuantType& q, std::span<const Dim> shape, const WeightAxes& axes) {
  const Granularity& g = e.granularity;
  const Grid grid = rewrite::grid_of(q, shape);
  auto axis_text = [&](int axis) {
    std::string text = fmt::format("its scales run along axis {}", axis);
    if (axis == axes.in) text += ", the reduction axis";
    return text;
  };
  switch (g.kind) {
    case Granularity::Any: return {5, ""};
    case Granularity::PerTensor:
      return grid.per_tensor ? Mismatch{5, ""} : Mismatch{3, "it has more than one scale"};
    case Granularity::PerToken:
      return grid.per_token ? Mismatch{5, ""} : Mismatch{3, "it has not one scale a row"};
    case Granularity::PerAxis: {
      if (grid.per_tensor) return {3, "it has one scale for the whole tensor"};
      if (grid.axis < 0) return {3, "it has not one scale an index of an axis"};
      const int wanted = g.axis_kind == Granularity::Out  ? axes.out
                         : g.axis_kind == Granularity::In ? axes.in
                         : g.axis_kind == Granularity::Every
                             ? grid.axis
                             : static_cast<int>(g.axis < 0 ? g.axis + static_cast<int64_t>(shape.size()) : g.axis);
      if (grid.axis != wanted) {
        return {4, axis_text(grid.axis) + (g.axis_kind == Granularity::Out ? ", not along the output channels" : "")};
      }
      return {5, ""};
    }
    case Granularity::PerGroup: {
      const int wanted = axes.in >= 0 ? axes.in : static_cast<int>(shape.size()) - 1;
      if (grid.group_axis < 0) return {3, grid.per_tensor ? "it has one scale for the whole tensor" : "it has no groups along one axis"};
      if (grid.group_axis != wanted) return {4, fmt::format("its groups run along axis {}, not {}", grid.group_axis, wanted)};
      if (g.group != 0 && grid.group != g.group) return {4, fmt::format("its groups have {} elements", grid.group)};
      return {5, ""};
    }
    case Granularity::Block: break;
  }
  bool same = q.block.size() == g.block.size();
  for (size_t d = 0; same && d < g.block.size(); ++d) {
    const bool whole = q.block[d] == 0 || (shape[d].is_known() && q.block[d] >= shape[d].value());
    same = g.block[d] < 0 || (g.block[d] == 0 ? whole : q.block[d] == g.block[d]);
  }
  return same ? Mismatch{5, ""} : Mismatch{3, "its blocks have other extents"};
}

Mismatch check_scheme(Context& context, const Elem& e, const QuantType& q) {
  if (e.scheme == Scheme::FloatZero) {
    return q.domain == ZeroPointDomain::Float ? Mismatch{6, ""} : Mismatch{5, "its zero points are no floats"};
  }
  if (q.domain == ZeroPointDomain::Float) return {5, "its zero points are floats"};
  if (e.scheme == Scheme::Symmetric && !q.dynamic && !rewrite::is_symmetric(context, q)) {
    return {5, is_signed(q.storage) ? "its zero point is not 0" : "its zero point is not the middle of its range"};
  }
  return {6, ""};
}

Mismatch check_parameters(Context& context, const Elem& e, const QuantType& q) {
  if (e.dynamic != q.dynamic) return {6, q.dynamic ? "its parameters are dynamic" : "its parameters are static"};
  if (q.dynamic || (!e.fixed && e.bounds.empty())) return {7, ""};
  const std::vector<double> scales = rewrite::scales_of(context, q);
  if (scales.empty()) return {6, "its scales cannot be read"};
  for (const Bound& b : e.bounds) {
    for (double s : scales) {
      if (b.at_least ? s >= b.value : s <= b.value) continue;
      return {6, fmt::format("a scale is {}", shortest(s))};
    }
  }
  if (e.fixed) {
    const auto wanted = static_cast<float>(e.fixed->scale);
    const std::vector<double> zeros = rewrite::zero_points_of(context, q, scales.size());
    const bool scale_ok = std::all_of(scales.begin(), scales.end(), [&](double s) { return static_cast<float>(s) == wanted; });
    if (!scale_ok) return {6, fmt::format("its scale is {}", shortest(scales.front()))};
    const bool zero_ok = std::all_of(zeros.begin(), zeros.end(), [&](double z) { return z == e.fixed->zero_point; });
    if (!zero_ok) return {6, fmt::format("its zero point is {}", shortest(zeros.front()))};
  }
  return {7, ""};
}

Mismatch check_quant(Context& context, const Elem& e, const QuantType& q, std::span<const Dim> shape, const WeightAxes& axes) {
  if (q.expressed != DType::F32) return {0, fmt::format("it expresses {}", dtype_name(q.expressed))};
  Mismatch m = check_storage(e, q);
  if (m.ok()) m = check_granularity(e, q, shape, axes);
  if (m.ok()) m = check_scheme(context, e, q);
  if (m.ok()) m = check_parameters(context, e, q);
  return m;
}

// A derived bias: its parameters must be what the expressions give.
Mismatch check_derived(Context& context, const Elem& e, const QuantType& q, const rewrite::ExprScope& scope) {
  const ExprValue scale = rewrite::evaluate(*e.derived->scale, scope);
  const ExprValue zero = rewrite::evaluate(*e.derived->zero_point, scope);
  if (scale.kind != ExprValue::Number && scale.kind != ExprValue::List) {
    return {7, fmt::format("{} cannot be computed: {}", print_expr(*e.derived->scale), scale.str())};
  }
  const std::vector<double> scales = rewrite::scales_of(context, q);
  const std::vector<double> zeros = rewrite::zero_points_of(context, q, scales.size());
  const size_t count = scale.kind == ExprValue::List ? std::max(scale.list.size(), scales.size()) : scales.size();
  if (scale.kind == ExprValue::List && scales.size() > 1 && scale.list.size() != scales.size()) {
    return {7, fmt::format("it has {} scales where {} gives {}", scales.size(), print_expr(*e.derived->scale), scale.list.size())};
  }
  for (size_t i = 0; i < count; ++i) {
    const double wanted = scale.kind == ExprValue::List ? scale.list[i] : scale.number;
    const double found = scales[scales.size() == 1 ? 0 : i];
    if (!(std::fabs(found - wanted) <= kDerivedTolerance * std::fabs(wanted))) {
      return {7, fmt::format("its scale is {} where {} = {}", shortest(found), print_expr(*e.derived->scale), shortest(wanted))};
    }
  }
  for (size_t i = 0; i < zeros.size(); ++i) {
    const double wanted = zero.kind == ExprValue::List ? (i < zero.list.size() ? zero.list[i] : 0) : zero.number;
    if (zeros[i] != wanted) return {7, fmt::format("its zero point is {}, not {}", shortest(zeros[i]), shortest(wanted))};
  }
  return {8, ""};
}

std::string plain_reason(const SlotReading& r) {
  if (!r.why_plain.empty()) return r.why_plain;
  const Node* def = r.value->def();
  if (def == nullptr) return "it is an input of the graph";
  if (def->is(kConstOp)) return "it is a constant that is not quantized";
  if (def->op().trait == Trait::ShapeOnly && def->operand(0) != nullptr && def->operand(0)->def() != nullptr &&
      def->operand(0)->def()->is(ops::dequantize)) {
    return fmt::format("{} {} stands between it and its dequantize", op_label(*def), rewrite::source_name(*def));
  }
  return fmt::format("it comes from {} {}, not from a dequantize", op_label(*def), rewrite::source_name(*def));
}

Mismatch check_one(Context& context, const Elem& e, const SlotReading& r, Role role, const WeightAxes& axes,
                   const rewrite::ExprScope* scope, bool* as_quantized) {
  *as_quantized = false;
  if (e.none) return r.present ? Mismatch{0, "it must be absent"} : Mismatch{9, ""};
  if (!r.present) return {0, "it is absent"};
  if (!r.value->type().is_tensor()) return {0, "it is no tensor"};
  const bool computed = e.constant && !r.constant;
  if (e.any) {
    *as_quantized = r.quant != nullptr;
    return computed ? Mismatch{1, "it is not a constant"} : Mismatch{9, ""};
  }
  const Type& type = r.value->type();
  const bool integers = is_integer(e.dtype);
  const bool index = role == Role::Index || role == Role::Shape || role == Role::Mask || role == Role::State;
  if (!integers || index) {
    // A float (or an index): the value as it is. A dequantize in front of it stays.
    const bool float_storage = r.quant != nullptr && is_float(r.quant->storage) && r.quant->storage == e.dtype;
    if (!float_storage) {
      if (type.is_quantized()) return {0, "it is quantized"};
      if (type.dtype != e.dtype) return {0, fmt::format("it is {}", dtype_name(type.dtype))};
      return computed ? Mismatch{0, "it is not a constant"} : Mismatch{9, ""};
    }
  }
  if (r.quant == nullptr) return {0, "it is float: " + plain_reason(r)};
  if (computed) return {1, "it is not a constant"};
  Mismatch m = check_quant(context, e, *r.quant, r.quantized->type().shape, axes);
  if (m.ok() && e.derived && scope != nullptr) m = check_derived(context, e, *r.quant, *scope);
  *as_quantized = m.ok();
  return m;
}

}  // namespace

ElemAnswer accepts_reading(Context& context, std::span<const Elem> elems, const SlotReading& reading, Role role,
                           const WeightAxes& axes, const rewrite::ExprScope* scope) {
  ElemAnswer answer;
  answer.progress = -1;
  for (const Elem& e : elems) {
    bool as_quantized = false;
    const Mismatch m = check_one(context, e, reading, role, axes, scope, &as_quantized);
    if (m.ok()) return {true, as_quantized, m.progress, ""};
    if (m.progress > answer.progress) {
      answer.progress = m.progress;
      answer.why = m.why;
    }
  }
  return answer;
}

ElemAnswer accepts_quant(Context& context, const Elem& elem, const QuantType& quant, std::span<const Dim> shape,
                         const WeightAxes& axes) {
  if (elem.any) return {true, true, 9, ""};
  if (elem.none || elem.dtype == DType::Unknown) return {false, false, 0, "it must be absent"};
  const Mismatch m = check_quant(context, elem, quant, shape, axes);
  return {m.ok(), m.ok(), m.progress, m.why};
}

bool Verdict::any_quantized() const {
  for (const auto& slot : as_quantized)
    if (std::find(slot.begin(), slot.end(), true) != slot.end()) return true;
  return false;
}

}  // namespace zp::backend

namespace zp {

using namespace backend;

namespace {

WeightAxes axes_of(const rewrite::Match& match, const BoundSlot& slot, size_t reading) {
  const Node& node = *match.nodes[slot.name.step];
  const rewrite::SlotReading& r = slot.readings[reading];
  if (slot.name.result || !r.present || !r.value->type().is_tensor()) return {};
  return rewrite::weight_axes(node.op(), slot.operands[reading], r.value->type().rank());
}

std::string found_text(Context& context, const BoundSlot& slot, size_t reading) {
  return reading_text(context, slot.readings[reading]);
}

// One dtype configuration against the slots; nothing if all fit.
std::optional<Refusal> try_types(Context& context, const Backend& backend, const rewrite::Match& match, const TypesDef& types,
                                 Verdict* verdict) {
  const MatchScope scope(backend, match, verdict->slots);
  std::vector<bool> covered(verdict->slots.size(), false);
  int accepted = 0;
  verdict->as_quantized.assign(verdict->slots.size(), {});
  auto refuse = [&](std::string slot, const Place& at, std::string wanted, std::string found, std::string text, int progress) {
    Refusal r;
    r.clause = fmt::format("types {}.{}", types.name, slot);
    r.wanted = std::move(wanted);
    r.found = std::move(found);
    r.text = std::move(text);
    r.line = at.line;
    r.progress = 16 * accepted + progress;
    return r;
  };
  for (const SlotTypes& st : types.slots) {
    const BoundSlot* slot = rewrite::find_slot(verdict->slots, st.slot);
    if (slot == nullptr) continue;
    const auto index = static_cast<size_t>(slot - verdict->slots.data());
    covered[index] = true;
    for (size_t i = 0; i < slot->readings.size(); ++i) {
      const rewrite::SlotReading& r = slot->readings[i];
      if (!r.present && slot->name.optional) {
        verdict->as_quantized[index].push_back(false);
        continue;
      }
      const ElemAnswer answer = accepts_reading(context, st.accepted, r, slot->name.role, axes_of(match, *slot, i), &scope);
      if (!answer.ok) {
        const std::string label = slot->name.result ? "result" : "operand " + slot->name.card;
        return refuse(st.slot, st.at, print_elems(st.accepted), found_text(context, *slot, i),
                      fmt::format("{} is {} ({})", label, found_text(context, *slot, i), answer.why), answer.progress);
      }
      verdict->as_quantized[index].push_back(answer.as_quantized);
    }
    ++accepted;
  }
  for (size_t i = 0; i < verdict->slots.size(); ++i) {
    const BoundSlot& slot = verdict->slots[i];
    if (covered[i] || !slot.present()) continue;
    verdict->as_quantized[i].assign(slot.readings.size(), false);
    const Role role = slot.name.role;
    if (slot.name.result || (role != Role::Data && role != Role::Weight && role != Role::Bias)) continue;
    return refuse(slot.name.name, types.at, "absent", found_text(context, slot, 0),
                  fmt::format("operand {} is given, types {} know none", slot.name.card, types.name), 0);
  }
  return std::nullopt;
}

}  // namespace

Verdict Backend::accepts(const rewrite::Match& match) const {
  Verdict verdict;
  const PatternDef& def = pattern_of(*match.variant);
  verdict.pattern = &def;
  verdict.slots = rewrite::bind_slots(match);
  Context& context = match.root()->context();
  if (def.types.empty()) {
    verdict.as_quantized.resize(verdict.slots.size());
    for (size_t i = 0; i < verdict.slots.size(); ++i) verdict.as_quantized[i].assign(verdict.slots[i].readings.size(), false);
  }
  std::optional<Refusal> nearest;
  for (const auto& [name, at] : def.types) {
    const auto types = std::find_if(tree_.typesets.begin(), tree_.typesets.end(), [&](const TypesDef& t) { return t.name == name; });
    if (types == tree_.typesets.end()) continue;
    std::optional<Refusal> refusal = try_types(context, *this, match, *types, &verdict);
    if (!refusal) {
      verdict.types = &*types;
      nearest.reset();
      break;
    }
    if (!nearest || refusal->progress > nearest->progress) nearest = std::move(refusal);
  }
  if (nearest) {
    verdict.refusal = std::move(nearest);
    return verdict;
  }
  const MatchScope scope(*this, match, verdict.slots);
  for (size_t i = 0; i < def.where.size(); ++i) {
    if (rewrite::evaluate(*def.where[i], scope).is_true()) continue;
    const rewrite::ExprFailure failure = rewrite::explain_failure(*def.where[i], scope);
    Refusal r;
    r.clause = "where";
    r.wanted = failure.wanted;
    r.found = failure.found;
    r.text = fmt::format("{} does not hold: {}", failure.wanted, failure.found);
    r.line = def.where_at[i].line;
    r.progress = 1000;
    verdict.refusal = std::move(r);
    return verdict;
  }
  return verdict;
}

WeightAnswer Backend::takes_weight_quant(const OpDef& op, size_t operand, const QuantType& quant, std::span<const Dim> shape) const {
  WeightAnswer answer;
  // The judge needs a Context only to read constants; that of the quantization is not known here, so parameters are read
  // through a context of its own (reading a constant changes none).
  Context context;
  const WeightAxes axes = rewrite::weight_axes(op, operand, static_cast<int>(shape.size()));
  for (size_t p = 0; p < tree_.patterns.size(); ++p) {
    for (const rewrite::Variant& variant : set_.variants_of(p)) {
      const auto& ops = variant.steps[variant.root].ops;
      if (std::find(ops.begin(), ops.end(), &op) == ops.end()) continue;
      const std::vector<rewrite::SlotName> slots = rewrite::slot_names(variant, op);
      for (const auto& [name, at] : tree_.patterns[p].types) {
        for (const TypesDef& types : tree_.typesets) {
          if (types.name != name) continue;
          for (const SlotTypes& st : types.slots) {
            const int i = rewrite::find_slot_name(slots, st.slot);
            if (i < 0 || !slots[static_cast<size_t>(i)].of_root || slots[static_cast<size_t>(i)].operand != operand) continue;
            for (const Elem& e : st.accepted) {
              if (accepts_quant(context, e, quant, shape, axes).ok) {
                answer.ok = true;
                return answer;
              }
              const std::string text = print_elem(e);
              if (answer.wanted.find(text) == std::string::npos) answer.wanted += (answer.wanted.empty() ? "" : " | ") + text;
            }
          }
        }
      }
    }
  }
  if (answer.wanted.empty()) answer.wanted = "no pattern takes this operand";
  return answer;
}

BiasForm Backend::bias_form(const OpDef& op) const {
  BiasForm form;
  for (size_t p = 0; p < tree_.patterns.size(); ++p) {
    for (const rewrite::Variant& variant : set_.variants_of(p)) {
      const auto& ops = variant.steps[variant.root].ops;
      if (std::find(ops.begin(), ops.end(), &op) == ops.end()) continue;
      const std::vector<rewrite::SlotName> slots = rewrite::slot_names(variant, op);
      for (const auto& [name, at] : tree_.patterns[p].types) {
        for (const TypesDef& types : tree_.typesets) {
          if (types.name != name) continue;
          // Only where input and weight are integers with known parameters: elsewhere the bias is float anyway.
          auto integers = [&](std::string_view slot) {
            const SlotTypes* st = types.find(slot);
            return st == nullptr || std::any_of(st->accepted.begin(), st->accepted.end(), [](const Elem& e) {
              return e.any || (is_integer(e.dtype) && !e.dynamic);
            });
          };
          if (!integers("x") || !integers("w")) continue;
          for (const SlotTypes& st : types.slots) {
            const int i = rewrite::find_slot_name(slots, st.slot);
            if (i < 0 || slots[static_cast<size_t>(i)].role != Role::Bias) continue;
            for (const Elem& e : st.accepted) {
              const bool integer = e.any || e.dtype == DType::I32;
              const bool real = e.any || is_float(e.dtype);
              if (integer && !form.integer && !form.real) form.prefers_integer = true;
              form.integer = form.integer || integer;
              form.real = form.real || real;
            }
          }
        }
      }
    }
  }
  return form;
}

bool Backend::knows(const OpDef& op, bool anywhere) const {
  for (size_t p = 0; p < tree_.patterns.size(); ++p) {
    for (const rewrite::Variant& variant : set_.variants_of(p)) {
      for (size_t i = 0; i < variant.steps.size(); ++i) {
        if (!anywhere && i != variant.root) continue;
        const auto& ops = variant.steps[i].ops;
        if (std::find(ops.begin(), ops.end(), &op) != ops.end()) return true;
      }
    }
  }
  return false;
}

}  // namespace zp
