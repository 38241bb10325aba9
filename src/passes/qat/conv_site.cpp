#include "passes/qat/conv_site.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "backend/backend.h"
#include "ops/conv.h"
#include "ops/infer_util.h"
#include "ops/ops.h"
#include "ops/shape.h"
#include "passes/constant_eval.h"
#include "support/rounding.h"

namespace zp::qat {
namespace {

int spatial_rank(const Node& node) {
  if (node.is(ops::conv1d) || node.is(ops::conv_transpose1d)) return 1;
  if (node.is(ops::conv2d) || node.is(ops::conv_transpose2d)) return 2;
  if (node.is(ops::conv3d) || node.is(ops::conv_transpose3d)) return 3;
  return 0;
}

bool is_transposed(const Node& node) {
  return node.is(ops::conv_transpose1d) || node.is(ops::conv_transpose2d) || node.is(ops::conv_transpose3d);
}

bool has_activation(const Node& node) {
  if (node.is(ops::linear) || node.is(ops::matmul)) {
    const auto& attrs = node.attrs<ops::LinearAttrs>();
    return attrs.act_min || attrs.act_max;
  }
  if (node.is(ops::addmm)) {
    const auto& attrs = node.attrs<ops::AddmmAttrs>();
    return attrs.act_min || attrs.act_max;
  }
  const auto& attrs = node.attrs<ops::ConvAttrs>();
  return attrs.act_min || attrs.act_max;
}

Node* dequantize_of(const Value* value) {
  Node* def = value ? value->def() : nullptr;
  return def != nullptr && def->is(ops::dequantize) ? def : nullptr;
}

bool has_integer_grid(const QuantType& quant) {
  return !quant.dynamic && quant.domain != ZeroPointDomain::Float && is_integer(quant.storage);
}

std::string granularity(const QuantType& quant) {
  if (quant.dynamic) return "parameters known at run time";
  if (quant.per_axis()) return fmt::format("one scale along axis {}", quant.axis);
  return quant.per_block() ? "one scale a block" : "one scale";
}

}  // namespace

bool blocks_are_channels(const ConvSite& site, const QuantType& quant, std::span<const int64_t> shape) {
  if (!quant.per_block() || !site.transposed || quant.block.size() != shape.size()) return false;
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t extent = quant.block[d] == 0 ? shape[d] : quant.block[d];
    if (extent != (d == 0 ? shape[0] / site.groups : d == 1 ? 1 : shape[d])) return false;
  }
  return true;
}

bool is_conv_or_linear(const Node& node) { return spatial_rank(node) > 0 || node.is(ops::linear); }

bool is_anchor(const Node& node) {
  return is_conv_or_linear(node) || node.is(ops::addmm) || node.is(ops::matmul);
}

namespace {

bool is_transposition(const Node& node) {
  if (!node.is(ops::permute)) return false;
  const List<int64_t>& dims = node.attrs<ops::PermuteAttrs>().dims;
  return dims.size() == 2 && (dims[0] == 1 || dims[0] == -1) && (dims[1] == 0 || dims[1] == -2);
}

// The parts of x @ w (+ bias) with w of shape [in, out], maybe a transposed [out, in].
std::optional<std::pair<std::string, std::string>> read_product(Node& node, ConvSite* site) {
  if (node.is(ops::addmm)) {
    const auto& attrs = node.attrs<ops::AddmmAttrs>();
    if (attrs.alpha.as_double() != 1 || attrs.beta.as_double() != 1)
      return std::pair{std::string("alpha and beta 1"),
                       fmt::format("{} and {}", attrs.alpha.as_double(), attrs.beta.as_double())};
    site->bias_operand = 0;
    site->input_operand = 1;
    site->weight_operand = 2;
  } else {
    site->bias_operand = 2;  // there is none: it becomes an addmm
  }
  const Type& x = node.operand(site->input_operand)->type();
  const Type& w = node.operand(site->weight_operand)->type();
  if (!x.ranked || x.rank() != 2 || w.rank() != 2)
    return std::pair{std::string("matrices"), fmt::format("ranks {} and {}", x.rank(), w.rank())};
  Node* def = node.operand(site->weight_operand)->def();
  if (def != nullptr && is_transposition(*def)) site->weight_permute = def;
  site->weight_dequantize = dequantize_of(site->weight_permute ? site->weight_permute->operand(0)
                                                               : node.operand(site->weight_operand));
  site->weight_axis = site->weight_permute ? 0 : 1;
  site->channels = site->channels_per_scale_run = w.shape[1].value();
  site->channel_axis = 1;
  return std::nullopt;
}

}  // namespace

