// What conditions see of a match.
#include "backend/legality.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/quant_carry.h"
#include "support/text_format.h"

namespace zp::backend {
namespace {

using rewrite::BoundSlot;
using rewrite::ExprValue;
using rewrite::Grid;
using rewrite::SlotReading;

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
  return d.is_known() ? ExprValue::of(static_cast<double>(d.value()))
                      : ExprValue::unknown(d.str() + " is no number");
}

ExprValue attribute(const Node& node, std::string_view name) {
  const AttrField* field = node.op().attrs == nullptr ? nullptr : node.op().attrs->find(name);
  if (field == nullptr)
    return ExprValue::unknown(fmt::format("{} has no attribute {}", node.op().name, name));
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
      return optional(attr_ref<std::optional<DType>>(a, *field),
                      [](DType d) { return ExprValue::of_text(dtype_name(d)); });
    case AttrKind::OptNumber:
      return optional(attr_ref<std::optional<Number>>(a, *field),
                      [](const Number& n) { return ExprValue::of(n.as_double()); });
    case AttrKind::OptDim: return optional(attr_ref<std::optional<Dim>>(a, *field), of_dim);
    case AttrKind::OptDims:
      return optional(attr_ref<std::optional<List<Dim>>>(a, *field),
                      [](const List<Dim>& l) { return list_of(l); });
    case AttrKind::OptFloats:
      return optional(attr_ref<std::optional<List<double>>>(a, *field),
                      [](const List<double>& l) { return number_list(l); });
    case AttrKind::Quant: return ExprValue::unknown(fmt::format("{} is a type", name));
  }
  return ExprValue::unknown(fmt::format("{} has no value here", name));
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
    return type.elements() >= 0 ? ExprValue::of(static_cast<double>(type.elements()))
                                : ExprValue::unknown("a dim is no number");
  }
  if (r.quant == nullptr)
    return ExprValue::unknown(fmt::format("{} is float and has no {}", slot.name.name, field));
  const QuantType& q = *r.quant;
  const Grid grid = rewrite::grid_of(q, type.shape);
  if (field == "dynamic") return ExprValue::of(q.dynamic);
  if (field == "qmin") return ExprValue::of(static_cast<double>(q.qmin));
  if (field == "qmax") return ExprValue::of(static_cast<double>(q.qmax));
  if (field == "bits") return ExprValue::of(static_cast<double>(rewrite::declared_bits(q)));
  if (field == "axis") return ExprValue::of(static_cast<double>(grid.axis));
  if (field == "group_size") {
    if (grid.group_axis < 0)
      return ExprValue::unknown(fmt::format("{} has no groups along one axis", slot.name.name));
    return ExprValue::of(static_cast<double>(grid.group));
  }
  if (field == "group_axis")
    return grid.group_axis < 0 ? ExprValue::unknown(fmt::format("{} has no groups", slot.name.name))
                               : ExprValue::of(static_cast<double>(grid.group_axis));
  if (field == "scale_rank")
    return ExprValue::of(q.scales == nullptr ? 0.0 : static_cast<double>(q.scales->shape.size()));
  if (field == "block") return number_list(q.block);
  if (field == "symmetric")
    return q.dynamic ? ExprValue::unknown("dynamic") : ExprValue::of(rewrite::is_symmetric(context, q));
  if (q.dynamic)
    return ExprValue::unknown(fmt::format("the {} of {} is known only at run time", field, slot.name.name));
  std::vector<double> scales = rewrite::scales_of(context, q);
  if (scales.empty())
    return ExprValue::unknown(fmt::format("the scales of {} cannot be read", slot.name.name));
  const bool single = q.per_tensor();
  if (field == "scale") return single ? ExprValue::of(scales.front()) : ExprValue::of(std::move(scales));
  if (field == "zero_point") {
    std::vector<double> zeros = rewrite::zero_points_of(context, q, scales.size());
    return single && !zeros.empty() ? ExprValue::of(zeros.front()) : ExprValue::of(std::move(zeros));
  }
  return ExprValue::unknown(fmt::format("{} has no field {}", slot.name.name, field));
}

// Parameters that mean the same numbers in another form: a column of equal scales, two equal lists.
bool same_numbers(const SlotReading& a, const SlotReading& b) {
  const Type& ta = a.quantized->type();
  if (a.quant->dynamic || b.quant->dynamic || !ta.is_static() || !(ta.shape == b.quantized->type().shape))
    return false;
  IntShape shape;
  for (Dim d : ta.shape) shape.push_back(d.value());
  const Node* def = a.quantized->def() != nullptr ? a.quantized->def() : b.quantized->def();
  if (def == nullptr) return false;
  const auto same = same_parameters(def->context(), *a.quant, *b.quant, shape);
  return same.ok() && *same;
}

}  // namespace

std::string reading_text(Context& context, const rewrite::SlotReading& r) {
  if (!r.present) return "absent";
  if (r.quant != nullptr) return rewrite::describe(context, *r.quant, r.quantized->type().shape);
  return r.value->type().is_tensor() ? std::string(dtype_name(r.value->type().dtype)) : r.value->type().str();
}

std::span<const std::string_view> slot_fields() {
  static constexpr std::string_view kFields[] = {
      "present",    "constant",   "quantized",  "uses",  "dtype",     "storage", "rank",
      "shape",      "elements",   "dynamic",    "qmin",  "qmax",      "bits",    "axis",
      "group_size", "group_axis", "scale_rank", "block", "symmetric", "scale",   "zero_point"};
  return kFields;
}

ExprValue MatchScope::lookup(std::span<const std::string> path) const {
  const Node& root = *match_.root();
  Context& context = root.context();
  if (const BoundSlot* slot = rewrite::find_slot(slots_, path[0])) {
    if (path.size() == 1)
      return ExprValue::of_text(slot->present() ? reading_text(context, slot->readings.front()) : "absent");
    if (path.size() == 2) return slot_field(root, *slot, path[1]);
  }
  if (path.size() == 1 && path[0] == "tensors") {
    size_t n = 0;
    for (size_t i = 0; i < root.operand_count(); ++i) {
      const Value* v = root.operand(i);
      const bool number =
          v != nullptr && v->def() != nullptr && v->def()->is(kConstOp) && v->type().rank() == 0;
      n += v != nullptr && v->type().is_tensor() && !number;
    }
    return ExprValue::of(static_cast<double>(n));
  }
  if (path.size() == 1) return attribute(root, path[0]);
  if (path.size() == 2 && path[0] == "root") return attribute(root, path[1]);
  for (size_t i = 0; path.size() == 2 && i < match_.nodes.size(); ++i) {
    const rewrite::PatternStep& step = match_.variant->pattern->steps[match_.variant->steps[i].source];
    const bool named =
        step.value == path[0] || match_.nodes[i]->op().name == path[0] ||
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
    if (slots[i] == nullptr || !slots[i]->present())
      return ExprValue::unknown(fmt::format("{} is absent", args[i]->path[0]));
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
        same = same && first.quant != nullptr && r.quant != nullptr &&
               (first.quant == r.quant || same_numbers(first, r));
      }
    }
  }
  return ExprValue::of(same);
}

}  // namespace zp::backend
