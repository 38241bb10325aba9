// What the tests of fusing share: a graph from text, fused for a backend, held to the rules that hold for
// every graph: no bit changes, everything is explained, a second run changes nothing, the way back gives the
// same numbers.
#pragma once

#include <cstring>

#include "backend/backend.h"
#include "passes/fuse/fuse.h"
#include "qat_util.h"
#include "rewrite/trace.h"

namespace zp::test {

inline const Backend& cpu() {
  static const std::unique_ptr<Backend> backend = [] {
    auto b = Backend::load("cpu");
    EXPECT_TRUE(b.ok()) << (b.ok() ? "" : b.error().str());
    return std::move(*b);
  }();
  return *backend;
}

struct Fused {
  std::unique_ptr<Model> model;
  Records records;
  const RewriteRecord* rewrite(std::string_view pattern) const {
    for (const RewriteRecord& r : records.rewrites)
      if (r.pattern == pattern) return &r;
    return nullptr;
  }
  const KeptRecord* kept(std::string_view node) const {
    for (const KeptRecord& k : records.kept)
      if (k.node == node) return &k;
    return nullptr;
  }
};

// Every node that computes on floats has a record; the rule that must never break.
inline void expect_reasons(const Fused& f) {
  for (const Node* node : f.model->graph->nodes()) {
    const OpDef& op = node->op();
    if (op.trait == Trait::ShapeOnly || op.trait == Trait::Structural || op.trait == Trait::Quantizer)
      continue;
    bool quantized = false;
    for (size_t i = 0; i < node->operand_count(); ++i)
      quantized = quantized || (node->operand(i) != nullptr && node->operand(i)->type().is_quantized());
    if (quantized) continue;
    const KeptRecord* kept = f.kept(rewrite::source_name(*node));
    EXPECT_NE(kept, nullptr) << node->name() << " has no reason\n" << print(*f.model);
    if (kept == nullptr) continue;
    EXPECT_FALSE(kept->text.empty() || kept->clause.empty() || kept->wanted.empty() || kept->found.empty() ||
                 kept->op.empty())
        << kept->text;
  }
}

inline void expect_equal_bits(const Model& a, const Model& b) {
  for (uint64_t seed : {7, 8}) {
    const auto inputs = inputs_for(a, seed);
    const auto before = run_model(a, inputs), after = run_model(b, inputs);
    ASSERT_EQ(before.size(), after.size());
    for (size_t i = 0; i < before.size(); ++i) {
      ASSERT_EQ(before[i].shape(), after[i].shape());
      EXPECT_EQ(std::memcmp(before[i].data<std::byte>(), after[i].data<std::byte>(),
                            static_cast<size_t>(before[i].bytes())),
                0)
          << print(a) << print(b);
    }
  }
}

// Fuses, checks that no bit changes, that all is explained, that a second run changes nothing, and that
// expanding gives the same numbers again.
inline Fused fuse(const std::string& text, const Backend* backend = nullptr) {
  Fused f;
  const auto reference = parse(text);
  f.model = parse(text);
  if (!reference || !f.model) return f;
  f.records = run_pass(*f.model, kFuseQdqPass, backend != nullptr ? backend : &cpu());
  expect_equal_bits(*reference, *f.model);
  expect_reasons(f);
  const uint64_t changes = f.model->context->changes();
  const std::string once = print(*f.model);
  const Records again = run_pass(*f.model, kFuseQdqPass, backend != nullptr ? backend : &cpu());
  EXPECT_EQ(f.model->context->changes(), changes) << print(*f.model);
  EXPECT_EQ(again.rewrites.size(), 0u);
  EXPECT_EQ(again.kept.size(), f.records.kept.size());
  EXPECT_EQ(print(*f.model), once);

  const auto expanded = parse(text);
  run_pass(*expanded, kFuseQdqPass, backend != nullptr ? backend : &cpu());
  run_pass(*expanded, kExpandFusedPass);
  expect_equal_bits(*reference, *expanded);
  for (const Node* node : expanded->graph->nodes()) {
    const bool quantizer = node->op().trait == Trait::Quantizer || node->op().trait == Trait::ShapeOnly ||
                           node->op().trait == Trait::Structural;
    for (size_t i = 0; i < node->operand_count() && !quantizer; ++i)
      EXPECT_FALSE(node->operand(i) != nullptr && node->operand(i)->type().is_quantized())
          << print(*expanded);
  }
  return f;
}

inline std::string numbers(int count, int seed, int span = 200) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += (i > 0 ? "," : "") + std::to_string((i * 37 + seed * 11) % span - span / 2);
  return text;
}
inline std::string scales(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += (i > 0 ? "," : "") + std::to_string(0.002 + 0.001 * (i % 7));
  return text;
}

}  // namespace zp::test
