// The quantization of a node's result, as its map carries it: what type inference asks. Where extents are
// expressions the answer must hold for all of their values.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "ir/quant_carry.h"

namespace zp {

namespace {

Result<const QuantType*> carry_map(const Node& node, size_t index, const MapEnv& env) {
  ZP_TRY(const ShapeMap map, shape_map_of(env));
  if (index >= map.results.size())
    return Error("quant.carry", fmt::format("the op's map has {} results", map.results.size()),
                 ErrorKind::Internal);
  Context& context = node.context();
  std::vector<std::optional<CarriedQuant>> states(node.operand_count());
  std::vector<const CarriedQuant*> operands(node.operand_count(), nullptr);
  for (const MapPart& part : map.results[index].parts) {
    const Value* value = node.operand(part.operand);
    if (value == nullptr || !value->type().is_quantized() || states[part.operand]) continue;
    ZP_TRY(const IntShape shape, env.shape(part.operand));
    ZP_TRY(states[part.operand], CarriedQuant::of(context, *value->type().quant, shape));
    operands[part.operand] = &*states[part.operand];
  }
  ZP_TRY(CarriedQuant carried, CarriedQuant::mapped(map.results[index], operands));
  return carried.write(context);
}

bool is_static(const Node& node) {
  for (size_t i = 0; i < node.operand_count(); ++i)
    if (node.operand(i) != nullptr && !node.operand(i)->type().is_static()) return false;
  return true;
}

// Extents that are expressions: the carry is decided on two sets of unlike numbers for the symbols, and must
// not depend on them. Dims of products and sums that nest for unlike primes nest for all values.
Result<const QuantType*> carry_symbolic(const Node& node, size_t index) {
  static constexpr int64_t kPrimes[] = {11, 13, 17, 19, 23, 29, 31, 37, 41, 43,  47,  53,
                                        59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107};
  Context& context = node.context();
  const QuantType* found = nullptr;
  for (const size_t round : {0, 1}) {
    DimBinding binding;
    size_t k = round * 5;
    for (const std::string_view symbol : context.dims().symbols()) {
      const SymbolInfo* info = context.dims().info(symbol);
      int64_t v = kPrimes[k++ % std::size(kPrimes)];
      if (info != nullptr) v = std::clamp(v, info->min, info->max);
      binding.emplace(symbol, v);
    }
    const MapEnv env(node, &binding);
    ZP_TRY(const QuantType* quant, carry_map(node, index, env));
    if (quant->per_block()) {
      // Extents are not the numbers used here; only whole dims can be said without them.
      ZP_TRY(const ShapeMap map, shape_map_of(env));
      std::vector<IntShape> shapes(node.operand_count());
      for (const MapPart& part : map.results[index].parts) {
        ZP_TRY(shapes[part.operand], env.shape(part.operand));
      }
      ZP_TRY(const IntShape shape, result_shape(map.results[index], shapes));
      std::vector<int64_t> block = quant->block.vec();
      for (size_t d = 0; d < block.size(); ++d)
        if (block[d] == shape[d] && shape[d] > 1) block[d] = 0;
      QuantType open = *quant;
      open.block = context.ints(block);
      quant = context.quant(open);
    }
    if (found != nullptr && found != quant)
      return Error("quant.carry", "the form of the scales depends on extents that are not known");
    found = quant;
  }
  return found;
}

}  // namespace

Result<const QuantType*> carry_node(const Node& node, size_t index) {
  const QuantType* common = nullptr;
  bool one = true, any = false;
  const List<OperandDef>& defs = node.op().operands;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const OperandDef& def = defs[std::min(i, defs.size() - 1)];
    if (node.operand(i) == nullptr || def.role != Role::Data) continue;
    const QuantType* quant = node.operand(i)->type().quant;
    one &= quant != nullptr && (!any || quant == common);
    common = quant;
    any = true;
  }
  if (any && one && common->per_tensor() && !node.op().has(kAddsElements))
    return common;  // whatever moves where
  auto carried = is_static(node) ? carry_map(node, index, MapEnv(node)) : carry_symbolic(node, index);
  if (carried.ok()) return carried;
  return node.error(fmt::format("{}.quant", node.op().name), carried.error().first().text);
}

}  // namespace zp
