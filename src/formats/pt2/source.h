// What the importer of .pt2 keeps for the exporter: everything of the archive that the graph does not say.
// Text views point into the archive's bytes or into the model's arena and live as long as the source.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/pt2/archive.h"
#include "ir/model.h"

namespace zp::pt2 {

struct Overload;

// Origin::format_data of nodes that come from an archive.
struct SourceNode {
  std::string_view target;             // as in the file: torch.ops.aten.conv2d.default
  std::string_view inputs;             // JSON array of NamedArgument, as in the file
  std::string_view outputs;            // JSON array of Argument
  std::string_view metadata;           // JSON object
  int8_t single_return = -1;           // is_hop_single_tensor_return: -1 null, 0 false, 1 true
  const Overload* overload = nullptr;  // the row that translated it; null: opaque
  // Opaque nodes: for each operand of the node, in order, the name that stands for it in `inputs`. The
  // exporter writes `inputs` again with the n-th operand's new name in place of the n-th of these names.
  List<std::string_view> operands;
  // What the importer made of it: tells a node that a pass changed.
  const OpDef* op = nullptr;
  size_t attrs_hash = 0;
};

// One entry of the signature, in the order of the file.
struct SourceInput {
  enum Kind : uint8_t {
    User,
    Parameter,
    Buffer,
    TensorConstant,
    CustomObject,
    Token,
    ConstantInput
  } kind = User;
  std::string_view name;               // of the placeholder; of the argument for ConstantInput
  std::string_view fqn;                // of the parameter, buffer, constant or object
  bool persistent = true;              // Buffer
  std::string_view spec;               // the JSON of the InputSpec
  std::string_view argument;           // the JSON of graph.inputs[i]
  std::string_view meta;               // User: the JSON of its TensorMeta
  const Constant* constant = nullptr;  // Parameter, Buffer, TensorConstant
  int64_t model_input = -1;            // index into Model::inputs; -1: not an input of the graph
};

struct SourceOutput {
  enum Kind : uint8_t {
    User,
    Loss,
    BufferMutation,
    ParameterMutation,
    UserInputMutation,
    GradientToParameter,
    GradientToUserInput,
    Token
  } kind = User;
  std::string_view spec;         // the JSON of the OutputSpec
  std::string_view argument;     // the JSON of graph.outputs[i]
  std::string_view target;       // fqn or user input name of mutations and gradients
  int64_t model_output = -1;     // index into Model::outputs; -1: a literal (None, a number), or `dim`
  Dim dim;                       // a symbolic number that is a result; no value of the graph stands for it
  std::optional<Number> number;  // a literal that is a result
};

// What the file says of a tensor of the main graph.
struct SourceMeta {
  std::string_view raw;  // the JSON of its TensorMeta
  DType dtype = DType::Unknown;
  List<Dim> sizes;
};

struct Pt2Source : FormatSource {
  std::shared_ptr<const Archive> archive;
  Blob text;                    // the JSON that the views point into
  std::string_view model_name;  // `model` in models/model.json

  int64_t schema_major = 8, schema_minor = 0;
  std::string_view torch_version;
  std::string_view verifiers;          // JSON array; empty: absent
  std::string_view opset_version;      // JSON object
  std::string_view range_constraints;  // JSON object
  std::string_view guards_code;        // JSON array; empty: absent
  std::string_view module_call_graph;  // JSON array
  std::string_view metadata;           // JSON object of the GraphModule; empty: absent
  std::string_view treespec_fields;    // JSON object; empty: absent
  std::string_view custom_obj_values;  // JSON object of the graph; empty: absent
  bool single_tensor_return = false;

  std::vector<SourceInput> inputs;
  std::vector<SourceOutput> outputs;
  // Buffers written by in-place nodes (training IR): the file lists no mutation outputs for these. The
  // exporter writes `copy_` nodes, or mutation outputs when the archive is of a functional dialect.
  bool in_place_dialect = true;

  // Weights and constants of the archive that no input spec names; carried over as they are.
  struct Unnamed {
    bool weight;  // else a constant
    std::string fqn;
  };
  std::vector<Unnamed> unnamed;
  // Names of symbolic values in the file and what they are: where the exporter needs a node for a Dim it may
  // reuse these names.
  std::unordered_map<std::string_view, Dim> symbol_values;
  ByText<uint32_t> value_numbers;        // by name, into tensor_metas
  std::vector<SourceMeta> tensor_metas;  // empty text: no tensor
  std::string_view device = "cpu";       // of the first tensor
  // Operator namespaces of the file (aten, torchao, quantized_decomposed): the exporter adds none where it
  // can.
  std::vector<std::string> namespaces;
};

}  // namespace zp::pt2
