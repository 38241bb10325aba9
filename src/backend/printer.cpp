// The tree as text (its canonical form: reads back to the same tree) and as data.
#include <fmt/format.h>

#include "backend/backend.h"
#include "support/json_writer.h"
#include "support/text_format.h"

namespace zp {
namespace {

using namespace backend;

std::string join(std::span<const std::string> items, std::string_view between) {
  std::string text;
  for (const std::string& item : items) {
    if (!text.empty()) text += between;
    text += item;
  }
  return text;
}

std::string names_of(std::span<const std::pair<std::string, Place>> items) {
  std::string text;
  for (const auto& [name, at] : items) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string print_granularity(const Granularity& g) {
  switch (g.kind) {
    case Granularity::Any: return "";
    case Granularity::PerTensor: return " per-tensor";
    case Granularity::PerToken: return " per-token";
    case Granularity::PerGroup:
      return g.group == 0 ? std::string(" per-group") : fmt::format(" per-group {}", g.group);
    case Granularity::PerAxis:
      switch (g.axis_kind) {
        case Granularity::Out: return " per-axis out";
        case Granularity::In: return " per-axis in";
        case Granularity::Every: return " per-axis any";
        case Granularity::Number: return fmt::format(" per-axis {}", g.axis);
      }
      return "";
    case Granularity::Block: break;
  }
  std::string text = " block [";
  for (size_t i = 0; i < g.block.size(); ++i) {
    text += i > 0 ? ", " : "";
    text += g.block[i] == 0 ? "*" : g.block[i] < 0 ? "any" : std::to_string(g.block[i]);
  }
  return text + "]";
}

}  // namespace

namespace backend {

std::string print_elem(const Elem& e) {
  if (!e.type_name.empty()) return e.type_name;
  if (e.none) return "none";
  std::string text = e.any ? "any" : std::string(dtype_name(e.dtype));
  if (e.range) text += fmt::format("[{}:{}]", e.range->first, e.range->second);
  if (e.constant) text += " const";
  if (e.scheme == Scheme::Symmetric) text += " symmetric";
  if (e.scheme == Scheme::Affine) text += " affine";
  if (e.scheme == Scheme::FloatZero) text += " float-zero";
  text += print_granularity(e.granularity);
  if (e.dynamic) text += " dynamic";
  if (e.fixed)
    text += fmt::format(" fixed({}, {})", e.fixed->has_scale() ? e.fixed->scale_text : "any",
                        e.fixed->has_zero() ? e.fixed->zero_text : "any");
  if (e.derived)
    text +=
        fmt::format(" derived({}, {})", print_expr(*e.derived->scale), print_expr(*e.derived->zero_point));
  for (const Bound& b : e.bounds)
    text += fmt::format(" {} {} {}", b.eps ? "eps" : "scale", b.at_least ? ">=" : "<=", b.text);
  return text;
}

std::string print_elems(std::span<const Elem> elems) {
  std::string text;
  for (const Elem& e : elems) text += (text.empty() ? "" : " | ") + print_elem(e);
  return text;
}

}  // namespace backend

namespace {

std::string print_slots(std::span<const SlotTypes> slots) {
  std::string text = "{";
  for (const SlotTypes& slot : slots) text += fmt::format("\n    {}: {}", slot.slot, print_elems(slot.elems));
  return text + "\n  }";
}

std::string print_becomes(const Becomes& b) {
  std::string text = b.op;
  for (size_t i = 0; i < b.attrs.size(); ++i) {
    const Becomes::Attr& attr = b.attrs[i];
    std::string value;
    switch (attr.kind) {
      case Becomes::Attr::Of: value = "of " + attr.of; break;
      case Becomes::Attr::Activation: value = attr.activation; break;
      case Becomes::Attr::Text: value = quote(attr.text); break;
      case Becomes::Attr::Num:
        value = attr.number.kind == Number::Bool  ? (attr.number.i != 0 ? "true" : "false")
                : attr.number.kind == Number::Int ? std::to_string(attr.number.i)
                                                  : shortest(attr.number.f, true);
    }
    text += fmt::format("{}{}: {}", i == 0 ? " {" : ", ", attr.name, value);
  }
  if (!b.attrs.empty()) text += "}";
  if (!b.action.empty()) text += " with " + b.action;
  return text;
}

std::string print_observe(const ObserveRule& rule) {
  std::string text = rule.slot;
  text += rule.kind == ObserveRule::Own    ? " own"
          : rule.kind == ObserveRule::None ? " none"
                                           : " like " + rule.like;
  if (rule.tensors) text += fmt::format(" when tensors == {}", *rule.tensors);
  return text;
}

std::string print_alias(const Alias& alias) {
  if (alias.pattern.empty()) return "none";
  std::string text = quote(alias.pattern);
  for (size_t i = 0; i < alias.keys.size(); ++i)
    text += fmt::format("{}{}: {}", i == 0 ? " {" : ", ", alias.keys[i].first, quote(alias.keys[i].second));
  return alias.keys.empty() ? text : text + "}";
}

// Calls `line(key, text)` for each clause of a pattern in canonical order.
void each_clause(const PatternDef& def, const std::function<void(std::string_view, std::string)>& line) {
  if (!def.types.empty()) line("types", names_of(def.types));
  if (!def.root.empty()) line("root", (def.pattern.form == rewrite::Pattern::Graph ? "%" : "") + def.root);
  if (!def.extra.empty()) {
    std::string text;
    for (const std::string& extra : def.extra) text += (text.empty() ? "%" : ", %") + extra;
    line("extra", text);
  }
  for (const ExprPtr& where : def.where) line("where", print_expr(*where));
  for (const ObserveRule& rule : def.observe) line("observe", print_observe(rule));
  if (def.becomes) line("becomes", print_becomes(*def.becomes));
  if (!def.train.empty()) line("train", def.train);
  if (!def.kernel.empty()) line("kernel", def.kernel);
  for (const Lowering& lower : def.lowers) line("lower", print_lowering(lower, "      "));
  if (def.cost) line("cost", def.cost_text);
  if (!def.before.empty()) line("before", names_of(def.before));
  if (def.otherwise) {
    line("otherwise", *def.otherwise == Otherwise::Float  ? "float"
                      : *def.otherwise == Otherwise::Warn ? "warn"
                                                          : "error");
  }
  if (!def.aliases.empty()) {
    std::string text;
    for (const Alias& alias : def.aliases) text += (text.empty() ? "" : ",\n      ") + print_alias(alias);
    line("alias", text);
  }
}

std::string print_settings(std::span<const Setting> settings, std::span<const SlotTypes> wishes = {}) {
  std::string text = "{";
  for (const SlotTypes& w : wishes) text += fmt::format("\n    {}: {}", w.slot, print_elems(w.elems));
  for (const Setting& s : settings) text += fmt::format("\n    {}: {}", s.key, join(s.values, ", "));
  return text + "\n  }";
}

void slots_json(JsonWriter& json, std::span<const SlotTypes> slots) {
  json.begin_object();
  for (const SlotTypes& slot : slots) {
    json.key(slot.slot).begin_array();
    for (const Elem& e : slot.elems) json.value(print_elem(e));
    json.end_array();
  }
  json.end_object();
}

void settings_json(JsonWriter& json, std::span<const Setting> settings,
                   std::span<const SlotTypes> wishes = {}) {
  json.begin_object();
  for (const SlotTypes& w : wishes) json.field(w.slot, print_elems(w.elems));
  for (const Setting& s : settings) {
    json.key(s.key).begin_array();
    for (const std::string& value : s.values) json.value(value);
    json.end_array();
  }
  json.end_object();
}

void pattern_json(JsonWriter& json, const PatternDef& def) {
  json.begin_object();
  json.field("name", def.pattern.name);
  const bool chain = def.pattern.form == rewrite::Pattern::Chain;
  json.field("form", chain ? "chain" : "graph");
  json.key("steps").begin_array();
  for (const rewrite::PatternStep& step : def.pattern.steps) {
    json.begin_object();
    json.key("ops").begin_array();
    for (const std::string& name : step.alternatives) json.value(name);
    json.end_array();
    if (!step.value.empty()) json.field("value", step.value);
    if (step.optional) json.field("optional", true);
    if (step.shared) json.field("shared", true);
    if (step.has_args) {
      json.key("args").begin_array();
      for (const rewrite::PatternArg& arg : step.args) {
        if (arg.kind == rewrite::PatternArg::Any) json.value("_");
        else if (arg.kind == rewrite::PatternArg::Value)
          json.value("%" + arg.value + (arg.optional ? "?" : ""));
        else json.value(arg.literal.as_double());
      }
      json.end_array();
    }
    json.end_object();
  }
  json.end_array();
  // A clause may come several times (where, observe): each key gives a list.
  std::vector<std::pair<std::string, std::vector<std::string>>> clauses;
  each_clause(def, [&](std::string_view key, std::string text) {
    if (clauses.empty() || clauses.back().first != key) clauses.push_back({std::string(key), {}});
    clauses.back().second.push_back(std::move(text));
  });
  for (const auto& [key, lines] : clauses) {
    json.key(key).begin_array();
    for (const std::string& line : lines) json.value(line);
    json.end_array();
  }
  if (!def.from.empty()) json.field("from", def.from);
  json.end_object();
}

}  // namespace

std::string Backend::print() const {
  std::string out = fmt::format("backend {} version {}\n", tree_.name, tree_.version);
  if (!tree_.numerics.empty()) out += fmt::format("\n  numerics {}\n", print_settings(tree_.numerics));
  out += "\n";
  for (const ClassDef& c : tree_.classes) out += fmt::format("  class {} = {}\n", c.name, join(c.ops, " | "));
  for (const TypeDef& t : tree_.types) out += fmt::format("  type {} = {}\n", t.name, print_elems(t.elems));
  for (const PredicateDef& p : tree_.predicates)
    out += fmt::format("  predicate {} = {}\n", p.name, print_expr(*p.expr));
  for (const TypesDef& t : tree_.typesets)
    out += fmt::format("\n  types {} {}\n", t.name, print_slots(t.slots));
  for (const KernelDef& k : tree_.kernels)
    out += fmt::format("\n  kernel {} {}\n", k.name, print_slots(k.slots));
  for (const ConfigDef& c : tree_.configs)
    out += fmt::format("\n  config {} {}\n", c.name, print_settings(c.settings, c.wishes));
  for (const PatternDef& def : tree_.patterns) {
    out += fmt::format("\n  pattern {} {}\n", def.pattern.name, rewrite::print_pattern(def.pattern, "  "));
    each_clause(def, [&](std::string_view key, const std::string& text) {
      out += fmt::format("    {} {}\n", key, text);
    });
  }
  if (!tree_.foreign.empty()) out += "\n";
  for (const std::string& json : tree_.foreign) out += fmt::format("  foreign {}\n", quote(json));
  return out;
}

std::string Backend::json() const {
  JsonWriter json(1);
  json.begin_object();
  json.field("backend", tree_.name).field("version", tree_.version);
  json.key("numerics");
  settings_json(json, tree_.numerics);
  json.key("classes").begin_object();
  for (const ClassDef& c : tree_.classes) {
    json.key(c.name).begin_array();
    for (const std::string& op : c.ops) json.value(op);
    json.end_array();
  }
  json.end_object();
  json.key("type").begin_object();
  for (const TypeDef& t : tree_.types) {
    json.key(t.name).begin_array();
    for (const Elem& e : t.elems) json.value(print_elem(e));
    json.end_array();
  }
  json.end_object();
  json.key("types").begin_object();
  for (const TypesDef& t : tree_.typesets) {
    json.key(t.name);
    slots_json(json, t.slots);
  }
  json.end_object();
  json.key("predicates").begin_object();
  for (const PredicateDef& p : tree_.predicates) json.field(p.name, print_expr(*p.expr));
  json.end_object();
  json.key("kernels").begin_object();
  for (const KernelDef& k : tree_.kernels) {
    json.key(k.name);
    slots_json(json, k.slots);
  }
  json.end_object();
  json.key("configs").begin_object();
  for (const ConfigDef& c : tree_.configs) {
    json.key(c.name);
    settings_json(json, c.settings, c.wishes);
  }
  json.end_object();
  json.key("patterns").begin_array();
  for (const PatternDef& def : tree_.patterns) pattern_json(json, def);
  json.end_array();
  json.key("foreign").begin_array();
  for (const std::string& text : tree_.foreign) json.value(text);
  json.end_array();
  json.end_object();
  return json.take();
}

}  // namespace zp
