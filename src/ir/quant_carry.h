// How a quantization is carried by a shape map: the one place that knows it. Type inference, folding and the
// motion of quantize and dequantize through shape ops all ask here.
//
// A shape op y[j] = x[phi(j)] leaves integers as they are; their parameters become Q o phi, a function on the
// indices of the result. It is always exact; the only question is whether it can be written: as one scale, a
// list along one axis, or one scale a cell of a uniform grid of blocks. The coarsest uniform grid has along
// dim b the block gcd(change points of dim b, extent), where a change point is a coordinate at which the
// parameters differ from those of the coordinate before. Labels (which entry of which list) are compared
// first; values only where labels do not suffice.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/parameter_grid.h"
#include "ir/shape_map.h"

namespace zp {

// The parameters of a value that shape ops make of quantized values. Nothing is lost on the way: a chain may
// pass through forms that cannot be written and come out in one that can.
class CarriedQuant {
 public:
  static Result<CarriedQuant> of(Context& context, const QuantType& quant, const IntShape& shape);

  IntShape shape() const { return grid_.shape(); }
  DType storage() const { return storage_; }
  // The parameters of a result of a map; operands that the map does not read may be null.
  static Result<CarriedQuant> mapped(const MapResult& result, std::span<const CarriedQuant* const> operands);
  // The same in place, for a result that is made of one part.
  Status advance(const MapResult& result);
  // The integers move to another storage of the same width, u8 to i8 or back, by adding `shift_between`.
  void move_storage(DType to);
  static int64_t shift_between(DType from, DType to);

  // The parameters as a type of a value of shape(); lists become constants of the context. An error says what
  // does not fit.
  Result<const QuantType*> write(Context& context);

 private:
  // Part of the labels: entries base .. base + count - 1 are those of one quantization.
  struct Source {
    const QuantType* quant = nullptr;
    int64_t shift = 0;  // of the zero points
    int32_t base = 0;
    int32_t count = 0;
  };
  // The values of all entries, read on demand.
  struct Entries {
    std::vector<double> scales, zero_points;
    std::vector<int32_t> classes() const;  // of equal values
  };

  const Source& source_of(int32_t label) const;
  Status apply(std::span<const MapStep> steps, const Number& fill);
  void adopt(const CarriedQuant& other, std::vector<int32_t>* labels, std::vector<int32_t>* paddings);
  Result<Entries> read(Context& context) const;
  Result<const QuantType*> write_dynamic(Context& context, const GridForm& form) const;
  Result<const QuantType*> write_form(Context& context, const GridForm& form) const;
  Status check_padding(const GridForm& form, const Entries& entries) const;

  ParameterGrid grid_;
  std::vector<Source> sources_;
  std::vector<Number> padding_;  // values; label -1 - k stands for padding_[k]
  DType storage_ = DType::I8;
  int64_t qmin_ = 0, qmax_ = 0;
  bool needs_zero_ = false;  // some elements were set to zero, so zero points must be integers of the range
};

// The integer of a real value, if it is exactly one: (q - zero_point) * scale == value in float, q in
// qmin..qmax.
std::optional<int64_t> exact_integer(double value, double scale, int64_t zero_point, int64_t qmin,
                                     int64_t qmax);

// Writes padding into dense elements of the storage dtype (one byte each below 8 bits): where mask[i] is k +
// 1, the integer for values[k] in the parameters of element i.
Status fill_padding(Context& context, const QuantType& quant, const IntShape& shape,
                    std::span<const uint8_t> mask, std::span<const Number> values, std::byte* data);

// The quantization of result `index` of a node whose data operands are quantized. New lists of scales become
// constants of the Context with deterministic names. Error `<op>.quant` where the parameters cannot be
// written.
Result<const QuantType*> carry_node(const Node& node, size_t index);

// Two static quantizations that mean the same numbers for a tensor of that shape, whatever their form and
// constants.
Result<bool> same_parameters(Context& context, const QuantType& a, const QuantType& b, const IntShape& shape);

}  // namespace zp
