// Attributes of the operators that change how numbers are represented.
#pragma once

#include <optional>
#include <string_view>

#include "ir/attrs.h"

namespace zp::ops {

// q = clamp(rne(x / scale) + zero_point); with `zero_point_first`: clamp(rne(x / scale + zero_point)).
struct QuantizeAttrs {
  const QuantType* type = nullptr;  // of the result; never null in a valid graph
  bool zero_point_first = false;    // per-token and per-group quantizers round after adding
  ZP_ATTRS(QuantizeAttrs, type, zero_point_first)
};

// Quantize and dequantize in one step, in float. Per token and per group forms round after adding, as above.
struct FakeQuantizeAttrs {
  const QuantType* type = nullptr;
  bool zero_point_first = false;
  ZP_ATTRS(FakeQuantizeAttrs, type, zero_point_first)
};

// Integers seen as quantized (type set) or quantized seen as plain integers (type null); no byte changes.
struct StorageCastAttrs {
  const QuantType* type = nullptr;
  ZP_ATTRS(StorageCastAttrs, type)
};

// Parameters from the range of the data. `rule` names the formula: "minmax" (choose_qparams.tensor),
// "symmetric", "per_token", "per_token_asymmetric", "affine_asymmetric", "affine_symmetric",
// "affine_symmetric_no_clipping".
struct ChooseQparamsAttrs {
  const QuantType* type = nullptr;  // the dynamic type whose parameters are chosen
  std::string_view rule = "minmax";
  double eps = 0;
  DType scale_dtype = DType::F64;
  DType zero_point_dtype = DType::I64;
  bool keepdim = false;
  ZP_ATTRS(ChooseQparamsAttrs, type, rule, eps, scale_dtype, zero_point_dtype, keepdim)
};

}  // namespace zp::ops
