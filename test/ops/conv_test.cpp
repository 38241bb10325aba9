// Convolutions against loops written out: floats in the documented order of additions, integers in 64 bits.
// Sizes, strides, padding, dilation, groups and quantizations are drawn at random (the same ones every time).
#include "ops/conv.h"

#include <gtest/gtest.h>

#include <functional>

#include "affine_support.h"
#include "ops/eval_util.h"
#include "ops/gemm.h"
#include "support/parallel.h"

namespace zp {
namespace {

using testing::equal_bits;
using testing::Random;
using testing::random_floats;
using testing::random_integers;
using testing::TestNode;
using testing::TestOperand;

// A random convolution that has an output.
struct Case {
  size_t spatial = 2;
  bool transposed = false, unbatched = false, biased = false;
  int64_t batch = 1, groups = 1, in_channels = 1, out_channels = 1;  // channels of one group
  int64_t in[3], kernel[3], out[3];
  int64_t stride[3], padding[3], dilation[3], output_padding[3];
  std::string_view pad_mode;

  std::vector<int64_t> input_shape() const {
    std::vector<int64_t> s;
    if (!unbatched) s.push_back(batch);
    s.push_back(in_channels * groups);
    s.insert(s.end(), in, in + spatial);
    return s;
  }
  std::vector<int64_t> weight_shape() const {
    std::vector<int64_t> s{transposed ? in_channels * groups : out_channels * groups,
                           transposed ? out_channels : in_channels};
    s.insert(s.end(), kernel, kernel + spatial);
    return s;
  }
  int64_t taps() const {
    int64_t n = 1;
    for (size_t d = 0; d < spatial; ++d) n *= kernel[d];
    return n;
  }
  ops::ConvAttrs attrs(Context& context) const {
    const auto list = [&](const int64_t* values) {
      return context.ints(std::span<const int64_t>(values, spatial));
    };
    ops::ConvAttrs a;
    a.stride = list(stride);
    a.padding = list(padding);
    a.dilation = list(dilation);
    if (transposed) a.output_padding = list(output_padding);
    a.groups = groups;
    a.pad_mode = pad_mode;
    return a;
  }
  const OpDef& op() const {
    const OpDef* forward[] = {&ops::conv1d, &ops::conv2d, &ops::conv3d};
    const OpDef* backward[] = {&ops::conv_transpose1d, &ops::conv_transpose2d, &ops::conv_transpose3d};
    return transposed ? *backward[spatial - 1] : *forward[spatial - 1];
  }
};

Case random_case(Random& random) {
  for (;;) {
    Case c;
    c.spatial = static_cast<size_t>(random.in(1, 3));
    c.transposed = random.in(0, 2) == 0;
    c.unbatched = random.in(0, 3) == 0;
    c.biased = random.in(0, 1) == 0;
    c.batch = c.unbatched ? 1 : random.in(1, 3);
    c.groups = random.pick<int64_t>({1, 1, 2, 3, 5});
    c.in_channels = random.in(1, 5);
    c.out_channels = random.in(1, 6);
    const bool same = !c.transposed && random.in(0, 4) == 0;
    c.pad_mode = same ? "same" : (random.in(0, 5) == 0 ? "valid" : "");
    bool good = true;
    for (size_t d = 0; d < c.spatial; ++d) {
      c.in[d] = random.in(1, c.spatial == 3 ? 5 : 9);
      c.kernel[d] = random.in(1, 4);
      c.stride[d] = same ? 1 : random.in(1, 3);
      c.dilation[d] = random.in(1, 2);
      c.padding[d] = random.in(0, 2);
      c.output_padding[d] = c.transposed ? random.in(0, std::max(c.stride[d], c.dilation[d]) - 1) : 0;
      const int64_t reach = c.dilation[d] * (c.kernel[d] - 1);
      const int64_t padding = c.pad_mode == "valid" ? 0 : c.padding[d];
      if (same) c.out[d] = c.in[d];
      else if (c.transposed)
        c.out[d] = (c.in[d] - 1) * c.stride[d] - 2 * padding + reach + c.output_padding[d] + 1;
      else
        c.out[d] =
            c.in[d] + 2 * padding - reach - 1 < 0 ? 0 : (c.in[d] + 2 * padding - reach - 1) / c.stride[d] + 1;
      good = good && c.out[d] > 0;
    }
    if (good) return c;
  }
}

// Calls visit(input element or -1, weight element, index in the sum) for the terms of one output, in the
// order of the sum: input channel of the group, then taps in C order.
void for_each_term(const Case& c, int64_t image, int64_t group, int64_t out_channel, const int64_t* position,
                   const std::function<void(int64_t, int64_t, int64_t)>& visit) {
  const int64_t taps = c.taps();
  for (int64_t channel = 0; channel < c.in_channels; ++channel) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      int64_t rest = tap, k[3] = {0, 0, 0};
      for (size_t d = c.spatial; d-- > 0;) {
        k[d] = rest % c.kernel[d];
        rest /= c.kernel[d];
      }
      int64_t at = image * c.in_channels * c.groups + group * c.in_channels + channel;
      bool inside = true;
      for (size_t d = 0; d < c.spatial; ++d) {
        int64_t padding = c.pad_mode == "valid" ? 0 : c.padding[d];
        if (c.pad_mode == "same") padding = c.dilation[d] * (c.kernel[d] - 1) / 2;
        int64_t i;
        if (c.transposed) {
          const int64_t t = position[d] + padding - k[d] * c.dilation[d];
          inside = inside && t >= 0 && t % c.stride[d] == 0;
          i = t / c.stride[d];
        } else {
          i = position[d] * c.stride[d] - padding + k[d] * c.dilation[d];
        }
        inside = inside && i >= 0 && i < c.in[d];
        at = at * c.in[d] + i;
      }
      const int64_t weight =
          c.transposed ? ((group * c.in_channels + channel) * c.out_channels + out_channel) * taps + tap
                       : ((group * c.out_channels + out_channel) * c.in_channels + channel) * taps + tap;
      visit(inside ? at : -1, weight, channel * taps + tap);
    }
  }
}

