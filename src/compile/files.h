// Models and tensors in files: which reader or writer a path means, user inputs from .npy files, seeded
// inputs where none are given.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ir/model.h"
#include "ir/tensor.h"

namespace zp {

struct LoadOptions {
  uint32_t max_errors = 20;
  bool assume_contiguous_weights = false;
};

// The kind comes from the content, then from the suffix; `-` is graph text on standard input.
Result<std::unique_ptr<Model>> load_model(const std::string& path, const LoadOptions& options = {});
// The format comes from the suffix (.pt2, .zp).
// `needs_import` (may be null) gets the Python modules that loading the file in torch needs.
Status save_model(const Model& model, const std::string& path,
                  std::vector<std::string>* needs_import = nullptr);
bool can_save(const std::string& path);

// One tensor for each user input, from arguments `FILE` (next in order), `NAME=FILE`, each optionally
// followed by `:bf16`.
Result<std::vector<Tensor>> read_inputs(const Model& model, const std::vector<std::string>& arguments);
// Reproducible inputs that fit the model's input types: normal numbers, small non-negative integers; symbolic
// dims take their hint or the smallest legal value.
Result<std::vector<Tensor>> seeded_inputs(const Model& model, uint64_t seed);
// Cuts every input along its first dim into pieces of the model's own extent; the count is the same for all
// inputs.
Result<std::vector<std::vector<Tensor>>> split_inputs(const Model& model, const std::vector<Tensor>& inputs);
// Joins tensors along the first dim (0-d ones become a vector).
Result<Tensor> stack_outputs(const std::vector<Tensor>& parts);
// Results of a run with the numbers that users know them by: leaves of what the program returns, counted
// through. Numbers among them are tensors of rank 0; None has no entry.
struct NumberedOutput {
  size_t number;
  Tensor tensor;
};
std::vector<NumberedOutput> numbered_outputs(const Model& model, const std::vector<Tensor>& inputs,
                                             const std::vector<Tensor>& outputs);
// `DIR/out_K.npy`; the folder is made.
Status write_outputs(const std::string& folder, const std::vector<NumberedOutput>& outputs);
// Name of a user input as people write it.
std::string input_name(const Model& model, size_t input);

}  // namespace zp
