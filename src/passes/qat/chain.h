// The chain of affine operators between a convolution and the batch norm that ends it, found backwards by
// values: any mix of div, mul, add, sub, neg and batch_norm with constants, and one quantize-dequantize pair
// right behind the convolution. What is not such a chain comes with the reason and the node that is in the
// way.
#pragma once

#include <vector>

#include "passes/qat/affine_map.h"
#include "passes/qat/channel_constants.h"
#include "passes/qat/conv_site.h"
#include "passes/qat/why.h"

namespace zp::qat {

struct ChainStep {
  enum Kind : uint8_t { Affine, BatchNorm, Nothing } kind = Affine;
  Node* node = nullptr;
  size_t data = 0;  // operand that comes from the convolution
};

struct Chain {
  ConvSite site;
  Node* end = nullptr;       // the last step; its result is what the folded convolution computes
  Node* quantize = nullptr;  // the pair behind the convolution; null: none
  Node* dequantize = nullptr;
  std::vector<ChainStep> steps;  // in program order
  const Node* first_batch_norm() const;
};

// True for add, sub, mul, div, neg with constants, as a step may be.
bool is_affine_step(const Node& node);
// The same whatever its operands are.
bool is_affine_op(const Node& node);
// True for what changes nothing: identity, a cast to the same type.
bool is_nothing(const Node& node);

// Walks back from `end` (a batch norm, or the last step of one that is written out) to a convolution.
Answer<Chain> trace_chain(Node& end);

// A batch norm written out, or what is left of one: some step shifts each channel by a constant of its own.
// Single numbers do not make one, and factors alone are the half of one whose other half is no constant.
bool is_written_out(const Chain& chain);

// The chain as one map.
struct ChainMap {
  AffineMap whole;             // of the convolution without its bias: the bias is its first addend
  std::vector<Scaled> offset;  // b of the map of the convolution's result, which has the bias in it
  AffineMap at_batch_norm;  // of the result to the input of the first batch norm (whose statistics describe
                            // that value), if there is one
  // The same with absolute values: how large intermediate values can get, for bounds on what rounding did to
  // them.
  AffineMap magnitude;
};
Answer<ChainMap> chain_map(const Chain& chain, ChannelConstants& constants);

}  // namespace zp::qat
