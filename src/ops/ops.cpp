#include "ops/ops.h"

#include "ir/graph.h"

namespace zp::ops {

const OpTable& table() {
  static const OpTable table_of_cards({
      &kConstOp,
      &kReturnOp,
      &kOpaqueOp,
#include "ops/ops_table.inc"
  });
  return table_of_cards;
}

}  // namespace zp::ops
