#include "exercise.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "backend/backend.h"
#include "compile/files.h"
#include "formats/pt2/export.h"
#include "formats/pt2/import.h"
#include "interp/interp.h"
#include "ir/parser.h"
#include "ir/printer.h"
#include "ir/tensor.h"
#include "ir/verifier.h"
#include "ops/ops.h"
#include "passes/fuse/fuse.h"
#include "passes/pipeline.h"

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

namespace {

// Null for the last choice: every representable type is accepted then.
const Backend* some_backend(uint32_t choice) {
  static const std::vector<std::unique_ptr<Backend>> backends = [] {
    std::vector<std::unique_ptr<Backend>> all;
    for (const std::string_view name : Backend::builtin_names())
      all.push_back(std::move(*Backend::load(name)));
    return all;
  }();
  const size_t k = choice % (backends.size() + 1);
  return k < backends.size() ? backends[k].get() : nullptr;
}

Status compile(Model& model, uint32_t choice) {
  Records records;
  PassContext context{model, some_backend(choice), records, {}};
  PipelineOptions options;
  options.passes = default_passes();
  if (choice & 1) options.passes.emplace_back(kExpandFusedPass.name);
  options.check_graph = true;
  ZP_TRY(const PipelineResult done, run_passes(context, options));
  return {};
}

}  // namespace

void exercise_archive(const std::string& path, uint32_t choice) {
  const auto model = import_pt2(path);
  if (!model) return expect_refused(model.error());
  // Each input takes one of the ways, so that there is time for many.
  const uint32_t way = choice % 4;
  choice /= 4;
  (void)check_payloads(**model);
  if (way == 0) return exercise(**model);
  if (way > 1) {
    if (const Status status = compile(**model, choice); !status.ok()) return expect_refused(status.error());
  }
  if (const Status status = export_pt2(**model, target_path()); !status.ok())
    return expect_refused(status.error());
  const auto again = import_pt2(target_path());
  if (!again) stop("what was written does not read", again.error().str());
  if (way == 3) exercise(**again);
}

}  // namespace zp::fuzz
