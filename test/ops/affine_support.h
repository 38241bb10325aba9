// One node of an affine op, built from tensors and quantizations, with pseudo-random data; shared by the
// tests of convolutions and products.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <vector>

#include "ir/model.h"
#include "ir/tensor.h"
#include "ops/ops.h"
#include "ops/quant_eval.h"

namespace zp::testing {

// The same numbers everywhere: xorshift.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2654435769u + 88172645463325252u) {}
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  int64_t in(int64_t lo, int64_t hi) {
    return lo + static_cast<int64_t>(next() % static_cast<uint64_t>(hi - lo + 1));
  }
  float real() { return static_cast<float>(in(-1000000, 1000000)) * 3.3e-6f; }
  template <typename T>
  T pick(std::initializer_list<T> items) {
    return items.begin()[static_cast<size_t>(in(0, static_cast<int64_t>(items.size()) - 1))];
  }

 private:
  uint64_t state_;
};

inline Tensor random_floats(Random& random, std::vector<int64_t> shape, DType dtype = DType::F32) {
  Tensor t = std::move(*Tensor::make(dtype, std::move(shape)));
  for (int64_t i = 0; i < t.elements(); ++i) t.set_double(i, random.real());
  return t;
}
inline Tensor random_integers(Random& random, DType dtype, std::vector<int64_t> shape) {
  Tensor t = std::move(*Tensor::make(dtype, std::move(shape)));
  const int64_t lo = std::max<int64_t>(int_min(dtype), -(int64_t{1} << 31)),
                hi = std::min<int64_t>(int_max(dtype), int64_t{1} << 31);
  for (int64_t i = 0; i < t.elements(); ++i)
    t.set_int(i, random.in(0, 9) == 0 ? random.pick({lo, hi}) : random.in(lo, hi));
  return t;
}

struct TestOperand {
  Tensor tensor;
  QuantType quant;
  bool quantized = false;
  bool present = false;
  TestOperand() = default;
  TestOperand(Tensor t) : tensor(std::move(t)), present(true) {}  // NOLINT(google-explicit-constructor)
  TestOperand(Tensor t, const QuantType& q)
      : tensor(std::move(t)), quant(q), quantized(true), present(true) {}
};

// A model of one node; constants of quantizations are made in its context.
struct TestNode {
  Model model;
  Node* node = nullptr;

  Context& context() { return *model.context; }
  QuantType per_tensor(DType storage, double scale, int64_t zero_point = 0) {
    QuantType q;
    q.storage = storage;
    q.qmin = int_min(storage);
    q.qmax = int_max(storage);
    q.scale = scale;
    q.zero_point = static_cast<double>(zero_point);
    return q;
  }
  // Random scales and zero points for every cell of a grid of `cells`.
  QuantType with_cells(QuantType q, Random& random, int64_t cells, bool zero_points) {
    std::vector<float> scales;
    std::vector<int64_t> zeros;
    for (int64_t i = 0; i < cells; ++i) {
      scales.push_back(0.001f + static_cast<float>(random.in(0, 1000)) * 1e-5f);
      zeros.push_back(zero_points ? random.in(std::max<int64_t>(q.qmin, -300), std::min<int64_t>(q.qmax, 300))
                                  : 0);
    }
    q.scales = context().make_constant("scales", DType::F32, std::vector<int64_t>{cells}, scales);
    if (zero_points)
      q.zero_points = context().make_constant("zeros", DType::I64, std::vector<int64_t>{cells}, zeros);
    return q;
  }
  QuantType per_axis(DType storage, Random& random, int32_t axis, int64_t channels,
                     bool zero_points = false) {
    QuantType q = per_tensor(storage, 1);
    q.axis = axis;
    return with_cells(q, random, channels, zero_points);
  }
  QuantType per_block(DType storage, Random& random, std::initializer_list<int64_t> block, int64_t cells,
                      bool zero_points = false) {
    QuantType q = per_tensor(storage, 1);
    q.block = context().ints(block);
    return with_cells(q, random, cells, zero_points);
  }

  // Builds, infers and evaluates; quantized operands come as integers with their parameters, as the
  // interpreter hands them on.
  template <typename Attrs>
  Result<Tensor> run(const OpDef& op, const Attrs& attrs, const std::vector<TestOperand>& operands) {
    std::vector<Value*> values;
    std::vector<const Tensor*> in;
    std::vector<QuantParams> params(operands.size());
    std::vector<const QuantParams*> quant(operands.size());
    for (size_t i = 0; i < operands.size(); ++i) {
      const TestOperand& o = operands[i];
      in.push_back(o.present ? &o.tensor : nullptr);
      if (!o.present) {
        values.push_back(nullptr);
        continue;
      }
      const std::vector<Dim> shape(o.tensor.shape().begin(), o.tensor.shape().end());
      const Type* type =
          o.quantized ? context().quantized(o.quant, shape) : context().tensor(o.tensor.dtype(), shape);
      values.push_back(model.graph->add_input("x", type));
      if (!o.quantized) continue;
      ZP_TRY(params[i], quant_params(context(), *type->quant, o.tensor.shape()));
      quant[i] = &params[i];
    }
    NodeSpec spec;
    spec.op = &op;
    spec.operands = values;
    spec.attrs = &attrs;
    node = model.graph->create(spec);
    ZP_CHECK(node->infer());
    std::vector<Tensor> out(1);
    EvalArgs args{*node, in, out, nullptr, quant};
    ZP_CHECK(op.eval(args));
    const std::vector<Dim> shape(out[0].shape().begin(), out[0].shape().end());
    EXPECT_EQ(node->result()->type().str(), context().tensor(out[0].dtype(), shape)->str())
        << "inference and evaluation disagree";
    return out[0];
  }
};

inline bool equal_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.bytes() == 0 || std::memcmp(a.data<char>(), b.data<char>(), static_cast<size_t>(a.bytes())) == 0);
}

}  // namespace zp::testing
