// Import of torch.export archives (.pt2): signature, constants, nodes and symbolic shapes become a Model.
// Weights are mapped, not read. Training-dialect programs are functionalized; operators without a card become
// opaque nodes that keep their source form. All problems of a file are collected into one error.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/model.h"
#include "support/result.h"

namespace zp {

struct ImportOptions {
  std::string model;  // which models/<name>.json; empty: `model`, or the only one
  uint32_t max_errors = 20;
  // Weights written by early builds of torch 2.9 may be dense although the file says they are permuted.
  bool assume_contiguous_weights = false;
};

// Compares the checksum of every record of the archive a model was read from; nothing to do for other
// formats.
Status check_payloads(const Model& model);

Result<std::unique_ptr<Model>> import_pt2(const std::string& path, const ImportOptions& options = {});

// What the program returns, leaf by leaf of its pytree.
struct OutputLeaf {
  int64_t output = -1;           // index into Model::outputs
  std::optional<Number> number;  // or a number that no value of the graph stands for
  Dim dim;                       // or one that follows from the sizes of the inputs
};
// Empty if the model is no archive, or one whose outputs have changed since.
std::vector<OutputLeaf> output_leaves(const Model& model);

}  // namespace zp
