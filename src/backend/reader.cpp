// The grammar of .zpb files. White space and line ends mean nothing; `#` starts a comment.
//
//   file     := "backend" name "version" integer item*
//   item     := "extends" name ["except" name ("," name)*]
//             | "class" name "=" op ("|" op)*          | "type" name "=" elem ("|" elem)*
//             | "types" name "{" (slot ":" elem ("|" elem)*)+ "}"
//             | "kernel" name "{" (slot ":" elem ("|" elem)*)* "}"
//             | "predicate" name "=" expression
//             | "numerics" "{" (key ":" word)+ "}"     | "config" name "{" (key ":" word ("," word)*)+ "}"
//             | "pattern" name (chain | graph | legacy) clause*
//             | "foreign" "JSON text"                  an entry of a dictionary that no pattern can say
//             a config also knows activation-type, output-type, weight-type and bias-type, each with one elem
//   alias    := "alias" ("none" | spelling ("," spelling)*), a clause: spelling := "..." ["{" (key ":"
//   "...")* "}"] elem     := "any" | "none" | type | dtype [ "[" lo ":" hi "]" ] word*
//               words: const symmetric affine float-zero per-tensor per-axis (out | in | any | N) per-group
//               [N] per-token block [N, *, ...] dynamic fixed(scale, zero) derived(expression, expression)
//               scale >= N  eps >= N
#include "backend/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "backend/lowering.h"
#include "support/text_cursor.h"
#include "support/text_format.h"

namespace zp::backend {
namespace {

constexpr std::string_view kItems[] = {"extends",   "class",    "type",   "types",   "kernel",
                                       "predicate", "numerics", "config", "pattern", "foreign"};

bool is_item(std::string_view word) {
  return std::find(std::begin(kItems), std::end(kItems), word) != std::end(kItems);
}

struct Rational {
  double value = 0;
  std::string text;
};

class FileReader {
 public:
  FileReader(std::string_view text, std::string_view file, std::vector<Diagnostic>* problems)
      : cursor_(text, file), problems_(problems) {
    file_.path = file;
  }

  File read() {
    keep(header());
    while (!cursor_.at_end()) {
      const size_t before = cursor_.offset();
      const Status status = item();
      if (status.ok()) continue;
      for (const Diagnostic& d : status.error().diagnostics()) report(d);
      if (problems_->size() > 50) break;
      recover(before);
    }
    return std::move(file_);
  }

 private:
  void report(Diagnostic d) {
    if (d.id.empty()) d.id = "zpb01";
    if (d.where.file.empty()) d.where.file = file_.path;
    problems_->push_back(std::move(d));
  }
  void keep(const Status& status) {
    if (!status.ok())
      for (const Diagnostic& d : status.error().diagnostics()) report(d);
  }

  // To the next line that begins with the keyword of an item.
  void recover(size_t before) {
    if (cursor_.offset() == before) next_line();
    while (!cursor_.at_end()) {
      const TextCursor::Place at = cursor_.place();
      const auto word = cursor_.dotted_name("a word", true);
      const bool found = word.ok() && is_item(*word);
      cursor_.reset(at);
      if (found) return;
      next_line();
    }
  }
  void next_line() {
    TextCursor::Place at = cursor_.here();
    const size_t end = cursor_.text().find('\n', at.offset);
    if (end == std::string_view::npos) {
      at.column += static_cast<uint32_t>(cursor_.text().size() - at.offset);
      at.offset = cursor_.text().size();
    } else {
      at = {end + 1, at.line + 1, 1};
    }
    cursor_.reset(at);
  }

  Error unknown(const TextCursor::Place& at, std::string_view what, std::string_view word,
                std::span<const std::string_view> known) {
    const std::string_view near = nearest(word, known);
    return cursor_.error_at(at,
                            fmt::format("unknown {} \"{}\"{}", what, word,
                                        near.empty() ? "" : fmt::format(", did you mean \"{}\"", near)),
                            "zpb01");
  }

  Result<std::string> name(std::string_view what) {
    ZP_TRY(const std::string_view word, cursor_.dotted_name(what, true));
    return std::string(word);
  }

  Result<std::vector<std::string>> names(std::string_view what) {
    std::vector<std::string> out;
    do {
      ZP_TRY(std::string one, name(what));
      out.push_back(std::move(one));
    } while (cursor_.accept(","));
    return out;
  }

