// zp convert: only the format changes.
#include <fmt/format.h>

#include "command.h"
#include "compile/files.h"

namespace zp::cli {

namespace {

struct Options {
  std::string input, output;
};

Status run_convert(const Globals& globals, const Options& o) {
  LoadOptions load;
  load.max_errors = globals.max_errors;
  ZP_TRY(const std::unique_ptr<Model> model, load_model(o.input, load));
  return save_model(*model, o.output);
}

}  // namespace

void add_convert(CLI::App& app, Globals& globals) {
  auto o = std::make_shared<Options>();
  CLI::App* cmd = app.add_subcommand("convert", "read a model and write it in another format, unchanged");
  cmd->add_option("IN", o->input, "model file")->required();
  cmd->add_option("OUT", o->output, "file to write (.pt2, .zp)")->required();
  cmd->callback([&globals, o] {
    globals.action = [&globals, o] {
      const Status status = run_convert(globals, *o);
      return status.ok() ? 0 : fail(status.error(), o->input);
    };
  });
}

}  // namespace zp::cli
