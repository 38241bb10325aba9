// Attributes of recurrent layers (lstm, gru, rnn_tanh, rnn_relu), which share one calling convention.
#pragma once

#include "ir/attrs.h"

namespace zp::ops {

// Parameters are flat, layer by layer, forward before reverse: w_ih, w_hh and, with biases, b_ih, b_hh.
// Gate order: lstm input, forget, cell, output; gru reset, update, new.
struct RecurrentAttrs {
  bool has_biases = true;
  int64_t num_layers = 1;
  double dropout = 0;
  bool train = false;
  bool bidirectional = false;
  bool batch_first = false;  // (batch, time, feature) instead of (time, batch, feature)
  ZP_ATTRS(RecurrentAttrs, has_biases, num_layers, dropout, train, bidirectional, batch_first)
};

}  // namespace zp::ops
