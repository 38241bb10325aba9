// Patterns of PyTorch's dictionaries in canonical steps: every spelling of one chain gives one shape. Used by
// the importer and by the exporter, which looks for the spellings of a shape.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/op_def.h"
#include "zeropoint/backend.h"

namespace zp::backend {

struct CanonArg {
  enum Kind : uint8_t { Child, Any, Literal } kind = Any;
  size_t child = 0;     // Child: number of the node
  std::string literal;  // Literal
};

struct CanonNode {
  std::vector<std::string> ops;
  std::string attrs;
  std::string condition;
  std::vector<CanonArg> args;  // empty: nothing is said of them
};

// Forward order; the last node gives the result.
struct CanonPattern {
  std::vector<CanonNode> nodes;
  std::vector<std::string> notes;  // what was left out, in words
  std::string problem;             // why it cannot be said; empty: it can
  bool fused_extra = false;        // a class stands for a sum with a value of its own: that is an extra input
  bool foreign_code = false;       // because of a name that is not PyTorch's

  bool ok() const { return problem.empty(); }
  bool chain() const;   // each node feeds the next, through the operand a chain hands on
  size_t root() const;  // the node whose operands are the slots
  const OpDef& root_op() const;
  std::string condition() const;  // of the whole pattern; empty: none
  // What follows the name in a file. `extra`: wildcards are named values (%r, %r2 ...), whose names are
  // returned.
  std::string text(bool extra, std::vector<std::string>* names) const;
};

CanonPattern canonical(const zeropoint::PatternConfig& config);
const OpDef* op_named(std::string_view name);

}  // namespace zp::backend
