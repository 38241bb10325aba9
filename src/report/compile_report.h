// The record of one compilation, as JSON (stable keys) and as tables for people.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/record.h"

namespace zp {

struct FileFacts {
  std::string path, format;
  uint64_t bytes = 0, nodes = 0;
  std::map<std::string, int64_t> ops;
};

struct CompileReport {
  std::string version, backend, form;
  FileFacts input, output;
  struct Pass {
    std::string name;
    uint64_t changes;
    double ms;
  };
  std::vector<Pass> passes;
  Records records;
  std::vector<std::string> needs_import;
  struct Verify {
    int runs = 0;
    double max_abs_error = 0;
    std::optional<double> sqnr_db;
    std::string first_difference;  // empty: none
  };
  std::optional<Verify> verify;
  struct Times {
    double import = 0, passes = 0, export_ = 0, total = 0;
  } time_ms;
  uint64_t peak_rss_bytes = 0;
};

std::string report_json(const CompileReport& report);
std::string kept_json(const std::vector<KeptRecord>& kept);
// Tables for people; lines are cut at `max_width`, if that is not 0.
std::string kept_table(const std::vector<KeptRecord>& kept, size_t max_width = 0);
// Operators before and after, side by side.
std::string ops_table(const std::map<std::string, int64_t>& before,
                      const std::map<std::string, int64_t>& after);
std::string rewrites_table(const std::vector<RewriteRecord>& rewrites, size_t max_width = 0);
// What folds did to noise, channels that saturate, parameters changed; empty without folds.
std::string folds_table(const std::vector<RewriteRecord>& rewrites, size_t max_width = 0);
std::string report_text(const CompileReport& report);
// One self-contained page.
std::string report_html(const CompileReport& report);

}  // namespace zp
