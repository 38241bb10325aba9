// Every operator that only moves elements, in many variants on one shape, each with what it means element by
// element: written here a second time, from the operators' definitions and without the steps of
// ir/shape_map.h. Tests and the benchmark hold the algebra of shapes and parameters to it.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/quant_carry.h"
#include "ir/shape_map.h"

namespace zp::algebra {

// A tensor of element numbers; -1: padding, -2 - i: element i set to zero.
struct Elements {
  IntShape shape;
  std::vector<int32_t> ids;
};

inline constexpr int32_t kPadding = -1;

// A variant of an operator on `shape`: its map, made by the operator itself, and its meaning. Operands beyond
// the first have the same shape; their elements are numbered on.
struct Variant {
  const OpDef* op = nullptr;
  std::string text;
  size_t operands = 1;
  std::vector<MapResult> map;
  std::vector<Elements> results;
};

// All variants on a shape; `problem` says what went wrong where a map could not be made or gives another
// shape. `random` picks indices.
std::vector<Variant> variants(const IntShape& shape, std::mt19937& random, std::string* problem);
// Names of all operators that variants() knows.
std::vector<std::string> known_operators();

int64_t count_of(const IntShape& shape);
std::string text_of(const IntShape& shape);
// All shapes of `rank` dims over the sizes.
std::vector<IntShape> shapes_of(size_t rank, const std::vector<int64_t>& sizes);

// Which entry of its scales each element has: per tensor, along one axis, or by blocks.
struct Quantization {
  IntShape block;               // extent that shares one scale along each dim
  std::vector<int32_t> labels;  // of each element
  int32_t count = 1;
};
std::vector<Quantization> quantizations(const IntShape& shape);

// The coarsest uniform grid by change points, as the grid theorem has it: a second way to the form of
// parameters. Negative labels are free.
struct Form {
  GridForm::Kind kind = GridForm::None;
  int64_t axis = -1;
  IntShape block;
};
Form coarsest(const IntShape& shape, const std::vector<int32_t>& labels);

// Holds one chain of variants to its meaning, for one quantization of the first operand. Empty if all agree,
// else what does not. `two_scales`: parameters of only two values, so that forms merge; `moved`: the
// elements, too. The context may be used for many chains.
struct Step {
  const Variant* variant;
  size_t result;
};
std::string check_chain(Context& context, const IntShape& shape, const Quantization& quant,
                        const std::vector<Step>& chain, DType storage, bool two_scales, bool moved);

// The same for chains of two and more, where the state before the last step is kept.
struct State {
  ParameterGrid grid;
  Elements elements;  // labels, not numbers
};
State start(const IntShape& shape, const Quantization& quant);
// Applies a step to both sides; false where it needs other operands or would pad.
bool apply(State* state, const Variant& variant, size_t result, std::string* problem);
// Compares labels and form; `by_value`: the form of labels that mean two different values only.
std::string compare(State* state, bool by_value);

}  // namespace zp::algebra
