// What a target calls a fused operator: `lower` clauses of patterns. Each names an operator of the target and
// says where its arguments come from; weights are brought into the target's layout by functions that compose
// (`pad(transpose(scales(w)), 4)`), so a new packing is text, not code. The layout pass carries it out.
//
//   lower := "lower" ["types" name ("," name)*] call ("then" call)*
//   call  := target "{" (kind ["?"] name ":" expression)* "}" ["when" expression]
//   kind  := "tensor" | "float" | "int" | "bool" | "text" | "ints"
//
// The first call's `when` decides whether the clause applies, that of a later call whether it is made. `?`:
// None where the value is absent. `result` is the result of the call before.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rewrite/expression.h"
#include "support/result.h"
#include "support/text_cursor.h"

namespace zp::backend {

struct LowerArg {
  enum Kind : uint8_t { Tensor, Float, Int, Bool, Text, Ints } kind = Tensor;
  bool optional = false;
  std::string name;
  rewrite::ExprPtr value;
  rewrite::Place at;
};

struct LowerCall {
  std::string target;  // as torch names it: et_vk.q8ta_linear.default
  std::vector<LowerArg> args;
  rewrite::ExprPtr when;  // may be null
  rewrite::Place at;
};

struct Lowering {
  std::vector<std::pair<std::string, rewrite::Place>> types;  // empty: any of the pattern's
  std::vector<LowerCall> calls;
  rewrite::Place at;
};

// Reads what follows the word `lower`.
Result<Lowering> read_lowering(TextCursor& cursor, rewrite::Place at);
// The canonical text; lines after the first begin with `indent`.
std::string print_lowering(const Lowering& lowering, std::string_view indent);

// The functions that make tensors.
struct LayoutFunction {
  std::string_view name;
  size_t arguments;
  std::string_view doc;
};
std::span<const LayoutFunction> layout_functions();
const LayoutFunction* find_layout_function(std::string_view name);

}  // namespace zp::backend