// Calls visit(output element, image, group, channel in the group, position) for each output.
void for_each_output(const Case& c,
                     const std::function<void(int64_t, int64_t, int64_t, int64_t, const int64_t*)>& visit) {
  int64_t positions = 1, at = 0;
  for (size_t d = 0; d < c.spatial; ++d) positions *= c.out[d];
  for (int64_t image = 0; image < c.batch; ++image) {
    for (int64_t channel = 0; channel < c.groups * c.out_channels; ++channel) {
      for (int64_t p = 0; p < positions; ++p) {
        int64_t rest = p, position[3] = {0, 0, 0};
        for (size_t d = c.spatial; d-- > 0;) {
          position[d] = rest % c.out[d];
          rest /= c.out[d];
        }
        visit(at++, image, channel / c.out_channels, channel % c.out_channels, position);
      }
    }
  }
}

template <typename T>
void check_float(const Case& c, const Tensor& x, const Tensor& w, const Tensor* b, const Tensor& y) {
  int64_t bad = 0, count = 0;
  for_each_output(c, [&](int64_t at, int64_t image, int64_t group, int64_t channel, const int64_t* position) {
    ops::Lanes16<T> sum;
    for_each_term(c, image, group, channel, position, [&](int64_t in, int64_t weight, int64_t k) {
      sum.add(k, (in < 0 ? T{0} : x.data<T>()[in]) * w.data<T>()[weight]);
    });
    T want = sum.total();
    if (b != nullptr) want += b->data<T>()[group * c.out_channels + channel];
    bad += y.data<T>()[at] != want;
    ++count;
  });
  EXPECT_EQ(bad, 0) << "of " << count;
  EXPECT_EQ(count, y.elements());
}

TEST(conv, floats_add_in_the_documented_order) {
  Random random(1);
  for (int i = 0; i < 250; ++i) {
    SCOPED_TRACE("case " + std::to_string(i));
    const Case c = random_case(random);
    const DType dtype = i % 5 == 4 ? DType::F64 : DType::F32;
    TestNode t;
    const Tensor x = random_floats(random, c.input_shape(), dtype),
                 w = random_floats(random, c.weight_shape(), dtype);
    const Tensor b = random_floats(random, {c.groups * c.out_channels}, dtype);
    auto y = t.run(c.op(), c.attrs(t.context()), {x, w, c.biased ? TestOperand(b) : TestOperand()});
    ASSERT_TRUE(y.ok()) << y.error().str();
    if (dtype == DType::F64) check_float<double>(c, x, w, c.biased ? &b : nullptr, *y);
    else check_float<float>(c, x, w, c.biased ? &b : nullptr, *y);
  }
}

