#include "formats/pt2/autocast.h"

#include <algorithm>

#include "formats/pt2/alias.h"

namespace zp::pt2 {
namespace {

constexpr std::string_view kLower[] = {
    "conv1d.default",
    "conv1d.padding",
    "conv2d.default",
    "conv2d.padding",
    "conv3d.default",
    "conv3d.padding",
    "bmm.default",
    "mm.default",
    "inner.default",
    "linalg_vecdot.default",
    "baddbmm.default",
    "addmm.default",
    "addbmm.default",
    "linear.default",
    "matmul.default",
    "conv_tbc.default",
    "prelu.default",
    "conv_transpose1d.default",
    "conv_transpose2d.input",
    "conv_transpose3d.input",
    "einsum.default",
    "scaled_dot_product_attention.default",
};
constexpr std::string_view kSingle[] = {
    "avg_pool3d.default",
    "grid_sampler.default",
    "prod.default",
    "prod.dim_int",
    "cdist.default",
    "trace.default",
    "adaptive_avg_pool3d.default",
    "adaptive_max_pool3d.default",
    "reflection_pad1d.default",
    "reflection_pad2d.default",
    "replication_pad1d.default",
    "replication_pad2d.default",
    "replication_pad3d.default",
    "mse_loss.default",
    "l1_loss.default",
    "huber_loss.default",
    "cross_entropy_loss.default",
    "kl_div.default",
    "binary_cross_entropy.default",
    "binary_cross_entropy_with_logits.default",
    "linalg_inv_ex.default",
    "linalg_svd.default",
    "quantile.default",
    "nanquantile.default",
    "fake_quantize_per_tensor_affine.default",
    "stft.default",
};
constexpr std::string_view kWidest[] = {"stack.default", "cat.default", "index_copy.default"};
constexpr std::string_view kReachedInto[] = {
    "lstm.input",        "gru.input",        "rnn_tanh.input",    "rnn_relu.input",
    "lstm_cell.default", "gru_cell.default", "tensordot.default", "multi_head_attention.default"};

std::string_view aten_name(std::string_view target) {
  constexpr std::string_view kPrefix = "torch.ops.aten.";
  return target.starts_with(kPrefix) ? target.substr(kPrefix.size()) : std::string_view();
}

template <size_t N>
bool holds(const std::string_view (&list)[N], std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

// `pad` calls the operators of its mode, and autocast meets them inside.
bool pads_in_single(const NodeData& node) {
  size_t pads = 0;
  std::string_view mode = "constant";
  for (const NamedArg& named : node.inputs) {
    if (named.name == "pad") pads = named.arg.items.size();
    if (named.name == "mode") mode = named.arg.text;
  }
  return mode == "replicate" || (mode == "reflect" && pads <= 4);
}

}  // namespace

bool autocasts(const ValueData& value, DType to) {
  return value.kind == ValueData::Tensor && is_float(value.dtype) && value.dtype != DType::F64 &&
         value.dtype != to;
}

DType autocast_type(const NodeData& node, const GraphData& graph, DType lower) {
  const std::string_view name = aten_name(node.target);
  if (holds(kLower, name)) return lower;
  if (holds(kSingle, name)) return DType::F32;
  if (name == "pad.default") return pads_in_single(node) ? DType::F32 : DType::Unknown;
  if (!holds(kWidest, name)) return DType::Unknown;
  // f32 next to the lower type; f64 tensors take part as they are.
  bool single = false;
  for (const NamedArg& named : node.inputs) {
    for_each_name(named.arg, [&](const Arg& leaf) {
      single = single || (leaf.tag == ArgTag::Tensor && graph.values[leaf.value].dtype == DType::F32);
    });
  }
  return single ? DType::F32 : DType::Unknown;
}

bool can_autocast(const GraphData& body) {
  return std::all_of(body.nodes.begin(), body.nodes.end(), [](const NodeData& node) {
    const bool bodies = std::any_of(node.inputs.begin(), node.inputs.end(),
                                    [](const NamedArg& named) { return named.arg.tag == ArgTag::Graph; });
    return !bodies && !holds(kReachedInto, aten_name(node.target));
  });
}

}  // namespace zp::pt2
