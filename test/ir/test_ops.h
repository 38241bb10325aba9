// A handful of ops for tests of the IR itself, which knows none of the real ones.
#pragma once

#include "ir/graph.h"

namespace zp::test {

// One attribute of each kind.
struct EverythingAttrs {
  int64_t i = 0;
  double f = 0.5;
  bool b = false;
  std::string_view s;
  DType dtype = DType::F32;
  Number n = Number::of_int(1);
  Dim d = Dim(1);
  List<int64_t> ints;
  List<double> floats;
  List<Dim> dims;
  List<std::string_view> strings;
  std::optional<int64_t> oi;
  std::optional<double> of = 1.0;
  std::optional<bool> ob;
  std::optional<DType> od;
  std::optional<Number> on;
  std::optional<Dim> odim;
  std::optional<List<Dim>> odims;
  std::optional<List<double>> ofloats;
  const QuantType* q = nullptr;
  ZP_ATTRS(EverythingAttrs, i, f, b, s, dtype, n, d, ints, floats, dims, strings, oi, of, ob, od, on, odim,
           odims, ofloats, q)
};
struct TypeAttrs {
  const QuantType* type = nullptr;
  ZP_ATTRS(TypeAttrs, type)
};
struct SizesAttrs {
  List<int64_t> sizes;
  ZP_ATTRS(SizesAttrs, sizes)
};
struct ClampAttrs {
  std::optional<double> act_min, act_max;
  ZP_ATTRS(ClampAttrs, act_min, act_max)
};

inline Status infer_like_first(Context& context, Node& node) {
  const Type& in = node.operand(0)->type();
  Value* out = node.result();
  const bool keeps = node.op().has(kIntegerForm) && out->type().is_tensor() && out->type().is_quantized();
  Type t = keeps ? out->type() : in;
  t.dtype = keeps ? out->type().dtype : in.real_dtype();
  if (!keeps) t.quant = nullptr;
  t.ranked = in.ranked;
  t.shape = in.shape;
  out->set_type(context.type(t));
  return {};
}
inline Status infer_quantize(Context& context, Node& node) {
  const QuantType* q = node.attrs<TypeAttrs>().type;
  if (q == nullptr) return node.error("quantize.c1", "type is missing");
  node.result()->set_type(context.with_quant(node.operand(0)->type(), *q));
  return {};
}
inline Status infer_dequantize(Context& context, Node& node) {
  const Type& in = node.operand(0)->type();
  if (!in.is_quantized())
    return node.error("dequantize.c1", "the operand is " + in.str() + ", not quantized");
  node.result()->set_type(context.with_element(in, in.quant->expressed));
  return {};
}
inline Status infer_cast(Context& context, Node& node) {
  const QuantType* q = node.attrs<TypeAttrs>().type;
  const Type& in = node.operand(0)->type();
  node.result()->set_type(q != nullptr ? context.with_quant(in, *q) : context.with_element(in, in.dtype));
  return {};
}
// Same type as the operand, quantization included: bytes move.
inline Status infer_move(Context&, Node& node) {
  node.result()->set_type(node.operand(0)->type_ptr());
  return {};
}
inline Status infer_split(Context& context, Node& node) {
  const List<int64_t>& sizes = node.attrs<SizesAttrs>().sizes;
  if (sizes.size() != node.result_count())
    return node.error("split.c1", std::to_string(sizes.size()) + " sizes");
  for (size_t i = 0; i < sizes.size(); ++i) {
    std::vector<Dim> shape = node.operand(0)->type().shape.vec();
    if (shape.empty()) return node.error("split.c2", "the operand has no dims");
    shape[0] = Dim(sizes[i]);
    node.result(i)->set_type(context.with_shape(node.operand(0)->type(), shape));
  }
  return {};
}
inline Status infer_cond(Context&, Node& node) {
  if (node.regions().size() != 2)
    return node.error("cond.c1", std::to_string(node.regions().size()) + " regions");
  const Graph& then = *node.regions()[0];
  if (then.output_count() != node.result_count())
    return node.error("cond.c2", "a region has other results than the node");
  for (size_t i = 0; i < node.result_count(); ++i) {
    if (then.output(i) == nullptr) return node.error("cond.c2", "a result of a region is absent");
    node.result(i)->set_type(then.output(i)->type_ptr());
  }
  return {};
}
inline Status infer_size(Context& context, Node& node) {
  if (node.operand(0)->type().rank() == 0) return node.error("size.c1", "the operand has no dims");
  node.result()->set_type(context.scalar(TypeKind::Int, node.operand(0)->type().shape[0]));
  return {};
}
inline Status infer_nonzero(Context& context, Node& node) {
  const Dim shape[] = {Dim::unknown(), Dim(node.operand(0)->type().rank())};
  node.result()->set_type(context.tensor(DType::I64, std::span<const Dim>(shape)));
  return {};
}

inline constexpr std::string_view kOut[] = {"out"};
inline constexpr std::string_view kOuts[] = {"outs"};
inline constexpr OperandDef kOne[] = {{"x"}};
inline constexpr OperandDef kTwo[] = {{"x"}, {"y"}};
inline constexpr OperandDef kConv[] = {{"input"}, {"weight", Role::Weight}, {"bias", Role::Bias, true}};
inline constexpr OperandDef kScaled[] = {
    {"x"}, {"scale", Role::Scale, true}, {"zero_point", Role::ZeroPoint, true}};
inline constexpr OperandDef kMany[] = {{"x"}, {"rest", Role::Data, true, true}};

inline const OpDef relu{.name = "relu",
                        .operands = kOne,
                        .results = kOut,
                        .trait = Trait::SharesQparams,
                        .flags = kIntegerForm,
                        .infer = infer_like_first};
inline const OpDef softmax{.name = "softmax",
                           .operands = kOne,
                           .results = kOut,
                           .trait = Trait::FixedResult,
                           .infer = infer_like_first};
inline const OpDef add{.name = "add",
                       .operands = kTwo,
                       .results = kOut,
                       .attrs = &attrs_of<ClampAttrs>,
                       .trait = Trait::Rescales,
                       .flags = kIntegerForm,
                       .infer = infer_like_first};
inline const OpDef conv{.name = "conv2d",
                        .operands = kConv,
                        .results = kOut,
                        .attrs = &attrs_of<ClampAttrs>,
                        .trait = Trait::Affine,
                        .flags = kIntegerForm,
                        .infer = infer_like_first};
inline const OpDef everything{.name = "everything",
                              .operands = kOne,
                              .results = kOut,
                              .attrs = &attrs_of<EverythingAttrs>,
                              .infer = infer_like_first};
inline const OpDef quantize{.name = "quantize",
                            .operands = kScaled,
                            .results = kOut,
                            .attrs = &attrs_of<TypeAttrs>,
                            .trait = Trait::Quantizer,
                            .infer = infer_quantize};
inline const OpDef dequantize{.name = "dequantize",
                              .operands = kScaled,
                              .results = kOut,
                              .trait = Trait::Quantizer,
                              .infer = infer_dequantize};
inline const OpDef fake_quantize{.name = "fake_quantize",
                                 .operands = kScaled,
                                 .results = kOut,
                                 .attrs = &attrs_of<TypeAttrs>,
                                 .trait = Trait::Quantizer,
                                 .infer = infer_like_first};
inline const OpDef storage_cast{.name = "storage_cast",
                                .operands = kOne,
                                .results = kOut,
                                .attrs = &attrs_of<TypeAttrs>,
                                .trait = Trait::Quantizer,
                                .infer = infer_cast};
inline const OpDef identity{
    .name = "identity", .operands = kOne, .results = kOut, .trait = Trait::ShapeOnly, .infer = infer_move};
inline const OpDef split{.name = "split",
                         .operands = kOne,
                         .results = kOuts,
                         .attrs = &attrs_of<SizesAttrs>,
                         .trait = Trait::ShapeOnly,
                         .flags = kVariadicResults,
                         .infer = infer_split};
inline const OpDef cat{.name = "cat",
                       .operands = kMany,
                       .results = kOut,
                       .trait = Trait::SameQparams,
                       .infer = infer_like_first};
inline const OpDef cond{.name = "cond",
                        .operands = kMany,
                        .results = kOuts,
                        .trait = Trait::Structural,
                        .flags = kVariadicResults,
                        .infer = infer_cond};
inline const OpDef check{.name = "assert", .operands = kOne, .trait = Trait::Never, .flags = kEffect};
inline const OpDef size{
    .name = "size", .operands = kOne, .results = kOut, .trait = Trait::Never, .infer = infer_size};
inline const OpDef nonzero{.name = "nonzero",
                           .operands = kOne,
                           .results = kOut,
                           .trait = Trait::Never,
                           .flags = kDataShape,
                           .infer = infer_nonzero};

inline const OpTable& table() {
  static const OpTable all({&kConstOp, &kReturnOp, &kOpaqueOp, &relu, &softmax, &add, &conv, &everything,
                            &quantize, &dequantize, &fake_quantize, &storage_cast, &identity, &split, &cat,
                            &cond, &check, &size, &nonzero});
  return all;
}

}  // namespace zp::test
