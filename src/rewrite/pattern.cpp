// Resolves the names of a pattern and turns it into variants for the matcher.
#include "rewrite/pattern.h"

#include <fmt/format.h>

#include <algorithm>

namespace zp::rewrite {
namespace {

constexpr size_t kMaxOptional = 6;

Diagnostic problem(std::string_view rule, const Place& at, std::string text) {
  Diagnostic d;
  d.id = rule;
  d.where.line = at.line;
  d.where.column = at.column;
  d.text = std::move(text);
  return d;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
  const std::string_view near = nearest(word, known);
  return near.empty() ? std::string() : fmt::format(", did you mean \"{}\"", near);
}

void resolve_ops(PatternStep& step, const OpTable& table, const ClassMap& classes,
                 std::vector<Diagnostic>* problems) {
  step.ops.clear();
  for (const std::string& name : step.alternatives) {
    if (const auto found = classes.find(name); found != classes.end()) {
      step.ops.insert(step.ops.end(), found->second.begin(), found->second.end());
    } else if (const OpDef* op = table.find(name)) {
      step.ops.push_back(op);
    } else {
      std::vector<std::string_view> known;
      for (const OpDef* op : table.all()) known.push_back(op->name);
      for (const auto& [other, members] : classes) known.push_back(other);
      problems->push_back(
          problem("zpb01", step.at, fmt::format("unknown op \"{}\"{}", name, did_you_mean(name, known))));
    }
  }
  std::sort(step.ops.begin(), step.ops.end(),
            [](const OpDef* a, const OpDef* b) { return a->name < b->name; });
  step.ops.erase(std::unique(step.ops.begin(), step.ops.end()), step.ops.end());
}

void check_attrs(const PatternStep& step, std::vector<Diagnostic>* problems) {
  for (const AttrTest& test : step.attrs) {
    for (const OpDef* op : step.ops) {
      if (op->attrs != nullptr && op->attrs->find(test.name) != nullptr) continue;
      std::vector<std::string_view> known;
      if (op->attrs != nullptr)
        for (const AttrField& field : op->attrs->fields) known.push_back(field.name);
      problems->push_back(problem(
          "zpb01", test.at,
          fmt::format("{} has no attribute \"{}\"{}", op->name, test.name, did_you_mean(test.name, known))));
    }
  }
}

size_t required_data(const OpDef& op) {
  size_t n = 0;
  for (const OperandDef& operand : op.operands)
    n += operand.role == Role::Data && !operand.optional && !operand.variadic;
  return n;
}

void check_chain_step(const Pattern& pattern, size_t i, std::vector<Diagnostic>* problems) {
  const PatternStep& step = pattern.steps[i];
  if (i == 0) return;
  for (const OpDef* op : step.ops) {
    if (chained_operand(*op) < 0) {
      problems->push_back(
          problem("zpb08", step.at,
                  fmt::format("{} takes no data operand, it cannot follow another step", op->name)));
    } else if (required_data(*op) > 1 && !step.has_args) {
      problems->push_back(
          problem("zpb08", step.at,
                  fmt::format("{} has {} operands, write it as a graph", op->name,
                              required_data(*op) == 2 ? "two" : std::to_string(required_data(*op)))));
    }
  }
}

void check_arg_count(const Pattern& pattern, size_t i, std::vector<Diagnostic>* problems) {
  const PatternStep& step = pattern.steps[i];
  const size_t given = step.args.size() + (pattern.form == Pattern::Chain && i > 0 ? 1 : 0);
  for (const OpDef* op : step.ops) {
    if (op->variadic() || given <= op->operands.size() || op->operands.empty()) continue;
    problems->push_back(problem(
        "zpb04", step.at,
        fmt::format("{} has {} operands, the pattern gives {}", op->name, op->operands.size(), given)));
  }
}

void check_graph_names(const Pattern& pattern, std::vector<Diagnostic>* problems) {
  std::map<std::string, size_t, std::less<>> defined;
  std::map<std::string, size_t, std::less<>> used;
  for (size_t i = 0; i < pattern.steps.size(); ++i) {
    const PatternStep& step = pattern.steps[i];
    for (const PatternArg& arg : step.args) {
      if (arg.kind == PatternArg::Value) used.emplace(arg.value, i);
    }
    if (const auto before = used.find(step.value); before != used.end() && before->second <= i) {
      problems->push_back(
          problem("zpb04", step.at, fmt::format("%{} is used before it is defined", step.value)));
    }
    if (!defined.emplace(step.value, i).second) {
      problems->push_back(
          problem("zpb02", step.at, fmt::format("%{} is defined twice in one pattern", step.value)));
    }
  }
  for (size_t i = 0; i + 1 < pattern.steps.size(); ++i) {
    if (used.find(pattern.steps[i].value) == used.end()) {
      problems->push_back(problem(
          "zpb04", pattern.steps[i].at,
          fmt::format("%{} is never used, only the last value is the result", pattern.steps[i].value)));
    }
  }
}

// --- compiling
// -------------------------------------------------------------------------------------------------------

class Compiler {
 public:
  Compiler(const Pattern& pattern, size_t index) : pattern_(pattern) {
    variant_.pattern = &pattern;
    variant_.pattern_index = index;
  }

