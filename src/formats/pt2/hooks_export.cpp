// Operators whose arguments follow from quantized types, and others that no row of the table can say. Static
// parameters of a tensor are numbers in the argument list, those of an axis or a grid are buffers. An archive
// that uses only torchao's operators gets no others, and the other way round, where the form allows it.
// Sources: torch/ao/quantization/fx/_decomposed.py; torchao/quantization/quant_primitives.py.
#include <fmt/format.h>

#include <cstring>

#include "formats/pt2/argument_json.h"
#include "formats/pt2/export_control.h"
#include "formats/pt2/export_node.h"
#include "ir/tensor.h"
#include "ops/ops.h"
#include "ops/pad.h"
#include "ops/quant.h"
#include "ops/view.h"
#include "support/rounding.h"

namespace zp::pt2 {
namespace {

Error cannot(const Node& node, std::string_view why) {
  return Error("export.quant", fmt::format("{} has no form in archives: {}", node.op().name, why));
}

// Buffers that operators insist on although the type needs none.
Result<std::string> zeros(GraphWriter& graph, DType dtype, int64_t count) {
  const size_t bytes = static_cast<size_t>(count * byte_size(dtype));
  std::byte* at = nullptr;
  Blob blob = Blob::allocate(bytes, &at);
  std::memset(at, 0, bytes);
  const int64_t shape[] = {count};
  return graph.helper_constant(fmt::format("_zeros_{}_{}", dtype_name(dtype), count), dtype, shape,
                               std::move(blob));
}

// The same zero points in another integer type: kernels of torch subtract in the promoted type of both
// operands.
Result<std::string> zero_points_as(GraphWriter& graph, const Constant& constant, DType dtype) {
  if (constant.dtype == dtype) return graph.placeholder(constant);
  ZP_TRY(const Tensor from, constant_tensor(graph.context(), constant));
  ZP_TRY(Tensor to, Tensor::make(dtype, from.shape()));
  for (int64_t i = 0; i < from.elements(); ++i) to.set_int(i, from.get_int(i));
  return graph.helper_constant(fmt::format("{}.{}", constant.name, dtype_name(dtype)), dtype, from.shape(),
                               to.blob());
}

struct Quantizer {
  NodeWriter& w;
  const QuantType& quant;
  bool quantizes;  // else dequantizes
  bool zero_point_first;
  const Type& input;  // of operand 0

  GraphWriter& graph() { return w.graph(); }
  const Node& node() { return w.node(); }
  const Value* scale() { return node().operand(1); }
  const Value* zero_point() { return node().operand(2); }
  std::string name(std::string_view form) {
    return fmt::format("quantized_decomposed.{}quantize_{}", quantizes ? "" : "de", form);
  }
  bool affine_only() {
    return graph().source_uses("torchao") && !graph().source_uses("quantized_decomposed");
  }

  void range() {
    w.integer("quant_min", quant.qmin);
    w.integer("quant_max", quant.qmax);
    w.dtype("dtype", quant.storage);
  }
  void out_dtype() {
    if (!quantizes && quant.expressed != DType::F32) w.dtype("out_dtype", quant.expressed, true);
  }
  // `exact`: the operator subtracts in the promoted type of values and zero points, narrow integers would
  // wrap.
  Status zero_points(std::string_view arg, int64_t cells, bool may_be_none, bool exact = false) {
    if (quant.dynamic) {
      if (zero_point() != nullptr || may_be_none) return w.tensor(arg, zero_point());
    } else if (quant.zero_points != nullptr) {
      const bool narrow =
          exact && quant.domain == ZeroPointDomain::Integer && byte_size(quant.zero_points->dtype) < 4;
      ZP_TRY(const std::string name, narrow ? zero_points_as(graph(), *quant.zero_points, DType::I64)
                                            : graph().placeholder(*quant.zero_points));
      w.raw(arg, tensor_json(name));
      return {};
    } else if (may_be_none) {
      w.none(arg);
      return {};
    }
    ZP_TRY(const std::string name, zeros(graph(), DType::I64, cells));
    w.raw(arg, tensor_json(name));
    return {};
  }
  Status scales(std::string_view arg) {
    return quant.dynamic ? w.tensor(arg, scale()) : w.constant(arg, quant.scales);
  }
  int64_t extent(size_t dim) {
    return input.ranked && dim < input.shape.size() && input.shape[dim].is_known() ? input.shape[dim].value()
                                                                                   : -1;
  }

