// zp backend: the targets and their descriptions.
#include "backend/backend.h"

#include <fmt/format.h>

#include "command.h"
#include "report/table.h"

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

int show_backend(const std::string& name, bool json) {
  auto backend = Backend::load(name);
  if (!backend.ok()) return fail(backend.error(), name);
  fmt::print("{}\n", json ? (*backend)->json() : (*backend)->print());
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
  show->callback(
      [&globals, name, json] { globals.action = [name, json] { return show_backend(*name, *json); }; });

  auto file = std::make_shared<std::string>();
  CLI::App* check = cmd->add_subcommand("check", "read a .zpb file and report every mistake in it");
  check->add_option("FILE", *file, "name or file")->required();
  check->callback(
      [&globals, file] { globals.action = [&globals, file] { return check_backend(*file, globals); }; });
}

}  // namespace zp::cli