  Variant chain(const std::vector<size_t>& kept) {
    for (size_t source : kept) {
      const PatternStep& from = pattern_.steps[source];
      Variant::Step step = start(from, source);
      const bool first = variant_.steps.empty();
      size_t operand = 0;
      if (!first) {
        step.chained = static_cast<int>(variant_.steps.size()) - 1;
        variant_.steps.back().inner_uses = 1;
      }
      // The chained operand is no argument: those written fill the operands around it.
      const int skip = first || from.ops.empty() ? -1 : chained_operand(*from.ops.front());
      for (const PatternArg& arg : from.args) {
        if (static_cast<int>(operand) == skip) {
          step.args.push_back({});
          ++operand;
        }
        step.args.push_back(argument(arg));
        ++operand;
      }
      variant_.steps.push_back(std::move(step));
    }
    return std::move(variant_);
  }

  Variant graph() {
    for (size_t i = 0; i < pattern_.steps.size(); ++i) {
      const PatternStep& from = pattern_.steps[i];
      Variant::Step step = start(from, i);
      for (const PatternArg& arg : from.args) step.args.push_back(argument(arg));
      variant_.steps.push_back(std::move(step));
      defined_.emplace(from.value, static_cast<int>(i));
    }
    return std::move(variant_);
  }

 private:
  static Variant::Step start(const PatternStep& from, size_t source) {
    Variant::Step step;
    step.ops = from.ops;
    step.attrs = from.attrs;
    step.shared = from.shared;
    step.source = source;
    return step;
  }

  Variant::Arg argument(const PatternArg& from) {
    Variant::Arg arg;
    arg.optional = from.optional;
    if (from.kind == PatternArg::Literal) {
      arg.kind = Variant::Arg::Literal;
      arg.literal = from.literal;
    } else if (from.kind == PatternArg::Value) {
      if (const auto inner = defined_.find(from.value); inner != defined_.end()) {
        arg.kind = Variant::Arg::Inner;
        arg.index = inner->second;
        ++variant_.steps[static_cast<size_t>(inner->second)].inner_uses;
        return arg;
      }
      arg.kind = Variant::Arg::Free;
      auto& names = variant_.free_values;
      const auto at = std::find(names.begin(), names.end(), from.value);
      arg.index = static_cast<int>(at - names.begin());
      if (at == names.end()) names.push_back(from.value);
    }
    return arg;
  }

  const Pattern& pattern_;
  Variant variant_;
  std::map<std::string, int, std::less<>> defined_;
};

bool affine(const Variant::Step& step) {
  return !step.ops.empty() && step.ops.front()->trait == Trait::Affine;
}

size_t root_of(const Variant& variant, std::string_view wish) {
  for (size_t i = 0; i < variant.steps.size(); ++i) {
    const PatternStep& step = variant.pattern->steps[variant.steps[i].source];
    if (wish.empty()) break;
    if (variant.pattern->form == Pattern::Graph
            ? step.value == wish
            : std::find(step.alternatives.begin(), step.alternatives.end(), wish) !=
                  step.alternatives.end()) {
      return i;
    }
  }
  for (size_t i = 0; i < variant.steps.size(); ++i) {
    if (affine(variant.steps[i])) return i;
  }
  return 0;
}

}  // namespace

int chained_operand(const OpDef& op) {
  for (size_t i = 0; i < op.operands.size(); ++i) {
    if (op.operands[i].role == Role::Data) return static_cast<int>(i);
  }
  return -1;
}

void resolve(Pattern& pattern, const OpTable& table, const ClassMap& classes,
             std::vector<Diagnostic>* problems) {
  for (size_t i = 0; i < pattern.steps.size(); ++i) {
    resolve_ops(pattern.steps[i], table, classes, problems);
    check_attrs(pattern.steps[i], problems);
    check_arg_count(pattern, i, problems);
    if (pattern.form == Pattern::Chain) check_chain_step(pattern, i, problems);
  }
  if (pattern.form == Pattern::Graph) check_graph_names(pattern, problems);
  const bool all_optional = std::all_of(pattern.steps.begin(), pattern.steps.end(),
                                        [](const PatternStep& s) { return s.optional; });
  if (all_optional)
    problems->push_back(
        problem("zpb08", pattern.at, fmt::format("every step of \"{}\" is optional", pattern.name)));
}

Result<std::vector<Variant>> compile(const Pattern& pattern, size_t index, std::string_view root) {
  std::vector<Variant> variants;
  std::vector<size_t> optional;
  for (size_t i = 0; i < pattern.steps.size(); ++i) {
    if (pattern.steps[i].optional) optional.push_back(i);
  }
  if (optional.size() > kMaxOptional) {
    return Error(problem("zpb08", pattern.at,
                         fmt::format("\"{}\" has {} optional steps, at most {} are possible", pattern.name,
                                     optional.size(), kMaxOptional)));
  }
  for (size_t dropped = 0; dropped < (size_t{1} << optional.size()); ++dropped) {
    if (pattern.form == Pattern::Graph) {
      variants.push_back(Compiler(pattern, index).graph());
      break;
    }
    std::vector<size_t> kept;
    for (size_t i = 0; i < pattern.steps.size(); ++i) {
      const auto at = std::find(optional.begin(), optional.end(), i);
      const bool out = at != optional.end() && ((dropped >> (at - optional.begin())) & 1) != 0;
      if (!out) kept.push_back(i);
    }
    if (!kept.empty()) variants.push_back(Compiler(pattern, index).chain(kept));
  }
  for (Variant& variant : variants) {
    variant.root = root_of(variant, root);
    for (const OpDef* op : variant.steps[variant.root].ops) variant.slots.push_back(slot_names(variant, *op));
  }
  std::stable_sort(variants.begin(), variants.end(),
                   [](const Variant& a, const Variant& b) { return a.length() > b.length(); });
  return variants;
}

}  // namespace zp::rewrite
