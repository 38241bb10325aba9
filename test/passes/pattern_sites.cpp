#include "pattern_sites.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ops/ops.h"

namespace zp::test {
namespace {

using backend::Elem;
using backend::Granularity;
using backend::Scheme;

int spatial_dims(std::string_view name) { return name[name.find_last_of('d') - 1] - '0'; }
std::vector<int> with_space(std::vector<int> lead, int dims, int extent) {
  for (int d = 0; d < dims; ++d) lead.push_back(extent + d % 2);
  return lead;
}
std::string repeated(int count, int value) {
  std::string text = "[";
  for (int i = 0; i < count; ++i) text += (i > 0 ? "," : "") + std::to_string(value);
  return text + "]";
}

std::vector<Site> convolution_sites(std::string_view name) {
  const int dims = spatial_dims(name);
  const bool transposed = name.find("transpose") != std::string_view::npos;
  auto site = [&](int in, int out, int groups, int kernel, std::string attrs) {
    const std::vector<int> w =
        transposed ? std::vector<int>{in, out / groups} : std::vector<int>{out, in / groups};
    std::vector<int> kernel_shape = w;
    for (int d = 0; d < dims; ++d) kernel_shape.push_back(kernel);
    return Site{{with_space({1, in}, dims, 5), kernel_shape, {out}},
                fmt::format("{}{}groups: {}", attrs, attrs.empty() ? "" : ", ", groups),
                out};
  };
  return {site(4, 6, 1, 3, "padding: [1]"), site(4, 4, 2, 1, ""), site(4, 4, 4, 3, "stride: [2]")};
}

std::string size_of_pool(std::string_view name) {
  const int dims = spatial_dims(name);
  return name.starts_with("adaptive") ? "output_size: " + repeated(dims, 2)
                                      : "kernel_size: " + repeated(dims, 2);
}

std::string shape_text(const std::vector<int>& shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }
int count_of(const std::vector<int>& shape) {
  int n = 1;
  for (int d : shape) n *= d;
  return n;
}

// Attributes of a step behind the root.
std::string step_attrs(std::string_view name) {
  if (name == "hardtanh") return " {min_val: -0.25, max_val: 0.5}";
  if (name == "clamp") return " {min: -0.5}";
  return "";
}

class Drawer {
 public:
  explicit Drawer(const Drawing& d) : d_(d) {}

  std::string draw() {
    const rewrite::Variant& v = *d_.variant;
    const size_t choice = v.root_choice(*d_.root);
    const std::vector<rewrite::SlotName>& slots = v.slots[choice];
    for (size_t s = 0; s < v.steps.size(); ++s) step(s, slots);
    const std::string last = fmt::format("n{}", v.steps.size() - 1);
    const auto result =
        std::find_if(slots.begin(), slots.end(), [](const auto& slot) { return slot.result; });
    const SlotValue& y = d_.values[static_cast<size_t>(result - slots.begin())];
    std::string out = last;
    if (y.kind == SlotValue::Integer) {
      // One scale a tensor or an index of the last axis, whatever shape the result has.
      nodes_ += fmt::format("  %yq = quantize(%{}) {{type: {}}}\n  %y = dequantize(%yq)\n", last,
                            type_of(y, {}, ""));
      out = "y";
    }
    std::string outputs = "%" + out;
    if (d_.reader) outputs += fmt::format(", %n{}", *d_.reader);
    return fmt::format("zp 1\n{}graph main({}) -> ({}) {{\n{}}}\n", head_, inputs_, outputs, nodes_);
  }

