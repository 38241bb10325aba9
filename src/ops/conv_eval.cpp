// Convolutions as products of rows: a row of the left factor is the window of input elements that one output
// position sees (gathered on the fly, chunk by chunk), a row of the right factor is one output channel's
// weights. A transposed convolution is the same with another window: output position o sees input i where o =
// i * stride - padding + k * dilation. Elements beyond the border are zeros of the centred input, so padding
// is exact for every zero point.
#include "ops/conv_eval.h"

#include <algorithm>

#include "ops/affine_eval.h"
#include "ops/conv.h"
#include "ops/quant_eval.h"
#include "support/parallel.h"

namespace zp::ops {
namespace {

// All convolutions are three-dimensional here; missing dims in front have extent 1.
struct Window {
  int64_t batch = 1, channels = 1;  // of the input
  int64_t out_channels = 1, groups = 1;
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, before[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};
  bool transposed = false;
  std::vector<int64_t> out_shape;
  int64_t in_plane() const { return in[0] * in[1] * in[2]; }
  int64_t out_plane() const { return out[0] * out[1] * out[2]; }
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t group_channels() const { return channels / groups; }
  int64_t group_outputs() const { return out_channels / groups; }
};

int64_t entry(List<int64_t> list, size_t d, int64_t fallback) {
  return list.empty() ? fallback : list[list.size() == 1 ? 0 : d];
}

Result<Window> window_of(const EvalArgs& args, bool transposed) {
  const auto& attrs = args.node.attrs<ConvAttrs>();
  const std::vector<int64_t>& x = args.in[0]->shape();
  const std::vector<int64_t>& w = args.in[1]->shape();
  const size_t spatial = w.size() - 2;
  const size_t lead = x.size() - spatial - 1;
  Window v;
  v.transposed = transposed;
  v.batch = lead == 1 ? x[0] : 1;
  v.channels = x[lead];
  v.groups = attrs.groups;
  int64_t taken = w[0];
  v.out_channels = w[0];
  if (__builtin_mul_overflow(w[1], attrs.groups, transposed ? &v.out_channels : &taken)) {
    return args.node.error(std::string(args.node.op().name) + ".c5",
                           std::to_string(attrs.groups) + " groups");
  }
  for (size_t d = 0; d < spatial; ++d) {
    const size_t at = 3 - spatial + d;
    v.in[at] = x[lead + 1 + d];
    v.kernel[at] = w[2 + d];
    v.stride[at] = entry(attrs.stride, d, 1);
    v.dilation[at] = entry(attrs.dilation, d, 1);
    if (v.kernel[at] > (int64_t{1} << 31)) {
      return args.node.error(std::string(args.node.op().name) + ".c7",
                             "kernel " + std::to_string(v.kernel[at]));
    }
    v.before[at] = attrs.pad_mode == "same"    ? v.dilation[at] * (v.kernel[at] - 1) / 2
                   : attrs.pad_mode == "valid" ? 0
                                               : entry(attrs.padding, d, 0);
    // Extents of empty tensors and attributes may be anything: 128 bits hold every product of two.
    const __int128 reach = static_cast<__int128>(v.dilation[at]) * (v.kernel[at] - 1);
    __int128 out = v.in[at];
    if (transposed) {
      out = static_cast<__int128>(v.in[at] - 1) * v.stride[at] - 2 * v.before[at] + reach +
            entry(attrs.output_padding, d, 0) + 1;
    } else if (attrs.pad_mode != "same") {
      const __int128 span = static_cast<__int128>(v.in[at]) + 2 * v.before[at] - reach - 1;
      out = span < 0 ? -1 : span / v.stride[at] + 1;
    }
    v.out[at] = out >= 0 && out <= INT64_MAX / 2 ? static_cast<int64_t>(out) : -1;
    if (v.out[at] < 0 || v.kernel[at] < 1) {
      return args.node.error(std::string(args.node.op().name) + ".c7",
                             "kernel " + std::to_string(v.kernel[at]) + " does not fit input " +
                                 std::to_string(v.in[at]) + " with padding " + std::to_string(v.before[at]) +
                                 " in dim " + std::to_string(d));
    }
  }
  if (lead == 1) v.out_shape.push_back(v.batch);
  v.out_shape.push_back(v.out_channels);
  for (size_t d = 3 - spatial; d < 3; ++d) v.out_shape.push_back(v.out[d]);
  // Shapes that were symbolic when types were inferred are checked here.
  const bool bias_fits =
      args.in.size() < 3 || args.in[2] == nullptr || args.in[2]->elements() == v.out_channels;
  if (taken != v.channels || v.channels == 0 || v.channels % v.groups != 0 ||
      v.out_channels % v.groups != 0 || !bias_fits) {
    return args.node.error(std::string(args.node.op().name) + ".c4",
                           "input has " + std::to_string(v.channels) + " channels but the weight takes " +
                               std::to_string(taken) + " in " + std::to_string(v.groups) + " groups");
  }
  return v;
}

// The input element that output position `out` sees through tap `k` along dim d, or -1.
int64_t seen(const Window& v, size_t d, int64_t out, int64_t k) {
  int64_t i;
  if (v.transposed) {
    const int64_t t = out + v.before[d] - k * v.dilation[d];
    if (t < 0 || t % v.stride[d] != 0) return -1;
    i = t / v.stride[d];
  } else {
    i = out * v.stride[d] - v.before[d] + k * v.dilation[d];
  }
  return i >= 0 && i < v.in[d] ? i : -1;
}

// Which element of an input plane each tap of each output position reads; outside it is element in_plane(), a
// zero that every plane has behind its last element.
class TapTable {
 public:
  explicit TapTable(const Window& v) : v_(v) {
    for (size_t d = 0; d < 3; ++d) {
      for (int64_t o = 0; o < v.out[d]; ++o)
        for (int64_t k = 0; k < v.kernel[d]; ++k) along_[d].push_back(seen(v, d, o, k));
    }
  }
  void read(int64_t position, int64_t* taps) const {
    const int64_t o2 = position % v_.out[2], o1 = position / v_.out[2] % v_.out[1],
                  o0 = position / v_.out[2] / v_.out[1];
    const int64_t* i0 = &along_[0][static_cast<size_t>(o0 * v_.kernel[0])];
    const int64_t* i1 = &along_[1][static_cast<size_t>(o1 * v_.kernel[1])];
    const int64_t* i2 = &along_[2][static_cast<size_t>(o2 * v_.kernel[2])];
    const int64_t outside = v_.in_plane();
    for (int64_t a = 0; a < v_.kernel[0]; ++a) {
      for (int64_t b = 0; b < v_.kernel[1]; ++b) {
        const bool row_inside = i0[a] >= 0 && i1[b] >= 0;
        const int64_t row = (i0[a] * v_.in[1] + i1[b]) * v_.in[2];
        for (int64_t c = 0; c < v_.kernel[2]; ++c) *taps++ = row_inside && i2[c] >= 0 ? row + i2[c] : outside;
      }
    }
  }

