// Reads and prints patterns in their three forms.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>

#include "rewrite/pattern.h"
#include "support/text_format.h"

namespace zp::rewrite {
namespace {

constexpr size_t kMaxSteps = 64;
constexpr int kMaxNesting = 32;

Result<Number> read_literal(TextCursor& cursor) {
  const TextCursor::Place at = cursor.place();
  if (cursor.accept("true")) return Number::of_bool(true);
  if (cursor.accept("false")) return Number::of_bool(false);
  ZP_TRY(const TextCursor::NumberText text, cursor.number("a number"));
  if (text.is_float) {
    double value = 0;
    if (!read_number(text.text, &value))
      return cursor.error_at(at, fmt::format("'{}' is no number", text.text));
    return Number::of_float(value);
  }
  int64_t value = 0;
  if (!read_number(text.text, &value))
    return cursor.error_at(at, fmt::format("'{}' does not fit in 64 bits", text.text));
  return Number::of_int(value);
}

std::string print_literal(const Number& n) {
  if (n.kind == Number::Bool) return n.i != 0 ? "true" : "false";
  return n.kind == Number::Float ? shortest(n.f, true) : std::to_string(n.i);
}

bool starts_literal(TextCursor& cursor) {
  const int c = cursor.peek();
  if ((c >= '0' && c <= '9') || c == '-') return true;
  return cursor.looking_at("true") || cursor.looking_at("false") || cursor.looking_at("inf");
}

Result<std::vector<std::string>> read_alternatives(TextCursor& cursor) {
  std::vector<std::string> names;
  do {
    ZP_TRY(const std::string_view name, cursor.dotted_name("the name of an op or class", true));
    names.emplace_back(name);
  } while (cursor.accept("|"));
  return names;
}

Result<std::vector<PatternArg>> read_args(TextCursor& cursor) {
  std::vector<PatternArg> args;
  ZP_CHECK(cursor.expect("("));
  if (cursor.accept(")")) return args;
  do {
    PatternArg arg;
    arg.at = place_of(cursor.place());
    if (cursor.accept("%")) {
      arg.kind = PatternArg::Value;
      ZP_TRY(arg.value, cursor.word("the name of a value"));
    } else if (starts_literal(cursor)) {
      arg.kind = PatternArg::Literal;
      ZP_TRY(arg.literal, read_literal(cursor));
    } else if (!cursor.accept("_")) {
      return cursor.wanted("'%name', '_' or a number");
    }
    arg.optional = cursor.accept("?");
    args.push_back(std::move(arg));
  } while (cursor.accept(","));
  ZP_CHECK(cursor.expect(")"));
  return args;
}

Result<std::vector<AttrTest>> read_attr_tests(TextCursor& cursor) {
  std::vector<AttrTest> tests;
  ZP_CHECK(cursor.expect("{"));
  while (!cursor.accept("}")) {
    if (!tests.empty()) cursor.accept(",");
    AttrTest test;
    test.at = place_of(cursor.place());
    ZP_TRY(test.name, cursor.word("the name of an attribute"));
    ZP_CHECK(cursor.expect(":"));
    if (cursor.peek() == '"') {
      test.is_text = true;
      ZP_TRY(test.text, cursor.quoted("a text"));
    } else {
      ZP_TRY(test.number, read_literal(cursor));
    }
    tests.push_back(std::move(test));
  }
  return tests;
}

Status read_step_tail(TextCursor& cursor, PatternStep* step) {
  if (cursor.looking_at("(")) {
    step->has_args = true;
    ZP_TRY(step->args, read_args(cursor));
  }
  if (cursor.looking_at("{")) { ZP_TRY(step->attrs, read_attr_tests(cursor)); }
  return {};
}

Status read_chain(TextCursor& cursor, Pattern* pattern) {
  do {
    PatternStep step;
    step.at = place_of(cursor.place());
    if (cursor.accept("[")) {
      step.optional = true;
      ZP_TRY(step.alternatives, read_alternatives(cursor));
      ZP_CHECK(cursor.expect("]"));
    } else {
      ZP_TRY(step.alternatives, read_alternatives(cursor));
    }
    ZP_CHECK(read_step_tail(cursor, &step));
    pattern->steps.push_back(std::move(step));
    if (pattern->steps.size() > kMaxSteps)
      return cursor.error(fmt::format("a pattern has at most {} steps", kMaxSteps));
  } while (cursor.accept(","));
  return {};
}

Status read_graph(TextCursor& cursor, Pattern* pattern) {
  pattern->form = Pattern::Graph;
  while (!cursor.accept("}")) {
    PatternStep step;
    step.at = place_of(cursor.place());
    step.shared = cursor.accept("shared");
    ZP_CHECK(cursor.expect("%"));
    ZP_TRY(step.value, cursor.word("the name of a value"));
    ZP_CHECK(cursor.expect("="));
    ZP_TRY(step.alternatives, read_alternatives(cursor));
    ZP_CHECK(read_step_tail(cursor, &step));
    pattern->steps.push_back(std::move(step));
    if (pattern->steps.size() > kMaxSteps)
      return cursor.error(fmt::format("a pattern has at most {} steps", kMaxSteps));
  }
  if (pattern->steps.empty()) return cursor.error("the pattern has no steps");
  return {};
}

// --- the reversed nested form
// ----------------------------------------------------------------------------------------

struct Nested {
  enum Kind : uint8_t { Op, Any, Literal } kind = Op;
  std::string op;
  Number literal;
  std::vector<Nested> args;
  Place at;
};

Result<Nested> read_nested(TextCursor& cursor, int depth, size_t* count) {
  if (depth > kMaxNesting) return cursor.error(fmt::format("nested deeper than {}", kMaxNesting));
  if (++*count > kMaxSteps) return cursor.error(fmt::format("a pattern has at most {} parts", kMaxSteps));
  Nested node;
  node.at = place_of(cursor.place());
  if (!cursor.accept("(")) {
    ZP_TRY(node.op, cursor.dotted_name("the name of an op or '('", true));
    return node;
  }
  ZP_TRY(node.op, cursor.dotted_name("the name of an op", true));
  while (cursor.accept(",")) {
    Nested arg;
    arg.at = place_of(cursor.place());
    if (starts_literal(cursor)) {
      arg.kind = Nested::Literal;
      ZP_TRY(arg.literal, read_literal(cursor));
    } else if (cursor.looking_at("_")) {
      cursor.accept("_");
      arg.kind = Nested::Any;
    } else {
      ZP_TRY(arg, read_nested(cursor, depth + 1, count));
    }
    node.args.push_back(std::move(arg));
  }
  ZP_CHECK(cursor.expect(")"));
  if (node.args.empty())
    return cursor.error_at({0, node.at.line, node.at.column}, "a nested pattern has at least one operand");
  return node;
}

class LegacyForm {
 public:
  explicit LegacyForm(Pattern* pattern) : pattern_(pattern) {}