Answer<ConvSite> conv_site(Node& node) {
  const std::string name = source_name(node);
  const auto refuse = [&](std::string clause, std::string wanted, std::string found) {
    std::string text = fmt::format("'{}': {} is wanted, found {}", name, wanted, found);
    return Why{&node, std::move(clause), std::move(wanted), std::move(found), std::move(text)};
  };
  if (!is_anchor(node)) return refuse("conv", "a convolution or linear", std::string(op_label(node)));
  const Value* input = node.operand(node.is(ops::addmm) ? 1 : 0);
  const Value* weight = node.operand(node.is(ops::addmm) ? 2 : 1);
  const Type& out = node.result()->type();
  if (input->type().is_quantized() || weight->type().is_quantized() || out.is_quantized()) {
    return refuse("float-form", "a convolution in float between dequantize and quantize",
                  "a fused integer operator");
  }
  if (has_activation(node)) return refuse("activation", "no activation inside", "a fused clamp");
  if (!out.ranked || !weight->type().is_static())
    return refuse("shape", "known rank and weight shape", out.str());
  ConvSite site;
  site.node = &node;
  site.input_dequantize = dequantize_of(input);
  site.weight_dequantize = dequantize_of(weight);
  const Shape& w = weight->type().shape;
  if (!is_conv_or_linear(node)) {
    if (auto problem = read_product(node, &site)) return refuse("shape", problem->first, problem->second);
    return site;
  }
  if (node.is(ops::linear)) {
    if (w.size() != 2) return refuse("shape", "a weight of rank 2", fmt::format("rank {}", w.size()));
    site.channels = site.channels_per_scale_run = w[0].value();
    site.channel_axis = out.rank() - 1;
    return site;
  }
  site.channel_axis = out.rank() - 1 - spatial_rank(node);
  site.transposed = is_transposed(node);
  site.groups = std::max<int64_t>(node.attrs<ops::ConvAttrs>().groups, 1);
  site.weight_axis = site.transposed ? 1 : 0;
  site.channels_per_scale_run = w[static_cast<size_t>(site.weight_axis)].value();
  site.channels = site.channels_per_scale_run * (site.transposed ? site.groups : 1);
  if (site.channels <= 0) return refuse("shape", "at least one channel", "none");
  return site;
}

Answer<std::vector<double>> weight_scales(const ConvSite& site) {
  const QuantType* quant = site.weight_type();
  const std::string name = source_name(*site.node);
  if (quant == nullptr) {
    return Why{site.node, "quantized-weight", "a dequantized weight", "a float weight",
               fmt::format("the weight of '{}' is not quantized", name)};
  }
  const std::vector<int64_t> shape = ops::known_shape(site.weight_dequantize->operand(0)->type().shape);
  const bool blocks = blocks_are_channels(site, *quant, shape);
  if (!has_integer_grid(*quant) || (quant->per_block() && !blocks) ||
      (quant->per_axis() && quant->axis != site.weight_axis)) {
    const std::string wanted = fmt::format("one scale, or one along axis {}", site.weight_axis);
    return Why{site.node, "weight-axis", wanted, granularity(*quant),
               fmt::format("the weight of '{}' has {}, {} is wanted", name, granularity(*quant), wanted)};
  }
  Result<QuantParams> params = quant_params(site.node->context(), *quant, shape);
  if (!params.ok())
    return Why{site.node, "weight-scales", "valid scales", params.error().first().text,
               params.error().first().text};
  std::vector<double> scales(static_cast<size_t>(site.channels));
  for (int64_t c = 0; c < site.channels; ++c) {
    scales[static_cast<size_t>(c)] =
        params->scales[params->scales.size() == 1
                           ? 0
                           : static_cast<size_t>(blocks ? c : c % site.channels_per_scale_run)];
  }
  return scales;
}

std::optional<double> largest_weight_scale(const ConvSite& site) {
  const QuantType* quant = site.weight_type();
  if (quant == nullptr || !has_integer_grid(*quant)) return std::nullopt;
  const std::vector<int64_t> shape = ops::known_shape(site.weight_dequantize->operand(0)->type().shape);
  const Result<QuantParams> params = quant_params(site.node->context(), *quant, shape);
  if (!params.ok() || params->scales.empty()) return std::nullopt;
  return *std::max_element(params->scales.begin(), params->scales.end());
}

Answer<AccumulatorUnits> accumulator_units(const ConvSite& site) {
  Answer<std::vector<double>> scales = weight_scales(site);
  if (!scales) return scales.why();
  return accumulator_units(site, std::move(*scales));
}

Answer<AccumulatorUnits> accumulator_units(const ConvSite& site, std::vector<double> scales) {
  const QuantType* input = site.input_type();
  const std::string name = source_name(*site.node);
  if (input == nullptr) {
    return Why{site.node, "quantized-input", "a dequantized input", "a float input",
               fmt::format("the input of '{}' is not quantized", name)};
  }
  if (!has_integer_grid(*input) || !input->per_tensor() || input->scales != nullptr) {
    return Why{site.node, "input-scale", "one scale known before the run", granularity(*input),
               fmt::format("the input of '{}' has {}: an int32 bias needs one scale known before the run",
                           name, granularity(*input))};
  }
  AccumulatorUnits units;
  units.input_scale = input->scale;
  units.per_tensor = site.weight_type()->per_tensor();
  units.weight_scales = std::move(scales);
  units.units.reserve(units.weight_scales.size());
  for (double w : units.weight_scales) units.units.push_back(input->scale * w);
  for (double u : units.units) {
    if (u > 1e-300 && u < 1e300) continue;
    return Why{site.node, "unit", "a product of scales within double range", fmt::format("{}", u),
               fmt::format("the scales of '{}' multiply to {}", name, u)};
  }
  return units;
}

