// Measures what folds did to their values: the archive's value and the folded one, each against the fold in
// exact arithmetic, from runs of the model before and after on the same inputs. Where a quantizer follows,
// the numbers are those behind it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ir/record.h"
#include "ir/tensor.h"
#include "support/noise.h"

namespace zp {

class FoldMeter {
 public:
  // `records` must outlive the meter and stay where they are.
  explicit FoldMeter(std::span<RewriteRecord> records);
  // One value before and after, `values` by name in the model before. Does nothing for values no fold made.
  void measure(std::string_view value, const std::unordered_map<std::string, Tensor>& values,
               const Tensor& was, const Tensor& is);
  // Writes the sums into the records.
  void finish();

 private:
  struct Sums {
    FoldFacts* facts = nullptr;
    NoiseMeter before, after, change;
    int64_t values = 0, saturated_before = 0, saturated_after = 0;
  };
  std::unordered_map<std::string, Sums> by_value_;
};

}  // namespace zp
