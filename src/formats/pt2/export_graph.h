// The graph of an exported program: nodes, names and types as JSON. Constants become placeholders when a node
// first asks for them, so that dead ones (the float originals of quantized weights) never reach the archive.
// Symbolic numbers become sym_size and arithmetic nodes where an argument needs one. One pass in order,
// linear in the graph. The regions of a node are graphs of their own with their own names; a constant that a
// region reads becomes an operand of the node.
#pragma once

#include <tsl/robin_map.h>

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "formats/pt2/export_dims.h"
#include "formats/pt2/export_names.h"
#include "formats/pt2/schema.h"
#include "formats/pt2/source.h"
#include "ir/model.h"
#include "support/json_writer.h"

namespace zp::pt2 {

// A constant that the exported graph uses.
struct Placeholder {
  const Constant* constant = nullptr;
  const SourceInput* source = nullptr;  // null: made by a pass, or the model comes from elsewhere
  std::string_view name;                // lives in the writer
  std::string fqn;
  bool parameter = false;  // else a buffer, or a tensor constant
  bool buffer = true;
  bool persistent = true;
};

// One argument of a node, as JSON.
struct ArgText {
  std::string_view name;
  std::string json;
  bool keyword = false;
};

struct NodeText {
  std::string target;  // with torch.ops. in front, or _operator.add
  std::vector<ArgText> args;
  std::string outputs;  // JSON array
  std::string_view metadata = "{}";
  int8_t single_return = -1;
  std::string name;
};

// Constants that the regions of one node read: further operands of the node and inputs of each region.
using Captures = std::vector<const Constant*>;

class GraphWriter {
 public:
  GraphWriter(const Model& model, const Pt2Source* source);
  GraphWriter(GraphWriter& parent, const Graph& region, Captures& captures);
  GraphWriter(const GraphWriter&) = delete;
  GraphWriter& operator=(const GraphWriter&) = delete;

  // The text of the nodes goes there as it arises, instead of into write_fields(). finish_nodes() sends the
  // rest.
  void stream_nodes_to(TextSink sink) { sink_ = std::move(sink); }
  void finish_nodes();
  // Writes all nodes. Problems of all nodes are collected into one error.
  Status write_nodes();

  // What a value is called; a constant gets its placeholder. Casts between integers and quantized are looked
  // through.
  Result<std::string> name_of(const Value* value);
  Result<std::string> placeholder(const Constant& constant);
  // {"as_tensor": {"name": ...}} and its like for symbolic numbers.
  Result<std::string> argument(const Value* value);
  // {"as_int": 3} or {"as_name": "sym_size_1"} with the nodes that compute it.
  Result<std::string> sym_int(Dim dim);

  // Adds a node; its results must be declared with declare_*. Counts the operator's namespace.
  void emit(const NodeText& node);
  // A region as JSON, after write_nodes() of all regions of its node.
  Result<std::string> region_text(bool single_return);
  // Graph.inputs to Graph.sym_float_values of an open JSON object; without the nodes if they were streamed.
  void write_fields(JsonWriter& json, const std::vector<std::string>& inputs,
                    const std::vector<std::string>& outputs, bool single_return, std::string_view objects);
  // A new name with the type of a tensor.
  std::string declare_tensor(std::string_view wish, const Type& type);
  std::string unique(std::string_view wish) { return std::string(names_.unique(wish)); }
  // Where an input or output of the source stands in the model now; nothing if it was removed.
  std::optional<size_t> input_index(const SourceInput& input) const;
  std::optional<size_t> output_index(const SourceOutput& output) const;
  // A copy of a tensor as a node of its own: where an output must not alias a state that is written.
  Result<std::string> clone_of(const Value* value);
  // A constant that no node of the model holds, e.g. zero points where an operator insists on them. Asked for
  // again by the same name it is the same one.
  Result<std::string> helper_constant(std::string_view name, DType dtype, std::span<const int64_t> shape,
                                      Blob bytes);

  Context& context() const { return context_; }
  const Model& model() const { return model_; }
  const Pt2Source* source() const { return source_; }
  DimWriter& dims() { return *dims_; }
  PathScope& paths() { return paths_; }
  bool source_uses(std::string_view name_space) const;
  std::string_view device() const {
    return source_ != nullptr && !source_->device.empty() ? source_->device : "cpu";
  }

  const std::set<std::string, std::less<>>& namespaces() const { return root_.namespaces_; }
  const std::vector<Placeholder>& placeholders() const { return placeholders_; }

 private:
  void name_inputs();
  void name_region_inputs();
  void name_results();
  void declare_value(std::string_view name, const Value& value);
  Result<std::string_view> name_view(const Value* value);
  void note_dims(const Value* value);
  Status write_node(const Node& node);
  void write_tensor_values(JsonWriter& json);  // placeholders included
  std::string number_values(TypeKind kind);
  void write_meta(JsonWriter& json, const Type& type, bool of_input);
  std::string_view source_meta(std::string_view name, const Type& type) const;
  std::string capture(const Constant& constant);
  Result<std::string> compute(const DimExpr* expr);
  Result<std::string> arithmetic(const DimExpr* expr);
  struct Solvable {
    const DimExpr* size;
    int64_t factor;
  };
  Result<std::string> solve(const DimExpr* symbol, const Solvable& from);
  std::string declare_number(std::string_view wish, Dim dim);

  friend class NodeWriter;
  const Model& model_;
  const Graph& graph_;
  const Pt2Source* source_;
  Context& context_;
  GraphWriter& root_;
  GraphWriter* parent_ = nullptr;  // of a region
  Captures* captures_ = nullptr;
  std::unordered_map<const Constant*, std::string> captured_names_;
  std::vector<std::string> region_outputs_;
  std::optional<DimWriter> own_dims_;
  DimWriter* dims_;
  NameScope names_;
  PathScope paths_;
  std::unordered_map<int64_t, size_t> input_places_, output_places_;  // by number when imported
  // Names live in names_.
  tsl::robin_map<const Value*, std::string_view> value_names_;
  tsl::robin_map<const Node*, std::string_view> node_names_;  // of nodes with several results
  std::unordered_map<const Constant*, const SourceInput*> source_constants_;
  std::unordered_map<const Constant*, size_t> placeholder_index_;
  struct Helper {
    std::vector<int64_t> shape;
    Constant constant;
  };
  std::unordered_map<std::string, Helper> helpers_;  // nodes of the map stay where they are
  std::vector<Placeholder> placeholders_;
  struct DimPlace {
    const Value* value;
    size_t dim;
  };
  std::unordered_map<const DimExpr*, DimPlace> dim_places_;
  std::unordered_map<const DimExpr*, std::string> dim_names_;
  std::unordered_map<const DimExpr*, Solvable> solvable_;  // symbols that are no size themselves
  std::string nodes_;  // JSON objects with commas between them, or what the sink did not get yet
  bool any_node_ = false;
  TextSink sink_;
  NodeText spare_;  // its memory serves one node after the other
  std::set<std::string, std::less<>> namespaces_;
  std::string_view last_namespace_;
  struct Declared {
    std::string_view name;
    const Type* type;
    bool of_input;
  };
  std::vector<Declared> declared_;
};

// What the archive of this model says of a node; null for nodes from elsewhere.
const SourceNode* source_node(const Node& node, const Pt2Source* source);
// The number of serialized_dtype() for what an archive stores: types below 8 bits become 8-bit ones.
DType stored_dtype(DType dtype);

}  // namespace zp::pt2