  // A number, a power (2^-12) or a ratio (1/256); the text keeps the form.
  Result<Rational> rational() {
    ZP_TRY(const TextCursor::NumberText first, cursor_.number("a number"));
    Rational r;
    r.text = first.text;
    if (!read_number(first.text, &r.value))
      return cursor_.error(fmt::format("'{}' is no number", first.text));
    const char op = cursor_.raw() == '^' ? '^' : cursor_.raw() == '/' ? '/' : '\0';
    if (op == '\0') return r;
    cursor_.accept(op == '^' ? "^" : "/");
    ZP_TRY(const TextCursor::NumberText second, cursor_.number("a number"));
    double other = 0;
    if (!read_number(second.text, &other))
      return cursor_.error(fmt::format("'{}' is no number", second.text));
    if (op == '/' && other == 0) return cursor_.error("division by zero");
    r.value = op == '^' ? std::pow(r.value, other) : r.value / other;
    r.text += op;
    r.text += second.text;
    return r;
  }

  Status header() {
    if (!cursor_.accept("backend")) return cursor_.wanted("'backend NAME version N'");
    ZP_TRY(file_.name, name("the name of the backend"));
    ZP_CHECK(cursor_.expect("version"));
    ZP_TRY(file_.version, cursor_.integer("the version"));
    return {};
  }

  Status item() {
    const TextCursor::Place at = cursor_.place();
    ZP_TRY(const std::string_view word, cursor_.dotted_name("an item", true));
    const Place place = rewrite::place_of(at);
    if (word == "extends") return extends();
    if (word == "class") return class_item(place);
    if (word == "type") return type_item(place);
    if (word == "types") return types_item(place);
    if (word == "kernel") return kernel_item(place);
    if (word == "predicate") return predicate_item(place);
    if (word == "numerics") return settings(&file_.numerics);
    if (word == "config") return config_item(place);
    if (word == "pattern") return pattern_item(place);
    if (word == "foreign") {
      ZP_TRY(std::string json, cursor_.quoted("an entry as text"));
      file_.foreign.push_back(std::move(json));
      return {};
    }
    Error error = unknown(at, "key", word, kItems);
    return error;
  }

  Status extends() {
    if (!file_.extends.empty()) return cursor_.error("a backend extends one other");
    ZP_TRY(file_.extends, name("the name of a backend"));
    if (cursor_.accept("except")) { ZP_TRY(file_.except, names("the name of an item")); }
    return {};
  }

  Status class_item(Place at) {
    ClassDef def;
    def.at = at;
    ZP_TRY(def.name, name("the name of the class"));
    ZP_CHECK(cursor_.expect("="));
    do {
      ZP_TRY(std::string op, name("an op"));
      def.ops.push_back(std::move(op));
    } while (cursor_.accept("|"));
    file_.classes.push_back(std::move(def));
    return {};
  }

  Status type_item(Place at) {
    TypeDef def;
    def.at = at;
    ZP_TRY(def.name, name("the name of the type"));
    ZP_CHECK(cursor_.expect("="));
    ZP_TRY(def.elems, elems());
    file_.types.push_back(std::move(def));
    return {};
  }

  Result<std::vector<SlotTypes>> slot_block() {
    std::vector<SlotTypes> slots;
    ZP_CHECK(cursor_.expect("{"));
    while (!cursor_.accept("}")) {
      SlotTypes slot;
      slot.at = rewrite::place_of(cursor_.place());
      cursor_.accept("%");
      ZP_TRY(const std::string_view word, cursor_.word("the name of a slot"));
      slot.slot = word;
      ZP_CHECK(cursor_.expect(":"));
      ZP_TRY(slot.elems, elems());
      slots.push_back(std::move(slot));
    }
    return slots;
  }

  Status types_item(Place at) {
    TypesDef def;
    def.at = at;
    ZP_TRY(def.name, name("the name of the types"));
    ZP_TRY(def.slots, slot_block());
    file_.typesets.push_back(std::move(def));
    return {};
  }

  Status kernel_item(Place at) {
    KernelDef def;
    def.at = at;
    ZP_TRY(def.name, name("the name of the kernel"));
    ZP_TRY(def.slots, slot_block());
    file_.kernels.push_back(std::move(def));
    return {};
  }

  Status predicate_item(Place at) {
    PredicateDef def;
    def.at = at;
    ZP_TRY(const std::string_view word, cursor_.word("the name of the predicate"));
    def.name = word;
    ZP_CHECK(cursor_.expect("="));
    ZP_TRY(def.expr, rewrite::parse_expr(cursor_));
    file_.predicates.push_back(std::move(def));
    return {};
  }

  Status settings(std::vector<Setting>* out, std::vector<SlotTypes>* wishes = nullptr) {
    ZP_CHECK(cursor_.expect("{"));
    while (!cursor_.accept("}")) {
      Setting setting;
      setting.at = rewrite::place_of(cursor_.place());
      ZP_TRY(setting.key, name("a key"));
      ZP_CHECK(cursor_.expect(":"));
      if (wishes != nullptr &&
          std::find(std::begin(kWishKeys), std::end(kWishKeys), setting.key) != std::end(kWishKeys)) {
        SlotTypes wish;
        wish.slot = std::move(setting.key);
        wish.at = setting.at;
        ZP_TRY(wish.elems, elems());
        wishes->push_back(std::move(wish));
        continue;
      }
      do {
        const int c = cursor_.peek();
        if ((c >= '0' && c <= '9') || c == '-') {
          ZP_TRY(const Rational number, rational());
          setting.values.push_back(number.text);
        } else {
          ZP_TRY(std::string word, name("a word"));
          setting.values.push_back(std::move(word));
        }
      } while (cursor_.accept(","));
      out->push_back(std::move(setting));
    }
    return {};
  }

