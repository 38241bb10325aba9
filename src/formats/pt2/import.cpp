#include "formats/pt2/import.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "formats/pt2/graph_reader.h"
#include "formats/pt2/inline.h"

namespace zp::pt2 {
namespace {

bool is_dense(const Payload& p) {
  int64_t expected = 1;
  for (size_t d = p.sizes.size(); d-- > 0;) {
    if (p.sizes[d] != 1 && p.strides[d] != expected) return false;
    expected *= std::max<int64_t>(p.sizes[d], 1);
  }
  return true;
}

// The value of "type" in the raw JSON of a device.
std::string_view device_of(std::string_view meta) {
  const size_t at = meta.find("\"device\"");
  const size_t type = at == std::string_view::npos ? at : meta.find("\"type\"", at);
  if (type == std::string_view::npos) return {};
  const size_t begin = meta.find('"', type + 6);
  const size_t end = begin == std::string_view::npos ? begin : meta.find('"', begin + 1);
  return end == std::string_view::npos ? std::string_view() : meta.substr(begin + 1, end - begin - 1);
}

// Everything that one import needs, in the order of its steps.
class Import {
 public:
  Import(std::shared_ptr<const Archive> archive, const ImportOptions& options)
      : archive_(std::move(archive)),
        options_(options),
        model_(std::make_unique<Model>()),
        source_(std::make_shared<Pt2Source>()) {}

  Result<std::unique_ptr<Model>> run();

 private:
  Result<std::string> choose_model() const;
  void fill_source(const std::string& name);
  void add_inputs(GraphReader& reader);
  void add_constant_input(GraphReader& reader, SourceInput& input, uint32_t index, bool state);
  void add_outputs(GraphReader& reader);
  void find_unnamed();

