// Affine ops read the integers behind a dequantize through shape ops: a graph with the shape ops after the
// dequantize gives the bits of the graph with the dequantize last.
#include <gtest/gtest.h>

#include <cstring>

#include "interp/interp.h"
#include "ops/conv.h"
#include "ops/join.h"
#include "ops/ops.h"
#include "ops/pad.h"
#include "ops/quant.h"
#include "ops/shape.h"

namespace zp {
namespace {

using Ints = std::vector<int64_t>;

struct Chain {
  Model model;
  Context& context() { return *model.context; }
  uint64_t seed = 12345;

  Tensor random(DType dtype, Ints shape) {
    Tensor t = std::move(*Tensor::make(dtype, std::move(shape)));
    for (int64_t i = 0; i < t.elements(); ++i) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      if (is_float(dtype)) t.set_double(i, static_cast<double>(seed >> 40) / (1 << 22) - 2);
      else
        t.set_int(i, int_min(dtype) +
                         static_cast<int64_t>((seed >> 40) %
                                              static_cast<uint64_t>(int_max(dtype) - int_min(dtype) + 1)));
    }
    return t;
  }
  QuantType quant(DType storage, double scale, double zero_point = 0) {
    QuantType q;
    q.storage = storage;
    q.qmin = int_min(storage);
    q.qmax = int_max(storage);
    q.scale = scale;
    q.zero_point = zero_point;
    return q;
  }
  QuantType per_axis(DType storage, int32_t axis, int64_t channels) {
    QuantType q = quant(storage, 1);
    q.axis = axis;
    std::vector<float> scales;
    for (int64_t i = 0; i < channels; ++i) scales.push_back(0.01f + 0.0037f * static_cast<float>(i * i % 7));
    q.scales = context().make_constant("scales", DType::F32, Ints{channels}, scales);
    return q;
  }
  Value* input(std::string_view name, const std::vector<Dim>& shape) {
    model.inputs.push_back({});
    return model.graph->add_input(name, context().tensor(DType::F32, shape));
  }
  Value* weight(const Tensor& t, const QuantType& q) {
    Value* v = model.graph->add_const(*context().make_constant("w", t.dtype(), t.shape(), t.blob()));
    v->set_type(context().quantized(q, v->type().shape));
    return v;
  }
  Value* node(const OpDef& op, std::vector<Value*> operands, const void* attrs = nullptr) {
    Node* n = model.graph->create({.op = &op, .operands = operands, .attrs = attrs});
    const Status status = n->infer();
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().str());
    return n->result();
  }
  Value* dequantize(Value* v) { return node(ops::dequantize, {v}); }
  Value* quantized_input(const std::vector<Dim>& shape) {
    const ops::QuantizeAttrs attrs{.type = context().quant(quant(DType::U8, 0.013, 101))};
    return node(ops::quantize, {input("x", shape)}, &attrs);
  }
  void result(Value* v) {
    Value* outputs[] = {v};
    model.graph->set_outputs(outputs);
    model.outputs.assign(1, {});
  }
};

// Builds the same model twice: with the shape ops on real numbers, and on integers.
void expect_same_bits(const Ints& input_shape, const std::function<void(Chain&, bool on_integers)>& build) {
  std::vector<Tensor> results;
  for (const bool on_integers : {false, true}) {
    Chain c;
    build(c, on_integers);
    const std::vector<Tensor> inputs{c.random(DType::F32, input_shape)};
    const auto out = run(c.model, inputs);
    ASSERT_TRUE(out.ok()) << out.error().str();
    results.push_back((*out)[0]);
    // Nothing a run needs for itself stays in the model.
    const size_t constants = c.context().constants().size();
    ASSERT_TRUE(run(c.model, inputs).ok());
    EXPECT_EQ(c.context().constants().size(), constants);
  }
  ASSERT_EQ(results[0].shape(), results[1].shape());
  EXPECT_EQ(
      std::memcmp(results[0].data<char>(), results[1].data<char>(), static_cast<size_t>(results[0].bytes())),
      0);
}

TEST(moved_integers, transposed_weight_per_channel) {
  expect_same_bits({5, 40}, [](Chain& c, bool on_integers) {
    Value* x = c.dequantize(c.quantized_input({5, 40}));
    Value* w = c.weight(c.random(DType::I8, {6, 40}), c.per_axis(DType::I8, 0, 6));
    ops::PermuteAttrs attrs;
    attrs.dims = c.context().ints({1, 0});
    Value* moved = on_integers ? c.dequantize(c.node(ops::permute, {w}, &attrs))
                               : c.node(ops::permute, {c.dequantize(w)}, &attrs);
    c.result(c.node(ops::matmul, {x, moved}));
  });
}

