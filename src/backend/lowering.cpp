// Reading and printing of `lower` clauses.
#include "backend/lowering.h"

#include <fmt/format.h>

#include <algorithm>

namespace zp::backend {
namespace {

using rewrite::place_of;

constexpr std::string_view kKinds[] = {"tensor", "float", "int", "bool", "text", "ints"};

Result<LowerArg> read_argument(TextCursor& cursor) {
  LowerArg arg;
  const TextCursor::Place at = cursor.place();
  arg.at = place_of(at);
  ZP_TRY(const std::string_view kind, cursor.word("the kind of an argument"));
  const auto known = std::find(std::begin(kKinds), std::end(kKinds), kind);
  if (known == std::end(kKinds)) {
    const std::string_view near = nearest(kind, kKinds);
    return cursor.error_at(at,
                           fmt::format("unknown kind \"{}\"{}", kind,
                                       near.empty() ? "" : fmt::format(", did you mean \"{}\"", near)),
                           "zpb01");
  }
  arg.kind = static_cast<LowerArg::Kind>(known - std::begin(kKinds));
  arg.optional = cursor.accept("?");
  ZP_TRY(const std::string_view name, cursor.word("the name of an argument"));
  arg.name = name;
  ZP_CHECK(cursor.expect(":"));
  ZP_TRY(arg.value, rewrite::parse_expr(cursor));
  return arg;
}

Result<LowerCall> read_call(TextCursor& cursor) {
  LowerCall call;
  call.at = place_of(cursor.place());
  ZP_TRY(const std::string_view target, cursor.dotted_name("the name of an operator of the target"));
  call.target = target;
  ZP_CHECK(cursor.expect("{"));
  while (!cursor.accept("}")) {
    ZP_TRY(LowerArg arg, read_argument(cursor));
    call.args.push_back(std::move(arg));
  }
  if (cursor.accept("when")) { ZP_TRY(call.when, rewrite::parse_expr(cursor)); }
  return call;
}

std::string print_call(const LowerCall& call, std::string_view indent) {
  std::string text = call.target + " {";
  for (const LowerArg& arg : call.args) {
    text += fmt::format("\n{}  {}{} {}: {}", indent, kKinds[arg.kind], arg.optional ? "?" : "", arg.name,
                        rewrite::print_expr(*arg.value));
  }
  text += fmt::format("\n{}}}", indent);
  if (call.when != nullptr) text += " when " + rewrite::print_expr(*call.when);
  return text;
}

}  // namespace

Result<Lowering> read_lowering(TextCursor& cursor, rewrite::Place at) {
  Lowering lowering;
  lowering.at = at;
  if (cursor.accept("types")) {
    do {
      const rewrite::Place place = place_of(cursor.place());
      ZP_TRY(const std::string_view name, cursor.dotted_name("the name of types", true));
      lowering.types.emplace_back(name, place);
    } while (cursor.accept(","));
  }
  do {
    ZP_TRY(LowerCall call, read_call(cursor));
    lowering.calls.push_back(std::move(call));
  } while (cursor.accept("then"));
  return lowering;
}

std::string print_lowering(const Lowering& lowering, std::string_view indent) {
  std::string text;
  for (const auto& [name, at] : lowering.types) text += (text.empty() ? "types " : ", ") + name;
  if (!text.empty()) text += " ";
  for (size_t i = 0; i < lowering.calls.size(); ++i)
    text += (i > 0 ? " then " : "") + print_call(lowering.calls[i], indent);
  return text;
}

std::span<const LayoutFunction> layout_functions() {
  static constexpr LayoutFunction kFunctions[] = {
      {"ints", 1, "the integers of a quantized constant, one a byte below 8 bits"},
      {"real", 1, "the real value behind a quantized one: what its quantize was given, else its dequantize"},
      {"scales", 1, "its scales: one an output channel (one of all is repeated), or [channels, groups]"},
      {"transpose", 1, "the last two dims exchanged"},
      {"permute", 2, "dims in that order"},
      {"reshape", 2, "the same elements in that shape; one extent may be -1"},
      {"pad", 2, "the last dim filled with zeros up to a multiple"},
      {"sums", 2, "sums over the last dim in groups of that many (0: all), as i32"},
      {"pack4", 2, "pairs of the last dim in one byte, 8 added: \"even-high\" or \"even-low\""},
      {"runtime_scale", 1, "the scale that a dynamic value was quantized with, a tensor"},
      {"runtime_zero_point", 1, "its zero point"},
  };
  return kFunctions;
}

const LayoutFunction* find_layout_function(std::string_view name) {
  for (const LayoutFunction& f : layout_functions())
    if (f.name == name) return &f;
  return nullptr;
}

}  // namespace zp::backend
