// The program `zp`. Parsing of the command line is CLI11's; each subcommand is a file of its own here.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <new>

#include "command.h"
#include "compile/compile.h"
#include "support/clock.h"
#include "support/mapped_file.h"
#include "support/parallel.h"

namespace zp::cli {

int fail(const Error& error, const std::string& file) {
  for (const Diagnostic& d : error.diagnostics()) {
    Diagnostic shown = d;
    if (shown.where.file.empty()) shown.where.file = file;
    fmt::print(stderr, "{}\n", shown.str());
  }
  return static_cast<int>(error.kind());
}

int fail_usage(const std::string& text) {
  fmt::print(stderr, "error: {}\n", text);
  return static_cast<int>(ErrorKind::Usage);
}

bool stdout_is_terminal() { return ::isatty(1) != 0; }

Progress::Progress(const Globals& globals, std::string what, int64_t total)
    : what_(std::move(what)), total_(total), start_(now_ms()), active_(!globals.quiet && ::isatty(2) != 0) {}

void Progress::step(int64_t done) {
  const double now = now_ms();
  if (!active_ || now - start_ < 1000 || now - last_ < 200 || done <= 0) return;
  last_ = now;
  shown_ = true;
  const double left = (now - start_) / static_cast<double>(done) * static_cast<double>(total_ - done) / 1000;
  fmt::print(stderr, "\r{} {}/{}, {:.0f} s left   ", what_, done, total_, left);
}

Progress::~Progress() {
  if (shown_) fmt::print(stderr, "\r{:60}\r", "");
}

namespace {

std::string isa_found() {
  std::string found = "x86-64";
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) found += " avx2";
  if (__builtin_cpu_supports("avx512f")) found += " avx512f";
  if (__builtin_cpu_supports("avx512vnni")) found += " avx512vnni";
#elif defined(__aarch64__)
  found = "aarch64 neon";
#else
  found = "generic";
#endif
  return found;
}

int run_main(int argc, char** argv) {
  CLI::App app("Zeropoint: a compiler for quantized neural networks", "zp");
  Globals globals;
  app.set_version_flag("--version",
                       fmt::format("zeropoint {} ({}), {}", version_string(), ZP_COMMIT, isa_found()));
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--threads", globals.threads, "threads to use, 0 for all cores")->check(CLI::Range(0, 256));
  app.add_option("--seed", globals.seed, "seed of everything random");
  app.add_option("--max-errors", globals.max_errors, "problems to list before giving up")
      ->check(CLI::Range(1u, 100000u));
  app.add_flag("-v,--verbose", globals.verbose, "say more");
  app.add_flag("-q,--quiet", globals.quiet, "say only errors");
  add_compile(app, globals);
  add_run(app, globals);
  add_inspect(app, globals);
  add_explain(app, globals);
  add_match(app, globals);
  add_compare(app, globals);
  add_convert(app, globals);
  add_backend(app, globals);
  add_op(app, globals);
  add_test(app, globals);
  add_help(app, globals);
  add_completion(app, globals);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    return code == 0 ? 0 : static_cast<int>(ErrorKind::Usage);
  }
  set_thread_count(globals.threads);
  return globals.action ? globals.action() : fail_usage("no command given");
}

}  // namespace
}  // namespace zp::cli

int main(int argc, char** argv) {
  zp::guard_process();
  try {
    return zp::cli::run_main(argc, argv);
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "error: memory: there is not enough memory\n");
    return static_cast<int>(zp::ErrorKind::Refused);
  } catch (const std::exception& e) {
    fmt::print(stderr, "error: internal error, please report: {}\n", e.what());
    return static_cast<int>(zp::ErrorKind::Internal);
  }
}
