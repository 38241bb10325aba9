// zp run: a model on inputs, through the reference interpreter.
#include <fmt/format.h>

#include <filesystem>

#include "command.h"
#include "compile/files.h"
#include "formats/npy.h"
#include "interp/interp.h"
#include "support/parallel.h"

namespace zp::cli {

namespace {

struct Options {
  std::string model, output_dir, mode = "reference", backend = "cpu", trace;
  std::vector<std::string> inputs;
  bool split = false;
};

// File name of a value: odd characters become underscores.
std::string file_name(std::string_view name) {
  std::string out(name);
  for (char& c : out)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '-' && c != '.') c = '_';
  return out;
}

Result<std::vector<Tensor>> run_split(const Globals& globals, const Model& model,
                                      const std::vector<Tensor>& inputs) {
  ZP_TRY(const std::vector<std::vector<Tensor>> pieces, split_inputs(model, inputs));
  std::vector<std::vector<Tensor>> results(pieces.size());
  std::vector<std::unique_ptr<Error>> errors(pieces.size());
  Progress progress(globals, "running", static_cast<int64_t>(pieces.size()));
  // One run at a time on each core: no two runs share anything but the constants. The first fills the caches
  // of the context alone.
  if (!pieces.empty()) { ZP_TRY(results[0], run(model, pieces[0])); }
  constexpr int64_t kChunk = 64;
  for (int64_t begin = 1; begin < static_cast<int64_t>(pieces.size()); begin += kChunk) {
    const int64_t count = std::min<int64_t>(kChunk, static_cast<int64_t>(pieces.size()) - begin);
    parallel_for(count, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = begin + from; i < begin + to; ++i) {
        auto result = run(model, pieces[static_cast<size_t>(i)]);
        if (result.ok()) results[static_cast<size_t>(i)] = std::move(result).value();
        else errors[static_cast<size_t>(i)] = std::make_unique<Error>(std::move(result).error());
      }
    });
    for (auto& error : errors)
      if (error) return std::move(*error);
    progress.step(begin + count);
  }
  std::vector<Tensor> stacked;
  const size_t outputs = results.empty() ? 0 : results[0].size();
  for (size_t k = 0; k < outputs; ++k) {
    std::vector<Tensor> parts;
    for (const auto& r : results) parts.push_back(r[k]);
    ZP_TRY(Tensor all, stack_outputs(parts));
    stacked.push_back(std::move(all));
  }
  return stacked;
}

Status run_run(const Globals& globals, const Options& o) {
  if (o.mode == "fast")
    return Error("run.mode", "the compiled runtime is not part of this version; use --mode reference");
  LoadOptions load;
  load.max_errors = globals.max_errors;
  ZP_TRY(const std::unique_ptr<Model> model, load_model(o.model, load));
  ZP_TRY(const std::vector<Tensor> inputs, read_inputs(*model, o.inputs));
  std::vector<Tensor> outputs;
  if (o.split) {
    ZP_TRY(outputs, run_split(globals, *model, inputs));
  } else {
    RunOptions options;
    Status traced;
    if (!o.trace.empty()) {
      std::error_code code;
      std::filesystem::create_directories(o.trace, code);
      if (code) return Error("file.write", "cannot make the folder: " + code.message()).in_file(o.trace);
      options.trace = [&](const Value& value, const Tensor& tensor) {
        if (traced.ok()) traced = write_npy(o.trace + "/" + file_name(value.name()) + ".npy", tensor);
      };
    }
    ZP_TRY(outputs, run(*model, inputs, options));
    ZP_CHECK(std::move(traced));
  }
  const std::vector<NumberedOutput> numbered = numbered_outputs(*model, inputs, outputs);
  if (!o.output_dir.empty()) return write_outputs(o.output_dir, numbered);
  for (const auto& [number, tensor] : numbered) {
    if (globals.quiet) break;
    std::string shape;
    for (int64_t d : tensor.shape()) shape += (shape.empty() ? "" : ",") + std::to_string(d);
    fmt::print("out_{}: {}[{}] =", number, dtype_name(tensor.dtype()), shape);
    for (int64_t i = 0; i < std::min<int64_t>(tensor.elements(), 16); ++i)
      fmt::print(" {:.6g}", tensor.get_double(i));
    fmt::print("{}\n", tensor.elements() > 16 ? " ..." : "");
  }
  return {};
}

}  // namespace

void add_run(CLI::App& app, Globals& globals) {
  auto o = std::make_shared<Options>();
  CLI::App* cmd = app.add_subcommand("run", "run a model on inputs");
  cmd->add_option("MODEL", o->model, "model file")->required();
  cmd->add_option("--input", o->inputs,
                  "FILE.npy (next input) or NAME=FILE.npy, `:bf16` appended for raw bfloat16")
      ->allow_extra_args(false);
  cmd->add_option("--output-dir", o->output_dir,
                  "write out_0.npy, out_1.npy ... there (default: print the first numbers)");
  cmd->add_option("--mode", o->mode, "reference: the interpreter")
      ->capture_default_str()
      ->check(CLI::IsMember({"reference", "fast"}));
  cmd->add_option("--backend", o->backend, "backend of the fast mode")->capture_default_str();
  cmd->add_option("--trace", o->trace, "also write every inner value to this folder");
  cmd->add_flag("--split", o->split,
                "run once per piece of the inputs' first dimension and stack the outputs");
  cmd->callback([&globals, o] {
    globals.action = [&globals, o] {
      const Status status = run_run(globals, *o);
      return status.ok() ? 0 : fail(status.error(), o->model);
    };
  });
}

}  // namespace zp::cli