 private:
  const Window& v_;
  std::vector<int64_t> along_[3];
};

// The input as planes of T (centred integers or floats), a zero behind each.
template <typename T>
std::vector<T> planes_of(const Window& v, const Factor& x) {
  const int64_t plane = v.in_plane();
  const int64_t count = v.batch * v.channels;
  std::vector<T> planes(static_cast<size_t>(count * (plane + 1)), T{0});
  RowsView view{.factor = x, .rows = count, .row_step = plane};
  Depth depth = Depth::whole(plane);
  depth.padded_block = plane;
  parallel_for(count, std::max<int64_t>(1, 65536 / std::max<int64_t>(plane, 1)),
               [&](int64_t begin, int64_t end) {
                 fill_rows(view, depth, begin, end - begin, planes.data() + begin * (plane + 1), plane + 1);
               });
  return planes;
}

// Weights of a transposed convolution, [in, out / groups, taps], as [group][out][in / groups][taps], any
// element width.
Result<Tensor> regroup(const Window& v, const Tensor& w) {
  ZP_TRY(Tensor out, Tensor::make(w.dtype(), {v.groups, v.group_outputs(), v.group_channels(), v.taps()}));
  const auto run = static_cast<size_t>(v.taps() * byte_size(w.dtype()));
  const auto* src = w.data<std::byte>();
  auto* dst = out.mutable_data<std::byte>();
  for (int64_t c = 0; c < v.channels; ++c) {
    const int64_t g = c / v.group_channels(), i = c % v.group_channels();
    for (int64_t o = 0; o < v.group_outputs(); ++o) {
      const int64_t to = (g * v.group_outputs() + o) * v.group_channels() + i;
      std::memcpy(dst + static_cast<size_t>(to) * run,
                  src + static_cast<size_t>(c * v.group_outputs() + o) * run, run);
    }
  }
  return out;
}

// How the sum of one output is cut where the weight has a scale a block; block 0: the parameters do not
// follow channels.
struct WeightCut {
  bool exact = false;
  int64_t block = 0;  // in elements of the sum
};

WeightCut cut_of(const Window& v, const Factor& w) {
  const QuantParams& quant = *w.quant;
  const std::vector<int64_t>& shape = w.tensor->shape();
  const size_t out_axis = v.transposed ? 1 : 0, in_axis = 1 - out_axis;
  for (size_t d = 2; d < shape.size(); ++d)
    if (quant.grid[d] != 1) return {};
  if (quant.type->per_axis() && static_cast<size_t>(quant.type->axis) != out_axis) return {};
  const int64_t whole = v.group_channels() * v.taps();
  if (quant.grid[in_axis] == 1) return {true, whole};
  const int64_t block = block_extent(*quant.type, shape, in_axis);
  // Blocks of a transposed weight run over all groups' inputs; they must not straddle a group.
  if (v.transposed && v.groups > 1 && v.group_channels() % block != 0) return {};
  return {true, block * v.taps()};
}

std::vector<int64_t> weight_cells(const Window& v, const Factor& w, int64_t group) {
  std::vector<int64_t> cells;
  if (product(w.quant->grid) == 1) return cells;
  std::vector<int64_t> index(w.tensor->shape().size(), 0);
  for (int64_t o = 0; o < v.group_outputs(); ++o) {
    index[0] = v.transposed ? group * v.group_channels() : group * v.group_outputs() + o;
    index[1] = v.transposed ? o : 0;
    cells.push_back(cell_at(*w.quant, w.tensor->shape(), index));
  }
  return cells;
}

struct ConvJob {
  Window window;
  Factor x, w;  // tensors of the chosen arithmetic
  Tensor rows;  // weights as [group][out][in / groups][taps]
  Depth depth;
  Arithmetic arithmetic = Arithmetic::Float;
  Bias bias;
  Tensor out;
};

// One group: rows are (batch, position), columns the group's output channels.
template <typename T>
void run_group(const ConvJob& job, const TapTable& table, const std::vector<T>& planes, int64_t group,
               Tensor& out) {
  const Window& v = job.window;
  const int64_t taps = v.taps(), channels = v.group_channels(), plane = v.in_plane() + 1;
  const int64_t positions = v.out_plane();
  RowsView weights{.factor = {&job.rows, job.w.quant},
                   .offset = group * v.group_outputs() * channels * taps,
                   .rows = v.group_outputs(),
                   .row_step = channels * taps};
  Epilogue e;
  e.out = &out;
  e.start = group * v.group_outputs() * positions;
  e.period = positions;
  e.outer_step = v.out_channels * positions;
  e.inner_step = 1;
  e.col_step = positions;
  e.bias = job.bias.real.empty() ? nullptr : &job.bias.real;
  e.integer_bias = job.bias.integers.empty() ? nullptr : &job.bias.integers;
  e.bias_start = group * v.group_outputs();

  Product<T> p;
  p.rows = v.batch * positions;
  p.cols = v.group_outputs();
  p.depth = job.depth;
  if constexpr (!std::is_floating_point_v<T>) {
    p.bound = std::max<int64_t>(1, centred_bounds(*job.x.quant).most() * centred_bounds(*job.w.quant).most());
    weights.cells = weight_cells(v, job.w, group);
    weights.block_cell_step = job.depth.count > 1 ? grid_step(*job.w.quant, v.transposed ? 0 : 1) : 0;
    e.row_scale = {job.x.quant->scales[0]};
    e.col_scale = col_scales(weights, job.depth);
  }
  p.fill_a = [&](int64_t first, int64_t count, T* to, int64_t stride) {
    std::vector<int64_t> at(static_cast<size_t>(count * taps));
    for (int64_t r = 0; r < count; ++r) table.read((first + r) % positions, at.data() + r * taps);
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t k = job.depth.at(c * taps);
      for (int64_t r = 0; r < count; ++r) {
        const int64_t image = (first + r) / positions;
        const T* src = planes.data() + (image * v.channels + group * channels + c) * plane;
        const int64_t* from = at.data() + r * taps;
        T* dst = to + r * stride + k;
        for (int64_t t = 0; t < taps; ++t) dst[t] = src[from[t]];
      }
    }
  };
  p.fill_b = [&](int64_t first, int64_t count, T* to, int64_t stride) {
    fill_rows(weights, job.depth, first, count, to, stride);
  };
  run_product(p, e);
}

template <typename T>
void run_conv(const ConvJob& job, Tensor& out) {
  const TapTable table(job.window);
  const std::vector<T> planes = planes_of<T>(job.window, job.x);
  parallel_for(job.window.groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; ++group) run_group<T>(job, table, planes, group, out);
  });
}

