// How index operands turn into steps of a shape map; shared by the reading and the writing operators.
#pragma once

#include <vector>

#include "ir/shape_map.h"

namespace zp::ops {

// Take along `dim` by the flattened index operand, or Choose where it is not known. Indices outside
// -extent..extent-1 (or 0..extent-1 without `negative`) fail the check.
Result<MapStep> pick_step(const MapEnv& env, size_t operand, std::string_view check, int64_t dim,
                          int64_t extent, bool negative);

// torch.gather by a known index of shape `out`, on an input whose other dims are equal to those of `out`. A
// Take where the index depends on the coordinate along `dim` only, else a Table.
Result<MapStep> gather_step(const Node& node, const Tensor& index, int64_t dim, const IntShape& in,
                            const IntShape& out);

// Advanced indexing x[i0, :, i2 ...]: which dims are indexed by which operands. Operands from `first` on
// belong to dims in order; an absent one leaves its dim, a mask (bool or u8) stands for as many dims as it
// has.
struct IndexPlan {
  struct InputDim {
    Dim extent;
    bool indexed = false;
  };
  struct Entry {
    size_t operand = 0;
    size_t dim = 0;   // first dim it indexes
    size_t dims = 1;  // how many
    bool mask = false;
  };
  std::vector<InputDim> dims;
  std::vector<Entry> entries;
  size_t front =
      0;  // dims of the result before the picked ones: indexed dims stay in place if they are adjacent
};
Result<IndexPlan> plan_index(const Node& node, size_t first);
// The broadcast shape of all indices; unknown where a mask is not constant.
Result<std::vector<Dim>> index_shape(Context& context, const Node& node, const IndexPlan& plan, size_t first);

// Places picked by known indices: for each element of the broadcast shape its number in the C order of the
// indexed dims.
struct PickedPlaces {
  IntShape shape;
  std::vector<int64_t> places;
};
// Nothing if an index is not known before the model runs.
Result<std::optional<PickedPlaces>> picked_places(const MapEnv& env, const IndexPlan& plan,
                                                  const IntShape& in);
Result<std::vector<MapStep>> index_steps(const MapEnv& env, size_t first, const IntShape& in);

}  // namespace zp::ops
