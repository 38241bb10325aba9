// The operators of torch.export archives, one declarative row per overload, read by the importer and by the
// exporter. A row gives the target, the argument list with its defaults (as torch prints schemas), the card
// it becomes, and how arguments map to operands and attributes. Rows that need code name a hook; the importer
// and the exporter each have their own function of that name.
//
//   {"aten.conv2d.default", "Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2]
//   padding=0, "
//                           "int[2] dilation=1, int groups=1", "conv2d", ".pad_mode=''"},
//
// Without a word in the map column an argument goes
//   - Tensor, Tensor?, Tensor[]: to the next operand of the card, in order, whatever its name;
//   - Layout, Device, MemoryFormat, `pin_memory`, `non_blocking`: nowhere (the exporter leaves them out);
//   - anything else: to the attribute of the same name.
// The words of the map column, separated by spaces:
//   arg>name     the argument is the attribute `name`
//   arg>2        the argument is operand 2; a number becomes a literal constant in that place
//   -arg         dropped; the exporter leaves it out
//   -arg=value   dropped whatever it is; the exporter writes `value`
//   arg=value    must have that value for the row to apply; the exporter writes it
//   arg*2        a list of exactly 2 tensors, spread over as many operands
//   .attr=value  attribute fixed by the overload: set by the importer; the exporter takes the row only if it
//   holds
//   @name        the hook `name` translates the node (the other words, if any, are its hints)
//   <            import only: the exporter never picks this row of its own accord
// A schema ends in ` -> (Tensor, Tensor)` or ` -> Tensor[]` unless it returns one Tensor. When the card has
// fewer results than the schema, the surplus ones must be unused. `Tensor(a) self` marks an argument that the
// result aliases, `Tensor(a!) self` one that is written. In-place forms (`add_.Tensor`) have no rows of their
// own: they are the row of the functional form, and the importer rebinds `self`.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/op_def.h"

namespace zp::pt2 {

enum class ArgKind : uint8_t {
  Tensor,
  Int,
  Float,
  Bool,
  Scalar,
  String,
  DType,
  Layout,
  Device,
  MemoryFormat,
};

struct ArgSpec {
  enum To : uint8_t { Operand, Attribute, Dropped, Fixed };

  std::string_view name;
  ArgKind kind = ArgKind::Tensor;
  bool optional = false;  // may be None
  bool list = false;
  bool optional_items = false;  // Tensor?[]
  bool symbolic = false;        // SymInt
  bool keyword_only = false;
  bool aliased = false;  // a result may share its storage
  bool mutated = false;
  int fixed_size = 0;  // int[2]: 2; a single number stands for so many. Tensor[] with `arg*2`: 2
  bool has_default = false;
  std::string_view default_text;  // None, true, 1, 0.5, [1, 1], [], none (a string without quotes)

  To to = Operand;
  int operand = -1;          // to == Operand
  std::string_view attr;     // to == Attribute: name of the field
  std::string_view literal;  // Dropped: what the exporter writes, empty: leave out; Fixed: the value
};

struct FixedAttr {
  std::string_view attr, literal;
};

struct Row {  // as written in the tables
  std::string_view target, schema, op, map;
};

struct Overload {           // a row, parsed
  std::string_view target;  // namespace.op.overload, without torch.ops.
  std::string_view op;      // name of the card; empty: only a hook knows
  std::string_view hook;    // empty: none
  std::vector<ArgSpec> args;
  std::vector<FixedAttr> fixed;
  int results = 1;
  bool list_result = false;  // one Tensor[]
  bool sym_result = false;   // returns a SymInt, SymFloat, SymBool or Scalar
  size_t number = 0;         // its place in the table
  bool import_only = false;
  const Overload* alternative =
      nullptr;  // the next row of the same target, tried when a Fixed argument differs

  const ArgSpec* find(std::string_view arg) const;
};

// Null if no row has that target. `torch.ops.` in front is accepted.
const Overload* find_overload(std::string_view target);
// The functional row of an in-place target (aten.add_.Tensor -> the row of aten.add.Tensor), else null.
const Overload* find_functional_overload(std::string_view target);
// Rows that make a card, in the order in which the exporter should try them.
std::span<const Overload* const> overloads_of(std::string_view op);
std::span<const Overload* const> all_overloads();

// Name of a target without namespace and overload: aten.add.Tensor -> add.
std::string_view base_name(std::string_view target);
// The name of the card that a target becomes where its row says so, else its base name where there is a row,
// else the target itself.
std::string_view canonical_name(std::string_view target);

// A mistake in a row (unknown type, word that names no argument) is a programming error; found by the tests.
std::vector<std::string> check_rows();

// The literals of rows and schemas.
struct Literal {
  enum Kind : uint8_t { None, Bool, Int, Float, String, List } kind = None;
  bool b = false;
  int64_t i = 0;
  double f = 0;
  std::string_view s;
  std::vector<Literal> items;
};
// `kind` tells a number of the c10 enumeration (`ScalarType x=6`) from an integer: it becomes a dtype name.
Literal parse_literal(std::string_view text, ArgKind kind);

// dtypes as archives number them (torch/_export/serde/schema.py, not c10); 0 / Unknown where there is none.
int serialized_dtype(DType dtype);
DType dtype_of_serialized(int64_t number);
// The dtype by the number that operator schemas print (c10).
DType dtype_of_c10(int64_t number);

}  // namespace zp::pt2
