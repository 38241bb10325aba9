// The bias of the other rule: `qat_output_quantizer: before` in a backend file keeps the quantizer in front
// of the batch norm and computes the int32 bias in single precision, step by step, as ExecuTorch's Cadence
// flow does (backends/cadence/aot/quantizer/passes/fuse_ops.py,
// backends/transforms/quantize_fused_convbn_bias_pass.py), so that models compiled by either have the same
// integers. It pays only for targets that must match models in the field: the range of that quantizer costs
// up to 40 dB where the batch norm shifts the distribution. What that flow cannot fold, or folds wrongly, is
// folded by this project's own arithmetic: a factor that is not 1 goes into the weights, and a bias beyond
// int32, whose sign theirs changes, takes another unit.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "passes/qat/chain.h"

namespace zp::qat {

struct BiasBefore {
  std::vector<int32_t> integers;
  double scale = 0;  // that of the bias in the model, if it has one; else the product of the scales
};
// Nothing unless the chain is one that the rule knows: conv, quantize, dequantize, div by a constant, maybe
// add of a constant, batch norm; one scale for the bias, be it the accumulator's or another.
std::optional<BiasBefore> bias_before(const Chain& chain, const AccumulatorUnits& units,
                                      ChannelConstants& constants);

}  // namespace zp::qat
