// The interpreter on small graphs built by hand: binding of symbols, what affine ops get, wrapping of fused
// operators, state, control flow, folding, refusals.
#include "interp/interp.h"

#include <gtest/gtest.h>

#include <cstring>

#include "ir/parser.h"
#include "ops/control.h"
#include "ops/conv.h"
#include "ops/ops.h"
#include "ops/quant.h"
#include "ops/quant_eval.h"
#include "support/parallel.h"

namespace zp {
namespace {

using Ints = std::vector<int64_t>;

Tensor tensor(DType dtype, Ints shape, const std::vector<double>& values) {
  Tensor t = std::move(*Tensor::make(dtype, std::move(shape)));
  for (int64_t i = 0; i < t.elements(); ++i) t.set_double(i, values[static_cast<size_t>(i) % values.size()]);
  return t;
}

bool equal_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.data<char>(), b.data<char>(), static_cast<size_t>(a.bytes())) == 0;
}

// A model under construction.
struct Build {
  Model model;
  Context& context() { return *model.context; }
  Graph& graph() { return *model.graph; }

  Value* input(std::string_view name, DType dtype, const std::vector<Dim>& shape) {
    model.inputs.push_back({});
    return graph().add_input(name, context().tensor(dtype, shape));
  }
  Value* state(std::string_view name, const Tensor& initial) {
    const Constant* c = context().make_constant(name, initial.dtype(), initial.shape(), initial.blob());
    model.inputs.push_back({.kind = InputInfo::State, .initial = c});
    return graph().add_input(name, context().tensor(initial.dtype(), initial.shape()));
  }
  Value* constant(std::string_view name, const Tensor& t) {
    return graph().add_const(*context().make_constant(name, t.dtype(), t.shape(), t.blob()));
  }
  // A constant whose value is quantized.
  Value* constant(std::string_view name, const Tensor& t, const QuantType& q) {
    Value* v = constant(name, t);
    v->set_type(context().quantized(q, v->type().shape));
    return v;
  }
  Value* node(const OpDef& op, std::vector<Value*> operands, const void* attrs = nullptr,
              const Type* result = nullptr, Graph* in = nullptr) {
    Node* n = (in != nullptr ? in : &graph())->create({.op = &op, .operands = operands, .attrs = attrs});
    if (result != nullptr) n->result()->set_type(result);
    const Status status = n->infer();
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().str());
    return n->result();
  }
  Value* quantize(Value* x, const QuantType& q, Value* scale = nullptr, Value* zero_point = nullptr) {
    const ops::QuantizeAttrs attrs{.type = context().quant(q)};
    return scale == nullptr ? node(ops::quantize, {x}, &attrs)
                            : node(ops::quantize, {x, scale, zero_point}, &attrs);
  }
  void outputs(std::vector<Value*> values) {
    graph().set_outputs(values);
    model.outputs.assign(values.size(), {});
  }
};

QuantType quant(DType storage, double scale, double zero_point = 0) {
  QuantType q;
  q.storage = storage;
  q.qmin = int_min(storage);
  q.qmax = int_max(storage);
  q.scale = scale;
  q.zero_point = zero_point;
  return q;
}

std::string error_of(const Model& model, const std::vector<Tensor>& inputs) {
  auto result = run(model, inputs);
  return result.ok() ? "" : result.error().first().text;
}

TEST(interp, user_outputs_in_order) {
  Build b;
  Value* x = b.input("x", DType::F32, {2});
  Value* y = b.node(ops::relu, {x});
  b.outputs({y, x, y});
  const auto out = run(b.model, std::vector<Tensor>{tensor(DType::F32, {2}, {-1, 3})});
  ASSERT_TRUE(out.ok()) << out.error().str();
  ASSERT_EQ(out->size(), 3u);
  EXPECT_EQ((*out)[0].get_double(0), 0);
  EXPECT_EQ((*out)[1].get_double(0), -1);
  EXPECT_EQ((*out)[2].get_double(1), 3);
}

