// What the subcommands of `zp` share: global options, printing of errors, exit codes.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ir/model.h"
#include "support/result.h"

namespace zp::cli {

struct Globals {
  int threads = 0;
  uint64_t seed = 0;
  uint32_t max_errors = 20;
  bool verbose = false;
  bool quiet = false;
  std::function<int()> action;  // set by the subcommand that was given; returns the exit code
};

// Prints the diagnostics on stderr and gives the exit code of the error. `file` names the model where the
// error does not.
int fail(const Error& error, const std::string& file = {});
int fail_usage(const std::string& text);

// Progress with time left on stderr, for work of more than a second; silent when stderr is no terminal or
// quiet.
class Progress {
 public:
  Progress(const Globals& globals, std::string what, int64_t total);
  ~Progress();
  void step(int64_t done);

 private:
  std::string what_;
  int64_t total_;
  double start_, last_ = 0;
  bool active_, shown_ = false;
};

bool stdout_is_terminal();

// Each adds one subcommand.
void add_compile(CLI::App& app, Globals& globals);
void add_run(CLI::App& app, Globals& globals);
void add_inspect(CLI::App& app, Globals& globals);
void add_explain(CLI::App& app, Globals& globals);
void add_match(CLI::App& app, Globals& globals);
void add_compare(CLI::App& app, Globals& globals);
void add_convert(CLI::App& app, Globals& globals);
void add_op(CLI::App& app, Globals& globals);
void add_backend(CLI::App& app, Globals& globals);
void add_test(CLI::App& app, Globals& globals);
void add_help(CLI::App& app, Globals& globals);
void add_completion(CLI::App& app, Globals& globals);

}  // namespace zp::cli
