#include "formats/pt2/graph_reader.h"

#include "formats/pt2/integer_form.h"

#include <fmt/format.h>

#include <bit>

#include "formats/pt2/node_reader.h"
#include "formats/pt2/schema.h"
#include "ops/ops.h"

namespace zp::pt2 {
namespace {

constexpr std::string_view kFollows = "pt2.follows";  // an error that another one explains
constexpr int kMaxSymbolDepth = 500;                  // chains of symbolic numbers that no Dim can say

std::string_view short_target(std::string_view target) {
  constexpr std::string_view kPrefix = "torch.ops.";
  return target.starts_with(kPrefix) ? target.substr(kPrefix.size()) : target;
}

// Named results of a node, elements of lists one by one.
std::vector<Arg> named_results(const NodeData& node) {
  std::vector<Arg> results;
  for (const Arg& out : node.outputs) for_each_name(out, [&](const Arg& leaf) { results.push_back(leaf); });
  return results;
}

bool is_arithmetic(std::string_view target) {
  return target.starts_with("_operator.") || target.starts_with("math.") || target.starts_with("torch.sym_");
}

}  // namespace

void ImportState::report(Diagnostic diagnostic) {
  if (diagnostic.id == kFollows) return;  // the cause was reported
  if (diagnostic.where.file.empty()) diagnostic.where.file = archive.path();
  if (diagnostic.severity != Severity::Error) {
    if (model.warnings.size() < 1000) model.warnings.push_back(std::move(diagnostic));
  } else if (!full()) {
    errors.push_back(std::move(diagnostic));
  }
}

Location ImportState::place(const NodeData* node) const {
  Location where;
  where.file = archive.path();
  if (node != nullptr) {
    where.node = node->name.empty() ? node->target : node->name;
    where.module = node->module;
  }
  return where;
}

void ImportState::report(Error error, const NodeData* node) {
  const Error placed = std::move(error).at(place(node));
  for (const Diagnostic& d : placed.diagnostics()) report(d);
}

GraphReader::GraphReader(ImportState& state, const GraphData& data, Graph& graph)
    : state_(state),
      data_(data),
      graph_(graph),
      names_(data.values.size()),
      read_(data.values.size()),
      aliases_(data) {
  graph.reserve(data.values.size());
  auto mark = [&](const Arg& leaf) { read_[leaf.value] = true; };
  for (const NodeData& node : data.nodes)
    for (const NamedArg& named : node.inputs) for_each_name(named.arg, mark);
  for (const Arg& out : data.outputs) for_each_name(out, mark);
  if (aliases_.any_mutation()) {
    versions_.resize(data.values.size());
    seen_.resize(data.values.size());
  }
}

void GraphReader::set_current(const NodeData* node) {
  current_ = node;
  current_row_ = node != nullptr ? find_overload(node->target) : nullptr;
  origin_ = nullptr;
  source_ = nullptr;
  if (node == nullptr) return;
  Arena& arena = context().arena();
  source_ = arena.make<SourceNode>();
  source_->target = node->target;
  source_->inputs = node->raw_inputs;
  source_->outputs = node->raw_outputs;
  source_->metadata = node->raw_metadata;
  source_->single_return = node->single_return;
  auto* origin = arena.make<Origin>();
  const bool unnamed = node->outputs.empty() || node->outputs[0].text.empty();
  // Copies: the graph may outlive the archive.
  origin->name = arena.copy_text(!node->name.empty() ? node->name
                                 : unnamed           ? node->target
                                                     : node->outputs[0].text);
  origin->target =
      current_row_ != nullptr ? current_row_->target : context().text(short_target(node->target));
  origin->module = node->module;
  origin->format_data = source_;
  origin_ = origin;
}

const Type* GraphReader::type_of(const ValueData& value) {
  switch (value.kind) {
    case ValueData::Tensor: return context().tensor(value.dtype, value.sizes);
    case ValueData::Int: return context().scalar(TypeKind::Int, value.dim);
    case ValueData::Float: return context().scalar(TypeKind::Float);
    case ValueData::Bool: return context().scalar(TypeKind::Bool);
    case ValueData::Object: return context().scalar(TypeKind::Object);
    case ValueData::Token:
    case ValueData::Undeclared: break;
  }
  return context().scalar(TypeKind::Token);
}

Value* GraphReader::const_node(const Constant& constant, const Type* type) {
  Value*& made = const_nodes_[{&constant, type}];
  if (made != nullptr) return made;
  auto name = const_names_.find(&constant);
  made = graph_.add_const(constant, name == const_names_.end() ? constant.name : name->second);
  made->set_type(type);
  return made;
}

Value* GraphReader::literal(Number number, DType dtype) {
  const uint64_t bits =
      number.kind == Number::Float ? std::bit_cast<uint64_t>(number.f) : static_cast<uint64_t>(number.i);
  Value*& value = literals_[{static_cast<int>(dtype), static_cast<int64_t>(number.kind), bits}];
  if (value != nullptr) return value;
  Tensor tensor = std::move(*Tensor::make(dtype, {}));
  if (number.kind == Number::Float) tensor.set_double(0, number.f);
  else tensor.set_int(0, number.i);
  const Constant* constant =
      context().make_constant(fmt::format("literal_{}", literals_.size()), dtype, std::span<const int64_t>(),
                              tensor.blob(), ConstantKind::Literal);
  value = graph_.add_const(*constant);
  return value;
}

const Constant* GraphReader::constant_of(uint32_t index) const {
  return names_[index].value == nullptr ? names_[index].constant : nullptr;
}

bool GraphReader::read_as_number(uint32_t index) {
  if (read_as_number_.empty()) {
    read_as_number_.resize(names_.size());
    for (const NodeData& node : data_.nodes) {
      const Overload* row = find_overload(node.target);
      for (const NamedArg& named : node.inputs) {
        const ArgSpec* spec = row == nullptr ? nullptr : row->find(named.name);
        if (spec != nullptr && spec->to == ArgSpec::Operand && row->hook != "assert" && !named.arg.is_list())
          continue;
        for_each_name(named.arg, [&](const Arg& leaf) { read_as_number_[leaf.value] = true; });
      }
    }
    for (const Arg& out : data_.outputs)
      for_each_name(out, [&](const Arg& leaf) { read_as_number_[leaf.value] = true; });
  }
  return read_as_number_[index];
}

Result<Value*> GraphReader::value_of(uint32_t index, bool plain_wanted) {
  Name& name = names_[index];
  const ValueData& said = data_.values[index];
  if (name.value == nullptr && name.constant != nullptr) {
    const Constant& c = *name.constant;
    return const_node(c, context().tensor(c.dtype, std::span<const int64_t>(c.shape)));
  }
  if (name.subclass != nullptr) {
    return Error("pt2.subclass",
                 fmt::format("'{}' is a pickled tensor subclass: only its parts can be read", said.name));
  }
  if (name.value == nullptr && name.symbolic != nullptr) ZP_CHECK(make_symbolic(index));
  if (name.value == nullptr) {
    if (name.missing) return Error(std::string(kFollows), fmt::format("'{}' could not be read", said.name));
    return Error("pt2.order",
                 fmt::format("'{}' is read before anything defines it: nodes must be in topological order",
                             said.name));
  }
  if (aliases_.any_mutation()) refresh(index);
  return plain_wanted ? plain(names_[index].value) : names_[index].value;
}

Value* GraphReader::plain(Value* value) {
  if (!value->type().is_quantized()) return value;
  if (value->def() != nullptr && value->def()->constant() != nullptr) {
    const Constant& c = *value->def()->constant();
    return const_node(c, context().tensor(c.dtype, std::span<const int64_t>(c.shape)));
  }
  Value*& cast = plain_[value];
  if (cast == nullptr) {
    AttrBuilder attrs(ops::storage_cast, context());
    Value* operands[] = {value};
    cast = make_node(ops::storage_cast, operands, attrs.data(), 1, fmt::format("{}_int", value->name()))
               ->result();
  }
  return cast;
}

Result<Value*> GraphReader::moved_value(uint32_t index) {
  ZP_TRY(Value * value, value_of(index, false));
  const bool keeps = value->type().is_quantized() && value->type().quant->per_tensor();
  return keeps ? value : plain(value);
}

Result<Value*> GraphReader::as_quantized(uint32_t index, const QuantType* quant) {
  if (const Constant* constant = constant_of(index)) {
    if (constant->dtype != quant->storage) {
      return Error("pt2.dtype", fmt::format("'{}' is {}, the operator says {}", constant->name,
                                            dtype_name(constant->dtype), dtype_name(quant->storage)));
    }
    const Type* plain_type = context().tensor(constant->dtype, std::span<const int64_t>(constant->shape));
    return const_node(*constant, context().with_quant(*plain_type, *quant));
  }
  ZP_TRY(Value * value, value_of(index, false));
  return quantized_value(value, quant);
}

Result<Value*> GraphReader::quantized_value(Value* value, const QuantType* quant) {
  if (value->type().quant == quant) return value;
  value = plain(value);
  if (value->def() != nullptr && value->def()->constant() != nullptr &&
      value->type().dtype == quant->storage) {
    return const_node(*value->def()->constant(), context().with_quant(value->type(), *quant));
  }
  Value*& cast = quantized_[{value, quant}];
  if (cast == nullptr) {
    AttrBuilder attrs(ops::storage_cast, context());
    attrs.set_quant("type", quant);
    Value* operands[] = {value};
    cast = make_node(ops::storage_cast, operands, attrs.data(), 1, fmt::format("{}_quantized", value->name()))
               ->result();
  }
  return cast;
}

const Constant* GraphReader::part_constant(const Payload& payload, std::string_view part) {
  const std::string name = fmt::format("{}.{}", payload.fqn, part);
  if (auto known = parts_.find(name); known != parts_.end()) return known->second;
  for (const Payload& p : payload.parts) {
    if (p.fqn != part) continue;
    const Constant* constant = add_payload_constant(
        context(), p, name, payload.is_param ? ConstantKind::Parameter : ConstantKind::Buffer, false);
    parts_.emplace(name, constant);
    return constant;
  }
  return nullptr;
}

Node* GraphReader::make_node(const OpDef& op, std::span<Value* const> operands, const void* attrs,
                             size_t results, std::string_view name) {
  NodeSpec spec;
  spec.op = &op;
  spec.operands = operands;
  spec.attrs = attrs;
  spec.results = results;
  spec.name = name;
  if (origin_ != nullptr) spec.origins = context().arena().copy(std::span<const Origin* const>(&origin_, 1));
  Node* node = graph_.create(spec);
  if (Status status = node->infer(); !status.ok()) {
    state_.report(std::move(status).error(), current_);
    inference_failed_ = true;
    // Types of the file, so that the rest can be read and its problems found too.
    for (size_t k = 0; k < results; ++k) node->result(k)->set_type(context().unranked(DType::Unknown));
  }
  return node;
}

void GraphReader::check_type(Value* value, const ValueData& said) {
  const Type& found = value->type();
  if (said.kind != ValueData::Tensor || !found.is_tensor()) return;
  auto warn = [&](std::string_view id, std::string text) {
    state_.report(Diagnostic{Severity::Warning, std::string(id), state_.place(current_), std::move(text)});
  };
  const DType dtype = found.is_quantized() ? found.quant->storage : found.dtype;
  if (dtype != said.dtype && dtype != DType::Unknown) {
    warn("pt2.dtype", fmt::format("'{}' is {} by inference, the file says {}", said.name, dtype_name(dtype),
                                  dtype_name(said.dtype)));
  }
  if (!found.ranked) {
    if (!found.is_quantized()) value->set_type(context().tensor(found.dtype, said.sizes));
    return;
  }
  bool agrees = found.shape.size() == said.sizes.size(), unknown = false;
  for (size_t d = 0; agrees && d < said.sizes.size(); ++d) {
    const Dim a = found.shape[d], b = said.sizes[d];
    unknown = unknown || (a.is_unknown() && !b.is_unknown());
    if (a.is_known() && b.is_known() && a != b) agrees = false;
  }
  if (!agrees) {
    std::string shape;
    for (const Dim& d : said.sizes) shape += (shape.empty() ? "" : ", ") + d.str();
    warn("pt2.shape",
         fmt::format("'{}' is {} by inference, the file says [{}]", said.name, found.str(), shape));
  } else if (unknown) {
    // What inference cannot know (sizes that depend on data) the file names by a symbol.
    std::vector<Dim> shape(found.shape.begin(), found.shape.end());
    for (size_t d = 0; d < shape.size(); ++d)
      if (shape[d].is_unknown()) shape[d] = said.sizes[d];
    value->set_type(context().with_shape(found, shape));
  }
}

void GraphReader::bind_result(uint32_t index, Value* value) {
  names_[index].value = value;
  check_type(value, data_.values[index]);
  if (!aliases_.any_mutation()) return;
  const AliasRecord& record = aliases_.record(index);
  if (record.parent == AliasRecord::kNone) return;
  seen_[index] = versions_[record.base];
  if (record.kind != ViewKind::Same) views_[index] = value;
}

void GraphReader::read_nodes() {
  for (const NodeData& node : data_.nodes) {
    if (state_.full()) return;
    read_node(node);
  }
  set_current(nullptr);
}

void GraphReader::read_node(const NodeData& node) {
  set_current(&node);
  inference_failed_ = false;
  const Overload* row = current_row_;
  if (read_symbolic(node) || read_control(node)) return;
  const bool assertion = row != nullptr && row->hook == "assert";
  if (!assertion && aliases_.touches_poisoned(node)) return read_opaque(node, true);
  Mutation mutation;
  const bool writes = aliases_.any_mutation() && AliasAnalysis::mutation_of(node, &mutation) &&
                      !mutation.ignored && !mutation.written.empty();
  if (row == nullptr) row = find_functional_overload(node.target);
  const bool integer = node.target.starts_with(kIntegerNamespace);
  if (row == nullptr && !integer) return read_opaque(node, node.outputs.empty());
  static const Overload none{};
  NodeReader reader(*this, node, integer ? none : *row);
  Result<bool> done = integer ? reader.translate_integer_form() : reader.translate();
  if (!done.ok()) {
    state_.report(std::move(done).error(), &node);
    for (const Arg& out : named_results(node)) names_[out.value].missing = true;
    return;
  }
  if (!*done) {
    if (writes) {
      for (const Arg& out : named_results(node)) names_[out.value].missing = true;
      state_.report(Error("pt2.in_place", fmt::format("{} cannot be made functional: {}",
                                                      short_target(node.target), reader.why())),
                    &node);
      return;
    }
    if (!reader.why().empty()) {
      state_.report(
          Diagnostic{Severity::Warning, "pt2.opaque", state_.place(&node),
                     fmt::format("{} is kept as it is: {}", short_target(node.target), reader.why())});
    }
    return read_opaque(node, false);
  }
  if (writes && reader.main_value() != nullptr)
    apply_mutation(node, mutation.written[0], reader.main_value());
  if (reader.main_ != nullptr) {
    source_->overload = integer ? nullptr : reader.row_;
    source_->op = &reader.main_->op();
    if (source_->op->attrs != nullptr)
      source_->attrs_hash = attrs_hash(*source_->op->attrs, reader.main_->attrs_data());
    ++state_.model.source_ops[std::string(reader.main_->op().name)];
  } else {
    ++state_.model.source_ops[std::string(canonical_name(node.target))];
  }
}

void GraphReader::read_opaque(const NodeData& node, bool effect) {
  std::vector<Value*> operands;
  operand_names_.clear();
  bool failed = false;
  for (const NamedArg& named : node.inputs) {
    for_each_name(named.arg, [&](const Arg& leaf) {
      const ValueData& value = data_.values[leaf.value];
      if (leaf.tag == ArgTag::CustomObject && names_[leaf.value].value == nullptr) return;
      if (leaf.tag == ArgTag::SymInt && !value.dim.is_unknown())
        return;  // the exporter knows the number by its name
      auto operand = value_of(leaf.value, true);
      if (!operand.ok()) {
        if (!names_[leaf.value].missing) state_.report(std::move(operand).error(), &node);
        failed = true;
        return;
      }
      operands.push_back(*operand);
      operand_names_.push_back(leaf.text);
    });
  }
  const std::vector<Arg> results = named_results(node);
  bool numbers = false;
  for (const Arg& out : results) {
    if (failed) names_[out.value].missing = true;
    numbers = numbers || data_.values[out.value].kind == ValueData::Int;
  }
  if (failed) return;
  OpaqueAttrs attrs;
  attrs.target = context().text(short_target(node.target));
  attrs.payload = context().text(node.raw_inputs);
  attrs.effect = effect || numbers;  // a number is read by attributes, which no use list shows
  Node* made = make_node(kOpaqueOp, operands, &attrs, results.size(), origin_->name);
  for (size_t k = 0; k < results.size(); ++k) {
    const ValueData& said = data_.values[results[k].value];
    if (said.kind == ValueData::Undeclared) {
      state_.report(Error("pt2.value", fmt::format("the file gives no type for '{}'", said.name)), &node);
    }
    if (said.kind == ValueData::Tensor && said.dtype == DType::Unknown) {
      state_.report(Error("pt2.dtype", fmt::format("'{}' has element type {}, which is not known", said.name,
                                                   said.dtype_number)),
                    &node);
    }
    made->result(k)->set_type(type_of(said));
    names_[results[k].value].value = made->result(k);
  }
  source_->op = &kOpaqueOp;
  source_->attrs_hash = attrs_hash(*kOpaqueOp.attrs, made->attrs_data());
  source_->operands = context().arena().copy(operand_names_);
  ++state_.model.source_ops[std::string(attrs.target)];
}

// Symbolic numbers are Dims: their nodes are not made, unless a reader needs one that no Dim can say.
bool GraphReader::read_symbolic(const NodeData& node) {
  const bool reads_size = current_row_ != nullptr && current_row_->hook == "sym";
  if (!is_arithmetic(node.target) && !reads_size) return false;
  for (const Arg& out : named_results(node)) names_[out.value].symbolic = &node;
  ++state_.model.source_ops[std::string(base_name(node.target))];
  return true;
}

Status GraphReader::make_symbolic(uint32_t index) {
  const NodeData* node = names_[index].symbolic;
  if (++symbol_depth_ > kMaxSymbolDepth) {
    --symbol_depth_;
    return Error("pt2.symbol",
                 fmt::format("more than {} symbolic numbers depend on each other", kMaxSymbolDepth));
  }
  names_[index].symbolic = nullptr;  // a cycle then reads an undefined name
  const NodeData* outer = current_;
  const Origin* outer_origin = origin_;
  const Overload* outer_row = current_row_;
  SourceNode* outer_source = source_;
  const std::vector<std::string_view> outer_names = operand_names_;
  const size_t before = state_.errors.size();
  set_current(node);
  if (!read_number(*node)) {
    read_opaque(*node, false);
    --state_.model.source_ops[std::string(short_target(node->target))];
    if (state_.model.source_ops[std::string(short_target(node->target))] == 0)
      state_.model.source_ops.erase(std::string(short_target(node->target)));
  }
  current_ = outer;
  origin_ = outer_origin;
  current_row_ = outer_row;
  source_ = outer_source;
  operand_names_ = outer_names;
  --symbol_depth_;
  if (state_.errors.size() != before)
    return Error("pt2.symbol", fmt::format("'{}' cannot be computed", data_.values[index].name));
  return {};
}

// --- writes
// -------------------------------------------------------------------------------------------------------

namespace {

std::vector<int64_t> inverse(List<int64_t> dims) {
  std::vector<int64_t> back(dims.size());
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t d = dims[i] < 0 ? dims[i] + static_cast<int64_t>(dims.size()) : dims[i];
    if (d >= 0 && d < static_cast<int64_t>(dims.size()))
      back[static_cast<size_t>(d)] = static_cast<int64_t>(i);
  }
  return back;
}

template <typename T>
T attr_of(const Node& node, std::string_view field, T otherwise) {
  const AttrField* found = node.op().attrs == nullptr ? nullptr : node.op().attrs->find(field);
  if (found == nullptr || found->kind != AttrKindOf<T>::value) return otherwise;
  return attr_ref<T>(node.attrs_data(), *found);
}

}  // namespace