TEST(interp, inputs_are_checked_and_errors_name_the_place) {
  Build b;
  const Dim s = b.context().dims().symbol("s0", {.min = 4, .max = 8});
  Value* x = b.input("x", DType::F32, {s, 3});
  b.input("y", DType::I64, {b.context().dims().add(b.context().dims().mul(s, 2), 1)});
  b.outputs({x});
  const Tensor good = tensor(DType::F32, {4, 3}, {0}), nine = tensor(DType::I64, {9}, {0});
  EXPECT_EQ(error_of(b.model, {good, nine}), "");
  EXPECT_EQ(error_of(b.model, {good}), "the model takes 2 inputs (x, y), found 1");
  EXPECT_EQ(error_of(b.model, {tensor(DType::F64, {4, 3}, {0}), nine}), "input 'x' must be f32, found f64");
  EXPECT_EQ(error_of(b.model, {tensor(DType::F32, {4}, {0}), nine}), "input 'x' must have rank 2, found 1");
  EXPECT_EQ(error_of(b.model, {tensor(DType::F32, {4, 5}, {0}), nine}),
            "input 'x': axis 1 must be 3, found 5");
  EXPECT_EQ(error_of(b.model, {good, tensor(DType::I64, {8}, {0})}),
            "input 'y': axis 0 must be 2*s0+1 = 9, found 8");
  EXPECT_EQ(error_of(b.model, {tensor(DType::F32, {3, 3}, {0}), tensor(DType::I64, {7}, {0})}),
            "input 'x': axis 0 must be s0 in 4..8, found 3");
  EXPECT_EQ(error_of(b.model, {tensor(DType::F32, {9, 3}, {0}), tensor(DType::I64, {19}, {0})}),
            "input 'x': axis 0 must be s0 in 4..8, found 9");
}

TEST(interp, symbols_are_solved_from_linear_dims) {
  Build b;
  DimContext& dims = b.context().dims();
  const Dim s = dims.symbol("s0"), t = dims.symbol("t");
  b.input("x", DType::F32, {dims.add(dims.mul(s, 2), t)});
  b.input("y", DType::F32, {dims.sub(dims.mul(t, 3), 1)});
  b.outputs({b.graph().inputs()[0]});
  const auto binding =
      bind_inputs(b.model, std::vector<Tensor>{tensor(DType::F32, {10}, {0}), tensor(DType::F32, {5}, {0})});
  ASSERT_TRUE(binding.ok()) << binding.error().str();
  EXPECT_EQ(binding->at("t"), 2);
  EXPECT_EQ(binding->at("s0"), 4);
  EXPECT_FALSE(
      bind_inputs(b.model, std::vector<Tensor>{tensor(DType::F32, {10}, {0}), tensor(DType::F32, {6}, {0})})
          .ok());
  EXPECT_FALSE(
      bind_inputs(b.model, std::vector<Tensor>{tensor(DType::F32, {9}, {0}), tensor(DType::F32, {5}, {0})})
          .ok());
}

// The interpreter hands the integers behind a dequantize to the affine op: the result is that of the fused
// operator.
struct QuantizedConv {
  Tensor x = tensor(DType::F32, {2, 3, 6, 6}, {0.31, -1.7, 0.05, 2.2, -0.4, 0.77, 1.1});
  Tensor w = tensor(DType::I8, {4, 3, 3, 3}, {3, -7, 12, 100, -128, 55, 0, 9, -31, 77, 2});
  Tensor bias = tensor(DType::I32, {4}, {1000, -2000, 7, 123456});
  QuantType qx = quant(DType::U8, 0.021, 97), qy = quant(DType::I8, 0.11, -5), qw, qb;

  void scales(Build& b) {
    qw = quant(DType::I8, 1);
    qw.axis = 0;
    const std::vector<float> ws{0.011f, 0.02f, 0.003f, 0.0071f};
    qw.scales = b.context().make_constant("w.scale", DType::F32, Ints{4}, ws);
    qb = quant(DType::I32, 1);
    qb.axis = 0;
    std::vector<float> bs;
    for (float s : ws) bs.push_back(static_cast<float>(0.021 * static_cast<double>(s)));
    qb.scales = b.context().make_constant("b.scale", DType::F32, Ints{4}, bs);
  }
  ops::ConvAttrs attrs(Build& b, bool clamp) {
    ops::ConvAttrs a;
    a.padding = b.context().ints({1, 1});
    if (clamp) a.act_min = 0;
    return a;
  }
};

