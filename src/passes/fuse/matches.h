// Every attempt to match a graph, without changing it: what `zp match` prints and `zp explain --node` lists.
#pragma once

#include <string>
#include <vector>

#include "backend/backend.h"
#include "ir/model.h"

namespace zp::fuse {

struct PatternTrial {
  std::string pattern;             // its name in the backend
  std::string types;               // the dtype configuration that fits; empty: none, or the pattern has none
  std::vector<std::string> nodes;  // names in the input model, in forward order
  std::string root;
  bool legal = false;                        // chosen, and accepted
  std::string clause, why_not;               // of those that are not
  std::vector<backend::SlotDecision> slots;  // what the configuration's wish came to, slot by slot
};

struct TrialOptions {
  const backend::ConfigDef* config = nullptr;
  bool all = false;  // also what lost against a better match, and what was refused
};

// A graph in which nothing is quantized is judged by what could be quantized.
bool is_float_graph(const Model& model);
std::vector<PatternTrial> try_patterns(const Model& model, const Backend& backend,
                                       const TrialOptions& options = {});

}  // namespace zp::fuse
