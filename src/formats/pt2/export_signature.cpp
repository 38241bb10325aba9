#include "formats/pt2/export_signature.h"

#include "formats/pt2/argument_json.h"

#include <fmt/format.h>

#include "ops/ops.h"

namespace zp::pt2 {
namespace {

std::string name_json(std::string_view name) { return fmt::format("{{\"name\": {}}}", json_quote(name)); }

class SignatureWriter {
 public:
  SignatureWriter(GraphWriter& graph, PayloadWriter& payloads)
      : graph_(graph), model_(graph.model()), source_(graph.source()), payloads_(payloads) {}

  Result<SignatureText> write() {
    // Outputs first: they may ask for constants.
    ZP_CHECK(write_outputs());
    ZP_CHECK(write_inputs());
    ZP_CHECK(write_calls());
    return std::move(text_);
  }

 private:
  Status write_inputs();
  Status write_source_input(const SourceInput& input, const Placeholder* live);
  Status write_new_constants();
  Status write_state(size_t input);
  Status write_placeholder(const Placeholder& p);
  void add_input(std::string argument, std::string spec) {
    text_.inputs.push_back(std::move(argument));
    text_.input_specs.push_back(std::move(spec));
  }

  Status write_outputs();
  Status write_mutation(size_t output);
  Status write_source_output(const SourceOutput& output);
  Status write_user_output(const Value* value);
  Result<std::string> output_name(const Value* value, bool mutation);
  bool aliases_state(const Value* value) const;
  Status write_calls();

