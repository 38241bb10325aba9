// Symbolic numbers as archives write them: sympy's srepr text, and the names that torch allows for symbols.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/dim.h"
#include "support/json_writer.h"

namespace zp::pt2 {

class DimWriter {
 public:
  // `keep_names`: the symbols come from an archive. Otherwise they get names of the form s0, s1 ..., which is
  // how torch knows a size (torch/utils/_sympy/symbol.py tells kinds of symbols by the first letters of their
  // names).
  DimWriter(DimContext& dims, bool keep_names) : dims_(dims), keep_names_(keep_names) {}

  // A number that a user passes (an integer argument) may be zero or negative; a size may not.
  void declare_number(Dim symbol);
  // {"as_int": 3} or {"as_expr": {"expr_str": ..., "hint": ...}}. An unknown dim becomes a symbol of its own.
  void write(JsonWriter& json, Dim dim, bool of_input);
  std::string srepr(Dim dim);
  // Ranges of all symbols that were written.
  void write_ranges(JsonWriter& json) const;

 private:
  struct Symbol {
    std::string name;
    bool positive = true;
    int64_t min = 0, max = kDimUnbounded;
  };
  Symbol& symbol(std::string_view name);
  std::string fresh(bool unbacked);
  void append(std::string* out, const DimExpr* expr);
  void append_call(std::string* out, std::string_view function, const DimExpr* expr);
  std::optional<int64_t> hint(Dim dim) const;

  DimContext& dims_;
  bool keep_names_;
  std::unordered_map<std::string_view, size_t> index_;
  std::vector<Symbol> symbols_;
  std::unordered_set<std::string> taken_;
  std::unordered_set<std::string_view> numbers_;
  uint64_t next_sized_ = 0, next_unbacked_ = 0;
};

}  // namespace zp::pt2
