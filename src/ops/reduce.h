// Attributes of reductions, scans and searches. Reductions over several dims have `dims` (aten's `dim`;
// empty: all dims); ops of one dim have `dim`. Cards: reduce.list. Importers: max.dim, min.dim and median.dim
// are max, min and median (two results); max and min of everything are amax and amin; sum, mean, prod, any,
// all of all overloads are one card each; var.dim(unbiased) is var with correction 1 or 0; norm.*(p) is
// linalg_vector_norm with ord p.
#pragma once

#include <optional>

#include "ir/attrs.h"

namespace zp::ops {

struct ReduceAttrs {  // amax, amin, any, all, logsumexp, count_nonzero
  List<int64_t> dims;
  bool keepdim = false;
  ZP_ATTRS(ReduceAttrs, dims, keepdim)
};
struct SumAttrs {  // sum, mean, prod, nansum
  List<int64_t> dims;
  bool keepdim = false;
  std::optional<DType> dtype;  // the input is cast first
  ZP_ATTRS(SumAttrs, dims, keepdim, dtype)
};
struct DimReduceAttrs {  // max, min, median: values and indices along one dim
  int64_t dim = 0;
  bool keepdim = false;
  ZP_ATTRS(DimReduceAttrs, dim, keepdim)
};
struct ArgReduceAttrs {  // argmax, argmin; without dim: of the flattened tensor
  std::optional<int64_t> dim;
  bool keepdim = false;
  ZP_ATTRS(ArgReduceAttrs, dim, keepdim)
};
struct KthValueAttrs {
  Dim k;
  int64_t dim = -1;
  bool keepdim = false;
  ZP_ATTRS(KthValueAttrs, k, dim, keepdim)
};
struct AminmaxAttrs {
  std::optional<int64_t> dim;
  bool keepdim = false;
  ZP_ATTRS(AminmaxAttrs, dim, keepdim)
};
struct VarAttrs {  // var, std, var_mean, std_mean
  List<int64_t> dims;
  std::optional<Number> correction;  // none: 1
  bool keepdim = false;
  ZP_ATTRS(VarAttrs, dims, correction, keepdim)
};
struct VectorNormAttrs {
  Number ord = Number::of_int(2);
  List<int64_t> dims;
  bool keepdim = false;
  std::optional<DType> dtype;
  ZP_ATTRS(VectorNormAttrs, ord, dims, keepdim, dtype)
};
struct ScanAttrs {  // cumsum, cumprod
  int64_t dim = 0;
  std::optional<DType> dtype;
  ZP_ATTRS(ScanAttrs, dim, dtype)
};
struct DimAttrs {  // cummax, cummin, logcumsumexp
  int64_t dim = 0;
  ZP_ATTRS(DimAttrs, dim)
};
struct TopkAttrs {
  Dim k;
  int64_t dim = -1;
  bool largest = true;
  bool sorted = true;
  ZP_ATTRS(TopkAttrs, k, dim, largest, sorted)
};
struct SortAttrs {  // sort, argsort
  std::optional<bool> stable;
  int64_t dim = -1;
  bool descending = false;
  ZP_ATTRS(SortAttrs, stable, dim, descending)
};
struct DiffAttrs {  // operands self, prepend?, append?
  int64_t n = 1;
  int64_t dim = -1;
  ZP_ATTRS(DiffAttrs, n, dim)
};

struct BucketizeAttrs {  // operands self, boundaries
  bool out_int32 = false;
  bool right = false;
  ZP_ATTRS(BucketizeAttrs, out_int32, right)
};

}  // namespace zp::ops