TEST(moved_integers, joined_weights_of_different_scales) {
  expect_same_bits({5, 40}, [](Chain& c, bool on_integers) {
    Value* x = c.dequantize(c.quantized_input({5, 40}));
    const Tensor a = c.random(DType::I8, {2, 40}), b = c.random(DType::I8, {3, 40});
    if (!on_integers) {
      ops::CatAttrs attrs;
      Value* parts[] = {c.dequantize(c.weight(a, c.quant(DType::I8, 0.02, 3))),
                        c.dequantize(c.weight(b, c.quant(DType::I8, 0.07, -5)))};
      c.result(c.node(ops::linear, {x, c.node(ops::cat, {parts[0], parts[1]}, &attrs)}));
      return;
    }
    Tensor both = std::move(*Tensor::make(DType::I8, {5, 40}));
    for (int64_t i = 0; i < 80; ++i) both.set_int(i, a.get_int(i));
    for (int64_t i = 0; i < 120; ++i) both.set_int(80 + i, b.get_int(i));
    QuantType q = c.quant(DType::I8, 1);
    q.axis = 0;
    q.scales = c.context().make_constant("s", DType::F32, Ints{5},
                                         std::vector<float>{0.02f, 0.02f, 0.07f, 0.07f, 0.07f});
    q.zero_points = c.context().make_constant("z", DType::I64, Ints{5}, Ints{3, 3, -5, -5, -5});
    c.result(c.node(ops::linear, {x, c.dequantize(c.weight(both, q))}));
  });
}

TEST(moved_integers, padded_convolution_weight) {
  expect_same_bits({1, 2, 8, 8}, [](Chain& c, bool on_integers) {
    Value* x = c.dequantize(c.quantized_input({1, 2, 8, 8}));
    Value* w = c.weight(c.random(DType::I8, {3, 2, 2, 2}), c.quant(DType::I8, 0.05, 17));
    ops::PadAttrs attrs;
    const Dim pads[] = {0, 1, 1, 0};
    attrs.pad = c.context().arena().copy(std::span<const Dim>(pads));
    Value* moved = on_integers ? c.dequantize(c.node(ops::pad, {w}, &attrs))
                               : c.node(ops::pad, {c.dequantize(w)}, &attrs);
    c.result(c.node(ops::conv2d, {x, moved}));
  });
}

TEST(moved_integers, activations_of_unknown_batch) {
  expect_same_bits({4, 3, 8}, [](Chain& c, bool on_integers) {
    const Dim s = c.context().dims().symbol("s0");
    Value* x = c.quantized_input({s, 3, 8});
    ops::ReshapeAttrs attrs;
    const Dim shape[] = {s, 24};
    attrs.shape = c.context().arena().copy(std::span<const Dim>(shape));
    Value* moved = on_integers ? c.dequantize(c.node(ops::reshape, {x}, &attrs))
                               : c.node(ops::reshape, {c.dequantize(x)}, &attrs);
    c.result(c.node(ops::linear, {moved, c.dequantize(c.weight(c.random(DType::I8, {6, 24}),
                                                               c.per_axis(DType::I8, 0, 6)))}));
  });
}

// Scales that no axis and no block describes after the reshape: real numbers are read, and the result is
// theirs.
TEST(moved_integers, parameters_that_cannot_be_written) {
  Chain c, plain;
  const Tensor x = c.random(DType::F32, {2, 6}), w = c.random(DType::I8, {3, 5});
  const auto finish = [&](Chain& chain, Value* real) {
    ops::ReshapeAttrs attrs;
    const Dim shape[] = {5, 3};
    attrs.shape = chain.context().arena().copy(std::span<const Dim>(shape));
    Value* in = chain.dequantize(chain.quantized_input({2, 3}));
    chain.result(chain.node(ops::linear, {in, chain.node(ops::reshape, {real}, &attrs)}));
  };
  const QuantType q = c.per_axis(DType::I8, 0, 3);
  finish(c, c.dequantize(c.weight(w, q)));
  Tensor real = std::move(*Tensor::make(DType::F32, {3, 5}));
  for (int64_t i = 0; i < 15; ++i) {
    const float scale = 0.01f + 0.0037f * static_cast<float>(i / 5 * (i / 5) % 7);
    real.set_double(i, static_cast<double>(static_cast<float>(w.get_int(i)) * scale));
  }
  finish(plain, plain.model.graph->add_const(
                    *plain.context().make_constant("w", DType::F32, Ints{3, 5}, real.blob())));
  const std::vector<Tensor> inputs{c.random(DType::F32, {2, 3})};
  const auto a = run(c.model, inputs), b = run(plain.model, inputs);
  ASSERT_TRUE(a.ok()) << a.error().str();
  ASSERT_TRUE(b.ok()) << b.error().str();
  EXPECT_EQ(std::memcmp((*a)[0].data<char>(), (*b)[0].data<char>(), static_cast<size_t>((*a)[0].bytes())), 0);
}

}  // namespace
}  // namespace zp
