// A configuration's wish against what a pattern takes, slot by slot: as wished, narrowed (with words), or
// refused with the reason. A configuration that wishes for nothing in particular (`types` only) is a filter
// and asks nothing here.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "backend/legality.h"
#include "support/text_format.h"

namespace zp::backend {
namespace {

const SlotTypes* wish_of(const ConfigDef& config, std::string_view key) {
  for (const SlotTypes& w : config.wishes)
    if (w.slot == key) return &w;
  return nullptr;
}

const Elem* elem_of(const SlotTypes* wish) {
  return wish == nullptr || wish->accepted.empty() ? nullptr : &wish->accepted.front();
}

Elem float_elem() {
  Elem e;
  e.dtype = DType::F32;
  return e;
}

// What is wished for this reading: operands that are computed are activations whatever their role is called.
std::optional<Elem> wished_elem(const ConfigDef& config, const rewrite::SlotName& slot, bool constant) {
  const Elem* activation = elem_of(wish_of(config, "activation-type"));
  if (slot.result) {
    if (const Elem* output = elem_of(wish_of(config, "output-type"))) return *output;
    return activation == nullptr || activation->dynamic ? float_elem() : *activation;
  }
  if (slot.role == Role::Bias) {
    const Elem* bias = elem_of(wish_of(config, "bias-type"));
    return bias == nullptr ? std::nullopt : std::optional<Elem>(*bias);
  }
  if (slot.role == Role::Weight && constant) {
    const Elem* weight = elem_of(wish_of(config, "weight-type"));
    return weight == nullptr ? float_elem() : *weight;
  }
  return activation == nullptr ? float_elem() : *activation;
}

double eps_of(const ConfigDef& config) {
  const Setting* eps = config.find("eps");
  double value = 0;
  if (eps == nullptr) return value;
  const std::string_view text = eps->value();
  if (const size_t hat = text.find('^'); hat != std::string_view::npos) {
    double base = 0, power = 0;
    if (read_number(text.substr(0, hat), &base) && read_number(text.substr(hat + 1), &power))
      return std::pow(base, power);
    return 0;
  }
  read_number(text, &value);
  return value;
}

// What PyTorch does in the same place, for tables that are its own.
std::string_view elsewhere(const rewrite::SlotName& slot, Decision::Outcome outcome) {
  if (slot.role == Role::Weight || slot.role == Role::Bias)
    return outcome == Decision::Refused
               ? " (PyTorch compares it for functional calls only: a module is taken and its weight "
                 "stays float)"
               : " (PyTorch compares it for functional calls only)";
  return outcome == Decision::Refused ? " (PyTorch leaves the operator float without a word)"
                                      : " (PyTorch ignores the whole wish here)";
}

}  // namespace

Wish wish_from(const Elem& e, const ConfigDef& config, bool activation) {
  Wish w;
  w.storage = e.dtype;
  if (is_integer(e.dtype)) {
    w.qmin = e.range ? e.range->first : int_min(e.dtype);
    w.qmax = e.range ? e.range->second : int_max(e.dtype);
    const Setting* reduce = config.find("reduce-range");
    if (activation && !e.range && !e.dynamic && reduce != nullptr && reduce->value() == "yes") {
      w.qmin = is_signed(e.dtype) ? w.qmin / 2 : 0;
      w.qmax /= 2;
    }
    if (const double eps = eps_of(config); eps > 0) w.eps = eps;
  }
  w.symmetric = e.scheme == Scheme::Symmetric;
  w.granularity = e.granularity;
  w.dynamic = e.dynamic;
  if (e.fixed && e.fixed->has_scale() && e.fixed->has_zero()) w.fixed = {e.fixed->scale, e.fixed->zero_point};
  return w;
}

std::optional<SlotDecision> decide_slot(const SlotQuestion& q) {
  const std::optional<Elem> wished = wished_elem(*q.config, q.slot, q.reading.constant);
  if (!wished || wished->any || wished->none || wished->dtype == DType::Unknown) return std::nullopt;
  std::vector<Elem> able;
  for (const Elem& e : q.abilities)
    if (accepts_reading(q.context, std::span<const Elem>(&e, 1), q.reading, q.slot.role, q.axes, nullptr,
                        true)
            .ok)
      able.push_back(e);
  SlotDecision out;
  out.slot = q.slot.name;
  out.wanted = print_elem(*wished);
  // Nothing else than a float is there to be had, and it is taken as it is: numbers of the program, for one.
  const Decision d = decide(able, wish_from(*wished, *q.config, q.slot.role != Role::Weight));
  out.outcome = d.outcome;
  out.text = d.text;
  if (d.elem != nullptr) {
    out.got = print_elem(*d.elem);
    out.as_quantized = is_integer(d.elem->dtype) || (d.elem->any && is_integer(wished->dtype));
  }
  if (able.empty()) out.text = "nothing that is taken here can be made of it";
  if (d.outcome != Decision::Accepted && q.from_torch) out.text += elsewhere(q.slot, d.outcome);
  return out;
}

}  // namespace zp::backend
