// The text form of a model (version 1): `zp 1`, declarations of constants and types, then the graph. Prints in the shortest
// form that reads back equal.
#pragma once

#include <string>

#include "ir/model.h"

namespace zp {

struct PrintOptions {
  bool constants = true;      // print constant data (`@w = i8[2] <hex or list>`); otherwise only their names and types
  size_t inline_limit = 64;   // elements up to which data is printed as a list of numbers
  bool origins = false;       // append `# source name, module` to each line
};
std::string print(const Model& model, const PrintOptions& options = {});
std::string print(const Graph& graph, const PrintOptions& options = {});
std::string print(const Node& node);

}  // namespace zp
