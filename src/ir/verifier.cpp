// Structure and types of a graph. Each check stands on its own, so that one problem does not hide the others;
// what a check needs to be safe (a constant, an operand) is checked before it.
#include "ir/verifier.h"

#include <fmt/format.h>

#include <unordered_map>
#include <unordered_set>

#include "support/text_format.h"

namespace zp {

namespace {

std::string value_text(const Value& v) { return "%" + name_text(v.name()); }

class ModelVerifier {
 public:
  ModelVerifier(const Model& model, size_t limit) : model_(model), context_(*model.context), limit_(limit) {}

  std::vector<Diagnostic> run() {
    signature();
    graph(*model_.graph, 0);
    return std::move(found_);
  }

 private:
  bool full() const { return found_.size() >= limit_; }

  void add(std::string id, std::string text, const Node* node = nullptr) {
    if (full()) return;
    Diagnostic d;
    if (node != nullptr) d = node->error(std::move(id), std::move(text)).first();
    else d.id = std::move(id), d.text = std::move(text);
    d.where.file = model_.path;
    found_.push_back(std::move(d));
  }
  void add(const Error& error, const Node* node) { add(error.first().id, error.first().text, node); }

  // Inputs and outputs of the model against those of its graph.
  void signature() {
    const Graph& g = *model_.graph;
    if (model_.inputs.size() != g.inputs().size()) {
      add("signature.inputs",
          fmt::format("the signature has {} inputs, the graph {}", model_.inputs.size(), g.inputs().size()));
      return;
    }
    if (model_.outputs.size() != g.output_count()) {
      add("signature.outputs",
          fmt::format("the signature has {} outputs, the graph {}", model_.outputs.size(), g.output_count()));
      return;
    }
    for (size_t i = 0; i < model_.inputs.size(); ++i) {
      const InputInfo& info = model_.inputs[i];
      const Type& t = g.inputs()[i]->type();
      if (info.initial == nullptr) continue;
      const Type& c = *context_.tensor(info.initial->dtype, std::span<const int64_t>(info.initial->shape));
      if (!t.is_tensor() || t.dtype != c.dtype ||
          !types_agree(context_.dims(), *context_.with_element(t, c.dtype), c)) {
        add("signature.state", fmt::format("state {} is {}, its initial value {}", value_text(*g.inputs()[i]),
                                           t.str(), c.str()));
      }
    }
    for (size_t i = 0; i < model_.outputs.size(); ++i) {
      const OutputInfo& info = model_.outputs[i];
      if (info.kind != OutputInfo::StateUpdate && info.kind != OutputInfo::InputMutation) continue;
      const InputInfo::Kind wanted =
          info.kind == OutputInfo::StateUpdate ? InputInfo::State : InputInfo::User;
      const bool exists = info.target >= 0 && static_cast<size_t>(info.target) < model_.inputs.size();
      if (!exists || model_.inputs[static_cast<size_t>(info.target)].kind != wanted) {
        add("signature.outputs",
            fmt::format("output {} updates input {}, which is not there or of another kind", i, info.target));
      }
    }
  }

  void graph(const Graph& g, int depth) {
    if (depth > 256) return add("graph.depth", "regions nested deeper than 256");
    std::unordered_set<const Value*> defined;
    std::unordered_map<std::string_view, const Value*> names;
    std::unordered_map<const Value*, size_t> uses;
    for (const Value* v : g.inputs()) {
      define(g, *v, defined, names, nullptr);
      quantization(*v, nullptr);
    }
    for (Node* n : g.nodes()) {
      if (full()) return;
      if (n->graph() != &g) add("node.graph", "the node does not belong to the graph it stands in", n);
      const bool sound = operands(g, *n, defined, uses);
      for (size_t i = 0; i < n->result_count(); ++i) define(g, *n->result(i), defined, names, n);
      if (n->result_count() > 0 && n->name() != n->result()->name()) {
        add("node.name",
            fmt::format("the node is named '{}', its first result {}", printable(n->name()),
                        value_text(*n->result())),
            n);
      }
      for (const Graph* region : n->regions()) {
        if (region->parent() != n) add("region.parent", "a region does not know its node", n);
        graph(*region, depth + 1);
      }
      if (!sound || !card(*n)) continue;
      types(*n);
      if (const std::string problem = boundary_problem(*n); !problem.empty()) add("boundary.1", problem, n);
    }
    operands(g, *g.output_node(), defined, uses);
    use_lists(g, uses);
  }

