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
  const rewrite::SlotReading& r = slot.readings[reading];
  if (slot.name.role != Role::Weight || slot.name.result || !r.present || !r.value->type().is_tensor())
    return {};
  const Node& node = *match.nodes[slot.name.step];
  WeightAxes axes = rewrite::weight_axes(node.op(), slot.operands[reading], r.value->type().rank());
  if (node.is(ops::conv_transpose1d) || node.is(ops::conv_transpose2d) || node.is(ops::conv_transpose3d))
    axes.groups = node.attrs<ops::ConvAttrs>().groups;
  return axes;
}

// The value as it was before it was quantized.
void forget_quantizer(rewrite::SlotReading* r) {
  if (!r->present || !r->value->type().is_tensor() || r->value->type().is_quantized()) return;
  r->constant = r->constant || rewrite::from_constant(*r->value);
  r->quantized = nullptr;
  r->quant = nullptr;
  r->converter = nullptr;
}

// How far a refused attempt came, and, where it was asked for, why.
struct Miss {
  int progress = 0;
  Refusal refusal;
};

// One match against the dtype configurations of its pattern. What is brief makes no words.
class Judge {
 public:
  Judge(const Backend& backend, const rewrite::Match& match, const AcceptOptions& options, Verdict* verdict)
      : backend_(backend),
        context_(match.root()->context()),
        match_(match),
        options_(options),
        verdict_(*verdict),
        scope_(backend, match, verdict->slots) {}

  // One dtype configuration against the slots; nothing if all fit.
  std::optional<Miss> try_types(const TypesPlan& plan, std::vector<SlotDecision>* decisions) {
    accepted_ = 0;
    for (auto& taken : verdict_.as_quantized) taken.clear();
    for (size_t i = 0; i < plan.slots.size(); ++i) {
      if (plan.slots[i] < 0) continue;
      const auto index = static_cast<size_t>(plan.slots[i]);
      const BoundSlot& slot = verdict_.slots[index];
      for (size_t k = 0; k < slot.readings.size(); ++k) {
        if (auto miss = try_reading(*plan.types, plan.types->slots[i], slot, k, decisions)) return miss;
      }
      ++accepted_;
    }
    for (const size_t i : plan.uncovered) {
      const BoundSlot& slot = verdict_.slots[i];
      if (!slot.present()) continue;
      verdict_.as_quantized[i].assign(slot.readings.size(), false);
      const Role role = slot.name.role;
      if (slot.name.result || (role != Role::Data && role != Role::Weight && role != Role::Bias)) continue;
      Miss miss = missed(0);
      if (options_.brief) return miss;
      return refuse(std::move(miss), *plan.types, slot.name.name, plan.types->at, "absent",
                    reading_text(context_, slot.readings[0]),
                    fmt::format("operand {} is given, types {} know none", slot.name.card, plan.types->name));
    }
    return std::nullopt;
  }

  std::optional<Miss> try_where(const PatternDef& def) {
    for (size_t i = 0; i < def.where.size(); ++i) {
      const rewrite::ExprValue holds = rewrite::evaluate(*def.where[i], scope_);
      // What depends on parameters is not known before there are any.
      if (holds.is_true() || (options_.wish && holds.kind == rewrite::ExprValue::Unknown)) continue;
      Miss miss{1000, {}};
      if (options_.brief) return miss;
      const rewrite::ExprFailure failure = rewrite::explain_failure(*def.where[i], scope_);
      miss.refusal.clause = "where";
      miss.refusal.wanted = failure.wanted;
      miss.refusal.found = failure.found;
      miss.refusal.text = fmt::format("{} does not hold: {}", failure.wanted, failure.found);
      miss.refusal.line = def.where_at[i].line;
      return miss;
    }
    return std::nullopt;
  }

 private:
  Miss missed(int progress) const { return {16 * accepted_ + progress, {}}; }

  static Miss refuse(Miss miss, const TypesDef& types, std::string_view slot, const Place& at,
                     std::string wanted, std::string found, std::string text) {
    miss.refusal.clause = fmt::format("types {}.{}", types.name, slot);
    miss.refusal.wanted = std::move(wanted);
    miss.refusal.found = std::move(found);
    miss.refusal.text = std::move(text);
    miss.refusal.line = at.line;
    return miss;
  }

  std::optional<Miss> try_reading(const TypesDef& types, const SlotTypes& st, const BoundSlot& slot, size_t k,
                                  std::vector<SlotDecision>* decisions) {
    const rewrite::SlotReading& r = slot.readings[k];
    auto& taken = verdict_.as_quantized[static_cast<size_t>(&slot - verdict_.slots.data())];
    if (!r.present && slot.name.optional) {
      taken.push_back(false);
      return std::nullopt;
    }
    const WeightAxes axes = axes_of(match_, slot, k);
    ElemAnswer answer = accepts_reading(context_, st.accepted, r, slot.name.role, axes, &scope_,
                                        options_.wish, options_.brief);
    const bool decides = answer.ok && options_.wish && options_.config != nullptr &&
                         !options_.config->wishes.empty() && r.quant == nullptr && r.present;
    if (decides) {
      const auto decision = decide_slot({context_, options_.config, st.accepted, slot.name, r, axes,
                                         backend_.numerics("origin") == "torch"});
      if (decision) {
        if (k == 0 || decision->outcome != Decision::Accepted) decisions->push_back(*decision);
        answer.as_quantized = decision->as_quantized;
        if (decision->outcome == Decision::Refused)
          return refuse(missed(0), types, st.slot, st.at, decision->wanted, print_elems(st.accepted),
                        fmt::format("{} is refused: {}",
                                    slot.name.result ? "the wish for the result"
                                                     : fmt::format("the wish for operand {}", slot.name.card),
                                    decision->text));
      }
    }
    if (answer.ok) {
      taken.push_back(answer.as_quantized);
      return std::nullopt;
    }
    Miss miss = missed(answer.progress);
    if (options_.brief) return miss;
    const std::string label = slot.name.result ? "result" : "operand " + slot.name.card;
    const std::string found = reading_text(context_, r);
    return refuse(std::move(miss), types, st.slot, st.at, print_elems(st.accepted), found,
                  fmt::format("{} is {} ({})", label, found, answer.why));
  }

