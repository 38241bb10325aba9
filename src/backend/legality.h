// The judge: may a match be what its pattern becomes? Types of every slot, then the conditions of `where`.
#pragma once

#include "backend/backend.h"
#include "backend/wish.h"

namespace zp::backend {

// What `where` and derived parameters see of a match: slots with their shapes and quantization, attributes of
// the root and of steps, the number of tensor operands.
class MatchScope : public rewrite::ExprScope {
 public:
  MatchScope(const Backend& backend, const rewrite::Match& match, std::span<const rewrite::BoundSlot> slots)
      : backend_(backend), match_(match), slots_(slots) {}
  rewrite::ExprValue lookup(std::span<const std::string> path) const override;
  const rewrite::Expr* macro(std::string_view name) const override { return backend_.predicate(name); }
  rewrite::ExprValue relation(std::string_view name, std::span<const rewrite::ExprPtr> args) const override;

 private:
  const Backend& backend_;
  const rewrite::Match& match_;
  std::span<const rewrite::BoundSlot> slots_;
};

// A quantization in words, or the plain type.
std::string reading_text(Context& context, const rewrite::SlotReading& reading);

// Fields of a slot that expressions may ask for.
std::span<const std::string_view> slot_fields();

// For each slot of a configuration the slot of a variant that it speaks of; -1: none.
std::vector<int> slots_of(const TypesDef& types, std::span<const rewrite::SlotName> slots);

struct ElemAnswer {
  bool ok = false;
  bool as_quantized = false;
  int progress = 0;  // how far the nearest alternative came
  std::string why;   // of that alternative: "zero points are not 0"
};
// Is a reading one of these elements? `axes` of a weight; `scope` answers derived parameters (may be null:
// they are then not checked). With `wish`, a float value counts as whatever it could be quantized to.
ElemAnswer accepts_reading(Context& context, std::span<const Elem> elems, const rewrite::SlotReading& reading,
                           Role role, const rewrite::WeightAxes& axes, const rewrite::ExprScope* scope,
                           bool wish = false, bool brief = false);
// The same for a quantization alone.
ElemAnswer accepts_quant(Context& context, const Elem& elem, const QuantType& quant,
                         std::span<const Dim> shape, const rewrite::WeightAxes& axes);

// What a configuration wishes for, as the question `decide` answers.
Wish wish_from(const Elem& elem, const ConfigDef& config, bool activation);

// A float value at a slot, what the pattern takes there, and the configuration that wishes.
struct SlotQuestion {
  Context& context;
  const ConfigDef* config;
  std::span<const Elem> abilities;
  const rewrite::SlotName& slot;
  const rewrite::SlotReading& reading;
  const rewrite::WeightAxes& axes;
  bool from_torch = false;  // the table is PyTorch's: say where it would not look
};
// Nothing: the configuration has no wish for this slot.
std::optional<SlotDecision> decide_slot(const SlotQuestion& question);

}  // namespace zp::backend
