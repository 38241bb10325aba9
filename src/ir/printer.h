// The text form of a model (version 1): `zp 1`, declarations of symbols, constants and types, then the graph.
// Prints in the shortest form that reads back equal; HACKING.md has the grammar.
#pragma once

#include <string>

#include "ir/model.h"

namespace zp {

struct PrintOptions {
  bool constants =
      true;  // print constant data; otherwise only names and types (read back, they are without bytes)
  size_t inline_limit = 64;  // elements up to which data is printed as a list of numbers
  bool digests = false;      // data that is longer than that: its SHA-256 in a comment instead of the bytes
  bool origins = false;      // append `# source name, module` to each line
};
std::string print(const Model& model, const PrintOptions& options = {});
std::string print(const Graph& graph, const PrintOptions& options = {});  // without declarations
std::string print(const Node& node);                                      // one line, and its regions

}  // namespace zp
