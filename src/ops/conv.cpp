// Convolutions: cards and inference. One inference serves all six; the number of spatial dims and the
// direction are in the card. The weight of a convolution is [out, in / groups, kernel...], of a transposed
// one [in, out / groups, kernel...].
#include "ops/ops.h"

#include <fmt/format.h>

#include "ops/conv.h"
#include "ops/conv_eval.h"
#include "ops/conv_infer.h"

namespace zp::ops {
namespace {

constexpr OperandDef kConvOperands[] = {
    {"input", Role::Data}, {"weight", Role::Weight}, {"bias", Role::Bias, true}};
constexpr std::string_view kConvChecks[] = {
    "c1: input rank is the spatial rank + 2, or + 1 without a batch dim",
    "c2: weight rank is the spatial rank + 2",
    "c3: a weight quantized along its output channel has one scale for each channel of that axis",
    "c4: input channels fit the weight and the groups",
    "c5: groups is at least 1 and divides the output (transposed: input) channels",
    "c6: stride, padding, dilation and output_padding have one entry a spatial dim (or none) in their ranges",
    "c7: the output size is not negative",
    "c8: bias has rank 1 and one entry an output channel",
    "c9: input, weight and bias stand for one floating type",
    "c10: pad_mode is empty, \"valid\" or \"same\"; \"same\" needs stride 1 and is not for transposed "
    "convolutions",
    "c11: output_padding is smaller than stride or dilation, and only for transposed convolutions",
};

// Everything inference needs, with the defaults of empty lists filled in.
struct ConvGeometry {
  size_t spatial = 0;
  bool transposed = false;
  int64_t stride[3], padding[3], dilation[3], output_padding[3];
};

Status read_list(const Node& node, List<int64_t> list, std::string_view what, int64_t fallback, int64_t least,
                 size_t spatial, int64_t* out) {
  if (!list.empty() && list.size() != spatial && list.size() != 1) {
    return failed(node, "c6",
                  fmt::format("{} has {} entries for {} spatial dims", what, list.size(), spatial));
  }
  for (size_t d = 0; d < spatial; ++d) {
    out[d] = list.empty() ? fallback : list[list.size() == 1 ? 0 : d];
    if (out[d] < least || out[d] > (int64_t{1} << 31)) {
      return failed(node, "c6",
                    fmt::format("{} is {} in dim {}, at least {} is wanted", what, out[d], d, least));
    }
  }
  return {};
}

Result<ConvGeometry> read_geometry(const Node& node, size_t spatial, bool transposed) {
  const auto& attrs = node.attrs<ConvAttrs>();
  ConvGeometry g;
  g.spatial = spatial;
  g.transposed = transposed;
  ZP_CHECK(read_list(node, attrs.stride, "stride", 1, 1, spatial, g.stride));
  ZP_CHECK(read_list(node, attrs.padding, "padding", 0, 0, spatial, g.padding));
  ZP_CHECK(read_list(node, attrs.dilation, "dilation", 1, 1, spatial, g.dilation));
  ZP_CHECK(read_list(node, attrs.output_padding, "output_padding", 0, 0, spatial, g.output_padding));
  if (attrs.groups < 1) return failed(node, "c5", fmt::format("groups is {}", attrs.groups));
  const bool same = attrs.pad_mode == "same";
  if (!same && !attrs.pad_mode.empty() && attrs.pad_mode != "valid") {
    return failed(node, "c10", fmt::format("pad_mode is \"{}\"", attrs.pad_mode));
  }
  if (same && transposed) return failed(node, "c10", "pad_mode \"same\" on a transposed convolution");
  for (size_t d = 0; d < spatial; ++d) {
    if (same && g.stride[d] != 1) {
      return failed(node, "c10",
                    fmt::format("pad_mode \"same\" needs stride 1 but it is {} in dim {}", g.stride[d], d));
    }
    const int64_t extra = g.output_padding[d];
    if (extra != 0 && (!transposed || (extra >= g.stride[d] && extra >= g.dilation[d]))) {
      return failed(node, "c11",
                    fmt::format("output_padding is {} in dim {} with stride {} and dilation {}", extra, d,
                                g.stride[d], g.dilation[d]));
    }
  }
  return g;
}

Result<Dim> output_size(Context& context, const Node& node, const ConvGeometry& g, size_t d, Dim in,
                        Dim kernel) {
  DimContext& dims = context.dims();
  const auto& attrs = node.attrs<ConvAttrs>();
  if (attrs.pad_mode == "same") return in;
  const int64_t padding = attrs.pad_mode == "valid" ? 0 : g.padding[d];
  const Dim reach = dims.mul(dims.sub(kernel, 1), g.dilation[d]);  // dilation * (kernel - 1)
  Dim out;
  if (g.transposed) {
    // (in - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1
    out = dims.add(dims.mul(dims.sub(in, 1), g.stride[d]),
                   dims.add(reach, g.output_padding[d] + 1 - 2 * padding));
  } else {
    // floor((in + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1
    const Dim span = dims.sub(dims.add(in, 2 * padding - 1), reach);
    if (span.is_known() && span.value() < 0) {
      return failed(
          node, "c7",
          fmt::format("kernel {} with dilation {} is larger than input {} with padding {} in dim {}",
                      kernel.str(), g.dilation[d], in.str(), padding, d));
    }
    out = dims.add(dims.floordiv(span, g.stride[d]), 1);
  }
  if (out.is_known() && out.value() < 0) {
    return failed(node, "c7", fmt::format("output size would be {} in dim {}", out.value(), d));
  }
  return out;
}

Status check_channels(const Node& node, const ConvGeometry& g, Dim in_channels, const Type& weight,
                      Dim out_channels) {
  const auto& attrs = node.attrs<ConvAttrs>();
  const Dim w0 = weight.shape[0], w1 = weight.shape[1];
  if (g.transposed) {
    if (!may_be_equal(in_channels, w0)) {
      return failed(
          node, "c4",
          fmt::format("input has {} channels but the weight takes {}", in_channels.str(), w0.str()));
    }
    if (w0.is_known() && w0.value() % attrs.groups != 0) {
      return failed(node, "c5",
                    fmt::format("{} input channels do not divide into {} groups", w0.value(), attrs.groups));
    }
  } else {
    if (in_channels.is_known() && w1.is_known() &&
        (w1.value() > INT64_MAX / attrs.groups || in_channels.value() != w1.value() * attrs.groups)) {
      return failed(node, "c4",
                    fmt::format("input has {} channels but the weight takes {} in {} groups",
                                in_channels.value(), w1.value(), attrs.groups));
    }
    if (w0.is_known() && w0.value() % attrs.groups != 0) {
      return failed(node, "c5",
                    fmt::format("{} output channels do not divide into {} groups", w0.value(), attrs.groups));
    }
  }
  const int channel_axis = g.transposed ? 1 : 0;
  if (weight.is_quantized() && weight.quant->axis == channel_axis) {
    const Dim channels = weight.shape[static_cast<size_t>(channel_axis)];
    const int64_t scales = scale_count(*weight.quant);
    if (scales >= 0 && channels.is_known() && channels.value() != scales) {
      return failed(node, "c3",
                    fmt::format("weight has {} output channels{} but {} scales", channels.value(),
                                g.transposed ? " a group" : "", scales));
    }
  }
  if (const Type* bias = operand_type(node, 2); bias != nullptr && bias->ranked) {
    if (bias->rank() != 1) return failed(node, "c8", fmt::format("bias has rank {}, not 1", bias->rank()));
    if (!may_be_equal(bias->shape[0], out_channels)) {
      return failed(node, "c8",
                    fmt::format("bias has {} entries for {} output channels", bias->shape[0].str(),
                                out_channels.str()));
    }
  }
  return {};
}

Status check_dtypes(const Node& node) {
  const DType wanted = operand_type(node, 0)->real_dtype();
  if (wanted != DType::Unknown && !is_float(wanted)) {
    return failed(node, "c9",
                  fmt::format("input stands for {}, a floating type is wanted", dtype_name(wanted)));
  }
  for (size_t i = 1; i < node.operand_count(); ++i) {
    const Type* type = operand_type(node, i);
    if (type == nullptr) continue;
    const DType found = type->real_dtype();
    if (found != DType::Unknown && wanted != DType::Unknown && found != wanted) {
      return failed(node, "c9",
                    fmt::format("{} stands for {} but input for {}", node.op().operands[i].name,
                                dtype_name(found), dtype_name(wanted)));
    }
  }
  return {};
}

Status infer(Context& context, Node& node, size_t spatial, bool transposed) {
  ZP_CHECK(check_operands(node));
  ZP_TRY(const ConvGeometry g, read_geometry(node, spatial, transposed));
  ZP_CHECK(check_dtypes(node));
  const Type& input = *operand_type(node, 0);
  const Type& weight = *operand_type(node, 1);
  const DType dtype = input.real_dtype();
  if (input.ranked && input.shape.size() != spatial + 2 && input.shape.size() != spatial + 1) {
    return failed(
        node, "c1",
        fmt::format("input has rank {}, {} or {} is wanted", input.rank(), spatial + 1, spatial + 2));
  }
  if (weight.ranked && weight.shape.size() != spatial + 2) {
    return failed(node, "c2", fmt::format("weight has rank {}, {} is wanted", weight.rank(), spatial + 2));
  }
  if (!input.ranked || !weight.ranked) { return set_unranked_result(node, 0, dtype); }
  const auto& attrs = node.attrs<ConvAttrs>();
  const size_t lead = input.shape.size() - spatial - 1;  // batch dims: 0 or 1
  const Dim out_channels = transposed ? context.dims().mul(weight.shape[1], attrs.groups) : weight.shape[0];
  ZP_CHECK(check_channels(node, g, input.shape[lead], weight, out_channels));
  Dim out[5];
  if (lead == 1) out[0] = input.shape[0];
  out[lead] = out_channels;
  for (size_t d = 0; d < spatial; ++d) {
    ZP_TRY(out[lead + 1 + d],
           output_size(context, node, g, d, input.shape[lead + 1 + d], weight.shape[2 + d]));
  }
  return set_result(node, 0, dtype, std::span<const Dim>(out, lead + 1 + spatial));
}

template <size_t Spatial, bool Transposed>
Status infer_conv(Context& context, Node& node) {
  return infer(context, node, Spatial, Transposed);
}

}  // namespace

#define ZP_CONV(NAME, SPATIAL, TRANSPOSED, DOC)                                       \
  constinit const OpDef NAME = {.name = #NAME,                                        \
                                .doc = DOC,                                           \
                                .operands = kConvOperands,                            \
                                .results = kOneResult,                                \
                                .attrs = &attrs_of<ConvAttrs>,                        \
                                .trait = Trait::Affine,                               \
                                .flags = kIntegerForm,                                \
                                .infer = infer_conv<SPATIAL, TRANSPOSED>,             \
                                .eval = TRANSPOSED ? eval_conv_transpose : eval_conv, \
                                .checks = kConvChecks}
ZP_CONV(conv1d, 1, false,
        "Cross-correlation over 1 spatial dim: y[n,o,p] = b[o] + sum_{c,k} x[n,c,p*stride - padding + "
        "k*dilation] * w[o,c,k].");
ZP_CONV(conv2d, 2, false, "Cross-correlation over 2 spatial dims, as conv1d in both.");
ZP_CONV(conv3d, 3, false, "Cross-correlation over 3 spatial dims, as conv1d in all.");
ZP_CONV(conv_transpose1d, 1, true,
        "Transposed convolution over 1 spatial dim: input element p adds x * w[c,o,k] at p*stride - padding "
        "+ k*dilation.");
ZP_CONV(conv_transpose2d, 2, true,
        "Transposed convolution over 2 spatial dims, as conv_transpose1d in both.");
ZP_CONV(conv_transpose3d, 3, true, "Transposed convolution over 3 spatial dims, as conv_transpose1d in all.");
#undef ZP_CONV

}  // namespace zp::ops