TEST(interp, dequantize_conv_quantize_equals_the_fused_operator) {
  QuantizedConv c;
  Build plain, fused;
  {
    c.scales(plain);
    const ops::ConvAttrs attrs = c.attrs(plain, false);
    Value* x =
        plain.node(ops::dequantize, {plain.quantize(plain.input("x", DType::F32, {2, 3, 6, 6}), c.qx)});
    Value* w = plain.node(ops::dequantize, {plain.constant("w", c.w, c.qw)});
    Value* bias = plain.node(ops::dequantize, {plain.constant("b", c.bias, c.qb)});
    Value* y = plain.node(ops::relu, {plain.node(ops::conv2d, {x, w, bias}, &attrs)});
    plain.outputs({plain.quantize(y, c.qy)});
  }
  {
    c.scales(fused);
    const ops::ConvAttrs attrs = c.attrs(fused, true);
    Value* x = fused.quantize(fused.input("x", DType::F32, {2, 3, 6, 6}), c.qx);
    const Type* result = fused.context().quantized(c.qy, std::vector<Dim>{2, 4, 6, 6});
    Value* y = fused.node(ops::conv2d, {x, fused.constant("w", c.w, c.qw), fused.constant("b", c.bias, c.qb)},
                          &attrs, result);
    EXPECT_TRUE(y->type().is_quantized());
    fused.outputs({y});
  }
  const auto a = run(plain.model, std::vector<Tensor>{c.x}), b = run(fused.model, std::vector<Tensor>{c.x});
  ASSERT_TRUE(a.ok()) << a.error().str();
  ASSERT_TRUE(b.ok()) << b.error().str();
  ASSERT_EQ((*a)[0].dtype(), DType::I8);
  EXPECT_EQ((*a)[0].bytes(), (*b)[0].bytes());
  EXPECT_EQ(std::memcmp((*a)[0].data<char>(), (*b)[0].data<char>(), static_cast<size_t>((*a)[0].bytes())), 0);
  int64_t distinct = 0;
  for (int64_t i = 1; i < (*a)[0].elements(); ++i) distinct += (*a)[0].get_int(i) != (*a)[0].get_int(0);
  EXPECT_GT(distinct, 50);
}

// A dequantize that only affine ops read does not run; one that others read does.
TEST(interp, values_are_traced_and_kept) {
  QuantizedConv c;
  Build b;
  c.scales(b);
  const ops::ConvAttrs attrs = c.attrs(b, false);
  Value* q = b.quantize(b.input("x", DType::F32, {2, 3, 6, 6}), c.qx);
  Value* x = b.node(ops::dequantize, {q});
  Value* w = b.node(ops::dequantize, {b.constant("w", c.w, c.qw)});
  Value* y = b.node(ops::conv2d, {x, w}, &attrs);
  b.outputs({y});
  std::vector<std::string> names;
  std::unordered_map<const Value*, Tensor> values;
  RunOptions options;
  options.trace = [&](const Value& value, const Tensor&) { names.emplace_back(value.name()); };
  options.values = &values;
  const auto traced = run(b.model, std::vector<Tensor>{c.x}, options),
             quiet = run(b.model, std::vector<Tensor>{c.x});
  ASSERT_TRUE(traced.ok() && quiet.ok());
  EXPECT_TRUE(equal_bits((*traced)[0], (*quiet)[0]));
  EXPECT_EQ(names.size(), 6u);  // x, quantize, two dequantize, w, conv
  ASSERT_TRUE(values.contains(x));
  const QuantParams params = *quant_params(b.context(), c.qx, c.x.shape());
  EXPECT_TRUE(equal_bits(values[x], *ops::dequantize_tensor(values[q], params, DType::F32)));
}

