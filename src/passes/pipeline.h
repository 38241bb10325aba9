// Runs passes in order: times them, counts their changes, can print or stop after each, checks the graph
// after each, and with samples proves that each pass kept its promise by running the graph before and
// after it through the interpreter.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "passes/pass.h"

namespace zp {

struct PassTiming {
  std::string name;
  uint64_t changes = 0;
  double ms = 0;
};

struct FirstDifference {
  std::string pass;
  std::string value;
  double difference = 0;  // largest in that value
  double allowed = 0;
};

struct VerifyReport {
  int runs = 0;                   // samples each pass was checked with
  double max_abs_error = 0;       // of the user outputs, whole pipeline against the input model
  std::optional<double> sqnr_db;  // the same; nothing if equal
  std::optional<FirstDifference> first_difference;  // the first value that moved more than its pass promised
};

struct PipelineOptions {
  std::vector<std::string> passes;  // names; empty: the default pipeline
  bool check_graph = false;         // verify structure and types after each pass
  bool verify = false;              // run before and after each pass on the samples
  std::string print_after;          // name of a pass, or "all"
  std::string stop_after;
  std::function<void(std::string_view pass, const Model& model)> print;
};

struct PipelineResult {
  std::vector<PassTiming> timings;
  VerifyReport verify;
};

// The names of the default pipeline, in order.
std::vector<std::string> default_passes();
Result<PipelineResult> run_passes(PassContext& context, const PipelineOptions& options);

}  // namespace zp
