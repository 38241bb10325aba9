// What `zp inspect` shows: inputs, outputs, operators, quantization, sizes, unknown operators. Reads no
// weights unless the constants' digests are asked for.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "ir/model.h"

namespace zp {

struct InspectOptions {
  bool nodes = false;
  bool constants = false;  // with digests: reads the weights
};

// Canonical operator names and how often they occur, regions included, const nodes not.
std::map<std::string, int64_t> count_ops(const Model& model);
// The same for operators that are not known, by their own names.
std::map<std::string, int64_t> count_unknown(const Model& model);
uint64_t count_nodes(const Model& model);

Result<std::string> inspect_json(const Model& model, const InspectOptions& options);
Result<std::string> inspect_text(const Model& model, const InspectOptions& options);
// Graphviz source of the main graph.
std::string inspect_dot(const Model& model);

}  // namespace zp
