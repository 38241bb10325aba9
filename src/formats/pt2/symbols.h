// Symbolic numbers as archives write them: the srepr text of sympy (`Mul(Integer(2), Symbol('s0',
// integer=True))`), read into canonical dims. What a Dim cannot say (float functions, conditions) is unknown,
// not an error. Source: sympy.printing.repr; the function names are those of torch/utils/_sympy/functions.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "ir/dim.h"
#include "support/result.h"

namespace zp::pt2 {

class SymbolReader {
 public:
  explicit SymbolReader(DimContext& dims) : dims_(dims) {}

  // The value of an expression; an error only if the text is no expression at all. Symbols are declared on
  // the way; `hint` is the value at trace time. `text` must stay valid (it is the key of the cache).
  Result<Dim> read(std::string_view text, std::optional<int64_t> hint = std::nullopt);
  // The range of a symbol from the program's range constraints; keys that are no bare symbol are ignored.
  void constrain(std::string_view symbol, std::optional<int64_t> min, std::optional<int64_t> max);

  DimContext& dims() { return dims_; }

 private:
  DimContext& dims_;
  std::unordered_map<std::string_view, Dim> cache_;
};

}  // namespace zp::pt2
