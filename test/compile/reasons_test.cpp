// Every operator that stays float in a compiled model has a record that says why: all archives of the
// project, for each backend. A float operator without a reason is a bug.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "compile/compile.h"
#include "ops/ops.h"

namespace zp {
namespace {

bool on_integers(const Node& node) {
  for (size_t i = 0; i < node.operand_count(); ++i)
    if (node.operand(i) != nullptr && node.operand(i)->type().is_quantized()) return true;
  return false;
}

void expect_reasons(const Compiled& compiled, const std::string& label) {
  std::set<std::string> kept;
  for (const KeptRecord& k : compiled.report.records.kept) {
    EXPECT_FALSE(k.text.empty() || k.clause.empty()) << label << ": " << k.node;
    kept.insert(k.node);
  }
  for (const Graph* graph : compiled.model->graphs()) {
    for (const Node* node : graph->nodes()) {
      const Trait trait = node->op().trait;
      // Symbolic numbers and assertions are structure: there is nothing to quantize.
      const bool structure = trait == Trait::Structural && !node->is(kOpaqueOp) && node->regions().empty();
      const bool computes = trait != Trait::ShapeOnly && trait != Trait::Quantizer && !structure;
      if (!computes || on_integers(*node)) continue;
      const std::vector<std::string> names = source_names(*node);
      const bool said =
          std::any_of(names.begin(), names.end(), [&](const std::string& n) { return kept.contains(n); });
      EXPECT_TRUE(said || kept.contains(std::string(node->name())))
          << label << ": " << node->name() << " has no reason";
    }
  }
}

TEST(Reasons, EveryFloatOperatorHasOne) {
  size_t compiled = 0;
  for (const char* folder : {"/models", "/test/formats/data", "/test/compile/data"}) {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(std::string(ZP_SOURCE_DIR) + folder)) {
      if (entry.path().extension() != ".pt2") continue;
      for (const char* backend : {"cpu", "vulkan", "none"}) {
        for (const char* form : {"integer", "qdq"}) {
          CompileOptions options;
          options.backend = backend;
          options.form = form;
          auto result = compile_model(entry.path(), options);
          if (!result.ok()) continue;  // archives that are refused are tests of their own
          ++compiled;
          if (options.form == "integer")
            expect_reasons(*result, entry.path().filename().string() + " for " + backend);
        }
      }
    }
  }
  EXPECT_GT(compiled, 100u);
}

}  // namespace
}  // namespace zp
