// A model: a context, a main graph, the meaning of its inputs and outputs, and what the source format
// wants to have back when it is written again.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace zp {

// State that the model keeps between runs (a mutated buffer) is an input with an initial value and an
// output that replaces it. User inputs and outputs are in the order the user sees.
struct InputInfo {
  enum Kind : uint8_t { User, State, Token } kind = User;
  const Constant* initial = nullptr;  // State
  std::string user_name;              // path in the user's arguments, for messages; may be empty
  int64_t source = -1;                // its number when it was imported, kept while others are removed
};
struct OutputInfo {
  enum Kind : uint8_t { User, StateUpdate, InputMutation, Token } kind = User;
  int64_t target = -1;  // index of the input that receives the value (StateUpdate, InputMutation)
  int64_t source = -1;  // its number when it was imported, kept while others are removed
};

// Kept by an importer for the exporter of the same format.
struct FormatSource {
  virtual ~FormatSource() = default;
};

struct Model {
  // The context must outlive the graph: members are destroyed in reverse order.
  std::unique_ptr<Context> context = std::make_unique<Context>();
  std::unique_ptr<Graph> graph;
  std::vector<InputInfo> inputs;    // parallel to graph->inputs()
  std::vector<OutputInfo> outputs;  // parallel to the outputs of the graph
  std::string format;               // pt2, zp, ...
  std::string producer;             // e.g. torch 2.13.0
  std::string path;
  uint64_t file_bytes = 0;
  uint64_t source_nodes = 0;                  // nodes in the file, before import normalised anything
  std::map<std::string, int64_t> source_ops;  // canonical names
  std::vector<Diagnostic> warnings;           // of the import
  std::shared_ptr<const FormatSource> source;

  Model() : graph(std::make_unique<Graph>(*context, nullptr)) {}
  // The main graph and all regions, outer ones first; no walk over the nodes.
  std::vector<Graph*> graphs() const {
    std::vector<Graph*> all = context->regions();
    all.insert(all.begin(), graph.get());
    return all;
  }
  std::vector<size_t> user_inputs() const {
    std::vector<size_t> r;
    for (size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i].kind == InputInfo::User) r.push_back(i);
    return r;
  }
  std::vector<size_t> user_outputs() const {
    std::vector<size_t> r;
    for (size_t i = 0; i < outputs.size(); ++i)
      if (outputs[i].kind == OutputInfo::User) r.push_back(i);
    return r;
  }
};

}  // namespace zp
