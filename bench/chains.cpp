#include "chains.h"

#include <fmt/format.h>

#include <cmath>

#include "ops/binary.h"
#include "ops/conv.h"
#include "ops/norm.h"
#include "ops/ops.h"
#include "ops/quant.h"
#include "ops/shape.h"

namespace zp::bench {

namespace {

Value* make(Graph& graph, const OpDef& op, std::initializer_list<Value*> operands,
            const void* attrs = nullptr, std::string_view name = {}) {
  NodeSpec spec;
  spec.op = &op;
  spec.operands = std::span<Value* const>(operands.begin(), operands.size());
  spec.attrs = attrs;
  spec.name = name;
  Node* node = graph.create(spec);
  if (const Status status = node->infer(); !status.ok()) {
    fmt::print(stderr, "bench: {}\n", status.error().str());
    std::abort();
  }
  return node->result();
}

Value* quantize(Graph& graph, Value* x, double scale, int64_t zero_point) {
  QuantType quant;
  quant.scale = scale;
  quant.zero_point = static_cast<double>(zero_point);
  ops::QuantizeAttrs attrs;
  attrs.type = graph.context().quant(quant);
  return make(graph, ops::quantize, {x}, &attrs);
}

Value* floats(Graph& graph, std::string_view name, std::vector<int64_t> shape, double base, double step) {
  int64_t count = 1;
  for (int64_t d : shape) count *= d;
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(base + step * static_cast<double>(i % 17));
  const Constant* c = graph.context().make_constant(name, DType::F32, shape, values, ConstantKind::Buffer);
  return graph.add_const(*c, name);
}

Value* weights(Graph& graph, std::string_view name, std::vector<int64_t> shape, double scale) {
  int64_t count = 1;
  for (int64_t d : shape) count *= d;
  std::vector<int8_t> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<int8_t>(static_cast<int>(i * 37 % 255) - 127);
  const Constant* c = graph.context().make_constant(name, DType::I8, shape, values, ConstantKind::Buffer);
  Value* v = graph.add_const(*c, name);
  QuantType quant;
  quant.scale = scale;
  quant.qmin = -127;
  v->set_type(graph.context().with_quant(v->type(), quant));
  return make(graph, ops::dequantize, {v});
}

std::unique_ptr<Model> finish(std::unique_ptr<Model> model, Value* result) {
  model->graph->set_outputs(std::span<Value* const>(&result, 1));
  model->inputs.resize(1);
  model->outputs.resize(1);
  return model;
}

}  // namespace

std::unique_ptr<Model> qdq_chain(int64_t nodes) {
  auto model = std::make_unique<Model>();
  Graph& graph = *model->graph;
  const int64_t shape[] = {1, 16};
  Value* x = graph.add_input("x", graph.context().tensor(DType::F32, shape));
  for (int64_t i = 0; i < nodes / 3; ++i) {
    x = quantize(graph, x, 0.01 * (1 + static_cast<double>(i % 7)), i % 5);
    x = make(graph, ops::dequantize, {x});
    x = make(graph, ops::relu, {x});
  }
  x = quantize(graph, x, 0.05, 0);
  x = make(graph, ops::dequantize, {x});
  return finish(std::move(model), x);
}

std::unique_ptr<Model> qdq_layers(int64_t nodes) {
  auto model = std::make_unique<Model>();
  Graph& graph = *model->graph;
  Context& context = graph.context();
  const int64_t shape[] = {1, 8}, channels[] = {8};
  Value* x = graph.add_input("x", context.tensor(DType::F32, shape));
  x = quantize(graph, x, 0.05, 0);
  for (int64_t i = 0; i < nodes / 6; ++i) {
    x = make(graph, ops::dequantize, {x});
    const std::string name = fmt::format("w{}", i);
    const std::vector<int8_t> values(64, static_cast<int8_t>(i % 100));
    const int64_t size[] = {8, 8};
    const Constant* c = context.make_constant(name, DType::I8, size, values, ConstantKind::Buffer);
    const std::vector<float> scales(8, 0.001F * static_cast<float>(1 + i % 50));
    QuantType quant;
    quant.qmin = -127;
    quant.axis = 0;
    quant.scales =
        context.make_constant(name + "_scales", DType::F32, channels, scales, ConstantKind::Buffer);
    Value* w = graph.add_const(*c, name);
    w->set_type(context.with_quant(w->type(), quant));
    x = make(graph, ops::linear, {x, make(graph, ops::dequantize, {w})});
    x = quantize(graph, make(graph, ops::relu, {x}), 0.01 * (1 + static_cast<double>(i) / 4096), 3);
  }
  return finish(std::move(model), make(graph, ops::dequantize, {x}));
}

std::unique_ptr<Model> conv_bn_blocks(int64_t blocks) {
  auto model = std::make_unique<Model>();
  Graph& graph = *model->graph;
  Context& context = graph.context();
  const int64_t shape[] = {1, 8, 4, 4};
  Value* x = graph.add_input("x", context.tensor(DType::F32, shape));
  x = quantize(graph, x, 0.05, 0);
  for (int64_t b = 0; b < blocks; ++b) {
    const std::string p = fmt::format("block{}_", b);
    x = make(graph, ops::dequantize, {x});
    Value* w = weights(graph, p + "weight", {8, 8, 1, 1}, 0.002);
    ops::ConvAttrs conv;
    conv.stride = conv.dilation = context.ints({1, 1});
    conv.padding = conv.output_padding = context.ints({0, 0});
    Value* y = make(graph, ops::conv2d, {x, w}, &conv, p + "conv");
    y = make(graph, ops::dequantize, {quantize(graph, y, 0.04, 3)});
    // running_var + eps -> sqrt -> gamma / . -> reshape: the scale that training multiplied into the weights
    Value* gamma = floats(graph, p + "gamma", {8}, 0.9, 0.02);
    Value* beta = floats(graph, p + "beta", {8}, -0.3, 0.05);
    Value* mean = floats(graph, p + "mean", {8}, 0.1, 0.01);
    Value* variance = floats(graph, p + "variance", {8}, 0.8, 0.03);
    const Constant* eps =
        context.make_constant(p + "eps", DType::F32, {}, std::vector<float>{1e-5f}, ConstantKind::Literal);
    ops::AddAttrs add;
    Value* deviation =
        make(graph, ops::sqrt, {make(graph, ops::add, {variance, graph.add_const(*eps)}, &add)});
    Value* scale = make(graph, ops::div, {gamma, deviation});
    ops::ReshapeAttrs per_channel;
    const int64_t channel_shape[] = {1, -1, 1, 1};
    per_channel.shape = context.dims_of(channel_shape);
    y = make(graph, ops::div, {y, make(graph, ops::reshape, {scale}, &per_channel)});
    y = make(graph, ops::add, {y, floats(graph, p + "bias", {1, 8, 1, 1}, 0.05, 0.01)}, &add);
    ops::BatchNormAttrs bn;
    y = make(graph, ops::batch_norm, {y, gamma, beta, mean, variance}, &bn, p + "bn");
    y = make(graph, ops::relu, {y});
    x = quantize(graph, y, 0.05, -128);
  }
  x = make(graph, ops::dequantize, {x});
  return finish(std::move(model), x);
}

}  // namespace zp::bench
