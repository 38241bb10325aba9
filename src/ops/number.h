// Symbolic numbers: read from tensors (item), known as an expression of sizes (size_number), computed from
// other numbers (number), used as a tensor (number_tensor), and what the program asserts of them. Integers
// that are expressions of sizes need none of these where an attribute can hold the expression; comparisons,
// floats and what is asserted do.
#pragma once

#include "ir/attrs.h"
#include "ir/graph.h"

namespace zp::ops {

// The value of an expression over sizes, as a number.
struct SizeNumberAttrs {
  Dim value;
  ZP_ATTRS(SizeNumberAttrs, value)
};

// `function`: add sub mul floordiv truediv mod pow neg pos lshift rshift and_ or_ not_ eq ne lt le gt ge
// trunc floor ceil int float max min ite sqrt.
struct NumberAttrs {
  std::string_view function;
  ZP_ATTRS(NumberAttrs, function)
};

struct AssertionAttrs {
  std::string_view message;
  ZP_ATTRS(AssertionAttrs, message)
};

// `size`: the number is one that a size may be.
struct AssertRangeAttrs {
  std::optional<int64_t> min, max;
  bool size = false;
  ZP_ATTRS(AssertRangeAttrs, min, max, size)
};

// The kind of number that a function of such operands gives; Tensor if there is no such function.
TypeKind number_result(std::string_view function, std::span<const TypeKind> operands);
// The kind of number a value stands for: its own, or that of a 0-d tensor's elements.
TypeKind number_kind(const Value& value);

// Whether running the node tells what a symbol is that inference cannot know: it must run even if nobody
// reads its results, as sizes may.
bool defines_symbol(const Node& node);

}  // namespace zp::ops
