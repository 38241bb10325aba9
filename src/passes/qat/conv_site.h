// What the QAT passes need to know of one convolution or linear: its operands behind their dequantizes, which
// axis enumerates output channels, the unit of its integer accumulator, and how to give it another bias or
// other weights. Constants are never edited: a changed weight or bias is a new constant, so shared ones stay
// right for others.
#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"
#include "ir/tensor.h"
#include "passes/constant_eval.h"
#include "passes/qat/why.h"

namespace zp {
class Backend;
}

namespace zp::qat {

struct ConvSite {
  Node* node = nullptr;
  size_t input_operand = 0, weight_operand = 1, bias_operand = 2;  // addmm has its bias first
  Node* weight_permute =
      nullptr;  // a transposition between dequantize and product (decomposed linears); null: none
  Node* input_dequantize = nullptr;   // null: the input is no dequantized value
  Node* weight_dequantize = nullptr;  // null: the weight is no dequantized value
  int64_t channels = 0;               // of the result
  int channel_axis = 1;               // in the result; meaningful if the rank is known
  int weight_axis = 0;                // dim of the stored weight that enumerates channels
  int64_t channels_per_scale_run =
      0;  // extent of that dim: channel c has entry c % run (grouped transposed convolutions)

  const QuantType* input_type() const {
    return input_dequantize ? input_dequantize->operand(0)->type().quant : nullptr;
  }
  const QuantType* weight_type() const {
    return weight_dequantize ? weight_dequantize->operand(0)->type().quant : nullptr;
  }
  Value* bias() const { return node->operand(bias_operand); }
  DType real_dtype() const { return node->result()->type().dtype; }
};

bool is_conv_or_linear(const Node& node);
// Also products of matrices whose right factor may be a constant: what linear becomes when it is decomposed.
bool is_anchor(const Node& node);
// A plain (float in the graph) anchor of known channel count; refuses fused integer forms.
Answer<ConvSite> conv_site(Node& node);

// Scale of input times scale of weight: the real value of 1 in the integer accumulator.
struct AccumulatorUnits {
  std::vector<double> units;  // one a channel; the exact product where the weight is per tensor
  bool per_tensor = false;
  double input_scale = 1;
  std::vector<double> weight_scales;  // one a channel
};
// Refuses unless input and weight are static, integer, input per tensor and weight per tensor or along its
// channels.
Answer<AccumulatorUnits> accumulator_units(const ConvSite& site);
// The scales of the weight as one a channel; refuses dynamic weights, other axes, blocks.
Answer<std::vector<double>> weight_scales(const ConvSite& site);

struct IntegerBias {
  Value* value = nullptr;  // the dequantize
  int64_t saturated = 0;   // channels
};
// An int32 constant behind a dequantize with scale `units`, before the node.
Result<IntegerBias> make_integer_bias(const ConvSite& site, const AccumulatorUnits& units,
                                      std::span<const double> bias);
// A float constant, before the node.
Result<Value*> make_real_bias(const ConvSite& site, std::span<const double> bias);
// Puts the bias in its slot; makes a node with that slot where there is none. Returns the node that stands
// now.
Node* set_bias(const ConvSite& site, Value* bias);

// Whether this site's bias should be int32: input and weight quantized, and the backend (null: any) takes it.
bool wants_integer_bias(const ConvSite& site, const Backend* backend);

// Other integers and scales for the weight of a site.
struct WeightChange {
  std::vector<double>
      factor;  // of the scale, one a channel; the sign goes into the integers, 0 clears the channel
  std::vector<double>
      shrink;  // <= 1: integers are multiplied by it and rounded, scales divided (empty: all 1)
};
// The value of the changed weight, before the node: a dequantize, transposed if the old one was. Refuses what
// cannot be said exactly or what the backend's kernels do not take.
Answer<Value*> change_weight(const ConvSite& site, const WeightChange& change, const Backend* backend,
                             ConstantValues& values);

// The integers of the weight without their zero point, per channel: largest |acc| for inputs of the declared
// range, and whether all are zero. Reads the weight.
struct WeightReach {
  std::vector<double> positive, negative;  // largest and smallest accumulator value without bias
  std::vector<bool> zero;
  std::vector<double> absolute;  // sum of |weight integers|
};
Answer<WeightReach> weight_reach(const ConvSite& site, ConstantValues& values);

}  // namespace zp::qat
