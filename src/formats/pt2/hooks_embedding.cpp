// Hook of quantized embeddings with packed tables
// (executorch/exir/passes/_quant_patterns_and_replacements.py): the table is unpacked into one integer a
// byte, so that it is a dequantize and a plain embedding like those of other producers. It pays because every
// rule for weights then holds for it; the table must be a constant.
#include <fmt/format.h>

#include "formats/pt2/hooks.h"
#include "ir/tensor.h"
#include "ops/ops.h"

namespace zp::pt2 {
namespace {

// Integers of a byte, first element first: 4 bits have it in the high half, 2 bits in the low bits.
void unpack_byte(uint8_t byte, int bits, int8_t* out) {
  if (bits == 8) out[0] = static_cast<int8_t>(byte);
  for (int k = 0; bits < 8 && k < 8 / bits; ++k) {
    const int shift = bits == 4 ? 4 - 4 * k : 2 * k;
    out[k] = static_cast<int8_t>(((byte >> shift) & ((1 << bits) - 1)) - (1 << (bits - 1)));
  }
}

Result<const Constant*> unpacked(NodeReader& n, const Constant& packed, int bits) {
  if (bits == 8) return &packed;
  ZP_TRY(const Tensor bytes, constant_tensor(n.context(), packed));
  ZP_TRY(Tensor out, Tensor::make(DType::I8, {packed.shape[0], packed.shape[1] * (8 / bits)}));
  for (int64_t i = 0; i < bytes.elements(); ++i)
    unpack_byte(bytes.data<uint8_t>()[i], bits, out.mutable_data<int8_t>() + i * (8 / bits));
  return n.context().make_constant(packed.name, DType::I8, out.shape(), out.blob());
}

const Constant* constant_of(NodeReader& n, std::string_view name) {
  const Arg& arg = n.arg(name);
  return arg.tag == ArgTag::Tensor ? n.graph().constant_of(arg.value) : nullptr;
}

// Groups along the rows: one list entry a row, or a matrix of them.
bool set_groups(NodeReader& n, const Constant& table, const Constant& scales, QuantType* quant) {
  const int64_t rows = table.shape[0], row = table.shape[1];
  const int64_t groups = scales.shape.size() == 2 ? scales.shape[1] : 1;
  if (scales.shape.empty() || scales.shape.size() > 2 || scales.shape[0] != rows || groups < 1 ||
      row % groups != 0)
    return false;
  quant->block = n.context().ints({1, groups == 1 ? 0 : row / groups});
  return true;
}

Result<bool> packed_embedding(NodeReader& n) {
  const std::string_view target = n.row().target;
  const int bits = target.find("4bit") != std::string_view::npos   ? 4
                   : target.find("2bit") != std::string_view::npos ? 2
                                                                   : 8;
  const Constant* table = constant_of(n, "weight");
  const Constant* scales = constant_of(n, "weight_scales");
  const Constant* zeros = constant_of(n, "weight_zero_points");
  if (table == nullptr || scales == nullptr || table->stripped ||
      (zeros == nullptr && !n.is_none("weight_zero_points")))
    return n.no("its table and scales are no constants");
  const DType storage = bits == 8 ? table->dtype : DType::I8;
  const bool fits = bits == 8 ? storage == DType::I8 || storage == DType::U8 : table->dtype == DType::U8;
  if (!fits || table->shape.size() != 2) return n.no("its table is no matrix of bytes");
  const auto low = n.integer("weight_quant_min"), high = n.integer("weight_quant_max");
  if (!low || !high || *low > *high || *low < int_min(storage) || *high > int_max(storage))
    return n.no("its range is not known");
  if (bits < 8 && (*low != -(1 << (bits - 1)) || *high != (1 << (bits - 1)) - 1))
    return Error("pt2.range", fmt::format("range {}:{} of {}-bit integers", *low, *high, bits));
  ZP_TRY(const Constant* whole, unpacked(n, *table, bits));
  QuantType quant;
  quant.storage = storage;
  quant.qmin = *low;
  quant.qmax = *high;
  quant.expressed =
      n.row().find("dtype") != nullptr ? n.dtype("dtype").value_or(scales->dtype) : scales->dtype;
  quant.scale_dtype = scales->dtype;
  quant.scales = scales;
  quant.zero_points = zeros;
  if (zeros != nullptr && is_float(zeros->dtype)) quant.domain = ZeroPointDomain::Float;
  if (!is_float(quant.expressed)) return n.no("its result is no float");
  if (!set_groups(n, *whole, *scales, &quant)) return n.no("its scales do not divide its rows");
  Context& context = n.context();
  const Type* type = context.with_quant(*context.tensor(whole->dtype, std::span<const int64_t>(whole->shape)),
                                        *context.quant(quant));
  Value* const weight = n.graph().const_node(*whole, type);
  ZP_TRY(Node * dequantize, n.make(AttrBuilder(ops::dequantize, context), {weight}, 1, true));
  ZP_TRY(Value * indices, n.tensor("indices"));
  ZP_TRY(Node * node, n.make(AttrBuilder(ops::embedding, context), {dequantize->result(), indices}));
  return n.bind_all(node);
}

}  // namespace

std::span<const NamedHook> embedding_hooks() {
  static constexpr NamedHook kHooks[] = {{"packed_embedding", packed_embedding}};
  return kHooks;
}

}  // namespace zp::pt2
