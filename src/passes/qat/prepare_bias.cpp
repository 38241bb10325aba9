// prepare-bias: convolutions and linears with quantized input and weight get the bias that integer kernels
// want, an int32 constant with the scale of input times weight (one scale, or one a channel). A float bias is
// rounded half to even in double and saturates at int32 with a warning; an int32 bias of another scale is
// restated if that is exact; a missing one becomes zeros. Where the backend takes float biases only, they
// stay float. Constants are shared, so a bias of two convolutions becomes two constants. It pays before
// fusing; weight-only and dynamic operators keep their bias.
#include <fmt/format.h>

#include <cmath>

#include "backend/backend.h"
#include "ops/ops.h"
#include "passes/qat/channel_constants.h"
#include "passes/qat/conv_site.h"
#include "passes/qat/qat.h"

namespace zp {
namespace {

using qat::Answer;
using qat::ConvSite;
using qat::Why;

constexpr std::string_view kPass = "prepare-bias";
constexpr double kSameScale = 0x1p-22;

// The quantization of a bias that is int32 already; null otherwise.
const QuantType* integer_bias_type(const Value* bias) {
  const Node* def = bias ? bias->def() : nullptr;
  if (def == nullptr || !def->is(ops::dequantize)) return nullptr;
  const QuantType* quant = def->operand(0)->type().quant;
  return quant != nullptr && !quant->dynamic && quant->storage == DType::I32 &&
                 quant->domain != ZeroPointDomain::Float
             ? quant
             : nullptr;
}

// Zero point 0 and the scales of the accumulator, up to what rounding a product to float does.
bool has_accumulator_scale(Context& context, const QuantType& quant, const qat::AccumulatorUnits& units) {
  const int64_t shape[] = {static_cast<int64_t>(units.units.size())};
  const Result<QuantParams> params = quant_params(context, quant, shape);
  if (!params.ok()) return false;
  for (size_t c = 0; c < units.units.size(); ++c) {
    const size_t k = params->scales.size() == 1 ? 0 : c;
    if (params->zero_points[k] != 0 ||
        std::abs(params->scales[k] - units.units[c]) > kSameScale * units.units[c])
      return false;
  }
  return true;
}

class BiasPreparation {
 public:
  explicit BiasPreparation(PassContext& context) : context_(context), bias_forms_(context.backend) {}

  Status run(Graph& graph) {
    for (Node* node : graph.nodes()) {
      if (!qat::is_conv_or_linear(*node)) continue;
      ZP_CHECK(prepare(*node));
      constants_.trim();
    }
    return {};
  }

 private:
  Status prepare(Node& node) {
    Answer<ConvSite> site = qat::conv_site(node);
    if (!site || site->input_dequantize == nullptr || site->weight_dequantize == nullptr) return {};
    const Answer<qat::AccumulatorUnits> units = qat::accumulator_units(*site);
    if (!units || !bias_forms_.integer(node.op()) || !bias_forms_.takes_integer(node.op())) return {};
    const Value* bias = site->bias();
    const QuantType* integer = integer_bias_type(bias);
    if (integer != nullptr && has_accumulator_scale(node.context(), *integer, *units)) return {};

    std::vector<double> values(static_cast<size_t>(site->channels), 0.0);
    if (bias != nullptr) {
      if (!ConstantFlow::is_constant(bias)) {
        keep(node, {&node, "constant-bias", "a constant bias", "a computed one",
                    fmt::format("the bias of '{}' is not a constant", qat::source_name(node))});
        return {};
      }
      const Answer<std::vector<qat::Scaled>> read =
          constants_.vector(node, *bias, site->channels, qat::Zeros::Exact);
      if (!read) {
        keep(node, read.why());
        return {};
      }
      for (size_t c = 0; c < values.size(); ++c) values[c] = (*read)[c].standard();
    }
    for (double v : values) {
      if (std::isfinite(v)) continue;
      keep(node, {&node, "finite-bias", "finite values", fmt::format("{}", v),
                  fmt::format("the bias of '{}' is not finite", qat::source_name(node))});
      return {};
    }
    if (integer != nullptr && !restatable(node, *units, values)) return {};
    return replace(*site, *units, values,
                   bias == nullptr ? "a missing bias became int32 zeros"
                   : integer       ? "an int32 bias was restated"
                                   : "a float bias became int32");
  }

