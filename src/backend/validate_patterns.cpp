// Patterns: their slots, roots and observation rules, and those that repeat each other.
#include "backend/legality.h"
#include "backend/validate_rules.h"

namespace zp::backend {

void Checker::pattern(size_t index) {
  const PatternDef& def = file_.patterns[index];
  const auto& variants = variants_[index];
  if (variants.empty()) return;  // reported when it was compiled
  for (const auto& [name, at] : def.types) types_known(name, at);
  const auto known_patterns =
      names_of(file_.patterns, [](const PatternDef& p) { return std::string_view(p.pattern.name); });
  for (const auto& [name, at] : def.before) {
    if (std::find(known_patterns.begin(), known_patterns.end(), name) != known_patterns.end()) continue;
    error("zpb01", at, fmt::format("unknown pattern \"{}\"{}", name, did_you_mean(name, known_patterns)));
  }
  check_root(def);
  check_slots(def, variants);
  const auto words = slot_words(def, variants);
  check_observe(def, words);
  for (const std::string& extra : def.extra) {
    if (!words.contains(extra))
      error("zpb01", def.pattern.at, fmt::format("\"{}\" has no value \"{}\"", label(def), extra));
  }
  for (size_t i = 0; i < def.where.size(); ++i) condition(def, *def.where[i], def.where_at[i], words);
  if (def.becomes) check_becomes(def);
  for (const Lowering& lower : def.lowers) check_lowering(def, lower, words);
  check_kernel(def);
}

std::string Checker::label(const PatternDef& def) const {
  std::string text;
  for (const rewrite::PatternStep& step : def.pattern.steps) {
    text += text.empty() ? "" : ", ";
    text += step.alternatives.front();
  }
  return text;
}

void Checker::check_root(const PatternDef& def) {
  if (def.root.empty()) return;
  std::vector<std::string_view> known;
  for (const rewrite::PatternStep& step : def.pattern.steps) {
    if (def.pattern.form == rewrite::Pattern::Graph) known.push_back(step.value);
    else known.insert(known.end(), step.alternatives.begin(), step.alternatives.end());
  }
  if (std::find(known.begin(), known.end(), def.root) != known.end()) return;
  error(
      "zpb01", def.root_at,
      fmt::format("root \"{}\" is no step of \"{}\"{}", def.root, label(def), did_you_mean(def.root, known)));
}

std::set<std::string, std::less<>> Checker::slot_words(const PatternDef&,
                                                       const std::vector<Variant>& variants) const {
  std::set<std::string, std::less<>> words;
  for (const Variant& v : variants) {
    for (const OpDef* op : v.steps[v.root].ops) {
      const std::vector<SlotName>& slots = v.slots[v.root_choice(*op)];
      for (const SlotName& s : slots) {
        words.insert(s.name);
        if (s.of_root) words.insert(s.card);
      }
      for (std::string_view name : {"x", "a", "w", "b", "y"}) {
        if (rewrite::find_slot_name(slots, name) >= 0) words.emplace(name);
      }
    }
  }
  return words;
}

void Checker::check_slots(const PatternDef& def, const std::vector<Variant>& variants) {
  for (const auto& [types_name, at] : def.types) {
    for (const TypesDef& types : file_.typesets) {
      if (types.name != types_name) continue;
      std::vector<bool> used(types.slots.size(), false);
      std::set<std::string, std::less<>> missing;
      for (const Variant& v : variants) {
        for (const OpDef* op : v.steps[v.root].ops) {
          const std::vector<SlotName>& slots = v.slots[v.root_choice(*op)];
          std::vector<bool> covered(slots.size(), false);
          for (size_t i = 0; i < types.slots.size(); ++i) {
            const int found = rewrite::find_slot_name(slots, types.slots[i].slot);
            if (found < 0) continue;
            used[i] = true;
            covered[static_cast<size_t>(found)] = true;
          }
          for (size_t i = 0; i < slots.size(); ++i) {
            const bool needed =
                slots[i].result ||
                (!slots[i].optional && (slots[i].role == Role::Data || slots[i].role == Role::Weight));
            if (needed && !covered[i]) missing.insert(fmt::format("{} of {}", slots[i].name, op->name));
          }
        }
      }
      for (size_t i = 0; i < types.slots.size(); ++i) {
        if (!used[i])
          error("zpb04", at,
                fmt::format("\"{}\" has no operand \"{}\" (types \"{}\")", label(def), types.slots[i].slot,
                            types.name));
      }
      for (const std::string& name : missing) {
        error("zpb04", at, fmt::format("types \"{}\" say nothing of operand {}", types.name, name));
      }
    }
  }
}

void Checker::check_observe(const PatternDef& def, const std::set<std::string, std::less<>>& words) {
  for (const ObserveRule& rule : def.observe) {
    if (!words.contains(rule.slot))
      error("zpb01", rule.at, fmt::format("\"{}\" has no slot \"{}\"", label(def), rule.slot));
    if (rule.kind != ObserveRule::Like) continue;
    if (!words.contains(rule.like)) {
      error("zpb05", rule.at,
            fmt::format("{} like {}, which is no slot of \"{}\"", rule.slot, rule.like, label(def)));
      continue;
    }
    std::string path = rule.slot;
    const ObserveRule* at = &rule;
    for (size_t hops = 0; at != nullptr && hops <= def.observe.size(); ++hops) {
      path += " like " + at->like;
      if (at->like == rule.slot) {
        error("zpb05", rule.at, path);
        break;
      }
      const std::string& next = at->like;
      at = nullptr;
      for (const ObserveRule& other : def.observe) {
        const bool together = !other.tensors || !rule.tensors || *other.tensors == *rule.tensors;
        if (other.slot == next && other.kind == ObserveRule::Like && together) at = &other;
      }
    }
  }
}

void Checker::repeats() {
  std::map<std::string, std::vector<size_t>> shapes;
  for (size_t i = 0; i < file_.patterns.size(); ++i) {
    std::string shape = rewrite::print_pattern(file_.patterns[i].pattern, "");
    for (const ExprPtr& where : file_.patterns[i].where) shape += "\n" + print_expr(*where);
    shapes[shape].push_back(i);
  }
  for (const auto& [text, group] : shapes) {
    for (size_t k = 1; k < group.size(); ++k) {
      const PatternDef& a = file_.patterns[group[k - 1]];
      const PatternDef& b = file_.patterns[group[k]];
      auto precedes = [](const PatternDef& p, const PatternDef& q) {
        return std::any_of(p.before.begin(), p.before.end(),
                           [&](const auto& n) { return n.first == q.pattern.name; });
      };
      if (precedes(a, b) || precedes(b, a) || a.cost != b.cost) continue;
      error("zpb02", b.pattern.at,
            fmt::format("pattern \"{}\" repeats \"{}\" of line {}", b.pattern.name, a.pattern.name,
                        a.pattern.at.line));
    }
  }
}

}  // namespace zp::backend
