#include "passes/fuse/observers.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/legality.h"
#include "ops/ops.h"
#include "ops/quant.h"
#include "passes/constant_eval.h"
#include "rewrite/trace.h"

namespace zp::fuse {
namespace {

using backend::ObserveRule;
using backend::SlotTypes;
using rewrite::BoundSlot;
using rewrite::SlotReading;

// The quantizer at an operand or a result, a fake one too.
const QuantType* quantizer_at(const SlotReading& r) {
  if (r.quant != nullptr) return r.quant;
  const Node* def = r.value->def();
  if (!r.result) {
    return def != nullptr && def->is(ops::fake_quantize) ? def->attrs<ops::FakeQuantizeAttrs>().type
                                                         : nullptr;
  }
  const Node* reader = r.value->only_user();
  return reader != nullptr && reader->is(ops::fake_quantize) && reader->operand(0) == r.value
             ? reader->attrs<ops::FakeQuantizeAttrs>().type
             : nullptr;
}

// The value itself, in front of the quantizer an operand comes through.
const Value* real_value(const SlotReading& r) {
  const Value* value = r.value;
  while (!r.result && value->def() != nullptr && value->def()->op().trait == Trait::Quantizer &&
         value->def()->operand(0) != nullptr)
    value = value->def()->operand(0);
  return value;
}

std::string name_of(const SlotReading& r) {
  const Value* value = real_value(r);
  return value->def() == nullptr ? std::string(value->name()) : rewrite::source_name(*value->def());
}

class Observers {
 public:
  Observers(const Backend& backend, const backend::ConfigDef* config) : backend_(backend), config_(config) {}

  void run(const Graph& graph) {
    std::vector<rewrite::Candidate> candidates;
    ConstantFlow::start(graph);
    for (Node* node : graph.nodes()) {
      if (node->result_count() > 0 && ConstantFlow::is_constant(node->result())) continue;  // known ahead
      rewrite::match_at(backend_.pattern_set(), node, [&](rewrite::Match match) {
        candidates.push_back({std::move(match), candidates.size()});
      });
    }
    const auto fits = [&](size_t i) {
      backend_.judge(candidates[i].match, bare(true), &verdict_);
      return verdict_.ok();
    };
    for (size_t i : rewrite::choose(backend_.pattern_set(), candidates, nullptr, fits))
      rows_of(candidates[i].match);
  }

  std::vector<ObserverRow> take() { return std::move(rows_); }

 private:
  backend::AcceptOptions bare(bool brief) const {
    return {.wish = true, .config = config_, .bare = true, .brief = brief};
  }

  void rows_of(const rewrite::Match& match) {
    backend_.judge(match, bare(true), &verdict_);
    if (!verdict_.ok() || verdict_.types == nullptr) return;
    match_ = &match;
    std::vector<BoundSlot> slots;  // with the quantizers that are there
    rewrite::bind_slots(match, &slots);
    const backend::MatchScope scope(backend_, match, slots);
    double tensors = scope.lookup(std::vector<std::string>{"tensors"}).number;
    for (const BoundSlot& slot : slots) {
      const SlotTypes* types = types_of(slot, slots);
      if (types == nullptr || !slot.present()) continue;
      const ObserveRule* rule = rule_of(slot, slots, tensors);
      for (size_t k = 0; k < slot.readings.size(); ++k) add_row(match, slots, slot, k, *types, rule, scope);
    }
  }

  const SlotTypes* types_of(const BoundSlot& slot, std::span<const BoundSlot> slots) const {
    const rewrite::Variant& variant = *match_->variant;
    const std::vector<int> spoken_of =
        backend::slots_of(*verdict_.types, variant.slots[variant.root_choice(match_->root()->op())]);
    const auto index = static_cast<int>(&slot - slots.data());
    for (size_t i = 0; i < spoken_of.size(); ++i)
      if (spoken_of[i] == index) return &verdict_.types->slots[i];
    return nullptr;
  }

  const ObserveRule* rule_of(const BoundSlot& slot, std::span<const BoundSlot> slots, double tensors) const {
    for (const ObserveRule& rule : verdict_.pattern->observe) {
      const bool applies = !rule.tensors || static_cast<double>(*rule.tensors) == tensors;
      if (applies && rewrite::find_slot(slots, rule.slot) == &slot) return &rule;
    }
    return nullptr;
  }

