// Evaluators of normalizations. Sums use the fixed order of 16 lanes, in two passes: the mean, then the
// squares of the differences from it, so that a large mean does not eat the variance.
#include "ops/norm.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "ops/element_eval.h"
#include "ops/infer_util.h"
#include "ops/norm_eval.h"
#include "ops/slices.h"

namespace zp::ops {

namespace {

const Tensor* operand(const EvalArgs& args, size_t i) { return i < args.in.size() ? args.in[i] : nullptr; }

// An optional vector operand in the computation type; empty if absent. Its length is checked.
template <typename T>
Result<std::vector<T>> vector_of(const EvalArgs& args, size_t i, int64_t count) {
  const Tensor* tensor = operand(args, i);
  if (tensor == nullptr) return std::vector<T>();
  if (tensor->elements() != count) {
    return failed(args.node, "c3",
                  std::string(args.node.op().operands[i].name) + " has " +
                      std::to_string(tensor->elements()) + " entries, " + std::to_string(count) +
                      " are needed");
  }
  ZP_TRY(const Tensor wide, widen_to(*tensor, kDTypeOf<T>));
  return std::vector<T>(wide.data<T>(), wide.data<T>() + count);
}

template <typename T>
struct Moments {
  T mean = 0, variance = 0;  // variance: of the population
};

template <typename T>
Moments<T> moments(const T* x, int64_t n) {
  Moments<T> m;
  m.mean = sum16(x, n) / static_cast<T>(n);
  Lanes16<T> squares;
  for (int64_t i = 0; i < n; ++i) squares.add(i, (x[i] - m.mean) * (x[i] - m.mean));
  m.variance = squares.total() / static_cast<T>(n);
  return m;
}

// The tensor as [outer, channels, inner] with dim 1 as channels.
Result<DimView> channel_view(const EvalArgs& args) {
  if (args.in[0]->rank() < 2) return failed(args.node, "c2", "the input has less than 2 dims");
  return DimView(args.in[0]->shape(), 1);
}

// x * a[c] + b[c] for each channel.
template <typename T>
void scale_channels(const Tensor& x, const DimView& view, const std::vector<T>& a, const std::vector<T>& b,
                    Tensor& out) {
  if (x.elements() == 0) return;
  parallel_for(view.outer * view.extent, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto c = static_cast<size_t>(row % view.extent);
      const T* from = x.data<T>() + row * view.inner;
      T* to = out.mutable_data<T>() + row * view.inner;
      for (int64_t i = 0; i < view.inner; ++i) to[i] = from[i] * a[c] + b[c];
    }
  });
}

// weight / sqrt(variance + eps) and bias - mean * that, by channel.
template <typename T>
void affine_of(const std::vector<Moments<T>>& m, const std::vector<T>& weight, const std::vector<T>& bias,
               double eps, std::vector<T>& a, std::vector<T>& b) {
  for (size_t c = 0; c < m.size(); ++c) {
    const T rstd = 1 / std::sqrt(m[c].variance + static_cast<T>(eps));
    a.push_back(weight.empty() ? rstd : rstd * weight[c]);
    b.push_back((bias.empty() ? T(0) : bias[c]) - m[c].mean * a.back());
  }
}

template <typename T>
Result<Tensor> vector_tensor(const std::vector<T>& values, DType dtype) {
  ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, {static_cast<int64_t>(values.size())}));
  std::copy(values.begin(), values.end(), out.mutable_data<T>());
  return round_to(out, dtype);
}

// Moments of each channel over all other dims.
template <typename T>
std::vector<Moments<T>> batch_moments(const Tensor& x, const DimView& view) {
  std::vector<Moments<T>> out(static_cast<size_t>(view.extent));
  std::vector<T> channel(static_cast<size_t>(view.outer * view.inner));
  for (int64_t c = 0; c < view.extent; ++c) {
    for (int64_t o = 0; o < view.outer; ++o) {
      std::copy_n(x.data<T>() + (o * view.extent + c) * view.inner, view.inner,
                  channel.data() + o * view.inner);
    }
    out[static_cast<size_t>(c)] = moments(channel.data(), view.outer * view.inner);
  }
  return out;
}

