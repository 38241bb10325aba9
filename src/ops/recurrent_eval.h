// Recurrent layers: how their operands are laid out, and their evaluators.
#pragma once

#include "ir/tensor.h"

namespace zp::ops {

enum class RecurrentKind { Lstm, Gru, RnnTanh, RnnRelu };

// Operands: input, initial hidden state, (lstm: initial cell state,) parameters.
struct RecurrentLayout {
  RecurrentKind kind = RecurrentKind::Lstm;
  size_t first_parameter = 2;
  size_t layers = 1, directions = 1;
  size_t per_cell = 4;     // parameters a layer and direction
  bool projected = false;  // lstm: one more matrix maps the hidden state down
  int64_t gates() const { return kind == RecurrentKind::Lstm ? 4 : kind == RecurrentKind::Gru ? 3 : 1; }
};
// An error `<op>.c2` if the number of parameters does not fit the attributes.
Result<RecurrentLayout> recurrent_layout(const Node& node);

Status eval_recurrent(EvalArgs& args);

}  // namespace zp::ops
