// Slots: the names by which a backend file speaks of what a pattern reads and gives, and what stands there in
// a match.
#include <algorithm>

#include "rewrite/matcher.h"

namespace zp::rewrite {

std::vector<SlotName> slot_names(const Variant& variant, const OpDef& root) {
  std::vector<SlotName> slots;
  const Variant::Step& step = variant.steps[variant.root];
  const int chained = step.chained >= 0 ? chained_operand(root) : -1;
  for (size_t i = 0; i < root.operands.size(); ++i) {
    const OperandDef& def = root.operands[i];
    SlotName slot;
    slot.name = slot.card = def.name;
    slot.role = def.role;
    slot.optional = def.optional;
    slot.variadic = def.variadic;
    slot.of_root = true;
    slot.step = variant.root;
    slot.operand = static_cast<uint32_t>(i);
    if (static_cast<int>(i) == chained) {
      // What enters the chain stands for the operand of the root.
      const Variant::Step& entry = variant.steps.front();
      if (entry.ops.empty()) continue;
      slot.step = 0;
      slot.operand = static_cast<uint32_t>(std::max(0, chained_operand(*entry.ops.front())));
      if (slot.operand < entry.args.size() && entry.args[slot.operand].kind == Variant::Arg::Free) {
        slot.name = variant.free_values[static_cast<size_t>(entry.args[slot.operand].index)];
      }
    } else if (i < step.args.size()) {
      const Variant::Arg& arg = step.args[i];
      if (arg.kind != Variant::Arg::Free) continue;
      slot.name = variant.free_values[static_cast<size_t>(arg.index)];
      slot.optional = arg.optional || def.optional;
      slot.variadic = false;
      slot.argument = static_cast<int>(i);
    }
    slots.push_back(std::move(slot));
  }
  for (size_t s = 0; s < variant.steps.size(); ++s) {
    if (s == variant.root) continue;
    for (size_t k = 0; k < variant.steps[s].args.size(); ++k) {
      const Variant::Arg& arg = variant.steps[s].args[k];
      if (arg.kind != Variant::Arg::Free) continue;
      SlotName slot;
      slot.name = variant.free_values[static_cast<size_t>(arg.index)];
      const bool known = std::any_of(slots.begin(), slots.end(),
                                     [&](const SlotName& other) { return other.name == slot.name; });
      if (known) continue;
      const OpDef* op = variant.steps[s].ops.empty() ? nullptr : variant.steps[s].ops.front();
      if (op != nullptr && k < op->operands.size()) {
        slot.card = op->operands[k].name;
        slot.role = op->operands[k].role;
      }
      slot.optional = arg.optional;
      slot.step = s;
      slot.argument = static_cast<int>(k);
      slots.push_back(std::move(slot));
    }
  }
  SlotName result;
  result.name = result.card = "y";
  const PatternStep& last = variant.pattern->steps[variant.steps.back().source];
  if (!last.value.empty()) result.name = last.value;
  result.result = true;
  result.step = variant.steps.size() - 1;
  slots.push_back(std::move(result));
  return slots;
}

namespace {

// `at` gives the name of a slot: names are searched where they stand.
template <typename Slots, typename At>
int find_named(const Slots& slots, std::string_view name, At&& at) {
  auto first = [&](auto&& test) {
    for (size_t i = 0; i < slots.size(); ++i)
      if (test(at(slots[i]))) return static_cast<int>(i);
    return -1;
  };
  if (const int i = first([&](const SlotName& s) { return s.name == name; }); i >= 0) return i;
  if (const int i = first([&](const SlotName& s) { return s.of_root && s.card == name; }); i >= 0) return i;
  auto data = [](const SlotName& s) { return s.of_root && s.role == Role::Data; };
  if (name == "y") return first([](const SlotName& s) { return s.result; });
  if (name == "x" || name == "a") return first(data);
  if (name == "w") return first([](const SlotName& s) { return s.of_root && s.role == Role::Weight; });
  if (name == "b") {
    if (const int i = first([](const SlotName& s) { return s.of_root && s.role == Role::Bias; }); i >= 0)
      return i;
    const SlotName* leading = nullptr;
    if (const int i = first(data); i >= 0) leading = &at(slots[static_cast<size_t>(i)]);
    else if (!slots.empty()) leading = &at(slots[0]);
    return first([&](const SlotName& s) {
      return s.of_root && (s.role == Role::Data || s.role == Role::Weight) && &s != leading;
    });
  }
  return -1;
}

}  // namespace

int find_slot_name(std::span<const SlotName> slots, std::string_view name) {
  return find_named(slots, name, [](const SlotName& s) -> const SlotName& { return s; });
}

void bind_slots(const Match& match, std::vector<BoundSlot>* out) {
  out->clear();
  const std::vector<SlotName>& names = match.variant->slots[match.variant->root_choice(match.root()->op())];
  out->reserve(names.size());
  for (const SlotName& name : names) {
    BoundSlot& slot = out->emplace_back(name);
    Node* node = match.nodes[name.step];
    auto read = [&](size_t operand) {
      slot.readings.push_back(read_operand(node->operand(operand)));
      slot.operands.push_back(static_cast<uint32_t>(operand));
    };
    if (name.result) {
      slot.readings.push_back(read_result(node->result()));
      slot.operands.push_back(0);
    } else if (name.variadic) {
      for (size_t i = name.operand; i < node->operand_count(); ++i)
        if (node->operand(i) != nullptr) read(i);
    } else {
      const size_t i = name.argument >= 0 ? static_cast<size_t>(name.argument) : name.operand;
      read(match.swapped[name.step] != 0 && i < 2 ? 1 - i : i);
    }
  }
}

const BoundSlot* find_slot(std::span<const BoundSlot> slots, std::string_view name) {
  const int i = find_named(slots, name, [](const BoundSlot& s) -> const SlotName& { return s.name; });
  return i < 0 ? nullptr : &slots[static_cast<size_t>(i)];
}

}  // namespace zp::rewrite
