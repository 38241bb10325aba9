// Elements of dtype configurations against what stands at a slot.
#include "backend/legality.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ops/ops.h"
#include "rewrite/trace.h"
#include "support/text_format.h"

namespace zp::backend {
namespace {

using rewrite::ExprValue;
using rewrite::Grid;
using rewrite::SlotReading;
using rewrite::WeightAxes;

// Scales of a derived bias agree if they are equal up to the rounding of their product to float.
constexpr double kDerivedTolerance = 1.0 / (1 << 22);

struct Mismatch {
  int progress = 0;
  bool fits = true;
  std::string why;  // only where words are wanted
  bool ok() const { return fits; }
};

// Whether an element fits, and how far it came if not; with `brief`, no words are made.
struct Check {
  Context& context;
  bool brief = false;
  Mismatch fit(int progress) const { return {progress, true, {}}; }
  Mismatch no(int progress, const char* why) const {
    Mismatch m{progress, false, {}};
    if (!brief) m.why = why;
    return m;
  }
  template <typename... Args>
  Mismatch no(int progress, fmt::format_string<Args...> why, Args&&... args) const {
    Mismatch m{progress, false, {}};
    if (!brief) m.why = fmt::format(why, std::forward<Args>(args)...);
    return m;
  }
};

// Does the storage hold the declared range, in at most the width the element names?
Mismatch check_storage(const Check& c, const Elem& e, const QuantType& q) {
  if (q.storage != e.dtype) {
    const bool packs = is_integer(e.dtype) && is_integer(q.storage) &&
                       is_signed(e.dtype) == is_signed(q.storage) && bits_of(e.dtype) < bits_of(q.storage) &&
                       q.qmin >= int_min(e.dtype) && q.qmax <= int_max(e.dtype);
    if (!packs) {
      if (is_integer(e.dtype) && bits_of(e.dtype) < bits_of(q.storage) && is_integer(q.storage)) {
        return c.no(0, "its declared range {}:{} does not fit {}", q.qmin, q.qmax, dtype_name(e.dtype));
      }
      return c.no(0, "it is stored as {}", dtype_name(q.storage));
    }
  }
  if (e.range && (q.qmin < e.range->first || q.qmax > e.range->second)) {
    return c.no(2, "its declared range is {}:{}", q.qmin, q.qmax);
  }
  return c.fit(3);
}

// One scale an output channel where groups of a transposed convolution share the weight's `out` dim: blocks
// of one group's inputs by one channel.
bool is_channel_of_group(const QuantType& q, std::span<const Dim> shape, const WeightAxes& axes) {
  if (axes.groups <= 1 || !q.per_block() || q.block.size() != shape.size()) return false;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (!shape[d].is_known()) return false;
    const int64_t extent = q.block[d] == 0 ? shape[d].value() : q.block[d];
    const auto dim = static_cast<int>(d);
    if (extent != (dim == axes.out ? 1 : dim == axes.in ? shape[d].value() / axes.groups : shape[d].value()))
      return false;
  }
  return true;
}

Mismatch check_granularity(const Check& c, const Elem& e, const QuantType& q, std::span<const Dim> shape,
                           const WeightAxes& axes) {
  const Granularity& g = e.granularity;
  const Grid grid = rewrite::grid_of(q, shape);
  switch (g.kind) {
    case Granularity::Any: return c.fit(5);
    case Granularity::PerTensor: return grid.per_tensor ? c.fit(5) : c.no(3, "it has more than one scale");
    case Granularity::PerToken: return grid.per_token ? c.fit(5) : c.no(3, "it has not one scale a row");
    case Granularity::PerAxis: {
      if (grid.per_tensor) return c.no(3, "it has one scale for the whole tensor");
      if (g.axis_kind == Granularity::Out && is_channel_of_group(q, shape, axes)) return c.fit(5);
      if (grid.axis < 0) return c.no(3, "it has not one scale an index of an axis");
      const int wanted =
          g.axis_kind == Granularity::Out  ? axes.out
          : g.axis_kind == Granularity::In ? axes.in
          : g.axis_kind == Granularity::Every
              ? grid.axis
              : static_cast<int>(g.axis < 0 ? g.axis + static_cast<int64_t>(shape.size()) : g.axis);
      if (grid.axis != wanted) {
        return c.no(4, "its scales run along axis {}{}{}", grid.axis,
                    grid.axis == axes.in ? ", the reduction axis" : "",
                    g.axis_kind == Granularity::Out ? ", not along the output channels" : "");
      }
      return c.fit(5);
    }
    case Granularity::PerGroup: {
      const int wanted = axes.in >= 0 ? axes.in : static_cast<int>(shape.size()) - 1;
      if (grid.group_axis < 0)
        return c.no(
            3, grid.per_tensor ? "it has one scale for the whole tensor" : "it has no groups along one axis");
      if (grid.group_axis != wanted)
        return c.no(4, "its groups run along axis {}, not {}", grid.group_axis, wanted);
      if (g.group != 0 && grid.group != g.group) return c.no(4, "its groups have {} elements", grid.group);
      return c.fit(5);
    }
    case Granularity::Block: break;
  }
  bool same = q.block.size() == g.block.size();
  for (size_t d = 0; same && d < g.block.size(); ++d) {
    const bool whole = q.block[d] == 0 || (shape[d].is_known() && q.block[d] >= shape[d].value());
    same = g.block[d] < 0 || (g.block[d] == 0 ? whole : q.block[d] == g.block[d]);
  }
  return same ? c.fit(5) : c.no(3, "its blocks have other extents");
}

Mismatch check_scheme(const Check& c, const Elem& e, const QuantType& q) {
  if (e.scheme == Scheme::FloatZero)
    return q.domain == ZeroPointDomain::Float ? c.fit(6) : c.no(5, "its zero points are no floats");
  if (q.domain == ZeroPointDomain::Float) return c.no(5, "its zero points are floats");
  if (e.scheme == Scheme::Symmetric && !q.dynamic && !rewrite::is_symmetric(c.context, q)) {
    return c.no(5, is_signed(q.storage) ? "its zero point is not 0"
                                        : "its zero point is not the middle of its range");
  }
  return c.fit(6);
}

Mismatch check_parameters(const Check& c, const Elem& e, const QuantType& q) {
  if (e.dynamic != q.dynamic)
    return c.no(6, q.dynamic ? "its parameters are dynamic" : "its parameters are static");
  if (q.dynamic || (!e.fixed && e.bounds.empty())) return c.fit(7);
  const std::vector<double> scales = rewrite::scales_of(c.context, q);
  if (scales.empty()) return c.no(6, "its scales cannot be read");
  for (const Bound& b : e.bounds) {
    for (double s : scales) {
      if (b.at_least ? s >= b.value : s <= b.value) continue;
      return c.no(6, "a scale is {}", shortest(s));
    }
  }
  if (e.fixed) {
    const auto wanted = static_cast<float>(e.fixed->scale);
    const std::vector<double> zeros = rewrite::zero_points_of(c.context, q, scales.size());
    const bool scale_ok = !e.fixed->has_scale() || std::all_of(scales.begin(), scales.end(), [&](double s) {
      return static_cast<float>(s) == wanted;
    });
    if (!scale_ok) return c.no(6, "its scale is {}", shortest(scales.front()));
    const bool zero_ok = !e.fixed->has_zero() || std::all_of(zeros.begin(), zeros.end(), [&](double z) {
      return z == e.fixed->zero_point;
    });
    if (!zero_ok) return c.no(6, "its zero point is {}", shortest(zeros.front()));
  }
  return c.fit(7);
}

Mismatch check_quant(const Check& c, const Elem& e, const QuantType& q, std::span<const Dim> shape,
                     const WeightAxes& axes) {
  if (q.expressed != DType::F32) return c.no(0, "it expresses {}", dtype_name(q.expressed));
  Mismatch m = check_storage(c, e, q);
  if (m.ok()) m = check_granularity(c, e, q, shape, axes);
  if (m.ok()) m = check_scheme(c, e, q);
  if (m.ok()) m = check_parameters(c, e, q);
  return m;
}

// A derived bias: its parameters must be what the expressions give.
Mismatch check_derived(const Check& c, const Elem& e, const QuantType& q, const rewrite::ExprScope& scope) {
  const ExprValue scale = rewrite::evaluate(*e.derived->scale, scope);
  const ExprValue zero = rewrite::evaluate(*e.derived->zero_point, scope);
  if (scale.kind != ExprValue::Number && scale.kind != ExprValue::List) {
    return c.no(7, "{} cannot be computed: {}", print_expr(*e.derived->scale), scale.str());
  }
  const std::vector<double> scales = rewrite::scales_of(c.context, q);
  const std::vector<double> zeros = rewrite::zero_points_of(c.context, q, scales.size());
  const size_t count =
      scale.kind == ExprValue::List ? std::max(scale.list.size(), scales.size()) : scales.size();
  if (scale.kind == ExprValue::List && scales.size() > 1 && scale.list.size() != scales.size()) {
    return c.no(7, "it has {} scales where {} gives {}", scales.size(), print_expr(*e.derived->scale),
                scale.list.size());
  }
  for (size_t i = 0; i < count; ++i) {
    const double wanted = scale.kind == ExprValue::List ? scale.list[i] : scale.number;
    const double found = scales[scales.size() == 1 ? 0 : i];
    if (!(std::fabs(found - wanted) <= kDerivedTolerance * std::fabs(wanted))) {
      return c.no(7, "its scale is {} where {} = {}", shortest(found), print_expr(*e.derived->scale),
                  shortest(wanted));
    }
  }
  for (size_t i = 0; i < zeros.size(); ++i) {
    const double wanted =
        zero.kind == ExprValue::List ? (i < zero.list.size() ? zero.list[i] : 0) : zero.number;
    if (zeros[i] != wanted)
      return c.no(7, "its zero point is {}, not {}", shortest(zeros[i]), shortest(wanted));
  }
  return c.fit(8);
}

std::string plain_reason(const SlotReading& r) {
  if (r.plain != SlotReading::NoReason) return why_plain(r);
  const Node* def = r.value->def();
  if (def == nullptr) return "it is an input of the graph";
  if (def->is(kConstOp)) return "it is a constant that is not quantized";
  if (def->op().trait == Trait::ShapeOnly && def->operand(0) != nullptr &&
      def->operand(0)->def() != nullptr && def->operand(0)->def()->is(ops::dequantize)) {
    return fmt::format("{} {} stands between it and its dequantize", op_label(*def),
                       rewrite::source_name(*def));
  }
  return fmt::format("it comes from {} {}, not from a dequantize", op_label(*def),
                     rewrite::source_name(*def));
}

// Could a float value be quantized like this? For graphs that are yet to be quantized.
Mismatch check_wish(const Check& c, const Elem& e, const SlotReading& r, const WeightAxes& axes) {
  const Type& type = r.value->type();
  if (type.dtype != DType::F32) return c.no(0, "it is {}", dtype_name(type.dtype));
  const Granularity& g = e.granularity;
  if (g.kind == Granularity::PerAxis && g.axis_kind == Granularity::Out && axes.out < 0)
    return c.no(3, "it has no output channels");
  if (g.kind == Granularity::PerGroup && g.group > 0) {
    const int axis = axes.in >= 0 ? axes.in : type.rank() - 1;
    const Dim extent = axis >= 0 && axis < type.rank() ? type.shape[static_cast<size_t>(axis)] : Dim();
    if (!extent.is_known() || extent.value() % g.group != 0) {
      return c.no(4, "{} elements do not divide into groups of {}", extent.str(), g.group);
    }
  }
  return c.fit(9);
}

Mismatch check_one(const Check& c, const Elem& e, const SlotReading& r, Role role, const WeightAxes& axes,
                   const rewrite::ExprScope* scope, bool wish, bool* as_quantized) {
  *as_quantized = false;
  if (e.none) return r.present ? c.no(0, "it must be absent") : c.fit(9);
  if (!r.present) return c.no(0, "it is absent");
  if (!r.value->type().is_tensor()) return c.no(0, "it is no tensor");
  const bool computed = e.constant && !r.constant;
  if (e.any) {
    *as_quantized = r.quant != nullptr;
    return computed ? c.no(1, "it is not a constant") : c.fit(9);
  }
  const Type& type = r.value->type();
  const bool integers = is_integer(e.dtype);
  const bool index = role == Role::Index || role == Role::Shape || role == Role::Mask || role == Role::State;
  if (!integers || index) {
    // A float (or an index): the value as it is. A dequantize in front of it stays.
    const bool float_storage =
        r.quant != nullptr && is_float(r.quant->storage) && r.quant->storage == e.dtype;
    if (!float_storage) {
      if (type.is_quantized()) return c.no(0, "it is quantized");
      // A float wished in another width is a cast, which any float graph bears.
      const bool cast = wish && is_float(e.dtype) && type.dtype == DType::F32;
      if (type.dtype != e.dtype && !cast) return c.no(0, "it is {}", dtype_name(type.dtype));
      return computed ? c.no(0, "it is not a constant") : c.fit(9);
    }
  }
  if (r.quant == nullptr && !wish)
    return c.brief ? c.no(0, "it is float") : c.no(0, "it is float: {}", plain_reason(r));
  if (computed) return c.no(1, "it is not a constant");
  if (r.quant == nullptr) {
    const Mismatch m = check_wish(c, e, r, axes);
    *as_quantized = m.ok();
    return m;
  }
  Mismatch m = check_quant(c, e, *r.quant, r.quantized->type().shape, axes);
  if (m.ok() && e.derived && scope != nullptr) m = check_derived(c, e, *r.quant, *scope);
  *as_quantized = m.ok();
  return m;
}

}  // namespace

ElemAnswer accepts_reading(Context& context, std::span<const Elem> elems, const SlotReading& reading,
                           Role role, const WeightAxes& axes, const rewrite::ExprScope* scope, bool wish,
                           bool brief) {
  const Check check{context, brief};
  ElemAnswer answer;
  answer.progress = -1;
  for (const Elem& e : elems) {
    bool as_quantized = false;
    Mismatch m = check_one(check, e, reading, role, axes, scope, wish, &as_quantized);
    if (m.ok()) return {true, as_quantized, m.progress, ""};
    if (m.progress > answer.progress) {
      answer.progress = m.progress;
      answer.why = std::move(m.why);
    }
  }
  return answer;
}

ElemAnswer accepts_quant(Context& context, const Elem& elem, const QuantType& quant,
                         std::span<const Dim> shape, const WeightAxes& axes) {
  if (elem.any) return {true, true, 9, ""};
  if (elem.none || elem.dtype == DType::Unknown) return {false, false, 0, "it must be absent"};
  const Mismatch m = check_quant({context}, elem, quant, shape, axes);
  return {m.ok(), m.ok(), m.progress, m.why};
}

}  // namespace zp::backend