  // The extent that shares one parameter along each dim.
  std::vector<Dim> block_size() {
    std::vector<Dim> block;
    for (size_t d = 0; d < input.shape.size(); ++d) {
      const bool split =
          quant.per_axis() ? static_cast<size_t>(quant.axis) == d : quant.per_block() && quant.block[d] != 0;
      block.push_back(!split ? input.shape[d] : quant.per_axis() ? Dim(1) : Dim(quant.block[d]));
    }
    return block;
  }
  int64_t cells() {
    int64_t count = 1;
    const std::vector<Dim> block = block_size();
    for (size_t d = 0; d < block.size(); ++d) {
      if (block[d] == input.shape[d]) continue;
      if (!block[d].is_known() || extent(d) < 0 || block[d].value() < 1) return -1;
      count *= extent(d) / block[d].value();
    }
    return count;
  }
  bool per_token() {
    if (!quant.per_block() || quant.block.empty()) return false;
    for (size_t d = 0; d + 1 < quant.block.size(); ++d)
      if (quant.block[d] != 1) return false;
    return quant.block.back() == 0 || quant.block.back() == extent(quant.block.size() - 1);
  }
  // Rows of a matrix cut into groups, parameters laid out as a matrix.
  bool grouped() {
    if (!quant.per_block() || quant.block.size() != 2 || quant.block[0] != 1 || quant.block[1] < 1 ||
        quant.dynamic)
      return false;
    return quant.scales != nullptr && quant.scales->shape.size() == 2 && extent(0) == quant.scales->shape[0];
  }