 private:
  void step(size_t s, const std::vector<rewrite::SlotName>& slots) {
    const rewrite::Variant::Step& step = d_.variant->steps[s];
    const bool root = s == d_.variant->root;
    const OpDef& op = root ? *d_.root : *step.ops[d_.alternative % step.ops.size()];
    const int chained = step.chained >= 0 ? rewrite::chained_operand(op) : -1;
    std::string args;
    const auto add = [&](const std::string& text) { args += (args.empty() ? "" : ", ") + text; };
    for (size_t k = 0; k < op.operands.size(); ++k) {
      if (static_cast<int>(k) == chained) {
        add(fmt::format("%n{}", step.chained));
        continue;
      }
      if (k < step.args.size() && step.args[k].kind == rewrite::Variant::Arg::Inner) {
        add(fmt::format("%n{}", step.args[k].index));
        continue;
      }
      const auto slot = std::find_if(slots.begin(), slots.end(), [&](const rewrite::SlotName& name) {
        const size_t at = name.argument >= 0 ? static_cast<size_t>(name.argument) : name.operand;
        return !name.result && name.step == s && at == k;
      });
      const auto number = static_cast<size_t>(slot - slots.begin());
      if (slot == slots.end()) {
        add("%" + plain(op, k));
        continue;
      }
      const SlotValue& value = d_.values[number];
      if (value.kind == SlotValue::Absent) continue;
      const size_t copies = op.operands[k].variadic && slot->variadic ? 2 : 1;
      for (size_t c = 0; c < copies; ++c)
        add("%" + make(value, shape_at(op, k + c), slot->role, fmt::format("v{}_{}", number, c)));
    }
    std::string attrs = step_attrs(op.name);
    if (root) attrs = d_.site.attrs.empty() ? "" : " {" + d_.site.attrs + "}";
    std::string results = fmt::format("%n{}", s);
    for (size_t r = 1; r < op.results.size(); ++r) results += fmt::format(", %n{}_{}", s, r);
    nodes_ += fmt::format("  {} = {}({}){}\n", results, op.name, args, attrs);
  }

  std::vector<int> shape_at(const OpDef& op, size_t operand) const {
    if (op.name == "batch_norm" && &op != d_.root) return {d_.site.channels};
    const auto& shapes = d_.site.shapes;
    return shapes[std::min(operand, shapes.size() - 1)];
  }

  // An operand that no slot speaks of: a float constant.
  std::string plain(const OpDef& op, size_t operand) {
    SlotValue value;
    value.constant = true;
    return make(value, shape_at(op, operand), Role::Data, fmt::format("p{}", plain_++));
  }

  std::string make(const SlotValue& value, const std::vector<int>& shape, Role role,
                   const std::string& name) {
    const int count = count_of(shape);
    if (role == Role::Index) {
      head_ += fmt::format("@{0} = i64{1} [{2}]\n", name, shape_text(shape), list(count, 0, 5, 1));
      nodes_ += fmt::format("  %{0} = const @{0}\n", name);
      return name;
    }
    if (value.constant && value.kind == SlotValue::Float) {
      // All above zero: it may be a variance.
      const std::string values = list(count, 1, 40, 0.03125);
      head_ += fmt::format("@{} = f32{} {}\n", name, shape_text(shape),
                           shape.empty() ? values : "[" + values + "]");
      nodes_ += fmt::format("  %{0} = const @{0}\n", name);
      return name;
    }
    if (value.constant) {
      const auto low = static_cast<int>(std::max<int64_t>(value.low, -900)),
                 high = static_cast<int>(std::min<int64_t>(value.high, 900));
      head_ += fmt::format("@{} = {}{} [{}]\n", name, dtype_name(value.storage), shape_text(shape),
                           list(count, low, high, 1));
      nodes_ += fmt::format("  %{0}q = const @{0} : {1}{2}\n  %{0} = dequantize(%{0}q)\n", name,
                            type_of(value, shape, name), shape_text(shape));
      return name;
    }
    inputs_ += fmt::format("{}%{}i: f32{}", inputs_.empty() ? "" : ", ", name, shape_text(shape));
    if (value.kind == SlotValue::Float) return name + "i";
    const std::string type = type_of(value, shape, name);
    if (value.dynamic) {
      nodes_ += fmt::format(
          "  %{0}s, %{0}z = choose_qparams(%{0}i) {{type: {1}, rule: \"affine_asymmetric\", scale_dtype: "
          "f32, "
          "zero_point_dtype: {2}}}\n  %{0}q = quantize(%{0}i, %{0}s, %{0}z) {{type: {1}}}\n"
          "  %{0} = dequantize(%{0}q, %{0}s, %{0}z)\n",
          name, type, dtype_name(value.storage));
    } else {
      nodes_ +=
          fmt::format("  %{0}q = quantize(%{0}i) {{type: {1}}}\n  %{0} = dequantize(%{0}q)\n", name, type);
    }
    return name;
  }

