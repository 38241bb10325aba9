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
#include "backend/reader_parts.h"

namespace zp::backend {
namespace {

constexpr std::string_view kItems[] = {"extends",   "class",    "type",   "types",   "kernel",
                                       "predicate", "numerics", "config", "pattern", "foreign"};

}  // namespace

bool is_item(std::string_view word) {
  return std::find(std::begin(kItems), std::end(kItems), word) != std::end(kItems);
}

File FileReader::read() {
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

void FileReader::report(Diagnostic d) {
  if (d.id.empty()) d.id = "zpb01";
  if (d.where.file.empty()) d.where.file = file_.path;
  problems_->push_back(std::move(d));
}

void FileReader::keep(const Status& status) {
  if (!status.ok())
    for (const Diagnostic& d : status.error().diagnostics()) report(d);
}

void FileReader::recover(size_t before) {
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

void FileReader::next_line() {
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

Error FileReader::unknown(const TextCursor::Place& at, std::string_view what, std::string_view word,
                          std::span<const std::string_view> known) {
  const std::string_view near = nearest(word, known);
  return cursor_.error_at(at,
                          fmt::format("unknown {} \"{}\"{}", what, word,
                                      near.empty() ? "" : fmt::format(", did you mean \"{}\"", near)),
                          "zpb01");
}

Result<std::string> FileReader::name(std::string_view what) {
  ZP_TRY(const std::string_view word, cursor_.dotted_name(what, true));
  return std::string(word);
}

Result<std::vector<std::string>> FileReader::names(std::string_view what) {
  std::vector<std::string> out;
  do {
    ZP_TRY(std::string one, name(what));
    out.push_back(std::move(one));
  } while (cursor_.accept(","));
  return out;
}

Result<Rational> FileReader::rational() {
  ZP_TRY(const TextCursor::NumberText first, cursor_.number("a number"));
  Rational r;
  r.text = first.text;
  if (!read_number(first.text, &r.value)) return cursor_.error(fmt::format("'{}' is no number", first.text));
  const char op = cursor_.raw() == '^' ? '^' : cursor_.raw() == '/' ? '/' : '\0';
  if (op == '\0') return r;
  cursor_.accept(op == '^' ? "^" : "/");
  ZP_TRY(const TextCursor::NumberText second, cursor_.number("a number"));
  double other = 0;
  if (!read_number(second.text, &other)) return cursor_.error(fmt::format("'{}' is no number", second.text));
  if (op == '/' && other == 0) return cursor_.error("division by zero");
  r.value = op == '^' ? std::pow(r.value, other) : r.value / other;
  r.text += op;
  r.text += second.text;
  return r;
}

Status FileReader::header() {
  if (!cursor_.accept("backend")) return cursor_.wanted("'backend NAME version N'");
  ZP_TRY(file_.name, name("the name of the backend"));
  ZP_CHECK(cursor_.expect("version"));
  ZP_TRY(file_.version, cursor_.integer("the version"));
  return {};
}

Status FileReader::item() {
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

Status FileReader::extends() {
  if (!file_.extends.empty()) return cursor_.error("a backend extends one other");
  ZP_TRY(file_.extends, name("the name of a backend"));
  if (cursor_.accept("except")) { ZP_TRY(file_.except, names("the name of an item")); }
  return {};
}

Status FileReader::class_item(Place at) {
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

Status FileReader::type_item(Place at) {
  TypeDef def;
  def.at = at;
  ZP_TRY(def.name, name("the name of the type"));
  ZP_CHECK(cursor_.expect("="));
  ZP_TRY(def.elems, elems());
  file_.types.push_back(std::move(def));
  return {};
}

Result<std::vector<SlotTypes>> FileReader::slot_block() {
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

Status FileReader::types_item(Place at) {
  TypesDef def;
  def.at = at;
  ZP_TRY(def.name, name("the name of the types"));
  ZP_TRY(def.slots, slot_block());
  file_.typesets.push_back(std::move(def));
  return {};
}

Status FileReader::kernel_item(Place at) {
  KernelDef def;
  def.at = at;
  ZP_TRY(def.name, name("the name of the kernel"));
  ZP_TRY(def.slots, slot_block());
  file_.kernels.push_back(std::move(def));
  return {};
}

Status FileReader::predicate_item(Place at) {
  PredicateDef def;
  def.at = at;
  ZP_TRY(const std::string_view word, cursor_.word("the name of the predicate"));
  def.name = word;
  ZP_CHECK(cursor_.expect("="));
  ZP_TRY(def.expr, rewrite::parse_expr(cursor_));
  file_.predicates.push_back(std::move(def));
  return {};
}

Status FileReader::settings(std::vector<Setting>* out, std::vector<SlotTypes>* wishes) {
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

Status FileReader::config_item(Place at) {
  ConfigDef def;
  def.at = at;
  ZP_TRY(def.name, name("the name of the configuration"));
  ZP_CHECK(settings(&def.settings, &def.wishes));
  file_.configs.push_back(std::move(def));
  return {};
}

File read_file(std::string_view text, std::string_view file, std::vector<Diagnostic>* problems) {
  return FileReader(text, file, problems).read();
}

}  // namespace zp::backend
