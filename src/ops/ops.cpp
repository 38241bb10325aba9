#include "ops/ops.h"

#include "ir/graph.h"

namespace zp::ops {

const OpTable& table() {
  static const OpTable all({
      &kConstOp, &kReturnOp, &kOpaqueOp,
#include "ops/ops_table.inc"
  });
  return all;
}

}  // namespace zp::ops
