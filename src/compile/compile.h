// The facade: one model file in, one model file out, with a report.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "compile/files.h"
#include "passes/pipeline.h"
#include "report/compile_report.h"

namespace zp {

class Backend;

struct CompileOptions {
  std::string backend = "cpu";      // a name, a .zpb file, or "none"
  std::vector<std::string> passes;  // empty: the default pipeline
  std::string form = "qdq";         // qdq, integer or vendor
  int verify = 0;                   // number of seeded input sets; with inputs given: those
  bool check_graph = false;         // also verify structure and types after each pass (always with verify)
  std::vector<std::string> inputs;  // arguments as in read_inputs
  uint64_t seed = 0;
  std::string print_after, stop_after;
  LoadOptions load;
  std::function<void(std::string_view pass, const Model& model)> print;
};

struct Compiled {
  std::unique_ptr<Model> model;
  CompileReport report;
  bool verified = true;  // false: a value moved more than its pass promised (see report.verify)
};

// Null for "none".
Result<std::unique_ptr<Backend>> load_backend(const std::string& name);
// Reads, rewrites and brings the model into the wanted form, without writing it.
Result<Compiled> compile_model(const std::string& path, const CompileOptions& options);
// Also writes it to `target` and fills in what is known only then.
Result<Compiled> compile_file(const std::string& path, const std::string& target,
                              const CompileOptions& options);

std::string version_string();

}  // namespace zp