  // The type of a value; its lists of scales become constants.
  std::string type_of(const SlotValue& v, const std::vector<int>& shape, const std::string& name) {
    std::string text(dtype_name(v.storage));
    if (v.low != int_min(v.storage) || v.high != int_max(v.storage))
      text += fmt::format("<{}:{}>", v.low, v.high);
    const int rank = static_cast<int>(shape.size());
    if (v.dynamic) {
      if (v.grid != SlotValue::Token) return text + "(dynamic)";
      std::string block;
      for (int d = 0; d < rank; ++d) block += d + 1 == rank ? "*" : "1,";
      return text + "(dynamic block [" + block + "])";
    }
    if (v.derived != 0) return text + derived(v, name);
    if (v.grid == SlotValue::Tensor) return text + fmt::format("({}, {})", v.scale, v.zero_point);
    std::string lists_shape, block;
    int cells = 1;
    for (int d = 0; d < rank; ++d) {
      const int extent = shape[static_cast<size_t>(d)];
      const bool along = d == v.axis;
      const int step = v.grid == SlotValue::Group   ? (along ? v.group : 1)
                       : v.grid == SlotValue::Token ? (d + 1 == rank ? extent : 1)
                                                    : 1;
      const int entries = (extent + step - 1) / step;
      if (v.grid == SlotValue::Axis && !along) continue;
      lists_shape += fmt::format("{}{}", lists_shape.empty() ? "" : ",", entries);
      block += fmt::format("{}{}", block.empty() ? "" : ",", step);
      cells *= entries;
    }
    head_ += fmt::format("@{}s = f32[{}] [{}]\n", name, lists_shape, list(cells, 1, 7, 0.0078125));
    std::string lists = fmt::format(": @{}s", name);
    if (v.zero_point != 0) {
      head_ += fmt::format("@{}z = {}[{}] [{}]\n", name, dtype_name(v.storage), lists_shape,
                           list(cells, 0, v.zero_point, 1));
      lists += fmt::format(", @{}z", name);
    }
    return v.grid == SlotValue::Axis ? text + fmt::format("(axis {}{})", v.axis, lists)
                                     : text + fmt::format("(block [{}]{})", block, lists);
  }

  // The bias of an integer product.
  std::string derived(const SlotValue& v, const std::string& name) {
    const auto& slots = d_.variant->slots[d_.variant->root_choice(*d_.root)];
    double input = 1;
    const SlotValue* weight = nullptr;
    for (size_t i = 0; i < slots.size(); ++i) {
      if (slots[i].role == Role::Weight && slots[i].of_root) weight = &d_.values[i];
      else if (slots[i].role == Role::Data && slots[i].of_root && !slots[i].result)
        input = d_.values[i].scale;
    }
    if (weight == nullptr || weight->grid != SlotValue::Axis) {
      const double scale = input * (weight == nullptr ? 1 : weight->scale) * v.derived;
      return fmt::format("({}, {})", static_cast<float>(scale), v.zero_point);
    }
    const int channels = d_.site.channels;
    std::string scales;
    for (int i = 0; i < channels; ++i)
      scales += fmt::format("{}{}", i > 0 ? "," : "",
                            static_cast<float>(number(i, 1, 7, 0.0078125) * input * v.derived));
    head_ += fmt::format("@{}s = f32[{}] [{}]\n", name, channels, scales);
    return fmt::format("(axis 0: @{}s)", name);
  }

  static double number(int i, int low, int high, double unit) {
    return unit * (low + (i * 37 + 5) % std::max(1, high - low + 1));
  }
  static std::string list(int count, int low, int high, double unit) {
    std::string text;
    for (int i = 0; i < count; ++i) text += fmt::format("{}{}", i > 0 ? "," : "", number(i, low, high, unit));
    return text;
  }

