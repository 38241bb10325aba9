// Loading: text to tree, what the file extends, classes and types, variants, checks.
#include "backend/backend.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/prelude.h"
#include "backend/reader.h"
#include "backend/validate.h"
#include "ops/ops.h"
#include "support/mapped_file.h"
#include "support/text_cursor.h"

namespace zp {

using namespace backend;

namespace {

constexpr int kMaxExtends = 8;

struct BuiltinText {
  std::string_view name;
  std::string_view text;
};

std::span<const BuiltinText> builtins() {
  static constexpr BuiltinText kTexts[] = {
      {"", ""},  // a table is never empty
#include "backend/builtin.inc"
  };
  return std::span<const BuiltinText>(kTexts).subspan(1);
}

const File& prelude() {
  static const File file = [] {
    std::vector<Diagnostic> problems;
    return read_file(kPrelude, "prelude", &problems);
  }();
  return file;
}

bool is_path(std::string_view name) {
  return name.find('/') != std::string_view::npos || name.ends_with(".zpb");
}

Error unknown_backend(std::string_view name) {
  std::vector<std::string_view> known = Backend::builtin_names();
  known.push_back("none");
  const std::string_view near = nearest(name, known);
  return Error("", fmt::format("unknown backend \"{}\"{}; known: {}, or the path of a .zpb file", name,
                               near.empty() ? "" : fmt::format(", did you mean \"{}\"", near),
                               fmt::join(known, ", ")));
}

// Reads the text of a backend that another one names; paths are relative to the file that names them.
Result<File> read_named(std::string_view name, std::string_view from, std::vector<Diagnostic>* problems) {
  if (const std::string_view text = Backend::builtin_text(name); !text.empty() && !is_path(name)) {
    return read_file(text, fmt::format("{}.zpb", name), problems);
  }
  const size_t slash = from.rfind('/');
  const std::string folder(slash == std::string_view::npos ? "" : from.substr(0, slash + 1));
  if (!is_path(name)) {
    // A name that is not built in may be a file beside the one that names it.
    auto beside = from.empty() ? Result<std::shared_ptr<const MappedFile>>(unknown_backend(name))
                               : MappedFile::open(fmt::format("{}{}.zpb", folder, name));
    if (!beside.ok()) return unknown_backend(name);
    const std::string_view text(reinterpret_cast<const char*>((*beside)->bytes().data()),
                                (*beside)->bytes().size());
    return read_file(text, fmt::format("{}{}.zpb", folder, name), problems);
  }
  std::string path(name);
  if (!path.starts_with('/')) path = folder + path;
  ZP_TRY(const auto file, MappedFile::open(path));
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  return read_file(text, path, problems);
}

template <typename T, typename Name>
void inherit(std::vector<T>& own, const std::vector<T>& base, const File& file, const File& from,
             std::string_view kind, Name&& name, std::vector<Diagnostic>* notes) {
  std::vector<T> merged;
  for (const T& item : base) {
    if (std::find(file.except.begin(), file.except.end(), name(item)) != file.except.end()) continue;
    const auto mine = std::find_if(own.begin(), own.end(), [&](const T& o) { return name(o) == name(item); });
    if (mine != own.end()) {
      Diagnostic d;
      d.severity = Severity::Note;
      d.where.file = file.path;
      d.text = fmt::format("{} \"{}\" replaces that of {}", kind, name(item), from.name);
      notes->push_back(std::move(d));
      continue;
    }
    merged.push_back(item);
  }
  merged.insert(merged.end(), std::make_move_iterator(own.begin()), std::make_move_iterator(own.end()));
  own = std::move(merged);
}

void merge(File& file, File base, std::vector<Diagnostic>* notes) {
  file.foreign.insert(file.foreign.begin(), base.foreign.begin(), base.foreign.end());
  for (PatternDef& p : base.patterns)
    if (p.from.empty()) p.from = base.name;
  inherit(
      file.classes, base.classes, file, base, "class",
      [](const ClassDef& c) -> const std::string& { return c.name; }, notes);
  inherit(
      file.types, base.types, file, base, "type",
      [](const TypeDef& c) -> const std::string& { return c.name; }, notes);
  inherit(
      file.typesets, base.typesets, file, base, "types",
      [](const TypesDef& c) -> const std::string& { return c.name; }, notes);
  inherit(
      file.predicates, base.predicates, file, base, "predicate",
      [](const PredicateDef& c) -> const std::string& { return c.name; }, notes);
  inherit(
      file.numerics, base.numerics, file, base, "numerics",
      [](const Setting& c) -> const std::string& { return c.key; }, notes);
  inherit(
      file.configs, base.configs, file, base, "config",
      [](const ConfigDef& c) -> const std::string& { return c.name; }, notes);
  inherit(
      file.kernels, base.kernels, file, base, "kernel",
      [](const KernelDef& c) -> const std::string& { return c.name; }, notes);
  inherit(
      file.patterns, base.patterns, file, base, "pattern",
      [](const PatternDef& c) -> const std::string& { return c.pattern.name; }, notes);
}

bool names_item(const File& file, std::string_view name) {
  auto has = [&](const auto& items, auto&& get) {
    return std::any_of(items.begin(), items.end(), [&](const auto& i) { return get(i) == name; });
  };
  return has(file.classes, [](const auto& i) { return i.name; }) ||
         has(file.types, [](const auto& i) { return i.name; }) ||
         has(file.typesets, [](const auto& i) { return i.name; }) ||
         has(file.predicates, [](const auto& i) { return i.name; }) ||
         has(file.numerics, [](const auto& i) { return i.key; }) ||
         has(file.configs, [](const auto& i) { return i.name; }) ||
         has(file.kernels, [](const auto& i) { return i.name; }) ||
         has(file.patterns, [](const auto& i) { return i.pattern.name; });
}

Status merge_extended(File& file, int depth, std::vector<Diagnostic>* problems) {
  if (file.extends.empty()) return {};
  if (depth >= kMaxExtends)
    return Error("zpb01", fmt::format("backends extend each other more than {} deep", kMaxExtends));
  ZP_TRY(File base, read_named(file.extends, file.path, problems));
  ZP_CHECK(merge_extended(base, depth + 1, problems));
  for (const std::string& name : file.except) {
    if (names_item(base, name)) continue;
    Diagnostic d;
    d.id = "zpb01";
    d.where.file = file.path;
    d.text = fmt::format("except \"{}\": {} has no such item", name, base.name);
    problems->push_back(std::move(d));
  }
  merge(file, std::move(base), problems);
  return {};
}

void resolve_classes(const File& file, const OpTable& ops, rewrite::ClassMap* classes,
                     std::vector<Diagnostic>* problems) {
  for (const ClassDef& def : file.classes) {
    std::vector<const OpDef*>& members = (*classes)[def.name];
    for (const std::string& name : def.ops) {
      if (const auto other = classes->find(name); other != classes->end() && name != def.name) {
        members.insert(members.end(), other->second.begin(), other->second.end());
      } else if (const OpDef* op = ops.find(name)) {
        members.push_back(op);
      } else {
        std::vector<std::string_view> known;
        for (const OpDef* o : ops.all()) known.push_back(o->name);
        const std::string_view near = nearest(name, known);
        Diagnostic d;
        d.id = "zpb01";
        d.where = {file.path, def.at.line, def.at.column, {}, {}};
        d.text = fmt::format("unknown op \"{}\"{}", name,
                             near.empty() ? "" : fmt::format(", did you mean \"{}\"", near));
        problems->push_back(std::move(d));
      }
    }
  }
}

}  // namespace

std::vector<std::string_view> Backend::builtin_names() {
  std::vector<std::string_view> names;
  for (const BuiltinText& b : builtins()) names.push_back(b.name);
  return names;
}

std::string_view Backend::builtin_text(std::string_view name) {
  for (const BuiltinText& b : builtins())
    if (b.name == name) return b.text;
  return {};
}

Result<std::unique_ptr<Backend>> Backend::load(std::string_view name_or_path) {
  std::unique_ptr<Backend> backend(new Backend);
  if (name_or_path == "none") {
    backend->tree_ = permissive().tree_;
    ZP_CHECK(backend->finish({}));
    return backend;
  }
  std::vector<Diagnostic> problems;
  ZP_TRY(backend->tree_, read_named(name_or_path, {}, &problems));
  ZP_CHECK(backend->finish(std::move(problems)));
  return backend;
}

Result<std::unique_ptr<Backend>> Backend::parse(std::string_view text, std::string_view file) {
  std::unique_ptr<Backend> backend(new Backend);
  std::vector<Diagnostic> problems;
  backend->tree_ = read_file(text, file, &problems);
  ZP_CHECK(backend->finish(std::move(problems)));
  return backend;
}

Result<std::unique_ptr<Backend>> Backend::make(File tree) {
  std::unique_ptr<Backend> backend(new Backend);
  backend->tree_ = std::move(tree);
  ZP_CHECK(backend->finish({}));
  return backend;
}

Status Backend::finish(std::vector<Diagnostic> problems) {
  const OpTable& ops = ops::table();
  ZP_CHECK(merge_extended(tree_, 0, &problems));
  resolve_classes(tree_, ops, &classes_, &problems);
  resolve_types(tree_, &problems);
  std::vector<std::vector<rewrite::Variant>> variants(tree_.patterns.size());
  std::vector<rewrite::PatternSet::Entry> entries(tree_.patterns.size());
  for (size_t i = 0; i < tree_.patterns.size(); ++i) {
    PatternDef& def = tree_.patterns[i];
    const size_t before = problems.size();
    rewrite::resolve(def.pattern, ops, classes_, &problems);
    // A step without ops: those of its class are unknown, which was said of the class.
    const bool empty = std::any_of(def.pattern.steps.begin(), def.pattern.steps.end(),
                                   [](const rewrite::PatternStep& s) { return s.ops.empty(); });
    if (problems.size() > before || empty) continue;
    auto compiled = rewrite::compile(def.pattern, i, def.root);
    if (!compiled.ok()) {
      for (const Diagnostic& d : compiled.error().diagnostics()) problems.push_back(d);
      continue;
    }
    variants[i] = *compiled;
    entries[i].variants = std::move(*compiled);
    entries[i].cost = def.cost.value_or(0);
    for (const auto& [name, at] : def.before) {
      for (size_t k = 0; k < tree_.patterns.size(); ++k)
        if (tree_.patterns[k].pattern.name == name) entries[i].before.push_back(k);
    }
  }
  check_tree(tree_, prelude(), ops, classes_, variants, &problems);
  std::vector<Diagnostic> errors;
  for (Diagnostic& d : problems) {
    if (d.where.file.empty()) d.where.file = tree_.path;
    (d.severity == Severity::Error ? errors : notes_).push_back(std::move(d));
  }
  if (!errors.empty()) {
    std::stable_sort(errors.begin(), errors.end(), [](const Diagnostic& a, const Diagnostic& b) {
      return a.where.file != b.where.file ? a.where.file < b.where.file : a.where.line < b.where.line;
    });
    return Error(std::move(errors));
  }
  auto set = rewrite::PatternSet::make(std::move(entries));
  if (!set.ok()) return std::move(set).error().in_file(tree_.path);
  set_ = std::move(*set);
  plan_types();
  return {};
}

std::optional<std::string_view> Backend::numerics(std::string_view key) const {
  for (const Setting& s : tree_.numerics)
    if (s.key == key) return s.value();
  return std::nullopt;
}

const ConfigDef* Backend::find_config(std::string_view name) const {
  for (const ConfigDef& c : tree_.configs)
    if (c.name == name) return &c;
  return nullptr;
}

bool Backend::qat_output_after() const {
  return numerics("qat_output_quantizer").value_or("after") != "before";
}

const rewrite::Expr* Backend::predicate(std::string_view name) const {
  for (const PredicateDef& p : tree_.predicates)
    if (p.name == name) return p.expr.get();
  for (const PredicateDef& p : prelude().predicates)
    if (p.name == name) return p.expr.get();
  return nullptr;
}

const Backend& Backend::permissive() {
  static const std::unique_ptr<Backend> backend = [] {
    std::unique_ptr<Backend> b(new Backend);
    b->tree_.name = "none";
    b->tree_.path = "none";
    Elem any;
    any.any = true;
    for (const OpDef* op : ops::table().all()) {
      if (!op->has(kIntegerForm)) continue;
      TypesDef types;
      types.name = op->name;
      for (const OperandDef& operand : op->operands)
        types.slots.push_back({std::string(operand.name), {any}, {any}, {}});
      types.slots.push_back({"y", {any}, {any}, {}});
      b->tree_.typesets.push_back(std::move(types));
      PatternDef def;
      def.pattern.name = op->name;
      rewrite::PatternStep root;
      root.alternatives = {std::string(op->name)};
      def.pattern.steps.push_back(std::move(root));
      if (op->attrs != nullptr && op->attrs->find("act_min") != nullptr) {
        rewrite::PatternStep clamp;
        clamp.alternatives = {"relu", "hardtanh", "clamp"};
        clamp.optional = true;
        def.pattern.steps.push_back(std::move(clamp));
      }
      def.types.emplace_back(op->name, Place());
      b->tree_.patterns.push_back(std::move(def));
    }
    const Status status = b->finish({});
    if (!status.ok()) b->tree_.patterns.clear();
    return b;
  }();
  return *backend;
}

}  // namespace zp