  // An int32 bias of another scale may change its scale only if no value moves.
  bool restatable(const Node& node, const qat::AccumulatorUnits& units, const std::vector<double>& values) {
    for (size_t c = 0; c < values.size(); ++c) {
      const double steps = values[c] / units.units[c];
      if (std::abs(steps - std::nearbyint(steps)) <= kSameScale * std::abs(steps) && std::abs(steps) < 0x1p31)
        continue;
      keep(
          node,
          {&node, "bias-scale", fmt::format("a multiple of {}", units.units[c]), fmt::format("{}", values[c]),
           fmt::format("the int32 bias of '{}' has another scale; channel {} is {} units of the accumulator",
                       qat::source_name(node), c, steps)});
      return false;
    }
    return true;
  }

  Status replace(const ConvSite& site, const qat::AccumulatorUnits& units, const std::vector<double>& values,
                 std::string_view what) {
    const std::string source = qat::source_name(*site.node);
    ZP_TRY(const qat::IntegerBias made, qat::make_integer_bias(site, units, values));
    double error = 0;
    for (size_t c = 0; c < values.size(); ++c) {
      const double nearest =
          std::clamp(std::nearbyint(values[c] / units.units[c]), -0x1p31, 0x1p31 - 1) * units.units[c];
      if (nearest == values[c]) continue;
      error = std::max(
          error, std::abs(nearest - values[c]) + largest_sum(site, units.units[c], values[c]) * 0x1p-23);
    }
    Node* node = qat::set_bias(site, made.value);
    RewriteRecord record{.pass = std::string(kPass),
                         .pattern = "int32-bias",
                         .nodes = source_names(*node),
                         .into = std::string(node->name()),
                         .note = fmt::format("{}; largest change {:.3g}", what, error)};
    record.max_abs_change = error;
    if (made.saturated > 0) {
      record.note += fmt::format("; {} channels saturated", made.saturated);
      context_.records.warnings.push_back(
          fmt::format("{}: the bias of '{}' exceeds int32 in {} of {} channels and was saturated", kPass,
                      source, made.saturated, values.size()));
    }
    context_.records.rewrites.push_back(std::move(record));
    return {};
  }

  // No result is larger: bounds what its rounding to float may change.
  static double largest_sum(const ConvSite& site, double unit, double bias) {
    const QuantType& input = *site.input_type();
    const QuantType& weight = *site.weight_type();
    const double products = static_cast<double>(site.weight_dequantize->operand(0)->type().elements()) /
                            static_cast<double>(site.channels_per_scale_run);
    return std::abs(bias) + unit * products * static_cast<double>(input.qmax - input.qmin) *
                                static_cast<double>(weight.qmax - weight.qmin);
  }

  void keep(const Node& node, const Why& why) {
    KeptRecord record = qat::kept_record(kPass, node, why);
    record.pattern = "int32-bias";
    context_.records.kept.push_back(std::move(record));
  }

  PassContext& context_;
  qat::BiasForms bias_forms_;
  qat::ChannelConstants constants_;
};

Status run_prepare_bias(PassContext& context) {
  BiasPreparation preparation(context);
  const std::vector<Graph*> graphs = context.model.graphs();
  for (Graph* graph : graphs)
    for (Node* node : graph->nodes()) node->scratch = 0;  // as ConstantFlow::start does
  for (Graph* graph : graphs) ZP_CHECK(preparation.run(*graph));
  return {};
}

}  // namespace

const PassCard kPrepareBiasPass{
    .name = "prepare-bias",
    .doc = "gives quantized convolutions and linears the int32 bias their kernels want",
    .needs = "",
    .gives = "biases behind a dequantize with the scale of input times weight",
    .promise = Promise::Rounded,
    .run = run_prepare_bias};

}  // namespace zp
