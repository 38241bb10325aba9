// Inputs, outputs and calling convention of an exported program: which placeholder is which parameter, buffer
// or argument, which result the user sees and which one is written back. Entries of an imported archive keep
// their order and text; dead constants are left out, new buffers stand behind the old ones.
#pragma once

#include <string>
#include <vector>

#include "formats/pt2/export_graph.h"
#include "formats/pt2/export_payload.h"

namespace zp::pt2 {

struct SignatureText {
  std::vector<std::string> inputs, input_specs;  // JSON of graph.inputs and signature.input_specs
  std::vector<std::string> outputs, output_specs;
  std::string module_call_graph;
};

// After the nodes are written; may add nodes (copies of outputs that would alias a state).
Result<SignatureText> write_signature(GraphWriter& graph, PayloadWriter& payloads);

}  // namespace zp::pt2