TEST(conv, narrow_floats_round_once_at_the_end) {
  Random random(2);
  for (DType dtype : {DType::F16, DType::BF16}) {
    for (int i = 0; i < 10; ++i) {
      const Case c = random_case(random);
      const Tensor x = random_floats(random, c.input_shape(), dtype),
                   w = random_floats(random, c.weight_shape(), dtype);
      TestNode narrow, wide;
      auto y = narrow.run(c.op(), c.attrs(narrow.context()), {x, w});
      auto full = wide.run(c.op(), c.attrs(wide.context()), {*ops::to_float(x), *ops::to_float(w)});
      ASSERT_TRUE(y.ok() && full.ok());
      EXPECT_TRUE(equal_bits(*y, *ops::round_to(*full, dtype)));
    }
  }
}

struct Bias {
  enum Kind { None, Real, Integer, OtherScale } kind;
};

// acc in 64 bits, then the documented formula in double.
void check_quantized(const Case& c, const Tensor& x, const QuantParams& qx, const Tensor& w,
                     const QuantParams& qw, Bias::Kind bias_kind, const Tensor& bias, const QuantParams* qb,
                     const Tensor& y) {
  int64_t bad = 0;
  for_each_output(c, [&](int64_t at, int64_t image, int64_t group, int64_t channel, const int64_t* position) {
    std::vector<int64_t> sums;
    std::vector<size_t> cells;
    const auto cell_of_weight = [&](int64_t weight) {
      // The element's place in the weight, then its cell in the grid.
      std::vector<int64_t> index(w.shape().size());
      for (size_t d = index.size(); d-- > 0;) {
        index[d] = weight % w.shape()[d];
        weight /= w.shape()[d];
      }
      int64_t cell = 0;
      for (size_t d = 0; d < index.size(); ++d) {
        const int64_t extent = (w.shape()[d] + qw.grid[d] - 1) / qw.grid[d];
        cell = cell * qw.grid[d] + index[d] / extent;
      }
      return static_cast<size_t>(cell);
    };
    for_each_term(c, image, group, channel, position, [&](int64_t in, int64_t weight, int64_t) {
      const size_t cell = cell_of_weight(weight);
      if (cells.empty() || cells.back() != cell) {
        cells.push_back(cell);
        sums.push_back(0);
      }
      if (in >= 0)
        sums.back() += (x.get_int(in) - qx.zero_points[0]) * (w.get_int(weight) - qw.zero_points[cell]);
    });
    const int64_t out_channel = group * c.out_channels + channel;
    double real = 0;
    if (bias_kind == Bias::Integer) sums[0] += bias.get_int(out_channel);
    for (size_t i = 0; i < sums.size(); ++i)
      real += static_cast<double>(sums[i]) * (qx.scales[0] * qw.scales[cells[i]]);
    if (bias_kind == Bias::Real) real += bias.get_double(out_channel);
    if (bias_kind == Bias::OtherScale) {
      const auto k = static_cast<size_t>(qb->scales.size() == 1 ? 0 : out_channel);
      real += static_cast<double>(static_cast<float>(bias.get_int(out_channel)) *
                                  static_cast<float>(qb->scales[k]));
    }
    const auto want = static_cast<float>(real);
    bad += y.data<float>()[at] != want;
  });
  EXPECT_EQ(bad, 0) << "of " << y.elements();
}

