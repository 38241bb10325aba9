#include "backend/reference.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/actions.h"
#include "backend/validate.h"

namespace zp::backend {
namespace {

// A bar would end the cell of a table.
std::string cell(std::string text) {
  for (size_t at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2))
    text.insert(at, "\\");
  return text;
}

std::string code(std::string_view text) { return text.empty() ? "" : "`" + std::string(text) + "`"; }

template <typename Items, typename Text>
std::string joined(const Items& items, const Text& text) {
  std::string out;
  for (const auto& item : items) out += (out.empty() ? "" : ", ") + text(item);
  return out;
}

void add_numerics(const File& file, std::string* page) {
  if (file.numerics.empty()) return;
  *page += "\n## Numbers\n\n| promise | value | what it means |\n|---|---|---|\n";
  for (const Setting& s : file.numerics) {
    const auto defs = numerics_defs();
    const auto def =
        std::find_if(defs.begin(), defs.end(), [&](const SettingDef& d) { return d.key == s.key; });
    *page += fmt::format("| {} | {} | {} |\n", s.key, s.value(), def != defs.end() ? def->doc : "");
  }
}

void add_types(const File& file, std::string* page) {
  if (file.typesets.empty()) return;
  *page +=
      "\n## Types\n\nWhat operands and results may be together; patterns name these.\n\n| types | slot | may "
      "be |\n|---|---|---|\n";
  for (const TypesDef& t : file.typesets) {
    std::string name = code(t.name);
    for (const SlotTypes& slot : t.slots) {
      *page += fmt::format("| {} | {} | {} |\n", name, slot.slot, cell(print_elems(slot.accepted)));
      name.clear();
    }
  }
}

void add_lowerings(const PatternDef& def, std::string* page) {
  if (def.lowers.empty()) return;
  *page += "\n| the target's own operator | for types | if |\n|---|---|---|\n";
  for (const Lowering& lower : def.lowers) {
    const LowerCall& first = lower.calls.front();
    std::string targets = code(first.target);
    for (size_t i = 1; i < lower.calls.size(); ++i) targets += ", then " + code(lower.calls[i].target);
    *page +=
        fmt::format("| {} | {} | {} |\n", targets, joined(lower.types, [](const auto& t) { return t.first; }),
                    first.when == nullptr ? "" : cell(code(rewrite::print_expr(*first.when))));
  }
}

void add_pattern(const PatternDef& def, std::string* page) {
  *page +=
      fmt::format("\n### {}\n\n```\n{}\n```\n\n", def.pattern.name, rewrite::print_pattern(def.pattern, ""));
  if (!def.from.empty()) *page += fmt::format("- inherited from backend {}\n", def.from);
  if (!def.types.empty())
    *page += fmt::format("- types, the first that fits: {}\n",
                         joined(def.types, [](const auto& t) { return code(t.first); }));
  for (const ExprPtr& where : def.where)
    *page += fmt::format("- only if {}\n", code(rewrite::print_expr(*where)));
  for (const ObserveRule& rule : def.observe) {
    *page += fmt::format("- observed: {}{}{}\n", rule.slot,
                         rule.kind == ObserveRule::Own    ? " on its own"
                         : rule.kind == ObserveRule::None ? " not at all"
                                                          : " like " + rule.like,
                         rule.tensors ? fmt::format(", where {} operands are tensors", *rule.tensors) : "");
  }
  if (def.becomes) {
    const Becomes& b = *def.becomes;
    *page += fmt::format("- becomes {}", b.op == "root" ? "the root itself" : code(b.op));
    for (const Becomes::Attr& attr : b.attrs)
      if (attr.kind == Becomes::Attr::Of) *page += fmt::format(", {} from {}", attr.name, attr.of);
    for (const ActionDef& action : kActions)
      if (action.name == b.action) *page += fmt::format(" ({}: {})", action.name, action.doc);
    *page += "\n";
  }
  if (!def.train.empty()) *page += fmt::format("- trained as {}\n", code(def.train));
  if (!def.kernel.empty()) *page += fmt::format("- kernel {}\n", code(def.kernel));
  if (!def.before.empty())
    *page += fmt::format("- tried before {}\n", joined(def.before, [](const auto& b) { return b.first; }));
  if (def.cost) *page += fmt::format("- cost {}\n", def.cost_text);
  if (def.otherwise && *def.otherwise != Otherwise::Float)
    *page += fmt::format("- where it does not fit: {}\n",
                         *def.otherwise == Otherwise::Warn ? "a warning" : "an error");
  add_lowerings(def, page);
}

}  // namespace

std::string reference_page(const Backend& backend) {
  const File& file = backend.tree();
  std::string page =
      fmt::format("# Backend {}\n\nVersion {}, {} patterns{}. Written by `zp backend show {} --markdown`.\n",
                  file.name, file.version, file.patterns.size(),
                  file.extends.empty() ? "" : fmt::format(", extending {}", file.extends), file.name);
  add_numerics(file, &page);
  add_types(file, &page);
  if (!file.configs.empty()) {
    page += "\n## Configurations\n\n| name | what it wishes for |\n|---|---|\n";
    for (const ConfigDef& c : file.configs) {
      page += fmt::format("| {} | {} |\n", code(c.name), cell(joined(c.settings, [](const Setting& s) {
                            return fmt::format("{}: {}", s.key, fmt::join(s.values, " "));
                          })));
    }
  }
  page += "\n## Patterns\n";
  for (const PatternDef& def : file.patterns) add_pattern(def, &page);
  if (!file.classes.empty()) {
    page += "\n## Classes of operators\n\n| class | operators |\n|---|---|\n";
    for (const ClassDef& c : file.classes)
      page += fmt::format("| {} | {} |\n", c.name, joined(c.ops, [](const std::string& op) { return op; }));
  }
  if (!file.predicates.empty()) {
    page += "\n## Named conditions\n\n| name | condition |\n|---|---|\n";
    for (const PredicateDef& p : file.predicates)
      page += fmt::format("| {} | {} |\n", p.name, cell(code(rewrite::print_expr(*p.expr))));
  }
  return page;
}

}  // namespace zp::backend
