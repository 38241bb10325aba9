// What is known of an operator, in one constant next to its inference and its evaluator: the card.
// Passes switch on the trait, never on names.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ir/attrs.h"
#include "ir/type.h"
#include "support/list.h"
#include "support/result.h"

namespace zp {

class Node;
class Value;
class Context;
struct EvalArgs;
struct ShapeMap;

// How an op behaves under quantization. A closed set.
enum class Trait : uint8_t {
  ShapeOnly,      // bytes move; any element; commutes with dequantize and quantize
  SharesQparams,  // values are chosen, not computed: max_pool, relu in range
  SameQparams,    // several operands must agree, else requantize: cat, where, maximum
  FixedResult,    // result parameters dictated per storage type: sigmoid, softmax, tanh
  Affine,         // integer accumulator, bias = product of scales: conv, linear, matmul
  Rescales,       // each operand has its own scale: add, mul, mean, avg_pool
  FloatOnly,      // surround with dequantize and quantize
  Never,          // index, shape, mask, comparison: not quantized at all
  Quantizer,      // quantize, dequantize, fake_quantize, choose_qparams, storage_cast
  Structural,     // const, return, opaque, control flow
};
std::string_view trait_name(Trait trait);

enum class Role : uint8_t { Data, Weight, Bias, Scale, ZeroPoint, Index, Shape, Mask, State };

struct OperandDef {
  std::string_view name;
  Role role = Role::Data;
  bool optional = false;  // may be null
  bool variadic = false;  // any number; at most one such operand an op, and it is the last
};

enum OpFlags : uint32_t {
  kCommutative = 1 << 0,  // the first two operands may be swapped
  kEffect = 1 << 1,       // may not be removed, duplicated or reordered
  kPointwise = 1 << 2,    // result element i depends on operand elements i only (after broadcasting)
  kMonotone = 1 << 3,     // non-decreasing in its data operand
  kRandom = 1 << 4,       // not a function of its operands: never folded
  kDataShape = 1 << 5,    // result shape depends on values
  kIntegerForm = 1 << 6,  // accepts quantized operands and result: a fused integer operator
  kVariadicResults = 1 << 7,
  kAddsElements =
      1 << 8,  // a shape op that puts real values of its own among the moved ones: padding, masked zeros
};

// Fills the types of the results from operands and attributes, and checks the numbered constraints.
// An error names the constraint, e.g. `conv2d.c3: weight has 30 output channels but 32 scales`.
using InferFn = Status (*)(Context& context, Node& node);
// Computes the results from run-time tensors; exact and deterministic (see ir/tensor.h).
using EvalFn = Status (*)(EvalArgs& args);
// For Trait::ShapeOnly: describes which input element each output element is (see ir/shape_map.h).
using ShapeMapFn = Status (*)(const Node& node, ShapeMap* map);

struct OpDef {
  std::string_view name;  // canonical, e.g. conv2d
  std::string_view doc;   // one sentence, then the formula if it is not obvious
  List<OperandDef> operands;
  List<std::string_view> results;   // names; the last repeats when kVariadicResults
  const AttrsDef* attrs = nullptr;  // null: none
  Trait trait = Trait::FloatOnly;
  uint32_t flags = 0;
  InferFn infer = nullptr;
  EvalFn eval = nullptr;  // null: not executable
  ShapeMapFn shape_map = nullptr;
  List<std::string_view> checks;  // "c1: weight rank is input rank" ..., shown by `zp op`

  bool has(OpFlags flag) const { return (flags & flag) != 0; }
  bool variadic() const { return !operands.empty() && operands.back().variadic; }
  // Index of the operand of that name, or -1.
  int operand_index(std::string_view operand) const;
};

// The set of known ops. The table is built by the `ops` library; lookups by canonical name.
class OpTable {
 public:
  explicit OpTable(std::vector<const OpDef*> ops);
  const OpDef* find(std::string_view name) const;
  std::span<const OpDef* const> all() const { return ops_; }  // sorted by name

 private:
  std::vector<const OpDef*> ops_;
};

}  // namespace zp
