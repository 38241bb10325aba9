#include "backend/config_dtypes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "backend/torch_names.h"
#include "support/text_format.h"

namespace zp::backend {

using zeropoint::DTypeConfig;
using zeropoint::DTypeWithConstraints;

namespace {

// 2^-12, 1/256, or the shortest decimal.
std::string number_text(double value) {
  int exponent = 0;
  if (value > 0 && std::frexp(value, &exponent) == 0.5 && exponent - 1 <= -9) {
    if (exponent - 1 >= -16) return fmt::format("1/{}", int64_t{1} << (1 - exponent));
    return fmt::format("2^{}", exponent - 1);
  }
  if (value > 0 && value < 1 && 1 / value == std::floor(1 / value) && 1 / value < 1e6 &&
      1 / (1 / value) == value)
    return fmt::format("1/{}", static_cast<int64_t>(1 / value));
  return shortest(value);
}

std::string whole_text(double value) {
  return value == std::floor(value) ? std::to_string(static_cast<int64_t>(value)) : shortest(value);
}

std::string elem_text(const std::optional<DTypeWithConstraints>& slot, bool dynamic,
                      std::vector<std::string>* notes) {
  if (!slot) return "any";
  const auto dtype = slot->dtype ? torch_dtype(*slot->dtype) : std::nullopt;
  const DTypeWithConstraints& s = *slot;
  const bool integer = dtype && is_integer(*dtype);
  std::string text(dtype ? dtype_name(*dtype) : "any");
  if (dtype && !integer) {
    const bool bounded = s.quant_min_lower_bound || s.quant_max_upper_bound || s.scale_min_lower_bound ||
                         s.scale_max_upper_bound || s.scale_exact_match || s.zero_point_exact_match;
    if (bounded && notes != nullptr)
      notes->push_back(
          fmt::format("{} has no range and no scale: its bounds are left out", dtype_name(*dtype)));
    return text + (dynamic && is_float(*dtype) && *dtype != DType::F32 ? " dynamic" : "");
  }
  // A bound alone holds too; the other end is that of the type.
  if (integer && (s.quant_min_lower_bound || s.quant_max_upper_bound))
    text += fmt::format("[{}:{}]",
                        whole_text(s.quant_min_lower_bound.value_or(static_cast<double>(int_min(*dtype)))),
                        whole_text(s.quant_max_upper_bound.value_or(static_cast<double>(int_max(*dtype)))));
  if (dynamic) text += " dynamic";
  if (s.scale_exact_match || s.zero_point_exact_match)
    text += fmt::format(" fixed({}, {})", s.scale_exact_match ? number_text(*s.scale_exact_match) : "any",
                        s.zero_point_exact_match ? whole_text(*s.zero_point_exact_match) : "any");
  if (s.scale_min_lower_bound) text += " scale >= " + number_text(*s.scale_min_lower_bound);
  if (s.scale_max_upper_bound) text += " scale <= " + number_text(*s.scale_max_upper_bound);
  return text;
}

// What the usual combinations are called.
constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"u8|u8|i8|f32", "weighted-int8"},
    {"u8|u8|any|any", "default-int8"},
    {"u8 dynamic|f32|i8|f32", "dynamic-int8"},
    {"f16 dynamic|f32|f16|f32", "dynamic-f16"},
    {"f16|f16|f16|f16", "static-f16"},
    {"f32|f32|u8|any", "weights-u8"},
    {"f32|f32|u4|any", "weights-u4"},
    {"f32|f32|i8|any", "weights-i8"},
    {"u8|u8|f32|f32", "io-only"},
    {"i8|i8|i8|f32", "weighted-signed"},
    {"i8|i8|any|any", "default-signed"},
    {"i8 scale >= 1/4096|i8 scale >= 1/4096|any|any", "default-bounded"},
    {"i8 scale >= 1/4096|i8 scale >= 1/4096|i8[-127:127] scale >= 1/4096|f32", "weighted-bounded"},
    {"i8 dynamic scale >= 1/4096|f32|i8[-127:127] scale >= 1/4096|f32", "dynamic-bounded"},
};

// The dictionaries repeat the constraints of a fixed result at its input, where they say nothing of the value
// that comes.
bool repeats_fixed(const DTypeConfig& c) {
  return c.input_dtype && c.output_dtype && *c.input_dtype == *c.output_dtype &&
         (c.input_dtype->scale_exact_match || c.input_dtype->zero_point_exact_match);
}

DTypeWithConstraints slot_of(const Elem& e) {
  DTypeWithConstraints s;
  s.dtype = torch_dtype_name(e.dtype);
  if (e.range) {
    s.quant_min_lower_bound = static_cast<double>(e.range->first);
    s.quant_max_upper_bound = static_cast<double>(e.range->second);
  }
  for (const Bound& b : e.bounds) (b.at_least ? s.scale_min_lower_bound : s.scale_max_upper_bound) = b.value;
  if (e.fixed && e.fixed->has_scale()) s.scale_exact_match = e.fixed->scale;
  if (e.fixed && e.fixed->has_zero()) s.zero_point_exact_match = e.fixed->zero_point;
  return s;
}

// The alternative of a slot that goes with `dtype`, else the first that is no float where others are
// integers.
const Elem* pick(const SlotTypes* slot, DType dtype) {
  if (slot == nullptr || slot->accepted.empty()) return nullptr;
  for (const Elem& e : slot->accepted)
    if (e.dtype == dtype) return &e;
  return &slot->accepted.front();
}

