#include "formats/pt2/export_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "formats/pt2/argument_json.h"
#include "formats/pt2/export_node.h"
#include "formats/pt2/export_payload.h"
#include "ops/number.h"
#include "ops/ops.h"

namespace zp::pt2 {
namespace {

// Names in the JSON of a node's outputs, in order: getitem nodes of several results.
void output_names(std::string_view json, std::vector<std::string_view>& names) {
  names.clear();
  for (size_t at = json.find("\"name\":"); at != std::string_view::npos;
       at = json.find("\"name\":", at + 1)) {
    const size_t open = json.find('"', at + 7);
    const size_t close = open == std::string_view::npos ? open : json.find('"', open + 1);
    if (close == std::string_view::npos) break;
    names.push_back(json.substr(open + 1, close - open - 1));
  }
}

}  // namespace

DType stored_dtype(DType dtype) {
  switch (dtype) {
    case DType::I2:
    case DType::I4: return DType::I8;
    case DType::U2:
    case DType::U4: return DType::U8;
    default: return dtype;
  }
}

const SourceNode* source_node(const Node& node, const Pt2Source* source) {
  if (source == nullptr) return nullptr;
  for (const Origin* origin : node.origins())
    if (origin->format_data != nullptr) return static_cast<const SourceNode*>(origin->format_data);
  return nullptr;
}

// Nodes that stand only for what is written where they are read.
static bool has_no_text(const Node& node) {
  return node.is(kConstOp) || node.is(ops::storage_cast) || node.is(ops::size_number) ||
         node.is(ops::number_tensor);
}

GraphWriter::GraphWriter(const Model& model, const Pt2Source* source)
    : model_(model), graph_(*model.graph), source_(source), context_(*model.context), root_(*this) {
  dims_ = &own_dims_.emplace(context_.dims(), source != nullptr);
  for (size_t i = 0; i < model.inputs.size(); ++i) input_places_.emplace(model.inputs[i].source, i);
  for (size_t i = 0; i < model.outputs.size(); ++i) output_places_.emplace(model.outputs[i].source, i);
  name_inputs();
  name_results();
}

GraphWriter::GraphWriter(GraphWriter& parent, const Graph& region, Captures& captures)
    : model_(parent.model_),
      graph_(region),
      source_(parent.source_),
      context_(parent.context_),
      root_(parent.root_),
      parent_(&parent),
      captures_(&captures),
      dims_(parent.dims_) {
  name_region_inputs();
  name_results();
}

bool GraphWriter::source_uses(std::string_view name_space) const {
  if (source_ == nullptr) return false;
  for (const std::string& name : source_->namespaces)
    if (name == name_space) return true;
  return false;
}

std::optional<size_t> GraphWriter::input_index(const SourceInput& input) const {
  const auto found = input_places_.find(input.model_input);
  return input.model_input < 0 || found == input_places_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<size_t> GraphWriter::output_index(const SourceOutput& output) const {
  const auto found = output_places_.find(output.model_output);
  return output.model_output < 0 || found == output_places_.end() ? std::nullopt
                                                                  : std::optional(found->second);
}

void GraphWriter::name_inputs() {
  const std::span<Value* const> inputs = graph_.inputs();
  if (source_ != nullptr) {
    for (const Pt2Source::Unnamed& payload : source_->unnamed) paths_.take(payload.fqn);
    for (const SourceInput& input : source_->inputs) {
      if (!input.fqn.empty()) paths_.take(input.fqn);
      if (!input.name.empty()) names_.take(input.name);
      if (input.constant != nullptr && input.model_input < 0)
        source_constants_.emplace(input.constant, &input);
      const std::optional<size_t> index = input_index(input);
      if (index && *index < inputs.size() && !input.name.empty())
        value_names_.emplace(inputs[*index], input.name);
    }
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value* value = inputs[i];
    if (!value_names_.contains(value)) {
      const bool state = i < model_.inputs.size() && model_.inputs[i].kind == InputInfo::State;
      value_names_.emplace(
          value, state ? names_.unique("b_" + std::string(value->name())) : names_.unique(value->name()));
    }
    if (value->type().kind == TypeKind::Int) dims_->declare_number(value->type().value);
    declare_value(value_names_.at(value), *value);
  }
}

void GraphWriter::name_region_inputs() {
  for (const Value* value : graph_.inputs()) {
    value_names_.emplace(value, names_.unique(value->name()));
    declare_value(value_names_.at(value), *value);
  }
}

// Names that are Python names already are taken first, so that a repaired name never pushes one aside.
void GraphWriter::name_results() {
  std::vector<std::pair<const Value*, std::string>> later;
  std::vector<std::string_view> wishes;
  const size_t expected = graph_.node_count() + graph_.inputs().size();
  value_names_.reserve(expected);
  names_.reserve(expected);
  declared_.reserve(expected);
  for (const Node* node : graph_.nodes()) {
    if (has_no_text(*node)) continue;
    const SourceNode* from = source_node(*node, source_);
    // A tuple, be it of one: the node and its results have names of their own.
    bool several = node->result_count() != 1 || !node->regions().empty();
    wishes.clear();
    if (from != nullptr && from->op == &node->op()) {
      output_names(from->outputs, wishes);
      several |= wishes.size() > 1 || from->single_return == 0;
      if (!several || wishes.size() < node->result_count()) wishes.clear();
    }
    if (several) node_names_.emplace(node, names_.unique(node->name()));
    for (size_t i = 0; i < node->result_count(); ++i) {
      const Value* value = node->result(i);
      std::string numbered;
      std::string_view wish = value->name();
      if (!wishes.empty()) wish = wishes[i];
      else if (several) wish = numbered = fmt::format("{}_{}", node->name(), i);
      const std::string_view name = !is_python_name(wish) ? std::string_view()
                                    : numbered.empty()    ? names_.take_lasting(wish)
                                                          : names_.take(wish);
      if (!name.empty()) value_names_.emplace(value, name);
      else later.emplace_back(value, wish);
    }
  }
  for (auto& [value, wish] : later) value_names_.emplace(value, names_.unique(wish));
}

// A constant in a region: its name there. The node that holds the region gets it as an operand.
std::string GraphWriter::capture(const Constant& constant) {
  if (auto found = captured_names_.find(&constant); found != captured_names_.end()) return found->second;
  if (std::find(captures_->begin(), captures_->end(), &constant) == captures_->end())
    captures_->push_back(&constant);
  return captured_names_.emplace(&constant, unique(fmt::format("c_{}", constant.name))).first->second;
}

Result<std::string> GraphWriter::placeholder(const Constant& constant) {
  if (parent_ != nullptr) return capture(constant);
  if (auto found = placeholder_index_.find(&constant); found != placeholder_index_.end()) {
    return std::string(placeholders_[found->second].name);
  }
  if (serialized_dtype(stored_dtype(constant.dtype)) == 0) {
    return Error("export.dtype", fmt::format("constant {} has elements {}, which archives cannot hold",
                                             constant.name, dtype_name(constant.dtype)));
  }
  Placeholder made;
  made.constant = &constant;
  if (auto from = source_constants_.find(&constant); from != source_constants_.end()) {
    made.source = from->second;
    made.name = from->second->name;
    made.fqn = from->second->fqn;
    made.parameter = made.source->kind == SourceInput::Parameter;
    made.buffer = made.source->kind == SourceInput::Buffer;
    made.persistent = made.source->persistent;
  } else {
    made.parameter = constant.kind == ConstantKind::Parameter;
    made.persistent = constant.kind != ConstantKind::NonPersistentBuffer;
    made.fqn = paths_.unique(constant.name.empty() ? "constant" : constant.name);
    made.name = names_.unique((made.parameter ? "p_" : "b_") + made.fqn);
  }
  placeholder_index_.emplace(&constant, placeholders_.size());
  placeholders_.push_back(std::move(made));
  return std::string(placeholders_.back().name);
}

Result<std::string> GraphWriter::helper_constant(std::string_view name, DType dtype,
                                                 std::span<const int64_t> shape, Blob bytes) {
  auto [at, added] = root_.helpers_.try_emplace(std::string(name));
  Helper& h = at->second;
  if (!added) return placeholder(h.constant);
  h.shape.assign(shape.begin(), shape.end());
  h.constant.name = at->first;
  h.constant.kind = ConstantKind::Buffer;
  h.constant.dtype = dtype;
  h.constant.shape = List<int64_t>(h.shape.data(), h.shape.size());
  h.constant.storage = std::move(bytes);
  return placeholder(h.constant);
}

Result<std::string> GraphWriter::name_of(const Value* value) {
  while (value->def() != nullptr && value->def()->is(ops::storage_cast)) value = value->def()->operand(0);
  if (value->def() != nullptr && value->def()->is(kConstOp)) return placeholder(*value->def()->constant());
  ZP_TRY(const std::string_view name, name_view(value));
  return std::string(name);
}

// Of a value that is no constant and no cast.
Result<std::string_view> GraphWriter::name_view(const Value* value) {
  const auto found = value_names_.find(value);
  if (found == value_names_.end()) {
    return Error("export.value", fmt::format("value {} has no definition in the graph", value->name()),
                 ErrorKind::Internal);
  }
  return found->second;
}

Result<std::string> GraphWriter::argument(const Value* value) {
  const Node* def = value->def();
  if (def != nullptr && def->is(ops::number_tensor)) return argument(def->operand(0));
  if (def != nullptr && def->is(ops::size_number)) {
    const Dim dim = def->attrs<ops::SizeNumberAttrs>().value;
    ZP_TRY(std::string number, sym_int(dim));
    return dim.is_known() ? number : fmt::format("{{\"as_sym_int\": {}}}", number);
  }
  ZP_TRY(const std::string name, name_of(value));
  std::string_view kind;
  switch (value->type().kind) {
    case TypeKind::Int: kind = "as_sym_int"; break;
    case TypeKind::Float: kind = "as_sym_float"; break;
    case TypeKind::Bool: kind = "as_sym_bool"; break;
    default: return tensor_json(name);
  }
  return JsonWriter()
      .begin_object()
      .key(kind)
      .begin_object()
      .field("as_name", name)
      .end_object()
      .end_object()
      .take();
}

void GraphWriter::declare_value(std::string_view name, const Value& value) {
  declared_.push_back({name, value.type_ptr(), value.def() == nullptr});
  note_dims(&value);
}

std::string GraphWriter::declare_tensor(std::string_view wish, const Type& type) {
  const std::string_view name = names_.unique(wish);
  declared_.push_back({name, context_.type(type), false});
  return std::string(name);
}

std::string GraphWriter::declare_number(std::string_view wish, Dim dim) {
  const std::string_view name = names_.unique(wish);
  declared_.push_back({name, context_.scalar(TypeKind::Int, dim), false});
  return std::string(name);
}

// Where the value of a symbolic expression can be read at run time: the first place wins.
void GraphWriter::note_dims(const Value* value) {
  const Type& type = value->type();
  if (type.kind == TypeKind::Int && type.value.is_symbolic())
    dim_names_.emplace(type.value.expr(), std::string(value_names_.at(value)));
  if (!type.is_tensor() || !type.ranked) return;
  for (size_t d = 0; d < type.shape.size(); ++d) {
    if (!type.shape[d].is_symbolic()) continue;
    const DimExpr* expr = type.shape[d].expr();
    if (!dim_places_.emplace(expr, DimPlace{value, d}).second) continue;
    // Where only 2*s is a size, s is that size halved.
    const DimExpr* whole[] = {expr};
    const auto terms = expr->op == DimOp::Add
                           ? std::span<const DimExpr* const>(expr->args.data(), expr->args.size())
                           : std::span<const DimExpr* const>(whole);
    for (const DimExpr* term : terms) {
      const bool scaled =
          term->op == DimOp::Mul && term->args.size() == 2 && term->args[0]->op == DimOp::Constant;
      const DimExpr* symbol = scaled ? term->args[1] : term;
      if (symbol->op == DimOp::Symbol && symbol != expr)
        solvable_.emplace(symbol, Solvable{expr, scaled ? term->args[0]->value : 1});
    }
  }
}

Result<std::string> GraphWriter::sym_int(Dim dim) {
  if (dim.is_known()) return fmt::format("{{\"as_int\": {}}}", dim.value());
  if (dim.is_unknown()) return Error("export.dim", "a number that is not known cannot be written");
  ZP_TRY(const std::string name, compute(dim.expr()));
  return fmt::format("{{\"as_name\": \"{}\"}}", name);
}

// The name of a symbolic number; adds the nodes that compute it on first use. The depth of expressions is
// bounded.
Result<std::string> GraphWriter::compute(const DimExpr* expr) {
  if (auto found = dim_names_.find(expr); found != dim_names_.end()) return found->second;
  if (auto place = dim_places_.find(expr); place != dim_places_.end()) {
    const DimPlace at = place->second;
    ZP_TRY(std::string tensor, argument(at.value));
    NodeText node;
    node.target = "torch.ops.aten.sym_size.int";
    node.args = {{"self", std::move(tensor), false},
                 {"dim", fmt::format("{{\"as_int\": {}}}", at.dim), false}};
    node.name = declare_number("sym_size_int", Dim(expr));
    node.outputs = fmt::format("[{{\"as_sym_int\": {{\"as_name\": \"{}\"}}}}]", node.name);
    emit(node);
    dim_names_.emplace(expr, node.name);
    return node.name;
  }
  if (auto found = solvable_.find(expr); found != solvable_.end()) {
    const Solvable from = found->second;
    solvable_.erase(found);  // so that two symbols of one size are not looked for in each other
    ZP_TRY(const std::string name, solve(expr, from));
    dim_names_.emplace(expr, name);
    return name;
  }
  if (expr->args.empty()) {
    return Error("export.dim",
                 fmt::format("the size {} cannot be read from any value before its use", Dim(expr).str()));
  }
  ZP_TRY(std::string name, arithmetic(expr));
  dim_names_.emplace(expr, name);
  return name;
}

// symbol = (size - rest) / factor, where size = factor * symbol + rest.
Result<std::string> GraphWriter::solve(const DimExpr* symbol, const Solvable& from) {
  DimContext& dims = context_.dims();
  const Dim scaled = dims.mul(Dim(symbol), from.factor), rest = dims.sub(Dim(from.size), scaled);
  ZP_TRY(std::string name, compute(from.size));
  const auto step = [&](std::string_view target, const std::string& right, Dim value) {
    NodeText node;
    node.target = target;
    node.args = {{"a", fmt::format("{{\"as_sym_int\": {{\"as_name\": \"{}\"}}}}", name), false},
                 {"b", right, false}};
    node.name = declare_number(target.substr(target.find('.') + 1), value);
    node.outputs = fmt::format("[{{\"as_sym_int\": {{\"as_name\": \"{}\"}}}}]", node.name);
    emit(node);
    name = node.name;
  };
  if (!rest.is_known() || rest.value() != 0) {
    ZP_TRY(const std::string right, sym_int(rest));
    step("_operator.sub", rest.is_known() ? right : fmt::format("{{\"as_sym_int\": {}}}", right), scaled);
  }
  if (from.factor != 1)
    step("_operator.floordiv", fmt::format("{{\"as_int\": {}}}", from.factor), Dim(symbol));
  return name;
}

Result<std::string> GraphWriter::arithmetic(const DimExpr* expr) {
  std::string_view target;
  switch (expr->op) {
    case DimOp::Add: target = "_operator.add"; break;
    case DimOp::Mul: target = "_operator.mul"; break;
    case DimOp::FloorDiv: target = "_operator.floordiv"; break;
    case DimOp::Mod: target = "_operator.mod"; break;
    case DimOp::Min: target = "torch.sym_min"; break;
    case DimOp::Max: target = "torch.sym_max"; break;
    case DimOp::Pow: target = "_operator.pow"; break;
    default: return Error("export.dim", fmt::format("the size {} has no form in archives", Dim(expr).str()));
  }
  const auto operand = [&](const DimExpr* arg) -> Result<std::string> {
    if (arg->op == DimOp::Constant) return fmt::format("{{\"as_int\": {}}}", arg->value);
    ZP_TRY(const std::string name, compute(arg));
    return fmt::format("{{\"as_sym_int\": {{\"as_name\": \"{}\"}}}}", name);
  };
  DimContext& dims = context_.dims();
  ZP_TRY(std::string left, operand(expr->args[0]));
  Dim value = expr->args[0]->op == DimOp::Constant ? Dim(expr->args[0]->value) : Dim(expr->args[0]);
  std::string name;
  for (size_t i = 1; i < expr->args.size(); ++i) {
    ZP_TRY(std::string right, operand(expr->args[i]));
    const Dim next = expr->args[i]->op == DimOp::Constant ? Dim(expr->args[i]->value) : Dim(expr->args[i]);
    switch (expr->op) {
      case DimOp::Add: value = dims.add(value, next); break;
      case DimOp::Mul: value = dims.mul(value, next); break;
      case DimOp::Min: value = dims.min(value, next); break;
      case DimOp::Max: value = dims.max(value, next); break;
      default: value = Dim(expr); break;
    }
    NodeText node;
    node.target = target;
    node.args = {{"a", std::move(left), false}, {"b", std::move(right), false}};
    node.name =
        declare_number(target.substr(target.find('.') + 1), i + 1 == expr->args.size() ? Dim(expr) : value);
    node.outputs = fmt::format("[{{\"as_sym_int\": {{\"as_name\": \"{}\"}}}}]", node.name);
    emit(node);
    left = fmt::format("{{\"as_sym_int\": {{\"as_name\": \"{}\"}}}}", node.name);
    name = node.name;
  }
  return name;
}

Result<std::string> GraphWriter::clone_of(const Value* value) {
  ZP_TRY(std::string operand, argument(value));
  NodeText node;
  node.target = "torch.ops.aten.clone.default";
  node.args = {{"self", std::move(operand), false}};
  node.name = declare_tensor("clone", value->type());
  node.outputs = "[" + tensor_json(node.name) + "]";
  emit(node);
  return node.name;
}

void GraphWriter::emit(const NodeText& node) {
  constexpr std::string_view kPrefix = "torch.ops.";
  if (node.target.starts_with(kPrefix)) {
    const std::string_view path = std::string_view(node.target).substr(kPrefix.size());
    const std::string_view name_space = path.substr(0, path.find('.'));
    if (name_space != root_.last_namespace_)
      root_.last_namespace_ = *root_.namespaces_.emplace(name_space).first;
  }
  // By hand: this is most of an archive's text.
  std::string& out = nodes_;
  if (std::exchange(any_node_, true)) out += ", ";
  out += "{\"target\": ";
  append_json_quoted(out, node.target);
  out += ", \"inputs\": [";
  const char* separator = "";
  for (const ArgText& arg : node.args) {
    (out += separator) += "{\"name\": ";
    append_json_quoted(out, arg.name);
    (out += ", \"arg\": ") += arg.json;
    out += arg.keyword ? ", \"kind\": 2}" : ", \"kind\": 1}";
    separator = ", ";
  }
  (out += "], \"outputs\": ") += node.outputs;
  (out += ", \"metadata\": ") += node.metadata.empty() ? "{}" : node.metadata;
  out += ", \"is_hop_single_tensor_return\": ";
  out += node.single_return < 0 ? "null" : node.single_return != 0 ? "true" : "false";
  out += ", \"name\": ";
  append_json_quoted(out, node.name);
  out += '}';
  if (sink_ && out.size() >= JsonWriter::kPiece) finish_nodes();
}

void GraphWriter::finish_nodes() {
  sink_(nodes_);
  nodes_.clear();
}

// What the source says of a value of this name and type: its strides are those that torch saw.
std::string_view GraphWriter::source_meta(std::string_view name, const Type& type) const {
  if (parent_ != nullptr || source_ == nullptr) return {};
  const auto found = source_->value_numbers.find(name);
  if (found == source_->value_numbers.end() || !type.ranked) return {};
  const SourceMeta& meta = source_->tensor_metas[found->second];
  return meta.dtype == stored_dtype(type.dtype) && meta.sizes == type.shape ? meta.raw : std::string_view();
}

void GraphWriter::write_meta(JsonWriter& json, const Type& type, bool of_input) {
  DimContext& dims = context_.dims();
  json.begin_object().field("dtype", serialized_dtype(stored_dtype(type.dtype)));
  json.key("sizes").begin_array();
  for (const Dim d : type.shape) dims_->write(json, d, of_input);
  json.end_array().field("requires_grad", false).key("device").begin_object();
  json.field("type", device()).key("index").null().end_object();
  std::vector<Dim> strides(type.shape.size(), Dim(1));
  for (size_t d = type.shape.size(); d-- > 1;) {
    Dim extent = type.shape[d];
    if (extent.is_known() && extent.value() == 0) extent = 1;
    strides[d - 1] = dims.mul(strides[d], extent);
  }
  json.key("strides").begin_array();
  for (const Dim d : strides) {
    if (d.is_unknown())
      json.begin_object().field("as_int", 1).end_object();  // a fact of tracing that nobody reads
    else dims_->write(json, d, of_input);
  }
  json.end_array().key("storage_offset").begin_object().field("as_int", 0).end_object();
  json.field("layout", 7).end_object();
}

void GraphWriter::write_tensor_values(JsonWriter& json) {
  json.begin_object();
  if (captures_ != nullptr) {
    for (const Constant* constant : *captures_) {
      json.key(capture(*constant));
      write_payload_meta(json, *constant, device());
    }
  }
  for (const Placeholder& p : placeholders_) {
    json.key(p.name);
    write_payload_meta(json, *p.constant, device());
  }
  for (const Declared& d : declared_) {
    if (!d.type->is_tensor()) continue;
    json.spill();
    json.key(d.name);
    if (const std::string_view meta = source_meta(d.name, *d.type); !meta.empty()) json.raw(meta);
    else write_meta(json, *d.type, d.of_input);
  }
  json.end_object();
}

std::string GraphWriter::number_values(TypeKind kind) {
  JsonWriter json;
  json.begin_object();
  size_t floats = 0;
  for (const Declared& d : declared_) {
    if (d.type->kind != kind) continue;
    json.key(d.name);
    if (kind == TypeKind::Int) dims_->write(json, d.type->value, d.of_input);
    else if (kind == TypeKind::Bool)
      json.begin_object().field("as_bool", true).end_object();  // a fact of tracing
    else
      json.begin_object()
          .key("as_expr")
          .begin_object()
          .field("expr_str", fmt::format("Symbol('zuf{}')", floats++))
          .key("hint")
          .null()
          .end_object()
          .end_object();
  }
  return json.end_object().take();
}

void GraphWriter::write_fields(JsonWriter& json, const std::vector<std::string>& inputs,
                               const std::vector<std::string>& outputs, bool single_return,
                               std::string_view objects) {
  const auto list = [&](std::string_view key, const std::vector<std::string>& items) {
    json.key(key).begin_array();
    for (const std::string& item : items) json.raw(item);
    json.end_array();
  };
  list("inputs", inputs);
  list("outputs", outputs);
  if (!sink_) {
    json.key("nodes").begin_array();
    if (any_node_) json.raw(nodes_);
    json.end_array();
  }
  json.key("tensor_values");
  write_tensor_values(json);
  json.key("sym_int_values").raw(number_values(TypeKind::Int));
  json.key("sym_bool_values")
      .raw(number_values(TypeKind::Bool))
      .field("is_single_tensor_return", single_return);
  json.key("custom_obj_values").raw(objects).key("sym_float_values").raw(number_values(TypeKind::Float));
}

Result<std::string> GraphWriter::region_text(bool single_return) {
  std::vector<std::string> inputs;
  for (const Value* value : graph_.inputs()) {
    ZP_TRY(std::string json, argument(value));
    inputs.push_back(std::move(json));
  }
  for (const Constant* constant : *captures_) inputs.push_back(tensor_json(capture(*constant)));
  JsonWriter json;
  json.begin_object();
  write_fields(json, inputs, region_outputs_, single_return, "{}");
  return json.end_object().take();
}

Status GraphWriter::write_nodes() {
  std::vector<Diagnostic> problems;
  for (const Node* node : graph_.nodes()) {
    if (has_no_text(*node)) continue;
    if (Status status = write_node(*node); !status.ok()) {
      const Origin* origin = node->origin();
      Error error = std::move(status).error().at_node(node->name(), origin != nullptr ? origin->module : "");
      for (const Diagnostic& d : error.diagnostics()) problems.push_back(d);
      if (problems.size() >= 20) break;
    }
  }
  if (!problems.empty()) return Error(std::move(problems));
  for (size_t i = 0; parent_ != nullptr && i < graph_.output_count(); ++i) {
    if (graph_.output(i) == nullptr)
      return Error("export.region", fmt::format("result {} of a region is absent", i));
    ZP_TRY(std::string json, argument(graph_.output(i)));
    region_outputs_.push_back(std::move(json));
  }
  return {};
}

Status GraphWriter::write_node(const Node& node) {
  NodeWriter writer(*this, node);
  ZP_CHECK(writer.write());
  for (size_t i = 0; i < node.result_count(); ++i) {
    const Value* value = node.result(i);
    declare_value(value_names_.at(value), *value);
  }
  return {};
}

}  // namespace zp::pt2
