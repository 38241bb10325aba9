#include "backend/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "backend/actions.h"
#include "backend/legality.h"
#include "support/text_cursor.h"
#include "support/text_format.h"

namespace zp::backend {
namespace {

constexpr int kMaxTypeDepth = 16;
constexpr size_t kMaxExpanded = 4096;  // parts of a condition once its predicates are written out

using rewrite::Expr;
using rewrite::SlotName;
using rewrite::Variant;

std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
  const std::string_view near = nearest(word, known);
  return near.empty() ? std::string() : fmt::format(", did you mean \"{}\"", near);
}

Diagnostic problem(const File& file, std::string_view rule, const Place& at, std::string text,
                   Severity severity = Severity::Error) {
  Diagnostic d;
  d.severity = severity;
  d.id = rule;
  d.where.file = file.path;
  d.where.line = at.line;
  d.where.column = at.column;
  d.text = std::move(text);
  return d;
}

template <typename Items, typename Name>
std::vector<std::string_view> names_of(const Items& items, Name&& name) {
  std::vector<std::string_view> out;
  for (const auto& item : items) out.push_back(name(item));
  return out;
}

// --- named types
// -----------------------------------------------------------------------------------------------------

class TypeResolver {
 public:
  TypeResolver(const File& file, std::vector<Diagnostic>* problems) : file_(file), problems_(problems) {}

  void expand(std::span<const Elem> elems, std::vector<Elem>* out, int depth) {
    for (const Elem& e : elems) {
      if (e.type_name.empty()) {
        out->push_back(e);
        continue;
      }
      const auto def = std::find_if(file_.types.begin(), file_.types.end(),
                                    [&](const TypeDef& t) { return t.name == e.type_name; });
      if (def == file_.types.end()) {
        const auto known = names_of(file_.types, [](const TypeDef& t) { return std::string_view(t.name); });
        problems_->push_back(
            problem(file_, "zpb01", e.at,
                    fmt::format("unknown type \"{}\"{}", e.type_name, did_you_mean(e.type_name, known))));
      } else if (depth > kMaxTypeDepth || out->size() > 256) {
        problems_->push_back(
            problem(file_, "zpb01", e.at, fmt::format("type \"{}\" leads back to itself", e.type_name)));
        return;
      } else {
        expand(def->elems, out, depth + 1);
      }
    }
  }

 private:
  const File& file_;
  std::vector<Diagnostic>* problems_;
};

// --- the checks
// ------------------------------------------------------------------------------------------------------

class Checker {
 public:
  Checker(const File& file, const File& prelude, const OpTable& ops, const rewrite::ClassMap& classes,
          std::span<const std::vector<Variant>> variants, std::vector<Diagnostic>* problems)
      : file_(file),
        prelude_(prelude),
        ops_(ops),
        classes_(classes),
        variants_(variants),
        problems_(problems) {}

  void all() {
    duplicates();
    for (const TypeDef& t : file_.types)
      for (const Elem& e : t.elems) element(e);
    for (const TypesDef& t : file_.typesets) slots(t.slots);
    for (const KernelDef& k : file_.kernels) slots(k.slots);
    for (const TypesDef& t : file_.typesets) derived(t);
    settings(file_.numerics, numerics_defs(), "numerics");
    for (const ConfigDef& c : file_.configs) config(c);
    predicates();
    for (size_t i = 0; i < file_.patterns.size(); ++i) pattern(i);
    repeats();
  }

 private:
  void error(std::string_view rule, const Place& at, std::string text) {
    problems_->push_back(problem(file_, rule, at, std::move(text)));
  }