Result<IntegerBias> make_integer_bias(const ConvSite& site, const AccumulatorUnits& units,
                                      std::span<const double> bias) {
  std::vector<int32_t> integers(bias.size());
  int64_t saturated = 0;
  constexpr int64_t kMin = std::numeric_limits<int32_t>::min(), kMax = std::numeric_limits<int32_t>::max();
  for (size_t c = 0; c < bias.size(); ++c) {
    const double wanted = round_half_even(bias[c] / units.units[c]);
    saturated += wanted < static_cast<double>(kMin) || wanted > static_cast<double>(kMax);
    integers[c] = static_cast<int32_t>(saturate_to_int(wanted, kMin, kMax));
  }
  ZP_TRY(IntegerBias made, store_integer_bias(site, units, integers));
  made.saturated = saturated;
  return made;
}

Result<IntegerBias> store_integer_bias(const ConvSite& site, const AccumulatorUnits& units,
                                       std::span<const int32_t> integers) {
  Node& node = *site.node;
  Context& context = node.context();
  Graph& graph = *node.graph();
  IntegerBias made;
  QuantType quant;
  quant.storage = DType::I32;
  quant.expressed = site.real_dtype();
  quant.qmin = std::numeric_limits<int32_t>::min();
  quant.qmax = std::numeric_limits<int32_t>::max();
  const std::string stem(node.name());
  const int64_t extents[] = {site.channels};
  if (units.per_tensor) {
    quant.scale = units.units[0];
  } else {
    std::vector<float> scales(units.units.begin(), units.units.end());
    for (float& s : scales) s = std::max(s, std::numeric_limits<float>::min());
    quant.axis = 0;
    quant.scales = context.make_constant(stem + "_bias_scale", DType::F32, extents, scales);
  }
  const Constant* constant =
      context.make_constant(stem + "_bias", DType::I32, extents, Blob::copy_of(std::as_bytes(integers)));
  const Dim dims[] = {site.channels};
  Value* stored = add_const_node(graph, *constant, context.quantized(quant, dims), &node);
  Value* operands[] = {stored};
  Node* dequantize = graph.create({.op = &ops::dequantize,
                                   .operands = operands,
                                   .name = stem + "_bias_dequantize",
                                   .origins = node.origins()},
                                  &node);
  ZP_CHECK(dequantize->infer());
  made.value = dequantize->result();
  return made;
}

Result<Value*> make_real_bias(const ConvSite& site, std::span<const double> bias) {
  Node& node = *site.node;
  ZP_TRY(Tensor values, Tensor::make(site.real_dtype(), {site.channels}));
  for (size_t c = 0; c < bias.size(); ++c) values.set_double(static_cast<int64_t>(c), bias[c]);
  ZP_TRY(const Constant* constant, store_tensor(node.context(), std::string(node.name()) + "_bias", values));
  return add_const_node(*node.graph(), *constant, nullptr, &node);
}

Node* set_bias(const ConvSite& site, Value* bias, NewNode naming) {
  Node& node = *site.node;
  if (node.operand_count() > site.bias_operand) {
    node.set_operand(site.bias_operand, bias);
    return &node;
  }
  const bool product = node.is(ops::matmul);
  const ops::AddmmAttrs product_attrs;
  Value* linear_operands[] = {node.operand(0), node.operand(1), bias};
  Value* product_operands[] = {bias, node.operand(0), node.operand(1)};
  const OpDef& op = product ? ops::addmm : node.op();
  const void* attrs = product ? static_cast<const void*>(&product_attrs) : node.attrs_data();
  Node* made = node.graph()->create({.op = &op,
                                     .operands = product ? product_operands : linear_operands,
                                     .attrs = attrs,
                                     .name = node.name(),
                                     .origins = node.origins()},
                                    &node);
  made->result()->set_type(node.result()->type_ptr());
  node.result()->replace_all_uses_with(made->result());
  const std::string name(node.name());
  node.erase();
  if (naming == NewNode::Named) made->set_name(name);
  return made;
}

const BiasForms::Form& BiasForms::form_of(const OpDef& op) {
  for (const Form& known : known_)
    if (known.op == &op) return known;
  const backend::BiasForm form = backend_->bias_form(op);
  const bool integer = form.integer && form.real ? form.prefers_integer : form.integer || !form.real;
  known_.push_back({&op, integer, form.integer});
  return known_.back();
}

bool BiasForms::integer(const OpDef& op) { return backend_ == nullptr || form_of(op).integer; }

bool BiasForms::takes_integer(const OpDef& op) { return backend_ == nullptr || form_of(op).takes_integer; }

}  // namespace zp::qat
