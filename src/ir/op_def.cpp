#include "ir/op_def.h"

#include <algorithm>

namespace zp {

std::string_view trait_name(Trait trait) {
  switch (trait) {
    case Trait::ShapeOnly: return "shape_only";
    case Trait::SharesQparams: return "shares_qparams";
    case Trait::SameQparams: return "same_qparams";
    case Trait::FixedResult: return "fixed_result";
    case Trait::Affine: return "affine";
    case Trait::Rescales: return "rescales";
    case Trait::FloatOnly: return "float_only";
    case Trait::Never: return "never";
    case Trait::Quantizer: return "quantizer";
    case Trait::Structural: break;
  }
  return "structural";
}

int OpDef::operand_index(std::string_view operand) const {
  for (size_t i = 0; i < operands.size(); ++i)
    if (operands[i].name == operand) return static_cast<int>(i);
  return -1;
}

OpTable::OpTable(std::vector<const OpDef*> ops) : ops_(std::move(ops)) {
  std::sort(ops_.begin(), ops_.end(), [](const OpDef* a, const OpDef* b) { return a->name < b->name; });
}

const OpDef* OpTable::find(std::string_view name) const {
  const auto at = std::lower_bound(ops_.begin(), ops_.end(), name,
                                   [](const OpDef* op, std::string_view n) { return op->name < n; });
  return at != ops_.end() && (*at)->name == name ? *at : nullptr;
}

}  // namespace zp