  void duplicates() {
    std::map<std::string, Place, std::less<>> seen;
    auto once = [&](std::string_view kind, const std::string& name, const Place& at) {
      const auto [found, fresh] = seen.emplace(fmt::format("{} {}", kind, name), at);
      if (!fresh)
        error("zpb02", at, fmt::format("{} \"{}\" repeats that of line {}", kind, name, found->second.line));
    };
    for (const ClassDef& c : file_.classes) once("class", c.name, c.at);
    for (const TypeDef& t : file_.types) once("type", t.name, t.at);
    for (const TypesDef& t : file_.typesets) once("types", t.name, t.at);
    for (const PredicateDef& p : file_.predicates) once("predicate", p.name, p.at);
    for (const KernelDef& k : file_.kernels) once("kernel", k.name, k.at);
    for (const ConfigDef& c : file_.configs) once("config", c.name, c.at);
    for (const PatternDef& p : file_.patterns) once("pattern", p.pattern.name, p.pattern.at);
  }

  // zpb03, zpb07
  void element(const Elem& e) {
    if (e.range) {
      const auto [low, high] = *e.range;
      const std::string text = fmt::format("range {}:{} of {}", low, high, dtype_name(e.dtype));
      if (!is_integer(e.dtype)) error("zpb03", e.at, text + " but only integers have ranges");
      else if (low >= high) error("zpb03", e.at, text + " is empty");
      else if (low < int_min(e.dtype) || high > int_max(e.dtype))
        error("zpb03", e.at, text + " is outside the type");
      else if (low > 0 || high < 0) error("zpb03", e.at, text + " excludes 0");
    }
    // `f16 dynamic`: the value is cast while running, it has no parameters.
    const bool cast = e.dynamic && (e.dtype == DType::F16 || e.dtype == DType::BF16);
    const bool quantized = e.scheme != Scheme::Any || e.granularity.kind != Granularity::Any ||
                           (e.dynamic && !cast) || e.fixed || e.derived || !e.bounds.empty();
    if (quantized && !e.any && !is_integer(e.dtype) && bits_of(e.dtype) > 8) {
      error("zpb03", e.at, fmt::format("{} is not a storage of quantized values", dtype_name(e.dtype)));
    }
    if (!e.fixed) return;
    for (const Bound& b : e.bounds) {
      if (!e.fixed->has_scale() || (b.at_least ? e.fixed->scale >= b.value : e.fixed->scale <= b.value))
        continue;
      error("zpb07", e.at,
            fmt::format("fixed scale {} is {} {}", e.fixed->scale_text, b.at_least ? "below" : "above",
                        b.text));
    }
    const int64_t low = e.range ? e.range->first : is_integer(e.dtype) ? int_min(e.dtype) : 0;
    const int64_t high = e.range ? e.range->second : is_integer(e.dtype) ? int_max(e.dtype) : 0;
    if (e.fixed->has_zero() &&
        (e.fixed->zero_point < static_cast<double>(low) || e.fixed->zero_point > static_cast<double>(high))) {
      error("zpb07", e.at,
            fmt::format("fixed zero point {} is outside {}:{}", e.fixed->zero_text, low, high));
    }
    if (e.fixed->has_scale() && !(e.fixed->scale > 0))
      error("zpb07", e.at, fmt::format("fixed scale {} is not positive", e.fixed->scale_text));
  }

  void slots(std::span<const SlotTypes> all) {
    std::set<std::string, std::less<>> seen;
    for (const SlotTypes& slot : all) {
      if (!seen.insert(slot.slot).second)
        error("zpb02", slot.at, fmt::format("slot \"{}\" is given twice", slot.slot));
      for (const Elem& e : slot.elems) element(e);
    }
  }

  static bool may_be_quantized(const SlotTypes& slot) {
    return std::any_of(slot.accepted.begin(), slot.accepted.end(), [](const Elem& e) {
      return e.any || is_integer(e.dtype) || (is_float(e.dtype) && bits_of(e.dtype) <= 8);
    });
  }