TEST(interp, dynamic_parameters_reach_the_affine_op) {
  Build b;
  QuantType q = quant(DType::I8, 1);
  q.dynamic = true;
  Value* x = b.input("x", DType::F32, {3, 8});
  const ops::ChooseQparamsAttrs choose{.type = b.context().quant(q), .eps = 1e-6};
  Node* chosen = b.graph().create(
      {.op = &ops::choose_qparams, .operands = std::vector<Value*>{x}, .attrs = &choose, .results = 2});
  ASSERT_TRUE(chosen->infer().ok());
  Value* quantized = b.quantize(x, q, chosen->result(0), chosen->result(1));
  Value* real = b.node(ops::dequantize, {quantized, chosen->result(0), chosen->result(1)});
  const Tensor w = tensor(DType::I8, {2, 8}, {3, -7, 12, 100, -128, 55, 0});
  Value* weight = b.node(ops::dequantize, {b.constant("w", w, quant(DType::I8, 0.01))});
  b.outputs({b.node(ops::linear, {real, weight}), quantized, chosen->result(0), chosen->result(1)});
  const auto out =
      run(b.model, std::vector<Tensor>{tensor(DType::F32, {3, 8}, {0.3, -1.2, 2.5, 0.01, -0.7})});
  ASSERT_TRUE(out.ok()) << out.error().str();
  const Tensor &y = (*out)[0], &ints = (*out)[1];
  const double scale = (*out)[2].get_double(0);
  const int64_t zero_point = (*out)[3].get_int(0);
  for (int64_t r = 0; r < 3; ++r) {
    for (int64_t c = 0; c < 2; ++c) {
      int64_t sum = 0;
      for (int64_t k = 0; k < 8; ++k) sum += (ints.get_int(r * 8 + k) - zero_point) * w.get_int(c * 8 + k);
      EXPECT_EQ(y.data<float>()[r * 2 + c], static_cast<float>(static_cast<double>(sum) * (scale * 0.01)));
    }
  }
}

// Fused operators of other families mean dequantize, compute, clamp, quantize.
TEST(interp, fused_elementwise_is_wrapped) {
  Build b;
  const QuantType qa = quant(DType::I8, 0.5, 3), qb = quant(DType::U8, 0.25, 100),
                  qy = quant(DType::I8, 0.75, -2);
  const Tensor a = tensor(DType::I8, {6}, {-128, -5, 0, 3, 77, 127}),
               c = tensor(DType::U8, {6}, {0, 100, 101, 255, 17, 99});
  const Type* result = b.context().quantized(qy, std::vector<Dim>{6});
  Value* y = b.node(ops::add, {b.constant("a", a, qa), b.constant("b", c, qb)}, nullptr, result);
  b.outputs({y});
  const auto out = run(b.model, {});
  ASSERT_TRUE(out.ok()) << out.error().str();
  ASSERT_EQ((*out)[0].dtype(), DType::I8);
  for (int64_t i = 0; i < 6; ++i) {
    const float real =
        static_cast<float>(a.get_int(i) - 3) * 0.5f + static_cast<float>(c.get_int(i) - 100) * 0.25f;
    EXPECT_EQ((*out)[0].get_int(i), quantize_value(real, static_cast<float>(1.0 / 0.75), -2, -128, 127)) << i;
  }
}

TEST(interp, state_starts_from_its_constant_and_is_returned) {
  Build b;
  Value* total = b.state("total", tensor(DType::F32, {2}, {10, 20}));
  Value* x = b.input("x", DType::F32, {2});
  Value* next = b.node(ops::add, {total, x});
  b.outputs({next, b.node(ops::relu, {x})});
  b.model.outputs[0] = {.kind = OutputInfo::StateUpdate, .target = 0};
  std::vector<Tensor> state;
  RunOptions options;
  options.state_after = &state;
  const std::vector<Tensor> in{tensor(DType::F32, {2}, {1, 2})};
  const auto first = run(b.model, in, options);
  ASSERT_TRUE(first.ok()) << first.error().str();
  EXPECT_EQ(first->size(), 1u);
  ASSERT_EQ(state.size(), 1u);
  EXPECT_EQ(state[0].get_double(1), 22);
  const std::vector<Tensor> kept = state;
  options.state = kept;
  ASSERT_TRUE(run(b.model, in, options).ok());
  EXPECT_EQ(state[0].get_double(1), 24);
}

