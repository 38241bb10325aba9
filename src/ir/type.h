// Types of values. A tensor type is a shape and an element; an element is a dtype, or a storage dtype with
// a quantization. Types and quantizations are interned in the Context: equal means same pointer.
#pragma once

#include <cstdint>
#include <string>

#include "ir/dim.h"
#include "ir/dtype.h"
#include "support/list.h"
#include "support/result.h"

namespace zp {

struct Constant;
using Shape = List<Dim>;

enum class ZeroPointDomain : uint8_t { Integer, Float, None };

// How integers stand for real numbers: real = (q - zero_point) * scale, one scale for each cell of a grid.
// Per tensor, per axis, per block and per group are one thing: `block` gives the extent that shares one
// scale along each dim (0: the full extent).
struct QuantType {
  DType storage = DType::I8;
  DType expressed = DType::F32;
  DType scale_dtype = DType::F32;
  ZeroPointDomain domain = ZeroPointDomain::Integer;
  bool dynamic = false;  // scale and zero point are operands of quantize and dequantize, known at run time
  int64_t qmin = -128;   // declared range: narrowed ranges (-127..127, -8..7) are data
  int64_t qmax = 127;
  int32_t axis = -1;      // >= 0: per axis, `block` is empty
  List<int64_t> block;    // not empty: per block, one entry a dim, 0 for the full extent
  double scale = 1.0;     // per tensor and static: the exact number
  double zero_point = 0;  // per tensor and static; an integer unless the domain is Float
  // Per axis or block and static: one entry a cell, C order of the grid. Kept by identity, never copied.
  const Constant* scales = nullptr;
  const Constant* zero_points = nullptr;  // null: all zero

  bool per_tensor() const { return axis < 0 && block.empty(); }
  bool per_axis() const { return axis >= 0; }
  bool per_block() const { return !block.empty(); }
  friend bool operator==(const QuantType&, const QuantType&) = default;
};

enum class TypeKind : uint8_t {
  Tensor,
  Int,
  Float,
  Bool,    // symbolic numbers (SymInt, SymFloat, SymBool)
  None,    // an absent result
  Token,   // orders effects
  Object,  // something only its own format understands
};

struct Type {
  TypeKind kind = TypeKind::Tensor;
  DType dtype = DType::Unknown;  // of a tensor; the storage dtype when quantized
  bool ranked = true;            // false: nothing is known of the shape
  Shape shape;
  const QuantType* quant = nullptr;  // null: plain elements
  Dim value;                         // kind Int: its expression where known

  bool is_tensor() const { return kind == TypeKind::Tensor; }
  bool is_quantized() const { return quant != nullptr; }
  int rank() const { return static_cast<int>(shape.size()); }
  // What the elements mean: the expressed dtype of quantized elements, else the dtype itself.
  DType real_dtype() const { return quant ? quant->expressed : dtype; }
  // Number of elements; -1 if any dim is not a number.
  int64_t elements() const;
  bool is_static() const { return is_tensor() && ranked && elements() >= 0; }
  std::string str() const;  // the text form, long scales printed as @name
  friend bool operator==(const Type&, const Type&) = default;
};

std::string quant_str(const QuantType& quant);

// True if two types may be the same: what one of them leaves open is taken from the other. Two symbolic dims
// disagree only if their difference is certainly not 0.
bool types_agree(DimContext& dims, const Type& a, const Type& b);

}  // namespace zp
