// What the tests of cleanup and of the QAT passes share: a model from text, one pass on it, runs before and
// after.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "interp/interp.h"
#include "ir/parser.h"
#include "ir/printer.h"
#include "ir/verifier.h"
#include "ops/ops.h"
#include "passes/pass.h"

namespace zp::test {

inline std::unique_ptr<Model> parse(const std::string& text) {
  auto model = parse_model(text, ops::table(), "test");
  EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().str()) << "\n" << text;
  return model.ok() ? std::move(model).value() : nullptr;
}

inline Records run_pass(Model& model, const PassCard& pass, const Backend* backend = nullptr,
                        std::span<const Sample> samples = {}) {
  Records records;
  PassContext context{model, backend, records, samples};
  const Status status = pass.run(context);
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().str());
  const Status right = verify_ok(model);
  EXPECT_TRUE(right.ok()) << (right.ok() ? "" : right.error().str()) << "\n" << print(model);
  return records;
}

// Pseudo-random inputs, the same on every machine; about normal, so that ranges have tails.
inline std::vector<Tensor> inputs_for(const Model& model, uint64_t seed = 7, double spread = 1.0) {
  std::vector<Tensor> inputs;
  uint64_t state = seed * 0x9E3779B97F4A7C15ull + 1;
  const auto uniform = [&] {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return static_cast<double>(state >> 11) / 9007199254740992.0 - 0.5;
  };
  for (size_t i : model.user_inputs()) {
    const Type& type = model.graph->inputs()[i]->type();
    std::vector<int64_t> shape;
    for (const Dim& d : type.shape) shape.push_back(d.value());
    Tensor t = std::move(*Tensor::make(type.dtype, shape));
    for (int64_t k = 0; k < t.elements(); ++k)
      t.set_double(k, spread * (uniform() + uniform() + uniform() + uniform()) * 1.7);
    inputs.push_back(std::move(t));
  }
  return inputs;
}

inline std::vector<Tensor> run_model(const Model& model, const std::vector<Tensor>& inputs) {
  auto outputs = run(model, inputs);
  EXPECT_TRUE(outputs.ok()) << (outputs.ok() ? "" : outputs.error().str()) << "\n" << print(model);
  return outputs.ok() ? std::move(outputs).value() : std::vector<Tensor>{};
}

inline double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double worst = 0;
  for (int64_t i = 0; i < a.elements(); ++i)
    worst = std::max(worst, std::abs(a.get_double(i) - b.get_double(i)));
  return worst;
}

inline size_t count_op(const Model& model, const OpDef& op) {
  size_t count = 0;
  for (const Node* node : model.graph->nodes()) count += node->is(op);
  return count;
}

inline const Node* first_of(const Model& model, const OpDef& op) {
  for (const Node* node : model.graph->nodes())
    if (node->is(op)) return node;
  return nullptr;
}

}  // namespace zp::test
