// Shared by the families of operators that move elements: types of results that keep or carry the operand's
// quantization, and arithmetic on possibly symbolic extents.
#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"
#include "ir/shape_map.h"
#include "ops/infer_util.h"

namespace zp::ops {

// Sets the type of result `index`. Plain operands: their element. Quantized operands: the parameters carried
// by the op's map; an error `<op>.quant` with the numbers where they cannot be written for the result.
Status set_moved_result(Node& node, size_t index, std::span<const Dim> shape);
// All data operands agree in element: all quantized, or all plain of one dtype. `<op>.elements` otherwise.
Status check_same_elements(const Node& node);
// For operands without known rank: the results are unranked too.
Status set_moved_unranked(Node& node);

// Index lists of maps are held in memory: refuses more than 2^28 entries. `<op>.size` otherwise.
Status check_index_count(const Node& node, std::initializer_list<int64_t> factors);

// Product of extents.
Dim product(DimContext& dims, std::span<const Dim> shape);
// A bound of a slice brought into 0..extent: negative counts from the end. Unknown where the sign is not
// known.
Dim clamp_bound(DimContext& dims, Dim bound, Dim extent);
// max(0, ceil((end - start) / step)).
Dim slice_length(DimContext& dims, Dim start, Dim end, Dim step);
// Bounds of a slice as attributes give them; end may be absent or INT64_MAX.
void slice_bounds(DimContext& dims, const std::optional<Dim>& start, const std::optional<Dim>& end,
                  Dim extent, Dim* from, Dim* to);

// Normalizes a list of dims in place (new arena memory if one changes); duplicates are an error.
Result<List<int64_t>> normalize_dims(const Node& node, std::string_view check, List<int64_t> dims,
                                     int64_t rank);

// The mutable attributes during inference, which do not count as a change of the graph.
template <typename T>
T& attrs_of_node(Node& node) {
  return *static_cast<T*>(node.attrs_data());
}

inline constexpr std::string_view kOutResult[] = {"out"};

// The evaluator of every op that is described by its map: moves bytes as the map says.
Status eval_moved(EvalArgs& args);
// The same with quantizations of the results given instead of those of their types (null: plain): the
// interpreter moves the integers of values that the graph has dequantized already.
Status eval_moved_as(EvalArgs& args, std::span<const QuantType* const> quants);

}  // namespace zp::ops