TEST(conv, quantized_sums_are_exact) {
  Random random(3);
  for (int i = 0; i < 250; ++i) {
    const Case c = random_case(random);
    TestNode t;
    const DType x_type =
        random.pick({DType::I8, DType::U8, DType::I8, DType::U8, DType::I16, DType::U16, DType::I32});
    const DType w_type = random.pick({DType::I8, DType::I8, DType::I4, DType::U8, DType::I16});
    const int kind = static_cast<int>(
        random.in(0, 3));  // per tensor, per channel, per block of input channels, mixed blocks
    SCOPED_TRACE("case " + std::to_string(i) + " kind " + std::to_string(kind) + " " +
                 std::string(dtype_name(x_type)) + " " + std::string(dtype_name(w_type)));
    const std::vector<int64_t> ws = c.weight_shape();
    const int32_t channel_axis = c.transposed ? 1 : 0;
    const bool zeros = random.in(0, 1) == 0;
    QuantType qw = t.per_tensor(w_type, 0.0123, zeros ? random.in(int_min(w_type), int_max(w_type)) : 0);
    if (kind == 1)
      qw = t.per_axis(w_type, random, channel_axis, ws[static_cast<size_t>(channel_axis)], zeros);
    if (kind >= 2) {
      std::vector<int64_t> block(ws.size(), 0);
      block[static_cast<size_t>(channel_axis)] = kind == 2 ? 1 : 0;
      // Blocks of a transposed weight are cut within each group.
      block[static_cast<size_t>(1 - channel_axis)] = c.in_channels % 2 == 0 ? 2 : 1;
      int64_t cells = kind == 2 ? ws[static_cast<size_t>(channel_axis)] : 1;
      cells *= ws[static_cast<size_t>(1 - channel_axis)] / block[static_cast<size_t>(1 - channel_axis)];
      qw = t.per_tensor(w_type, 1);
      qw.block = t.context().ints(block);
      qw = t.with_cells(qw, random, cells, zeros);
    }
    const QuantType qx = t.per_tensor(
        x_type, 0.0371, x_type == DType::I32 ? 0 : random.in(std::max<int64_t>(int_min(x_type), -9), 9));
    const Tensor x = random_integers(random, x_type, c.input_shape()),
                 w = random_integers(random, w_type, ws);
    const QuantParams px = *quant_params(t.context(), qx, x.shape()),
                      pw = *quant_params(t.context(), qw, w.shape());

    auto bias_kind = static_cast<Bias::Kind>(random.in(0, 3));
    if (kind >= 2 && bias_kind == Bias::Integer) bias_kind = Bias::Real;
    TestOperand bias;
    QuantParams pb;
    const int64_t outputs = c.groups * c.out_channels;
    if (bias_kind == Bias::Real) bias = TestOperand(random_floats(random, {outputs}));
    if (bias_kind == Bias::Integer || bias_kind == Bias::OtherScale) {
      QuantType qb = t.per_tensor(DType::I32, 0.001);
      if (bias_kind == Bias::Integer) {  // the product of scales, as a float file would hold it
        std::vector<float> scales;
        for (int64_t o = 0; o < outputs; ++o) {
          const auto k = static_cast<size_t>(pw.scales.size() == 1 ? 0
                                             : c.transposed        ? o % c.out_channels
                                                                   : o);
          scales.push_back(static_cast<float>(px.scales[0] * pw.scales[k]));
        }
        qb.axis = 0;
        qb.scales =
            t.context().make_constant("bias_scales", DType::F32, std::vector<int64_t>{outputs}, scales);
      }
      bias = TestOperand(random_integers(random, DType::I32, {outputs}), qb);
      pb = *quant_params(t.context(), qb, bias.tensor.shape());
    }
    auto y = t.run(c.op(), c.attrs(t.context()), {TestOperand(x, qx), TestOperand(w, qw), bias});
    ASSERT_TRUE(y.ok()) << y.error().str();
    check_quantized(c, x, px, w, pw, bias_kind, bias.tensor, &pb, *y);
  }
}

// Where the parameters change along the sum in ways that no block describes, the real values are multiplied.
TEST(conv, parameters_along_the_sum_give_the_float_result) {
  Random random(4);
  const Case c = [&] {
    Case k = random_case(random);
    while (k.spatial != 2 || k.transposed || k.in_channels < 2 || k.groups != 1) k = random_case(random);
    return k;
  }();
  for (int kind = 0; kind < 3; ++kind) {
    SCOPED_TRACE(kind);
    TestNode t, plain;
    const Tensor x = random_integers(random, DType::U8, c.input_shape()),
                 w = random_integers(random, DType::I8, c.weight_shape());
    QuantType qx = t.per_tensor(DType::U8, 0.02, 7), qw = t.per_tensor(DType::I8, 0.03);
    if (kind == 0) qw = t.per_axis(DType::I8, random, 1, c.in_channels);
    if (kind == 1) qx = t.per_axis(DType::U8, random, c.unbatched ? 0 : 1, c.in_channels);
    if (kind == 2) qw = t.per_axis(DType::I8, random, 3, c.kernel[1]);
    auto y = t.run(c.op(), c.attrs(t.context()), {TestOperand(x, qx), TestOperand(w, qw)});
    ASSERT_TRUE(y.ok()) << y.error().str();
    const Tensor real_x = *ops::dequantize_tensor(x, *quant_params(t.context(), qx, x.shape()), DType::F32);
    const Tensor real_w = *ops::dequantize_tensor(w, *quant_params(t.context(), qw, w.shape()), DType::F32);
    auto z = plain.run(c.op(), c.attrs(plain.context()), {real_x, real_w});
    ASSERT_TRUE(z.ok());
    EXPECT_TRUE(equal_bits(*y, *z));
  }
}