// Results 1 to 4 of native_batch_norm.
template <typename T>
Status batch_statistics(EvalArgs& args, const std::vector<Moments<T>>& m, int64_t count) {
  const auto& attrs = args.node.attrs<BatchNormAttrs>();
  std::vector<T> mean, rstd;
  for (size_t c = 0; attrs.training && c < m.size(); ++c) {
    mean.push_back(m[c].mean);
    rstd.push_back(1 / std::sqrt(m[c].variance + static_cast<T>(attrs.eps)));
  }
  for (size_t i = 1; i < 3 && i < args.out.size(); ++i) {
    ZP_TRY(args.out[i], vector_tensor(i == 1 ? mean : rstd, result_dtype(args, i)));
  }
  for (size_t i = 3; i < args.out.size(); ++i) {
    if (operand(args, i) == nullptr)
      return failed(args.node, "c4", "there are no running statistics to update");
    ZP_TRY(std::vector<T> running, vector_of<T>(args, i, static_cast<int64_t>(m.size())));
    const T momentum = static_cast<T>(attrs.momentum);
    for (size_t c = 0; attrs.training && c < m.size(); ++c) {
      const T unbiased = m[c].variance * static_cast<T>(count) / static_cast<T>(count - 1);
      running[c] = momentum * (i == 3 ? m[c].mean : unbiased) + (1 - momentum) * running[c];
    }
    ZP_TRY(args.out[i], vector_tensor(running, result_dtype(args, i)));
  }
  return {};
}

template <typename T>
Status batch_norm_in(EvalArgs& args, DType dtype) {
  const auto& attrs = args.node.attrs<BatchNormAttrs>();
  ZP_TRY(const DimView view, channel_view(args));
  ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
  ZP_TRY(const std::vector<T> weight, vector_of<T>(args, 1, view.extent));
  ZP_TRY(const std::vector<T> bias, vector_of<T>(args, 2, view.extent));
  std::vector<Moments<T>> m;
  if (attrs.training) {
    if (view.slices() < 2)
      return args.node.error("run.batch", "statistics of a batch need more than one value a channel");
    m = batch_moments<T>(x, view);
  } else {
    if (operand(args, 3) == nullptr || operand(args, 4) == nullptr)
      return failed(args.node, "c4", "running statistics are missing");
    ZP_TRY(const std::vector<T> mean, vector_of<T>(args, 3, view.extent));
    ZP_TRY(const std::vector<T> variance, vector_of<T>(args, 4, view.extent));
    for (size_t c = 0; c < mean.size(); ++c) m.push_back({mean[c], variance[c]});
  }
  std::vector<T> a, b;
  affine_of(m, weight, bias, attrs.eps, a, b);
  ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, x.shape()));
  scale_channels(x, view, a, b, out);
  ZP_CHECK(finish<T>(args, dtype, out));
  return batch_statistics(args, m, view.slices());
}

}  // namespace

Status eval_batch_norm(EvalArgs& args) {
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_float(computation, [&](auto tag) { return batch_norm_in<decltype(tag)>(args, dtype); });
}
Status eval_native_batch_norm(EvalArgs& args) { return eval_batch_norm(args); }

namespace {

// Rows of `length` elements that are normalized by their own moments; element i of row r has weight[index(r,
// i)].
template <typename T>
struct RowNorm {
  int64_t rows = 0, length = 0;
  double eps = 0;
  bool centered = true;  // false: only scaled by the root mean square
  std::vector<T> weight, bias;
};

// Weight index of element i of row r: rows are whole samples (layer norm), or groups of channels of `inner`
// elements.
struct WeightIndex {
  int64_t channels = 0, inner = 1, per_row = 0;  // channels 0: one weight an element of the row
  size_t operator()(int64_t row, int64_t i) const {
    return static_cast<size_t>(channels == 0 ? i : (row * per_row + i / inner) % channels);
  }
};

template <typename T>
Status normalize_rows(EvalArgs& args, const Tensor& x, const RowNorm<T>& norm, const WeightIndex& index,
                      DType dtype, const std::vector<int64_t>& statistics_shape) {
  ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, x.shape()));
  ZP_TRY(Tensor means, Tensor::make(kDTypeOf<T>, statistics_shape));
  ZP_TRY(Tensor rstds, Tensor::make(kDTypeOf<T>, statistics_shape));
  parallel_for(x.elements() == 0 ? 0 : norm.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* from = x.data<T>() + row * norm.length;
      T* to = out.mutable_data<T>() + row * norm.length;
      Moments<T> m;
      if (norm.centered) {
        m = moments(from, norm.length);
      } else {
        Lanes16<T> squares;
        for (int64_t i = 0; i < norm.length; ++i) squares.add(i, from[i] * from[i]);
        m.variance = squares.total() / static_cast<T>(norm.length);
      }
      const T rstd = 1 / std::sqrt(m.variance + static_cast<T>(norm.eps));
      for (int64_t i = 0; i < norm.length; ++i) {
        T y = (from[i] - m.mean) * rstd;
        if (!norm.weight.empty()) y *= norm.weight[index(row, i)];
        if (!norm.bias.empty()) y += norm.bias[index(row, i)];
        to[i] = y;
      }
      means.mutable_data<T>()[row] = m.mean;
      rstds.mutable_data<T>()[row] = rstd;
    }
  });
  ZP_CHECK(finish<T>(args, dtype, out));
  for (size_t i = 1; i < args.out.size(); ++i) {
    ZP_TRY(args.out[i], round_to(norm.centered && i == 1 ? means : rstds, result_dtype(args, i)));
  }
  return {};
}