// Brings a view up to date after its base was written: the views on the way are made again.
void GraphReader::refresh(uint32_t index) {
  const AliasRecord& record = aliases_.record(index);
  if (record.parent == AliasRecord::kNone || seen_[index] == versions_[record.base]) return;
  std::vector<uint32_t> chain;
  for (uint32_t at = index;
       aliases_.record(at).parent != AliasRecord::kNone && seen_[at] != versions_[record.base];
       at = aliases_.record(at).parent) {
    chain.push_back(at);
  }
  for (size_t i = chain.size(); i-- > 0;) {
    const uint32_t at = chain[i];
    const AliasRecord& link = aliases_.record(at);
    Value* parent = current_value(link.parent);
    if (parent == nullptr) return;
    Value* value = parent;
    if (link.kind != ViewKind::Same) {
      auto view = views_.find(at);
      if (view == views_.end() || view->second->def() == nullptr) return;
      const Node& old = *view->second->def();
      std::vector<Value*> operands;
      for (size_t k = 0; k < old.operand_count(); ++k) operands.push_back(k == 0 ? parent : old.operand(k));
      Node* made = make_node(old.op(), operands, old.attrs_data(), old.result_count(), old.name());
      value = made->result(view->second->index());
    }
    names_[at].value = value;
    seen_[at] = versions_[record.base];
  }
}

