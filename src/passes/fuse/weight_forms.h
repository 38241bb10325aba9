// Other declarations of a quantized weight that mean the same numbers: 4 bits where an 8-bit declaration
// holds only values of -8:7, one scale a channel where one scale serves the whole tensor. They pay where a
// target has an operator for the one and not for the other; its backend file says so (numerics weight_bits
// and weight_scales). The integers are shared with the weight as it was, and read only while the first value
// outside is looked for.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"
#include "passes/fuse/constant_pool.h"

namespace zp::fuse {

class WeightForms {
 public:
  WeightForms(Graph& graph, const Backend& backend);

  // Operand of `node` that holds a constant quantized weight, directly or through a dequantize.
  struct Weight {
    size_t operand = 0;
    Value* quantized = nullptr;
    Node* dequantize = nullptr;  // null: the operand is the quantized value
  };
  static std::optional<Weight> weight_of(const Node& node);

  // The declaration of 4 bits; null where the target goes by what is declared, or the weight by more.
  const QuantType* narrow(const Weight& weight);
  // One scale for each of the channels of operand `weight` of `node`; null as above.
  const QuantType* per_channel(const Node& node, const Weight& weight);
  // Makes `node` read the weight under that declaration.
  Status redeclare(Node* node, const Weight& weight, const QuantType& quant);

 private:
  bool fits4(const Constant& constant);

  Graph& graph_;
  ConstantPool pool_;
  bool by_value_ = false, per_axis_ = false;
  std::unordered_map<const Constant*, bool> fits4_;
  std::map<std::tuple<double, int64_t, DType>, const Constant*> repeated_;
  std::map<std::pair<const Constant*, const QuantType*>, Value*> made_;
};

}  // namespace zp::fuse
