// Import of torch.export archives (.pt2): signature, constants, nodes and symbolic shapes become a Model.
// Weights are mapped, not read. Training-dialect programs are functionalized; operators without a card become
// opaque nodes that keep their source form. All problems of a file are collected into one error.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

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

}  // namespace zp
