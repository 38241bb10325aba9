#include "passes/qat/fold_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "passes/qat/fake_quantize.h"

namespace zp::qat {
namespace {

constexpr double kBiasRoom = 0x1p30;  // a bias beyond it leaves no room for the accumulator in int32
constexpr double kBiasLimit = 0x1p31 - 1;

class Planner {
 public:
  Planner(const FoldSituation& situation, const std::vector<double>& scales, ConstantValues& values)
      : s_(situation), site_(situation.chain.site), scales_(scales), values_(values) {}

  Answer<FoldPlan> make() {
    if (auto why = plan_factors()) return *why;
    plan_.integer_bias = s_.integer_bias;
    if (plan_.integer_bias) {
      if (auto why = plan_units()) return *why;
    }
    if (auto why = plan_bound()) return *why;
    return std::move(plan_);
  }

 private:
  std::optional<Why> plan_factors();
  std::optional<Why> plan_units();
  std::optional<Why> plan_bound();
  double real_weight_bound() const;
  std::optional<Why> read_reach() {
    if (reach_) return std::nullopt;
    Answer<WeightReach> read = weight_reach(site_, values_);
    if (!read) return read.why();
    reach_ = std::move(*read);
    return std::nullopt;
  }

  const FoldSituation& s_;
  const ConvSite& site_;
  const std::vector<double>& scales_;  // of the weight, one a channel; empty: a float weight
  ConstantValues& values_;
  std::optional<WeightReach> reach_;
  FoldPlan plan_;
};

// a into factors of the weight: 1 within rounding stays, 0 clears the channel. A channel whose weights are
// all zero does not care what it is multiplied by: that is where training pruned a gamma and the archive
// computes 0 / 0.
std::optional<Why> Planner::plan_factors() {
  const AffineMap& map = s_.map.whole;
  const Node& end = *s_.chain.end;
  plan_.factor.reserve(map.channels());
  plan_.bias.reserve(map.channels());
  for (size_t c = 0; c < map.channels(); ++c) {
    double a = map.a[c].is_infinite() ? INFINITY : map.a[c].standard();
    const double b = map.b[c].is_infinite() ? INFINITY : map.b[c].standard();
    if (!std::isfinite(b)) {
      return Why{&end, "finite", "finite constants", fmt::format("{}", b),
                 fmt::format("channel {} of '{}' is shifted by {}", c, source_name(end), b)};
    }
    if (!(std::abs(a - 1) <= kUnity) && !scales_.empty() && !s_.fixed_weight) {
      if (auto why = read_reach()) return why;
      if (reach_->zero[c]) {
        a = 1;
        plan_.weightless.push_back(c);
      }
    }
    if (!std::isfinite(a)) {
      return Why{&end, "finite", "finite constants", fmt::format("{}", a),
                 fmt::format("channel {} of '{}' is multiplied by {}", c, source_name(end), a)};
    }
    plan_.largest_deviation = std::max(plan_.largest_deviation, std::abs(a - 1));
    plan_.cleared += a == 0;
    plan_.factor.push_back(std::abs(a - 1) <= kUnity ? 1.0 : a);
    plan_.weights_change |= plan_.factor.back() != 1.0;
    plan_.bias.push_back(b);
  }
  return std::nullopt;
}

// The accumulator units after the change. A bias that int32 cannot hold beside the accumulator (a gamma of
// 1e-9 leaves tiny units and a bias of ordinary size) makes the channel's weights coarser: what they add is
// then far below a step.
std::optional<Why> Planner::plan_units() {
  const AccumulatorUnits& units = *s_.expected.units;
  for (size_t c = 0; c < plan_.bias.size(); ++c) {
    const double factor = plan_.factor[c] == 0 ? 1.0 : std::abs(plan_.factor[c]);
    const double unit = units.units[c] * factor;
    const double steps = std::abs(plan_.bias[c]) / unit;
    if (!(steps > kBiasRoom)) continue;
    if (auto why = read_reach()) return why;
    if (steps + std::max(reach_->positive[c], -reach_->negative[c]) <= kBiasLimit) continue;
    if (plan_.shrink.empty()) plan_.shrink.assign(plan_.bias.size(), 1.0);
    plan_.shrink[c] = kBiasRoom / steps;
    plan_.weights_change = true;
    ++plan_.shrunk;
  }
  // Where the weight must keep one scale, all channels become as coarse as the coarsest.
  if (plan_.shrunk > 0 && units.per_tensor && plan_.largest_deviation <= kUnity &&
      !takes_scale_per_channel(site_, s_.backend)) {
    const double coarsest = *std::min_element(plan_.shrink.begin(), plan_.shrink.end());
    plan_.shrink.assign(plan_.bias.size(), coarsest);
  }
  return std::nullopt;
}

// Weights and input are floats: the factors round each weight once more and sums in another order of
// magnitude. Values of a channel lie where the batch norm's statistics say; a rounding is 2^-24 of a product,
// and products add up like noise, so 2^-18 of eight deviations leaves room for sums of a million terms.
double Planner::real_weight_bound() const {
  double bound = 0;
  for (size_t c = 0; c < plan_.factor.size(); ++c) {
    double size = std::abs(plan_.bias[c]);
    if (s_.expected.statistics) {
      const Normal& n = s_.expected.statistics->channels[c];
      size += std::abs(s_.map.whole.a[c].standard()) * (std::abs(n.mean) + 8 * n.sigma);
    }
    bound = std::max(bound, size);
  }
  return bound * 0x1p-18;
}

// |folded - archive| in the value at the chain's end: half a step of the dropped quantizer through the map,
// half a unit of the bias, the deviations of a that were dropped, coarser weights, and the float roundings of
// the archive's chain.
std::optional<Why> Planner::plan_bound() {
  const QuantType* input = site_.input_type();
  double input_scale = 0, input_reach = 0, step = 0;
  if (input != nullptr && !input->dynamic && input->per_tensor()) {
    input_scale = input->scale;
    input_reach = static_cast<double>(input->qmax - input->qmin);
  }
  const double products = static_cast<double>(site_.stored_weight()->type().elements()) /
                          static_cast<double>(std::max<int64_t>(site_.channels_per_scale_run, 1));
  if (s_.chain.quantize != nullptr) step = s_.chain.quantize->result()->type().quant->scale;
  // Sums of |weight integers|, read only where the archive's sum was a float one.
  if (s_.was_float && !scales_.empty() && !s_.fixed_weight) {
    if (auto why = read_reach()) return why;
  }
  const double levels = scales_.empty() ? 0.0
                                        : static_cast<double>(site_.weight_type()->qmax) -
                                              static_cast<double>(site_.weight_type()->qmin);
  const double roundings = 0x1p-23 * static_cast<double>(s_.chain.steps.size() + 4);
  double bound = scales_.empty() || input_scale == 0 ? real_weight_bound() : 0;
  // A cleared channel takes whatever scale the others have.
  double largest_unit = 0;
  for (size_t c = 0; c < scales_.size(); ++c)
    largest_unit =
        std::max(largest_unit, scales_[c] * input_scale * std::max(std::abs(plan_.factor[c]), 1.0));
  for (size_t c = 0; c < plan_.factor.size(); ++c) {
    const Scaled slope = s_.map.whole.a[c];
    if (slope.is_infinite()) continue;  // 0 / 0 in the archive
    const bool weightless = std::binary_search(plan_.weightless.begin(), plan_.weightless.end(), c);
    const double unit = (scales_.empty() ? 0.0 : scales_[c]) * input_scale;
    const double reach = weightless ? 0.0 : products * levels * input_reach * unit;
    const double a = std::abs(slope.standard());
    double change =
        a * (step / 2 + s_.clip.largest_excess) + std::abs(slope.standard() - plan_.factor[c]) * reach;
    const double shrink = plan_.shrink.empty() ? 1.0 : plan_.shrink[c];
    if (plan_.integer_bias)
      change += (plan_.factor[c] == 0 ? largest_unit : unit * std::abs(plan_.factor[c])) / shrink / 2;
    if (shrink != 1.0) change += products * input_reach * unit * a / shrink / 2;
    if ((s_.was_float || s_.fixed_weight) && reach > 0) {
      const double absolute = reach_ ? reach_->absolute[c] : products * levels;
      change += a * float_sum_error(products, absolute * input_reach * unit);
    }
    const double magnitude =
        s_.map.magnitude.a[c].standard() * reach + s_.map.magnitude.b[c].standard() + a * reach;
    bound = std::max(bound, change + roundings * magnitude);
  }
  plan_.bound = bound;
  return std::nullopt;
}

}  // namespace

Answer<FoldPlan> make_fold_plan(const FoldSituation& situation, const std::vector<double>& weight_scales,
                                ConstantValues& values) {
  return Planner(situation, weight_scales, values).make();
}

}  // namespace zp::qat
