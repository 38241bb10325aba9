// Cards and inference of the normalizations.
#include "ops/norm.h"

#include <fmt/format.h>

#include "ops/infer_util.h"
#include "ops/norm_eval.h"
#include "ops/ops.h"

namespace zp::ops {

namespace {

Status check_float_input(const Node& node) {
  ZP_CHECK(check_operands(node));
  const DType d = node.operand(0)->type().real_dtype();
  if (!is_float(d))
    return failed(node, "c1", fmt::format("elements are {}, a float type is needed", dtype_name(d)));
  return {};
}

// Operands from 1 on are vectors of one number a channel.
Status check_channels(const Node& node, std::string_view check, Dim channels) {
  for (size_t i = 1; i < node.operand_count(); ++i) {
    if (node.operand(i) == nullptr || !node.operand(i)->type().ranked) continue;
    const Type& v = node.operand(i)->type();
    if (v.rank() != 1)
      return failed(node, check,
                    fmt::format("{} has rank {}, 1 is needed", node.op().operands[i].name, v.rank()));
    if (v.shape[0].is_known() && channels.is_known() && !(v.shape[0] == channels)) {
      return failed(node, check,
                    fmt::format("{} has {} entries, the input {} channels", node.op().operands[i].name,
                                v.shape[0].value(), channels.value()));
    }
  }
  return {};
}

// The channels of dim 1, or an error if the rank is below `least`.
Result<Dim> channels_of(const Node& node, std::string_view check, int least) {
  const Type& x = node.operand(0)->type();
  if (!x.ranked) return Dim::unknown();
  if (x.rank() < least)
    return failed(node, check, fmt::format("the input has rank {}, at least {} is needed", x.rank(), least));
  return x.shape[1];
}

Status infer_batch_norm(Context&, Node& node) {
  ZP_CHECK(check_float_input(node));
  ZP_TRY(const Dim channels, channels_of(node, "c2", 2));
  ZP_CHECK(check_channels(node, "c3", channels));
  if (!node.attrs<BatchNormAttrs>().training && (node.operand(3) == nullptr || node.operand(4) == nullptr)) {
    return failed(node, "c4", "running_mean and running_var are needed when training is false");
  }
  const Type& x = node.operand(0)->type();
  return set_result_like(node, 0, x.real_dtype(), x);
}

// Results: output, save_mean, save_invstd and the updated running statistics.
Status infer_native_batch_norm(Context& context, Node& node) {
  ZP_CHECK(infer_batch_norm(context, node));
  const Type& x = node.operand(0)->type();
  const bool training = node.attrs<BatchNormAttrs>().training;
  const Dim channels = x.ranked ? x.shape[1] : Dim::unknown();
  const DType statistics = x.real_dtype() == DType::F64 ? DType::F64 : DType::F32;
  for (size_t i = 1; i < node.result_count(); ++i) {
    const Value* running = i >= 3 ? node.operand(i) : nullptr;
    const DType dtype = running != nullptr ? running->type().real_dtype() : statistics;
    ZP_CHECK(set_result(node, i, dtype, {i < 3 && !training ? Dim(0) : channels}));
  }
  return {};
}

// normalized_shape is the end of the input's shape and the shape of weight and bias.
Status check_normalized(const Node& node, List<int64_t> normalized) {
  ZP_CHECK(check_float_input(node));
  if (normalized.empty()) return failed(node, "c2", "normalized_shape is empty");
  const std::vector<Dim> wanted = dims_of(normalized);
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Value* value = node.operand(i);
    if (value == nullptr || !value->type().ranked) continue;
    const Shape& shape = value->type().shape;
    bool fits = i == 0 ? shape.size() >= wanted.size() : shape.size() == wanted.size();
    for (size_t d = 0; fits && d < wanted.size(); ++d) {
      const Dim dim = shape[shape.size() - wanted.size() + d];
      if (dim.is_known() && !(dim == wanted[d])) fits = false;
    }
    if (!fits) {
      return failed(node, i == 0 ? "c2" : "c3",
                    fmt::format("{} has shape {}, normalized_shape is {}", node.op().operands[i].name,
                                shape_text(shape), shape_text(wanted)));
    }
  }
  return {};
}

Status infer_layer_norm(Context&, Node& node) {
  ZP_CHECK(check_normalized(node, node.attrs<LayerNormAttrs>().normalized_shape));
  const Type& x = node.operand(0)->type();
  return set_result_like(node, 0, x.real_dtype(), x);
}

Status infer_rms_norm(Context&, Node& node) {
  ZP_CHECK(check_normalized(node, node.attrs<RmsNormAttrs>().normalized_shape));
  const Type& x = node.operand(0)->type();
  return set_result_like(node, 0, x.real_dtype(), x);
}

// The statistics of rows: the leading dims, then ones. They are computed in f32 for narrower inputs, but keep
// the type.
Status set_row_statistics(Node& node, size_t normalized_rank) {
  const Type& x = node.operand(0)->type();
  for (size_t i = 1; i < node.result_count(); ++i) {
    if (!x.ranked) {
      ZP_CHECK(set_unranked_result(node, i, x.real_dtype()));
      continue;
    }
    std::vector<Dim> shape = x.shape.vec();
    for (size_t d = shape.size() - normalized_rank; d < shape.size(); ++d) shape[d] = Dim(1);
    ZP_CHECK(set_result(node, i, x.real_dtype(), shape));
  }
  return {};
}

Status infer_native_layer_norm(Context& context, Node& node) {
  ZP_CHECK(infer_layer_norm(context, node));
  return set_row_statistics(node, node.attrs<LayerNormAttrs>().normalized_shape.size());
}

Status infer_native_rms_norm(Context& context, Node& node) {
  ZP_CHECK(infer_rms_norm(context, node));
  return set_row_statistics(node, node.attrs<RmsNormAttrs>().normalized_shape.size());
}

Status check_groups(const Node& node, int64_t groups, Dim channels) {
  if (groups <= 0) return failed(node, "c4", fmt::format("{} groups, at least 1 is needed", groups));
  if (channels.is_known() && channels.value() % groups != 0) {
    return failed(node, "c4",
                  fmt::format("{} channels do not divide into {} groups", channels.value(), groups));
  }
  return {};
}

Status infer_group_norm(Context&, Node& node) {
  ZP_CHECK(check_float_input(node));
  ZP_TRY(const Dim channels, channels_of(node, "c2", 2));
  ZP_CHECK(check_channels(node, "c3", channels));
  ZP_CHECK(check_groups(node, node.attrs<GroupNormAttrs>().num_groups, channels));
  const Type& x = node.operand(0)->type();
  return set_result_like(node, 0, x.real_dtype(), x);
}

Status infer_native_group_norm(Context&, Node& node) {
  ZP_CHECK(check_float_input(node));
  const auto& attrs = node.attrs<NativeGroupNormAttrs>();
  ZP_TRY(const Dim channels, channels_of(node, "c2", 2));
  ZP_CHECK(check_channels(node, "c3", channels));
  ZP_CHECK(check_groups(node, attrs.group, channels));
  const Type& x = node.operand(0)->type();
  ZP_CHECK(set_result_like(node, 0, x.real_dtype(), x));
  for (size_t i = 1; i < node.result_count(); ++i) {
    ZP_CHECK(set_result(node, i, x.real_dtype(), {x.ranked ? x.shape[0] : Dim::unknown(), Dim(attrs.group)}));
  }
  return {};
}

Status infer_instance_norm(Context&, Node& node) {
  ZP_CHECK(check_float_input(node));
  ZP_TRY(const Dim channels, channels_of(node, "c2", 2));
  ZP_CHECK(check_channels(node, "c3", channels));
  if (!node.attrs<InstanceNormAttrs>().use_input_stats &&
      (node.operand(3) == nullptr || node.operand(4) == nullptr)) {
    return failed(node, "c4", "running_mean and running_var are needed when use_input_stats is false");
  }
  const Type& x = node.operand(0)->type();
  return set_result_like(node, 0, x.real_dtype(), x);
}

constexpr OperandDef kBatchOperands[] = {{"input"},
                                         {"weight", Role::Weight, true},
                                         {"bias", Role::Bias, true},
                                         {"running_mean", Role::State, true},
                                         {"running_var", Role::State, true}};
constexpr OperandDef kAffineOperands[] = {
    {"input"}, {"weight", Role::Weight, true}, {"bias", Role::Bias, true}};
constexpr OperandDef kScaleOperands[] = {{"input"}, {"weight", Role::Weight, true}};
constexpr std::string_view kBatchResults[] = {"out", "save_mean", "save_invstd", "running_mean",
                                              "running_var"};
constexpr std::string_view kRowResults[] = {"out", "mean", "rstd"};
constexpr std::string_view kRmsResults[] = {"out", "rstd"};

constexpr std::string_view kBatchChecks[] = {
    "c1: elements are a float type", "c2: the input has at least rank 2; channels are dim 1",
    "c3: weight, bias and statistics have one entry a channel",
    "c4: running statistics are given unless those of the data are used"};
constexpr std::string_view kLayerChecks[] = {"c1: elements are a float type",
                                             "c2: normalized_shape is the end of the input's shape",
                                             "c3: weight and bias have the shape normalized_shape"};
constexpr std::string_view kGroupChecks[] = {
    "c1: elements are a float type", "c2: the input has at least rank 2; channels are dim 1",
    "c3: weight and bias have one entry a channel", "c4: the groups divide the channels"};

}  // namespace