// The value of a name, const nodes included, without bringing it up to date.
Value* GraphReader::current_value(uint32_t index) {
  Name& name = names_[index];
  if (name.value == nullptr && name.constant != nullptr) {
    return const_node(*name.constant,
                      context().tensor(name.constant->dtype, std::span<const int64_t>(name.constant->shape)));
  }
  return name.value;
}

// The parent of a view after the view became `value`; null if no card can say it.
Value* GraphReader::undo_view(uint32_t view, Value* parent, Value* value) {
  const AliasRecord& link = aliases_.record(view);
  auto node_with = [&](std::string_view op, auto fill, std::initializer_list<Value*> operands) -> Value* {
    const OpDef* card = NodeReader::card(op);
    if (card == nullptr) return nullptr;
    AttrBuilder attrs(*card, context());
    if (!fill(attrs)) return nullptr;
    return make_node(*card, std::span<Value* const>(operands.begin(), operands.size()), attrs.data(), 1,
                     fmt::format("{}_{}", origin_->name, op))
        ->result();
  };
  if (link.kind == ViewKind::Same) return value;
  auto found = views_.find(view);
  if (found == views_.end() || found->second->def() == nullptr) return nullptr;
  const Node& node = *found->second->def();
  const auto dim = attr_of<int64_t>(node, "dim", 0);
  const int64_t k = found->second->index();
  switch (link.kind) {
    case ViewKind::Reshape:
      return node_with(
          "reshape",
          [&](AttrBuilder& a) { return parent->type().ranked && a.set_dims("shape", parent->type().shape); },
          {value});
    case ViewKind::Permute:
      return node_with("permute",
                       [&](AttrBuilder& a) {
                         return a.set_ints("dims", inverse(attr_of<List<int64_t>>(node, "dims", {})));
                       },
                       {value});
    case ViewKind::Slice:
      return node_with("slice_scatter",
                       [&](AttrBuilder& a) {
                         const auto start = attr_of<std::optional<Dim>>(node, "start", {}),
                                    end = attr_of<std::optional<Dim>>(node, "end", {});
                         return a.set_int("dim", dim) &&
                                (start ? a.set_dim("start", *start) : a.set_none("start")) &&
                                (end ? a.set_dim("end", *end) : a.set_none("end")) &&
                                a.set_dim("step", attr_of<Dim>(node, "step", Dim(1)));
                       },
                       {parent, value});
    case ViewKind::Select:
      return node_with("select_scatter",
                       [&](AttrBuilder& a) {
                         return a.set_int("dim", dim) &&
                                a.set_dim("index", attr_of<Dim>(node, "index", Dim(0)));
                       },
                       {parent, value});
    case ViewKind::Unbind:
      return node_with("select_scatter",
                       [&](AttrBuilder& a) { return a.set_int("dim", dim) && a.set_dim("index", Dim(k)); },
                       {parent, value});
    case ViewKind::Split: {
      const auto sizes = attr_of<List<Dim>>(node, "sizes", {});
      if (static_cast<size_t>(k) >= sizes.size()) return nullptr;
      Dim start = 0;
      for (int64_t i = 0; i < k; ++i) start = context().dims().add(start, sizes[static_cast<size_t>(i)]);
      const Dim end = context().dims().add(start, sizes[static_cast<size_t>(k)]);
      return node_with("slice_scatter",
                       [&](AttrBuilder& a) {
                         return a.set_int("dim", dim) && a.set_dim("start", start) && a.set_dim("end", end);
                       },
                       {parent, value});
    }
    default: return nullptr;
  }
}

