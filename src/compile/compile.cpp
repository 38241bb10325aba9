#include "compile/compile.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "backend/backend.h"
#include "formats/pt2/export.h"
#include "passes/fuse/fuse.h"
#include "report/inspect.h"
#include "support/clock.h"

namespace zp {

std::string version_string() { return "0.1.0"; }

Result<std::unique_ptr<Backend>> load_backend(const std::string& name) {
  if (name == "none") return std::unique_ptr<Backend>();
  return Backend::load(name);
}

namespace {

// Trained scales that differ from what convert would choose, as warnings of the report: a few, and how many.
void report_trained_scales(const Model& model, Records* records) {
  constexpr size_t kShown = 8;
  size_t count = 0;
  for (const Diagnostic& d : model.warnings) {
    if (d.id != "pt2.trained-scale") continue;
    if (++count <= kShown) records->warnings.push_back(fmt::format("'{}': {}", d.where.node, d.text));
  }
  if (count > kShown) {
    records->warnings.push_back(
        fmt::format("trained scales differ from those of convert at {} fake quantizers", count));
  }
}

Result<std::vector<Sample>> make_samples(const Model& model, const CompileOptions& options) {
  std::vector<Sample> samples;
  if (!options.inputs.empty()) {
    ZP_TRY(Sample sample, read_inputs(model, options.inputs));
    samples.push_back(std::move(sample));
    return samples;
  }
  for (int i = 0; i < options.verify; ++i) {
    ZP_TRY(Sample sample, seeded_inputs(model, options.seed + static_cast<uint64_t>(i)));
    samples.push_back(std::move(sample));
  }
  return samples;
}

// All but writing, and but what only writing tells.
Result<Compiled> rewrite_model(const std::string& path, const CompileOptions& options) {
  const double start = now_ms();
  Compiled result;
  if (options.form != "qdq" && options.form != "integer" && options.form != "vendor") {
    return Error("compile.form", "unknown form '" + options.form + "'; forms are qdq, integer and vendor",
                 ErrorKind::Usage);
  }
  ZP_TRY(std::unique_ptr<Backend> backend, load_backend(options.backend));
  ZP_TRY(result.model, load_model(path, options.load));
  Model& model = *result.model;
  CompileReport& report = result.report;
  report.version = version_string();
  report.backend = options.backend;
  report.form = options.form;
  report.input = {path, model.format, model.file_bytes, model.source_nodes, model.source_ops};
  if (report.input.ops.empty()) {
    report.input.ops = count_ops(model);
    report.input.nodes = count_nodes(model);
  }
  report_trained_scales(model, &report.records);
  report.time_ms.import = now_ms() - start;

  const double passes_start = now_ms();
  ZP_TRY(const std::vector<Sample> samples, make_samples(model, options));
  PassContext context{model, backend.get(), report.records, samples};
  PipelineOptions pipeline;
  pipeline.passes = options.passes;
  if (pipeline.passes.empty()) pipeline.passes = default_passes();
  if (options.form == "vendor") pipeline.passes.emplace_back(kLayoutPass.name);
  if (options.form != "integer") pipeline.passes.emplace_back(kExpandFusedPass.name);
  pipeline.check_graph = options.check_graph;
  pipeline.verify = options.verify > 0;
  pipeline.print_after = options.print_after;
  pipeline.stop_after = options.stop_after;
  pipeline.print = options.print;
  ZP_TRY(const PipelineResult passes, run_passes(context, pipeline));
  for (const PassTiming& t : passes.timings) report.passes.push_back({t.name, t.changes, t.ms});
  if (pipeline.verify) {
    CompileReport::Verify v;
    v.runs = passes.verify.runs;
    v.max_abs_error = passes.verify.max_abs_error;
    v.sqnr_db = passes.verify.sqnr_db;
    if (const auto& d = passes.verify.first_difference) {
      v.first_difference = fmt::format("pass {}: value '{}' moved by {:.6g}, promised at most {:.6g}",
                                       d->pass, d->value, d->difference, d->allowed);
      result.verified = false;
    }
    report.verify = v;
  }
  report.time_ms.passes = now_ms() - passes_start;
  report.output.ops = count_ops(model);
  report.output.nodes = count_nodes(model);
  report.time_ms.total = now_ms() - start;
  report.peak_rss_bytes = peak_rss_bytes();
  return result;
}

}  // namespace

Result<Compiled> compile_model(const std::string& path, const CompileOptions& options) {
  ZP_TRY(Compiled result, rewrite_model(path, options));
  result.report.needs_import = needs_import(*result.model);
  return result;
}

Result<Compiled> compile_file(const std::string& path, const std::string& target,
                              const CompileOptions& options) {
  if (!can_save(target)) {
    return Error(Diagnostic{Severity::Error, "file.kind", Location{target, 0, 0, "", ""},
                            "cannot tell the format from the suffix; .pt2 and .zp are written"},
                 ErrorKind::Usage);
  }
  const double start = now_ms();
  ZP_TRY(Compiled result, rewrite_model(path, options));
  if (!result.verified) return result;
  const double export_start = now_ms();
  CompileReport& report = result.report;
  ZP_CHECK(save_model(*result.model, target, &report.needs_import));
  struct stat status {};
  if (::stat(target.c_str(), &status) == 0) report.output.bytes = static_cast<uint64_t>(status.st_size);
  report.output.path = target;
  report.output.format = target.substr(target.rfind('.') + 1);
  report.time_ms.export_ = now_ms() - export_start;
  report.time_ms.total = now_ms() - start;
  report.peak_rss_bytes = peak_rss_bytes();
  return result;
}

}  // namespace zp