#define ZP_NORM(NAME, ATTRS, OPERANDS, RESULTS, CHECKS, DOC) \
  constinit const OpDef NAME = {.name = #NAME,               \
                                .doc = DOC,                  \
                                .operands = OPERANDS,        \
                                .results = RESULTS,          \
                                .attrs = &attrs_of<ATTRS>,   \
                                .trait = Trait::FloatOnly,   \
                                .infer = infer_##NAME,       \
                                .eval = ZP_EVAL(NAME),       \
                                .checks = CHECKS}

ZP_NORM(batch_norm, BatchNormAttrs, kBatchOperands, kOneResult, kBatchChecks,
        "x * a + (bias - running_mean * a), a = weight / sqrt(running_var + eps), by channel; when training, "
        "mean and variance of the batch");
ZP_NORM(native_batch_norm, BatchNormAttrs, kBatchOperands, kBatchResults, kBatchChecks,
        "batch_norm with mean and 1/sqrt(var + eps) of the batch (empty unless training) and the updated "
        "running statistics");
ZP_NORM(layer_norm, LayerNormAttrs, kAffineOperands, kOneResult, kLayerChecks,
        "(x - mean) / sqrt(var + eps) * weight + bias, mean and variance over the dims of normalized_shape");
ZP_NORM(native_layer_norm, LayerNormAttrs, kAffineOperands, kRowResults, kLayerChecks,
        "layer_norm with mean and 1/sqrt(var + eps) of each row");
ZP_NORM(group_norm, GroupNormAttrs, kAffineOperands, kOneResult, kGroupChecks,
        "(x - mean) / sqrt(var + eps) * weight + bias, mean and variance over each group of channels of a "
        "sample");
ZP_NORM(native_group_norm, NativeGroupNormAttrs, kAffineOperands, kRowResults, kGroupChecks,
        "group_norm with mean and 1/sqrt(var + eps) of each sample and group");
ZP_NORM(instance_norm, InstanceNormAttrs, kBatchOperands, kOneResult, kBatchChecks,
        "(x - mean) / sqrt(var + eps) * weight + bias, mean and variance over each channel of a sample");
ZP_NORM(rms_norm, RmsNormAttrs, kScaleOperands, kOneResult, kLayerChecks,
        "x / sqrt(mean(x^2) + eps) * weight, the mean over the dims of normalized_shape");
ZP_NORM(native_rms_norm, RmsNormAttrs, kScaleOperands, kRmsResults, kLayerChecks,
        "rms_norm with 1/sqrt(mean(x^2) + eps) of each row");

}  // namespace zp::ops
