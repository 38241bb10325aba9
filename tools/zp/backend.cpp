// zp backend: the targets and their descriptions.
#include "backend/backend.h"

#include <fmt/format.h>

#include "backend/reference.h"
#include "command.h"
#include "report/table.h"
#include "support/atomic_file.h"
#include "support/mapped_file.h"
#include "zeropoint/backend.h"

namespace zp::cli {

namespace {

int list_backends() {
  TextTable table({"backend", "version", "patterns"});
  for (std::string_view name : Backend::builtin_names()) {
    auto backend = Backend::load(name);
    if (!backend.ok()) return fail(backend.error());
    table.add({std::string(name), std::to_string((*backend)->tree().version),
               std::to_string((*backend)->patterns().size())});
  }
  fmt::print("{}", table.str());
  return 0;
}

int show_backend(const std::string& name, bool json, bool markdown) {
  auto backend = Backend::load(name);
  if (!backend.ok()) return fail(backend.error(), name);
  if (markdown) fmt::print("{}", backend::reference_page(**backend));
  else fmt::print("{}\n", json ? (*backend)->json() : (*backend)->print());
  return 0;
}

int check_backend(const std::string& file, const Globals& globals) {
  auto backend = Backend::load(file);
  if (!backend.ok()) return fail(backend.error(), file);
  for (const Diagnostic& note : (*backend)->notes()) fmt::print(stderr, "{}\n", note.str());
  if (!globals.quiet)
    fmt::print("{}: backend {}, {} patterns, right\n", file, (*backend)->name(),
               (*backend)->patterns().size());
  return 0;
}

// Text to a file, or to standard output.
int write_text(const std::string& path, std::string_view text) {
  if (path.empty() || path == "-") {
    fmt::print("{}", text);
    return 0;
  }
  const Status status = write_file(path, text);
  return status.ok() ? 0 : fail(status.error(), path);
}

int import_backend(const std::string& file, const std::string& out, bool partial, const Globals& globals) {
  auto mapped = MappedFile::open(file);
  if (!mapped.ok()) return fail(mapped.error(), file);
  const auto bytes = (*mapped)->bytes();
  const auto config = zeropoint::BackendConfig::from_json(
      std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  const zeropoint::BackendText text = config.to_zpb({.partial = partial});
  for (const std::string& line : text.errors) fmt::print(stderr, "{}: error: {}\n", file, line);
  for (const std::string& line : text.unsaid) fmt::print(stderr, "{}: not said: {}\n", file, line);
  if (!globals.quiet)
    for (const std::string& line : text.notes) fmt::print(stderr, "{}: note: {}\n", file, line);
  if (!text.ok()) {
    if (!partial) fmt::print(stderr, "{}: nothing is written; --partial writes what can be said\n", file);
    return 1;
  }
  return write_text(out, text.text);
}

int export_backend(const std::string& name, const std::string& out, const Globals& globals) {
  const auto config = zeropoint::BackendConfig::from_zpb(name);
  for (const std::string& line : config.problems()) fmt::print(stderr, "{}\n", line);
  if (!config.problems().empty()) return 1;
  if (!globals.quiet)
    for (const std::string& line : config.notes()) fmt::print(stderr, "{}: note: {}\n", name, line);
  return write_text(out, config.to_json());
}

}  // namespace

void add_backend(CLI::App& app, Globals& globals) {
  CLI::App* cmd = app.add_subcommand("backend", "list, show and check the descriptions of targets");
  cmd->require_subcommand(1);
  cmd->add_subcommand("list", "the built-in backends")->callback([&globals] {
    globals.action = list_backends;
  });

  auto name = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  CLI::App* show = cmd->add_subcommand("show", "print a backend in canonical form");
  show->add_option("BACKEND", *name, "name or file")->required();
  show->add_flag("--json", *json, "as data");
  auto markdown = std::make_shared<bool>(false);
  show->add_flag("--markdown", *markdown, "as a reference page");
  show->callback([&globals, name, json, markdown] {
    globals.action = [name, json, markdown] { return show_backend(*name, *json, *markdown); };
  });

  auto file = std::make_shared<std::string>();
  CLI::App* check = cmd->add_subcommand("check", "read a .zpb file and report every mistake in it");
  check->add_option("FILE", *file, "name or file")->required();
  check->callback(
      [&globals, file] { globals.action = [&globals, file] { return check_backend(*file, globals); }; });

  auto out = std::make_shared<std::string>();
  auto partial = std::make_shared<bool>(false);
  CLI::App* import =
      cmd->add_subcommand("import", "a PyTorch BackendConfig dictionary in JSON form as a .zpb file");
  import->add_option("DICT", *file, "the dictionary (to_dict with qualified names)")->required();
  import->add_option("-o,--output", *out, "the file to write; standard output without it");
  import->add_flag("--partial", *partial,
                   "write what can be said although code of the dictionary's author is named in it");
  import->callback([&globals, file, out, partial] {
    globals.action = [&globals, file, out, partial] { return import_backend(*file, *out, *partial, globals);
};
}  // namespace zp::cli
);
CLI::App* exporting =
    cmd->add_subcommand("export", "a backend as a PyTorch BackendConfig dictionary in JSON form");
exporting->add_option("BACKEND", *name, "name or file")->required();
exporting->add_option("-o,--output", *out, "the file to write; standard output without it");
exporting->callback([&globals, name, out] {
  globals.action = [&globals, name, out] { return export_backend(*name, *out, globals); };
});
}

}  // namespace zp::cli
