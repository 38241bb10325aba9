#include "ir/graph.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "ir/record.h"

namespace zp {

// ---------------------------------------------------------------- uses

void Use::unlink() {
  if (value_ == nullptr) return;
  *back_ = next_;
  if (next_ != nullptr) next_->back_ = back_;
  value_ = nullptr;
  next_ = nullptr;
  back_ = nullptr;
}

void Use::link(Value* value) {
  value_ = value;
  if (value == nullptr) return;
  next_ = value->first_use_;
  back_ = &value->first_use_;
  if (next_ != nullptr) next_->back_ = &next_;
  value->first_use_ = this;
}

size_t Value::use_count() const {
  size_t count = 0;
  for (Use* u = first_use_; u != nullptr; u = u->next()) ++count;
  return count;
}

std::vector<Use*> Value::use_list() const {
  std::vector<Use*> list;
  for (Use* u = first_use_; u != nullptr; u = u->next()) list.push_back(u);
  std::reverse(list.begin(), list.end());
  return list;
}

void Value::set_type(const Type* type) {
  if (type_ == type) return;
  type_ = type;
  graph_->context().count_change();
}

void Value::set_name(std::string_view name) {
  if (name == name_) return;
  graph_->free_name(name_);
  graph_->take_name(this, name);
  if (def_ != nullptr && index_ == 0) def_->name_ = name_;  // a node is named by its first result
}

void Value::replace_all_uses_with(Value* other) {
  assert(other != this);
  if (first_use_ == nullptr) return;
  while (first_use_ != nullptr) {
    Use* use = first_use_;
    use->unlink();
    use->link(other);
  }
  graph_->context().count_change();
}

// ---------------------------------------------------------------- nodes

Context& Node::context() const { return graph_->context(); }
void Node::touch() { graph_->context().count_change(); }

void Node::set_operand(size_t i, Value* value) {
  assert(i < operand_count_);
  if (operands_[i].value_ == value) return;
  operands_[i].unlink();
  operands_[i].link(value);
  touch();
}

bool Node::has_uses() const {
  for (size_t i = 0; i < result_count_; ++i)
    if (results_[i].has_uses()) return true;
  return false;
}

Graph* Node::add_region() {
  Context& ctx = context();
  ctx.graphs_.push_back(std::make_unique<Graph>(ctx, this));
  std::vector<Graph*> all = regions_.vec();
  all.push_back(ctx.graphs_.back().get());
  regions_ = ctx.arena_.copy(all);
  touch();
  return all.back();
}

std::vector<Graph*> Context::regions() const {
  std::vector<Graph*> live;
  for (const std::unique_ptr<Graph>& graph : graphs_)
    if (!graph->parent()->erased()) live.push_back(graph.get());
  return live;
}

void Node::add_origins_of(const Node& other) {
  if (other.origins_.empty()) return;
  std::vector<const Origin*> all = origins_.vec();
  for (const Origin* o : other.origins_)
    if (std::find(all.begin(), all.end(), o) == all.end()) all.push_back(o);
  origins_ = context().arena().copy(all);
}

uint64_t Node::order() const {
  if (!graph_->order_valid_) graph_->renumber();
  return order_;
}

void Node::set_name(std::string_view name) {
  if (name == name_) return;
  if (result_count_ > 0) {
    results_[0].set_name(name);
    name_ = results_[0].name_;
  } else {
    name_ = context().text(name);
  }
}

void Node::move_before(Node* other) {
  assert(other != this && other->graph_ == graph_);
  Graph* g = graph_;
  g->remove(this);
  g->insert(this, other);
  touch();
}

void Node::erase() {
  assert(!has_uses());
  touch();
  for (uint32_t i = 0; i < operand_count_; ++i) operands_[i].unlink();
  for (Graph* region : regions_) {
    region->set_outputs({});
    std::vector<Node*> inner;
    for (Node* n : region->nodes()) inner.push_back(n);
    for (size_t i = inner.size(); i-- > 0;) inner[i]->erase();
  }
  for (uint32_t i = 0; i < result_count_; ++i) graph_->free_name(results_[i].name_);
  regions_ = {};
  graph_->remove(this);
  graph_ = nullptr;
}

namespace {
// Whatever an op's own checks let pass, no result has a negative extent.
Status check_extents(const Node& node) {
  for (size_t i = 0; i < node.result_count(); ++i) {
    for (const Dim& d : node.result(i)->type().shape) {
      if (d.is_known() && d.value() < 0) {
        return Error(std::string(node.op().name) + ".extent",
                     "result " + std::to_string(i) + " would have the extent " + d.str());
      }
    }
  }
  return {};
}
}  // namespace

Status Node::infer() {
  if (op_->infer == nullptr) return {};
  Status status = op_->infer(context(), *this);
  if (status.ok()) status = check_extents(*this);
  if (status.ok()) return status;
  const Origin* o = origin();
  Location where;
  where.node = std::string(o ? o->name : name_);
  if (o != nullptr) {
    where.module = std::string(o->module);
    where.line = o->line;
    where.column = o->column;
  }
  return std::move(std::move(status).error()).at(where);
}

Error Node::error(std::string id, std::string text) const {
  Diagnostic d;
  d.id = std::move(id);
  d.text = std::move(text);
  const Origin* o = origin();
  d.where.node = std::string(o ? o->name : name_);
  if (o != nullptr) {
    d.where.module = std::string(o->module);
    d.where.line = o->line;
    d.where.column = o->column;
  }
  return Error(std::move(d));
}

std::string_view op_label(const Node& node) {
  return node.is(kOpaqueOp) ? node.attrs<OpaqueAttrs>().target : node.op().name;
}

std::vector<std::string> source_names(const Node& node) {
  std::vector<std::string> names;
  for (const Origin* o : node.origins())
    if (!o->name.empty()) names.emplace_back(o->name);
  if (names.empty()) names.emplace_back(node.name());
  return names;
}

// ---------------------------------------------------------------- graph

Graph::Graph(Context& context, Node* parent) : context_(context), parent_(parent) {
  NodeSpec spec;
  spec.op = &kReturnOp;
  spec.results = 0;
  spec.name = "return";
  output_ = create(spec);
}

// Names that are taken get a number; the next copy of the same name goes on from there. Names are unique in
// a graph, so nothing is gained by interning them.
void Graph::take_name(Value* value, std::string_view wish) {
  if (wish.empty()) wish = "value";
  std::string copy;
  for (std::string_view name = wish;; name = copy) {
    auto holder = names_.find(name);
    if (holder == names_.end()) {
      value->name_ = context_.arena().copy_text(name);
      names_.emplace(value->name_, Holder{value});
      return;
    }
    if (holder->second.value == nullptr) {
      holder.value().value = value;
      value->name_ = holder->first;
      return;
    }
    if (!copy.empty()) holder = names_.find(wish);
    copy.assign(wish).append("_").append(std::to_string(++holder.value().copies));
  }
}

void Graph::free_name(std::string_view name) {
  const auto found = names_.find(name);
  if (found->second.copies == 0) names_.erase(found);
  else found.value().value = nullptr;
}

Value* Graph::add_input(std::string_view name, const Type* type) {
  Value* v = context_.values_.make<Value>();
  v->graph_ = this;
  v->type_ = type;
  v->index_ = static_cast<uint32_t>(inputs_.size());
  take_name(v, name);
  inputs_.push_back(v);
  context_.count_change();
  return v;
}

void Graph::erase_input(size_t index) {
  assert(index < inputs_.size() && !inputs_[index]->has_uses());
  free_name(inputs_[index]->name_);
  inputs_.erase(inputs_.begin() + static_cast<ptrdiff_t>(index));
  for (size_t i = index; i < inputs_.size(); ++i) inputs_[i]->index_ = static_cast<uint32_t>(i);
  context_.count_change();
}

void Graph::set_outputs(std::span<Value* const> values) {
  Node* n = output_;
  for (uint32_t i = 0; i < n->operand_count_; ++i) n->operands_[i].unlink();
  n->operands_ = context_.uses_.make_array<Use>(values.size());
  n->operand_count_ = static_cast<uint32_t>(values.size());
  for (uint32_t i = 0; i < n->operand_count_; ++i) {
    n->operands_[i].user_ = n;
    n->operands_[i].index_ = i;
    n->operands_[i].link(values[i]);
  }
  context_.count_change();
}

Node* Graph::create(const NodeSpec& spec, Node* before) {
  Arena& arena = context_.arena();
  Node* n = context_.nodes_.make<Node>();
  n->op_ = spec.op;
  n->origins_ = spec.origins;
  n->constant_ = spec.constant;
  n->operand_count_ = static_cast<uint32_t>(spec.operands.size());
  n->operands_ = context_.uses_.make_array<Use>(spec.operands.size());
  for (uint32_t i = 0; i < n->operand_count_; ++i) {
    n->operands_[i].user_ = n;
    n->operands_[i].index_ = i;
    n->operands_[i].link(spec.operands[i]);
  }
  if (spec.op->attrs != nullptr && spec.op->attrs->size > 0) {
    n->attrs_ = arena.allocate(spec.op->attrs->size, spec.op->attrs->alignment);
    std::memcpy(n->attrs_, spec.attrs ? spec.attrs : spec.op->attrs->defaults, spec.op->attrs->size);
  }
  n->result_count_ = static_cast<uint32_t>(spec.results);
  n->results_ = context_.values_.make_array<Value>(spec.results);
  const std::string_view wish = spec.name.empty() ? spec.op->name : spec.name;
  static const Type unknown = [] {
    Type t;
    t.kind = TypeKind::None;
    return t;
  }();
  for (uint32_t i = 0; i < n->result_count_; ++i) {
    Value& v = n->results_[i];
    v.def_ = n;
    v.graph_ = this;
    v.index_ = i;
    v.type_ = &unknown;
    if (i == 0) take_name(&v, wish);
    else take_name(&v, std::string(n->results_[0].name_) + "." + std::to_string(i));
  }
  n->name_ = n->result_count_ > 0 ? n->results_[0].name_ : context_.text(wish);
  insert(n, before);
  context_.count_change();
  return n;
}

Value* Graph::add_const(const Constant& constant, std::string_view name, Node* before) {
  NodeSpec spec;
  spec.op = &kConstOp;
  spec.constant = &constant;
  spec.name = name.empty() ? constant.name : name;
  Node* n = create(spec, before);
  n->result()->set_type(context_.tensor(constant.dtype, std::span<const int64_t>(constant.shape)));
  return n->result();
}

Value* Graph::find(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : found->second.value;
}

namespace {
constexpr uint64_t kOrderGap = uint64_t{1} << 20;
}

void Graph::insert(Node* node, Node* before) {
  if (before == nullptr) before = output_;  // null only while the return node itself is made
  node->graph_ = this;
  node->next_ = before;
  node->prev_ = before ? before->prev_ : nullptr;
  if (node->prev_ != nullptr) {
    node->prev_->next_ = node;
  } else {
    first_ = node;
  }
  if (before != nullptr) {
    before->prev_ = node;
    ++node_count_;
    const uint64_t low = node->prev_ ? node->prev_->order_ : 0;
    if (before == output_) {
      node->order_ = low + kOrderGap;
      before->order_ = node->order_ + kOrderGap;
    } else if (before->order_ - low >= 2) {
      node->order_ = low + (before->order_ - low) / 2;
    } else {
      order_valid_ = false;
    }
  }
}

void Graph::remove(Node* node) {
  if (node->prev_ != nullptr) {
    node->prev_->next_ = node->next_;
  } else {
    first_ = node->next_;
  }
  if (node->next_ != nullptr) node->next_->prev_ = node->prev_;
  node->prev_ = node->next_ = nullptr;
  --node_count_;
}

void Graph::renumber() const {
  uint64_t order = kOrderGap;
  for (Node* n = first_; n != nullptr; n = n->next_, order += kOrderGap) n->order_ = order;
  order_valid_ = true;
}

// ---------------------------------------------------------------- ops of the IR itself

namespace {
Status infer_const(Context& context, Node& node) {
  const Constant& c = *node.constant();
  const Type& now = node.result()->type();
  const bool same_shape = now.is_tensor() && now.ranked && now.shape.size() == c.shape.size() &&
                          std::equal(c.shape.begin(), c.shape.end(), now.shape.begin(),
                                     [](int64_t a, Dim b) { return Dim(a) == b; });
  if (same_shape && now.dtype == c.dtype)
    return {};  // the value may be quantized: the constant holds its storage
  node.result()->set_type(context.tensor(c.dtype, std::span<const int64_t>(c.shape)));
  return {};
}
constexpr OperandDef kReturnOperands[] = {{"values", Role::Data, true, true}};
constexpr OperandDef kOpaqueOperands[] = {{"operands", Role::Data, true, true}};
constexpr std::string_view kOneResult[] = {"result"};
constexpr std::string_view kResults[] = {"results"};
}  // namespace

constinit const OpDef kConstOp = {.name = "const",
                                  .doc = "A constant; its value may be typed as quantized.",
                                  .results = kOneResult,
                                  .trait = Trait::Structural,
                                  .infer = infer_const};
constinit const OpDef kReturnOp = {.name = "return",
                                   .doc = "The results of a graph.",
                                   .operands = kReturnOperands,
                                   .trait = Trait::Structural,
                                   .flags = kEffect};
constinit const OpDef kOpaqueOp = {.name = "opaque",
                                   .doc = "An operator that only its own format knows; kept as it is.",
                                   .operands = kOpaqueOperands,
                                   .results = kResults,
                                   .attrs = &attrs_of<OpaqueAttrs>,
                                   .trait = Trait::Structural,
                                   .flags = kVariadicResults};

}  // namespace zp