  // zpb06: a derived parameter reads slots that have one. Derived alternatives of float configurations never
  // apply.
  void derived(const TypesDef& types) {
    for (const SlotTypes& slot : types.slots) {
      for (const Elem& e : slot.accepted) {
        if (!e.derived) continue;
        for (const ExprPtr& expr : {e.derived->scale, e.derived->zero_point}) {
          rewrite::visit_parts(*expr, [&](const Expr& part) {
            if (part.kind != Expr::Path || part.path.size() != 2) return;
            const SlotTypes* named = types.find(part.path[0]);
            const bool parameter = part.path[1] == "scale" || part.path[1] == "zero_point";
            if (named == nullptr) {
              error("zpb06", e.at,
                    fmt::format("{} in slot \"{}\" is no slot of types \"{}\"", part.path[0], slot.slot,
                                types.name));
            } else if (parameter && !may_be_quantized(*named)) {
              error("zpb06", e.at,
                    fmt::format("{} in slot \"{}\" of types \"{}\" is float and has no {}", part.path[0],
                                slot.slot, types.name, part.path[1]));
            }
          });
        }
      }
    }
  }

  void settings(std::span<const Setting> all, std::span<const SettingDef> defs, std::string_view where) {
    std::set<std::string, std::less<>> seen;
    for (const Setting& s : all) {
      const auto def =
          std::find_if(defs.begin(), defs.end(), [&](const SettingDef& d) { return d.key == s.key; });
      if (def == defs.end()) {
        const auto known = names_of(defs, [](const SettingDef& d) { return d.key; });
        error("zpb01", s.at,
              fmt::format("unknown key \"{}\" of {}{}", s.key, where, did_you_mean(s.key, known)));
        continue;
      }
      if (!seen.insert(s.key).second)
        error("zpb02", s.at, fmt::format("key \"{}\" of {} is given twice", s.key, where));
      std::vector<std::string_view> words;
      for (std::string_view rest = def->words; !rest.empty();) {
        const size_t end = std::min(rest.find(' '), rest.size());
        words.push_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
      for (const std::string& value : s.values) {
        if (words.empty() || std::find(words.begin(), words.end(), value) != words.end()) continue;
        error("zpb01", s.at,
              fmt::format("unknown word \"{}\" for {}, known: {}", value, s.key, fmt::join(words, ", ")));
      }
    }
  }

  void config(const ConfigDef& c) {
    settings(c.settings, config_defs(), fmt::format("config \"{}\"", c.name));
    slots(c.wishes);
    for (const SlotTypes& wish : c.wishes) {
      if (wish.elems.size() != 1)
        error("zpb01", wish.at,
              fmt::format("config \"{}\" wishes {} types for {}, one is possible", c.name, wish.elems.size(),
                          wish.slot));
    }
    if (const Setting* types = c.find("types")) {
      for (const std::string& name : types->values) types_known(name, types->at);
    }
    if (const Setting* skip = c.find("skip")) {
      for (const std::string& name : skip->values) op_known(name, skip->at);
    }
  }

  void types_known(std::string_view name, const Place& at) {
    const auto known = names_of(file_.typesets, [](const TypesDef& t) { return std::string_view(t.name); });
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      error("zpb01", at, fmt::format("unknown types \"{}\"{}", name, did_you_mean(name, known)));
    }
  }

  void op_known(std::string_view name, const Place& at) {
    if (ops_.find(name) != nullptr || classes_.contains(name)) return;
    std::vector<std::string_view> known = names_of(ops_.all(), [](const OpDef* op) { return op->name; });
    for (const auto& [other, members] : classes_) known.push_back(other);
    error("zpb01", at, fmt::format("unknown op \"{}\"{}", name, did_you_mean(name, known)));
  }

  // --- conditions
  // ----------------------------------------------------------------------------------------------------

  const PredicateDef* find_predicate(std::string_view name, size_t limit) const {
    for (size_t i = 0; i < std::min(limit, file_.predicates.size()); ++i)
      if (file_.predicates[i].name == name) return &file_.predicates[i];
    for (const PredicateDef& p : prelude_.predicates)
      if (p.name == name) return &p;
    return nullptr;
  }

