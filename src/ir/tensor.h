// Run-time tensors and the calling convention of evaluators. Tensors are dense, C order, one element per
// byte below 8 bits. Evaluators are exact where integers are concerned, and use one fixed order of float
// additions, so that every machine and every thread count gives the same bits.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace zp {

class Tensor {
 public:
  Tensor() = default;
  // Zeroed memory. Fails (Refused) if the size overflows or exceeds the limit of `max_tensor_bytes()`.
  static Result<Tensor> make(DType dtype, std::vector<int64_t> shape);
  // A view of a dense constant's or mapped file's bytes; below 8 bits they are unpacked into own memory.
  static Result<Tensor> view(DType dtype, std::vector<int64_t> shape, Blob bytes);
  template <typename T>
  static Tensor scalar(DType dtype, T value) {
    Tensor t = std::move(*make(dtype, {}));
    *t.mutable_data<T>() = value;
    return t;
  }

  DType dtype() const { return dtype_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int rank() const { return static_cast<int>(shape_.size()); }
  int64_t elements() const { return elements_; }
  int64_t bytes() const { return elements_ * byte_size(dtype_); }
  template <typename T>
  const T* data() const {
    return reinterpret_cast<const T*>(blob_.data());
  }
  // Only for a tensor whose memory is its own (made by make()).
  template <typename T>
  T* mutable_data() {
    return reinterpret_cast<T*>(writable_);
  }
  const Blob& blob() const { return blob_; }

  // Same bytes, other shape of equal element count.
  Tensor reshaped(std::vector<int64_t> shape) const;

  double get_double(int64_t i) const;        // any real or integer dtype, bool as 0 / 1
  int64_t get_int(int64_t i) const;          // truncates floats
  void set_double(int64_t i, double value);  // rounds to the dtype; integers saturate
  void set_int(int64_t i, int64_t value);    // integers wrap like a cast

 private:
  DType dtype_ = DType::Unknown;
  std::vector<int64_t> shape_;
  int64_t elements_ = 0;
  Blob blob_;
  std::byte* writable_ = nullptr;
};

// Limit of one run-time allocation, so that a broken model cannot exhaust memory. Default 64 GiB / settable.
int64_t max_tensor_bytes();
void set_max_tensor_bytes(int64_t bytes);

// Quantization parameters resolved for one run: C order of the grid.
struct QuantParams {
  const QuantType* type = nullptr;
  std::vector<double> scales;             // exact values of the stored scales
  std::vector<int64_t> zero_points;       // integer domain; zeros if absent
  std::vector<double> float_zero_points;  // float domain
  std::vector<int64_t> grid;              // cells along each dim of the tensor (1 where unsplit)
};
// Reads the parameters of a static QuantType for a tensor of that shape; checks counts, finiteness and range.
Result<QuantParams> quant_params(Context& context, const QuantType& quant, std::span<const int64_t> shape);

struct EvalArgs {
  const Node& node;
  std::span<const Tensor* const> in;  // null: absent operand
  std::span<Tensor> out;              // to be filled
  const DimBinding* dims = nullptr;   // values of symbols
  // For operands the interpreter looked through: in[i] holds the integers of the dequantize that feeds
  // operand i and quant[i] its parameters; null where operand i is what the graph says. Only for
  // Trait::Affine.
  std::span<const QuantParams* const> quant;

  Context& context() const { return node.context(); }
  // Number of a symbolic attribute; an error names the symbol that has no value.
  Result<int64_t> dim(Dim d) const;
  Result<std::vector<int64_t>> dims_value(List<Dim> ds) const;
};

// The value of a constant as a tensor (no copy when dense and at least 8 bits wide).
Result<Tensor> constant_tensor(Context& context, const Constant& constant);

}  // namespace zp
