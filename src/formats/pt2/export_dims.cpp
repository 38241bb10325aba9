#include "formats/pt2/export_dims.h"

namespace zp::pt2 {
namespace {

bool is_size_name(std::string_view name, char letter) {
  return name.size() > 1 && name.size() < 19 && name[0] == letter &&
         name.find_first_not_of("0123456789", 1) == std::string_view::npos;
}

}  // namespace

std::string DimWriter::fresh(bool unbacked) {
  // Names that the model itself uses stay free for it.
  if (taken_.empty())
    for (std::string_view name : dims_.symbols()) taken_.emplace(name);
  uint64_t& next = unbacked ? next_unbacked_ : next_sized_;
  while (true) {
    std::string name = (unbacked ? "u" : "s") + std::to_string(next++);
    if (taken_.insert(name).second) return name;
  }
}

DimWriter::Symbol& DimWriter::symbol(std::string_view name) {
  if (auto found = index_.find(name); found != index_.end()) return symbols_[found->second];
  const SymbolInfo* info = dims_.info(name);
  const bool unbacked = info != nullptr && info->unbacked;
  Symbol symbol;
  symbol.name = keep_names_ || is_size_name(name, unbacked ? 'u' : 's') ? std::string(name) : fresh(unbacked);
  symbol.positive = !unbacked && !numbers_.contains(name);
  if (info != nullptr) {
    symbol.min = info->min;
    symbol.max = info->max;
  }
  index_.emplace(name, symbols_.size());
  return symbols_.emplace_back(std::move(symbol));
}

void DimWriter::declare_number(Dim dim) {
  if (dim.is_symbolic() && dim.expr()->op == DimOp::Symbol) numbers_.insert(dim.expr()->symbol);
}

void DimWriter::append_call(std::string* out, std::string_view function, const DimExpr* expr) {
  out->append(function).append("(");
  for (size_t i = 0; i < expr->args.size(); ++i) {
    if (i > 0) *out += ", ";
    append(out, expr->args[i]);
  }
  *out += ')';
}

// The depth of expressions is bounded by DimContext.
void DimWriter::append(std::string* out, const DimExpr* expr) {
  switch (expr->op) {
    case DimOp::Symbol: {
      const Symbol& s = symbol(expr->symbol);
      out->append("Symbol('")
          .append(s.name)
          .append(s.positive ? "', positive=True, integer=True)" : "', integer=True)");
      return;
    }
    case DimOp::Constant: out->append("Integer(" + std::to_string(expr->value) + ")"); return;
    case DimOp::Add: return append_call(out, "Add", expr);
    case DimOp::Mul: return append_call(out, "Mul", expr);
    case DimOp::FloorDiv: return append_call(out, "FloorDiv", expr);
    case DimOp::CeilDiv: return append_call(out, "CeilDiv", expr);
    case DimOp::Mod:
      return append_call(out, dims_.lower_bound(Dim(expr->args[0])) >= 0 ? "Mod" : "PythonMod", expr);
    case DimOp::Min: return append_call(out, "Min", expr);
    case DimOp::Max: return append_call(out, "Max", expr);
    case DimOp::Pow: return append_call(out, "Pow", expr);
  }
}

std::string DimWriter::srepr(Dim dim) {
  if (dim.is_known()) return "Integer(" + std::to_string(dim.value()) + ")";
  std::string out;
  if (dim.is_symbolic()) append(&out, dim.expr());
  return out;
}

std::optional<int64_t> DimWriter::hint(Dim dim) const {
  DimBinding binding;
  std::vector<const DimExpr*> open{dim.expr()};
  while (!open.empty()) {
    const DimExpr* expr = open.back();
    open.pop_back();
    for (const DimExpr* arg : expr->args) open.push_back(arg);
    if (expr->op != DimOp::Symbol) continue;
    const SymbolInfo* info = dims_.info(expr->symbol);
    if (info == nullptr || !info->hint) return {};
    binding[expr->symbol] = *info->hint;
  }
  return dims_.evaluate(dim, binding);
}

void DimWriter::write(JsonWriter& json, Dim dim, bool of_input) {
  json.begin_object();
  if (dim.is_known()) {
    json.field("as_int", dim.value()).end_object();
    return;
  }
  json.key("as_expr").begin_object().key("expr_str");
  if (dim.is_unknown()) {
    Symbol s;
    s.name = fresh(!of_input);
    s.positive = of_input;
    json.value("Symbol('" + s.name + (s.positive ? "', positive=True, integer=True)" : "', integer=True)"));
    symbols_.push_back(std::move(s));
    json.key("hint").null();
  } else {
    json.value(srepr(dim)).key("hint");
    if (const std::optional<int64_t> value = hint(dim)) {
      json.begin_object().field("as_int", *value).end_object();
    } else {
      json.null();
    }
  }
  json.end_object().end_object();
}

void DimWriter::write_ranges(JsonWriter& json) const {
  json.begin_object();
  for (const Symbol& s : symbols_) {
    json.key(s.name).begin_object().field("min_val", s.min).key("max_val");
    if (s.max == kDimUnbounded) json.null();
    else json.value(s.max);
    json.end_object();
  }
  json.end_object();
}

}  // namespace zp::pt2
