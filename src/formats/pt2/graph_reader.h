// Turns the nodes of an archive into nodes of a graph: names become values, constants become const nodes
// where they are read, symbolic numbers become Dims, in-place operators become functional ones. What has no
// card stays as an opaque node with its source form.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "formats/pt2/alias.h"
#include "formats/pt2/archive.h"
#include "formats/pt2/import.h"
#include "formats/pt2/serial.h"
#include "formats/pt2/source.h"
#include "ir/model.h"
#include "ir/tensor.h"

namespace zp::pt2 {

class NodeReader;
struct Overload;

// What all graphs of one import share.
struct ImportState {
  Model& model;
  ImportOptions options;
  const Archive& archive;
  const ProgramData& program;
  const Payloads& payloads;
  std::vector<Diagnostic> errors;
  std::unordered_map<const QuantType*, bool> quant_checked;

  Context& context() { return *model.context; }
  bool full() const { return errors.size() >= options.max_errors; }
  void report(Diagnostic diagnostic);              // an error, or a warning of the model
  void report(Error error, const NodeData* node);  // errors of a node get its place
  Location place(const NodeData* node) const;
};

// What a name of the file stands for.
struct Name {
  Value* value = nullptr;
  const Constant* constant = nullptr;  // const nodes are made when it is read
  const Payload* subclass = nullptr;   // a pickled tensor subclass: only its parts can be read
  const NodeData* symbolic = nullptr;  // a symbolic number: its node is made when a reader needs a value
  Value* item_of = nullptr;            // a number read from a tensor: stands for it where a tensor is wanted
  bool missing = false;                // an error about it was reported: stay quiet
};

class GraphReader {
 public:
  GraphReader(ImportState& state, const GraphData& data, Graph& graph);

  // Reads all nodes. Problems go to the state; reading goes on as far as it makes sense.
  void read_nodes();

  ImportState& state() { return state_; }
  Context& context() { return state_.context(); }
  Graph& graph() { return graph_; }
  const GraphData& data() const { return data_; }
  Name& name(uint32_t index) { return names_[index]; }
  // The name stands for a constant; its const nodes are called `node_name`.
  void set_constant(uint32_t index, const Constant* constant, std::string_view node_name) {
    names_[index].constant = constant;
    const_names_.emplace(constant, node_name);
  }
  const AliasAnalysis& aliases() const { return aliases_; }

  // The value that a name stands for now; quantized integers are seen as plain ones if `plain`. An error if
  // nothing defines it.
  Result<Value*> value_of(uint32_t index, bool plain);
  Value* plain(Value* value);  // through storage_cast if quantized
  // For operators that only move elements: stays quantized where one pair of parameters holds for all of
  // them.
  Result<Value*> moved_value(uint32_t index);
  // The value as that quantized type: constants get it directly, others through storage_cast.
  Result<Value*> as_quantized(uint32_t index, const QuantType* quant);
  Result<Value*> quantized_value(Value* value, const QuantType* quant);
  // The constant behind a name, null if it is none (an input, a mutated buffer, a computed value).
  const Constant* constant_of(uint32_t index) const;
  Value* const_node(const Constant& constant, const Type* type);
  Value* literal(Number number, DType dtype);
  // A symbolic number as a value: an operand of what computes with numbers. Null: nothing can compute it.
  Result<Value*> number_value(const Arg& arg);
  const Constant* part_constant(const Payload& payload, std::string_view part);

  // Makes a node and infers its types; where inference fails the error is reported and the types of the file
  // are taken.
  Node* make_node(const OpDef& op, std::span<Value* const> operands, const void* attrs, size_t results,
                  std::string_view name);
  void set_current(const NodeData* node);
  // Checks what was inferred against what the file says of a name.
  void check_type(Value* value, const ValueData& said);
  const Type* type_of(const ValueData& value);

  // Whether a number is read where only a number will do (a size, a bound); in place of a tensor its tensor
  // serves.
  bool read_as_number(uint32_t index);
  bool is_read(uint32_t index) const { return read_[index]; }  // by a node, or as an output of the graph
  Dim dim_of_name(uint32_t index) const { return data_.values[index].dim; }

 private:
  friend class NodeReader;
  void read_node(const NodeData& node);
  void read_opaque(const NodeData& node, bool effect);
  bool read_symbolic(const NodeData& node);
  bool read_control(const NodeData& node);  // cond, while_loop, map, scan
  bool read_number(const NodeData& node);   // arithmetic of symbolic numbers
  Graph* read_region(Node& parent, const GraphData& data, std::span<const Constant* const> constants);
  void make_control(const NodeData& node, const OpDef& card, std::span<Value* const> operands,
                    const void* attrs, std::span<const GraphData* const> graphs,
                    std::span<const Constant* const> constants);
  void bind_result(uint32_t index, Value* value);
  Status make_symbolic(uint32_t index);
  // Writes made functional.
  void refresh(uint32_t index);
  Value* current_value(uint32_t index);
  Value* undo_view(uint32_t view, Value* parent, Value* value);
  void apply_mutation(const NodeData& node, uint32_t self, Value* value);

  ImportState& state_;
  const GraphData& data_;
  Graph& graph_;
  std::vector<Name> names_;
  std::vector<bool> read_, read_as_number_;
  AliasAnalysis aliases_;
  const NodeData* current_ = nullptr;
  const Overload* current_row_ = nullptr;
  const Origin* origin_ = nullptr;
  SourceNode* source_ = nullptr;
  struct ConstKey {
    const Constant* constant;
    const Type* type;
    bool operator==(const ConstKey&) const = default;
  };
  struct ConstHash {
    size_t operator()(const ConstKey& key) const {
      return (reinterpret_cast<size_t>(key.constant) ^ reinterpret_cast<size_t>(key.type) * 31) *
             0x9E3779B97F4A7C15u;
    }
  };
  tsl::robin_map<ConstKey, Value*, ConstHash> const_nodes_;
  std::unordered_map<Value*, Value*> plain_;
  std::map<std::pair<Value*, const QuantType*>, Value*> quantized_;
  std::map<std::tuple<int, int64_t, uint64_t>, Value*> literals_;
  std::unordered_map<const DimExpr*, Value*> size_numbers_;
  std::unordered_map<std::string, const Constant*> parts_;
  std::unordered_map<const Constant*, std::string_view> const_names_;
  // Writes: how often a base was written, which of its states a name has, and the views by name.
  std::vector<uint32_t> versions_, seen_;
  std::unordered_map<uint32_t, Value*> views_;
  std::vector<std::string_view> operand_names_;
  int symbol_depth_ = 0;
  bool inference_failed_ = false;
};

// A constant for a payload; strides are dropped where the elements lie densely in C order.
const Constant* add_payload_constant(Context& context, const Payload& payload, std::string_view name,
                                     ConstantKind kind, bool assume_contiguous);

}  // namespace zp::pt2