  // Predicates use earlier ones only, so they cannot lead back to themselves; written out they stay small.
  void predicates() {
    std::map<std::string, size_t, std::less<>> sizes;
    auto size_of = [&](const Expr& expr) {
      size_t n = 0;
      rewrite::visit_parts(expr, [&](const Expr& part) {
        const auto known =
            part.kind == Expr::Path && part.path.size() == 1 ? sizes.find(part.path[0]) : sizes.end();
        n += known == sizes.end() ? 1 : known->second;
      });
      return n;
    };
    for (const PredicateDef& p : prelude_.predicates) sizes[p.name] = size_of(*p.expr);
    for (size_t i = 0; i < file_.predicates.size(); ++i) {
      const PredicateDef& p = file_.predicates[i];
      rewrite::visit_parts(*p.expr, [&](const Expr& part) {
        if (part.kind != Expr::Path || part.path.size() != 1) return;
        for (size_t later = i; later < file_.predicates.size(); ++later) {
          if (file_.predicates[later].name == part.path[0]) {
            error("zpb01", p.at,
                  fmt::format("predicate \"{}\" uses \"{}\", which is defined later", p.name, part.path[0]));
          }
        }
      });
      const size_t size = size_of(*p.expr);
      sizes[p.name] = std::min(size, kMaxExpanded + 1);
      if (size > kMaxExpanded)
        error("zpb01", p.at,
              fmt::format("predicate \"{}\" has more than {} parts written out", p.name, kMaxExpanded));
    }
  }

  void condition(const PatternDef& def, const Expr& expr, const Place& at,
                 const std::set<std::string, std::less<>>& slot_words) {
    rewrite::visit_parts(expr, [&](const Expr& part) {
      if (part.kind == Expr::Call) return call(part, at, slot_words);
      if (part.kind != Expr::Path) return;
      if (part.path.size() == 1) {
        const std::string& word = part.path[0];
        if (word == "tensors" || slot_words.contains(word) || has_attribute(def, word)) return;
        if (const PredicateDef* p = find_predicate(word, file_.predicates.size()))
          return condition(def, *p->expr, at, slot_words);
        error("zpb01", at,
              fmt::format("\"{}\" is no slot, attribute or predicate of pattern \"{}\"{}", word,
                          def.pattern.name, did_you_mean(word, condition_words(def, slot_words))));
      } else if (part.path.size() == 2 && slot_words.contains(part.path[0])) {
        const auto fields = slot_fields();
        if (std::find(fields.begin(), fields.end(), part.path[1]) != fields.end()) return;
        error("zpb01", at,
              fmt::format("unknown field \"{}\" of slot {}{}", part.path[1], part.path[0],
                          did_you_mean(part.path[1], fields)));
      } else if (part.path.size() != 2 ||
                 !(part.path[0] == "root" ? has_attribute(def, part.path[1]) : step_attribute(def, part))) {
        error("zpb01", at,
              fmt::format("\"{}\" means nothing in pattern \"{}\"{}", fmt::join(part.path, "."),
                          def.pattern.name, did_you_mean(part.path[0], condition_words(def, slot_words))));
      }
    });
  }

  void call(const Expr& part, const Place& at, const std::set<std::string, std::less<>>& slot_words) {
    const auto functions = rewrite::expr_functions();
    const auto found =
        std::find_if(functions.begin(), functions.end(), [&](const auto& f) { return f.name == part.text; });
    if (found == functions.end()) {
      const auto known = names_of(functions, [](const auto& f) { return f.name; });
      return error("zpb01", at,
                   fmt::format("unknown function \"{}\"{}", part.text, did_you_mean(part.text, known)));
    }
    if (found->arguments >= 0 && part.args.size() != static_cast<size_t>(found->arguments)) {
      return error(
          "zpb01", at,
          fmt::format("{} takes {} arguments, not {}", part.text, found->arguments, part.args.size()));
    }
    for (const ExprPtr& arg : part.args) {
      if (!part.text.starts_with("same_") ||
          (arg->kind == Expr::Path && arg->path.size() == 1 && slot_words.contains(arg->path[0])))
        continue;
      error("zpb01", at, fmt::format("{} takes two slots", part.text));
    }
  }

