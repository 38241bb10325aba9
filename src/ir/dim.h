// Symbolic dimensions. A Dim is a number, unknown, or an expression over symbols. Expressions are
// hash-consed and canonical, so equality is identity: a polynomial is a sorted sum of products with like
// terms collected, over atoms that are symbols or quotients, remainders, minima, maxima and powers simplified
// as far as exact integer arithmetic and the ranges of symbols allow. The order of parts depends on their
// structure and names only, never on history, so that the text form reads back to the same expression.
#pragma once

#include <concepts>
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
  Add,
  Mul,  // n-ary, sorted; Mul: an optional Constant first, then factors (a square has its factor twice)
  FloorDiv,
  CeilDiv,
  Mod,
  Min,
  Max,
  Pow,  // Min, Max: n-ary, sorted. CeilDiv is never built: see DimContext::ceildiv
};

struct DimExpr {
  DimOp op;
  int64_t value = 0;        // Constant
  std::string_view symbol;  // Symbol
  List<const DimExpr*> args;
  uint32_t id = 0;     // order of creation
  uint32_t size = 1;   // nodes when written out as a tree; bounded, so that walking one is cheap
  uint32_t depth = 1;  // bounded likewise
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
  template <std::integral T>
  constexpr Dim(T value) : value_(static_cast<int64_t>(value)), known_(true) {}
  constexpr explicit Dim(const DimExpr* expr) : expr_(expr) {}
  static constexpr Dim unknown() { return Dim(); }

  constexpr bool is_known() const { return known_; }
  constexpr bool is_symbolic() const { return expr_ != nullptr; }
  constexpr bool is_unknown() const { return !known_ && expr_ == nullptr; }
  constexpr int64_t value() const { return value_; }  // only when is_known()
  constexpr const DimExpr* expr() const { return expr_; }

  // Two unknown dims are not known to be equal, yet compare equal as values of the type Dim.
  friend constexpr bool operator==(const Dim&, const Dim&) = default;

  std::string str() const;  // "16", "?", "2*s0+1"; DimContext::parse reads it back

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

  // Finds a symbol, or declares it (0 and up). With a range it declares; ranges of a second declaration
  // narrow the first.
  Dim symbol(std::string_view name);
  Dim symbol(std::string_view name, const SymbolInfo& info);
  const SymbolInfo* info(std::string_view symbol) const;
  SymbolInfo* info(std::string_view symbol);
  std::vector<std::string_view> symbols() const;  // in order of declaration

  // Unknown in, unknown out. Division by zero gives unknown, and so does what overflows 64 bits or would grow
  // beyond the bounds on depth and size. floordiv and mod round towards minus infinity, as Python's // and %
  // do.
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
