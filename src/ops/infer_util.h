// What every inference shares, whatever family the op belongs to: operand checks, the rule for result types
// of integer forms, broadcasting, dimension numbers, and messages. All op families use it (conv, linear and
// matmul; shape and view ops; the elementwise, reduction, pooling and norm ops), so that one mistake is
// reported in one way.
//
// Result types: inference works on what elements mean (`Type::real_dtype()`), so quantized operands are
// accepted everywhere. The result of a card with kIntegerForm that has a quantized operand keeps a quantized
// type that was set already (only its shape is checked); every other result gets the real dtype.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace zp::ops {

// Names of the one result of most ops, and of the one operand of most unary ops.
inline constexpr std::string_view kOneResult[] = {"out"};
inline constexpr OperandDef kSelfOperand[] = {{"self"}};

// "conv2d.c3" for node %c = conv2d(...) and check "c3".
std::string check_id(const Node& node, std::string_view check);
// An error that names the node and the constraint: return failed(node, "c3", "weight has ...").
Error failed(const Node& node, std::string_view check, std::string text);

// Required operands are there, all are tensors, and there are no more than the card has. `<op>.operands`
// otherwise.
Status check_operands(const Node& node);
bool has_quantized_operand(const Node& node);
// True if an operand has no known rank: the caller then gives its results unranked types.
bool any_unranked(const Node& node);

// Sets the type of a result by the rule above.
Status set_result(Node& node, size_t index, DType real, std::span<const Dim> shape);
Status set_result(Node& node, size_t index, DType real, std::initializer_list<Dim> shape);
Status set_unranked_result(Node& node, size_t index, DType real);
// Same shape as an operand, element `real`; unranked if that is.
Status set_result_like(Node& node, size_t index, DType real, const Type& like);

// The common shape of operands (right aligned; equal, or 1), or an error `check`. Shapes of unknown dims stay
// unknown unless another operand tells.
Result<std::vector<Dim>> broadcast_shapes(const Node& node, std::string_view check,
                                          std::span<const Shape> shapes);

// A dimension number in 0..rank-1 from one that may be negative; a 0-d tensor counts as rank 1 here.
Result<int64_t> normalize_dim(const Node& node, std::string_view check, int64_t dim, int64_t rank);

// Numbers as Dims and back. `known_shape` is only for shapes all of whose dims are numbers.
std::vector<Dim> dims_of(std::span<const int64_t> shape);
std::vector<int64_t> known_shape(std::span<const Dim> shape);

std::string shape_text(std::span<const Dim> shape);  // "[1, 3, s0]"
std::string shape_text(std::span<const int64_t> shape);

}  // namespace zp::ops