  std::vector<std::string_view> condition_words(const PatternDef& def,
                                                const std::set<std::string, std::less<>>& slot_words) const {
    std::vector<std::string_view> words(slot_words.begin(), slot_words.end());
    for (const OpDef* op : root_ops(def))
      if (op->attrs != nullptr)
        for (const AttrField& f : op->attrs->fields) words.push_back(f.name);
    for (const PredicateDef& p : file_.predicates) words.push_back(p.name);
    for (const PredicateDef& p : prelude_.predicates) words.push_back(p.name);
    return words;
  }

  size_t index_of(const PatternDef& def) const { return static_cast<size_t>(&def - file_.patterns.data()); }

  std::vector<const OpDef*> root_ops(const PatternDef& def) const {
    std::vector<const OpDef*> out;
    for (const Variant& v : variants_[index_of(def)])
      out.insert(out.end(), v.steps[v.root].ops.begin(), v.steps[v.root].ops.end());
    return out;
  }

  bool has_attribute(const PatternDef& def, std::string_view name) const {
    const auto ops = root_ops(def);
    return std::any_of(ops.begin(), ops.end(), [&](const OpDef* op) {
      return op->attrs != nullptr && op->attrs->find(name) != nullptr;
    });
  }

  bool step_attribute(const PatternDef& def, const Expr& path) const {
    for (const rewrite::PatternStep& step : def.pattern.steps) {
      const bool named = step.value == path.path[0] ||
                         std::find(step.alternatives.begin(), step.alternatives.end(), path.path[0]) !=
                             step.alternatives.end() ||
                         std::any_of(step.ops.begin(), step.ops.end(),
                                     [&](const OpDef* op) { return op->name == path.path[0]; });
      if (!named) continue;
      for (const OpDef* op : step.ops)
        if (op->attrs != nullptr && op->attrs->find(path.path[1]) != nullptr) return true;
    }
    return false;
  }

  // --- patterns
  // ------------------------------------------------------------------------------------------------------

