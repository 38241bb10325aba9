// Imports archives and prints, for each, what became of it: one line when all is well, the diagnostics when
// not. Options:
// `-p` prints the graph, `-t` only the time. No test by itself; used to look at many archives at once.
#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <map>
#include <string>

#include "formats/pt2/import.h"
#include "ir/printer.h"

int main(int argc, char** argv) {
  bool print = false, time = false;
  int failed = 0;
  std::map<std::string, int> opaque;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "-p") == 0) print = true;
    else if (std::strcmp(argv[i], "-t") == 0) time = true;
    else {
      const auto start = std::chrono::steady_clock::now();
      auto model = zp::import_pt2(argv[i]);
      const double ms =
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
      if (!model.ok()) {
        ++failed;
        fmt::print("FAIL {}\n{}\n", argv[i], model.error().str());
        continue;
      }
      if (time) fmt::print("{:.1f} ms {} nodes {}\n", ms, (*model)->source_nodes, argv[i]);
      for (const zp::Diagnostic& d : (*model)->warnings) fmt::print("{}\n", d.str());
      for (zp::Node* node : (*model)->graph->nodes()) {
        if (node->is(zp::kOpaqueOp)) ++opaque[std::string(node->attrs<zp::OpaqueAttrs>().target)];
      }
      if (print) fmt::print("{}\n", zp::print(**model, {.constants = false}));
    }
  }
  for (const auto& [target, count] : opaque) fmt::print("opaque {} {}\n", count, target);
  fmt::print("{} failed\n", failed);
  return failed != 0;
}
