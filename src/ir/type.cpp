// What types say of one another.
#include "ir/type.h"

namespace zp {

bool types_agree(DimContext& dims, const Type& a, const Type& b) {
  if (a.kind != b.kind) return false;
  const auto dims_agree = [&](Dim x, Dim y) {
    if (x == y || x.is_unknown() || y.is_unknown()) return true;
    // Two expressions may be equal by facts that are not in the text; they differ for certain if their
    // difference is not 0.
    const Dim gap = dims.sub(x, y);
    return gap.is_unknown() || (dims.lower_bound(gap) <= 0 && dims.upper_bound(gap) >= 0);
  };
  if (!a.is_tensor()) return dims_agree(a.value, b.value);
  if (a.quant != b.quant) return false;
  if (a.dtype != b.dtype && a.dtype != DType::Unknown && b.dtype != DType::Unknown) return false;
  if (!a.ranked || !b.ranked) return true;
  if (a.shape.size() != b.shape.size()) return false;
  for (size_t i = 0; i < a.shape.size(); ++i)
    if (!dims_agree(a.shape[i], b.shape[i])) return false;
  return true;
}

}  // namespace zp
