// Places that writing operators write to; shared by their maps and by the evaluators of their adding forms.
#pragma once

#include <vector>

#include "ir/shape_map.h"

namespace zp::ops {

// Element numbers (C order of operand 0) that element 0, 1, ... of the written values go to; `shape` is the
// values' shape.
struct WrittenPlaces {
  IntShape shape;
  std::vector<int64_t> places;
};
// Nothing if an index is not known before the model runs.
Result<std::optional<WrittenPlaces>> index_put_places(const MapEnv& env);
Result<std::optional<WrittenPlaces>> scatter_places(const MapEnv& env);
Result<std::optional<WrittenPlaces>> index_rows(const MapEnv& env, int64_t dim);

// out = self; out[places[i]] (+= or *=) values[i] in order of i.
Status eval_index_put(EvalArgs& args);
Status eval_scatter(EvalArgs& args);
Status eval_index_add(EvalArgs& args);
Status eval_nonzero(EvalArgs& args);

}  // namespace zp::ops
