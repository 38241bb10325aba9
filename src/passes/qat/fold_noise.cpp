#include "passes/qat/fold_noise.h"

#include <algorithm>
#include <cmath>

#include "ops/ops.h"
#include "passes/fuse/plan.h"
#include "support/noise.h"

namespace zp::qat {
namespace {

constexpr size_t kFarthest = 4;  // operators between a chain and its quantizer

// E[(q(x + n) - q(x))^2] for noise n of that variance, uniform, and a quantizer of that step: roundings agree
// unless the noise crosses a border, and are independent once it is wider than a step.
double difference_of_roundings(double variance, double step) {
  const double wide = variance + step * step / 6;
  return step == 0 ? variance : std::min(wide, step * std::sqrt(12 * variance) / 4 + variance);
}

struct Channel {
  Normal value;        // at the end of the chain
  double archive = 0;  // variance of the archive's noise there
  double result = 0;   // of the result's
};

class Prediction {
 public:
  explicit Prediction(const OutputStage& stage) : stage_(stage) {
    if (stage.quant == nullptr) return;
    step_ = stage.quant->scale;
    low_ = std::max(low_, (static_cast<double>(stage.quant->qmin) - stage.quant->zero_point - 0.5) * step_);
    high_ = std::min(high_, (static_cast<double>(stage.quant->qmax) - stage.quant->zero_point + 0.5) * step_);
  }
  void add(const Channel& c) {
    const double low = std::max(low_, stage_.low), high = std::max(std::min(high_, stage_.high), low);
    const double inside = std::max(1 - c.value.outside(low, high), 0.0);
    // What the quantizer cuts off beyond the activation's own clamp.
    const double cut =
        std::max(c.value.clip_noise(low, high) - c.value.clip_noise(stage_.low, stage_.high), 0.0);
    const double rounding = inside * step_ * step_ / 12;
    power_ += c.value.clipped_power(stage_.low, stage_.high);
    before_ += inside * c.archive + rounding + cut;
    after_ += inside * c.result + rounding + cut;
    change_ += inside * difference_of_roundings(c.archive + c.result, step_);
    ++channels_;
  }
  std::optional<FoldNoise> noise() const {
    if (channels_ == 0 || !std::isfinite(power_)) return std::nullopt;
    return FoldNoise{sqnr_db(power_, before_), sqnr_db(power_, after_), sqnr_db(power_, change_)};
  }

 private:
  OutputStage stage_;
  double step_ = 0, low_ = -INFINITY, high_ = INFINITY;
  double power_ = 0, before_ = 0, after_ = 0, change_ = 0;
  size_t channels_ = 0;
};

}  // namespace

OutputStage output_stage(const Value& end) {
  OutputStage stage;
  const Value* value = &end;
  for (size_t i = 0; i < kFarthest; ++i) {
    const Node* user = value->only_user();
    if (user == nullptr || user->operand(0) != value) break;
    if (user->is(ops::quantize)) {
      const QuantType* quant = user->result()->type().quant;
      if (!quant->dynamic && quant->per_tensor() && quant->scales == nullptr && is_integer(quant->storage))
        stage.quant = quant;
      break;
    }
    if (const auto bounds = fuse::clamp_bounds(*user)) {
      stage.low = std::max(stage.low, bounds->low.value_or(-INFINITY));
      stage.high = std::max(std::min(stage.high, bounds->high.value_or(INFINITY)), stage.low);
    } else if (!user->is(ops::identity)) {
      return {};  // a curve: noise is counted in front of it
    }
    value = user->result();
  }
  return stage.quant != nullptr ? stage : OutputStage{};
}

std::optional<FoldNoise> predict_noise(const FoldSituation& s, const FoldPlan& plan,
                                       const OutputStage& stage) {
  const std::optional<Statistics>& statistics = s.expected.statistics;
  const std::vector<Normal>* normals = statistics && !statistics->initial ? &statistics->channels
                                       : !s.expected.natural.empty()      ? &s.expected.natural.front()
                                                                          : nullptr;
  if (normals == nullptr) return std::nullopt;
  double step = 0;
  if (s.chain.quantize != nullptr) step = s.chain.quantize->result()->type().quant->scale;
  Prediction prediction(stage);
  for (size_t c = 0; c < normals->size(); ++c) {
    const Normal& y = (*normals)[c];
    const Scaled slope = s.map.whole.a[c];
    if (!(y.sigma > 0) || !slope.is_ordinary() || slope.is_zero() || !s.map.offset[c].is_ordinary()) continue;
    const double a = slope.standard();
    Channel channel{{a * y.mean + s.map.offset[c].standard(), std::abs(a) * y.sigma}};
    channel.archive = a * a * step * step / 12;
    if (plan.integer_bias) {
      const double unit = s.expected.units->units[c] * std::abs(plan.factor[c] == 0 ? 1.0 : plan.factor[c]) /
                          (plan.shrink.empty() ? 1.0 : plan.shrink[c]);
      channel.result = unit * unit / 12;
    }
    if (!s.drops_pair) channel.result += channel.archive;
    prediction.add(channel);
  }
  return prediction.noise();
}

}  // namespace zp::qat