  GraphWriter& graph_;
  const Model& model_;
  const Pt2Source* source_;
  PayloadWriter& payloads_;
  SignatureText text_;
  std::unordered_map<size_t, std::pair<std::string, bool>> states_;  // model input: path, is a parameter
  std::unordered_set<std::string> mutation_names_;
};

Status SignatureWriter::write_placeholder(const Placeholder& p) {
  ZP_CHECK(payloads_.add(p.fqn, *p.constant, p.parameter, p.parameter || (p.buffer && p.persistent)));
  std::string spec;
  if (p.parameter) {
    spec = fmt::format("{{\"parameter\": {{\"arg\": {}, \"parameter_name\": {}}}}}", name_json(p.name),
                       json_quote(p.fqn));
  } else if (p.buffer) {
    spec = fmt::format("{{\"buffer\": {{\"arg\": {}, \"buffer_name\": {}, \"persistent\": {}}}}}",
                       name_json(p.name), json_quote(p.fqn), p.persistent);
  } else {
    spec = fmt::format("{{\"tensor_constant\": {{\"arg\": {}, \"tensor_constant_name\": {}}}}}",
                       name_json(p.name), json_quote(p.fqn));
  }
  add_input(tensor_json(p.name), std::move(spec));
  return {};
}

// A buffer or parameter that the graph writes.
Status SignatureWriter::write_state(size_t input) {
  const Constant* initial = model_.inputs[input].initial;
  const Value* value = model_.graph->inputs()[input];
  if (initial == nullptr)
    return Error("export.state", fmt::format("state {} has no initial value", value->name()));
  Placeholder p;
  p.constant = initial;
  ZP_TRY(p.name, graph_.name_of(value));
  p.fqn = states_.at(input).first;
  p.parameter = states_.at(input).second;
  p.persistent = initial->kind != ConstantKind::NonPersistentBuffer;
  return write_placeholder(p);
}

Status SignatureWriter::write_new_constants() {
  if (source_ == nullptr) {
    for (size_t i = 0; i < model_.inputs.size(); ++i)
      if (model_.inputs[i].kind == InputInfo::State) ZP_CHECK(write_state(i));
  }
  for (const Placeholder& p : graph_.placeholders())
    if (p.source == nullptr) ZP_CHECK(write_placeholder(p));
  return {};
}

// `live`: the placeholder of a constant that the graph uses; null where it is dead, or no constant.
Status SignatureWriter::write_source_input(const SourceInput& input, const Placeholder* live) {
  if (const auto index = graph_.input_index(input); index && model_.inputs[*index].kind == InputInfo::State) {
    return write_state(*index);
  }
  switch (input.kind) {
    case SourceInput::Parameter:
    case SourceInput::Buffer:
    case SourceInput::TensorConstant: return live != nullptr ? write_placeholder(*live) : Status();
    case SourceInput::CustomObject: ZP_CHECK(payloads_.add_object(input.fqn)); break;
    default: break;
  }
  add_input(std::string(input.argument), std::string(input.spec));
  return {};
}

Status SignatureWriter::write_inputs() {
  if (source_ == nullptr) {
    ZP_CHECK(write_new_constants());
    for (size_t i = 0; i < model_.inputs.size(); ++i) {
      if (model_.inputs[i].kind == InputInfo::State) continue;
      ZP_TRY(std::string argument, graph_.argument(model_.graph->inputs()[i]));
      std::string spec = fmt::format("{{\"user_input\": {{\"arg\": {}}}}}", argument);
      add_input(std::move(argument), std::move(spec));
    }
    return {};
  }
  // New buffers stand behind the last parameter or buffer of the source.
  size_t last = 0;
  for (size_t i = 0; i < source_->inputs.size(); ++i) {
    const SourceInput::Kind kind = source_->inputs[i].kind;
    if (kind == SourceInput::Parameter || kind == SourceInput::Buffer ||
        (kind == SourceInput::Token && last == i))
      last = i + 1;
  }
  std::unordered_map<const SourceInput*, const Placeholder*> live;
  for (const Placeholder& p : graph_.placeholders())
    if (p.source != nullptr) live.emplace(p.source, &p);
  for (size_t i = 0; i <= source_->inputs.size(); ++i) {
    if (i == last) ZP_CHECK(write_new_constants());
    if (i == source_->inputs.size()) break;
    const auto found = live.find(&source_->inputs[i]);
    ZP_CHECK(write_source_input(source_->inputs[i], found != live.end() ? found->second : nullptr));
  }
  return {};
}

// True if the value may share memory with a state that is written back before the caller reads it.
bool SignatureWriter::aliases_state(const Value* value) const {
  while (value->def() != nullptr) {
    const Node* node = value->def();
    bool view = node->op().trait == Trait::ShapeOnly || node->is(ops::storage_cast);
    if (node->is(ops::identity)) {  // a copy, unless the source had one that is none
      const SourceNode* from = source_node(*node, source_);
      view = from != nullptr && from->overload != nullptr && !from->overload->args.empty() &&
             from->overload->args[0].aliased;
    }
    if (!view || node->operand_count() == 0 || node->operand(0) == nullptr) return false;
    value = node->operand(0);
  }
  if (value->index() >= model_.inputs.size()) return false;
  for (const OutputInfo& output : model_.outputs) {
    const bool writes = output.kind == OutputInfo::StateUpdate || output.kind == OutputInfo::InputMutation;
    if (writes && output.target == static_cast<int64_t>(value->index())) return true;
  }
  return false;
}

// A mutation is known by the name of its value alone, so each needs a name of its own.
Result<std::string> SignatureWriter::output_name(const Value* value, bool mutation) {
  if (!mutation) return aliases_state(value) ? graph_.clone_of(value) : graph_.name_of(value);
  ZP_TRY(std::string name, graph_.name_of(value));
  const bool computed =
      value->def() != nullptr && !value->def()->is(kConstOp) && !value->def()->is(ops::storage_cast);
  if (!computed || aliases_state(value) || !mutation_names_.insert(name).second) {
    ZP_TRY(name, graph_.clone_of(value));
    mutation_names_.insert(name);
  }
  return name;
}

Status SignatureWriter::write_mutation(size_t output) {
  const OutputInfo& info = model_.outputs[output];
  const Value* value = model_.graph->output(output);
  if (info.target < 0 || static_cast<size_t>(info.target) >= model_.inputs.size()) {
    return Error("export.output", fmt::format("output {} writes no input", output));
  }
  const size_t input = static_cast<size_t>(info.target);
  if (value == model_.graph->inputs()[input]) return {};  // written with what it holds
  ZP_TRY(const std::string name, output_name(value, true));
  text_.outputs.push_back(tensor_json(name));
  if (info.kind == OutputInfo::InputMutation) {
    ZP_TRY(const std::string target, graph_.name_of(model_.graph->inputs()[input]));
    text_.output_specs.push_back(
        fmt::format("{{\"user_input_mutation\": {{\"arg\": {}, \"user_input_name\": {}}}}}", name_json(name),
                    json_quote(target)));
  } else {
    const auto& [path, parameter] = states_.at(input);
    const std::string_view what = parameter ? "parameter" : "buffer";
    text_.output_specs.push_back(fmt::format("{{\"{}_mutation\": {{\"arg\": {}, \"{}_name\": {}}}}}", what,
                                             name_json(name), what, json_quote(path)));
  }
  return {};
}

Status SignatureWriter::write_user_output(const Value* value) {
  std::string argument;
  if (value->type().is_tensor()) {
    ZP_TRY(const std::string name, output_name(value, false));
    argument = tensor_json(name);
  } else if (value->type().kind == TypeKind::Int && value->type().value.is_known()) {
    argument = fmt::format("{{\"as_int\": {}}}", value->type().value.value());
  } else {
    ZP_TRY(argument, graph_.argument(value));
  }
  text_.output_specs.push_back(fmt::format("{{\"user_output\": {{\"arg\": {}}}}}", argument));
  text_.outputs.push_back(std::move(argument));
  return {};
}

Status SignatureWriter::write_source_output(const SourceOutput& output) {
  if (output.model_output < 0 && output.dim.is_symbolic()) {
    ZP_TRY(const std::string number, graph_.sym_int(output.dim));
    text_.outputs.push_back(fmt::format("{{\"as_sym_int\": {}}}", number));
    text_.output_specs.push_back(fmt::format("{{\"user_output\": {{\"arg\": {}}}}}", text_.outputs.back()));
    return {};
  }
  if (output.model_output < 0) {  // a literal
    text_.outputs.emplace_back(output.argument);
    text_.output_specs.emplace_back(output.spec);
    return {};
  }
  const std::optional<size_t> now = graph_.output_index(output);
  if (!now) return {};  // removed: the update of a state that nothing reads
  const size_t index = *now;
  const Value* value = model_.graph->output(index);
  switch (output.kind) {
    case SourceOutput::User: return write_user_output(value);
    case SourceOutput::BufferMutation:
    case SourceOutput::ParameterMutation:
    case SourceOutput::UserInputMutation: return write_mutation(index);
    default: break;
  }
  constexpr std::string_view kWords[] = {
      "", "loss_output", "", "", "", "gradient_to_parameter", "gradient_to_user_input", "token"};
  ZP_TRY(const std::string name, graph_.name_of(value));
  std::string spec = fmt::format("{{\"{}\": {{\"arg\": {}", kWords[output.kind], name_json(name));
  if (output.kind == SourceOutput::GradientToParameter)
    spec += fmt::format(", \"parameter_name\": {}", json_quote(output.target));
  if (output.kind == SourceOutput::GradientToUserInput)
    spec += fmt::format(", \"user_input_name\": {}", json_quote(output.target));
  text_.output_specs.push_back(spec + "}}");
  text_.outputs.push_back(tensor_json(name));
  return {};
}

Status SignatureWriter::write_outputs() {
  PathScope& paths = graph_.paths();
  for (size_t i = 0; i < model_.inputs.size(); ++i) {
    const Constant* initial = model_.inputs[i].initial;
    if (model_.inputs[i].kind != InputInfo::State || initial == nullptr) continue;
    if (source_ == nullptr)
      states_[i] = {paths.unique(initial->name), initial->kind == ConstantKind::Parameter};
  }
  if (source_ != nullptr) {
    for (const SourceInput& input : source_->inputs)
      if (const auto index = graph_.input_index(input))
        states_[*index] = {std::string(input.fqn), input.kind == SourceInput::Parameter};
  }
  std::vector<bool> listed(model_.outputs.size(), false);
  if (source_ != nullptr) {
    for (const SourceOutput& output : source_->outputs)
      if (const auto index = graph_.output_index(output)) listed[*index] = true;
  }
  // Writes that the source made in place are outputs of their own here, in front of all others.
  for (size_t i = 0; i < model_.outputs.size(); ++i) {
    const OutputInfo::Kind kind = model_.outputs[i].kind;
    if (!listed[i] && (kind == OutputInfo::StateUpdate || kind == OutputInfo::InputMutation))
      ZP_CHECK(write_mutation(i));
  }
  if (source_ != nullptr) {
    for (const SourceOutput& output : source_->outputs) ZP_CHECK(write_source_output(output));
    return {};
  }
  for (size_t i = 0; i < model_.outputs.size(); ++i)
    if (model_.outputs[i].kind == OutputInfo::User) ZP_CHECK(write_user_output(model_.graph->output(i)));
  return {};
}

// (arguments, {}) in and one tensor or a tuple out (torch/utils/_pytree.py, protocol 1).
Status SignatureWriter::write_calls() {
  if (source_ != nullptr && !source_->module_call_graph.empty()) {
    text_.module_call_graph = source_->module_call_graph;
    return {};
  }
  constexpr std::string_view kLeaf = R"({"type": null, "context": null, "children_spec": []})";
  const auto tuple = [&](size_t count) {
    std::string spec = R"({"type": "builtins.tuple", "context": "null", "children_spec": [)";
    for (size_t i = 0; i < count; ++i) spec.append(i > 0 ? ", " : "").append(kLeaf);
    return spec + "]}";
  };
  const std::vector<size_t> users = model_.user_inputs();
  const size_t results = model_.user_outputs().size();
  const std::string in_spec = fmt::format(
      R"([1, {{"type": "builtins.tuple", "context": "null", "children_spec": [{}, {{"type": "builtins.dict", "context": "[]", "children_spec": []}}]}}])",
      tuple(users.size()));
  const std::string out_spec = fmt::format("[1, {}]", results == 1 ? std::string(kLeaf) : tuple(results));
  JsonWriter json;
  json.begin_array().begin_object().field("fqn", "").key("signature").begin_object();
  json.key("inputs").begin_array().end_array().key("outputs").begin_array().end_array();
  json.field("in_spec", in_spec).field("out_spec", out_spec).key("forward_arg_names").begin_array();
  for (const size_t i : users) {
    ZP_TRY(const std::string name, graph_.name_of(model_.graph->inputs()[i]));
    json.value(name);
  }
  text_.module_call_graph = json.end_array().end_object().end_object().end_array().take();
  return {};
}

}  // namespace

Result<SignatureText> write_signature(GraphWriter& graph, PayloadWriter& payloads) {
  return SignatureWriter(graph, payloads).write();
}

}  // namespace zp::pt2