void note_beyond(const TypesDef& types, const SlotTypes& slot, const Elem& e,
                 std::vector<std::string>* notes) {
  if (notes == nullptr) return;
  std::string what;
  if (e.scheme != Scheme::Any) what = "a scheme";
  if (e.granularity.kind != Granularity::Any) what += what.empty() ? "a granularity" : " and a granularity";
  if (e.derived) what = "parameters derived from other slots";
  if (!what.empty())
    notes->push_back(fmt::format("types {}.{}: a dictionary cannot say {} ({})", types.name, slot.slot, what,
                                 print_elem(e)));
}

}  // namespace

Signature signature_of(const OpDef& root, const zeropoint::PatternConfig& entry,
                       const std::vector<std::string>& extra) {
  Signature s;
  std::vector<std::string> data;
  const bool product = root.name == "matmul" || root.name == "baddbmm";
  const bool weight_named = std::any_of(entry.input_type_to_index.begin(), entry.input_type_to_index.end(),
                                        [](const auto& i) { return i.first == "weight"; });
  for (const OperandDef& o : root.operands) {
    if (o.role == Role::Data && !o.optional) data.emplace_back(o.name);
    if (o.role == Role::Weight && s.weight.empty()) s.weight = "w";
    if (o.role == Role::Bias && s.bias.empty()) s.bias = "b";
    s.index_input = s.index_input || o.role == Role::Index;
  }
  if (product && !weight_named && !s.weight.empty()) {
    s.weight.clear();
    s.inputs = {"x", "w"};
    s.first = "x";
  } else if (data.size() == 2) {
    s.inputs = {"a", "b"};
    s.first = "a";
    s.second = "b";
  } else if (!data.empty()) {
    s.inputs = {"x"};
    s.first = "x";
    for (size_t i = 1; i < data.size(); ++i) s.inputs.push_back(data[i]);
  }
  if (s.first.empty()) s.first = "y";
  s.index_input = s.index_input && s.inputs.empty();
  s.inputs.insert(s.inputs.end(), extra.begin(), extra.end());
  return s;
}

std::string DTypeNames::name(const DTypeConfig& config, const Signature& s, std::vector<std::string>* notes) {
  const bool dynamic = config.is_dynamic.value_or(false);
  auto input = config.input_dtype;
  if (repeats_fixed(config)) input = DTypeWithConstraints(*input->dtype);
  const std::string x = elem_text(input, dynamic, notes);
  const std::string y = elem_text(config.output_dtype, false, notes);
  const std::string w = elem_text(config.weight_dtype, false, notes);
  const std::string b =
      config.bias_dtype ? elem_text(DTypeWithConstraints(*config.bias_dtype), false, notes) : "any";
  std::string block, letters;
  auto add = [&](const std::string& slot, const std::string& elem) {
    block += fmt::format("\n    {}: {}", slot, elem);
    letters += slot;
  };
  for (const std::string& slot : s.inputs) add(slot, x);
  if (!s.weight.empty()) add(s.weight, w);
  if (!s.bias.empty()) add(s.bias, b);
  add("y", y);
  const std::string combination = fmt::format("{}|{}|{}|{}", x, y, w, b);
  auto base = bases_.find(combination);
  if (base == bases_.end()) {
    const auto usual = std::find_if(std::begin(kNames), std::end(kNames),
                                    [&](const auto& n) { return n.first == combination; });
    base = bases_
               .emplace(combination, usual != std::end(kNames) ? std::string(usual->second)
                                                               : fmt::format("dtypes{}", bases_.size() + 1))
               .first;
  }
  const std::string name = fmt::format("{}-{}", base->second, letters);
  if (by_block_.emplace(name, block).second) items_.emplace_back(name, block);
  return name;
}

std::string DTypeNames::print() const {
  std::string out;
  for (const auto& [name, block] : items_) out += fmt::format("  types {} {{{}\n  }}\n", name, block);
  return out;
}

std::vector<DTypeConfig> dtype_configs_of(const TypesDef& types, const Signature& s,
                                          std::vector<std::string>* notes) {
  std::vector<DTypeConfig> out;
  const SlotTypes* x = s.inputs.empty() ? nullptr : types.find(s.inputs.front());
  for (const char* other : {"x", "a"})
    if (x == nullptr && !s.inputs.empty()) x = types.find(other);
  const SlotTypes* y = types.find("y");
  const SlotTypes* w = s.weight.empty() ? nullptr : types.find(s.weight);
  const SlotTypes* b = s.bias.empty() ? nullptr : types.find(s.bias);
  static const std::vector<Elem> kNone(1);
  for (const Elem& in : x != nullptr ? x->accepted : kNone) {
    DTypeConfig d;
    if (x != nullptr && !in.any) {
      d.input_dtype = slot_of(in);
      if (in.dynamic) d.is_dynamic = true;
      note_beyond(types, *x, in, notes);
    } else if (s.index_input) {
      d.input_dtype = DTypeWithConstraints("torch.float32");
    }
    if (const Elem* e = pick(y, in.dtype); e != nullptr && !e->any) d.output_dtype = slot_of(*e);
    if (const Elem* e = pick(w, DType::Unknown); e != nullptr && !e->any) {
      d.weight_dtype = slot_of(*e);
      note_beyond(types, *w, *e, notes);
    }
    // A bias derived from input and weight is a float there, quantized by the kernel.
    if (const Elem* e = pick(b, DType::F32); e != nullptr && !e->any)
      d.bias_dtype = torch_dtype_name(e->derived ? DType::F32 : e->dtype);
    if (d.output_dtype && d.input_dtype && !in.fixed && d.output_dtype->dtype == d.input_dtype->dtype &&
        (d.output_dtype->scale_exact_match || d.output_dtype->zero_point_exact_match))
      d.input_dtype = d.output_dtype;
    if (std::find(out.begin(), out.end(), d) == out.end()) out.push_back(std::move(d));
  }
  return out;
}

}  // namespace zp::backend