Status eval(EvalArgs& args, bool transposed) {
  ConvJob job;
  ZP_TRY(job.window, window_of(args, transposed));
  const Window& v = job.window;
  ZP_TRY(Tensor out, Tensor::make(result_dtype(args) == DType::F64 ? DType::F64 : DType::F32, v.out_shape));
  if (out.elements() == 0) return finish(args, std::move(out));
  job.x = factor_of(args, 0);
  job.w = factor_of(args, 1);
  const int64_t depth = v.group_channels() * v.taps();
  job.depth = Depth::whole(depth);
  job.arithmetic = float_arithmetic(args);
  if (has_integers(job.x) && has_integers(job.w) && product(job.x.quant->grid) == 1) {
    const WeightCut cut = cut_of(v, job.w);
    const Arithmetic exact = cut.exact ? exact_arithmetic(job.x, job.w, depth) : Arithmetic::Float;
    if (exact != Arithmetic::Float) {
      job.arithmetic = exact;
      job.depth = Depth::blocks(depth, cut.block);
    }
  }
  std::vector<double> units;
  Tensor real_x, real_w;
  if (job.arithmetic == Arithmetic::Narrow || job.arithmetic == Arithmetic::Wide) {
    for (int64_t g = 0; g < v.groups && job.depth.count == 1; ++g) {
      const RowsView view{.factor = job.w, .rows = v.group_outputs(), .cells = weight_cells(v, job.w, g)};
      for (double scale : col_scales(view, job.depth)) units.push_back(job.x.quant->scales[0] * scale);
    }
  } else {
    const DType expressed = result_dtype(args);
    ZP_TRY(real_x, real_values(job.x, expressed, job.arithmetic));
    ZP_TRY(real_w, real_values(job.w, expressed, job.arithmetic));
    job.x = {&real_x, nullptr};
    job.w = {&real_w, nullptr};
  }
  job.rows = *job.w.tensor;
  if (transposed) { ZP_TRY(job.rows, regroup(v, *job.w.tensor)); }
  ZP_TRY(job.bias, read_bias(factor_of(args, 2), units));
  switch (job.arithmetic) {
    case Arithmetic::Narrow: run_conv<int16_t>(job, out); break;
    case Arithmetic::Wide: run_conv<int32_t>(job, out); break;
    case Arithmetic::Float: run_conv<float>(job, out); break;
    case Arithmetic::Double: run_conv<double>(job, out); break;
  }
  return finish(args, std::move(out));
}

}  // namespace

Status eval_conv(EvalArgs& args) { return eval(args, false); }
Status eval_conv_transpose(EvalArgs& args) { return eval(args, true); }

}  // namespace zp::ops
