// A backend: what a target can do, read from a text file (backends/*.zpb, or any path). Passes ask it what a
// match may become; they know no target by name. `accepts` is the one judge: fusing, observer placement,
// reports and `zp match` all use its answer.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/tree.h"
#include "ir/graph.h"
#include "rewrite/matcher.h"

namespace zp {

namespace backend {

// Why something is not accepted: the condition, what it wants, what is there.
struct Refusal {
  std::string
      clause;  // types.x, where, one-use, derived ...; with the line of the backend file where it has one
  std::string wanted;
  std::string found;
  std::string text;   // one sentence for a person
  uint32_t line = 0;  // in the backend file
  int progress = 0;   // how many slots were accepted before: the nearest attempt explains best
};

// What a wish came to at one slot.
struct SlotDecision {
  std::string slot;
  int outcome = 0;     // Decision::Outcome: accepted, narrowed, refused
  std::string wanted;  // the wish
  std::string got;     // the ability that serves it; empty: none
  std::string text;    // what was narrowed, or why it is refused
  bool as_quantized = false;
};

struct Verdict {
  const PatternDef* pattern = nullptr;
  const TypesDef* types = nullptr;  // the first dtype configuration that fits; null: the pattern has none
  // What was read, and which readings count as quantized (the others are taken as the float values they are).
  std::vector<rewrite::BoundSlot> slots;
  std::vector<InlineVector<bool, 8>> as_quantized;
  std::vector<SlotDecision>
      decisions;  // with a configuration that wishes: one a slot, of `types` or the nearest
  std::optional<Refusal> refusal;
  std::optional<Refusal> passed_over;  // ok: why the nearest of the configurations before `types` did not fit
  bool ok() const { return !refusal.has_value(); }
  bool any_quantized() const;
};

struct AcceptOptions {
  bool wish = false;  // float values count as what they could be quantized to: for float graphs
  const ConfigDef* config = nullptr;  // only the dtype configurations it wishes for, each slot decided
  // A quantized value that is judged as if it were declared so.
  const Value* redeclared = nullptr;
  const QuantType* declaration = nullptr;
  bool bare = false;   // with `wish`: as if no value were quantized yet
  bool brief = false;  // a refusal says how far it came, not why: for matching whole graphs
};

// A dtype configuration with its slots looked up among those of a variant, for one op of its root.
struct TypesPlan {
  const TypesDef* types = nullptr;
  std::vector<int> slots;         // for each slot of the configuration, that of the variant; -1: none
  std::vector<size_t> uncovered;  // slots of the variant that the configuration does not speak of
};

// Which form of bias the kernels of an op take, in order of preference.
struct BiasForm {
  bool integer = false;  // i32, scale = scale of x * scale of w
  bool real = false;     // float
  bool prefers_integer = false;
};

// Whether a weight may have this quantization; `wanted` says what would be accepted.
struct WeightAnswer {
  bool ok = false;
  std::string wanted;
};

}  // namespace backend

class Backend {
 public:
  // A builtin name (`cpu`), `none`, or the path of a .zpb file.
  static Result<std::unique_ptr<Backend>> load(std::string_view name_or_path);
  // Text of a file; all problems of it come in one error.
  static Result<std::unique_ptr<Backend>> parse(std::string_view text, std::string_view file);
  // From a tree (the C++ builder, an importer of another description).
  static Result<std::unique_ptr<Backend>> make(backend::File tree);
  static std::vector<std::string_view> builtin_names();
  static std::string_view builtin_text(std::string_view name);  // empty if there is none
  // Accepts every representable type for every op with an integer form: `--backend none`.
  static const Backend& permissive();

  std::string_view name() const { return tree_.name; }
  const backend::File& tree() const { return tree_; }
  std::span<const backend::PatternDef> patterns() const { return tree_.patterns; }
  const rewrite::PatternSet& pattern_set() const { return set_; }
  // Notes and warnings of reading: legacy forms printed as graphs, items that replace inherited ones, ties.
  const std::vector<Diagnostic>& notes() const { return notes_; }

  // The first word of a numerics line, or nothing: numerics("accumulate") -> "i32".
  std::optional<std::string_view> numerics(std::string_view key) const;
  // `qat_output_quantizer` of numerics: true if a folded batch norm takes the parameters of the quantizer
  // after it (the default), false if the target wants those of the quantizer before it.
  bool qat_output_after() const;

  std::string print() const;  // the canonical text; reads back to the same tree
  std::string json() const;   // the same as data

  // May the operators of this match run as what the pattern becomes?
  backend::Verdict accepts(const rewrite::Match& match, const backend::AcceptOptions& options = {}) const;
  // The same into a verdict that is used again: judging a whole graph needs no memory then.
  void judge(const rewrite::Match& match, const backend::AcceptOptions& options, backend::Verdict* out) const;
  const backend::ConfigDef* find_config(std::string_view name) const;

  // May operand `operand` of `op` (a weight) be quantized like this? Asked by passes that change weights.
  backend::WeightAnswer takes_weight_quant(const OpDef& op, size_t operand, const QuantType& quant,
                                           std::span<const Dim> shape) const;
  // The bias that patterns rooted in `op` take where input and weight are quantized statically.
  backend::BiasForm bias_form(const OpDef& op) const;
  // True if some pattern takes this op as its root (or, with `anywhere`, at any step).
  bool knows(const OpDef& op, bool anywhere = false) const;
  const backend::PatternDef& pattern_of(const rewrite::Variant& variant) const {
    return tree_.patterns[variant.pattern_index];
  }
  const rewrite::Expr* predicate(
      std::string_view name) const;  // of the file, else of the common ones; null: none

 private:
  Backend() = default;
  Status finish(std::vector<Diagnostic> problems);
  backend::File tree_;
  std::vector<Diagnostic> notes_;
  rewrite::ClassMap classes_;
  void plan_types();
  rewrite::PatternSet set_;
  std::vector<std::vector<std::vector<backend::TypesPlan>>> plans_;  // by rank of the variant, op of the root
};

}  // namespace zp