  const Backend& backend_;
  Context& context_;
  const rewrite::Match& match_;
  const AcceptOptions& options_;
  Verdict& verdict_;
  MatchScope scope_;
  int accepted_ = 0;
};

Refusal refusal_of(Miss miss) {
  miss.refusal.progress = miss.progress;
  return std::move(miss.refusal);
}

}  // namespace

std::vector<int> backend::slots_of(const TypesDef& types, std::span<const rewrite::SlotName> slots) {
  std::vector<int> out;
  for (const SlotTypes& st : types.slots) out.push_back(rewrite::find_slot_name(slots, st.slot));
  // "b" is a bias, else the second operand: of an operator without a bias whose second operand has a name of
  // its own in the configuration (the weight of a product), it means nothing.
  for (size_t i = 0; i < out.size(); ++i) {
    const bool named = std::count(out.begin(), out.end(), out[i]) > 1;
    if (types.slots[i].slot == "b" && out[i] >= 0 && named) out[i] = -1;
  }
  return out;
}

void Backend::plan_types() {
  plans_.resize(set_.rank_count());
  for (size_t p = 0; p < tree_.patterns.size(); ++p) {
    const PatternDef& def = tree_.patterns[p];
    for (const rewrite::Variant& variant : set_.variants_of(p)) {
      for (const std::vector<rewrite::SlotName>& slots : variant.slots) {
        std::vector<TypesPlan>& plans = plans_[variant.rank].emplace_back();
        for (const auto& [name, at] : def.types) {
          TypesPlan& plan = plans.emplace_back();
          const auto types =
              std::find_if(tree_.typesets.begin(), tree_.typesets.end(),
                           [wanted = std::string_view(name)](const TypesDef& t) { return t.name == wanted; });
          if (types == tree_.typesets.end()) continue;
          plan.types = &*types;
          std::vector<bool> covered(slots.size(), false);
          plan.slots = slots_of(*types, slots);
          for (const int slot : plan.slots)
            if (slot >= 0) covered[static_cast<size_t>(slot)] = true;
          for (size_t i = 0; i < slots.size(); ++i)
            if (!covered[i]) plan.uncovered.push_back(i);
        }
      }
    }
  }
}

Verdict Backend::accepts(const rewrite::Match& match, const AcceptOptions& options) const {
  Verdict verdict;
  judge(match, options, &verdict);
  return verdict;
}

void Backend::judge(const rewrite::Match& match, const AcceptOptions& options, Verdict* out) const {
  Verdict& verdict = *out;
  const PatternDef& def = pattern_of(*match.variant);
  verdict.pattern = &def;
  verdict.types = nullptr;
  verdict.refusal.reset();
  verdict.passed_over.reset();
  verdict.decisions.clear();
  rewrite::bind_slots(match, &verdict.slots);
  if (options.redeclared != nullptr) {
    for (BoundSlot& slot : verdict.slots)
      for (rewrite::SlotReading& r : slot.readings)
        if (r.quantized == options.redeclared) r.quant = options.declaration;
  }
  if (options.bare) {
    for (BoundSlot& slot : verdict.slots)
      for (rewrite::SlotReading& r : slot.readings) forget_quantizer(&r);
  }
  verdict.as_quantized.resize(verdict.slots.size());
  if (def.types.empty()) {
    for (size_t i = 0; i < verdict.slots.size(); ++i)
      verdict.as_quantized[i].assign(verdict.slots[i].readings.size(), false);
  }
  Judge judge(*this, match, options, out);
  std::optional<Miss> nearest;
  const Setting* wished = options.config == nullptr ? nullptr : options.config->find("types");
  bool any_wished = wished == nullptr || def.types.empty();
  const std::vector<TypesPlan>& plans =
      plans_[match.variant->rank][match.variant->root_choice(match.root()->op())];
  for (const TypesPlan& plan : plans) {
    if (plan.types == nullptr) continue;
    if (wished != nullptr &&
        std::find(wished->values.begin(), wished->values.end(), plan.types->name) == wished->values.end())
      continue;
    any_wished = true;
    std::vector<SlotDecision> decisions;
    std::optional<Miss> miss = judge.try_types(plan, &decisions);
    if (!miss) {
      verdict.types = plan.types;
      verdict.decisions = std::move(decisions);
      if (nearest && !options.brief) verdict.passed_over = refusal_of(std::move(*nearest));
      nearest.reset();
      break;
    }
    if (!nearest || miss->progress > nearest->progress) {
      nearest = std::move(miss);
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
    verdict.refusal = std::move(r);
    return;
  }
  if (!nearest) nearest = judge.try_where(def);
  if (nearest) verdict.refusal = refusal_of(std::move(*nearest));
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
      const std::vector<rewrite::SlotName>& slots = variant.slots[variant.root_choice(op)];
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
      const std::vector<rewrite::SlotName>& slots = variant.slots[variant.root_choice(op)];
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