  void define(const Graph& g, const Value& v, std::unordered_set<const Value*>& defined,
              std::unordered_map<std::string_view, const Value*>& names, const Node* node) {
    defined.insert(&v);
    if (!names.emplace(v.name(), &v).second)
      add("value.name", fmt::format("two values are named {}", value_text(v)), node);
    else if (g.find(v.name()) != &v)
      add("value.name", fmt::format("{} is not found by its name", value_text(v)), node);
    if (v.graph() != &g || v.def() != node)
      add("value.def", fmt::format("{} does not know where it is defined", value_text(v)), node);
  }

  // Every operand is defined before the node in the same graph. False if the node is not safe to look at
  // further.
  bool operands(const Graph& g, Node& n, const std::unordered_set<const Value*>& defined,
                std::unordered_map<const Value*, size_t>& uses) {
    bool sound = true;
    for (size_t i = 0; i < n.operand_count(); ++i) {
      const Value* v = n.operand(i);
      if (v == nullptr) continue;
      ++uses[v];
      if (v->graph() != &g) {
        add("node.operand",
            fmt::format("operand {} is {}, a value of another graph: regions get values through their inputs",
                        i, value_text(*v)),
            &n);
        sound = false;
      } else if (!defined.contains(v)) {
        add("node.order",
            fmt::format("operand {} is {}, which is defined later or not at all", i, value_text(*v)), &n);
        sound = false;
      }
      if (n.use(i).user() != &n || n.use(i).index() != i)
        add("value.uses", fmt::format("the use of operand {} points elsewhere", i), &n);
    }
    return sound;
  }

  // The use list of each value holds each of its uses once and nothing else.
  void use_lists(const Graph& g, const std::unordered_map<const Value*, size_t>& uses) {
    const auto check = [&](const Value& v, const Node* def) {
      const auto found = uses.find(&v);
      const size_t expected = found == uses.end() ? 0 : found->second;
      size_t listed = 0;
      for (const Use& u : v.uses()) {
        const bool live = u.value() == &v && u.user() != nullptr && !u.user()->erased() &&
                          u.user()->operand(u.index()) == &v;
        if (!live || ++listed > expected)
          return add("value.uses",
                     fmt::format("the list of uses of {} holds one that is not in the graph", value_text(v)),
                     def);
      }
      if (listed != expected)
        add("value.uses", fmt::format("{} has {} uses, its list {}", value_text(v), expected, listed), def);
    };
    for (const Value* v : g.inputs()) check(*v, nullptr);
    for (const Node* n : g.nodes())
      for (size_t i = 0; i < n->result_count(); ++i) check(*n->result(i), n);
  }

  // Numbers of operands and results, and constants, against the card. False if inference would not be safe.
  bool card(const Node& n) {
    const OpDef& op = n.op();
    const size_t before = found_.size();
    if (&op == &kConstOp) return constant(n);
    if (n.constant() != nullptr) add("node.constant", "only const nodes have a constant", &n);
    if (!op.variadic() && n.operand_count() > op.operands.size()) {
      add("node.operands",
          fmt::format("{} operands, {} takes at most {}", n.operand_count(), op.name, op.operands.size()),
          &n);
    }
    for (size_t i = 0; i < op.operands.size(); ++i) {
      const OperandDef& o = op.operands[i];
      if (!o.optional && !o.variadic && n.operand(i) == nullptr)
        add("node.operands", fmt::format("operand {} ({}) is missing", i, o.name), &n);
    }
    for (size_t i = op.operands.size();
         op.variadic() && !op.operands.back().optional && i <= n.operand_count(); ++i) {
      if (n.operand(i - 1) == nullptr)
        add("node.operands", fmt::format("operand {} ({}) is missing", i - 1, op.operands.back().name), &n);
    }
    if (!op.has(kVariadicResults) && n.result_count() != op.results.size()) {
      add("node.results", fmt::format("{} results, {} has {}", n.result_count(), op.name, op.results.size()),
          &n);
    }
    return found_.size() == before && !full();
  }

