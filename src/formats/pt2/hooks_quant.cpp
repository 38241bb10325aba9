// Hooks of quantization operators: scales and zero points that are numbers or constants become part of a
// QuantType, computed ones stay operands of a dynamic type. Static parameters are checked here, so that a bad
// one is reported with its place. Sources: torch/ao/quantization/fx/_decomposed.py,
// torchao/quantization/quant_primitives.py.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/pt2/hooks.h"
#include "ops/ops.h"
#include "support/text_format.h"

namespace zp::pt2 {
namespace {

constexpr int64_t kMaxChecked = 1 << 16;  // more parameters than this are checked when they are first used

// The scale and zero point arguments of a node.
struct Params {
  const Constant* scale_constant = nullptr;
  const Constant* zero_constant = nullptr;
  Value* scale = nullptr;
  Value* zero_point = nullptr;
  bool dynamic = false;
  DType scale_dtype = DType::F32;
  bool float_zero = false;
  std::optional<double> scale_number, zero_number;

  std::vector<Value*> operands(Value* input) const {
    std::vector<Value*> values = {input};
    if (!dynamic) return values;
    values.push_back(scale);
    if (zero_point != nullptr) values.push_back(zero_point);
    return values;
  }
};

std::optional<double> only_element(NodeReader& n, const Constant& constant) {
  if (constant.stripped || constant.elements() != 1) return std::nullopt;
  auto tensor = constant_tensor(n.context(), constant);
  if (!tensor.ok()) return std::nullopt;
  return is_float(constant.dtype) ? tensor->get_double(0) : static_cast<double>(tensor->get_int(0));
}

const Constant* constant_argument(NodeReader& n, std::string_view name) {
  const Arg& a = n.arg(name);
  return a.tag == ArgTag::Tensor ? n.graph().constant_of(a.value) : nullptr;
}

// `one`: a single pair of parameters, which becomes a number where it is known.
Result<bool> read_params(NodeReader& n, std::string_view scale, std::string_view zero, bool one, Params* p) {
  p->scale_number = n.real(scale);
  if (n.arg(zero).tag == ArgTag::Float)
    return Error("pt2.zero_point", fmt::format("zero point {} is no integer", shortest(n.arg(zero).f, true)));
  if (n.arg(zero).tag != ArgTag::Tensor) p->zero_number = n.real(zero);
  p->scale_constant = constant_argument(n, scale);
  p->zero_constant = constant_argument(n, zero);
  if (p->scale_constant != nullptr && p->scale_constant->stripped) p->scale_constant = nullptr;
  if (p->zero_constant != nullptr && p->zero_constant->stripped) p->zero_constant = nullptr;
  if (one && p->scale_constant != nullptr) p->scale_number = only_element(n, *p->scale_constant);
  if (one && p->zero_constant != nullptr) p->zero_number = only_element(n, *p->zero_constant);
  const bool zero_absent = n.is_none(zero);
  const bool known = one ? p->scale_number && (p->zero_number || zero_absent)
                         : p->scale_constant != nullptr && (p->zero_constant != nullptr || zero_absent);
  if (known) {
    if (!one) p->scale_dtype = p->scale_constant->dtype;
    p->float_zero = p->zero_constant != nullptr && is_float(p->zero_constant->dtype);
    return true;
  }
  p->dynamic = true;
  ZP_TRY(p->scale, n.tensor(scale));
  ZP_TRY(p->zero_point, n.tensor(zero));
  if (p->scale == nullptr || !p->scale->type().is_tensor()) return n.no("it has no scale");
  p->scale_dtype = p->scale->type().dtype;
  p->float_zero = p->zero_point != nullptr && is_float(p->zero_point->type().dtype);
  return true;
}

// Scales finite and positive, zero points within the storage type.
Status check_values(NodeReader& n, const QuantType& quant) {
  auto bad_scale = [&](double scale, std::string_view which) {
    return Error("pt2.scale", fmt::format("scale {}{}; scales must be finite and positive", scale, which));
  };
  auto bad_zero = [&](double zero, std::string_view which) {
    return Error("pt2.zero_point",
                 fmt::format("zero point {}{} is outside of {} ({}..{})", zero, which,
                             dtype_name(quant.storage), int_min(quant.storage), int_max(quant.storage)));
  };
  const bool integer = quant.domain == ZeroPointDomain::Integer && is_integer(quant.storage);
  auto inside = [&](double zero) {
    return zero >= static_cast<double>(int_min(quant.storage)) &&
           zero <= static_cast<double>(int_max(quant.storage));
  };
  if (quant.dynamic) return {};
  if (quant.scales == nullptr) {
    if (!(quant.scale > 0) || !std::isfinite(quant.scale)) return bad_scale(quant.scale, "");
    if (integer && !inside(quant.zero_point)) return bad_zero(quant.zero_point, "");
    if (!std::isfinite(quant.zero_point))
      return Error("pt2.zero_point", fmt::format("zero point {} is not finite", quant.zero_point));
    return {};
  }
  if (quant.scales->elements() > kMaxChecked) return {};
  ZP_TRY(const Tensor scales, constant_tensor(n.context(), *quant.scales));
  for (int64_t i = 0; i < scales.elements(); ++i) {
    const double s = scales.get_double(i);
    if (!(s > 0) || !std::isfinite(s))
      return bad_scale(s, fmt::format(" of channel or block {} in '{}'", i, quant.scales->name));
  }
  if (!integer || quant.zero_points == nullptr || quant.zero_points->stripped) return {};
  ZP_TRY(const Tensor zeros, constant_tensor(n.context(), *quant.zero_points));
  for (int64_t i = 0; i < zeros.elements(); ++i) {
    if (!inside(static_cast<double>(zeros.get_int(i))))
      return bad_zero(static_cast<double>(zeros.get_int(i)),
                      fmt::format(" of channel or block {} in '{}'", i, quant.zero_points->name));
  }
  return {};
}

// Completes a type whose storage, range and granularity are set.
Result<const QuantType*> finish(NodeReader& n, QuantType quant, const Params& p) {
  quant.dynamic = p.dynamic;
  quant.scale_dtype = p.scale_dtype;
  quant.domain = p.float_zero ? ZeroPointDomain::Float : ZeroPointDomain::Integer;
  if (p.dynamic) {
    if (p.zero_point == nullptr) quant.domain = ZeroPointDomain::None;
  } else if (quant.per_tensor()) {
    quant.scale = *p.scale_number;
    quant.zero_point = p.zero_number.value_or(0);
    quant.scale_dtype = DType::F32;
    if (quant.zero_point == std::floor(quant.zero_point)) quant.domain = ZeroPointDomain::Integer;
  } else {
    quant.scales = p.scale_constant;
    quant.zero_points = p.zero_constant;
  }
  const QuantType* interned = n.context().quant(quant);
  bool& checked = n.graph().state().quant_checked[interned];
  if (!checked) {
    ZP_CHECK(check_values(n, *interned));
    checked = true;
  }
  return interned;
}

// quant_min, quant_max and the storage type.
Result<bool> read_range(NodeReader& n, std::string_view dtype, QuantType* quant) {
  const auto storage = n.dtype(dtype);
  if (!storage) return n.no(fmt::format("its {} is not known", dtype));
  if (!is_integer(*storage)) return n.no(fmt::format("its storage is {}", dtype_name(*storage)));
  quant->storage = *storage;
  auto bound = [&](std::string_view name, int64_t otherwise) -> std::optional<int64_t> {
    if (n.is_none(name)) return otherwise;
    if (const Constant* c = constant_argument(n, name)) {  // the .tensor2 overloads
      const auto value = only_element(n, *c);
      return value ? std::optional<int64_t>(static_cast<int64_t>(*value)) : std::nullopt;
    }
    const auto real = n.real(name);
    return real && std::floor(*real) == *real && std::abs(*real) < 9e15
               ? std::optional<int64_t>(static_cast<int64_t>(*real))
               : std::nullopt;
  };
  const auto lo = bound("quant_min", int_min(*storage)), hi = bound("quant_max", int_max(*storage));
  if (!lo || !hi) return n.no("its range is not known");
  quant->qmin = *lo;
  quant->qmax = *hi;
  return true;
}

enum class Granularity { Tensor, Channel, Token, Group };

Granularity granularity_of(std::string_view target) {
  const std::string_view base = base_name(target);
  if (base.find("per_channel_group") != std::string_view::npos) return Granularity::Group;
  if (base.find("per_channel") != std::string_view::npos) return Granularity::Channel;
  return base.find("per_token") != std::string_view::npos ? Granularity::Token : Granularity::Tensor;
}

// Sets axis or block for an input of that type.
Result<bool> set_granularity(NodeReader& n, Granularity granularity, const Type& input, QuantType* quant) {
  if (granularity == Granularity::Tensor) return true;
  if (!input.ranked || input.shape.empty()) return n.no("the rank of its input is not known");
  const int rank = input.rank();
  std::vector<int64_t> block(static_cast<size_t>(rank), 1);
  if (granularity == Granularity::Channel) {
    const auto axis = n.integer("axis");
    if (!axis) return n.no("its axis is not known");
    const int64_t wrapped = *axis < 0 ? *axis + rank : *axis;
    if (wrapped < 0 || wrapped >= rank)
      return Error("pt2.axis", fmt::format("axis {} of a tensor of rank {}", *axis, rank));
    quant->axis = static_cast<int32_t>(wrapped);
    return true;
  }
  block.back() = 0;
  if (granularity == Granularity::Group) {
    const auto group = n.integer("group_size");
    if (!group || *group <= 0 || rank != 2) return n.no("groups are known for matrices only");
    const Dim row = input.shape[1];
    if (!row.is_known() || *group < row.value()) block.back() = *group;
  }
  quant->block = n.context().ints(block);
  return true;
}

// The type of the tensor argument `name` without making a node for it.
Result<const Type*> type_of_argument(NodeReader& n, std::string_view name) {
  const Arg& a = n.arg(name);
  if (a.tag != ArgTag::Tensor)
    return Error("pt2.argument",
                 fmt::format("argument '{}' is {}, a tensor is wanted", name, arg_tag_name(a.tag)));
  if (const Constant* c = n.graph().constant_of(a.value)) {
    return n.context().tensor(c->dtype, std::span<const int64_t>(c->shape));
  }
  ZP_TRY(const Value* value, n.graph().value_of(a.value, false));
  return value->type_ptr();
}

Result<bool> emit(NodeReader& n, const OpDef& op, const QuantType* quant, bool zero_point_first,
                  const Params& p, Value* input) {
  AttrBuilder attrs(op, n.context());
  attrs.set_quant("type", quant);
  if (zero_point_first) attrs.set_bool("zero_point_first", true);
  ZP_TRY(Node * node, n.make(attrs, p.operands(input)));
  return n.bind_all(node);
}

Result<bool> quantize(NodeReader& n) {
  ZP_TRY(Value * input, n.tensor("input"));
  QuantType quant;
  quant.expressed = input->type().real_dtype();
  const Granularity granularity = granularity_of(n.row().target);
  ZP_TRY(const bool range, read_range(n, "dtype", &quant));
  if (!range) return false;
  ZP_TRY(const bool cells, set_granularity(n, granularity, input->type(), &quant));
  if (!cells) return false;
  Params p;
  const bool plural = n.row().find("scales") != nullptr;
  ZP_TRY(const bool read, read_params(n, plural ? "scales" : "scale", plural ? "zero_points" : "zero_point",
                                      quant.per_tensor(), &p));
  if (!read) return false;
  ZP_TRY(const QuantType* type, finish(n, quant, p));
  const bool zero_first = granularity == Granularity::Token || granularity == Granularity::Group;
  return emit(n, ops::quantize, type, zero_first, p, input);
}

Result<bool> dequantize(NodeReader& n) {
  ZP_TRY(const Type* input, type_of_argument(n, "input"));
  QuantType quant;
  ZP_TRY(const bool range, read_range(n, "dtype", &quant));
  if (!range) return false;
  const std::string_view out = n.row().find("out_dtype") != nullptr ? "out_dtype" : "output_dtype";
  if (n.row().find(out) != nullptr && !n.is_none(out)) {
    const auto expressed = n.dtype(out);
    if (!expressed || !is_float(*expressed)) return n.no("its result is no float");
    quant.expressed = *expressed;
  }
  ZP_TRY(const bool cells, set_granularity(n, granularity_of(n.row().target), *input, &quant));
  if (!cells) return false;
  Params p;
  const bool plural = n.row().find("scales") != nullptr;
  ZP_TRY(const bool read, read_params(n, plural ? "scales" : "scale", plural ? "zero_points" : "zero_point",
                                      quant.per_tensor(), &p));
  if (!read) return false;
  ZP_TRY(const QuantType* type, finish(n, quant, p));
  ZP_TRY(Value * value, n.graph().as_quantized(n.arg("input").value, type));
  AttrBuilder attrs(ops::dequantize, n.context());
  ZP_TRY(Node * node, n.make(attrs, p.operands(value)));
  return n.bind_all(node);
}

// torchao gives the extent of a block along each dim; the whole extent is written as such. Parameters of
// activations keep a row per token also where there is one token.
Result<bool> set_block(NodeReader& n, const Type& input, bool dynamic, QuantType* quant) {
  const auto sizes = n.dim_list("block_size");
  if (!input.ranked || !sizes || sizes->size() != input.shape.size()) {
    return n.no(fmt::format("its block size does not fit its input {}", input.str()));
  }
  std::vector<int64_t> block;
  int split = 0, axis = -1;
  bool ones = true;
  for (size_t d = 0; d < sizes->size(); ++d) {
    const Dim size = (*sizes)[d];
    const bool whole = size == input.shape[d] && !(dynamic && size == Dim(1));
    if (!whole && !size.is_known()) return n.no("its block size is symbolic");
    if (!whole && size.value() < 1)
      return Error("pt2.block", fmt::format("block extent {} in dim {}", size.value(), d));
    block.push_back(whole ? 0 : size.value());
    if (whole) continue;
    ++split;
    axis = static_cast<int>(d);
    ones = ones && size.value() == 1;
  }
  if (split == 0) return true;
  if (split == 1 && ones && !dynamic) quant->axis = axis;
  else quant->block = n.context().ints(block);
  return true;
}

Result<bool> quantize_affine(NodeReader& n) {
  const bool quantizes = n.row().op == "quantize";
  ZP_TRY(const Type* input, type_of_argument(n, "input"));
  QuantType quant;
  ZP_TRY(const bool range, read_range(n, quantizes ? "output_dtype" : "input_dtype", &quant));
  if (!range) return false;
  quant.expressed = quantizes ? input->real_dtype() : n.dtype("output_dtype").value_or(DType::F32);
  if (!is_float(quant.expressed)) return n.no("its real type is no float");
  const bool computed = constant_argument(n, "scale") == nullptr ||
                        (!n.is_none("zero_point") && constant_argument(n, "zero_point") == nullptr);
  ZP_TRY(const bool cells, set_block(n, *input, computed, &quant));
  if (!cells) return false;
  Params p;
  ZP_TRY(const bool read, read_params(n, "scale", "zero_point", quant.per_tensor(), &p));
  if (!read) return false;
  ZP_TRY(const QuantType* type, finish(n, quant, p));
  if (quantizes) {
    ZP_TRY(Value * value, n.tensor("input"));
    return emit(n, ops::quantize, type, false, p, value);
  }
  ZP_TRY(Value * value, n.graph().as_quantized(n.arg("input").value, type));
  AttrBuilder attrs(ops::dequantize, n.context());
  ZP_TRY(Node * node, n.make(attrs, p.operands(value)));
  return n.bind_all(node);
}

// --- fake quantize
// ------------------------------------------------------------------------------------------------

// The narrowest storage that holds the range.
DType storage_for(int64_t lo, int64_t hi) {
  for (DType d : {DType::U8, DType::I8, DType::U16, DType::I16}) {
    if (lo >= int_min(d) && hi <= int_max(d)) return d;
  }
  return DType::I32;
}

Result<bool> fake(NodeReader& n, std::string_view input_name, std::string_view scale, std::string_view zero,
                  std::optional<int64_t> axis) {
  ZP_TRY(Value * input, n.tensor(input_name));
  const auto lo = n.integer("quant_min"), hi = n.integer("quant_max");
  if (!lo || !hi) return n.no("its range is not known");
  QuantType quant;
  quant.qmin = *lo;
  quant.qmax = *hi;
  quant.storage = storage_for(*lo, *hi);
  quant.expressed = input->type().real_dtype();
  if (axis) {
    if (!input->type().ranked) return n.no("the rank of its input is not known");
    const int64_t rank = input->type().rank(), wrapped = *axis < 0 ? *axis + rank : *axis;
    if (wrapped < 0 || wrapped >= rank)
      return Error("pt2.axis", fmt::format("axis {} of a tensor of rank {}", *axis, rank));
    quant.axis = static_cast<int32_t>(wrapped);
  }
  Params p;
  ZP_TRY(const bool read, read_params(n, scale, zero, quant.per_tensor(), &p));
  if (!read) return false;
  ZP_TRY(const QuantType* type, finish(n, quant, p));
  if (n.result_count() < 6) return emit(n, ops::fake_quantize, type, false, p, input);
  // The functional form also returns the observer's state: as it was, for its observer does nothing here.
  if (n.result_used(1)) return n.no("its mask is read");
  AttrBuilder attrs(ops::fake_quantize, n.context());
  attrs.set_quant("type", type);
  ZP_TRY(Node * node, n.make(attrs, p.operands(input)));
  n.bind(0, node->result());
  const std::string_view state[] = {"running_min", "running_max", "scale", "zero_point"};
  for (size_t k = 0; k < 4; ++k) {
    if (!n.result_used(k + 2)) continue;
    ZP_TRY(Value * value, n.tensor(state[k]));
    n.bind(k + 2, value);
  }
  return true;
}

Result<bool> identity(NodeReader& n, std::string_view input_name) {
  ZP_TRY(Value * input, n.tensor(input_name));
  const OpDef* op = n.card("identity");
  if (op == nullptr) return n.no({});
  ZP_TRY(Node * node, n.make(AttrBuilder(*op, n.context()), {input}));
  return n.bind_all(node);
}

Result<bool> fake_quantize(NodeReader& n) {
  const bool decomposed = n.row().find("scales") != nullptr;
  std::optional<int64_t> axis;
  if (n.row().find("axis") != nullptr) {
    axis = n.integer("axis");
    if (!axis) return n.no("its axis is not known");
  }
  if (n.row().find("fake_quant_enabled") != nullptr) {
    const Constant* enabled = constant_argument(n, "fake_quant_enabled");
    const auto value = enabled != nullptr ? only_element(n, *enabled) : std::nullopt;
    if (!value) return n.no("whether it is enabled is not known");
    if (*value == 0) return identity(n, "self");
  }
  return decomposed ? fake(n, "input", "scales", "zero_points", axis)
                    : fake(n, "self", "scale", "zero_point", axis);
}

// The training kernel computes scales by another formula than convert does from the same observed range
// (aten/src/ATen/native/quantized/cpu/QuantUtils.h against calculate_qparams of the observer): the trained
// ones stay, and how far the others would be is reported.
void compare_with_convert(NodeReader& n) {
  const Constant* constants[] = {constant_argument(n, "scale"), constant_argument(n, "running_min"),
                                 constant_argument(n, "running_max")};
  Tensor values[3];
  for (int i = 0; i < 3; ++i) {
    if (constants[i] == nullptr || !is_float(constants[i]->dtype)) return;
    Result<Tensor> read = constant_tensor(n.context(), *constants[i]);
    if (!read.ok() || read->elements() != (i == 0 ? read->elements() : values[0].elements())) return;
    values[i] = std::move(read).value();
  }
  const auto lo = n.integer("quant_min"), hi = n.integer("quant_max");
  if (!lo || !hi || *hi <= *lo) return;
  const bool symmetric = n.boolean("symmetric_quant").value_or(false);
  double worst = 0, trained = 0, other = 0;
  for (int64_t i = 0; i < values[0].elements(); ++i) {
    const double low = std::min(values[1].get_double(i), 0.0), high = std::max(values[2].get_double(i), 0.0);
    const double levels = static_cast<double>(*hi) - static_cast<double>(*lo);
    const double converted =
        std::max(symmetric ? std::max(-low, high) / (levels / 2) : (high - low) / levels, 0x1p-23);
    const double scale = values[0].get_double(i);
    if (!(scale > 0) || !std::isfinite(converted)) continue;  // it never observed anything
    const double deviation = std::abs(converted / scale - 1);
    if (deviation > worst) worst = deviation, trained = scale, other = converted;
  }
  if (worst < 1e-6) return;
  n.graph().state().report(
      Diagnostic{Severity::Warning, "pt2.trained-scale", n.graph().state().place(&n.data()),
                 fmt::format("the trained scale {:.6g} is kept; convert would choose {:.6g}, {:.3g} % apart",
                             trained, other, worst * 100)});
}

// The observer part is left out: the stored parameters are those of the end of training.
Result<bool> fused_fake_quantize(NodeReader& n) {
  auto flag = [&](std::string_view name) -> std::optional<double> {
    const Constant* c = constant_argument(n, name);
    return c != nullptr ? only_element(n, *c) : std::nullopt;
  };
  const auto enabled = flag("fake_quant_on"), observing = flag("observer_on");
  if (!enabled) return n.no("whether it is enabled is not known");
  if (observing.value_or(0) != 0) {
    n.graph().state().report(
        Diagnostic{Severity::Warning, "pt2.observer", n.graph().state().place(&n.data()),
                   "the observer is still on: its stored scale and zero point are used, not the next ones"});
  }
  if (*enabled == 0) return identity(n, "self");
  compare_with_convert(n);
  const bool per_row = n.boolean("per_row_fake_quant").value_or(false);
  const auto axis = n.integer("ch_axis");
  if (per_row && !axis) return n.no("its axis is not known");
  return fake(n, "self", "scale", "zero_point", per_row ? axis : std::nullopt);
}

// --- choosing parameters
// ------------------------------------------------------------------------------------------

Result<bool> choose(NodeReader& n, std::string_view rule, QuantType quant, double eps, DType scale_dtype,
                    DType zero_dtype, bool keepdim) {
  ZP_TRY(Value * input, n.tensor("input"));
  if (input == nullptr) return n.no("it has no input");
  quant.dynamic = true;
  quant.expressed = input->type().real_dtype();
  quant.scale_dtype = scale_dtype;
  AttrBuilder attrs(ops::choose_qparams, n.context());
  attrs.set_quant("type", n.context().quant(quant));
  attrs.set_text("rule", rule);
  attrs.set_float("eps", eps);
  attrs.set_dtype("scale_dtype", scale_dtype);
  attrs.set_dtype("zero_point_dtype", zero_dtype);
  attrs.set_bool("keepdim", keepdim);
  ZP_TRY(Node * node, n.make(attrs, {input}, 2));
  return n.bind_all(node);
}

Result<bool> choose_qparams(NodeReader& n) {
  const std::string_view base = base_name(n.row().target);
  QuantType quant;
  ZP_TRY(const bool range, read_range(n, "dtype", &quant));
  if (!range) return false;
  if (base.find("per_token") == std::string_view::npos) {
    const auto eps = n.real("eps");
    if (!eps) return n.no("its eps is not known");
    return choose(n, base == "choose_qparams_symmetric" ? "symmetric" : "minmax", quant, *eps, DType::F64,
                  DType::I64, false);
  }
  ZP_TRY(const Type* input, type_of_argument(n, "input"));
  ZP_TRY(const bool cells, set_granularity(n, Granularity::Token, *input, &quant));
  if (!cells) return false;
  const bool asymmetric = base.find("asymmetric") != std::string_view::npos;
  quant.qmin = -128;
  quant.qmax = 127;
  return choose(n, asymmetric ? "per_token_asymmetric" : "per_token", quant,
                asymmetric ? 1.1920928955078125e-07 : 1e-5, DType::F64, DType::I64, false);
}

// The smallest normal number of the input's type is the least scale where none is given.
double smallest_normal(DType dtype) {
  return dtype == DType::F16 ? 6.103515625e-05 : static_cast<double>(std::numeric_limits<float>::min());
}

Result<bool> choose_qparams_affine(NodeReader& n) {
  ZP_TRY(const Type* input, type_of_argument(n, "input"));
  QuantType quant;
  ZP_TRY(const bool range, read_range(n, "target_dtype", &quant));
  if (!range) return false;
  ZP_TRY(const bool cells, set_block(n, *input, true, &quant));
  if (!cells) return false;
  const std::string_view mapping = n.text("mapping_type");
  const std::string_view rule = mapping == "ASYMMETRIC"                  ? "affine_asymmetric"
                                : mapping == "SYMMETRIC"                 ? "affine_symmetric"
                                : mapping == "SYMMETRIC_NO_CLIPPING_ERR" ? "affine_symmetric_no_clipping"
                                                                         : "";
  if (rule.empty()) return n.no(fmt::format("mapping type '{}'", mapping));
  const DType real = input->real_dtype();
  return choose(n, rule, quant, n.real("eps").value_or(smallest_normal(real)),
                n.dtype("scale_dtype").value_or(real), n.dtype("zero_point_dtype").value_or(DType::I32),
                n.boolean("keepdim").value_or(false));
}

}  // namespace

std::span<const NamedHook> quant_hooks() {
  static constexpr NamedHook kHooks[] = {
      {"quantize", quantize},
      {"dequantize", dequantize},
      {"quantize_affine", quantize_affine},
      {"fake_quantize", fake_quantize},
      {"fused_fake_quantize", fused_fake_quantize},
      {"choose_qparams", choose_qparams},
      {"choose_qparams_affine", choose_qparams_affine},
  };
  return kHooks;
}

}  // namespace zp::pt2
