#include "passes/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "interp/interp.h"
#include "ir/verifier.h"
#include "passes/cleanup/cleanup.h"
#include "passes/fold_meter.h"
#include "passes/fuse/fuse.h"
#include "passes/qat/qat.h"
#include "passes/shape/shape.h"
#include "support/clock.h"
#include "support/noise.h"

namespace zp {

std::span<const PassCard> all_passes() {
  static const std::array passes = {kCleanupPass, kPrepareBiasPass, kFoldQatBatchNormPass, kFoldShapePass,
                                    kMoveQdqPass, kFuseQdqPass,     kLayoutPass,           kExpandFusedPass};
  return passes;
}

const PassCard* find_pass(std::string_view name) {
  for (const PassCard& pass : all_passes())
    if (pass.name == name) return &pass;
  return nullptr;
}

std::vector<std::string> default_passes() {
  return {"cleanup", "fold-qat-batch-norm", "prepare-bias", "fold-shape", "move-qdq", "fuse-qdq", "cleanup"};
}

namespace {

using Values = std::unordered_map<std::string, Tensor>;

// The values of one run by name. `forced` holds those of an earlier run: where a value of that name and shape
// exists there, the run goes on with the earlier one, so that a difference is seen where it arises and does
// not spread.
struct Trial {
  std::vector<Tensor> outputs;
  Values values;
};

bool same_layout(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape();
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return same_layout(a, b) &&
         std::memcmp(a.data<std::byte>(), b.data<std::byte>(), static_cast<size_t>(a.bytes())) == 0;
}

Result<Trial> trial(const Model& model, const Sample& sample, const Values* forced,
                    const std::function<void(const Value&, const Tensor&, const Tensor&)>& on_forced) {
  Trial result;
  RunOptions options;
  options.replace = [&](const Value& value, const Tensor& tensor) -> const Tensor* {
    if (value.def() != nullptr && value.def()->is(kConstOp)) return nullptr;
    const std::string name(value.name());
    result.values.insert_or_assign(name, tensor);
    if (forced == nullptr) return nullptr;
    const auto found = forced->find(name);
    if (found == forced->end() || !same_layout(found->second, tensor)) return nullptr;
    on_forced(value, found->second, tensor);
    return &found->second;
  };
  ZP_TRY(result.outputs, run(model, sample, options));
  return result;
}

// Largest difference of two tensors as real numbers; integers of a quantized value count in units of its
// scale.
double largest_difference(Context& context, const Type& type, const Tensor& before, const Tensor& after) {
  double worst = 0;
  std::vector<double> scales;
  int64_t inner = 1, extent = 1;
  if (type.quant != nullptr && !type.quant->dynamic) {
    if (auto params = quant_params(context, *type.quant, after.shape()); params.ok()) {
      scales = params->scales;
      if (type.quant->per_axis()) {
        extent = after.shape()[static_cast<size_t>(type.quant->axis)];
        for (size_t d = static_cast<size_t>(type.quant->axis) + 1; d < after.shape().size(); ++d)
          inner *= after.shape()[d];
      }
    }
  }
  const double largest_scale = scales.empty() ? 1.0 : *std::max_element(scales.begin(), scales.end());
  for (int64_t i = 0; i < after.elements(); ++i) {
    const double a = before.get_double(i), b = after.get_double(i);
    if (a == b || std::isnan(a)) continue;  // what was 0/0 has no value that could be kept
    double scale = 1.0;
    if (scales.size() == 1) scale = scales[0];
    else if (static_cast<int64_t>(scales.size()) == extent && extent > 1)
      scale = scales[static_cast<size_t>(i / inner % extent)];
    else if (!scales.empty()) scale = largest_scale;
    const double d = std::fabs(a - b) * scale;
    worst = std::max(worst, std::isnan(d) ? INFINITY : d);
  }
  return worst;
}

double largest_magnitude(const Tensor& tensor) {
  double largest = 0;
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    const double v = std::fabs(tensor.get_double(i));
    if (std::isfinite(v)) largest = std::max(largest, v);
  }
  return largest;
}

class Verifier {
 public:
  Verifier(PassContext& context, VerifyReport& report) : context_(context), report_(report) {}

  Status start() {
    for (const Sample& sample : context_.samples) {
      ZP_TRY(Trial t, trial(context_.model, sample, nullptr, {}));
      first_.push_back(t.outputs);
      before_.push_back(std::move(t));
    }
    report_.runs = static_cast<int>(context_.samples.size());
    return {};
  }