  std::shared_ptr<const Archive> archive_;
  ImportOptions options_;
  std::unique_ptr<Model> model_;
  std::shared_ptr<Pt2Source> source_;
  std::unique_ptr<ProgramData> program_;
  Payloads payloads_;
  std::unique_ptr<ImportState> state_;
  std::unordered_set<std::string_view> mutated_fqns_;           // of functional programs
  std::unordered_map<std::string_view, int64_t> state_inputs_;  // fqn -> index into Model::inputs
  std::unordered_map<std::string_view, int64_t> user_inputs_;   // name -> index
  std::unordered_set<const Payload*> used_;
};

Result<std::string> Import::choose_model() const {
  const auto& models = archive_->models();
  if (!options_.model.empty()) {
    if (std::find(models.begin(), models.end(), options_.model) != models.end()) return options_.model;
  } else if (std::find(models.begin(), models.end(), "model") != models.end()) {
    return std::string("model");
  } else if (models.size() == 1) {
    return models.front();
  }
  return Error(
      "pt2.model",
      fmt::format("the archive holds the models {}; {}", fmt::join(models, ", "),
                  options_.model.empty() ? "name one" : fmt::format("'{}' is none of them", options_.model)));
}

void Import::fill_source(const std::string& name) {
  Pt2Source& s = *source_;
  s.archive = archive_;
  s.text = program_->text;
  s.model_name = model_->context->text(name);
  s.schema_major = program_->schema_major;
  s.schema_minor = program_->schema_minor;
  s.torch_version = program_->torch_version;
  s.verifiers = program_->verifiers;
  s.opset_version = program_->opset_version;
  s.range_constraints = program_->range_constraints;
  s.guards_code = program_->guards_code;
  s.module_call_graph = program_->module_call_graph;
  s.metadata = program_->metadata;
  s.treespec_fields = program_->treespec_fields;
  s.single_tensor_return = program_->graph.single_tensor_return;
  s.inputs = program_->inputs;
  s.outputs = program_->outputs;
  bool mutation_outputs = false;
  for (const SourceOutput& out : s.outputs) {
    mutation_outputs = mutation_outputs || out.kind == SourceOutput::BufferMutation ||
                       out.kind == SourceOutput::ParameterMutation ||
                       out.kind == SourceOutput::UserInputMutation;
  }
  s.in_place_dialect =
      s.verifiers.empty() ? !mutation_outputs : s.verifiers.find("TRAINING") != std::string_view::npos;
  for (const ValueData& value : program_->graph.values) {
    if (value.kind == ValueData::Int && !value.dim.is_unknown())
      s.symbol_values.emplace(value.name, value.dim);
  }
  for (const ValueData& value : program_->graph.values) {
    const std::string_view device = device_of(value.meta);
    if (device.empty()) continue;
    s.device = device;
    break;
  }
}

// A parameter or buffer that the program writes is no constant: it is state, with the stored value to begin
// with.
void Import::add_constant_input(GraphReader& reader, SourceInput& input, uint32_t index, bool state) {
  const bool buffer = input.kind == SourceInput::Buffer;
  const bool weights = input.kind == SourceInput::Parameter || (buffer && input.persistent);
  const auto section = weights ? Payload::Weights : Payload::Constants;
  const Payload* payload = payloads_.find(section, input.fqn);
  if (payload == nullptr)
    payload = payloads_.find(weights ? Payload::Constants : Payload::Weights, input.fqn);
  if (payload == nullptr || payload->object) {
    reader.name(index).missing = true;
    state_->report(Diagnostic{Severity::Error, "pt2.weight", state_->place(nullptr),
                              fmt::format("'{}' (input '{}') {}", input.fqn, input.name,
                                          payload == nullptr ? "is not in the archive" : "is no tensor")});
    return;
  }
  used_.insert(payload);
  if (!payload->parts.empty()) {
    reader.name(index).subclass = payload;
    return;
  }
  const ConstantKind kind = input.kind == SourceInput::Parameter ? ConstantKind::Parameter
                            : !buffer                            ? ConstantKind::Tensor
                            : input.persistent                   ? ConstantKind::Buffer
                                                                 : ConstantKind::NonPersistentBuffer;
  const Constant* constant =
      add_payload_constant(*model_->context, *payload, input.fqn, kind, options_.assume_contiguous_weights);
  input.constant = constant;
  const ValueData& said = program_->graph.values[index];
  bool same = said.dtype == constant->dtype && said.sizes.size() == constant->shape.size();
  for (size_t d = 0; same && d < said.sizes.size(); ++d)
    same = !said.sizes[d].is_known() || said.sizes[d].value() == constant->shape[d];
  if (said.kind == ValueData::Tensor && !same) {
    state_->report(Diagnostic{Severity::Warning, "pt2.shape", state_->place(nullptr),
                              fmt::format("'{}' is {}[{}] in the archive, the program says {}", input.fqn,
                                          dtype_name(constant->dtype), fmt::join(constant->shape, ", "),
                                          reader.type_of(said)->str())});
  }
  if (!state) {
    reader.set_constant(index, constant, input.name);
    return;
  }
  const Type* type = model_->context->tensor(constant->dtype, std::span<const int64_t>(constant->shape));
  reader.name(index).value = model_->graph->add_input(input.name, type);
  input.model_input = static_cast<int64_t>(model_->inputs.size());
  state_inputs_.emplace(input.fqn, input.model_input);
  model_->inputs.push_back({InputInfo::State, constant, {}});
}

void Import::add_inputs(GraphReader& reader) {
  for (const SourceOutput& out : source_->outputs) {
    if (out.kind == SourceOutput::BufferMutation || out.kind == SourceOutput::ParameterMutation)
      mutated_fqns_.insert(out.target);
  }
  const GraphData& graph = program_->graph;
  for (size_t i = 0; i < source_->inputs.size(); ++i) {
    SourceInput& input = source_->inputs[i];
    const Arg& arg = graph.inputs[i];
    const bool named = arg.tag == ArgTag::Tensor || arg.tag == ArgTag::SymInt ||
                       arg.tag == ArgTag::SymFloat || arg.tag == ArgTag::SymBool ||
                       arg.tag == ArgTag::CustomObject;
    if (!named) continue;  // a literal argument of the user
    switch (input.kind) {
      case SourceInput::Parameter:
      case SourceInput::Buffer:
      case SourceInput::TensorConstant:
        add_constant_input(reader, input, arg.value,
                           mutated_fqns_.contains(input.fqn) || reader.aliases().mutated(arg.value));
        break;
      case SourceInput::CustomObject:
      case SourceInput::ConstantInput: break;
      case SourceInput::User:
      case SourceInput::Token: {
        const ValueData& said = graph.values[arg.value];
        const bool token = input.kind == SourceInput::Token;
        if (!token && (said.kind == ValueData::Undeclared ||
                       (said.kind == ValueData::Tensor && said.dtype == DType::Unknown))) {
          state_->report(Diagnostic{Severity::Error, "pt2.value", state_->place(nullptr),
                                    fmt::format("the file gives no type for input '{}'", input.name)});
          reader.name(arg.value).missing = true;
          break;
        }
        input.meta = said.meta;
        input.model_input = static_cast<int64_t>(model_->inputs.size());
        user_inputs_.emplace(input.name, input.model_input);
        const Type* type = token ? model_->context->scalar(TypeKind::Token) : reader.type_of(said);
        reader.name(arg.value).value = model_->graph->add_input(input.name, type);
        model_->inputs.push_back(
            {token ? InputInfo::Token : InputInfo::User, nullptr, std::string(input.name)});
        break;
      }
    }
  }
}

void Import::add_outputs(GraphReader& reader) {
  std::vector<Value*> values;
  const GraphData& graph = program_->graph;
  for (size_t i = 0; i < source_->outputs.size(); ++i) {
    SourceOutput& out = source_->outputs[i];
    const Arg& arg = graph.outputs[i];
    if (arg.tag == ArgTag::Int) out.number = Number::of_int(arg.i);
    if (arg.tag == ArgTag::Float) out.number = Number::of_float(arg.f);
    if (arg.tag == ArgTag::Bool) out.number = Number::of_bool(arg.b);
    if (arg.tag != ArgTag::Tensor && arg.tag != ArgTag::SymInt && arg.tag != ArgTag::SymFloat &&
        arg.tag != ArgTag::SymBool)
      continue;
    if (arg.tag == ArgTag::SymInt && reader.name(arg.value).value == nullptr &&
        !graph.values[arg.value].dim.is_unknown()) {
      out.dim = graph.values[arg.value].dim;  // no node computes it
      continue;
    }
    auto value = reader.value_of(arg.value, true);
    if (!value.ok()) {
      if (!reader.name(arg.value).missing) state_->report(std::move(value).error(), nullptr);
      continue;
    }
    OutputInfo info;
    const bool input_mutation = out.kind == SourceOutput::UserInputMutation;
    if (out.kind == SourceOutput::BufferMutation || out.kind == SourceOutput::ParameterMutation ||
        input_mutation) {
      auto& table = input_mutation ? user_inputs_ : state_inputs_;
      auto target = table.find(out.target);
      if (target == table.end()) {
        state_->report(
            Diagnostic{Severity::Error, "pt2.signature", state_->place(nullptr),
                       fmt::format("output '{}' updates '{}', which is no input", arg.text, out.target)});
        continue;
      }
      info.kind = input_mutation ? OutputInfo::InputMutation : OutputInfo::StateUpdate;
      info.target = target->second;
    } else if (out.kind == SourceOutput::Token) {
      info.kind = OutputInfo::Token;
    }
    out.model_output = static_cast<int64_t>(values.size());
    values.push_back(*value);
    model_->outputs.push_back(info);
  }
  // In-place writes to inputs and buffers: their last values are results too.
  for (size_t i = 0; reader.aliases().any_mutation() && i < source_->inputs.size(); ++i) {
    const SourceInput& input = source_->inputs[i];
    const Arg& arg = graph.inputs[i];
    if (input.model_input < 0 || arg.tag != ArgTag::Tensor || !reader.aliases().mutated(arg.value) ||
        reader.aliases().poisoned(arg.value))
      continue;
    auto value = reader.value_of(arg.value, true);
    if (!value.ok() || *value == model_->graph->inputs()[static_cast<size_t>(input.model_input)]) continue;
    const bool state = model_->inputs[static_cast<size_t>(input.model_input)].kind == InputInfo::State;
    values.push_back(*value);
    model_->outputs.push_back(
        {state ? OutputInfo::StateUpdate : OutputInfo::InputMutation, input.model_input});
  }
  model_->graph->set_outputs(values);
}

void Import::find_unnamed() {
  std::unordered_set<std::string_view> named;  // objects among them, which no graph reads
  for (const SourceInput& input : source_->inputs) named.insert(input.fqn);
  for (const Payload& p : payloads_.all) {
    if (used_.contains(&p) || named.contains(p.fqn)) continue;
    source_->unnamed.push_back({p.section == Payload::Weights, p.fqn});
  }
}

Result<std::unique_ptr<Model>> Import::run() {
  Context& context = *model_->context;
  ZP_TRY(const std::string name, choose_model());
  ZP_TRY(const Blob json, archive_->model_json(name));
  SymbolReader symbols(context.dims());
  ZP_TRY(program_, read_program(json, context.arena(), symbols, fmt::format("models/{}.json", name)));
  model_->source_nodes = program_->graph.nodes.size();
  inline_wrappers(*program_, context.arena());
  ZP_TRY(payloads_, archive_->payloads(name));

  model_->format = "pt2";
  model_->path = archive_->path();
  model_->file_bytes = archive_->file_bytes();
  model_->producer =
      fmt::format("torch {}", program_->torch_version.substr(0, program_->torch_version.find('+')));
  fill_source(name);
  state_ =
      std::make_unique<ImportState>(ImportState{*model_, options_, *archive_, *program_, payloads_, {}, {}});

  context.reserve_constants(payloads_.all.size());
  if (!program_->unknown_keys.empty()) {
    state_->report(Diagnostic{
        Severity::Warning, "pt2.unknown_key", state_->place(nullptr),
        fmt::format(
            "schema {}.{} has keys that are not known here; they are passed over and not written again: {}",
            program_->schema_major, program_->schema_minor, fmt::join(program_->unknown_keys, ", "))});
  }
  GraphReader reader(*state_, program_->graph, *model_->graph);
  add_inputs(reader);
  reader.read_nodes();
  add_outputs(reader);
  find_unnamed();
  if (!state_->errors.empty()) return Error(std::move(state_->errors));
  for (size_t i = 0; i < model_->inputs.size(); ++i) model_->inputs[i].source = static_cast<int64_t>(i);
  for (size_t i = 0; i < model_->outputs.size(); ++i) model_->outputs[i].source = static_cast<int64_t>(i);
  source_->tensor_metas.reserve(program_->graph.values.size());
  for (const ValueData& value : program_->graph.values) {
    source_->tensor_metas.push_back(
        value.kind == ValueData::Tensor ? SourceMeta{value.meta, value.dtype, value.sizes} : SourceMeta{});
  }
  source_->value_numbers = std::move(program_->graph.names);
  model_->source = source_;
  return std::move(model_);
}

}  // namespace

const Constant* add_payload_constant(Context& context, const Payload& payload, std::string_view name,
                                     ConstantKind kind, bool assume_contiguous) {
  Constant c;
  c.name = name;
  c.kind = kind;
  c.dtype = payload.dtype;
  c.shape = List<int64_t>(payload.sizes.data(), payload.sizes.size());
  const bool empty = std::find(payload.sizes.begin(), payload.sizes.end(), 0) != payload.sizes.end();
  if (!empty && !is_dense(payload) && !assume_contiguous)
    c.strides = List<int64_t>(payload.strides.data(), payload.strides.size());
  c.offset = empty ? 0 : payload.offset;
  c.storage = payload.storage;
  c.requires_grad = payload.requires_grad;
  c.stripped = payload.stripped;
  return context.add_constant(std::move(c));
}

Result<std::unique_ptr<Model>> import_archive(const std::string& path, const ImportOptions& options) {
  auto archive = Archive::open(path);
  if (!archive.ok()) return std::move(std::move(archive).error()).in_file(path);
  auto model = Import(std::move(*archive), options).run();
  if (!model.ok()) return std::move(std::move(model).error()).in_file(path);
  return model;
}

}  // namespace zp::pt2

namespace zp {

Result<std::unique_ptr<Model>> import_pt2(const std::string& path, const ImportOptions& options) {
  return pt2::import_archive(path, options);
}

std::vector<OutputLeaf> output_leaves(const Model& model) {
  const auto* source = dynamic_cast<const pt2::Pt2Source*>(model.source.get());
  if (source == nullptr) return {};
  std::unordered_map<int64_t, size_t> now;  // outputs by their number when they were imported
  for (size_t i = 0; i < model.outputs.size(); ++i)
    if (model.outputs[i].kind == OutputInfo::User) now.emplace(model.outputs[i].source, i);
  std::vector<OutputLeaf> leaves;
  for (const pt2::SourceOutput& out : source->outputs) {
    if (out.kind != pt2::SourceOutput::User) continue;
    OutputLeaf& leaf = leaves.emplace_back();
    leaf.number = out.number;
    leaf.dim = out.model_output < 0 ? out.dim : Dim::unknown();
    if (out.model_output < 0) continue;
    const auto found = now.find(out.model_output);
    if (found == now.end()) return {};
    leaf.output = static_cast<int64_t>(found->second);
  }
  return leaves;
}

}  // namespace zp
