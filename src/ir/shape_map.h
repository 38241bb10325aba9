// How a shape op moves elements: y[j] = x[phi(j)], or padding. A map is a short program of steps from a
// closed set, so that the three things done with it - moving bytes, carrying quantization parameters,
// checking element by element in tests - need to know eight steps and no operators. Maps compose by appending
// steps; whether the parameters of a whole chain can be written down is decided at its end (see
// ir/quant_carry.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/tensor.h"

namespace zp {

using IntShape = std::vector<int64_t>;

struct MapStep {
  enum Kind : uint8_t {
    Reshape,   // shape; same elements in the same order
    Permute,   // dims: dim i of the result is dim dims[i] of the input
    Window,    // coordinate j of dim d becomes start[d] + step[d] * j; shape holds the counts. step 0 repeats
    Take,      // coordinate j of `dim` becomes index[j]; -1 is padding
    Diagonal,  // dims {a, b} become the last dim: coordinates (j + max(0, -offset), j + max(0, offset))
    Table,     // element j of `shape` (C order) is element index[j] of the input (C order); -1 is padding
    Triangle,  // of the last two dims: elements beyond the diagonal `offset` become padding (upper: below it)
    Choose,    // dim `dim` is replaced by the dims of `shape`, at coordinates that are not known before the
               // model runs
  };
  Kind kind = Reshape;
  bool upper = false;
  int64_t dim = 0;
  int64_t offset = 0;
  IntShape shape;
  std::vector<int64_t> dims, start, step, index;

  static MapStep reshape(IntShape shape);
  static MapStep permute(std::vector<int64_t> dims);
  // Keeps all of `in` but dim `dim`, which gets `count` coordinates from `start` on, `step` apart.
  static MapStep window(const IntShape& in, int64_t dim, int64_t start, int64_t step, int64_t count);
  static MapStep take(int64_t dim, std::vector<int64_t> index);
  static MapStep diagonal(int64_t a, int64_t b, int64_t offset);
  static MapStep table(IntShape shape, std::vector<int64_t> index);
  static MapStep triangle(bool upper, int64_t offset);
  static MapStep choose(int64_t dim, IntShape index_shape);
};

// The shape after a step; an error where the step does not fit (the builders of maps check first, so it is
// internal).
Result<IntShape> step_shape(const MapStep& step, const IntShape& in);

struct MapPart {
  size_t operand = 0;
  std::vector<MapStep> steps;
};

// One result of an op: parts joined along a dim, then further steps.
struct MapResult {
  std::vector<MapPart> parts;
  int64_t join_dim = -1;  // -1: exactly one part
  std::vector<MapStep> steps;
  Number fill;  // the real value of padding

  bool pads() const;     // some step may produce padding
  bool chooses() const;  // some step needs indices that are not known
};

// What a map is built from: types and constants of the graph, or the tensors of a run.
class MapEnv {
 public:
  explicit MapEnv(const Node& node, const DimBinding* binding = nullptr) : node_(node), binding_(binding) {}
  MapEnv(const Node& node, std::span<const Tensor* const> tensors, const DimBinding* binding)
      : node_(node), binding_(binding), tensors_(tensors), running_(true) {}

  const Node& node() const { return node_; }
  bool running() const { return running_; }
  bool has(size_t operand) const { return node_.operand(operand) != nullptr; }
  Result<IntShape> shape(size_t operand) const;
  Result<int64_t> dim(Dim dim) const;
  Result<IntShape> dims(List<Dim> dims) const;
  // The value of an index operand; nothing if it is not known before the model runs.
  Result<std::optional<Tensor>> value(size_t operand) const;

 private:
  const Node& node_;
  const DimBinding* binding_ = nullptr;
  std::span<const Tensor* const> tensors_;
  bool running_ = false;
};

struct ShapeMap {
  const MapEnv* env = nullptr;  // what the builder reads
  std::vector<MapResult> results;
};

// The map of a node of Trait::ShapeOnly (or of any card with a map).
Result<ShapeMap> shape_map_of(const MapEnv& env);
Result<IntShape> result_shape(const MapResult& result, std::span<const IntShape> operand_shapes);

}  // namespace zp