  bool constant(const Node& n) {
    const Constant* c = n.constant();
    if (c == nullptr || n.result_count() != 1) {
      add("node.constant", "a const node has one constant and one result", &n);
      return false;
    }
    const size_t before = found_.size();
    if (context_.find_constant(c->name) != c)
      add("constant.owner", fmt::format("constant '@{}' is not one of the model", c->name), &n);
    if (!c->stripped) constant_extent(*c, n);
    return found_.size() == before;
  }

  // No element lies outside the storage.
  void constant_extent(const Constant& c, const Node& n) {
    int64_t last = c.offset;
    bool fits = c.offset >= 0, empty = false;
    if (!c.dense() && c.strides.size() != c.shape.size())
      return add("constant.shape",
                 fmt::format("'@{}' has {} strides and {} dims", c.name, c.strides.size(), c.shape.size()),
                 &n);
    int64_t dense_stride = 1;
    for (size_t d = c.shape.size(); d-- > 0;) {
      if (c.shape[d] < 0)
        return add("constant.shape", fmt::format("'@{}' has the dimension {}", c.name, c.shape[d]), &n);
      if (c.shape[d] == 0) {
        empty = true;
        continue;
      }
      const int64_t stride = c.dense() ? dense_stride : c.strides[d];
      int64_t reach = 0;
      fits = fits && stride >= 0 && !__builtin_mul_overflow(c.shape[d] - 1, stride, &reach) &&
             !__builtin_add_overflow(last, reach, &last) &&
             !__builtin_mul_overflow(dense_stride, c.shape[d], &dense_stride);
    }
    fits = fits && last < INT64_MAX / 16;
    if (empty || (fits && storage_bytes(c.dtype, last + 1) <= static_cast<int64_t>(c.storage.size()))) return;
    add("constant.bytes", fmt::format("'@{}' reaches beyond its {} bytes of data", c.name, c.storage.size()),
        &n);
  }

  // Inference runs again and must say what the values' types say; what it leaves open, the types may know.
  void types(Node& n) {
    std::vector<const Type*> was;
    for (size_t i = 0; i < n.result_count(); ++i) was.push_back(n.result(i)->type_ptr());
    const uint64_t changes = context_.changes();
    if (const Status status = n.infer(); !status) {
      for (const Diagnostic& d : status.error().diagnostics()) add(d.id, d.text, &n);
    } else {
      for (size_t i = 0; i < n.result_count(); ++i) {
        if (types_agree(context_.dims(), n.result(i)->type(), *was[i])) continue;
        add("type",
            fmt::format("{} is inferred as {}, its type is {}", value_text(*n.result(i)),
                        n.result(i)->type().str(), was[i]->str()),
            &n);
      }
    }
    if (context_.changes() != changes)
      for (size_t i = 0; i < n.result_count(); ++i) n.result(i)->set_type(was[i]);
    for (size_t i = 0; i < n.result_count(); ++i) quantization(*n.result(i), &n);
  }

  void quantization(const Value& v, const Node* node) {
    const Type& t = v.type();
    if (!t.is_quantized()) return;
    if (t.dtype != t.quant->storage) {
      return add("quant.storage",
                 fmt::format("{} holds {}, its quantization is stored as {}", value_text(v),
                             dtype_name(t.dtype), dtype_name(t.quant->storage)),
                 node);
    }
    if (!t.ranked || context_.quant_checked(&t)) return;
    if (Status status = check_quant(context_, *t.quant, t.shape); !status) {
      Error error = std::move(status).error();
      add(error.first().id, fmt::format("{} ({}): {}", value_text(v), t.str(), error.first().text), node);
    } else {
      context_.set_quant_checked(&t);
    }
  }

  const Model& model_;
  Context& context_;
  size_t limit_;
  std::vector<Diagnostic> found_;
};

}  // namespace

std::vector<Diagnostic> verify(const Model& model, size_t limit) {
  return ModelVerifier(model, std::max<size_t>(limit, 1)).run();
}

Status verify_ok(const Model& model) {
  std::vector<Diagnostic> problems = verify(model);
  if (problems.empty()) return {};
  return Error(std::move(problems));
}

}  // namespace zp