  void add_row(const rewrite::Match& match, std::span<const BoundSlot> slots, const BoundSlot& slot, size_t k,
               const SlotTypes& types, const ObserveRule* rule, const backend::MatchScope& scope) {
    const SlotReading& r = slot.readings[k];
    if (!r.value->type().is_tensor()) return;
    Context& context = match.root()->context();
    const QuantType* has = quantizer_at(r);
    const bool none = rule != nullptr && rule->kind == ObserveRule::None;
    // Where the real value is taken nothing is observed; where integers are, something must be.
    const auto any_of = [&](auto&& test) {
      return std::any_of(types.accepted.begin(), types.accepted.end(), test);
    };
    const bool integers = !none && any_of([](const backend::Elem& e) { return is_integer(e.dtype); });
    const bool derived = any_of([](const backend::Elem& e) { return e.derived.has_value(); });
    const bool index = slot.name.role == Role::Index || slot.name.role == Role::Shape;
    if (((!integers || derived) && has == nullptr) || index) return;  // derived parameters follow from others
    ObserverRow row;
    row.value = name_of(r);
    row.node = rewrite::source_name(*match.root());
    row.pattern = verdict_.pattern->pattern.name;
    row.types = verdict_.types->name;
    row.slot = slot.name.name;
    row.wants = backend::print_elems(types.accepted);
    row.trains_as = verdict_.pattern->train;
    wishes(types.slot, slot.name, &row);
    row.rule = none ? "none" : derived ? "derived" : "own";
    const BoundSlot* like =
        rule != nullptr && rule->kind == ObserveRule::Like ? rewrite::find_slot(slots, rule->like) : nullptr;
    if (like != nullptr && like->present()) row.rule = "like " + name_of(like->readings.front());
    if (has != nullptr) {
      row.has = rewrite::describe(context, *has, r.value->type().shape);
      compare(match, slot, k, types, *has, scope, &row);
      const QuantType* other =
          like != nullptr && like->present() ? quantizer_at(like->readings.front()) : nullptr;
      if (row.state == ObserverRow::Agrees && other != nullptr && other != has) {
        row.state = ObserverRow::Differs;
        row.why = fmt::format("its parameters are not those of {}", name_of(like->readings.front()));
      }
    }
    rows_.push_back(std::move(row));
  }

  // What the configuration's wish came to, and how it observes.
  void wishes(std::string_view slot, const rewrite::SlotName& name, ObserverRow* row) const {
    if (config_ == nullptr) return;
    for (const backend::SlotDecision& d : verdict_.decisions)
      if (d.slot == slot || d.slot == name.name)
        row->wants = d.text.empty() ? d.got : d.got + " (" + d.text + ")";
    const bool weight = name.role == Role::Weight && !name.result;
    if (const backend::Setting* s = config_->find(weight ? "weight" : "activation"))
      row->observer = std::string(s->value());
  }

  // The quantizer that is there, held to what the pattern takes.
  void compare(const rewrite::Match& match, const BoundSlot& slot, size_t k, const SlotTypes& types,
               const QuantType& has, const backend::MatchScope& scope, ObserverRow* row) const {
    if (row->rule == "none") {
      row->state = ObserverRow::Differs;
      row->why = "nothing is to be observed here";
      return;
    }
    SlotReading r = slot.readings[k];
    if (r.quant == nullptr) r.quantized = r.value;
    r.quant = &has;
    // Parameters of a weight that training still moves are constants as soon as it is converted.
    r.constant = r.constant || rewrite::from_constant(*r.value);
    const Node& node = *match.nodes[slot.name.step];
    rewrite::WeightAxes axes;
    if (slot.name.role == Role::Weight && !slot.name.result)
      axes = rewrite::weight_axes(node.op(), slot.operands[k], r.value->type().rank());
    const backend::ElemAnswer answer =
        backend::accepts_reading(match.root()->context(), types.accepted, r, slot.name.role, axes, &scope);
    row->state = answer.ok ? ObserverRow::Agrees : ObserverRow::Differs;
    row->why = answer.why;
  }

  const Backend& backend_;
  const backend::ConfigDef* config_;
  backend::Verdict verdict_;
  const rewrite::Match* match_ = nullptr;
  std::vector<ObserverRow> rows_;
};

}  // namespace

std::vector<ObserverRow> observers_of(const Model& model, const Backend& backend,
                                      const backend::ConfigDef* config) {
  Observers observers(backend, config);
  for (const Graph* graph : model.graphs()) observers.run(*graph);
  return observers.take();
}

}  // namespace zp::fuse
