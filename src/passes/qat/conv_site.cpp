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

// Blocks that are exactly the channels: of a grouped transposed convolution, whose groups share the weight's
// channel dim.
bool blocks_are_channels(const ConvSite& site, const QuantType& quant, std::span<const int64_t> shape) {
  if (!quant.per_block() || !is_transposed(*site.node) || quant.block.size() != shape.size()) return false;
  const int64_t groups = site.node->attrs<ops::ConvAttrs>().groups;
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t extent = quant.block[d] == 0 ? shape[d] : quant.block[d];
    if (extent != (d == 0 ? shape[0] / groups : d == 1 ? 1 : shape[d])) return false;
  }
  return true;
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

// Integers of the weight, and which channel each belongs to.
struct WeightData {
  Tensor integers;
  QuantParams params;
  size_t axis = 0;
  int64_t inputs_per_group = 0;  // of a transposed convolution, else 0
  int64_t run = 0;

  int64_t zero_point(size_t channel, int64_t entry) const {
    return params.zero_points[params.zero_points.size() == 1 ? 0
                              : params.type->per_block()     ? channel
                                                             : static_cast<size_t>(entry)];
  }

  // Calls visit(element, channel, entry of the channel dim) for every element, in order.
  template <typename Visit>
  void for_each(Visit visit) const {
    const std::vector<int64_t>& shape = integers.shape();
    int64_t before = 1, after = 1;
    for (size_t d = 0; d < axis; ++d) before *= shape[d];
    for (size_t d = axis + 1; d < shape.size(); ++d) after *= shape[d];
    int64_t at = 0;
    for (int64_t o = 0; o < before; ++o) {
      const int64_t group = inputs_per_group > 0 ? o / inputs_per_group : 0;
      for (int64_t c = 0; c < shape[axis]; ++c)
        for (int64_t i = 0; i < after; ++i) visit(at++, static_cast<size_t>(group * run + c), c);
    }
  }
};

Answer<WeightData> read_weight(const ConvSite& site, ConstantValues& values) {
  const Value& stored = *site.weight_dequantize->operand(0);
  Result<Tensor> integers = values.tensor(stored);
  if (!integers.ok()) {
    return Why{site.node, "constant-weight", "a weight that can be read", integers.error().first().text,
               integers.error().first().text};
  }
  Result<QuantParams> params = quant_params(site.node->context(), *stored.type().quant, integers->shape());
  if (!params.ok())
    return Why{site.node, "weight-scales", "valid scales", params.error().first().text,
               params.error().first().text};
  WeightData data{*integers, std::move(params).value(), static_cast<size_t>(site.weight_axis), 0,
                  site.channels_per_scale_run};
  if (is_transposed(*site.node)) {
    data.inputs_per_group =
        std::max<int64_t>(integers->shape()[0] / site.node->attrs<ops::ConvAttrs>().groups, 1);
  }
  return data;
}

}  // namespace

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
  site.weight_axis = is_transposed(node) ? 1 : 0;
  site.channels_per_scale_run = w[static_cast<size_t>(site.weight_axis)].value();
  site.channels =
      site.channels_per_scale_run * (is_transposed(node) ? node.attrs<ops::ConvAttrs>().groups : 1);
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

