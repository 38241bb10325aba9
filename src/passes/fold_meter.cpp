#include "passes/fold_meter.h"

#include "support/rounding.h"

namespace zp {
namespace {

// The value behind clamp and quantizer, and whether the quantizer cut it off.
struct Stored {
  double value;
  bool saturated;
};

Stored stored(const FoldFacts& facts, double x) {
  x = std::clamp(x, facts.low, facts.high);
  if (facts.step == 0) return {x, false};
  const double wanted = round_half_even(x / facts.step) + facts.zero_point;
  const double q = std::clamp(wanted, facts.qmin, facts.qmax);
  return {(q - facts.zero_point) * facts.step, q != wanted};
}

}  // namespace

FoldMeter::FoldMeter(std::span<RewriteRecord> records) {
  for (RewriteRecord& record : records)
    if (record.fold != nullptr && !record.fold->a.empty()) by_value_[record.into].facts = record.fold.get();
}

void FoldMeter::measure(std::string_view value, const std::unordered_map<std::string, Tensor>& values,
                        const Tensor& was, const Tensor& is) {
  if (by_value_.empty()) return;
  const auto found = by_value_.find(std::string(value));
  if (found == by_value_.end()) return;
  Sums& sums = found->second;
  const FoldFacts& facts = *sums.facts;
  const auto source = values.find(facts.source);
  if (source == values.end() || source->second.elements() != is.elements() || facts.axis >= is.rank()) return;
  int64_t inner = 1;
  for (int d = facts.axis + 1; d < is.rank(); ++d) inner *= is.shape()[static_cast<size_t>(d)];
  const auto channels = static_cast<int64_t>(facts.a.size());
  for (int64_t i = 0; i < is.elements(); ++i) {
    const auto c = static_cast<size_t>(i / inner % channels);
    const double exact =
        std::clamp(facts.a[c] * source->second.get_double(i) + facts.b[c], facts.low, facts.high);
    const double old = was.get_double(i), now = is.get_double(i);
    if (!std::isfinite(exact) || !std::isfinite(old) || !std::isfinite(now)) continue;
    const Stored before = stored(facts, old), after = stored(facts, now);
    sums.before.add(exact, before.value);
    sums.after.add(exact, after.value);
    sums.change.add(before.value, after.value);
    sums.saturated_before += before.saturated;
    sums.saturated_after += after.saturated;
    ++sums.values;
  }
}

void FoldMeter::finish() {
  for (auto& [name, sums] : by_value_) {
    if (sums.values == 0) continue;
    sums.facts->measured = FoldNoise{sums.before.db(), sums.after.db(), sums.change.db()};
    if (sums.facts->step == 0) continue;
    sums.facts->saturated_before =
        static_cast<double>(sums.saturated_before) / static_cast<double>(sums.values);
    sums.facts->saturated_after =
        static_cast<double>(sums.saturated_after) / static_cast<double>(sums.values);
  }
}

}  // namespace zp
