// Attributes of ops that make tensors from numbers, and of casts. Where aten takes a number that may be
// symbolic there are two fields: `end` for a number, `end_dim` for an expression (it wins when set). Without
// `dtype`: f32 for floats, i64 for integers, bool for bools; the *_like and new_* ops keep the operand's.
// `empty*` gives zeros. Cards: create.list. Importers: to.*, _to_copy, type_as, convert_element_type are
// cast; empty_permuted is empty; fill.Scalar is full_like.
#pragma once

#include <optional>

#include "ir/attrs.h"

namespace zp::ops {

struct ArangeAttrs {
  Number start, end, step = Number::of_int(1);
  std::optional<Dim> start_dim, end_dim, step_dim;
  std::optional<DType> dtype;
  ZP_ATTRS(ArangeAttrs, start, end, step, start_dim, end_dim, step_dim, dtype)
};
struct LinspaceAttrs {
  Number start, end;
  Dim steps;
  std::optional<DType> dtype;
  ZP_ATTRS(LinspaceAttrs, start, end, steps, dtype)
};
struct LogspaceAttrs {
  Number start, end;
  Dim steps;
  double base = 10;
  std::optional<DType> dtype;
  ZP_ATTRS(LogspaceAttrs, start, end, steps, base, dtype)
};
struct FullAttrs {
  List<Dim> size;
  Number fill_value;
  std::optional<Dim> fill_value_dim;
  std::optional<DType> dtype;
  ZP_ATTRS(FullAttrs, size, fill_value, fill_value_dim, dtype)
};
struct SizeAttrs {  // zeros, ones, empty, new_zeros, new_ones, new_empty
  List<Dim> size;
  std::optional<DType> dtype;
  ZP_ATTRS(SizeAttrs, size, dtype)
};
struct FullLikeAttrs {
  Number fill_value;
  std::optional<Dim> fill_value_dim;
  std::optional<DType> dtype;
  ZP_ATTRS(FullLikeAttrs, fill_value, fill_value_dim, dtype)
};
struct LikeAttrs {  // zeros_like, ones_like, empty_like
  std::optional<DType> dtype;
  ZP_ATTRS(LikeAttrs, dtype)
};
struct ScalarTensorAttrs {
  Number s;
  std::optional<Dim> s_dim;
  std::optional<DType> dtype;
  ZP_ATTRS(ScalarTensorAttrs, s, s_dim, dtype)
};
struct EyeAttrs {
  Dim n;
  std::optional<Dim> m;
  std::optional<DType> dtype;
  ZP_ATTRS(EyeAttrs, n, m, dtype)
};
struct CastAttrs {
  DType dtype = DType::F32;
  ZP_ATTRS(CastAttrs, dtype)
};

}  // namespace zp::ops
