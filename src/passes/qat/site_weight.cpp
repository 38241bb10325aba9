#include "passes/qat/site_weight.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "backend/backend.h"
#include "ops/conv.h"
#include "ops/infer_util.h"
#include "ops/ops.h"
#include "support/rounding.h"

namespace zp::qat {
namespace {

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
  const Value& stored = *site.stored_weight();
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
  if (site.transposed) data.inputs_per_group = std::max<int64_t>(integers->shape()[0] / site.groups, 1);
  return data;
}

}  // namespace

Answer<WeightReach> weight_reach(const ConvSite& site, ConstantValues& values) {
  Answer<WeightData> data = read_weight(site, values);
  if (!data) return data.why();
  const auto channels = static_cast<size_t>(site.channels);
  WeightReach reach{std::vector<double>(channels),     std::vector<double>(channels),
                    std::vector<bool>(channels, true), std::vector<double>(channels),
                    std::vector<double>(channels),     std::vector<double>(channels)};
  double low = 0, high = 0;
  if (const QuantType* input = site.input_type();
      input != nullptr && !input->dynamic && input->per_tensor()) {
    low = static_cast<double>(input->qmin) - input->zero_point;
    high = static_cast<double>(input->qmax) - input->zero_point;
  }
  const int8_t* bytes = data->integers.dtype() == DType::I8 ? data->integers.data<int8_t>() : nullptr;
  data->for_each([&](int64_t at, size_t channel, int64_t entry) {
    const auto w = static_cast<double>((bytes ? bytes[at] : data->integers.get_int(at)) -
                                       data->zero_point(channel, entry));
    if (w == 0) return;
    reach.zero[channel] = false;
    reach.absolute[channel] += std::abs(w);
    reach.sum[channel] += w;
    reach.squares[channel] += w * w;
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
  std::vector<bool> mirror;  // channels mirrored about the middle of the range; empty: none

  bool mirrors(size_t channel) const { return !mirror.empty() && mirror[channel]; }
  bool any_mirror() const { return std::find(mirror.begin(), mirror.end(), true) != mirror.end(); }
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

// The changed integers. A sign that leaves the declared range (-128 becomes 128) mirrors the channel about
// the middle of the range instead: q' = qmin + qmax - q with the zero point mirrored alike, which is exact.
Answer<Tensor> changed_integers(const ConvSite& site, ChannelPlan& plan, const WeightData& data) {
  const QuantType& quant = *site.weight_type();
  Result<Tensor> made = Tensor::make(data.integers.dtype(), data.integers.shape());
  if (!made.ok())
    return Why{site.node, "memory", "memory for the weight", made.error().first().text,
               made.error().first().text};
  plan.mirror.assign(plan.sign.size(), false);
  data.for_each([&](int64_t at, size_t channel, int64_t entry) {
    const int64_t zero = data.zero_point(channel, entry);
    const int64_t w = data.integers.get_int(at) - zero;
    int64_t q = zero + plan.sign[channel] * w;
    if (plan.shrink[channel] != 1.0 && plan.sign[channel] != 0) {
      q = zero + static_cast<int64_t>(
                     round_half_even(static_cast<double>(plan.sign[channel] * w) * plan.shrink[channel]));
    }
    if (plan.sign[channel] < 0 && (q < quant.qmin || q > quant.qmax)) plan.mirror[channel] = true;
    made->set_int(at, q);
  });
  if (std::find(plan.mirror.begin(), plan.mirror.end(), true) == plan.mirror.end())
    return std::move(made).value();
  std::optional<size_t> outside;
  data.for_each([&](int64_t at, size_t channel, int64_t entry) {
    if (!plan.mirror[channel]) return;
    if (plan.shrink[channel] != 1.0 || data.zero_point(channel, entry) < quant.qmin ||
        data.zero_point(channel, entry) > quant.qmax)
      outside = channel;
    made->set_int(at, quant.qmin + quant.qmax - data.integers.get_int(at));
  });
  if (outside) {
    return Why{site.node, "sign-range", fmt::format("negated weights within {}..{}", quant.qmin, quant.qmax),
               "others",
               fmt::format("channel {} of '{}' changes its sign, but a weight would leave {}..{}", *outside,
                           source_name(*site.node), quant.qmin, quant.qmax)};
  }
  return std::move(made).value();
}

// The type as the operand of the site has it: behind a transposition the axes change places, and blocks that
// are the output channels count as one scale an output channel.
backend::WeightAnswer backend_takes(const ConvSite& site, const Backend& backend, QuantType quant) {
  if (blocks_are_channels(site, quant, ops::known_shape(site.stored_weight()->type().shape))) {
    quant.axis = site.weight_axis;
    quant.block = {};
  }
  const Shape& stored = site.stored_weight()->type().shape;
  Shape shape = stored;
  if (site.weight_permute != nullptr) {
    const Dim dims[] = {stored[1], stored[0]};
    shape = site.node->context().arena().copy(std::span<const Dim>(dims));
    if (quant.axis >= 0) quant.axis = 1 - quant.axis;
  }
  return backend.takes_weight_quant(site.node->op(), site.weight_operand, quant, shape);
}

// Scales and zero points one a channel; in blocks where groups share the weight's channel dim.
QuantType type_per_channel(const ConvSite& site, const ChannelPlan& plan, const WeightData& data,
                           bool blocks) {
  Context& context = site.node->context();
  const QuantType& old = *site.weight_type();
  QuantType quant = old;
  const std::string stem(site.node->name());
  const std::vector<int64_t>& extents = data.integers.shape();
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
  for (size_t k = 0; k < cells; ++k) {
    const int64_t zero = data.zero_point(k, static_cast<int64_t>(k) % site.channels_per_scale_run);
    zeros[k] = plan.mirrors(k) ? old.qmin + old.qmax - zero : zero;
  }
  const bool kept = old.per_block() == blocks && !old.per_tensor() && !plan.any_mirror();
  const bool any = std::any_of(zeros.begin(), zeros.end(), [](int64_t z) { return z != 0; });
  quant.zero_points = kept  ? old.zero_points
                      : any ? context.make_constant(stem + "_weight_zero_point", DType::I64, shape, zeros)
                            : nullptr;
  quant.scales = context.make_constant(stem + "_weight_scale", DType::F32, shape, scales);
  return quant;
}

// The new QuantType: still one scale if that is enough, else one a channel.
Answer<QuantType> changed_type(const ConvSite& site, const ChannelPlan& plan, const WeightData& data,
                               const Backend* backend) {
  const QuantType& old = *site.weight_type();
  if (old.per_tensor() && old.scales == nullptr && plan.uniform && !plan.any_mirror()) {
    QuantType quant = old;
    quant.scale = plan.scale[0];
    return quant;
  }
  // Groups of a transposed convolution share the entries of the weight's channel dim.
  const bool shared = site.transposed && site.groups > 1;
  const bool blocks =
      old.per_block() || (shared && (plan.any_mirror() || !(plan.groups_agree || plan.uniform)));
  const QuantType quant = type_per_channel(site, plan, data, blocks);
  if (backend != nullptr && (old.per_tensor() || blocks != old.per_block() || plan.any_mirror())) {
    const backend::WeightAnswer now = backend_takes(site, *backend, old);
    const backend::WeightAnswer then = backend_takes(site, *backend, quant);
    if (now.ok && !then.ok) {
      const std::string_view found = plan.any_mirror() ? "zero points that are not 0"
                                     : blocks          ? "one scale a channel of each group"
                                                       : "one scale a channel";
      return Why{site.node, "backend.weight", then.wanted, std::string(found),
                 fmt::format("the weight of '{}' would need {}; backend {} takes {}", source_name(*site.node),
                             found, backend->name(), then.wanted)};
    }
  }
  return quant;
}

// `plain` behind the transposition that the old weight had, if any.
Value* transposed_like(const ConvSite& site, Value* plain) {
  if (site.weight_permute == nullptr) return plain;
  const Node& old = *site.weight_permute;
  Value* operands[] = {plain};
  Node* permute = site.node->graph()->create({.op = &ops::permute,
                                              .operands = operands,
                                              .attrs = old.attrs_data(),
                                              .name = old.name(),
                                              .origins = old.origins()},
                                             site.node);
  permute->result()->set_type(old.result()->type_ptr());
  return permute->result();
}

// A float weight times the factors, rounded once to its own type.
Answer<Value*> change_real_weight(const ConvSite& site, const WeightChange& change, ConstantValues& values) {
  Node& node = *site.node;
  const Value& stored = *site.stored_weight();
  const auto refuse = [&](const Error& error) {
    return Why{&node, "constant-weight", "a weight that can be read", error.first().text, error.first().text};
  };
  Result<Tensor> old = values.tensor(stored);
  if (!old.ok()) return refuse(old.error());
  Result<Tensor> made = Tensor::make(old->dtype(), old->shape());
  if (!made.ok()) return refuse(made.error());
  const auto axis = static_cast<size_t>(site.weight_axis);
  int64_t after = 1;
  for (size_t d = axis + 1; d < old->shape().size(); ++d) after *= old->shape()[d];
  const int64_t run = site.channels_per_scale_run;
  const int64_t inputs = site.transposed ? std::max<int64_t>(old->shape()[0] / site.groups, 1) : 0;
  for (int64_t i = 0; i < old->elements(); ++i) {
    const int64_t entry = i / after % run;
    const int64_t group = inputs > 0 ? i / (after * run) / inputs : 0;
    made->set_double(i, old->get_double(i) * change.factor[static_cast<size_t>(group * run + entry)]);
  }
  Result<const Constant*> constant =
      store_tensor(node.context(), std::string(node.name()) + "_weight", *made);
  if (!constant.ok()) return refuse(constant.error());
  return transposed_like(site, add_const_node(*node.graph(), **constant, stored.type_ptr(), &node));
}

}  // namespace

bool takes_scale_per_channel(const ConvSite& site, const Backend* backend) {
  if (backend == nullptr) return true;
  QuantType along = *site.weight_type();
  along.axis = site.weight_axis;
  return backend_takes(site, *backend, along).ok;
}

Answer<Value*> change_weight(const ConvSite& site, const WeightChange& change, const Backend* backend,
                             ConstantValues& values) {
  if (site.weight_dequantize == nullptr) return change_real_weight(site, change, values);
  const Answer<std::vector<double>> scales = weight_scales(site);
  if (!scales) return scales.why();
  Answer<ChannelPlan> plan = plan_channels(site, change, *scales);
  if (!plan) return plan.why();
  Answer<WeightData> data = read_weight(site, values);
  if (!data) return data.why();
  Node& node = *site.node;
  Context& context = node.context();
  const Constant* constant = site.stored_weight()->def()->constant();
  std::optional<Tensor> changed;
  if (plan->integers_change || constant == nullptr) {
    Answer<Tensor> integers = changed_integers(site, *plan, *data);
    if (!integers) return integers.why();
    changed = std::move(*integers);
  }
  Answer<QuantType> quant = changed_type(site, *plan, *data, backend);
  if (!quant) return quant.why();
  if (changed) {
    Result<const Constant*> made = store_tensor(context, std::string(node.name()) + "_weight", *changed);
    if (!made.ok())
      return Why{&node, "memory", "memory for the weight", made.error().first().text,
                 made.error().first().text};
    constant = *made;
  }
  const Type* type = context.with_quant(site.stored_weight()->type(), *quant);
  Value* integers = add_const_node(*node.graph(), *constant, type, &node);
  Value* operands[] = {integers};
  Node* dequantize = node.graph()->create({.op = &ops::dequantize,
                                           .operands = operands,
                                           .name = site.weight_dequantize->name(),
                                           .origins = site.weight_dequantize->origins()},
                                          &node);
  dequantize->result()->set_type(site.weight_dequantize->result()->type_ptr());
  return transposed_like(site, dequantize->result());
}

}  // namespace zp::qat
