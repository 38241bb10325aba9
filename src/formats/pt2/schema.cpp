#include "formats/pt2/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <mutex>
#include <unordered_map>

#include "formats/pt2/schema_tables.h"

namespace zp::pt2 {
namespace {

std::string_view trim(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

// Calls body for the pieces between separators that lie outside of brackets and quotes.
template <typename F>
void split_outside(std::string_view text, char separator, F body) {
  int depth = 0;
  char quote = 0;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == separator && depth == 0 && quote == 0)) {
      if (std::string_view piece = trim(text.substr(begin, i - begin)); !piece.empty()) body(piece);
      begin = i + 1;
    } else if (quote != 0) {
      if (text[i] == quote) quote = 0;
    } else if (text[i] == '"' || text[i] == '\'') {
      quote = text[i];
    } else if (text[i] == '(' || text[i] == '[') {
      ++depth;
    } else if (text[i] == ')' || text[i] == ']') {
      --depth;
    }
  }
}

struct Parsed {
  std::vector<std::string> problems;
  void problem(const Row& row, std::string text) {
    problems.push_back(fmt::format("{}: {}", row.target, text));
  }
};

bool parse_type(std::string_view text, ArgSpec& arg) {
  // Alias notes: Tensor(a), Tensor(a!), Tensor(a -> *)
  std::string type;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '(') {
      type += text[i];
      continue;
    }
    const size_t close = text.find(')', i);
    if (close == std::string_view::npos) return false;
    arg.aliased = true;
    arg.mutated = text.substr(i, close - i).find('!') != std::string_view::npos;
    i = close;
  }
  std::string_view t = type;
  if (t.ends_with("?")) {
    arg.optional = true;
    t.remove_suffix(1);
  }
  if (t.ends_with("]")) {
    const size_t open = t.find('[');
    if (open == std::string_view::npos) return false;
    arg.list = true;
    std::from_chars(t.data() + open + 1, t.data() + t.size() - 1, arg.fixed_size);
    t = t.substr(0, open);
    if (t.ends_with("?")) {
      arg.optional_items = true;
      t.remove_suffix(1);
    }
  }
  static const std::pair<std::string_view, ArgKind> kKinds[] = {
      {"Tensor", ArgKind::Tensor},
      {"int", ArgKind::Int},
      {"SymInt", ArgKind::Int},
      {"float", ArgKind::Float},
      {"bool", ArgKind::Bool},
      {"Scalar", ArgKind::Scalar},
      {"str", ArgKind::String},
      {"ScalarType", ArgKind::DType},
      {"Layout", ArgKind::Layout},
      {"Device", ArgKind::Device},
      {"MemoryFormat", ArgKind::MemoryFormat},
  };
  for (auto [name, kind] : kKinds) {
    if (t != name) continue;
    arg.kind = kind;
    arg.symbolic = t == "SymInt";
    return true;
  }
  return false;
}

// `Tensor(a -> *) self`, `int[2]? dim=None`: the type ends at the first space outside of parentheses.
bool parse_argument(std::string_view text, ArgSpec& arg) {
  size_t space = 0;
  for (int depth = 0; space < text.size() && (text[space] != ' ' || depth > 0); ++space) {
    depth += text[space] == '(' ? 1 : text[space] == ')' ? -1 : 0;
  }
  if (space == text.size() || !parse_type(text.substr(0, space), arg)) return false;
  std::string_view rest = trim(text.substr(space));
  const size_t equals = rest.find('=');
  arg.name = rest.substr(0, equals);
  if (equals != std::string_view::npos) {
    arg.has_default = true;
    arg.default_text = rest.substr(equals + 1);
  }
  return !arg.name.empty();
}

