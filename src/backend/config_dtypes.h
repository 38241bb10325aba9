// Dtype configurations of PyTorch's dictionaries as `types` of a file and back. A dictionary knows four slots
// (input, output, weight, bias); which operands they are follows from the operator that roots the pattern.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "backend/tree.h"
#include "ir/op_def.h"
#include "zeropoint/backend.h"

namespace zp::backend {

// The slots of a pattern by what a dictionary calls them.
struct Signature {
  std::vector<std::string> inputs;  // data operands, wildcards that are extra inputs
  std::string weight, bias;         // empty: the operator has none
  std::string first, second;        // data operands; `second` empty unless there are exactly two
  bool index_input = false;         // what comes in are indices: the input type says nothing
};
Signature signature_of(const OpDef& root, const zeropoint::PatternConfig& entry,
                       const std::vector<std::string>& extra);

// Names and texts of the `types` that a dictionary needs.
class DTypeNames {
 public:
  std::string name(const zeropoint::DTypeConfig& config, const Signature& signature,
                   std::vector<std::string>* notes);
  std::string print() const;

 private:
  std::vector<std::pair<std::string, std::string>> items_;  // name, block
  std::map<std::string, std::string> by_block_;
  std::map<std::string, std::string> bases_;  // of a combination of types
};

// The dtype configurations that `types` stand for, one a choice of alternatives. What a dictionary cannot say
// is noted.
std::vector<zeropoint::DTypeConfig> dtype_configs_of(const TypesDef& types, const Signature& signature,
                                                     std::vector<std::string>* notes);

}  // namespace zp::backend
