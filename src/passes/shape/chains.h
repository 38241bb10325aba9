// Values that shape operators make of constants. For each such value a chain says how it is made; its
// elements are moved and its parameters are written only when asked for, so following chains through a graph
// costs next to nothing.
#pragma once

#include <algorithm>
#include <bit>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/move_data.h"
#include "ir/quant_carry.h"
#include "passes/constant_eval.h"

namespace zp::shape {

// Why something is no chain, or cannot become a constant.
struct Obstacle {
  std::string clause, wanted, found;
};

enum class Domain : uint8_t {
  Plain,     // elements mean themselves
  Integers,  // elements of a quantized type
  Reals,     // dequantized elements of a quantized type
};

struct Chain {
  const Value* value = nullptr;
  Domain domain = Domain::Plain;
  DType dtype = DType::Unknown;  // of the stored elements
  IntShape shape;
  std::shared_ptr<const std::vector<Chain*>> bases;  // chains with a source; null: itself
  std::vector<Chain*> operands;  // made of these by `map`; one and no map: the same elements
  std::shared_ptr<const MapResult> map;
  const Constant* source = nullptr;     // no operands: elements of this constant
  const QuantType* declared = nullptr;  // Integers that are not made by a map
  size_t id = 0;
  Chain* self = nullptr;

  struct Moved {
    StridedView elements;
    std::optional<StridedView> mask;  // k + 1 where an element is padding with paddings[k]
    std::vector<Number> paddings;
    const Constant* viewed = nullptr;  // the constant whose storage `elements` is a view of
    const Constant* origin = nullptr;  // some constant the elements come from, for names
  };
  // What was asked for, and what a join needs at once; values on the way have none of it.
  std::unique_ptr<Moved> moved;
  std::unique_ptr<CarriedQuant> quant;
  std::unique_ptr<Result<const QuantType*>> written;
  std::unique_ptr<Error> broken;  // why parameters cannot be followed up to here
  size_t readers = 0;             // while elements are moved: chains that wait for these
  size_t visit = 0;               // number of the walk that came here last

  // The chain that this one is made of alone; null if it has a source or joins several.
  Chain* only_operand() const {
    if (operands.empty() || (map != nullptr && map->parts.size() != 1)) return nullptr;
    return map == nullptr ? operands.front() : operands[map->parts.front().operand];
  }
};

// Chains by value. Every node is looked up a dozen times, so the table is flat.
class ChainTable {
 public:
  explicit ChainTable(size_t expected) { grow(expected * 2); }
  Chain* find(const Value* value) const {
    for (size_t i = place(value);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].first == value) return slots_[i].second;
      if (slots_[i].first == nullptr) return nullptr;
    }
  }
  void insert(const Value* value, Chain* chain) {
    if (++count_ * 2 > slots_.size()) grow(slots_.size() * 2);
    size_t i = place(value);
    while (slots_[i].first != nullptr && slots_[i].first != value) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = {value, chain};
  }

 private:
  size_t place(const Value* value) const {
    return (reinterpret_cast<uintptr_t>(value) * 0x9E3779B97F4A7C15ull >> 20) & (slots_.size() - 1);
  }
  void grow(size_t least) {
    std::vector<std::pair<const Value*, Chain*>> old = std::move(slots_);
    slots_.assign(std::bit_ceil(std::max<size_t>(least, 64)), {nullptr, nullptr});
    count_ = 0;
    for (const auto& [value, chain] : old)
      if (value != nullptr) insert(value, chain);
  }
  std::vector<std::pair<const Value*, Chain*>> slots_;
  size_t count_ = 0;
};

class Chains {
 public:
  Chains(Context& context, size_t nodes) : context_(context), by_value_(nodes) {}

  Chain* find(const Value* value) const;
  // Finds the chains of a node's results. To be called in program order; an obstacle where one of the
  // operands is a chain and the results are not.
  std::optional<Obstacle> visit(const Node& node);

  // The quantization that the value's elements have, as a type; an error if it cannot be written. Not for
  // Plain.
  Result<const QuantType*> written(Chain& chain);
  // The value as a constant; the same one for the same elements and shape.
  Result<const Constant*> constant(Chain& chain);
  // Bytes that constant() would add to the model: 0 for views of storage that exists.
  Result<int64_t> added_bytes(Chain& chain);
  // The constants that it is made of, as they are before any shape op; of very many, the first ones.
  std::span<Chain* const> bases(Chain& chain) const;
  // The values between its constants and this one, in program order, at most `limit`.
  std::vector<const Value*> steps(const Chain& chain, size_t limit) const;

 private:
  Chain& add(const Value& value, Domain domain, DType dtype, const IntShape& shape);
  Chain& add_made(const Value& value, Domain domain, DType dtype, const IntShape& shape,
                  std::vector<Chain*> operands);
  std::optional<Obstacle> visit_const(const Node& node);
  std::optional<Obstacle> visit_cast(const Node& node);
  std::optional<Obstacle> visit_dequantize(const Node& node);
  std::optional<Obstacle> visit_quantize(const Node& node);
  std::optional<Obstacle> visit_shape(const Node& node);
  bool visit_unary(const Node& node, ShapeMap* map);
  std::optional<Obstacle> join_operands(const Node& node, const ShapeMap& map, std::vector<Chain*>* operands);
  // The parameters of Integers and Reals, followed from the nearest chain that has them when they are asked
  // for: a chain is a composition, and lists of groups are long.
  Result<const CarriedQuant*> quant(Chain& chain);
  bool same_integers(Chain& from, const QuantType& to);
  Result<const Constant*> evaluated(const Node& node);
  // A quantizer or a view as quantized of what is computed from constants alone: its integers are a constant.
  std::optional<Obstacle> visit_computed(const Node& node);

  Status move(Chain& chain);
  Status move_one(Chain& chain);
  Status move_alone(Chain& chain, Chain& from);
  Chain::Moved take(Chain& chain);
  // Elements of i8 seen as u8 or the other way round, with the zero point 128 away.
  Result<Chain::Moved> shifted(const Chain::Moved& moved);
  Result<StridedView> renumbered(const Chain::Moved& in, std::vector<Number>* paddings);
  Result<Blob> stored_bytes(Chain& chain);
  const Constant* view_constant(const Chain& chain, const Constant& from, const Blob& storage,
                                const std::vector<int64_t>& strides, int64_t offset);
  // The constant whose storage has the elements in their order: nothing but the shape may differ.
  const Constant* reshaped_source(const Chain& chain) const;

  Context& context_;
  ConstantFlow flow_;
  std::deque<Chain> chains_;
  ChainTable by_value_;
  size_t walks_ = 0;
  std::unordered_map<uint64_t, std::vector<const Constant*>> made_;  // by content or by place in storage
};

}  // namespace zp::shape
