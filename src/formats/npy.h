// NumPy array files (.npy, versions 1.0 to 3.0): how tensors come in and go out of the program.
// Little-endian, C and Fortran order, bool to int64 and uint64, float16/32/64, complex; formats that NumPy
// has no name for (bfloat16, the 8-bit floats) as raw elements of their width, which the caller names. Dense
// C-order data of a file is mapped, not copied. Layout: numpy/lib/format.py (the NPY format, NEP 1).
#pragma once

#include <optional>
#include <string>

#include "ir/tensor.h"
#include "support/blob.h"

namespace zp {

// What the header says, and where the elements start.
struct NpyHeader {
  DType dtype = DType::Unknown;  // Unknown for raw elements (`V2`)
  int64_t item_bytes = 0;
  bool raw = false;  // `V`: bytes without a meaning
  bool fortran_order = false;
  std::vector<int64_t> shape;
  size_t data_offset = 0;
};
Result<NpyHeader> parse_npy_header(std::span<const std::byte> file);

// Reads an array. `as` gives raw (`V2`) or unsigned elements of equal width a meaning, e.g. bfloat16.
Result<Tensor> read_npy(const std::string& path, std::optional<DType> as = {});
Result<Tensor> parse_npy(const Blob& file, std::optional<DType> as = {});

// Version 1.0, C order. Integers below 8 bits are written as 8-bit ones, bfloat16 as `V2`, 8-bit floats as
// `V1`.
std::string npy_header(DType dtype, std::span<const int64_t> shape);
Status write_npy(const std::string& path, const Tensor& tensor);

}  // namespace zp