  // Runs the changed graph; every value that both graphs have must keep its bits, or what the rewrites state.
  Status after(const PassCard& pass, size_t first_rewrite) {
    std::unordered_map<std::string, double> allowed;
    for (size_t i = first_rewrite; i < context_.records.rewrites.size(); ++i) {
      const RewriteRecord& r = context_.records.rewrites[i];
      if (!r.into.empty()) allowed[r.into] = std::max(allowed[r.into], r.max_abs_change);
    }
    FoldMeter folds(std::span(context_.records.rewrites).subspan(first_rewrite));
    for (size_t s = 0; s < context_.samples.size(); ++s) {
      auto compare = [&](const Value& value, const Tensor& was, const Tensor& is) {
        folds.measure(value.name(), before_[s].values, was, is);
        if (same_bits(was, is) || report_.first_difference) return;
        const double difference = largest_difference(*context_.model.context, value.type(), was, is);
        double bound = 0;
        if (pass.promise == Promise::Rounded) {
          if (const auto found = allowed.find(std::string(value.name())); found != allowed.end())
            bound = found->second;
          if (value.def() != nullptr) {
            if (const auto found = allowed.find(std::string(value.def()->name())); found != allowed.end())
              bound = std::max(bound, found->second);
          }
        }
        // Bounds are those of real numbers; a float value is rounded to its own precision on top.
        if (pass.promise == Promise::Rounded && bound > 0 && value.type().quant == nullptr)
          bound += 0x1p-22 * largest_magnitude(was);
        if (difference <= bound * (1 + 1e-6)) return;
        report_.first_difference =
            FirstDifference{std::string(pass.name), std::string(value.name()), difference, bound};
      };
      ZP_TRY(Trial forced, trial(context_.model, context_.samples[s], &before_[s].values, compare));
      ZP_TRY(Trial free, trial(context_.model, context_.samples[s], nullptr, {}));
      if (pass.promise == Promise::Exact && !report_.first_difference) {
        for (size_t k = 0; k < free.outputs.size(); ++k) {
          if (!same_bits(before_[s].outputs[k], free.outputs[k])) {
            report_.first_difference =
                FirstDifference{std::string(pass.name), "output " + std::to_string(k), 0, 0};
          }
        }
      }
      before_[s] = std::move(free);
    }
    folds.finish();
    return {};
  }

  void finish() {
    NoiseMeter meter;
    for (size_t s = 0; s < first_.size(); ++s) {
      for (size_t k = 0; k < first_[s].size(); ++k) {
        const Tensor& a = first_[s][k];
        const Tensor& b = before_[s].outputs[k];
        if (a.elements() != b.elements()) continue;
        for (int64_t i = 0; i < a.elements(); ++i) {
          const double x = a.get_double(i), y = b.get_double(i);
          if (std::isfinite(x) && std::isfinite(y)) meter.add(x, y);
        }
      }
    }
    report_.max_abs_error = meter.largest;
    report_.sqnr_db = meter.db();
  }

 private:
  PassContext& context_;
  VerifyReport& report_;
  std::vector<std::vector<Tensor>> first_;
  std::vector<Trial> before_;
};

}  // namespace

Result<PipelineResult> run_passes(PassContext& context, const PipelineOptions& options) {
  PipelineResult result;
  const std::vector<std::string> names = options.passes.empty() ? default_passes() : options.passes;
  std::vector<const PassCard*> cards;
  for (const std::string& name : names) {
    const PassCard* card = find_pass(name);
    if (card == nullptr) {
      std::string known;
      for (const PassCard& p : all_passes()) known += (known.empty() ? "" : ", ") + std::string(p.name);
      return Error("pass.name", "no pass is called '" + name + "'; passes: " + known, ErrorKind::Usage);
    }
    cards.push_back(card);
  }
  Verifier verifier(context, result.verify);
  if (options.verify) ZP_CHECK(verifier.start());
  uint64_t checked = UINT64_MAX;  // the graph as it was last looked at: one that did not change is as good
  for (const PassCard* card : cards) {
    const uint64_t before = context.model.context->changes();
    const size_t first_rewrite = context.records.rewrites.size();
    const double start = now_ms();
    ZP_CHECK(card->run(context));
    result.timings.push_back(
        {std::string(card->name), context.model.context->changes() - before, now_ms() - start});
    if (const uint64_t now = context.model.context->changes(); now != checked) {
      checked = now;
      // The border between quantized and plain values is looked at in any case: that costs next to nothing.
      const bool all = options.check_graph || options.verify;
      const std::vector<Diagnostic> problems = all ? verify(context.model) : check_boundary(context.model, 1);
      if (!problems.empty()) {
        Diagnostic first = problems.front();
        first.text += fmt::format(" (after pass {})", card->name);
        return Error(std::move(first), ErrorKind::Internal);
      }
    }
    if (options.verify && context.model.context->changes() != before)
      ZP_CHECK(verifier.after(*card, first_rewrite));
    if (options.print && (options.print_after == "all" || options.print_after == card->name))
      options.print(card->name, context.model);
    if (options.stop_after == card->name) break;
  }
  if (options.verify) verifier.finish();
  return result;
}

}  // namespace zp