  Status write();
  Status per_tensor();
  Status per_channel();
  Status token();
  Status group();
  Status affine();
  Status plain_dequantize();
};

Status Quantizer::per_tensor() {
  w.target(name(quant.dynamic ? "per_tensor.tensor" : "per_tensor.default"));
  ZP_CHECK(w.tensor("input", node().operand(0)));
  if (quant.dynamic) {
    ZP_CHECK(w.tensor("scale", scale()));
    ZP_CHECK(zero_points("zero_point", 1, false));
  } else {
    w.number("scale", quant.scale);
    w.integer("zero_point", static_cast<int64_t>(quant.zero_point));
  }
  range();
  out_dtype();
  return w.finish();
}

Status Quantizer::per_channel() {
  w.target(name("per_channel.default"));
  ZP_CHECK(w.tensor("input", node().operand(0)));
  ZP_CHECK(scales("scales"));
  const int64_t channels = extent(static_cast<size_t>(quant.axis));
  if (quantizes && quant.zero_points == nullptr && channels < 0)
    return cannot(node(), "the number of channels is not known");
  ZP_CHECK(zero_points("zero_points", channels, !quantizes, !quantizes));
  w.integer("axis", quant.axis);
  range();
  out_dtype();
  return w.finish();
}

Status Quantizer::token() {
  w.target(name("per_token.default"));
  ZP_CHECK(w.tensor("input", node().operand(0)));
  ZP_CHECK(scales("scales"));
  ZP_CHECK(zero_points("zero_points", 1, false));
  range();
  if (!quantizes) w.dtype("output_dtype", quant.expressed);
  return w.finish();
}

Status Quantizer::group() {
  w.target(name("per_channel_group.default"));
  ZP_CHECK(w.tensor("input", node().operand(0)));
  ZP_CHECK(scales("scales"));
  ZP_CHECK(zero_points("zero_points", quant.scales->elements(), !quantizes));
  range();
  w.integer("group_size", quant.block[1]);
  if (!quantizes) w.dtype("output_dtype", quant.expressed);
  return w.finish();
}

Status Quantizer::affine() {
  if (!input.ranked) return cannot(node(), "the rank is not known");
  w.target(quantizes ? "torchao.quantize_affine.default" : "torchao.dequantize_affine.default");
  ZP_CHECK(w.tensor("input", node().operand(0)));
  ZP_CHECK(w.dims("block_size", block_size()));
  if (quant.per_tensor() && !quant.dynamic) {
    const bool single = static_cast<double>(static_cast<float>(quant.scale)) == quant.scale;
    ZP_TRY(Tensor number, Tensor::make(single ? DType::F32 : DType::F64, {1}));
    number.set_double(0, quant.scale);
    const int64_t one[] = {1};
    ZP_TRY(const std::string scale_name, graph().helper_constant(fmt::format("{}_scale", node().name()),
                                                                 number.dtype(), one, number.blob()));
    w.raw("scale", tensor_json(scale_name));
    ZP_TRY(Tensor zero, Tensor::make(DType::I64, {1}));
    zero.set_int(0, static_cast<int64_t>(quant.zero_point));
    ZP_TRY(const std::string zero_name, graph().helper_constant(fmt::format("{}_zero_point", node().name()),
                                                                DType::I64, one, zero.blob()));
    w.raw("zero_point", tensor_json(zero_name));
  } else {
    ZP_CHECK(scales("scale"));
    const int64_t count = cells();
    if (quantizes && count < 0 && quant.zero_points == nullptr && zero_point() == nullptr)
      return cannot(node(), "the number of blocks is not known");
    ZP_CHECK(zero_points("zero_point", count, !quantizes));
  }
  w.dtype(quantizes ? "output_dtype" : "input_dtype", quant.storage);
  w.integer("quant_min", quant.qmin);
  w.integer("quant_max", quant.qmax);
  if (!quantizes && quant.expressed != DType::F32) w.dtype("output_dtype", quant.expressed);
  return w.finish();
}

// Storage types that no dequantize operator takes (64-bit biases): cast, subtract, multiply.
Status Quantizer::plain_dequantize() {
  Type real = input;
  real.quant = nullptr;
  real.dtype = quant.expressed;
  const auto step = [&](std::string_view target, std::string first, std::string_view arg,
                        std::string second) {
    NodeText text;
    text.target = target;
    text.args = {{"self", std::move(first), false}, {arg, std::move(second), false}};
    text.name = graph().declare_tensor(std::string(node().name()) + "_step", real);
    text.outputs = "[" + tensor_json(text.name) + "]";
    graph().emit(text);
    return tensor_json(text.name);
  };
  ZP_TRY(std::string value, graph().argument(node().operand(0)));
  value = step("torch.ops.aten.to.dtype", value, "dtype",
               fmt::format("{{\"as_scalar_type\": {}}}", serialized_dtype(quant.expressed)));
  if (quant.zero_point != 0)
    value =
        step("torch.ops.aten.sub.Tensor", value, "other", number_json(Number::of_float(quant.zero_point)));
  w.target("aten.mul.Tensor");
  w.raw("self", value);
  w.number("other", quant.scale);
  return w.finish();
}

bool storable(DType storage) {
  switch (stored_dtype(storage)) {
    case DType::I8:
    case DType::U8:
    case DType::I16:
    case DType::U16:
    case DType::I32:
    case DType::F8E4M3:
    case DType::F8E5M2: return true;
    default: return false;
  }
}

Status Quantizer::write() {
  const SourceNode* from = source_node(node(), graph().source());
  const std::string_view was =
      from != nullptr && from->overload != nullptr ? from->overload->target : std::string_view();
  if (!storable(quant.storage)) {
    if (quantizes || !quant.per_tensor() || quant.dynamic)
      return cannot(node(), fmt::format("storage {}", dtype_name(quant.storage)));
    return plain_dequantize();
  }
  if (quant.per_tensor() && quant.domain == ZeroPointDomain::Float &&
      quant.zero_point != static_cast<double>(static_cast<int64_t>(quant.zero_point))) {
    return cannot(node(), fmt::format("zero point {} is no integer", quant.zero_point));
  }
  if (zero_point_first) {
    if (grouped()) return group();
    if (quant.per_tensor() || per_token()) return token();
    return cannot(node(), "zero points added before rounding are known per token and per group only");
  }
  if (quant.per_tensor()) return affine_only() && !quant.dynamic ? affine() : per_tensor();
  if (quant.per_axis()) return affine_only() ? affine() : per_channel();
  if (was.starts_with("torchao.") || graph().source_uses("torchao")) return affine();
  if (!quantizes && quant.dynamic && per_token() && scale() != nullptr &&
      scale()->type().shape.size() == input.shape.size())
    return token();
  if (!quantizes && grouped()) return group();
  return affine();
}

Status write_quantize(NodeWriter& w) {
  const auto& attrs = w.node().attrs<ops::QuantizeAttrs>();
  if (attrs.type == nullptr) return cannot(w.node(), "the type is missing");
  return Quantizer{w, *attrs.type, true, attrs.zero_point_first, w.node().operand(0)->type()}.write();
}

Status write_dequantize(NodeWriter& w) {
  const Type& input = w.node().operand(0)->type();
  if (input.quant == nullptr) return cannot(w.node(), "its operand is not quantized");
  return Quantizer{w, *input.quant, false, false, input}.write();
}

Status write_fake_quantize(NodeWriter& w) {
  const Node& node = w.node();
  const auto& attrs = node.attrs<ops::FakeQuantizeAttrs>();
  if (attrs.type == nullptr || attrs.zero_point_first || attrs.type->per_block())
    return cannot(node, "only per tensor and per axis are known");
  const QuantType& quant = *attrs.type;
  GraphWriter& graph = w.graph();
  const bool tensors = quant.dynamic || quant.per_axis();
  w.target(quant.per_axis() ? "aten.fake_quantize_per_channel_affine.default"
           : quant.dynamic  ? "aten.fake_quantize_per_tensor_affine.tensor_qparams"
                            : "aten.fake_quantize_per_tensor_affine.default");
  ZP_CHECK(w.tensor("self", node.operand(0)));
  if (!tensors) {
    w.number("scale", quant.scale);
    w.integer("zero_point", static_cast<int64_t>(quant.zero_point));
  } else if (quant.dynamic) {
    ZP_CHECK(w.tensor("scale", node.operand(1)));
    if (node.operand(2) == nullptr) return cannot(node, "there is no zero point operand");
    ZP_CHECK(w.tensor("zero_point", node.operand(2)));
  } else {
    ZP_CHECK(w.constant("scale", quant.scales));
    const bool integer = quant.domain != ZeroPointDomain::Float;
    ZP_TRY(const std::string name, quant.zero_points == nullptr
                                       ? zeros(graph, DType::I32, quant.scales->elements())
                                   : integer ? zero_points_as(graph, *quant.zero_points, DType::I32)
                                             : graph.placeholder(*quant.zero_points));
    w.raw("zero_point", tensor_json(name));
  }
  if (quant.per_axis()) w.integer("axis", quant.axis);
  w.integer("quant_min", quant.qmin);
  w.integer("quant_max", quant.qmax);
  return w.finish();
}

Status write_choose_qparams(NodeWriter& w) {
  const Node& node = w.node();
  const auto& attrs = node.attrs<ops::ChooseQparamsAttrs>();
  if (attrs.type == nullptr) return cannot(node, "the type is missing");
  const QuantType& quant = *attrs.type;
  struct Rule {
    std::string_view rule, target, mapping;
    bool range;
  };
  constexpr Rule kRules[] = {
      {"minmax", "quantized_decomposed.choose_qparams.tensor", "", true},
      {"symmetric", "quantized_decomposed.choose_qparams_symmetric.tensor", "", true},
      {"per_token", "quantized_decomposed.choose_qparams_per_token.default", "", false},
      {"per_token_asymmetric", "quantized_decomposed.choose_qparams_per_token_asymmetric.default", "", false},
      {"affine_asymmetric", "torchao.choose_qparams_affine.default", "ASYMMETRIC", true},
      {"affine_symmetric", "torchao.choose_qparams_affine.default", "SYMMETRIC", true},
      {"affine_symmetric_no_clipping", "torchao.choose_qparams_affine.default", "SYMMETRIC_NO_CLIPPING_ERR",
       true},
  };
  for (const Rule& rule : kRules) {
    if (rule.rule != attrs.rule) continue;
    w.target(rule.target);
    ZP_CHECK(w.tensor("input", node.operand(0)));
    if (rule.mapping.empty()) {
      if (rule.range) {
        w.integer("quant_min", quant.qmin);
        w.integer("quant_max", quant.qmax);
        w.number("eps", attrs.eps);
      }
      w.dtype("dtype", quant.storage);
      return w.finish(2);
    }
    w.text("mapping_type", rule.mapping);
    ZP_CHECK(w.dims("block_size", Quantizer{w, quant, true, false, node.operand(0)->type()}.block_size()));
    w.dtype("target_dtype", quant.storage);
    w.integer("quant_min", quant.qmin);
    w.integer("quant_max", quant.qmax);
    w.number("eps", attrs.eps);
    w.dtype("scale_dtype", attrs.scale_dtype);
    w.dtype("zero_point_dtype", attrs.zero_point_dtype);
    w.boolean("keepdim", attrs.keepdim);
    return w.finish(2);
  }
  return cannot(node, fmt::format("rule {}", attrs.rule));
}

// Strides count in the dense order of the operand here, in its storage there: a dense copy makes both the
// same.
Status write_as_strided(NodeWriter& w) {
  const Node& node = w.node();
  const auto& attrs = node.attrs<ops::AsStridedAttrs>();
  ZP_TRY(std::string operand, w.graph().argument(node.operand(0)));
  if (node.operand(0)->def() != nullptr && !node.operand(0)->def()->is(kConstOp)) {
    NodeText dense;
    dense.target = "torch.ops.aten.contiguous.default";
    dense.args = {{"self", std::move(operand), false}};
    dense.name = w.graph().declare_tensor("contiguous", node.operand(0)->type());
    operand = tensor_json(dense.name);
    dense.outputs = "[" + operand + "]";
    w.graph().emit(dense);
  }
  w.target("aten.as_strided.default");
  w.raw("self", operand);
  ZP_CHECK(w.dims("size", attrs.size));
  ZP_CHECK(w.dims("stride", attrs.stride));
  if (attrs.storage_offset) {
    ZP_TRY(const std::string offset, w.graph().sym_int(*attrs.storage_offset));
    w.raw("storage_offset",
          attrs.storage_offset->is_symbolic() ? fmt::format("{{\"as_sym_int\": {}}}", offset) : offset);
  }
  return w.finish();
}

// The border of quantized elements is a number in their storage.
Status write_quantized_pad(NodeWriter& w) {
  const Node& node = w.node();
  const auto& attrs = node.attrs<ops::PadAttrs>();
  const Type& input = node.operand(0)->type();
  const QuantType& quant = *input.quant;
  std::vector<int64_t> shape;  // extents matter only where the parameters differ along them
  for (size_t d = 0; d < input.shape.size(); ++d) {
    const bool split =
        quant.per_axis() ? static_cast<size_t>(quant.axis) == d : quant.per_block() && quant.block[d] != 0;
    if (split && !input.shape[d].is_known())
      return cannot(node, "the border of quantized elements needs a known shape");
    shape.push_back(split ? input.shape[d].value() : 1);
  }
  ZP_TRY(const QuantParams params, quant_params(w.graph().context(), quant, shape));
  std::optional<int64_t> border;
  for (size_t i = 0; i < params.scales.size(); ++i) {
    const int64_t zero_point = i < params.zero_points.size() ? params.zero_points[i] : 0;
    const int64_t q = saturate_to_int(
        round_half_even(attrs.value.as_double() / params.scales[i]) + static_cast<double>(zero_point),
        quant.qmin, quant.qmax);
    if (border && *border != q) return cannot(node, "its border is another integer in each channel");
    border = q;
  }
  w.target("aten.constant_pad_nd.default");
  ZP_CHECK(w.tensor("self", node.operand(0)));
  ZP_CHECK(w.dims("pad", attrs.pad));
  w.integer("value", border.value_or(0));
  return w.finish();
}

struct HookRow {
  std::string_view op;
  ExportHook hook;
};
constexpr HookRow kHooks[] = {
    {"quantize", write_quantize},
    {"dequantize", write_dequantize},
    {"fake_quantize", write_fake_quantize},
    {"choose_qparams", write_choose_qparams},
    {"as_strided", write_as_strided},
    {"cond", write_control},
    {"while_loop", write_control},
    {"map", write_control},
    {"scan", write_control},
    {"number", write_number},
    {"item", write_item},
    {"assertion", write_assertion},
    {"assert_range", write_assert_range},
};

}  // namespace

ExportHook find_export_hook(const Node& node) {
  for (const HookRow& row : kHooks)
    if (row.op == node.op().name) return row.hook;
  if (node.is(ops::pad) && node.operand(0) != nullptr && node.operand(0)->type().is_quantized() &&
      node.attrs<ops::PadAttrs>().mode == "constant") {
    return write_quantized_pad;
  }
  return nullptr;
}

}  // namespace zp::pt2
