// zp compile: the main job.
#include "compile/compile.h"

#include <fmt/format.h>

#include "command.h"
#include "ir/printer.h"
#include "support/atomic_file.h"

namespace zp::cli {

namespace {

struct Options {
  std::string model, output, report;
  CompileOptions compile;
  std::string passes;
  bool print_times = false;
};

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (begin <= text.size() && !text.empty()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

bool ends_with(const std::string& text, std::string_view suffix) {
  return text.size() >= suffix.size() && std::string_view(text).substr(text.size() - suffix.size()) == suffix;
}

int run_compile(const Globals& globals, Options& o) {
  o.compile.seed = globals.seed;
  o.compile.load.max_errors = globals.max_errors;
  o.compile.passes = split_commas(o.passes);
  if (!o.report.empty() && !ends_with(o.report, ".json") && !ends_with(o.report, ".html")) {
    return fail_usage("--report takes a file name that ends in .json or .html");
  }
  if (!o.compile.print_after.empty()) {
    o.compile.print = [](std::string_view pass, const Model& model) {
      fmt::print("# after {}\n{}\n", pass, print(*model.graph, {.constants = false}));
    };
  }
  // Never freed: the process ends when this command does, and freeing a large graph node by node would take a
  // while. Static, so that leak checkers see that something still knows it.
  static Result<Compiled>& result = *new Result<Compiled>(compile_file(o.model, o.output, o.compile));
  if (!result.ok()) return fail(result.error(), o.model);
  const CompileReport& report = result->report;
  if (!o.report.empty()) {
    const Status written =
        write_file(o.report, ends_with(o.report, ".html") ? report_html(report) : report_json(report));
    if (!written.ok()) return fail(written.error(), o.report);
  }
  if (!globals.quiet) {
    if (o.print_times) {
      for (const auto& p : report.passes)
        fmt::print("{:24} {:8} changes {:10.3f} ms\n", p.name, p.changes, p.ms);
    }
    fmt::print("{}", report_text(report));
  }
  if (!result->verified) {
    fmt::print(stderr, "{}: error: verify: {}\n", o.model, report.verify->first_difference);
    return static_cast<int>(ErrorKind::Verification);
  }
  return 0;
}

}  // namespace

void add_compile(CLI::App& app, Globals& globals) {
  auto o = std::make_shared<Options>();
  CLI::App* cmd = app.add_subcommand("compile", "bring a model into integer form for a backend and write it");
  cmd->add_option("MODEL", o->model, "model file (.pt2, .zp, - for text)")->required();
  cmd->add_option("-o,--output", o->output, "file to write; its suffix decides the format (.pt2, .zp)")
      ->required();
  cmd->add_option("--backend", o->compile.backend, "name of a backend, a .zpb file, or none")
      ->capture_default_str();
  cmd->add_option("--passes", o->passes, "passes to run instead of the default ones, separated by commas");
  cmd->add_option("--verify", o->compile.verify,
                  "run before and after each pass on N seeded inputs (or the given ones)")
      ->expected(0, 1)
      ->default_str("1")
      ->check(CLI::Range(0, 1000));
  cmd->add_option("--input", o->compile.inputs, "FILE.npy or NAME=FILE.npy: sample inputs")
      ->allow_extra_args(false);
  cmd->add_option("--report", o->report, "write the report to this .json or .html file");
  cmd->add_option("--form", o->compile.form, "qdq, integer or vendor")
      ->capture_default_str()
      ->check(CLI::IsMember({"qdq", "integer", "vendor"}));
  cmd->add_option("--print-after", o->compile.print_after, "print the graph after this pass, or after all");
  cmd->add_option("--stop-after", o->compile.stop_after, "stop after this pass");
  cmd->add_flag("--time-passes", o->print_times, "print the time of each pass");
  cmd->add_flag("--assume-contiguous-weights", o->compile.load.assume_contiguous_weights,
                "for archives of early torch 2.9 builds");
  cmd->callback([&globals, o] { globals.action = [&globals, o] { return run_compile(globals, *o); }; });
}

}  // namespace zp::cli
