// The tables of operator rows, one per family of files; read through schema.h only.
#pragma once

#include "formats/pt2/schema.h"
#include "support/list.h"

namespace zp::pt2 {

List<Row> math_rows();
List<Row> pointwise_rows();
List<Row> reduce_rows();
List<Row> view_rows();
List<Row> create_rows();

}  // namespace zp::pt2
