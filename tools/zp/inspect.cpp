// zp inspect: what is in a model file.
#include "report/inspect.h"

#include <fmt/format.h>

#include "command.h"
#include "compile/files.h"
#include "formats/pt2/import.h"
#include "ir/verifier.h"

namespace zp::cli {

namespace {

struct Options {
  std::string model;
  bool json = false, check = false, dot = false, text = false;
  InspectOptions inspect;
};

Status run_inspect(const Globals& globals, const Options& o) {
  LoadOptions load;
  load.max_errors = globals.max_errors;
  ZP_TRY(const std::unique_ptr<Model> model, load_model(o.model, load));
  if (o.check) {
    ZP_CHECK(check_payloads(*model));
    std::vector<Diagnostic> problems = verify(*model, globals.max_errors);
    if (!problems.empty()) return Error(std::move(problems));
    if (!globals.quiet)
      for (const Diagnostic& warning : model->warnings) fmt::print(stderr, "{}\n", warning.str());
  }
  if (o.dot) {
    fmt::print("{}", inspect_dot(*model));
    return {};
  }
  ZP_TRY(const std::string text, o.json ? inspect_json(*model, o.inspect) : inspect_text(*model, o.inspect));
  fmt::print("{}\n", text);
  if (o.check && !o.json && !globals.quiet)
    fmt::print("checked: payloads, graph and quantization boundary are right\n");
  return {};
}

}  // namespace

void add_inspect(CLI::App& app, Globals& globals) {
  auto o = std::make_shared<Options>();
  CLI::App* cmd = app.add_subcommand("inspect", "show inputs, outputs, operators, quantization and sizes");
  cmd->add_option("MODEL", o->model, "model file")->required();
  cmd->add_flag("--json", o->json, "one JSON document");
  cmd->add_flag("--nodes", o->inspect.nodes, "also every node");
  cmd->add_flag("--constants", o->inspect.constants, "also every constant, with its digest");
  cmd->add_flag(
      "--check", o->check,
      "check payload checksums, the graph and the quantization boundary; print the reader's warnings");
  cmd->add_flag("--dot", o->dot, "the graph as Graphviz source");
  cmd->callback([&globals, o] {
    globals.action = [&globals, o] {
      const Status status = run_inspect(globals, *o);
      return status.ok() ? 0 : fail(status.error(), o->model);
    };
  });
}

}  // namespace zp::cli