TEST(interp, regions_run) {
  Build b;
  Value* p = b.input("p", DType::Bool, {});
  Value* x = b.input("x", DType::F32, {3});
  Node* cond = b.graph().create({.op = &ops::cond, .operands = std::vector<Value*>{p, x}});
  for (const OpDef* op : {&ops::relu, &ops::neg}) {
    Graph* region = cond->add_region();
    Value* in = region->add_input("v", x->type_ptr());
    Value* results[] = {b.node(*op, {in}, nullptr, nullptr, region)};
    region->set_outputs(results);
  }
  ASSERT_TRUE(cond->infer().ok());
  b.outputs({cond->result()});
  const Tensor values = tensor(DType::F32, {3}, {-1, 2, -3});
  for (const int64_t yes : {1, 0}) {
    const auto out =
        run(b.model, std::vector<Tensor>{tensor(DType::Bool, {}, {static_cast<double>(yes)}), values});
    ASSERT_TRUE(out.ok()) << out.error().str();
    EXPECT_EQ((*out)[0].get_double(0), yes ? 0 : 1);
    EXPECT_EQ((*out)[0].get_double(1), yes ? 2 : -2);
  }
}

TEST(interp, loops_run) {
  // Doubles x until its value reaches the limit.
  Build b;
  Value* x = b.input("x", DType::F32, {});
  Value* limit = b.input("limit", DType::F32, {});
  const ops::WhileLoopAttrs attrs{.carried = 1};
  Node* loop =
      b.graph().create({.op = &ops::while_loop, .operands = std::vector<Value*>{x, limit}, .attrs = &attrs});
  for (int r = 0; r < 2; ++r) {
    Graph* region = loop->add_region();
    Value* v = region->add_input("v", x->type_ptr());
    Value* l = region->add_input("l", limit->type_ptr());
    Value* results[] = {r == 0 ? b.node(ops::lt, {v, l}, nullptr, nullptr, region)
                               : b.node(ops::add, {v, v}, nullptr, nullptr, region)};
    region->set_outputs(results);
  }
  const Status status = loop->infer();
  ASSERT_TRUE(status.ok()) << status.error().str();
  b.outputs({loop->result()});
  const auto out =
      run(b.model, std::vector<Tensor>{tensor(DType::F32, {}, {3}), tensor(DType::F32, {}, {40})});
  ASSERT_TRUE(out.ok()) << out.error().str();
  EXPECT_EQ((*out)[0].get_double(0), 48);
}

TEST(interp, constants_fold_and_inputs_do_not) {
  Build b;
  Value* w = b.constant("w", tensor(DType::I8, {2, 2}, {1, -2, 3, 4}), quant(DType::I8, 0.5, 1));
  Value* real = b.node(ops::dequantize, {w});
  Value* y = b.node(ops::relu, {real});
  Value* x = b.input("x", DType::F32, {2, 2});
  Value* z = b.node(ops::add, {y, x});
  b.outputs({z});
  const auto folded = evaluate(*y);
  ASSERT_TRUE(folded.ok()) << folded.error().str();
  EXPECT_EQ(folded->get_double(2), 1.0);
  EXPECT_EQ(folded->get_double(1), 0.0);
  EXPECT_FALSE(evaluate(*z).ok());
  EXPECT_FALSE(evaluate(*y, 2).ok());  // more nodes than allowed
  EXPECT_TRUE(equal_bits(*evaluate(*y->def()), *folded));
  // One node from given operands: an affine op takes them as they are.
  Value* product = b.node(ops::matmul, {real, real});
  const Tensor eye = tensor(DType::F32, {2, 2}, {1, 0, 0, 1});
  const Tensor* operands[] = {&eye, &eye};
  const auto one = evaluate_node(*product->def(), operands);
  ASSERT_TRUE(one.ok()) << one.error().str();
  EXPECT_TRUE(equal_bits((*one)[0], eye));
}

