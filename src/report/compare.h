// How far two runs are apart: largest absolute error, signal to quantization noise in dB, cosine.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/tensor.h"

namespace zp {

struct Difference {
  std::string name;
  double max_abs_error = 0;
  std::optional<double> sqnr_db;  // nothing: equal
  double cosine = 1;
};

// Elements that are finite in `reference` count; non-finite ones must stand at the same places, else the
// largest error is infinite. The real values of quantized tensors must be given.
Difference compare_tensors(std::string name, const Tensor& reference, const Tensor& value);

}  // namespace zp