void parse_schema(const Row& row, Overload& overload, Parsed& parsed) {
  std::string_view schema = row.schema, returns;
  // " -> " inside of an alias note (`a -> *`) is followed by '*'.
  for (size_t at = schema.find(" -> "); at != std::string_view::npos; at = schema.find(" -> ", at + 1)) {
    if (schema.substr(at + 4, 1) == "*") continue;
    returns = trim(schema.substr(at + 4));
    schema = schema.substr(0, at);
    break;
  }
  bool keyword_only = false;
  split_outside(schema, ',', [&](std::string_view piece) {
    if (piece == "*") {
      keyword_only = true;
      return;
    }
    ArgSpec arg;
    arg.keyword_only = keyword_only;
    if (!parse_argument(piece, arg)) parsed.problem(row, fmt::format("cannot read argument '{}'", piece));
    overload.args.push_back(arg);
  });
  if (returns.empty() || returns == "Tensor" || (returns.starts_with("Tensor(") && returns.ends_with(")")))
    return;
  if (returns.front() == '(') {
    overload.results = 0;
    split_outside(returns.substr(1, returns.size() - 2), ',', [&](std::string_view) { ++overload.results; });
  } else if (returns.starts_with("Tensor") && returns.ends_with("[]")) {
    overload.list_result = true;
  } else if (returns.starts_with("Sym") || returns == "Scalar" || returns == "int") {
    overload.sym_result = true;
  } else {
    parsed.problem(row, fmt::format("cannot read results '{}'", returns));
  }
}

ArgSpec* find_arg(Overload& overload, std::string_view name) {
  for (ArgSpec& arg : overload.args)
    if (arg.name == name) return &arg;
  return nullptr;
}

void parse_word(const Row& row, std::string_view word, Overload& overload, Parsed& parsed) {
  auto argument = [&](std::string_view name) {
    ArgSpec* arg = find_arg(overload, name);
    if (arg == nullptr) parsed.problem(row, fmt::format("'{}' names no argument", word));
    return arg;
  };
  const size_t equals = word.find('='), arrow = word.find('>'), star = word.find('*');
  if (word == "<") {
    overload.import_only = true;
  } else if (word.front() == '@') {
    overload.hook = word.substr(1);
  } else if (word.front() == '.') {
    overload.fixed.push_back({word.substr(1, equals - 1), word.substr(equals + 1)});
  } else if (word.front() == '-') {
    if (ArgSpec* arg = argument(word.substr(1, equals == std::string_view::npos ? equals : equals - 1))) {
      arg->to = ArgSpec::Dropped;
      if (equals != std::string_view::npos) arg->literal = word.substr(equals + 1);
    }
  } else if (arrow != std::string_view::npos) {
    if (ArgSpec* arg = argument(word.substr(0, arrow))) {
      const std::string_view to = word.substr(arrow + 1);
      const bool number = to.find_first_not_of("0123456789") == std::string_view::npos;
      arg->to = number ? ArgSpec::Operand : ArgSpec::Attribute;
      if (number) std::from_chars(to.data(), to.data() + to.size(), arg->operand);
      else arg->attr = to;
    }
  } else if (star != std::string_view::npos) {
    if (ArgSpec* arg = argument(word.substr(0, star))) {
      std::from_chars(word.data() + star + 1, word.data() + word.size(), arg->fixed_size);
    }
  } else if (equals != std::string_view::npos) {
    if (ArgSpec* arg = argument(word.substr(0, equals))) {
      arg->to = ArgSpec::Fixed;
      arg->literal = word.substr(equals + 1);
    }
  } else {
    parsed.problem(row, fmt::format("cannot read the word '{}'", word));
  }
}

void default_mapping(ArgSpec& arg) {
  switch (arg.kind) {
    case ArgKind::Tensor: arg.to = ArgSpec::Operand; break;
    case ArgKind::Layout:
    case ArgKind::Device:
    case ArgKind::MemoryFormat: arg.to = ArgSpec::Dropped; break;
    default:
      arg.to = arg.name == "pin_memory" || arg.name == "non_blocking" ? ArgSpec::Dropped : ArgSpec::Attribute;
      if (arg.to == ArgSpec::Attribute) arg.attr = arg.name;
  }
}

// Operands without a number take the places in order; a list of tensors takes the places from its own on.
void number_operands(Overload& overload) {
  int next = 0;
  for (ArgSpec& arg : overload.args) {
    if (arg.to != ArgSpec::Operand) continue;
    if (arg.operand < 0) arg.operand = next;
    next = std::max(next, arg.operand + (arg.list && arg.fixed_size > 0 ? arg.fixed_size : 1));
  }
}

