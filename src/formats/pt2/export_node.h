// One node of an exported graph. The row of the operator table decides: each argument is an operand, an
// attribute, or a fixed value; a node whose attributes no row can say is refused by name. Operators whose
// arguments follow from types (quantizers) have functions of their own in hooks_export.cpp. Opaque nodes are
// written as they were, with new names.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "formats/pt2/export_graph.h"

namespace zp::pt2 {

class NodeWriter {
 public:
  NodeWriter(GraphWriter& graph, const Node& node);
  ~NodeWriter();
  NodeWriter(const NodeWriter&) = delete;
  Status write();

  // For the functions of single operators: arguments in the order of the schema, then finish().
  GraphWriter& graph() { return graph_; }
  const Node& node() const { return node_; }
  void target(std::string_view target) { (text_.target = "torch.ops.") += target; }
  void plain_target(std::string target) { text_.target = std::move(target); }  // not torch.ops
  void raw(std::string_view arg, std::string json, bool keyword = false);
  Status number_or_tensor(std::string_view arg, const Value* value);              // literals as numbers
  Status tensor(std::string_view arg, const Value* value, bool keyword = false);  // null: None
  Status tensors(std::string_view arg, std::span<const Value* const> values);
  Status constant(std::string_view arg, const Constant* constant);
  void none(std::string_view arg) { raw(arg, R"({"as_none": true})"); }
  void integer(std::string_view arg, int64_t value);
  void number(std::string_view arg, double value);
  void boolean(std::string_view arg, bool value);
  void text(std::string_view arg, std::string_view value);
  void integers(std::string_view arg, std::span<const int64_t> values);
  Status dims(std::string_view arg, std::span<const Dim> values, bool keyword = false);
  void dtype(std::string_view arg, DType dtype, bool keyword = false);
  void tuple() { text_.single_return = 0; }  // higher-order operators say whether they return a tuple
  size_t arguments() const { return text_.args.size(); }
  void keywords_from(size_t first) {  // those arguments are given by name
    for (size_t i = first; i < text_.args.size(); ++i) text_.args[i].keyword = true;
  }
  // Writes the node; `results` is what the schema returns, surplus ones get names that nobody uses.
  Status finish(int results = 1, bool list = false);

 private:
  Status write_opaque(const SourceNode* source);
  Status write_rows(const SourceNode* source);
  enum class Fit { Strict, Loose };  // Loose: numbers in the place of tensors become constants
  // False if the row cannot say this node; `why_` then tells.
  Result<bool> try_row(const Overload& row, const SourceNode* source, Fit fit);
  Result<std::optional<std::string>> operand_json(const Overload& row, const ArgSpec& arg, Fit fit);
  Result<std::optional<std::string>> tensor_list(const ArgSpec& arg);
  Result<std::optional<std::string>> attribute_json(const ArgSpec& arg);
  Result<std::optional<std::string>> optional_json(const ArgSpec& arg, const AttrField& field);
  Result<std::optional<std::string>> value_json(const ArgSpec& arg, const AttrField& field);
  Result<std::optional<std::string>> dim_json(Dim dim);
  Result<std::optional<std::string>> dim_list_json(const ArgSpec& arg, std::span<const Dim> values);
  std::vector<Dim> without_symbols(std::span<const Dim> dims, std::string_view attr) const;
  bool fixed_hold(const Overload& row);
  bool others_default(const Overload& row);

  GraphWriter& graph_;
  const Node& node_;
  NodeText text_;
  std::string why_;
};

// Writes an operator whose arguments no row can derive. Null: the rows decide.
using ExportHook = Status (*)(NodeWriter& writer);
ExportHook find_export_hook(const Node& node);

// JSON of a literal of the operator tables as an argument of that kind.
std::string literal_json(const ArgSpec& arg, std::string_view text);
std::string number_json(const Number& number);

// An argument list of an archive with operands renamed: `rename` gives the new JSON for the n-th name that
// stands for a tensor, and for symbolic numbers by their name.
struct Renamer {
  virtual ~Renamer() = default;
  virtual Result<std::string> tensor(std::string_view name) = 0;
  virtual Result<std::string> number(std::string_view name) = 0;  // {"as_name": ...} or {"as_int": ...}
};
// `json` is an array of NamedArgument; the result is one ArgText per element.
Result<std::vector<ArgText>> rename_arguments(std::string_view json, Context& context, Renamer& renamer);
// One argument of that array as it is, by name; nothing if absent or if it names values.
std::optional<std::string> raw_argument(std::string_view json, std::string_view name);
// Names of tensors in an argument list, in order of appearance, subgraphs left out.
Result<std::vector<std::string>> tensor_names(std::string_view json);

}  // namespace zp::pt2