  Status config_item(Place at) {
    ConfigDef def;
    def.at = at;
    ZP_TRY(def.name, name("the name of the configuration"));
    ZP_CHECK(settings(&def.settings, &def.wishes));
    file_.configs.push_back(std::move(def));
    return {};
  }

  // --- elements
  // ------------------------------------------------------------------------------------------------------

  Result<std::vector<Elem>> elems() {
    std::vector<Elem> out;
    do {
      ZP_TRY(Elem one, elem());
      out.push_back(std::move(one));
    } while (cursor_.accept("|"));
    return out;
  }

  Result<Elem> elem() {
    Elem e;
    e.at = rewrite::place_of(cursor_.place());
    ZP_TRY(const std::string_view word, cursor_.dotted_name("a type", true));
    if (word == "any") {
      e.any = true;
    } else if (word == "none") {
      e.none = true;
      return e;
    } else if (const auto dtype = dtype_from_name(word)) {
      e.dtype = *dtype;
      if (cursor_.peek() == '[') ZP_CHECK(range(&e));
    } else {
      e.type_name = word;
      return e;
    }
    while (true) {
      ZP_TRY(const bool more, elem_word(&e));
      if (!more) return e;
    }
  }

  Status range(Elem* e) {
    ZP_CHECK(cursor_.expect("["));
    ZP_TRY(const int64_t low, cursor_.integer("the lower end of a range"));
    ZP_CHECK(cursor_.expect(":"));
    ZP_TRY(const int64_t high, cursor_.integer("the upper end of a range"));
    ZP_CHECK(cursor_.expect("]"));
    e->range = {low, high};
    return {};
  }

  // One word of an element; false (and nothing consumed) if what comes is no such word.
  Result<bool> elem_word(Elem* e) {
    const TextCursor::Place at = cursor_.place();
    const auto word = cursor_.dotted_name("a word", true);
    if (!word.ok() || cursor_.peek() == ':') {
      cursor_.reset(at);
      return false;
    }
    if (*word == "const") e->constant = true;
    else if (*word == "symmetric") e->scheme = Scheme::Symmetric;
    else if (*word == "affine") e->scheme = Scheme::Affine;
    else if (*word == "float-zero") e->scheme = Scheme::FloatZero;
    else if (*word == "per-tensor") e->granularity.kind = Granularity::PerTensor;
    else if (*word == "per-token") e->granularity.kind = Granularity::PerToken;
    else if (*word == "per-axis") ZP_CHECK(axis(&e->granularity));
    else if (*word == "per-group") ZP_CHECK(group(&e->granularity));
    else if (*word == "block") ZP_CHECK(block(&e->granularity));
    else if (*word == "dynamic") e->dynamic = true;
    else if (*word == "fixed") ZP_CHECK(fixed(e));
    else if (*word == "derived") ZP_CHECK(derived(e));
    else if (*word == "scale" || *word == "eps") ZP_CHECK(bound(e, *word == "eps"));
    else {
      // Another item may follow; a word that looks like one of these is meant to be it.
      static constexpr std::string_view kWords[] = {
          "const",     "symmetric", "affine",  "float-zero", "per-tensor", "per-token", "per-axis",
          "per-group", "block",     "dynamic", "fixed",      "derived",    "scale",     "eps"};
      if (!is_item(*word) && !nearest(*word, kWords).empty()) return unknown(at, "word", *word, kWords);
      cursor_.reset(at);
      return false;
    }
    return true;
  }

  Status axis(Granularity* g) {
    g->kind = Granularity::PerAxis;
    if (cursor_.accept("out")) g->axis_kind = Granularity::Out;
    else if (cursor_.accept("in")) g->axis_kind = Granularity::In;
    else if (cursor_.accept("any")) g->axis_kind = Granularity::Every;
    else {
      g->axis_kind = Granularity::Number;
      ZP_TRY(g->axis, cursor_.integer("an axis: a number, out, in or any"));
    }
    return {};
  }

  Status group(Granularity* g) {
    g->kind = Granularity::PerGroup;
    if (const int c = cursor_.peek(); c >= '0' && c <= '9') {
      const TextCursor::Place at = cursor_.place();
      ZP_TRY(g->group, cursor_.integer("the size of a group"));
      if (g->group < 1) return cursor_.error_at(at, fmt::format("a group of {}", g->group), "zpb03");
    }
    return {};
  }

