#include "exercise.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "backend/backend.h"
#include "compile/compile.h"
#include "compile/files.h"
#include "formats/pt2/import.h"
#include "interp/interp.h"
#include "ir/parser.h"
#include "ir/printer.h"
#include "ir/tensor.h"
#include "ir/verifier.h"
#include "ops/ops.h"

namespace zp::fuzz {

namespace {

[[noreturn]] void stop(const char* what, const std::string& text) {
  std::fprintf(stderr, "%s\n%s\n", what, text.c_str());
  std::abort();
}

// One file of this process that compiled archives go to.
const std::string& target_path() {
  static const std::string path = [] {
    const char* folder = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    return std::string(folder) + "/zp-fuzz-" + std::to_string(::getpid()) + ".pt2";
  }();
  static const bool removed_at_exit = [] {
    std::atexit([] { ::unlink(target_path().c_str()); });
    return true;
  }();
  (void)removed_at_exit;
  return path;
}

}  // namespace

void set_limits() {
  set_max_tensor_bytes(int64_t{1} << 16);
  set_max_loop_rounds(50);
}

MemoryFile::MemoryFile(const void* data, size_t size) : descriptor_(::memfd_create("zp-fuzz", MFD_CLOEXEC)) {
  if (descriptor_ < 0 || ::write(descriptor_, data, size) != static_cast<ssize_t>(size))
    stop("no memory file", "");
}

MemoryFile::~MemoryFile() { ::close(descriptor_); }

std::string MemoryFile::path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

void expect_refused(const Error& error) {
  if (error.kind() == ErrorKind::Internal) stop("internal error", error.str());
}

void exercise(const Model& model) {
  const bool valid = verify(model).empty();
  const std::string once = print(model);
  const auto again = parse_model(once, ops::table(), "printed");
  if (!again) stop("what was printed does not read", again.error().str() + "\n" + once);
  if (print(**again) != once) stop("printed differently", once);
  if (!valid) return;
  const auto inputs = seeded_inputs(model, 1);
  if (!inputs) return expect_refused(inputs.error());
  const auto outputs = run(model, *inputs);
  if (!outputs) expect_refused(outputs.error());
}

void exercise_archive(const std::string& path, uint32_t choice) {
  const auto model = import_pt2(path);
  if (!model) return expect_refused(model.error());
  (void)check_payloads(**model);
  exercise(**model);
  static const std::vector<std::string_view> backends = Backend::builtin_names();
  CompileOptions options;
  const size_t backend = choice % (backends.size() + 1);
  options.backend = backend == backends.size() ? "none" : std::string(backends[backend]);
  options.form = choice / 64 % 2 == 0 ? "qdq" : "integer";
  options.check_graph = true;
  const auto compiled = compile_file(path, target_path(), options);
  if (!compiled) return expect_refused(compiled.error());
  const auto again = import_pt2(target_path());
  if (!again) stop("what was written does not read", again.error().str());
}

}  // namespace zp::fuzz
