// Verdicts on matches, and what passes ask about weights and biases.
#include "backend/legality.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/conv.h"
#include "ops/ops.h"

namespace zp::backend {

bool Verdict::any_quantized() const {
  for (const auto& slot : as_quantized)
    if (std::find(slot.begin(), slot.end(), true) != slot.end()) return true;
  return false;
}

}  // namespace zp::backend

namespace zp {

using namespace backend;

namespace {

using rewrite::BoundSlot;
using rewrite::WeightAxes;

WeightAxes axes_of(const rewrite::Match& match, const BoundSlot& slot, size_t reading) {
  const Node& node = *match.nodes[slot.name.step];
  const rewrite::SlotReading& r = slot.readings[reading];
  if (slot.name.result || !r.present || !r.value->type().is_tensor()) return {};
  WeightAxes axes = rewrite::weight_axes(node.op(), slot.operands[reading], r.value->type().rank());
  if (node.is(ops::conv_transpose1d) || node.is(ops::conv_transpose2d) || node.is(ops::conv_transpose3d))
    axes.groups = node.attrs<ops::ConvAttrs>().groups;
  return axes;
}

// One dtype configuration against the slots; nothing if all fit.
std::optional<Refusal> try_types(Context& context, const Backend& backend, const rewrite::Match& match,
                                 const TypesDef& types, const AcceptOptions& options, Verdict* verdict,
                                 std::vector<SlotDecision>* decisions) {
  const MatchScope scope(backend, match, verdict->slots);
  std::vector<bool> covered(verdict->slots.size(), false);
  int accepted = 0;
  verdict->as_quantized.assign(verdict->slots.size(), {});
  auto brief = [&](int progress) {
    Refusal r;
    r.progress = 16 * accepted + progress;
    return r;
  };
  auto refuse = [&](std::string slot, const Place& at, std::string wanted, std::string found,
                    std::string text, int progress) {
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
      const WeightAxes axes = axes_of(match, *slot, i);
      ElemAnswer answer =
          accepts_reading(context, st.accepted, r, slot->name.role, axes, &scope, options.wish, options.brief);
      const bool decides = options.wish && options.config != nullptr && !options.config->wishes.empty() &&
                           r.quant == nullptr && r.present;
      if (answer.ok && decides) {
        const auto decision = decide_slot({context, options.config, st.accepted, slot->name, r, axes,
                                           backend.numerics("origin") == "torch"});
        if (decision) {
          if (i == 0 || decision->outcome != Decision::Accepted) decisions->push_back(*decision);
          answer.as_quantized = decision->as_quantized;
          if (decision->outcome == Decision::Refused)
            return refuse(
                st.slot, st.at, decision->wanted, print_elems(st.accepted),
                fmt::format("{} is refused: {}",
                            slot->name.result ? "the wish for the result"
                                              : fmt::format("the wish for operand {}", slot->name.card),
                            decision->text),
                0);
        }
      }
      if (!answer.ok && options.brief) return brief(answer.progress);
      if (!answer.ok) {
        const std::string label = slot->name.result ? "result" : "operand " + slot->name.card;
        return refuse(
            st.slot, st.at, print_elems(st.accepted), reading_text(context, slot->readings[i]),
            fmt::format("{} is {} ({})", label, reading_text(context, slot->readings[i]), answer.why),
            answer.progress);
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
    if (options.brief) return brief(0);
    return refuse(slot.name.name, types.at, "absent", reading_text(context, slot.readings[0]),
                  fmt::format("operand {} is given, types {} know none", slot.name.card, types.name), 0);
  }
  return std::nullopt;
}

}  // namespace

Verdict Backend::accepts(const rewrite::Match& match, const AcceptOptions& options) const {
  Verdict verdict;
  const PatternDef& def = pattern_of(*match.variant);
  verdict.pattern = &def;
  verdict.slots = rewrite::bind_slots(match);
  for (BoundSlot& slot : verdict.slots) {
    for (rewrite::SlotReading& r : slot.readings)
      if (options.redeclared != nullptr && r.quantized == options.redeclared) r.quant = options.declaration;
  }
  Context& context = match.root()->context();
  if (def.types.empty()) {
    verdict.as_quantized.resize(verdict.slots.size());
    for (size_t i = 0; i < verdict.slots.size(); ++i)
      verdict.as_quantized[i].assign(verdict.slots[i].readings.size(), false);
  }
  std::optional<Refusal> nearest;
  const Setting* wished = options.config == nullptr ? nullptr : options.config->find("types");
  bool any_wished = wished == nullptr || def.types.empty();
  for (const auto& [name, at] : def.types) {
    if (wished != nullptr &&
        std::find(wished->values.begin(), wished->values.end(), name) == wished->values.end())
      continue;
    any_wished = true;
    const auto types = std::find_if(tree_.typesets.begin(), tree_.typesets.end(),
                                    [wanted = name](const TypesDef& t) { return t.name == wanted; });
    if (types == tree_.typesets.end()) continue;
    std::vector<SlotDecision> decisions;
    std::optional<Refusal> refusal = try_types(context, *this, match, *types, options, &verdict, &decisions);
    if (!refusal) {
      verdict.types = &*types;
      verdict.decisions = std::move(decisions);
      verdict.passed_over = std::move(nearest);
      nearest.reset();
      break;
    }
    if (!nearest || refusal->progress > nearest->progress) {
      nearest = std::move(refusal);
      verdict.decisions = std::move(decisions);
    }
  }
  if (!any_wished) {
    Refusal r;
    r.clause = fmt::format("config {}", options.config->name);
    r.wanted = fmt::format("types {}", fmt::join(wished->values, ", "));
    r.found = fmt::format("types {}", def.types.front().first);
    r.text = fmt::format("config {} wishes for none of the types of this pattern", options.config->name);
    r.line = options.config->at.line;
    nearest = std::move(r);
  }
  if (nearest) {
    verdict.refusal = std::move(nearest);
    return verdict;
  }
  const MatchScope scope(*this, match, verdict.slots);
  for (size_t i = 0; i < def.where.size(); ++i) {
    const rewrite::ExprValue holds = rewrite::evaluate(*def.where[i], scope);
    // What depends on parameters is not known before there are any.
    if (holds.is_true() || (options.wish && holds.kind == rewrite::ExprValue::Unknown)) continue;
    Refusal r;
    r.progress = 1000;
    if (options.brief) {
      verdict.refusal = std::move(r);
      return verdict;
    }
    const rewrite::ExprFailure failure = rewrite::explain_failure(*def.where[i], scope);
    r.clause = "where";
    r.wanted = failure.wanted;
    r.found = failure.found;
    r.text = fmt::format("{} does not hold: {}", failure.wanted, failure.found);
    r.line = def.where_at[i].line;
    verdict.refusal = std::move(r);
    return verdict;
  }
  return verdict;
}

WeightAnswer Backend::takes_weight_quant(const OpDef& op, size_t operand, const QuantType& quant,
                                         std::span<const Dim> shape) const {
  WeightAnswer answer;
  // The judge needs a Context only to read constants; that of the quantization is not known here, so
  // parameters are read through a context of its own (reading a constant changes none).
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
            if (i < 0 || !slots[static_cast<size_t>(i)].of_root ||
                slots[static_cast<size_t>(i)].operand != operand)
              continue;
            for (const Elem& e : st.accepted) {
              if (accepts_quant(context, e, quant, shape, axes).ok) {
                answer.ok = true;
                return answer;
              }
              const std::string text = print_elem(e);
              if (answer.wanted.find(text) == std::string::npos)
                answer.wanted += (answer.wanted.empty() ? "" : " | ") + text;
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
          // Only where input and weight are integers with known parameters: elsewhere the bias is float
          // anyway.
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