  // The number (from 1) of the first operand a chain cannot hold, 0 if the whole nest is a chain.
  static size_t beyond_chain(const Nested& node) {
    if (node.args.empty()) return 0;
    if (node.args.size() > 1) return 2;
    return node.args[0].kind == Nested::Op ? beyond_chain(node.args[0]) : 1;
  }

  void as_chain(const Nested& node) {
    if (!node.args.empty()) as_chain(node.args[0]);
    add_step(node);
  }

  // Returns the name of the value the nest gives.
  std::string as_graph(const Nested& node, bool last) {
    std::vector<PatternArg> args;
    for (const Nested& nested : node.args) {
      PatternArg arg;
      arg.at = nested.at;
      if (nested.kind == Nested::Literal) {
        arg.kind = PatternArg::Literal;
        arg.literal = nested.literal;
      } else {
        arg.kind = PatternArg::Value;
        arg.value = nested.kind == Nested::Any ? fresh("r") : as_graph(nested, false);
      }
      args.push_back(std::move(arg));
    }
    PatternStep& step = add_step(node);
    step.has_args = !args.empty();
    step.args = std::move(args);
    step.value = last ? "y" : fresh(std::string(1, node.op.empty() ? 'v' : node.op[0]));
    return step.value;
  }

 private:
  PatternStep& add_step(const Nested& node) {
    PatternStep step;
    step.at = node.at;
    step.alternatives = {node.op};
    pattern_->steps.push_back(std::move(step));
    return pattern_->steps.back();
  }

