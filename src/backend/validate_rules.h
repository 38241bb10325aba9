// The checks of a tree, one function a rule; by subject in validate.cpp (names, types, settings),
// validate_conditions.cpp, validate_patterns.cpp and validate_results.cpp (what patterns become).
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "backend/validate.h"
#include "support/text_format.h"

namespace zp::backend {

using rewrite::Expr;
using rewrite::SlotName;
using rewrite::Variant;

inline std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
  const std::string_view near = nearest(word, known);
  return near.empty() ? std::string() : fmt::format(", did you mean \"{}\"", near);
}

inline Diagnostic problem(const File& file, std::string_view rule, const Place& at, std::string text,
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
  void all();

 private:
  void error(std::string_view rule, const Place& at, std::string text);
  void duplicates();
  // zpb03, zpb07
  void element(const Elem& e);
  void slots(std::span<const SlotTypes> all);
  static bool may_be_quantized(const SlotTypes& slot);
  // zpb06: a derived parameter reads slots that have one. Derived alternatives of float configurations never
  // apply.
  void derived(const TypesDef& types);
  void settings(std::span<const Setting> all, std::span<const SettingDef> defs, std::string_view where);
  void config(const ConfigDef& c);
  void types_known(std::string_view name, const Place& at);
  void op_known(std::string_view name, const Place& at);
  const PredicateDef* find_predicate(std::string_view name, size_t limit) const;
  // Predicates use earlier ones only, so they cannot lead back to themselves; written out they stay small.
  void predicates();
  void condition(const PatternDef& def, const Expr& expr, const Place& at,
                 const std::set<std::string, std::less<>>& slot_words);
  void call(const Expr& part, const Place& at, const std::set<std::string, std::less<>>& slot_words);
  std::vector<std::string_view> condition_words(const PatternDef& def,
                                                const std::set<std::string, std::less<>>& slot_words) const;
  size_t index_of(const PatternDef& def) const { return static_cast<size_t>(&def - file_.patterns.data()); }
  std::vector<const OpDef*> root_ops(const PatternDef& def) const;
  bool has_attribute(const PatternDef& def, std::string_view name) const;
  bool step_attribute(const PatternDef& def, const Expr& path) const;
  void pattern(size_t index);
  std::string label(const PatternDef& def) const;
  void check_root(const PatternDef& def);
  // Every word a slot of this pattern may be called by.
  std::set<std::string, std::less<>> slot_words(const PatternDef&,
                                                const std::vector<Variant>& variants) const;
  // zpb04, both directions.
  void check_slots(const PatternDef& def, const std::vector<Variant>& variants);
  // zpb05
  void check_observe(const PatternDef& def, const std::set<std::string, std::less<>>& words);
  void check_becomes(const PatternDef& def);
  void check_lowering(const PatternDef& def, const Lowering& lower,
                      const std::set<std::string, std::less<>>& words);
  // An expression that may also make tensors; `later`: the result of a call before may be named.
  void lower_value(const PatternDef& def, const Expr& expr, const Place& at,
                   const std::set<std::string, std::less<>>& words, bool later);
  // zpb10: only once a file describes its kernels.
  void check_kernel(const PatternDef& def);
  static bool includes(const Elem& kernel, const Elem& e);
  // zpb02: patterns of one shape and one condition that nothing tells apart.
  void repeats();
  const File& file_;
  const File& prelude_;
  const OpTable& ops_;
  const rewrite::ClassMap& classes_;
  std::span<const std::vector<Variant>> variants_;
  std::vector<Diagnostic>* problems_;
};

}  // namespace zp::backend
