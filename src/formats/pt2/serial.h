// The program of an archive as plain structs: what models/<name>.json says, names resolved to numbers, shapes
// read as symbolic dims. One pass over the text; strings without escapes stay views into it, everything else
// lives in the arena that is given. Nothing here knows operators. Source of the schema:
// torch/_export/serde/schema.py.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/pt2/source.h"
#include "formats/pt2/symbols.h"
#include "ir/dim.h"
#include "ir/dtype.h"
#include "support/arena.h"
#include "support/blob.h"
#include "support/list.h"
#include "support/result.h"

namespace zp::pt2 {

struct GraphData;

enum class ArgTag : uint8_t {
  Absent,  // no argument: not in the file
  None,
  Tensor,
  Tensors,
  OptionalTensors,
  NestedTensors,
  Int,
  Ints,
  IntLists,
  SymInt,
  SymInts,
  Float,
  Floats,
  FloatLists,
  SymFloat,
  SymFloats,
  Bool,
  Bools,
  SymBool,
  SymBools,
  String,
  Strings,
  ScalarType,
  MemoryFormat,
  Layout,
  Device,
  Graph,
  CustomObject,
  Operator,
  Complex,
  StringMap,
  Unknown,  // a variant this reader does not know; `text` names it
};
std::string_view arg_tag_name(ArgTag tag);

// One argument. SymInt, SymFloat and SymBool are the named ones: literals have the tags Int, Float, Bool.
struct Arg {
  ArgTag tag = ArgTag::Absent;
  bool b = false;      // Bool
  uint32_t value = 0;  // Tensor, Sym*, CustomObject: index into GraphData::values
  union {
    int64_t i = 0;           // Int, ScalarType, MemoryFormat, Layout
    double f;                // Float; real part of Complex
    const GraphData* graph;  // Graph
  };
  std::string_view text;  // String, Device (type), Operator; the name of what has one, and of Unknown
  List<Arg> items;        // lists of anything; StringMap: the values

  bool is_list() const;
};

struct NamedArg {
  std::string_view name;
  Arg arg;
};

// A name of the graph: a tensor, a symbolic number or an object.
struct ValueData {
  enum Kind : uint8_t { Undeclared, Tensor, Int, Float, Bool, Object, Token } kind = Undeclared;
  std::string_view name;
  std::string_view meta;  // raw JSON of the TensorMeta
  DType dtype = DType::Unknown;
  int64_t dtype_number = 0;
  bool requires_grad = false;
  List<Dim> sizes;
  Dim dim;  // Int: its expression, unknown if it cannot be said
};

struct NodeData {
  std::string_view target;  // as in the file
  std::string_view name;    // of the node; empty in old files
  std::string_view module;  // owning module path
  List<NamedArg> inputs;
  List<Arg> outputs;
  std::string_view raw_inputs, raw_outputs, raw_metadata;
  int8_t single_return = -1;
};

struct GraphData {
  std::vector<ValueData> values;
  ByText<uint32_t> names;
  List<Arg> inputs, outputs;
  List<std::string_view> raw_inputs, raw_outputs;
  std::vector<NodeData> nodes;
  bool single_tensor_return = false;
};

struct RangeData {
  std::string_view symbol;
  std::optional<int64_t> min, max;
};

struct ProgramData {
  Blob text;        // padded; everything points into it
  Arena arguments;  // the lists of the graphs: much, and of no use once the nodes are made
  GraphData graph;
  std::vector<std::unique_ptr<GraphData>> inner_graphs;  // of higher-order operators
  std::vector<SourceInput> inputs;                       // spec, name, fqn, kind
  std::vector<SourceOutput> outputs;
  std::vector<RangeData> ranges;
  std::vector<std::string_view> unknown_keys;  // of newer schemas, each once
  int64_t schema_major = -1, schema_minor = 0;
  std::string_view torch_version, verifiers, opset_version, range_constraints, guards_code, module_call_graph,
      metadata, treespec_fields;
};

// The text of a record, with the zero or foreign bytes behind it that the parser may read.
Blob padded_text(const Blob& text);

// `what` names the record in messages.
Result<std::unique_ptr<ProgramData>> read_program(Blob text, Arena& arena, SymbolReader& symbols,
                                                  std::string_view what);

// Sizes, strides and offset of a raw TensorMeta; fails if one is symbolic.
struct DenseMeta {
  std::vector<int64_t> sizes, strides;
  int64_t offset = 0;
};
Result<DenseMeta> read_dense_meta(std::string_view raw);

}  // namespace zp::pt2