  void pattern(size_t index) {
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

  std::string label(const PatternDef& def) const {
    std::string text;
    for (const rewrite::PatternStep& step : def.pattern.steps) {
      text += text.empty() ? "" : ", ";
      text += step.alternatives.front();
    }
    return text;
  }

  void check_root(const PatternDef& def) {
    if (def.root.empty()) return;
    std::vector<std::string_view> known;
    for (const rewrite::PatternStep& step : def.pattern.steps) {
      if (def.pattern.form == rewrite::Pattern::Graph) known.push_back(step.value);
      else known.insert(known.end(), step.alternatives.begin(), step.alternatives.end());
    }
    if (std::find(known.begin(), known.end(), def.root) != known.end()) return;
    error("zpb01", def.root_at,
          fmt::format("root \"{}\" is no step of \"{}\"{}", def.root, label(def),
                      did_you_mean(def.root, known)));
  }

  // Every word a slot of this pattern may be called by.
  std::set<std::string, std::less<>> slot_words(const PatternDef&,
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

  // zpb04, both directions.
  void check_slots(const PatternDef& def, const std::vector<Variant>& variants) {
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

  // zpb05
  void check_observe(const PatternDef& def, const std::set<std::string, std::less<>>& words) {
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

  void check_becomes(const PatternDef& def) {
    const Becomes& b = *def.becomes;
    // `root`: whatever op the root is.
    std::vector<const OpDef*> targets = root_ops(def);
    if (b.op != "root") targets = {ops_.find(b.op)};
    if (targets.front() == nullptr) return op_known(b.op, b.at);
    for (const Becomes::Attr& attr : b.attrs) {
      const std::string_view field =
          attr.name == "clamp" ? std::string_view("act_min") : std::string_view(attr.name);
      const bool known = std::any_of(targets.begin(), targets.end(), [&](const OpDef* op) {
        return op->attrs != nullptr && op->attrs->find(field) != nullptr;
      });
      if (!known)
        error("zpb01", attr.at, fmt::format("{} has no attribute \"{}\"", targets.front()->name, attr.name));
      if (attr.kind == Becomes::Attr::Activation && attr.activation != "relu" && attr.activation != "relu6") {
        error("zpb01", attr.at,
              fmt::format("unknown activation \"{}\", known: relu, relu6, or 'of' a step", attr.activation));
      }
      if (attr.kind != Becomes::Attr::Of) continue;
      const bool step =
          std::any_of(def.pattern.steps.begin(), def.pattern.steps.end(), [&](const rewrite::PatternStep& s) {
            return std::find(s.alternatives.begin(), s.alternatives.end(), attr.of) != s.alternatives.end() ||
                   s.value == attr.of || std::any_of(s.ops.begin(), s.ops.end(), [&](const OpDef* o) {
                     return o->name == attr.of;
                   });
          });
      if (!step) error("zpb01", attr.at, fmt::format("\"{}\" has no step \"{}\"", label(def), attr.of));
    }
    if (b.action.empty()) return;
    const auto known = names_of(kActions, [](const ActionDef& a) { return a.name; });
    if (std::find(known.begin(), known.end(), b.action) == known.end()) {
      error("zpb01", b.at, fmt::format("unknown action \"{}\"{}", b.action, did_you_mean(b.action, known)));
    }
  }

  void check_lowering(const PatternDef& def, const Lowering& lower,
                      const std::set<std::string, std::less<>>& words) {
    for (const auto& [name, at] : lower.types) {
      const auto known = names_of(def.types, [](const auto& t) { return std::string_view(t.first); });
      if (std::find(known.begin(), known.end(), name) == known.end())
        error("zpb01", at,
              fmt::format("\"{}\" is none of the types of pattern \"{}\"{}", name, def.pattern.name,
                          did_you_mean(name, known)));
    }
    for (const LowerCall& call : lower.calls) {
      if (call.when != nullptr) condition(def, *call.when, call.at, words);
      std::set<std::string, std::less<>> seen;
      for (const LowerArg& arg : call.args) {
        if (!seen.insert(arg.name).second)
          error("zpb02", arg.at, fmt::format("argument \"{}\" is given twice", arg.name));
        lower_value(def, *arg.value, arg.at, words, &call != &lower.calls.front());
      }
    }
  }

  // An expression that may also make tensors; `later`: the result of a call before may be named.
  void lower_value(const PatternDef& def, const Expr& expr, const Place& at,
                   const std::set<std::string, std::less<>>& words, bool later) {
    rewrite::visit_parts(expr, [&](const Expr& part) {
      if (part.kind == Expr::Path) {
        if (!(later && part.path.size() == 1 && part.path[0] == "result")) condition(def, part, at, words);
        return;
      }
      if (part.kind != Expr::Call) return;
      const LayoutFunction* layout = find_layout_function(part.text);
      if (layout == nullptr) return call(part, at, words);
      if (part.args.size() != layout->arguments)
        error("zpb01", at,
              fmt::format("{} takes {} arguments, not {}", part.text, layout->arguments, part.args.size()));
    });
  }

  // zpb10: only once a file describes its kernels.
  void check_kernel(const PatternDef& def) {
    if (def.kernel.empty() || file_.kernels.empty()) return;
    const auto kernel = std::find_if(file_.kernels.begin(), file_.kernels.end(),
                                     [&](const KernelDef& k) { return k.name == def.kernel; });
    if (kernel == file_.kernels.end()) {
      const auto known = names_of(file_.kernels, [](const KernelDef& k) { return std::string_view(k.name); });
      return error("zpb10", def.kernel_at,
                   fmt::format("kernel \"{}\" is missing{}", def.kernel, did_you_mean(def.kernel, known)));
    }
    for (const auto& [name, at] : def.types) {
      for (const TypesDef& types : file_.typesets) {
        if (types.name != name) continue;
        for (const SlotTypes& mine : kernel->slots) {
          const SlotTypes* asked = types.find(mine.slot);
          if (asked == nullptr) continue;
          for (const Elem& e : asked->accepted) {
            const bool taken = std::any_of(mine.accepted.begin(), mine.accepted.end(),
                                           [&](const Elem& k) { return includes(k, e); });
            if (taken) continue;
            error("zpb10", def.kernel_at,
                  fmt::format("{} takes {} {}, types \"{}\" allow {}", kernel->name, print_elems(mine.elems),
                              mine.slot, types.name, print_elem(e)));
          }
        }
      }
    }
  }

  static bool includes(const Elem& kernel, const Elem& e) {
    if (kernel.any || e.none) return true;
    if (kernel.dtype != e.dtype) return false;
    if (!is_integer(e.dtype)) return true;
    auto low = [](const Elem& x) { return x.range ? x.range->first : int_min(x.dtype); };
    auto high = [](const Elem& x) { return x.range ? x.range->second : int_max(x.dtype); };
    if (low(e) < low(kernel) || high(e) > high(kernel)) return false;
    if (kernel.granularity.kind != Granularity::Any && kernel.granularity.kind != e.granularity.kind)
      return false;
    if (kernel.scheme == Scheme::Symmetric && e.scheme != Scheme::Symmetric) return false;
    return kernel.dynamic == e.dynamic;
  }

  // zpb02: patterns of one shape and one condition that nothing tells apart.
  void repeats() {
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

  const File& file_;
  const File& prelude_;
  const OpTable& ops_;
  const rewrite::ClassMap& classes_;
  std::span<const std::vector<Variant>> variants_;
  std::vector<Diagnostic>* problems_;
};

}  // namespace

std::span<const SettingDef> numerics_defs() {
  static constexpr SettingDef kDefs[] = {
      {"requantize", "f32-nearest-even f32-nearest-away f32-any q31-nearest-away q31-nearest-even",
       "how an accumulator becomes an output"},
      {"accumulate", "i32 i64 f32 f16", "type of the sums of integer products"},
      {"pair-saturation", "none i16", "whether pairs of 8-bit products are added in 16 bits"},
      {"float", "f32 f16 bf16", "type of float computation"},
      {"rounding", "nearest-even nearest-away any", "of quantize"},
      {"weight_bits", "declared by-value",
       "whether a weight declared wider counts as 4-bit where all its values fit"},
      {"weight_scales", "declared per-axis", "whether one scale of a weight is repeated for its channels"},
      {"qat_output_quantizer", "after before", "which quantizer a folded batch norm keeps"},
      {"moves", "integers dequantized",
       "whether archives move integers, or real values between dequantize and quantize"},
      {"origin", "torch", "whose table this is: reasons then say where that system would not look"},
  };
  return kDefs;
}

std::span<const SettingDef> config_defs() {
  static constexpr SettingDef kDefs[] = {
      {"types", "", "the dtype configurations that are wished for, in order"},
      {"activation", "minmax moving-average histogram mse fixed placeholder", "observer of activations"},
      {"weight", "minmax moving-average histogram mse", "observer of weights"},
      {"qat-activation", "fused-moving-average minmax moving-average",
       "fake quantizer of activations in training"},
      {"qat-weight", "fused-moving-average minmax moving-average", "fake quantizer of weights in training"},
      {"eps", "", "smallest scale an observer gives"},
      {"reduce-range", "yes no", "use half the range of activations"},
      {"skip", "", "ops and classes that stay float"},
  };
  return kDefs;
}

void resolve_types(File& file, std::vector<Diagnostic>* problems) {
  const File& tree = file;
  TypeResolver resolver(tree, problems);
  auto fill = [&](std::vector<SlotTypes>& slots) {
    for (SlotTypes& slot : slots) {
      slot.accepted.clear();
      resolver.expand(slot.elems, &slot.accepted, 0);
    }
  };
  for (TypesDef& types : file.typesets) fill(types.slots);
  for (KernelDef& kernel : file.kernels) fill(kernel.slots);
  for (ConfigDef& config : file.configs) fill(config.wishes);
}

void check_tree(const File& file, const File& prelude, const OpTable& ops, const rewrite::ClassMap& classes,
                std::span<const std::vector<rewrite::Variant>> variants, std::vector<Diagnostic>* problems) {
  Checker(file, prelude, ops, classes, variants, problems).all();
}

}  // namespace zp::backend