  // Short names of operands are not for inner values.
  std::string fresh(const std::string& stem) {
    static constexpr std::string_view kReserved = "xwbay";
    std::string name = stem;
    for (int n = kReserved.find(stem) == std::string_view::npos ? 2 : 1;
         name == "y" || kReserved.find(name) != std::string_view::npos || !used_.insert(name).second; ++n) {
      name = stem + std::to_string(n);
    }
    return name;
  }

  Pattern* pattern_;
  std::set<std::string> used_;
};

Status read_legacy(TextCursor& cursor, Pattern* pattern, std::vector<Diagnostic>* notes) {
  pattern->legacy = true;
  size_t count = 0;
  ZP_TRY(const Nested root, read_nested(cursor, 0, &count));
  LegacyForm form(pattern);
  const size_t beyond = LegacyForm::beyond_chain(root);
  if (beyond == 0) {
    form.as_chain(root);
    return {};
  }
  pattern->form = Pattern::Graph;
  form.as_graph(root, true);
  if (notes != nullptr) {
    Location where{std::string(cursor.file()), root.at.line, root.at.column, {}, {}};
    notes->push_back(
        {Severity::Note, "zpb09", where,
         fmt::format("pattern \"{}\": nested operand {} is more than the step before, printed as a graph",
                     pattern->name, beyond)});
  }
  return {};
}

std::string print_step(const PatternStep& step) {
  std::string text;
  for (const std::string& name : step.alternatives) text += (text.empty() ? "" : " | ") + name;
  if (step.optional) text = "[" + text + "]";
  if (step.has_args) {
    text += "(";
    for (size_t i = 0; i < step.args.size(); ++i) {
      const PatternArg& arg = step.args[i];
      if (i > 0) text += ", ";
      text += arg.kind == PatternArg::Any     ? "_"
              : arg.kind == PatternArg::Value ? "%" + arg.value
                                              : print_literal(arg.literal);
      if (arg.optional) text += "?";
    }
    text += ")";
  }
  if (!step.attrs.empty()) {
    text += " {";
    for (size_t i = 0; i < step.attrs.size(); ++i) {
      const AttrTest& test = step.attrs[i];
      text += fmt::format("{}{}: {}", i > 0 ? ", " : "", test.name,
                          test.is_text ? quote(test.text) : print_literal(test.number));
    }
    text += "}";
  }
  return text;
}

}  // namespace

Result<Pattern> parse_pattern(TextCursor& cursor, std::string name, std::vector<Diagnostic>* notes) {
  Pattern pattern;
  pattern.name = std::move(name);
  pattern.at = place_of(cursor.place());
  if (cursor.accept("{")) {
    ZP_CHECK(read_graph(cursor, &pattern));
    return pattern;
  }
  if (!cursor.accept(":")) return cursor.wanted("':' and a chain, or '{' and a graph");
  if (cursor.accept("legacy")) {
    ZP_CHECK(read_legacy(cursor, &pattern, notes));
  } else {
    ZP_CHECK(read_chain(cursor, &pattern));
  }
  return pattern;
}

std::string print_pattern(const Pattern& pattern, std::string_view indent) {
  std::string text;
  if (pattern.form == Pattern::Chain) {
    for (const PatternStep& step : pattern.steps) text += (text.empty() ? ": " : ", ") + print_step(step);
    return text;
  }
  text = "{\n";
  for (const PatternStep& step : pattern.steps) {
    text +=
        fmt::format("{}    {}%{} = {}\n", indent, step.shared ? "shared " : "", step.value, print_step(step));
  }
  return text + std::string(indent) + "  }";
}

}  // namespace zp::rewrite
