// Fake quantization as what it stands for: a quantize and a dequantize, which have its bits; a weight's
// becomes integers behind a dequantize. It makes a model that was prepared for training quantized. Products
// and convolutions of such values are exact sums of integers from then on, where they were float sums: that
// is the only change.
#pragma once

#include <span>
#include <unordered_set>

#include "passes/pass.h"
#include "passes/qat/channel_constants.h"

namespace zp::qat {

// Splits those fake_quantize nodes whose parameters are known before the run; the others get a kept record.
// Returns the products and convolutions whose operands became integers.
std::unordered_set<const Node*> split_fake_quantizers(std::span<Node* const> nodes, std::string_view pass,
                                                      ChannelConstants& constants, Records& records);

// How far a float sum of `terms` products of size up to `largest` may be from the exact one.
double float_sum_error(double terms, double sum_of_absolute_products);

}  // namespace zp::qat
