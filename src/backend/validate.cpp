#include "backend/validate_rules.h"

namespace zp::backend {

namespace {

constexpr int kMaxTypeDepth = 16;

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

}  // namespace

void Checker::all() {
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

void Checker::error(std::string_view rule, const Place& at, std::string text) {
  problems_->push_back(problem(file_, rule, at, std::move(text)));
}

void Checker::duplicates() {
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

void Checker::element(const Elem& e) {
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
    error(
        "zpb07", e.at,
        fmt::format("fixed scale {} is {} {}", e.fixed->scale_text, b.at_least ? "below" : "above", b.text));
  }
  const int64_t low = e.range ? e.range->first : is_integer(e.dtype) ? int_min(e.dtype) : 0;
  const int64_t high = e.range ? e.range->second : is_integer(e.dtype) ? int_max(e.dtype) : 0;
  if (e.fixed->has_zero() &&
      (e.fixed->zero_point < static_cast<double>(low) || e.fixed->zero_point > static_cast<double>(high))) {
    error("zpb07", e.at, fmt::format("fixed zero point {} is outside {}:{}", e.fixed->zero_text, low, high));
  }
  if (e.fixed->has_scale() && !(e.fixed->scale > 0))
    error("zpb07", e.at, fmt::format("fixed scale {} is not positive", e.fixed->scale_text));
}

void Checker::slots(std::span<const SlotTypes> all) {
  std::set<std::string, std::less<>> seen;
  for (const SlotTypes& slot : all) {
    if (!seen.insert(slot.slot).second)
      error("zpb02", slot.at, fmt::format("slot \"{}\" is given twice", slot.slot));
    for (const Elem& e : slot.elems) element(e);
  }
}

bool Checker::may_be_quantized(const SlotTypes& slot) {
  return std::any_of(slot.accepted.begin(), slot.accepted.end(), [](const Elem& e) {
    return e.any || is_integer(e.dtype) || (is_float(e.dtype) && bits_of(e.dtype) <= 8);
  });
}

void Checker::derived(const TypesDef& types) {
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

void Checker::settings(std::span<const Setting> all, std::span<const SettingDef> defs,
                       std::string_view where) {
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

void Checker::config(const ConfigDef& c) {
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

void Checker::types_known(std::string_view name, const Place& at) {
  const auto known = names_of(file_.typesets, [](const TypesDef& t) { return std::string_view(t.name); });
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    error("zpb01", at, fmt::format("unknown types \"{}\"{}", name, did_you_mean(name, known)));
  }
}

void Checker::op_known(std::string_view name, const Place& at) {
  if (ops_.find(name) != nullptr || classes_.contains(name)) return;
  std::vector<std::string_view> known = names_of(ops_.all(), [](const OpDef* op) { return op->name; });
  for (const auto& [other, members] : classes_) known.push_back(other);
  error("zpb01", at, fmt::format("unknown op \"{}\"{}", name, did_you_mean(name, known)));
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