  const Drawing& d_;
  std::string head_, inputs_, nodes_;
  size_t plain_ = 0;
};

SlotValue::Grid grid_for(const Elem& e, const rewrite::WeightAxes& axes, int rank, SlotValue* v) {
  switch (e.granularity.kind) {
    case Granularity::PerAxis:
      v->axis = e.granularity.axis_kind == Granularity::In       ? axes.in
                : e.granularity.axis_kind == Granularity::Number ? static_cast<int>(e.granularity.axis)
                                                                 : std::max(axes.out, 0);
      return SlotValue::Axis;
    case Granularity::PerGroup:
      v->axis = axes.in >= 0 ? axes.in : rank - 1;
      v->group = e.granularity.group > 0 ? static_cast<int>(e.granularity.group) : 8;
      return SlotValue::Group;
    case Granularity::PerToken: return SlotValue::Token;
    default: return SlotValue::Tensor;
  }
}

}  // namespace

std::vector<Site> sites_of(const OpDef& op) {
  const std::string_view name = op.name;
  if (name.starts_with("conv")) return convolution_sites(name);
  if (name == "linear") return {{{{3, 16}, {12, 16}, {12}}, "", 12}, {{{3, 20}, {12, 20}, {12}}, "", 12}};
  if (name == "matmul")
    return {{{{3, 16}, {16, 12}}, "", 12}, {{{2, 3, 16}, {2, 16, 5}}, "", 5}, {{{3, 20}, {20, 12}}, "", 12}};
  if (name == "addmm")
    return {{{{12}, {3, 16}, {16, 12}}, "", 12},          {{{12}, {3, 16}, {16, 12}}, "alpha: 2", 12},
            {{{12}, {3, 16}, {16, 12}}, "beta: 0.5", 12}, {{{1}, {3, 16}, {16, 12}}, "", 12},
            {{{3, 12}, {3, 16}, {16, 12}}, "", 12},       {{{12}, {3, 20}, {20, 12}}, "", 12}};
  if (name == "embedding")
    return {{{{8, 32}, {2, 3}}, "", 32}, {{{8, 48}, {2, 3}}, "", 48}, {{{8, 36}, {2, 3}}, "", 36}};
  if (name == "cat" || name == "stack") return {{{{2, 3, 4}}, "dim: 1", 3}};
  if (name == "pixel_shuffle") return {{{{1, 8, 2, 3}}, "upscale_factor: 2", 2}};
  if (name == "softmax") return {{{{1, 4, 4, 6}}, "dim: -1", 4}};
  if (name.find("pool") != std::string_view::npos) {
    const int dims = spatial_dims(name);
    return {{{with_space({1, 4}, dims, 4)}, size_of_pool(name), 4}};
  }
  if (name.starts_with("upsample")) {
    const int dims = spatial_dims(name);
    return {{{with_space({1, 2}, dims, 3)}, "output_size: " + repeated(dims, 7), 2}};
  }
  if (name == "mean" || name == "amax" || name == "amin")
    return {{{{1, 4, 4, 6}}, "dims: [2,3], keepdim: true", 4}};
  if (name == "hardtanh") return {{{{1, 4, 4, 6}}, "min_val: -0.25, max_val: 0.5", 4}};
  if (name == "clamp") return {{{{1, 4, 4, 6}}, "min: -0.5", 4}};
  if (name == "threshold") return {{{{1, 4, 4, 6}}, "threshold: 0.1, value: -0.2", 4}};
  size_t data = 0, others = 0;
  for (const OperandDef& operand : op.operands) (operand.role == Role::Data ? data : others) += 1;
  if (others > 0 || op.has(kEffect)) return {};
  if (data == 1) return {{{{1, 4, 4, 6}}, "", 4}};
  if (data == 2)
    return {{{{2, 3, 4}, {2, 3, 4}}, "", 3}, {{{2, 3, 4}, {3, 1}}, "", 3}, {{{2, 3, 4}, {}}, "", 3}};
  return {};
}

std::optional<ElemValues> values_for(const Elem& e, const rewrite::SlotName& slot, int rank,
                                     const rewrite::WeightAxes& axes) {
  ElemValues out;
  SlotValue& v = out.inside;
  v.label = "inside";
  v.constant = e.constant || (!slot.result && (slot.role == Role::Weight || slot.role == Role::Bias));
  if (slot.role == Role::Index || slot.role == Role::Shape) return out;
  if (e.granularity.kind == Granularity::Block || e.scheme == Scheme::FloatZero) return std::nullopt;
  if (e.none) v.kind = SlotValue::Absent;
  const auto outside = [&](std::string label, auto&& change) {
    SlotValue other = v;
    other.label = std::move(label);
    change(other);
    out.outside.push_back(std::move(other));
  };
  const auto computed = [](SlotValue& o) { o.constant = false; };
  if (e.none) return out;
  if (!e.any && is_float(e.dtype)) {
    if (e.constant) outside("const", computed);
    return out;
  }
  v.kind = SlotValue::Integer;
  const DType elem = e.any ? DType::I8 : e.dtype;
  v.storage = bits_of(elem) < 8 ? (is_signed(elem) ? DType::I8 : DType::U8) : elem;
  v.low = e.range ? e.range->first : int_min(elem);
  v.high = e.range ? e.range->second : int_max(elem);
  v.dynamic = e.dynamic;
  v.scale = slot.result ? 0.11 : 0.03125;
  if (e.fixed && e.fixed->has_scale()) v.scale = e.fixed->scale;
  for (const backend::Bound& b : e.bounds)
    v.scale = b.at_least ? std::max(v.scale, b.value) : std::min(v.scale, b.value);
  if (e.scheme != Scheme::Symmetric && !e.derived) v.zero_point = is_signed(v.storage) ? 3 : 131;
  if (e.fixed && e.fixed->has_zero()) v.zero_point = static_cast<int>(e.fixed->zero_point);
  if (e.derived) v.derived = 1;
  v.grid = grid_for(e, axes, rank, &v);

  outside("float", [](SlotValue& o) { o.kind = SlotValue::Float, o.constant = false; });
  if (bits_of(elem) == 8 && !e.any) {
    outside("storage", [](SlotValue& o) {
      const bool was_signed = is_signed(o.storage);
      o.storage = was_signed ? DType::U8 : DType::I8;
      o.low = int_min(o.storage), o.high = int_max(o.storage);
      o.zero_point = was_signed ? (o.zero_point == 0 ? 0 : 120) : 3;
    });
    if (!e.dynamic)
      outside("width",
              [](SlotValue& o) { o.storage = DType::I16, o.low = -32768, o.high = 32767, o.zero_point = 0; });
  }
  if (v.low > int_min(v.storage)) outside("range low", [](SlotValue& o) { --o.low; });
  if (v.high < int_max(v.storage)) outside("range high", [](SlotValue& o) { ++o.high; });
  if (e.scheme == Scheme::Symmetric && !e.dynamic)
    outside("symmetric", [](SlotValue& o) { o.zero_point = 1; });
  if (e.constant) outside("const", [](SlotValue& o) { o.constant = false, o.grid = SlotValue::Tensor; });
  if (!v.constant && !slot.result && e.granularity.kind == Granularity::PerTensor)
    outside(e.dynamic ? "static" : "dynamic", [](SlotValue& o) { o.dynamic = !o.dynamic; });
  if (v.grid == SlotValue::Axis) {
    outside("axis: one scale", [](SlotValue& o) { o.grid = SlotValue::Tensor; });
    if (axes.in >= 0 && axes.in != v.axis) outside("axis: other", [&](SlotValue& o) { o.axis = axes.in; });
  }
  if (v.grid == SlotValue::Group) {
    outside("group: one scale", [](SlotValue& o) { o.grid = SlotValue::Tensor; });
    if (axes.out >= 0) outside("group: other axis", [&](SlotValue& o) { o.axis = axes.out, o.group = 4; });
  }
  if (v.grid == SlotValue::Tensor && v.constant && e.granularity.kind == Granularity::PerTensor &&
      axes.in >= 0)
    outside("one scale: axis", [&](SlotValue& o) { o.grid = SlotValue::Axis, o.axis = axes.in; });
  if (v.grid == SlotValue::Token)
    outside("token: one scale", [](SlotValue& o) { o.grid = SlotValue::Tensor; });
  if (e.fixed && e.fixed->has_scale()) outside("fixed scale", [](SlotValue& o) { o.scale *= 2; });
  if (e.fixed && e.fixed->has_zero()) outside("fixed zero", [](SlotValue& o) { o.zero_point += 1; });
  for (const backend::Bound& b : e.bounds)
    outside("bound", [&](SlotValue& o) { o.scale = b.at_least ? b.value * 0.99 : b.value * 1.01; });
  if (e.derived) outside("derived", [](SlotValue& o) { o.derived = 1.5; });
  return out;
}

std::string draw(const Drawing& drawing) { return Drawer(drawing).draw(); }

}  // namespace zp::test
