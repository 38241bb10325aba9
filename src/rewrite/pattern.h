// Patterns of operators, in forward order. A pattern is written as a chain (`conv2d, batch_norm, [relu]`), as
// a graph
//     { %c = conv2d(%x, %w, %b?)   %s = add(%c, %r)   %y = relu(%s) }
// or in the reversed nested form of old tools (`legacy (relu, (batch_norm, linear))`), which becomes one of
// the first two when it is read. `compile` turns a pattern into variants without optional steps, which the
// matcher walks.
#pragma once

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "rewrite/expression.h"
#include "support/result.h"
#include "support/text_cursor.h"

namespace zp::rewrite {

// What stands in an operand's place: anything (`_`, never claimed), a named value, or a number of the
// program.
struct PatternArg {
  enum Kind : uint8_t { Any, Value, Literal } kind = Any;
  std::string value;  // name without its sigil
  Number literal;
  bool optional = false;  // the operand may be absent
  Place at;
};

// {min: 0}: the attribute must have this value.
struct AttrTest {
  std::string name;
  Number number;
  std::string text;
  bool is_text = false;
  Place at;
};

struct PatternStep {
  std::vector<std::string> alternatives;  // ops and classes, as written
  std::vector<const OpDef*> ops;          // what they stand for
  bool optional = false;                  // chains only
  bool shared = false;                    // the value may have uses outside the match
  bool has_args = false;
  std::vector<PatternArg> args;  // in a chain: what follows the chained operand (first step: all)
  std::vector<AttrTest> attrs;
  std::string value;  // name of the result; empty in chains
  Place at;
};

struct Pattern {
  enum Form : uint8_t { Chain, Graph } form = Chain;
  bool legacy = false;  // was written in the nested form
  std::string name;
  std::vector<PatternStep> steps;  // forward order; the last one gives the result
  Place at;
};

// Reads what follows the name: `: chain`, `{ graph }` or `: legacy nested`. Ops are resolved later, by
// `resolve`. A legacy form that cannot be printed as a chain gives a note.
Result<Pattern> parse_pattern(TextCursor& cursor, std::string name, std::vector<Diagnostic>* notes);
std::string print_pattern(const Pattern& pattern, std::string_view indent);

// A name of a pattern: an operand of the root, an outside value that the pattern names, or the result.
struct SlotName {
  std::string name;  // as the pattern or the card has it
  std::string card;  // the card's name of the operand; results: "y"
  Role role = Role::Data;
  bool optional = false;
  bool variadic = false;  // stands for this operand and all after it
  bool result = false;
  bool of_root = false;  // an operand of the root, or the value that enters the chain the root stands in
  size_t step = 0;       // where it is read
  int argument = -1;     // number of the argument of the step; -1: `operand` counts in the card
  uint32_t operand = 0;
};

// A pattern without optional steps, ready for the matcher.
struct Variant {
  struct Arg {
    enum Kind : uint8_t { Any, Free, Inner, Literal } kind = Any;
    int index = -1;  // Free: number of the value; Inner: number of the step
    Number literal;
    bool optional = false;
  };
  struct Step {
    std::vector<const OpDef*> ops;
    std::vector<Arg> args;  // by operand number; operands beyond are free of conditions
    std::vector<AttrTest> attrs;
    int chained = -1;  // chains: the step whose result is the first data operand; -1: args say it
    bool shared = false;
    int inner_uses = 0;  // uses of the result by other steps of the variant
    size_t source = 0;   // index of the step in the pattern
  };
  const Pattern* pattern = nullptr;
  size_t pattern_index = 0;
  std::vector<Step> steps;               // forward order
  std::vector<std::string> free_values;  // names of the values that come from outside
  size_t root = 0;                       // index of the step that gives the match its operands
  // For each op the root may be: operands in order of the card, then further named values, then the result.
  std::vector<std::vector<SlotName>> slots;
  size_t rank = 0;  // in the set it belongs to: smaller is preferred
  size_t root_choice(const OpDef& op) const {
    const std::vector<const OpDef*>& ops = steps[root].ops;
    return static_cast<size_t>(std::find(ops.begin(), ops.end(), &op) - ops.begin());
  }
  size_t length() const { return steps.size(); }
};

// Ops may be given by class: `classes` maps names to ops.
using ClassMap = std::map<std::string, std::vector<const OpDef*>, std::less<>>;

// Fills `ops` of every step and checks the pattern; all problems are appended with their rule ids (zpb01,
// zpb08).
void resolve(Pattern& pattern, const OpTable& ops, const ClassMap& classes,
             std::vector<Diagnostic>* problems);

// All variants, the longest first. `root` names a value (graph) or op (chain); empty: the first step with the
// Affine trait, else the first step. An error if the optional steps make more than 64 variants.
Result<std::vector<Variant>> compile(const Pattern& pattern, size_t index, std::string_view root);

// The slots of a variant whose root is `op`.
std::vector<SlotName> slot_names(const Variant& variant, const OpDef& root);
// The slot a name means: its own name, the card's name of the operand, or a short name: x and a (first data
// operand), w (weight), b (bias, else the second operand), y (result). -1 if there is none.
int find_slot_name(std::span<const SlotName> slots, std::string_view name);

// The operand that a chain hands its value to: the first with Role::Data; -1 if there is none.
int chained_operand(const OpDef& op);

}  // namespace zp::rewrite
