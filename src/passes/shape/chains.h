// Values that shape operators make of constants. For each such value a chain says how it is made; its
// elements are moved and its parameters are written only when asked for, so following chains through a graph
// costs next to nothing.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/move_data.h"
#include "ir/quant_carry.h"

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
  std::vector<Chain*> operands;  // made of these by `map`; one and no map: the same elements
  std::shared_ptr<const MapResult> map;
  const Constant* source = nullptr;     // no operands: elements of this constant
  const QuantType* declared = nullptr;  // Integers that are not made by a map
  size_t id = 0;

  struct Moved {
    StridedView elements;
    std::optional<StridedView> mask;  // k + 1 where an element is padding with paddings[k]
    std::vector<Number> paddings;
    const Constant* viewed = nullptr;  // the constant whose storage `elements` is a view of
    const Constant* origin = nullptr;  // some constant the elements come from, for names
  };
  std::optional<Moved> moved;
  std::optional<CarriedQuant> quant;
  std::optional<Result<const QuantType*>> written;
};

class Chains {
 public:
  explicit Chains(Context& context) : context_(context) {}

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
  // Constants that the value is made of.
  std::vector<const Constant*> sources(const Chain& chain) const;
  // The values between its constants and this one, in program order, at most `limit`.
  std::vector<const Value*> steps(const Chain& chain, size_t limit) const;

 private:
  Chain& add(const Value& value, Domain domain, DType dtype, const IntShape& shape);
  std::optional<Obstacle> visit_const(const Node& node);
  std::optional<Obstacle> visit_cast(const Node& node);
  std::optional<Obstacle> visit_dequantize(const Node& node);
  std::optional<Obstacle> visit_quantize(const Node& node);
  std::optional<Obstacle> visit_shape(const Node& node);
  std::optional<Obstacle> join_operands(const Node& node, const ShapeMap& map, std::vector<Chain*>* operands);
  // The parameters of Integers and Reals, read when first needed: group-wise lists are long.
  Result<const CarriedQuant*> quant(Chain& chain);
  bool same_integers(Chain& from, const QuantType& to);
  Result<const Constant*> evaluated(const Node& node);

  Status move(Chain& chain);
  Status move_one(Chain& chain);
  // Elements of i8 seen as u8 or the other way round, with the zero point 128 away.
  Result<Chain::Moved> shifted(const Chain::Moved& moved);
  Result<StridedView> renumbered(const Chain::Moved& in, std::vector<Number>* paddings);
  Result<Blob> stored_bytes(Chain& chain);
  const Constant* view_constant(const Chain& chain, const Constant& from, const Blob& storage,
                                const std::vector<int64_t>& strides, int64_t offset);
  // The constant whose storage has the elements in their order: nothing but the shape may differ.
  const Constant* reshaped_source(const Chain& chain) const;

  Context& context_;
  std::deque<Chain> chains_;
  std::unordered_map<const Value*, Chain*> by_value_;
  std::unordered_map<uint64_t, std::vector<const Constant*>> made_;  // by content or by place in storage
};

}  // namespace zp::shape
