// zp test: runs .zp tests.
#include "command.h"
#include "testing/text_tests.h"

namespace zp::cli {

void add_test(CLI::App& app, Globals& globals) {
  struct Options {
    std::vector<std::string> paths;
    bool bless = false;
  };
  auto o = std::make_shared<Options>();
  CLI::App* cmd = app.add_subcommand("test", "run .zp tests");
  cmd->add_option("PATH", o->paths, "files and folders")->required();
  cmd->add_flag("--bless", o->bless, "write what came out as what is expected");
  cmd->callback([&globals, o] {
    globals.action = [&globals, o] {
      TestOptions options;
      options.bless = o->bless;
      options.verbose = globals.verbose;
      options.seed = globals.seed;
      return run_text_tests(o->paths, options);
    };
  });
}

}  // namespace zp::cli
