// choose_qparams on run-time tensors: the range of each cell, then one of the named rules. The rules are
// those of torch/ao/quantization/fx/_decomposed.py and torchao/quantization/quant_primitives.py; each
// operation is rounded to the dtype they compute in, which is the dtype of the data.
#include <cmath>
#include <limits>
#include <mutex>

#include "ops/quant.h"
#include "ops/quant_eval.h"
#include "support/half.h"

namespace zp::ops {
namespace {

struct CellRange {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();
  bool nan = false;
};

struct Chosen {
  double scale = 1;
  double zero_point = 0;
};

// Arithmetic in the dtype of the data: f32, or f32 rounded to f16 / bf16 after each operation.
struct Rounder {
  DType dtype;
  float operator()(float v) const {
    if (dtype == DType::F16) return half_to_float(float_to_half(v));
    if (dtype == DType::BF16) return bfloat16_to_float(float_to_bfloat16(v));
    return v;
  }
};

float at_least(float v, float least) { return v != v ? v : (v < least ? least : v); }  // NaN stays
float clamp(float v, float lo, float hi) { return v != v ? v : std::min(std::max(v, lo), hi); }

// qmin - rne(min / scale), clamped; NaN (from NaN data) counts as 0.
double zero_point_from_min(float min, float scale, const QuantType& quant) {
  const float r = round_half_even(min / scale);
  return static_cast<double>(
      saturate_to_int(static_cast<double>(quant.qmin) - (r == r ? r : 0.0f), quant.qmin, quant.qmax));
}

// Whole tensors: an empty range gives scale 1, zero point 0.
Chosen choose_minmax(const CellRange& range, const QuantType& quant, bool symmetric, float eps,
                     const Rounder& round) {
  if (!range.nan && range.min > range.max) return {};
  const float lo = std::min(range.min, 0.0f), hi = std::max(range.max, 0.0f);
  const auto span = static_cast<float>(quant.qmax - quant.qmin);
  Chosen c;
  if (range.nan) {
    c.scale = std::numeric_limits<double>::quiet_NaN();
    return c;
  }
  if (symmetric) {
    c.scale = at_least(round(std::max(-lo, hi) / (span / 2)), eps);
    c.zero_point = quant.storage == DType::U8 ? 128 : 0;
    return c;
  }
  const float scale = at_least(round(round(hi - lo) / span), eps);
  c.scale = scale;
  c.zero_point = zero_point_from_min(lo, scale, quant);
  return c;
}

Chosen choose_per_token(const CellRange& range, const QuantType& quant, const Rounder& data) {
  const Rounder round{data.dtype == DType::F16 ? DType::F32 : data.dtype};  // f16 is widened first
  const float most = range.nan ? std::numeric_limits<float>::quiet_NaN() : std::max(-range.min, range.max);
  Chosen c;
  c.scale = round(at_least(most, round(1e-5f)) / static_cast<float>(quant.qmax));
  return c;
}

// The zero point from the side of the range whose rounding error is smaller.
Chosen choose_per_token_asymmetric(const CellRange& range, const QuantType& quant, const Rounder& round) {
  const float lo = std::min(range.min, 0.0f), hi = std::max(range.max, 0.0f);
  const auto qmin = static_cast<float>(quant.qmin), qmax = static_cast<float>(quant.qmax);
  const float eps = std::numeric_limits<float>::epsilon();
  Chosen c;
  float scale = at_least(round(round(hi - lo) / (qmax - qmin)), round(eps));
  if (range.nan) scale = std::numeric_limits<float>::quiet_NaN();
  const float low = round(lo / scale), high = round(hi / scale);
  const float from_min = round(qmin + low), from_max = round(qmax + high);
  const float zero_point = round(from_min + from_max) > 0 ? round(qmin - low) : round(qmax - high);
  c.scale = scale;
  c.zero_point = zero_point == zero_point ? round_half_even(clamp(zero_point, qmin, qmax)) : 0;
  return c;
}

Chosen choose_affine(const CellRange& range, const QuantType& quant, std::string_view rule, float eps,
                     const Rounder& round) {
  const float lo = std::min(range.min, 0.0f), hi = std::max(range.max, 0.0f);
  const auto qmin = static_cast<float>(quant.qmin), qmax = static_cast<float>(quant.qmax);
  const float span = qmax - qmin;
  float scale;
  if (rule == "affine_symmetric") {
    scale = round(std::max(-lo, hi) / (span / 2));
  } else if (rule == "affine_symmetric_no_clipping") {
    const float from_min = round(lo / qmin), from_max = round(hi / qmax);
    scale = from_min > from_max ? from_min : from_max;
  } else {
    scale = round(round(hi - lo) / span);
  }
  if (range.nan) scale = std::numeric_limits<float>::quiet_NaN();
  scale = at_least(scale, round(eps));
  Chosen c;
  c.scale = scale;
  if (rule == "affine_asymmetric") {
    const float r = round_half_even(round(lo / scale));
    const float zero_point = clamp(round(qmin - r), qmin, qmax);
    c.zero_point = zero_point == zero_point ? zero_point : 0;
  } else {
    c.zero_point = static_cast<double>((quant.qmax + quant.qmin + 1) / 2);
  }
  return c;
}

}  // namespace

Status eval_choose_qparams(EvalArgs& args) {
  const auto& attrs = args.node.attrs<ChooseQparamsAttrs>();
  const QuantType& quant = *attrs.type;
  ZP_TRY(const Tensor x, to_float(*args.in[0]));
  const float* data = x.data<float>();

  // Per token the cells are rows whatever block the type declares.
  QuantType grid_type = quant;
  const bool whole = attrs.rule == "minmax" || attrs.rule == "symmetric";
  const bool rows = attrs.rule == "per_token" || attrs.rule == "per_token_asymmetric";
  std::vector<int64_t> row_block(x.shape().size(), 1);
  if (whole || rows) {
    grid_type.axis = -1;
    if (rows && !row_block.empty()) row_block.back() = 0;
    grid_type.block = rows ? List<int64_t>(row_block.data(), row_block.size()) : List<int64_t>();
  }
  QuantParams params;
  params.type = &grid_type;
  params.grid = quant_grid(grid_type, x.shape());
  const int64_t cells = whole ? 1 : product(params.grid);
  if (!whole && x.elements() == 0)
    return args.node.error("choose_qparams.empty", "there are no elements to take a range of");

  std::vector<CellRange> ranges(static_cast<size_t>(cells));
  // Runs of one cell may be visited by several threads; minima and maxima do not depend on the order.
  std::mutex lock;
  for_each_run(x.shape(), params, [&](int64_t begin, int64_t end, int64_t cell) {
    CellRange range;
    for (int64_t i = begin; i < end; ++i) {
      const float v = data[i];
      range.nan |= v != v;
      range.min = v < range.min ? v : range.min;
      range.max = v > range.max ? v : range.max;
    }
    const std::lock_guard guard(lock);
    CellRange& into = ranges[static_cast<size_t>(cell)];
    into.min = std::min(into.min, range.min);
    into.max = std::max(into.max, range.max);
    into.nan |= range.nan;
  });

  std::vector<int64_t> shape{1};
  if (!whole) {
    shape.clear();
    for (size_t d = 0; d < x.shape().size(); ++d) {
      const bool divided = params.grid[d] != 1 || x.shape()[d] == 1;
      if (divided || rows || attrs.keepdim) shape.push_back(params.grid[d]);
    }
  }
  ZP_TRY(Tensor* const scale, make_result(args, 0, attrs.scale_dtype, shape));
  ZP_TRY(Tensor* const zero_point, make_result(args, 1, attrs.zero_point_dtype, shape));
  const Rounder round{args.in[0]->dtype()};
  const auto eps = static_cast<float>(attrs.eps);
  for (int64_t i = 0; i < cells; ++i) {
    const CellRange& range = ranges[static_cast<size_t>(i)];
    Chosen c;
    if (whole) c = choose_minmax(range, quant, attrs.rule == "symmetric", eps, round);
    else if (attrs.rule == "per_token") c = choose_per_token(range, quant, round);
    else if (attrs.rule == "per_token_asymmetric") c = choose_per_token_asymmetric(range, quant, round);
    else c = choose_affine(range, quant, attrs.rule, eps, round);
    scale->set_double(i, c.scale);
    zero_point->set_double(i, c.zero_point);
  }
  return {};
}

}  // namespace zp::ops
