// Patterns and their clauses.
#include "backend/lowering.h"
#include "backend/reader_parts.h"

namespace zp::backend {

Status FileReader::pattern_item(Place at) {
  PatternDef def;
  ZP_TRY(std::string own, name("the name of the pattern"));
  std::vector<Diagnostic> notes;
  ZP_TRY(def.pattern, rewrite::parse_pattern(cursor_, std::move(own), &notes));
  for (Diagnostic& note : notes) report(std::move(note));
  def.pattern.at = at;
  while (true) {
    ZP_TRY(const bool more, clause(&def));
    if (!more) break;
  }
  file_.patterns.push_back(std::move(def));
  return {};
}

bool FileReader::opens_block() {
  const TextCursor::Place at = cursor_.place();
  const auto word = cursor_.dotted_name("a name", true);
  const bool block = word.ok() && cursor_.peek() == '{';
  cursor_.reset(at);
  return block;
}

Result<bool> FileReader::clause(PatternDef* def) {
  static constexpr std::string_view kClauses[] = {"types",     "observe", "root", "extra",  "becomes",
                                                  "train",     "kernel",  "cost", "before", "where",
                                                  "otherwise", "alias",   "lower"};
  const TextCursor::Place at = cursor_.place();
  if (cursor_.at_end()) return false;
  ZP_TRY(const std::string_view word, cursor_.dotted_name("a clause or an item", true));
  if (((word == "types" || word == "kernel") && opens_block()) ||
      (is_item(word) && word != "types" && word != "kernel")) {
    cursor_.reset(at);
    return false;
  }
  const Place place = rewrite::place_of(at);
  if (word == "types") ZP_CHECK(named_list(&def->types));
  else if (word == "before") ZP_CHECK(named_list(&def->before));
  else if (word == "observe") ZP_CHECK(observe(def, place));
  else if (word == "root") ZP_CHECK(root(def, place));
  else if (word == "extra") ZP_CHECK(extra(def));
  else if (word == "becomes") ZP_CHECK(becomes(def, place));
  else if (word == "where") ZP_CHECK(where(def, place));
  else if (word == "alias") ZP_CHECK(alias(def));
  else if (word == "lower") {
    ZP_TRY(Lowering lowering, read_lowering(cursor_, place));
    def->lowers.push_back(std::move(lowering));
  } else if (word == "train") {
    ZP_TRY(def->train, name("the operator used in training"));
  } else if (word == "kernel") {
    def->kernel_at = place;
    ZP_TRY(def->kernel, name("the name of a kernel"));
  } else if (word == "cost") {
    ZP_TRY(const Rational r, rational());
    def->cost = r.value;
    def->cost_text = r.text;
  } else if (word == "otherwise") {
    ZP_CHECK(otherwise(def));
  } else {
    return unknown(at, "key", word, kClauses);
  }
  return true;
}

Status FileReader::named_list(std::vector<std::pair<std::string, Place>>* out) {
  do {
    const Place at = rewrite::place_of(cursor_.place());
    ZP_TRY(std::string one, name("a name"));
    out->emplace_back(std::move(one), at);
  } while (cursor_.accept(","));
  return {};
}

Status FileReader::alias(PatternDef* def) {
  do {
    Alias one;
    one.at = rewrite::place_of(cursor_.place());
    if (cursor_.accept("none")) {
      def->aliases.push_back(std::move(one));
      return {};
    }
    ZP_TRY(one.pattern, cursor_.quoted("a spelling in quotes, or none"));
    if (cursor_.accept("{")) {
      while (!cursor_.accept("}")) {
        if (!one.keys.empty()) cursor_.accept(",");
        ZP_TRY(const std::string_view key, cursor_.word("a key"));
        ZP_CHECK(cursor_.expect(":"));
        ZP_TRY(std::string json, cursor_.quoted("its value as JSON, in quotes"));
        one.keys.emplace_back(key, std::move(json));
      }
    }
    def->aliases.push_back(std::move(one));
  } while (cursor_.accept(","));
  return {};
}

Result<std::string> FileReader::slot_name() {
  cursor_.accept("%");
  ZP_TRY(const std::string_view word, cursor_.word("the name of a slot"));
  return std::string(word);
}

Status FileReader::observe(PatternDef* def, Place at) {
  ObserveRule rule;
  rule.at = at;
  ZP_TRY(rule.slot, slot_name());
  if (cursor_.accept("own")) {
    rule.kind = ObserveRule::Own;
  } else if (cursor_.accept("none")) {
    rule.kind = ObserveRule::None;
  } else if (cursor_.accept("like")) {
    rule.kind = ObserveRule::Like;
    ZP_TRY(rule.like, slot_name());
  } else {
    return cursor_.wanted("own, like or none");
  }
  if (cursor_.accept("when")) {
    ZP_CHECK(cursor_.expect("tensors"));
    ZP_CHECK(cursor_.expect("=="));
    ZP_TRY(rule.tensors, cursor_.integer("a number of tensors"));
  }
  def->observe.push_back(std::move(rule));
  return {};
}

Status FileReader::root(PatternDef* def, Place at) {
  cursor_.accept("%");
  def->root_at = at;
  ZP_TRY(def->root, name("the name of a value or an op"));
  return {};
}

Status FileReader::extra(PatternDef* def) {
  do {
    ZP_TRY(std::string one, slot_name());
    def->extra.push_back(std::move(one));
  } while (cursor_.accept(","));
  return {};
}

Status FileReader::where(PatternDef* def, Place at) {
  ZP_TRY(ExprPtr expr, rewrite::parse_expr(cursor_));
  def->where.push_back(std::move(expr));
  def->where_at.push_back(at);
  return {};
}

Status FileReader::otherwise(PatternDef* def) {
  if (cursor_.accept("float")) def->otherwise = Otherwise::Float;
  else if (cursor_.accept("warn")) def->otherwise = Otherwise::Warn;
  else if (cursor_.accept("error")) def->otherwise = Otherwise::Error;
  else return cursor_.wanted("float, warn or error");
  return {};
}

Status FileReader::becomes(PatternDef* def, Place at) {
  Becomes b;
  b.at = at;
  def->becomes_at = at;
  ZP_TRY(b.op, name("an op"));
  if (cursor_.accept("{")) {
    while (!cursor_.accept("}")) {
      if (!b.attrs.empty()) cursor_.accept(",");
      ZP_TRY(Becomes::Attr attr, becomes_attr());
      b.attrs.push_back(std::move(attr));
    }
  }
  if (cursor_.accept("with")) { ZP_TRY(b.action, name("the name of an action")); }
  def->becomes = std::move(b);
  return {};
}

Result<Becomes::Attr> FileReader::becomes_attr() {
  Becomes::Attr attr;
  attr.at = rewrite::place_of(cursor_.place());
  ZP_TRY(const std::string_view word, cursor_.word("the name of an attribute"));
  attr.name = word;
  ZP_CHECK(cursor_.expect(":"));
  const int c = cursor_.peek();
  if (cursor_.accept("of")) {
    attr.kind = Becomes::Attr::Of;
    ZP_TRY(attr.of, name("an op or class of a step"));
  } else if ((c >= '0' && c <= '9') || c == '-') {
    ZP_TRY(const TextCursor::NumberText text, cursor_.number("a number"));
    double value = 0;
    read_number(text.text, &value);
    int64_t whole = 0;
    attr.number =
        !text.is_float && read_number(text.text, &whole) ? Number::of_int(whole) : Number::of_float(value);
  } else if (c == '"') {
    attr.kind = Becomes::Attr::Text;
    ZP_TRY(attr.text, cursor_.quoted("a text"));
  } else if (cursor_.accept("true") || cursor_.accept("false")) {
    attr.number = Number::of_bool(cursor_.text().substr(cursor_.offset() - 4, 4) == "true");
  } else {
    attr.kind = Becomes::Attr::Activation;
    ZP_TRY(attr.activation, name("a number, a text, an activation, or 'of' a step"));
  }
  return attr;
}

}  // namespace zp::backend
