// What the QAT passes need to know of one convolution or linear: its operands behind their dequantizes, which
// axis enumerates output channels, the unit of its integer accumulator, and how to give it another bias.
// Constants are never edited: a changed bias is a new constant, so a shared one stays right for others.
#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "ir/graph.h"
#include "ir/tensor.h"
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
  bool transposed = false;
  int64_t groups = 1;

  const QuantType* input_type() const {
    return input_dequantize ? input_dequantize->operand(0)->type().quant : nullptr;
  }
  const QuantType* weight_type() const {
    return weight_dequantize ? weight_dequantize->operand(0)->type().quant : nullptr;
  }
  Value* bias() const { return node->operand(bias_operand); }
  // The weight as it is stored: in front of its dequantize and its transposition.
  Value* stored_weight() const {
    if (weight_dequantize != nullptr) return weight_dequantize->operand(0);
    return weight_permute ? weight_permute->operand(0) : node->operand(weight_operand);
  }
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
// channels (`scales`: what weight_scales() says).
Answer<AccumulatorUnits> accumulator_units(const ConvSite& site);
Answer<AccumulatorUnits> accumulator_units(const ConvSite& site, std::vector<double> scales);
// The scales of the weight as one a channel; refuses dynamic weights, other axes, blocks.
Answer<std::vector<double>> weight_scales(const ConvSite& site);
// The largest scale of a static weight of whatever granularity.
std::optional<double> largest_weight_scale(const ConvSite& site);

struct IntegerBias {
  Value* value = nullptr;  // the dequantize
  int64_t saturated = 0;   // channels
};
// An int32 constant behind a dequantize with scale `units`, before the node.
Result<IntegerBias> make_integer_bias(const ConvSite& site, const AccumulatorUnits& units,
                                      std::span<const double> bias);
// The same from the integers themselves.
Result<IntegerBias> store_integer_bias(const ConvSite& site, const AccumulatorUnits& units,
                                       std::span<const int32_t> integers);
// A float constant, before the node.
Result<Value*> make_real_bias(const ConvSite& site, std::span<const double> bias);
// Puts the bias in its slot; makes a node with that slot where there is none, which takes over the name
// unless the caller has another for it. Returns the node that stands now.
enum class NewNode : uint8_t { Named, Unnamed };
Node* set_bias(const ConvSite& site, Value* bias, NewNode naming = NewNode::Named);

// Blocks that are exactly the output channels: of a grouped transposed convolution, whose groups share the
// weight's channel dim.
bool blocks_are_channels(const ConvSite& site, const QuantType& quant, std::span<const int64_t> shape);

// Whether biases of quantized sites should be int32, by operator: what the backend (null: any) takes.
class BiasForms {
 public:
  explicit BiasForms(const Backend* backend) : backend_(backend) {}
  bool integer(const OpDef& op);
  // True if some pattern takes an integer bias at all: without one there is nothing to prepare.
  bool takes_integer(const OpDef& op);

 private:
  struct Form {
    const OpDef* op;
    bool integer, takes_integer;
  };
  const Form& form_of(const OpDef& op);
  const Backend* backend_;
  std::vector<Form> known_;
};

}  // namespace zp::qat