Overload parse_row(const Row& row, Parsed& parsed) {
  Overload overload;
  overload.target = row.target;
  overload.op = row.op;
  parse_schema(row, overload, parsed);
  for (ArgSpec& arg : overload.args) default_mapping(arg);
  split_outside(row.map, ' ', [&](std::string_view word) { parse_word(row, word, overload, parsed); });
  number_operands(overload);
  return overload;
}

struct Rows {
  // Schemas are read when they are first asked for: a model uses a few dozen of the many hundred.
  struct Entry {
    Overload overload;
    const Row* row;
    bool ready = false;
  };
  mutable std::deque<Entry> entries;
  mutable std::mutex reading;
  std::vector<const Overload*> all;
  std::unordered_map<std::string_view, const Overload*> by_target;
  std::unordered_map<std::string_view, std::vector<const Overload*>> by_op;
  mutable Parsed parsed;

  Rows() {
    by_target.reserve(1024);
    by_op.reserve(512);
    for (List<Row> table : {math_rows(), pointwise_rows(), reduce_rows(), view_rows(), create_rows()}) {
      for (const Row& row : table) add(row);
    }
  }

  void add(const Row& row) {
    Entry& entry = entries.emplace_back();
    entry.row = &row;
    Overload& overload = entry.overload;
    overload.target = row.target;
    overload.op = row.op;
    overload.number = entries.size() - 1;
    overload.import_only = row.map == "<" || row.map.ends_with(" <") || row.map.starts_with("< ") ||
                           row.map.find(" < ") != std::string_view::npos;
    all.push_back(&overload);
    auto [at, added] = by_target.emplace(overload.target, &overload);
    if (!added) {
      // Rows of one target stand next to each other in the table.
      Overload& last = entries[entries.size() - 2].overload;
      if (last.target != overload.target) parsed.problem(row, "rows of one target must be neighbours");
      last.alternative = &overload;
    }
    if (!overload.op.empty() && !overload.import_only) by_op[overload.op].push_back(&overload);
  }

  // The overload with its schema read, and those of the same target behind it.
  const Overload* read(const Overload* first) const {
    const std::lock_guard lock(reading);
    for (const Overload* at = first; at != nullptr; at = at->alternative) {
      Entry& entry = entries[at->number];
      if (entry.ready) continue;
      Overload full = parse_row(*entry.row, parsed);
      full.alternative = entry.overload.alternative;
      full.number = entry.overload.number;
      entry.overload = std::move(full);
      entry.ready = true;
    }
    return first;
  }
};

const Rows& rows() {
  static const Rows all;
  return all;
}

std::string_view without_prefix(std::string_view target) {
  constexpr std::string_view kPrefix = "torch.ops.", kEdge = "executorch.exir.dialects.edge._ops.";
  if (target.starts_with(kPrefix)) return target.substr(kPrefix.size());
  return target.starts_with(kEdge) ? target.substr(kEdge.size()) : target;
}

struct DTypeNumber {
  DType dtype;
  int serialized, c10;
};
constexpr DTypeNumber kDTypes[] = {
    {DType::U8, 1, 0},       {DType::I8, 2, 1},           {DType::I16, 3, 2},
    {DType::I32, 4, 3},      {DType::I64, 5, 4},          {DType::F16, 6, 5},
    {DType::F32, 7, 6},      {DType::F64, 8, 7},          {DType::C32, 9, 8},
    {DType::C64, 10, 9},     {DType::C128, 11, 10},       {DType::Bool, 12, 11},
    {DType::BF16, 13, 15},   {DType::U16, 28, 27},        {DType::F8E4M3, 29, 24},
    {DType::F8E5M2, 30, 23}, {DType::F8E4M3FNUZ, 31, 26}, {DType::F8E5M2FNUZ, 32, 25},
    {DType::F8E8M0, 33, 44}, {DType::U32, 34, 28},        {DType::U64, 35, 29},
};

}  // namespace

const ArgSpec* Overload::find(std::string_view arg) const {
  for (const ArgSpec& a : args)
    if (a.name == arg) return &a;
  return nullptr;
}