  Status block(Granularity* g) {
    g->kind = Granularity::Block;
    ZP_CHECK(cursor_.expect("["));
    do {
      if (cursor_.accept("*")) {
        g->block.push_back(0);
      } else if (cursor_.accept("any")) {
        g->block.push_back(-1);
      } else {
        const TextCursor::Place at = cursor_.place();
        ZP_TRY(const int64_t extent, cursor_.integer("an extent, '*' for the full one, or 'any'"));
        if (extent < 1) return cursor_.error_at(at, fmt::format("a block extent of {}", extent), "zpb03");
        g->block.push_back(extent);
      }
    } while (cursor_.accept(","));
    return cursor_.expect("]");
  }

  Status fixed(Elem* e) {
    ZP_CHECK(cursor_.expect("("));
    Rational scale, zero;
    if (!cursor_.accept("any")) { ZP_TRY(scale, rational()); }
    ZP_CHECK(cursor_.expect(","));
    if (!cursor_.accept("any")) { ZP_TRY(zero, rational()); }
    e->fixed = Elem::Fixed{scale.value, zero.value, scale.text, zero.text};
    return cursor_.expect(")");
  }

  Status derived(Elem* e) {
    Elem::Derived d;
    ZP_CHECK(cursor_.expect("("));
    ZP_TRY(d.scale, rewrite::parse_expr(cursor_));
    ZP_CHECK(cursor_.expect(","));
    ZP_TRY(d.zero_point, rewrite::parse_expr(cursor_));
    e->derived = std::move(d);
    return cursor_.expect(")");
  }

  Status bound(Elem* e, bool eps) {
    Bound b;
    b.eps = eps;
    if (cursor_.accept(">=")) b.at_least = true;
    else if (cursor_.accept("<=")) b.at_least = false;
    else return cursor_.wanted("'>=' or '<='");
    ZP_TRY(const Rational r, rational());
    b.value = r.value;
    b.text = r.text;
    e->bounds.push_back(std::move(b));
    return {};
  }

  // --- patterns
  // ------------------------------------------------------------------------------------------------------

  Status pattern_item(Place at) {
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

  // A `types` or `kernel` with a block in braces is an item, not a clause.
  bool opens_block() {
    const TextCursor::Place at = cursor_.place();
    const auto word = cursor_.dotted_name("a name", true);
    const bool block = word.ok() && cursor_.peek() == '{';
    cursor_.reset(at);
    return block;
  }

  Result<bool> clause(PatternDef* def) {
    static constexpr std::string_view kClauses[] = {"types",   "observe", "root",      "extra",
                                                    "becomes", "train",   "kernel",    "cost",
                                                    "before",  "where",   "otherwise", "alias",
                                                    "lower"};
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

  Status named_list(std::vector<std::pair<std::string, Place>>* out) {
    do {
      const Place at = rewrite::place_of(cursor_.place());
      ZP_TRY(std::string one, name("a name"));
      out->emplace_back(std::move(one), at);
    } while (cursor_.accept(","));
    return {};
  }

  Status alias(PatternDef* def) {
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

  Result<std::string> slot_name() {
    cursor_.accept("%");
    ZP_TRY(const std::string_view word, cursor_.word("the name of a slot"));
    return std::string(word);
  }

  Status observe(PatternDef* def, Place at) {
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

  Status root(PatternDef* def, Place at) {
    cursor_.accept("%");
    def->root_at = at;
    ZP_TRY(def->root, name("the name of a value or an op"));
    return {};
  }

  Status extra(PatternDef* def) {
    do {
      ZP_TRY(std::string one, slot_name());
      def->extra.push_back(std::move(one));
    } while (cursor_.accept(","));
    return {};
  }

  Status where(PatternDef* def, Place at) {
    ZP_TRY(ExprPtr expr, rewrite::parse_expr(cursor_));
    def->where.push_back(std::move(expr));
    def->where_at.push_back(at);
    return {};
  }

  Status otherwise(PatternDef* def) {
    if (cursor_.accept("float")) def->otherwise = Otherwise::Float;
    else if (cursor_.accept("warn")) def->otherwise = Otherwise::Warn;
    else if (cursor_.accept("error")) def->otherwise = Otherwise::Error;
    else return cursor_.wanted("float, warn or error");
    return {};
  }

  Status becomes(PatternDef* def, Place at) {
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

  Result<Becomes::Attr> becomes_attr() {
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

  TextCursor cursor_;
  std::vector<Diagnostic>* problems_;
  File file_;
};

}  // namespace

File read_file(std::string_view text, std::string_view file, std::vector<Diagnostic>* problems) {
  return FileReader(text, file, problems).read();
}

}  // namespace zp::backend