TEST(conv, threads_and_instruction_sets_give_equal_bits) {
  Random random(5);
  for (int i = 0; i < 4; ++i) {
    ops::ConvAttrs attrs;
    attrs.groups = i == 3 ? 8 : 1;
    const Tensor x = random_floats(random, {3, 8, 19, 17}),
                 w = random_floats(random, {40, 8 / attrs.groups, 3, 3});
    const Tensor qx = random_integers(random, DType::U8, {3, 8, 19, 17});
    const Tensor qw = random_integers(random, DType::I8, {40, 8 / attrs.groups, 3, 3});
    std::vector<Tensor> floats, integers;
    for (int threads : {1, 2, 3}) {
      set_thread_count(threads);
      for (int isa = 0; isa < ops::gemm_isa_count(); ++isa) {
        ops::set_gemm_isa(isa);
        TestNode a, b;
        floats.push_back(*a.run(ops::conv2d, attrs, {x, w}));
        integers.push_back(*b.run(ops::conv2d, attrs,
                                  {TestOperand(qx, b.per_tensor(DType::U8, 0.1, 9)),
                                   TestOperand(qw, b.per_tensor(DType::I8, 0.2))}));
      }
    }
    set_thread_count(1);
    ops::set_gemm_isa(ops::gemm_isa_count() - 1);
    for (const Tensor& t : floats) EXPECT_TRUE(equal_bits(t, floats[0]));
    for (const Tensor& t : integers) EXPECT_TRUE(equal_bits(t, integers[0]));
  }
}

// Sums beyond 32 bits: 2048 * 9 products of the largest 8-bit differences.
TEST(conv, long_sums_do_not_overflow) {
  TestNode t;
  Tensor x = *Tensor::make(DType::U8, {1, 4096, 3, 3}), w = *Tensor::make(DType::U8, {2, 4096, 3, 3});
  for (int64_t i = 0; i < x.elements(); ++i) x.set_int(i, 255);
  for (int64_t i = 0; i < w.elements(); ++i) w.set_int(i, 255);
  auto y = t.run(ops::conv2d, ops::ConvAttrs{},
                 {TestOperand(x, t.per_tensor(DType::U8, 1)), TestOperand(w, t.per_tensor(DType::U8, 1))});
  ASSERT_TRUE(y.ok());
  EXPECT_EQ(y->data<float>()[0], static_cast<float>(4096.0 * 9 * 255 * 255));
}

// Symbolic sizes go through inference and are checked when the numbers are known.
TEST(conv, symbolic_sizes) {
  Model model;
  Context& context = *model.context;
  const Dim s = context.dims().symbol("s0", {.min = 1, .max = 100}), h = context.dims().symbol("h");
  Value* x = model.graph->add_input("x", context.tensor(DType::F32, std::vector<Dim>{s, 3, h, 16}));
  Value* w = model.graph->add_input("w", context.tensor(DType::F32, std::vector<int64_t>{8, 3, 3, 3}));
  ops::ConvAttrs attrs;
  attrs.stride = context.ints({2, 2});
  attrs.padding = context.ints({1, 1});
  Value* operands[] = {x, w};
  Node* node = model.graph->create({.op = &ops::conv2d, .operands = operands, .attrs = &attrs});
  ASSERT_TRUE(node->infer().ok());
  const Shape shape = node->result()->type().shape;
  ASSERT_EQ(shape.size(), 4u);
  EXPECT_EQ(shape[0], s);
  EXPECT_EQ(shape[1], Dim(8));
  DimBinding binding{{"s0", 5}, {"h", 17}};
  EXPECT_EQ(context.dims().evaluate(shape[2], binding), 9);
  EXPECT_EQ(shape[3], Dim(8));
}

// The message names the constraint, the numbers wanted and found.
TEST(conv, scale_count_is_checked) {
  TestNode t;
  Random random(6);
  QuantType q = t.per_axis(DType::I8, random, 0, 32);
  Value* x = t.model.graph->add_input("x", t.context().tensor(DType::F32, std::vector<int64_t>{1, 3, 8, 8}));
  Value* w = t.model.graph->add_input("w", t.context().quantized(q, std::vector<Dim>{30, 3, 3, 3}));
  Value* operands[] = {x, w};
  Node* node = t.model.graph->create({.op = &ops::conv2d, .operands = operands});
  const Status status = node->infer();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().first().id, "conv2d.c3");
  EXPECT_EQ(status.error().first().text, "weight has 30 output channels but 32 scales");
}

}  // namespace
}  // namespace zp