const Overload* find_overload(std::string_view target) {
  auto found = rows().by_target.find(without_prefix(target));
  return found == rows().by_target.end() ? nullptr : rows().read(found->second);
}

const Overload* find_functional_overload(std::string_view target) {
  target = without_prefix(target);
  const size_t first = target.find('.'), last = target.rfind('.');
  if (first == std::string_view::npos || last == first) return nullptr;
  const std::string_view space = target.substr(0, first), op = target.substr(first + 1, last - first - 1),
                         overload = target.substr(last + 1);
  if (op == "pow_" && overload == "Scalar") return find_overload("aten.pow.Tensor_Scalar");
  if ((op == "transpose_" || op == "swapaxes_") && overload == "default")
    return find_overload("aten.transpose.int");
  if (op.starts_with("__i") && op.ends_with("__") && op.size() > 5) {  // __iand__ -> __and__
    return find_overload(fmt::format("{}.__{}.{}", space, op.substr(3), overload));
  }
  if (!op.ends_with("_") || op.ends_with("__")) return nullptr;
  return find_overload(fmt::format("{}.{}.{}", space, op.substr(0, op.size() - 1), overload));
}

std::span<const Overload* const> overloads_of(std::string_view op) {
  auto found = rows().by_op.find(op);
  if (found == rows().by_op.end()) return {};
  for (const Overload* overload : found->second) rows().read(overload);
  return found->second;
}

std::span<const Overload* const> all_overloads() {
  for (const Overload* overload : rows().all) rows().read(overload);
  return rows().all;
}

std::string_view base_name(std::string_view target) {
  target = without_prefix(target);
  const size_t first = target.find('.');
  if (first == std::string_view::npos) return target;
  const size_t last = target.rfind('.');
  return last == first ? target.substr(first + 1) : target.substr(first + 1, last - first - 1);
}

std::string_view canonical_name(std::string_view target) {
  const Overload* overload = find_overload(target);
  if (overload == nullptr) overload = find_functional_overload(target);
  if (overload == nullptr) return without_prefix(target);
  return overload->op.empty() ? base_name(overload->target) : overload->op;
}

std::vector<std::string> check_rows() {
  all_overloads();
  return rows().parsed.problems;
}

Literal parse_literal(std::string_view text, ArgKind kind) {
  Literal value;
  text = trim(text);
  if (text == "None" || text.empty()) return value;
  if (text.front() == '[') {
    value.kind = Literal::List;
    split_outside(text.substr(1, text.size() - 2), ',',
                  [&](std::string_view item) { value.items.push_back(parse_literal(item, kind)); });
    return value;
  }
  if (text == "True" || text == "true" || text == "False" || text == "false") {
    value.kind = Literal::Bool;
    value.b = text.front() == 'T' || text.front() == 't';
    return value;
  }
  if (text.front() == '"' || text.front() == '\'') {
    value.kind = Literal::String;
    value.s = text.substr(1, text.size() - 2);
    return value;
  }
  const char* end = text.data() + text.size();
  if (std::from_chars(text.data(), end, value.i).ptr == end) {
    value.kind = Literal::Int;
    value.f = static_cast<double>(value.i);
    if (kind == ArgKind::DType) {
      value.kind = Literal::String;
      value.s = dtype_name(dtype_of_c10(value.i));
    } else if (kind == ArgKind::Float) {
      value.kind = Literal::Float;
    }
    return value;
  }
  if (std::from_chars(text.data(), end, value.f).ptr == end) {
    value.kind = Literal::Float;
    return value;
  }
  value.kind = Literal::String;  // a word: a dtype name
  value.s = text;
  return value;
}

int serialized_dtype(DType dtype) {
  for (const DTypeNumber& d : kDTypes)
    if (d.dtype == dtype) return d.serialized;
  return 0;
}
DType dtype_of_serialized(int64_t number) {
  for (const DTypeNumber& d : kDTypes)
    if (d.serialized == number) return d.dtype;
  return DType::Unknown;
}
DType dtype_of_c10(int64_t number) {
  for (const DTypeNumber& d : kDTypes)
    if (d.c10 == number) return d.dtype;
  return DType::Unknown;
}

}  // namespace zp::pt2
