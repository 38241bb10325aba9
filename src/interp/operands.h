// What a node reads when it runs. An affine op does not read the real numbers of a dequantize but its
// integers and parameters, also where shape ops stand between the two: the integers are then moved instead.
// So a graph gives the same bits whether a dequantize stands before or after the shape ops, and whether it is
// fused or not. Where the parameters of a chain of shape ops cannot be written as a quantization, the real
// numbers are read.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"
#include "ir/quant_carry.h"

namespace zp::interp {

// Real numbers that shape ops make of dequantized integers, seen as integers.
struct MovedIntegers {
  const Value* value = nullptr;
  const QuantType* quant = nullptr;  // of the moved integers
  std::vector<const Node*> nodes;    // shape ops, in program order
  std::vector<const Value*> reads;   // integers behind the dequantizes, index operands
  std::unordered_map<const Value*, const QuantType*>
      padded;  // results whose padding is written as integers of that type
};

// Where the value of one operand comes from. Parameters of a dynamic type are the values `scale` and
// `zero_point`.
struct OperandSource {
  const Value* data = nullptr;  // null: the operand is absent, or `moved` makes it
  const MovedIntegers* moved = nullptr;
  const QuantType* quant = nullptr;  // null: real or plain numbers
  const Value* scale = nullptr;
  const Value* zero_point = nullptr;
  bool absent() const { return data == nullptr && moved == nullptr; }
};

enum class Reading { ThroughDequantize, AsGiven };

// The sources of a graph's operands, found once and kept.
class OperandSources {
 public:
  explicit OperandSources(Reading reading) : reading_(reading) {}
  const OperandSource& of(const Node& node, size_t index);
  // Calls f(value) for all that a node reads.
  template <typename F>
  void for_each_read(const Node& node, const F& f) {
    for (size_t i = 0; i < node.operand_count(); ++i) {
      const OperandSource& source = of(node, i);
      for (const Value* value : {source.data, source.scale, source.zero_point})
        if (value != nullptr) f(*value);
      if (source.moved == nullptr) continue;
      for (const Value* value : source.moved->reads) f(*value);
    }
  }

 private:
  // A real value whose integers are known: the parameters of the whole tensor, or those of every element.
  struct Backing {
    const QuantType* whole = nullptr;
    std::optional<CarriedQuant> carried;
    const QuantType* padded = nullptr;
  };
  OperandSource find(const Node& node, size_t index);
  const Backing* backing(const Value& value, int depth);
  std::optional<Backing> dequantized(const Node& node);
  std::optional<Backing> through_map(const Value& value, int depth);
  std::optional<Backing> through_symbolic(const Value& value, int depth);
  const MovedIntegers* moved(const Value& value);
  bool collect(const Value& value, MovedIntegers* into);
  Context& scratch();

  Reading reading_;
  std::unordered_map<const Node*, std::vector<OperandSource>> sources_;
  std::unordered_map<const Value*, std::optional<Backing>> backings_;
  std::unordered_map<const Value*, const MovedIntegers*> moved_;
  std::deque<MovedIntegers> moved_storage_;
  std::unique_ptr<Context> scratch_;  // types and lists made here die with the run
};

}  // namespace zp::interp