// `self` was written and is now `value`: its base and everything between are made anew, and `self` and the
// result of the node are names of the new value.
void GraphReader::apply_mutation(const NodeData& node, uint32_t self, Value* value) {
  const Value* old = current_value(self);
  if (old != nullptr && old->type().is_tensor() && value->type().is_tensor() &&
      old->type().dtype != value->type().dtype) {
    if (const OpDef* cast = NodeReader::card("cast")) {
      AttrBuilder attrs(*cast, context());
      attrs.set_dtype("dtype", old->type().dtype);
      Value* operands[] = {value};
      value = make_node(*cast, operands, attrs.data(), 1, fmt::format("{}_cast", origin_->name))->result();
    }
  }
  const uint32_t base = aliases_.base(self);
  std::vector<std::pair<uint32_t, Value*>> updated = {{self, value}};
  for (uint32_t at = self; aliases_.record(at).parent != AliasRecord::kNone;) {
    const uint32_t parent = aliases_.record(at).parent;
    refresh(parent);
    Value* before = current_value(parent);
    value = before == nullptr ? nullptr : undo_view(at, before, value);
    if (value == nullptr) {
      state_.report(
          Error("pt2.in_place", fmt::format("the write to '{}' cannot be carried to '{}', whose view it is",
                                            data_.values[self].name, data_.values[base].name)),
          &node);
      return;
    }
    updated.push_back({parent, value});
    at = parent;
  }
  ++versions_[base];
  for (auto [name, now] : updated) {
    names_[name].value = now;
    seen_[name] = versions_[base];
  }
  if (!node.outputs.empty() && node.outputs[0].tag == ArgTag::Tensor) {
    const uint32_t result = node.outputs[0].value;
    names_[result].value = updated.front().second;
    seen_[result] = versions_[base];
    // The result is another name of `self`, a view of the same parent by the same node.
    if (auto view = views_.find(self); view != views_.end()) views_[result] = view->second;
  }
}

}  // namespace zp::pt2