// Inference cannot look at an operand without a known rank; the run can, and brings attributes into range.
TEST(interp, unknown_ranks_are_known_when_the_graph_runs) {
  const auto model = parse_model(R"(zp 1
graph main(%x: f32[*]) -> (%c, %s) {
  %a = flip(%x) {dims: [-1]}
  %b = select(%a) {dim: -2, index: -1}
  %c = softmax(%b) {dim: -1}
  %s = unsqueeze(%b) {dim: -1}
}
)",
                                 ops::table(), "t.zp");
  ASSERT_TRUE(model.ok()) << model.error().str();
  const Tensor x = tensor(DType::F32, {2, 3}, {1, 2, 3, 4, 4, 4});
  const auto out = run(**model, std::vector<Tensor>{x});
  ASSERT_TRUE(out.ok()) << out.error().str();
  EXPECT_TRUE(equal_bits((*out)[0], tensor(DType::F32, {3}, {1.0 / 3})));
  EXPECT_TRUE(equal_bits((*out)[1], tensor(DType::F32, {3, 1}, {4})));
  // What inference would have refused is refused now, with the same words.
  const auto bad = run(**model, std::vector<Tensor>{tensor(DType::F32, {3}, {1})});
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().first().id, "select.c1") << bad.error().str();
  EXPECT_EQ(bad.error().first().where.node, "b");
}

TEST(interp, a_loop_without_end_is_an_error) {
  const auto model = parse_model(R"(zp 1
graph main(%x: f32[]) -> (%y) {
  %y = while_loop(%x) {carried: 1}
    region (%a: f32[]) -> (%go) {
      %go = eq(%a, %a)
    }
    region (%a: f32[]) -> (%a) {
    }
}
)",
                                 ops::table(), "t.zp");
  ASSERT_TRUE(model.ok()) << model.error().str();
  set_max_loop_rounds(1000);
  const auto out = run(**model, std::vector<Tensor>{tensor(DType::F32, {}, {1})});
  set_max_loop_rounds(100'000'000);
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().first().id, "run.rounds");
}

TEST(interp, maps_over_nothing_and_over_too_many_parts) {
  const auto model = parse_model(R"(zp 1
graph main(%x: f32[?,2]) -> (%y) {
  %y = map(%x) {mapped: 1}
    region (%a: f32[2]) -> (%b) {
      %b = neg(%a)
    }
}
)",
                                 ops::table(), "t.zp");
  ASSERT_TRUE(model.ok()) << model.error().str();
  const auto none = run(**model, std::vector<Tensor>{tensor(DType::F32, {0, 2}, {1})});
  ASSERT_TRUE(none.ok()) << none.error().str();
  EXPECT_EQ((*none)[0].shape(), (Ints{0, 2}));
  set_max_loop_rounds(3);
  const auto many = run(**model, std::vector<Tensor>{tensor(DType::F32, {4, 2}, {1})});
  set_max_loop_rounds(100'000'000);
  ASSERT_FALSE(many.ok());
  EXPECT_EQ(many.error().first().id, "run.rounds");
}

TEST(interp, what_cannot_run_is_refused_by_name) {
  Build b;
  Value* x = b.input("x", DType::F32, {2});
  const OpaqueAttrs attrs{.target = b.context().text("mylib.myop.default")};
  Node* node = b.graph().create(
      {.op = &kOpaqueOp, .operands = std::vector<Value*>{x}, .attrs = &attrs, .name = "odd"});
  node->result()->set_type(x->type_ptr());
  b.outputs({node->result()});
  const auto out = run(b.model, std::vector<Tensor>{tensor(DType::F32, {2}, {0})});
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().first().text, "operator mylib.myop.default is not known here and cannot run");
  EXPECT_EQ(out.error().first().where.node, "odd");
  // Where nothing reads it, it is not in the way.
  b.outputs({b.node(ops::relu, {x})});
  EXPECT_TRUE(run(b.model, std::vector<Tensor>{tensor(DType::F32, {2}, {0})}).ok());
}

TEST(interp, a_result_that_contradicts_its_type_is_refused) {
  Build b;
  Value* x = b.input("x", DType::F32, {2});
  Value* y = b.node(ops::relu, {x});
  y->set_type(b.context().tensor(DType::F32, Ints{3}));
  b.outputs({y});
  const auto out = run(b.model, std::vector<Tensor>{tensor(DType::F32, {2}, {0})});
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().first().id, "run.result");
}

}  // namespace
}  // namespace zp