// Norms over the last dims: layer_norm and rms_norm.
Status normalize_last(EvalArgs& args, List<int64_t> normalized, std::optional<double> eps, bool centered) {
  const std::vector<int64_t>& shape = args.in[0]->shape();
  const size_t count = normalized.size();
  if (shape.size() < count ||
      !std::equal(normalized.begin(), normalized.end(), shape.end() - static_cast<int64_t>(count))) {
    return failed(
        args.node, "c2",
        "the input has shape " + shape_text(shape) + ", normalized_shape is " + shape_text(normalized));
  }
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_float(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    RowNorm<T> norm;
    const DimView view(shape, static_cast<int64_t>(shape.size() - count));
    norm.length = saturating_product(view.extent, view.inner);
    norm.rows = view.outer;
    norm.eps = eps.value_or(std::numeric_limits<T>::epsilon());
    norm.centered = centered;
    ZP_TRY(norm.weight, vector_of<T>(args, 1, norm.length));
    ZP_TRY(norm.bias, vector_of<T>(args, 2, norm.length));
    std::vector<int64_t> statistics(shape.begin(), shape.end() - static_cast<int64_t>(count));
    statistics.resize(shape.size(), 1);
    return normalize_rows(args, x, norm, {}, dtype, statistics);
  });
}

// Norms over groups of channels: group_norm and instance_norm.
Status normalize_groups(EvalArgs& args, int64_t groups, double eps) {
  ZP_TRY(const DimView view, channel_view(args));
  if (groups < 1 || view.extent % groups != 0)
    return failed(args.node, "c4", "the groups do not divide the channels");
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_float(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    RowNorm<T> norm;
    norm.length = saturating_product(view.extent / groups, view.inner);
    norm.rows = saturating_product(view.outer, groups);
    norm.eps = eps;
    ZP_TRY(norm.weight, vector_of<T>(args, 1, view.extent));
    ZP_TRY(norm.bias, vector_of<T>(args, 2, view.extent));
    const WeightIndex index{view.extent, std::max<int64_t>(view.inner, 1), view.extent / groups};
    return normalize_rows(args, x, norm, index, dtype, {view.outer, groups});
  });
}

}  // namespace

Status eval_layer_norm(EvalArgs& args) {
  const auto& attrs = args.node.attrs<LayerNormAttrs>();
  return normalize_last(args, attrs.normalized_shape, attrs.eps, true);
}
Status eval_native_layer_norm(EvalArgs& args) { return eval_layer_norm(args); }

Status eval_rms_norm(EvalArgs& args) {
  const auto& attrs = args.node.attrs<RmsNormAttrs>();
  return normalize_last(args, attrs.normalized_shape, attrs.eps, false);
}
Status eval_native_rms_norm(EvalArgs& args) { return eval_rms_norm(args); }

Status eval_group_norm(EvalArgs& args) {
  const auto& attrs = args.node.attrs<GroupNormAttrs>();
  return normalize_groups(args, attrs.num_groups, attrs.eps);
}
Status eval_native_group_norm(EvalArgs& args) {
  const auto& attrs = args.node.attrs<NativeGroupNormAttrs>();
  return normalize_groups(args, attrs.group, attrs.eps);
}

Status eval_instance_norm(EvalArgs& args) {
  const auto& attrs = args.node.attrs<InstanceNormAttrs>();
  if (args.in[0]->rank() < 2) return failed(args.node, "c2", "the input has less than 2 dims");
  if (attrs.use_input_stats) return normalize_groups(args, args.in[0]->shape()[1], attrs.eps);
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  return with_float(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const DimView view, channel_view(args));
    ZP_TRY(const Tensor x, widen_to(*args.in[0], kDTypeOf<T>));
    if (operand(args, 3) == nullptr || operand(args, 4) == nullptr)
      return failed(args.node, "c4", "running statistics are missing");
    ZP_TRY(const std::vector<T> weight, vector_of<T>(args, 1, view.extent));
    ZP_TRY(const std::vector<T> bias, vector_of<T>(args, 2, view.extent));
    ZP_TRY(const std::vector<T> mean, vector_of<T>(args, 3, view.extent));
    ZP_TRY(const std::vector<T> variance, vector_of<T>(args, 4, view.extent));
    std::vector<Moments<T>> m(mean.size());
    for (size_t c = 0; c < m.size(); ++c) m[c] = {mean[c], variance[c]};
    std::vector<T> a, b;
    affine_of(m, weight, bias, attrs.eps, a, b);
    ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, x.shape()));
    scale_channels(x, view, a, b, out);
    return finish<T>(args, dtype, out);
  });
}

}  // namespace zp::ops
