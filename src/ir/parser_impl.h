// The parser of the text form, one class over several files: declarations and signatures (parser.cpp), types
// (parser_types.cpp), data of constants (parser_constants.cpp), nodes (parser_nodes.cpp), attributes
// (parser_attrs.cpp).
#pragma once

#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "ir/model.h"
#include "support/text_cursor.h"

namespace zp {

class TextParser {
 public:
  TextParser(std::string_view text, std::string_view file, const OpTable& ops, Model& model)
      : cursor_(text, file, {.hash_names = true}), ops_(ops), model_(model), context_(*model.context) {}

  Status parse();

 private:
  using Place = TextCursor::Place;

  // What stands behind a colon: a type whose shape may be left out (`: f32`), to be filled in by inference.
  struct Annotation {
    Type type;
    bool shaped = true;  // false: the shape was left out
    Place place;
  };
  struct NamedPlace {
    std::string name;
    Place place;
  };
  struct OutputName {
    std::string name;  // empty: absent
    Place place;
    OutputInfo info;
  };

  // parser.cpp
  Status header();
  Status symbol();
  Status constant();
  Status alias();
  Status main_graph();
  Status main_input();
  Result<OutputName> main_output();
  Result<OutputName> output_value();
  Status body(Graph& graph, const std::vector<OutputName>& outputs);
  Status region(Node& node);
  Result<std::string> plain_name(std::string_view what);
  Result<std::string> sigil_name(char sigil, std::string_view what);
  Result<const Constant*> constant_reference();
  Result<Value*> value_reference(Graph& graph);
  Status check_new_name(Graph& graph, const std::string& name, const Place& place);
  void free_name(Graph& graph, const std::string& name);

  // parser_types.cpp
  Result<Annotation> annotation();
  Result<const Type*> full_type(std::string_view what);
  Result<DType> dtype();
  Result<QuantType> quantization(DType storage);
  Status quant_scale(QuantType* quant);
  Status quant_zero_point(QuantType* quant);
  Status quant_grid(QuantType* quant);
  Result<const QuantType*> quant_or_alias();
  Result<std::vector<Dim>> shape(bool* ranked);
  Result<Dim> dim();

  // parser_constants.cpp
  Result<Blob> constant_data(DType dtype, int64_t count, bool scalar);
  Result<Blob> fill(DType dtype, int64_t count);
  Result<Blob> random(DType dtype, int64_t count);
  Status element(DType dtype, std::byte* data, int64_t index);

  // parser_nodes.cpp
  Status node(Graph& graph);
  Result<const OpDef*> op_name(const Place& place);
  Result<std::vector<Value*>> operands(Graph& graph, const OpDef& op, const Place& place);
  Result<Value*> literal(Graph& graph);
  Result<std::vector<Annotation>> annotations(size_t results);
  Status const_type(Node& node, const std::vector<Annotation>& types);
  Status infer_and_check(Node& node, const std::vector<Annotation>& types, const Place& place);
  Status check_result(Value& value, const Annotation& annotation);
  Status name_results(Node& node, const std::vector<NamedPlace>& names);

  // parser_attrs.cpp
  Status attributes(const OpDef& op, void* attrs, bool* type_given);
  Status attribute(const AttrField& field, void* attrs);

  TextCursor cursor_;
  const OpTable& ops_;
  Model& model_;
  Context& context_;
  std::map<std::string, const QuantType*, std::less<>> aliases_;
  std::unordered_set<Value*> literals_;  // const nodes of numbers in operand position: their names give way
  int depth_ = 0;
};

}  // namespace zp
