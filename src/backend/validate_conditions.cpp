// Conditions: every name in a `where` is a slot, an attribute or a predicate, and predicates stay finite.
#include "backend/legality.h"
#include "backend/validate_rules.h"

namespace zp::backend {

namespace {

constexpr size_t kMaxExpanded = 4096;  // parts of a condition once its predicates are written out

}  // namespace

const PredicateDef* Checker::find_predicate(std::string_view name, size_t limit) const {
  for (size_t i = 0; i < std::min(limit, file_.predicates.size()); ++i)
    if (file_.predicates[i].name == name) return &file_.predicates[i];
  for (const PredicateDef& p : prelude_.predicates)
    if (p.name == name) return &p;
  return nullptr;
}

void Checker::predicates() {
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

void Checker::condition(const PatternDef& def, const Expr& expr, const Place& at,
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

void Checker::call(const Expr& part, const Place& at, const std::set<std::string, std::less<>>& slot_words) {
  const auto functions = rewrite::expr_functions();
  const auto found =
      std::find_if(functions.begin(), functions.end(), [&](const auto& f) { return f.name == part.text; });
  if (found == functions.end()) {
    const auto known = names_of(functions, [](const auto& f) { return f.name; });
    return error("zpb01", at,
                 fmt::format("unknown function \"{}\"{}", part.text, did_you_mean(part.text, known)));
  }
  if (found->arguments >= 0 && part.args.size() != static_cast<size_t>(found->arguments)) {
    return error("zpb01", at,
                 fmt::format("{} takes {} arguments, not {}", part.text, found->arguments, part.args.size()));
  }
  for (const ExprPtr& arg : part.args) {
    if (!part.text.starts_with("same_") ||
        (arg->kind == Expr::Path && arg->path.size() == 1 && slot_words.contains(arg->path[0])))
      continue;
    error("zpb01", at, fmt::format("{} takes two slots", part.text));
  }
}

std::vector<std::string_view> Checker::condition_words(
    const PatternDef& def, const std::set<std::string, std::less<>>& slot_words) const {
  std::vector<std::string_view> words(slot_words.begin(), slot_words.end());
  for (const OpDef* op : root_ops(def))
    if (op->attrs != nullptr)
      for (const AttrField& f : op->attrs->fields) words.push_back(f.name);
  for (const PredicateDef& p : file_.predicates) words.push_back(p.name);
  for (const PredicateDef& p : prelude_.predicates) words.push_back(p.name);
  return words;
}

std::vector<const OpDef*> Checker::root_ops(const PatternDef& def) const {
  std::vector<const OpDef*> out;
  for (const Variant& v : variants_[index_of(def)])
    out.insert(out.end(), v.steps[v.root].ops.begin(), v.steps[v.root].ops.end());
  return out;
}

bool Checker::has_attribute(const PatternDef& def, std::string_view name) const {
  const auto ops = root_ops(def);
  return std::any_of(ops.begin(), ops.end(), [&](const OpDef* op) {
    return op->attrs != nullptr && op->attrs->find(name) != nullptr;
  });
}

bool Checker::step_attribute(const PatternDef& def, const Expr& path) const {
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

}  // namespace zp::backend
