#include "passes/qat/bias_before.h"

#include <cmath>
#include <limits>
#include <span>

#include "ops/binary.h"
#include "ops/norm.h"
#include "ops/ops.h"
#include "support/rounding.h"

namespace zp::qat {
namespace {

// The channel numbers of a float constant as single precision; empty if they are not to be had.
std::vector<float> floats(const Node& node, const Value* value, const Chain& chain,
                          ChannelConstants& constants, const Type* data = nullptr) {
  if (value == nullptr) return {};
  const Answer<std::vector<Scaled>> read =
      data != nullptr ? constants.per_channel(node, *value, *data, chain.site.channel_axis,
                                              chain.site.channels, Zeros::Exact)
                      : constants.vector(node, *value, chain.site.channels, Zeros::Exact);
  std::vector<float> out;
  if (!read) return out;
  for (const Scaled& v : *read) out.push_back(static_cast<float>(v.standard()));
  return out;
}

struct Parts {
  const Node* batch_norm = nullptr;
  const Node* add = nullptr;
};

// div, [add], batch_norm: nothing else, data on the left.
std::optional<Parts> parts_of(const Chain& chain) {
  Parts parts;
  bool divided = false;
  for (const ChainStep& step : chain.steps) {
    if (step.kind == ChainStep::Nothing) continue;
    if (parts.batch_norm != nullptr || step.data != 0) return std::nullopt;
    if (step.kind == ChainStep::BatchNorm) {
      parts.batch_norm = step.node;
    } else if (step.node->is(ops::div) && !divided) {
      divided = true;
    } else if (step.node->is(ops::add) && divided && parts.add == nullptr &&
               step.node->attrs<ops::AddAttrs>().alpha.as_double() == 1) {
      parts.add = step.node;
    } else {
      return std::nullopt;
    }
  }
  if (!divided || parts.batch_norm == nullptr || chain.quantize == nullptr) return std::nullopt;
  return parts;
}

// The bias as integers of the accumulator: as it is stored, or rounded from floats; zeros where there is
// none.
std::optional<BiasBefore> stored_bias(const Chain& chain, const AccumulatorUnits& units,
                                      ChannelConstants& constants) {
  const Value* bias = chain.site.bias();
  BiasBefore stored{std::vector<int32_t>(static_cast<size_t>(chain.site.channels), 0), units.units[0]};
  std::vector<int32_t>& out = stored.integers;
  if (bias == nullptr) return units.per_tensor ? std::optional(stored) : std::nullopt;
  const Node* def = bias->def();
  if (def != nullptr && def->is(ops::dequantize)) {
    const QuantType& quant = *def->operand(0)->type().quant;
    if (quant.storage != DType::I32 || !quant.per_tensor() || quant.dynamic || quant.zero_point != 0 ||
        quant.scales != nullptr)
      return std::nullopt;
    stored.scale = quant.scale;
    const Result<Tensor> integers = constants.values().tensor(*def->operand(0));
    if (!integers.ok() || integers->elements() != chain.site.channels) return std::nullopt;
    for (size_t c = 0; c < out.size(); ++c)
      out[c] = static_cast<int32_t>(integers->get_int(static_cast<int64_t>(c)));
    return stored;
  }
  const std::vector<float> reals = floats(*chain.site.node, bias, chain, constants);
  if (reals.empty() || !units.per_tensor) return std::nullopt;
  const auto inverse = static_cast<float>(1.0 / units.units[0]);
  for (size_t c = 0; c < out.size(); ++c) {
    out[c] = static_cast<int32_t>(quantize_value(reals[c], inverse, 0, std::numeric_limits<int32_t>::min(),
                                                 std::numeric_limits<int32_t>::max()));
  }
  return stored;
}

}  // namespace

std::optional<BiasBefore> bias_before(const Chain& chain, const AccumulatorUnits& units,
                                      ChannelConstants& constants) {
  const std::optional<Parts> parts = parts_of(chain);
  if (!parts) return std::nullopt;
  const Node& bn = *parts->batch_norm;
  std::vector<float> operands[5];
  for (size_t i = 1; i < 5; ++i) {
    operands[i] = floats(bn, bn.operand(i), chain, constants);
    if (operands[i].empty()) return std::nullopt;
  }
  const auto& [unused, gamma, beta, mean, var] = operands;
  std::vector<float> added;
  if (parts->add != nullptr) {
    added = floats(*parts->add, parts->add->operand(1), chain, constants, &parts->add->operand(0)->type());
    if (added.empty()) return std::nullopt;
  }
  std::optional<BiasBefore> bias = stored_bias(chain, units, constants);
  if (!bias) return std::nullopt;
  const auto scale = static_cast<float>(bias->scale);
  const auto eps = static_cast<float>(bn.attrs<ops::BatchNormAttrs>().eps);
  for (size_t c = 0; c < bias->integers.size(); ++c) {
    const float deviation = std::sqrt(var[c] + eps);
    const float centred = added.empty() ? -mean[c] : added[c] - mean[c];
    const float correction = centred * gamma[c] / deviation + beta[c];
    const float now = static_cast<float>(bias->integers[c]) * scale + correction;
    const auto steps = static_cast<double>(round_half_even(now / scale));
    if (!(std::abs(steps) < 0x1p31)) return std::nullopt;
    bias->integers[c] = static_cast<int32_t>(steps);
  }
  return bias;
}

}  // namespace zp::qat
