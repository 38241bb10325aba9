// Symbolic dimensions. A Dim is a number, unknown, or an expression over symbols. Expressions are
// hash-consed and canonical (sums and products sorted and folded), so equality is identity.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "support/list.h"
#include "support/result.h"

namespace zp {

class DimContext;

enum class DimOp : uint8_t {
  Symbol,
  Constant,  // only inside expressions
  Add, Mul,  // n-ary, sorted
  FloorDiv, CeilDiv, Mod, Min, Max, Pow,
};

struct DimExpr {
  DimOp op;
  int64_t value = 0;         // Constant
  std::string_view symbol;   // Symbol
  List<const DimExpr*> args;
  uint32_t id = 0;           // order of creation: gives the canonical order
};

inline constexpr int64_t kDimUnbounded = std::numeric_limits<int64_t>::max();

struct SymbolInfo {
  int64_t min = 0;
  int64_t max = kDimUnbounded;
  bool unbacked = false;  // known only after a node ran (nonzero, item)
  std::optional<int64_t> hint;
};

class Dim {
 public:
  constexpr Dim() = default;  // unknown
  constexpr Dim(int64_t value) : value_(value), known_(true) {}
  constexpr explicit Dim(const DimExpr* expr) : expr_(expr) {}
  static constexpr Dim unknown() { return Dim(); }

  constexpr bool is_known() const { return known_; }
  constexpr bool is_symbolic() const { return expr_ != nullptr; }
  constexpr bool is_unknown() const { return !known_ && expr_ == nullptr; }
  constexpr int64_t value() const { return value_; }  // only when is_known()
  constexpr const DimExpr* expr() const { return expr_; }

  // Two unknown dims are not known to be equal, yet compare equal as values of the type Dim.
  friend constexpr bool operator==(const Dim&, const Dim&) = default;

  std::string str() const;  // "16", "?", "2*s0 + 1"

 private:
  int64_t value_ = 0;
  const DimExpr* expr_ = nullptr;
  bool known_ = false;
};

using DimBinding = std::unordered_map<std::string_view, int64_t>;

class DimContext {
 public:
  DimContext();
  ~DimContext();
  DimContext(const DimContext&) = delete;
  DimContext& operator=(const DimContext&) = delete;

  // Declares (or finds) a symbol. Ranges of a second declaration narrow the first.
  Dim symbol(std::string_view name, const SymbolInfo& info = {});
  const SymbolInfo* info(std::string_view symbol) const;
  SymbolInfo* info(std::string_view symbol);
  std::vector<std::string_view> symbols() const;  // in order of declaration

  // Unknown in, unknown out. Division by zero gives unknown.
  Dim add(Dim a, Dim b);
  Dim sub(Dim a, Dim b);
  Dim mul(Dim a, Dim b);
  Dim floordiv(Dim a, Dim b);
  Dim ceildiv(Dim a, Dim b);
  Dim mod(Dim a, Dim b);
  Dim min(Dim a, Dim b);
  Dim max(Dim a, Dim b);
  Dim pow(Dim a, Dim b);

  // The text form of the IR and of infix expressions: + - * // % min() max() ceildiv() parentheses,
  // symbols, integers, `?`. Undeclared symbols are declared with default ranges.
  Result<Dim> parse(std::string_view text);

  // Exact value under a binding; nothing if a symbol is unbound or the arithmetic overflows.
  std::optional<int64_t> evaluate(Dim dim, const DimBinding& binding) const;
  // Bounds that follow from the symbols' ranges.
  int64_t lower_bound(Dim dim) const;
  int64_t upper_bound(Dim dim) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace zp