Answer<AccumulatorUnits> accumulator_units(const ConvSite& site) {
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
  Answer<std::vector<double>> weights = weight_scales(site);
  if (!weights) return weights.why();
  AccumulatorUnits units;
  units.input_scale = input->scale;
  units.per_tensor = site.weight_type()->per_tensor();
  units.weight_scales = std::move(*weights);
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
  Node& node = *site.node;
  Context& context = node.context();
  Graph& graph = *node.graph();
  IntegerBias made;
  ZP_TRY(Tensor integers, Tensor::make(DType::I32, {site.channels}));
  constexpr int64_t kMin = std::numeric_limits<int32_t>::min(), kMax = std::numeric_limits<int32_t>::max();
  for (size_t c = 0; c < bias.size(); ++c) {
    const double wanted = round_half_even(bias[c] / units.units[c]);
    made.saturated += wanted < static_cast<double>(kMin) || wanted > static_cast<double>(kMax);
    integers.mutable_data<int32_t>()[c] = static_cast<int32_t>(saturate_to_int(wanted, kMin, kMax));
  }
  QuantType quant;
  quant.storage = DType::I32;
  quant.expressed = site.real_dtype();
  quant.qmin = kMin;
  quant.qmax = kMax;
  const std::string stem(node.name());
  if (units.per_tensor) {
    quant.scale = units.units[0];
  } else {
    std::vector<float> scales(units.units.begin(), units.units.end());
    for (float& s : scales) s = std::max(s, std::numeric_limits<float>::min());
    const int64_t shape[] = {site.channels};
    quant.axis = 0;
    quant.scales = context.make_constant(stem + "_bias_scale", DType::F32, shape, scales);
  }
  ZP_TRY(const Constant* constant, store_tensor(context, stem + "_bias", integers));
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

Node* set_bias(const ConvSite& site, Value* bias) {
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
  made->set_name(name);
  return made;
}

bool wants_integer_bias(const ConvSite& site, const Backend* backend) {
  if (!accumulator_units(site)) return false;
  if (backend == nullptr) return true;
  const backend::BiasForm form = backend->bias_form(site.node->op());
  if (form.integer && form.real) return form.prefers_integer;
  return form.integer || !form.real;
}

Answer<WeightReach> weight_reach(const ConvSite& site, ConstantValues& values) {
  Answer<WeightData> data = read_weight(site, values);
  if (!data) return data.why();
  const auto channels = static_cast<size_t>(site.channels);
  WeightReach reach{std::vector<double>(channels), std::vector<double>(channels),
                    std::vector<bool>(channels, true), std::vector<double>(channels)};
  double low = 0, high = 0;
  if (const QuantType* input = site.input_type();
      input != nullptr && has_integer_grid(*input) && input->per_tensor()) {
    low = static_cast<double>(input->qmin) - input->zero_point;
    high = static_cast<double>(input->qmax) - input->zero_point;
  }
  data->for_each([&](int64_t at, size_t channel, int64_t entry) {
    const auto w = static_cast<double>(data->integers.get_int(at) - data->zero_point(channel, entry));
    if (w == 0) return;
    reach.zero[channel] = false;
    reach.absolute[channel] += std::abs(w);
    reach.positive[channel] += std::max(w * low, w * high);
    reach.negative[channel] += std::min(w * low, w * high);
  });
  return reach;
}

namespace {

constexpr double kSmallestScale = 0x1p-120;  // below it a channel adds nothing that float could show
constexpr double kLargestScale = 0x1p120;
constexpr double kUniform = 0x1p-22;

// What happens to each channel.
struct ChannelPlan {
  std::vector<double> scale;
  std::vector<int> sign;  // 1, -1, or 0: cleared
  std::vector<double> shrink;
  bool integers_change = false;
  bool uniform = true;       // one scale would do
  bool groups_agree = true;  // channels that share an entry of the weight's channel dim need one scale
};

bool about_equal(double a, double b) { return std::abs(a - b) <= kUniform * b; }

Answer<ChannelPlan> plan_channels(const ConvSite& site, const WeightChange& change,
                                  const std::vector<double>& scales) {
  ChannelPlan plan;
  const auto run = static_cast<size_t>(site.channels_per_scale_run);
  double first = 0;
  for (size_t c = 0; c < change.factor.size(); ++c) {
    const double shrink = change.shrink.empty() ? 1.0 : change.shrink[c];
    const double factor = change.factor[c];
    double scale = scales[c] * std::abs(factor) / shrink;
    int sign = factor < 0 ? -1 : 1;
    if (!(scale >= kSmallestScale)) {
      sign = 0;
      scale = scales[c] / shrink;
    }
    if (!(scale <= kLargestScale)) {
      return Why{site.node, "weight-scale", "a finite scale", fmt::format("{}", scale),
                 fmt::format("channel {} of '{}' would need the weight scale {}", c, source_name(*site.node),
                             scale)};
    }
    plan.sign.push_back(sign);
    plan.shrink.push_back(shrink);
    plan.scale.push_back(scale);
    plan.integers_change |= sign != 1 || shrink != 1.0;
    plan.groups_agree &= about_equal(scale, plan.scale[c % run]);
    // A cleared channel takes any scale, so it does not force one scale a channel.
    if (sign == 0 && shrink == 1.0) continue;
    if (first == 0) first = scale;
    plan.uniform &= about_equal(scale, first);
  }
  if (plan.uniform && first != 0) plan.scale.assign(plan.scale.size(), first);
  return plan;
}

// The changed integers; refuses if a sign does not fit into the declared range.
Answer<Tensor> changed_integers(const ConvSite& site, const ChannelPlan& plan, const WeightData& data) {
  const QuantType& quant = *site.weight_type();
  Result<Tensor> made = Tensor::make(data.integers.dtype(), data.integers.shape());
  if (!made.ok())
    return Why{site.node, "memory", "memory for the weight", made.error().first().text,
               made.error().first().text};
  std::optional<int64_t> outside;
  size_t outside_channel = 0;
  data.for_each([&](int64_t at, size_t channel, int64_t entry) {
    const int64_t zero = data.zero_point(channel, entry);
    const int64_t w = data.integers.get_int(at) - zero;
    int64_t q = zero + plan.sign[channel] * w;
    if (plan.shrink[channel] != 1.0 && plan.sign[channel] != 0) {
      q = zero + static_cast<int64_t>(
                     round_half_even(static_cast<double>(plan.sign[channel] * w) * plan.shrink[channel]));
    }
    if (q < quant.qmin || q > quant.qmax) {
      if (plan.sign[channel] < 0 && !outside) {
        outside = q;
        outside_channel = channel;
      }
    }
    made->set_int(at, q);
  });
  if (outside) {
    return Why{
        site.node, "sign-range", fmt::format("negated weights within {}..{}", quant.qmin, quant.qmax),
        std::to_string(*outside),
        fmt::format("channel {} of '{}' changes its sign, but a weight would become {}, outside {}..{}",
                    outside_channel, source_name(*site.node), *outside, quant.qmin, quant.qmax)};
  }
  return std::move(made).value();
}

// The new QuantType: still one scale if that is enough, else one a channel.
Answer<QuantType> changed_type(const ConvSite& site, const ChannelPlan& plan, const WeightData& data,
                               const Backend* backend) {
  Context& context = site.node->context();
  const QuantType& old = *site.weight_type();
  QuantType quant = old;
  if (old.per_tensor() && old.scales == nullptr && plan.uniform) {
    quant.scale = plan.scale[0];
    return quant;
  }
  const std::string stem(site.node->name());
  const bool blocks = old.per_block() || !(plan.groups_agree || plan.uniform);
  const std::vector<int64_t> extents = data.integers.shape();
  std::vector<int64_t> shape{blocks ? site.channels : site.channels_per_scale_run};
  if (blocks) {
    std::vector<int64_t> block(extents.size(), 0);
    block[0] = data.inputs_per_group;
    block[1] = 1;
    quant.axis = -1;
    quant.block = context.ints(block);
    shape.assign(extents.size(), 1);
    shape[0] = site.channels / site.channels_per_scale_run;
    shape[1] = site.channels_per_scale_run;
  } else {
    quant.axis = site.weight_axis;
    quant.block = {};
  }
  const auto cells = static_cast<size_t>(blocks ? site.channels : site.channels_per_scale_run);
  const std::vector<float> scales(plan.scale.begin(), plan.scale.begin() + static_cast<ptrdiff_t>(cells));
  quant.scale = 1.0;
  quant.zero_point = 0;
  quant.scale_dtype = DType::F32;
  std::vector<int64_t> zeros(cells);
  for (size_t k = 0; k < cells; ++k)
    zeros[k] = data.zero_point(k, static_cast<int64_t>(k) % site.channels_per_scale_run);
  const bool kept = old.per_block() == blocks && !old.per_tensor();
  const bool any = std::any_of(zeros.begin(), zeros.end(), [](int64_t z) { return z != 0; });
  quant.zero_points = kept  ? old.zero_points
                      : any ? context.make_constant(stem + "_weight_zero_point", DType::I64, shape, zeros)
                            : nullptr;
  quant.scales = context.make_constant(stem + "_weight_scale", DType::F32, shape, scales);
  if (backend != nullptr && (old.per_tensor() || blocks != old.per_block())) {
    const Shape weight_shape = site.weight_dequantize->operand(0)->type().shape;
    const backend::WeightAnswer now =
        backend->takes_weight_quant(site.node->op(), site.weight_operand, old, weight_shape);
    const backend::WeightAnswer then =
        backend->takes_weight_quant(site.node->op(), site.weight_operand, quant, weight_shape);
    if (now.ok && !then.ok) {
      const std::string_view found = blocks ? "one scale a channel of each group" : "one scale a channel";
      return Why{site.node, "backend.weight", then.wanted, std::string(found),
                 fmt::format("the weight of '{}' would need {}; backend {} takes {}", source_name(*site.node),
                             found, backend->name(), then.wanted)};
    }
  }
  return quant;
}

}  // namespace

Answer<Value*> change_weight(const ConvSite& site, const WeightChange& change, const Backend* backend,
                             ConstantValues& values) {
  const Answer<std::vector<double>> scales = weight_scales(site);
  if (!scales) return scales.why();
  Answer<ChannelPlan> plan = plan_channels(site, change, *scales);
  if (!plan) return plan.why();
  Answer<WeightData> data = read_weight(site, values);
  if (!data) return data.why();
  Answer<QuantType> quant = changed_type(site, *plan, *data, backend);
  if (!quant) return quant.why();

  Node& node = *site.node;
  Context& context = node.context();
  const Node* stored = site.weight_dequantize->operand(0)->def();
  const Constant* constant = stored->constant();
  if (plan->integers_change || constant == nullptr) {
    Answer<Tensor> integers = changed_integers(site, *plan, *data);
    if (!integers) return integers.why();
    Result<const Constant*> made = store_tensor(context, std::string(node.name()) + "_weight", *integers);
    if (!made.ok())
      return Why{&node, "memory", "memory for the weight", made.error().first().text,
                 made.error().first().text};
    constant = *made;
  }
  const Type* type = context.with_quant(site.weight_dequantize->operand(0)->type(), *quant);
  Value* integers = add_const_node(*node.graph(), *constant, type, &node);
  Value* operands[] = {integers};
  Node* dequantize = node.graph()->create({.op = &ops::dequantize,
                                           .operands = operands,
                                           .name = site.weight_dequantize->name(),
                                           .origins = site.weight_dequantize->origins()},
                                          &node);
  dequantize->result()->set_type(site.weight_dequantize->result()->type_ptr());
  if (site.weight_permute == nullptr) return dequantize->result();
  const Node& old = *site.weight_permute;
  Value* plain[] = {dequantize->result()};
  Node* permute = node.graph()->create({.op = &ops::permute,
                                        .operands = plain,
                                        .attrs = old.attrs_data(),
                                        .name = old.name(),
                                        .origins = old.origins()},
                                       &node);
  permute->result()->set_type(old.result()->type_ptr());
  return permute->result();
}

}  // namespace zp::qat
