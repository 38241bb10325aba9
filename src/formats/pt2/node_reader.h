// One node of an archive on its way into the graph: its arguments by name, with the schema's defaults filled
// in, and the means to make nodes. Rows without a hook are translated by `translate`; hooks use the same
// functions.
#pragma once

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/pt2/attr_builder.h"
#include "formats/pt2/graph_reader.h"
#include "formats/pt2/schema.h"

namespace zp::pt2 {

class NodeReader {
 public:
  NodeReader(GraphReader& graph, const NodeData& data, const Overload& row)
      : graph_(graph), data_(data), row_(&row) {}

  // Translates by the row or its hook. False: this form has no translation, the node becomes opaque (`why()`
  // says why).
  Result<bool> translate();
  // Nodes of the namespace `zp`: operators on quantized values (integer_form.h).
  Result<bool> translate_integer_form();
  const std::string& why() const { return why_; }
  Result<bool> no(std::string why) {
    why_ = std::move(why);
    return false;
  }

  GraphReader& graph() { return graph_; }
  Context& context() { return graph_.context(); }
  DimContext& dims() { return context().dims(); }
  const NodeData& data() const { return data_; }
  const Overload& row() const { return *row_; }

  // Arguments. A missing one is its schema's default; Absent if there is none.
  const Arg& arg(std::string_view name);
  bool is_none(std::string_view name) {
    return arg(name).tag == ArgTag::None || arg(name).tag == ArgTag::Absent;
  }
  // The value for a tensor argument; null only where the schema allows None. Numbers become literals.
  Result<Value*> tensor(std::string_view name, bool plain = true);
  Result<std::vector<Value*>> tensors(std::string_view name);
  std::optional<int64_t> integer(std::string_view name);
  std::optional<double> real(std::string_view name);
  std::optional<bool> boolean(std::string_view name);
  std::optional<DType> dtype(std::string_view name);
  std::string_view text(std::string_view name) { return arg(name).text; }
  std::optional<Dim> dim(std::string_view name);
  std::optional<std::vector<Dim>> dim_list(std::string_view name);
  std::optional<std::vector<int64_t>> int_list(std::string_view name);
  std::optional<Dim> dim_of(const Arg& arg);

  // The card of that name; null where it does not exist (the caller then returns no()).
  static const OpDef* card(std::string_view name);
  // Makes a node, infers its types. The first node made with the node's own name; auxiliary ones say `aux`.
  Result<Node*> make(const AttrBuilder& attrs, std::span<Value* const> operands, size_t results = 1,
                     bool aux = false);
  Result<Node*> make(const AttrBuilder& attrs, std::initializer_list<Value*> operands, size_t results = 1,
                     bool aux = false) {
    return make(attrs, std::span<Value* const>(operands.begin(), operands.size()), results, aux);
  }
  // Connects result k of the source node; surplus results must have no readers.
  void bind(size_t k, Value* value);
  bool bind_all(Node* node);
  size_t result_count() const;  // of the source node, elements of a list counted
  bool result_used(size_t k) const;

  Value* main_value() const { return main_ == nullptr ? bound_ : main_->result(); }

  // The generic part of rows: operands and attributes by the map column.
  Result<bool> fill(AttrBuilder& attrs, std::vector<Value*>& operands);

 private:
  friend class GraphReader;
  Result<bool> translate_row();
  bool fixed_arguments_hold();
  bool set_attr(AttrBuilder& attrs, const ArgSpec& spec, const Arg& arg);
  Result<bool> add_operands(const ArgSpec& spec, const Arg& arg, std::vector<Value*>& operands);
  const Arg* given(const ArgSpec& spec) const;
  Arg default_arg(const ArgSpec& spec);

  GraphReader& graph_;
  const NodeData& data_;
  const Overload* row_;
  std::string why_;
  Node* main_ = nullptr;
  Value* bound_ = nullptr;  // result 0
  const OpDef* main_card_ = nullptr;
  std::vector<std::pair<size_t, Number>> numbers_;  // literals wait for the types of the other operands
  std::vector<std::pair<const ArgSpec*, Arg>> defaults_;
};

using ImportHook = Result<bool> (*)(NodeReader& node);
ImportHook find_import_hook(std::string_view name);

}  // namespace zp::pt2
