// fold-shape: shape operators on constants are carried out. A quantized constant keeps its integers: chains
// of shape ops between a dequantize and its consumer become one constant with the parameters that the chain
// carries along, and the dequantize comes last. It pays whenever a weight is stored in another layout than
// its consumer wants, and it is what makes such weights fuse. It never rounds: a quantize inside a chain is
// part of the value and evaluated as it is; where parameters cannot be written for the end of a chain, its
// longest prefix that can is folded and the rest stays, with a record that says why.
#include <fmt/format.h>

#include <map>
#include <tuple>
#include <unordered_map>

#include "backend/backend.h"
#include "ops/control.h"
#include "ops/ops.h"
#include "ops/quant.h"
#include "passes/constant_eval.h"
#include "passes/shape/chains.h"
#include "passes/shape/shape.h"

namespace zp {

namespace {

using shape::Chain;
using shape::Chains;
using shape::Domain;
using shape::Obstacle;

constexpr std::string_view kPass = "fold-shape";
// Bytes that all results made from one constant may have: what it has, four times over, and a little.
constexpr int64_t kGrowthFactor = 4;
constexpr int64_t kGrowthFree = int64_t{1} << 20;

std::string source_name(const Node& node) {
  const std::vector<std::string> names = source_names(node);
  return names.empty() ? std::string(node.name()) : names.front();
}

class FoldShape {
 public:
  FoldShape(PassContext& pass, Graph& graph)
      : pass_(pass), graph_(graph), chains_(graph.context(), graph.node_count()) {}

  Status run() {
    std::vector<Node*> order;
    for (Node* node : graph_.nodes()) {
      order.push_back(node);
      visit(*node);
    }
    for (size_t i = order.size(); i-- > 0;) decide(*order[i]);
    for (Node* node : order) ZP_CHECK(materialize(*node));
    for (size_t i = order.size(); i-- > 0;) remove_if_dead(order[i]);
    for (auto& [node, name] : renames_) node->set_name(name);
    return {};
  }

 private:
  struct Plan {
    bool stays = false;                // some result is still computed by the node
    std::vector<size_t> fold;          // results that become constants
    std::optional<Obstacle> obstacle;  // why it stays
  };

  static bool is_shape_op(const Node& node) {
    return node.op().trait == Trait::ShapeOnly && node.op().shape_map != nullptr;
  }

  void visit(Node& node) {
    const std::optional<Obstacle> obstacle = chains_.visit(node);
    if (node.result_count() == 0 || chains_.find(node.result()) != nullptr) return;
    if (!obstacle) return follow_outside(node);
    bool constant = true, quantized = false;
    for (size_t i = 0; i < node.operand_count(); ++i) {
      const Value* operand = node.operand(i);
      if (operand == nullptr) continue;
      const Chain* c = chains_.find(operand);
      constant &= c != nullptr || cut_.contains(operand);
      quantized |= c != nullptr && c->domain != Domain::Plain;
    }
    // An operator that computes from constants alone cuts a chain; any other that is no shape op is a chain's
    // consumer.
    if (constant) {
      for (size_t i = 0; i < node.result_count(); ++i) cut_[node.result(i)] = &node;
    }
    if (quantized && (constant || is_shape_op(node))) keep(node, *obstacle);
  }

  // Shape ops on what is no constant stay; where quantized integers or a cut chain are behind it, a record
  // says so.
  void follow_outside(Node& node) {
    const Value* first = node.operand_count() > 0 ? node.operand(0) : nullptr;
    if (first == nullptr) return;
    const auto input = from_input_.find(first);
    if (node.is(ops::storage_cast) || node.is(ops::dequantize)) {
      const bool integers =
          first->type().is_tensor() && (first->type().is_quantized() || is_integer(first->type().dtype));
      if (input != from_input_.end()) from_input_[node.result()] = input->second;
      else if (first->def() == nullptr && integers) from_input_[node.result()] = first;
      return;
    }
    if (!is_shape_op(node)) return;
    if (input != from_input_.end()) {
      const Value* origin = input->second;
      for (size_t i = 0; i < node.result_count(); ++i) from_input_[node.result(i)] = origin;
      keep(node, {"constant", "a constant", what_input(*origin)});
    } else if (const auto stop = cut_.find(first); stop != cut_.end()) {
      const Node* by = stop->second;
      for (size_t i = 0; i < node.result_count(); ++i) cut_[node.result(i)] = by;
      keep(node, {"shape-only", "operators that only move elements",
                  fmt::format("'{}' before it is {}", by->name(), op_label(*by))});
    }
  }

  std::string what_input(const Value& input) const {
    if (&graph_ == pass_.model.graph.get() && input.index() < pass_.model.inputs.size() &&
        pass_.model.inputs[input.index()].kind == InputInfo::State) {
      return fmt::format("the buffer '{}', which the model updates", input.name());
    }
    return fmt::format("the input '{}'", input.name());
  }

  // Backwards: a result is needed by readers that stay; what is needed and can be written becomes a constant.
  void decide(Node& node) {
    if (node.result_count() == 0 || chains_.find(node.result()) == nullptr || is_base(node)) return;
    for (size_t r = 0; r < node.result_count(); ++r) {
      Chain* chain = chains_.find(node.result(r));
      if (chain == nullptr || !needed(*node.result(r))) continue;
      Plan& plan = plans_[&node];
      if (auto obstacle = check(*chain)) {
        plan.stays = true;
        plan.obstacle = std::move(obstacle);
      } else {
        plan.fold.push_back(r);
      }
    }
    const auto plan = plans_.find(&node);
    if (plan != plans_.end() && plan->second.stays && plan->second.obstacle)
      keep(node, *plan->second.obstacle);
  }

  // A const node, or a dequantize that reads one, is as far as folding goes.
  static bool is_base(const Node& node) {
    if (node.is(kConstOp)) return true;
    return node.is(ops::dequantize) && node.operand(0)->def() != nullptr &&
           node.operand(0)->def()->is(kConstOp);
  }

  bool needed(const Value& value) const {
    for (const Use& use : value.uses()) {
      const Node* user = use.user();
      if (user->result_count() == 0 || chains_.find(user->result()) == nullptr) return true;
      const auto plan = plans_.find(user);
      if ((plan != plans_.end() && plan->second.stays) || is_base(*user)) return true;
    }
    return false;
  }

  std::optional<Obstacle> check(Chain& chain) {
    if (chain.domain != Domain::Plain) {
      const auto type = chains_.written(chain);
      if (!type.ok())
        return Obstacle{"parameters", "one scale, a list along one axis, or blocks of at least two elements",
                        type.error().first().text};
    }
    if (auto refused = consumers_refuse(chain)) return refused;
    const auto added = chains_.added_bytes(chain);
    if (!added.ok()) return Obstacle{"data", "", added.error().first().text};
    if (*added == 0) return std::nullopt;
    int64_t have = 0;
    const Constant* first = nullptr;
    for (const Chain* base : chains_.bases(chain)) {
      have += base->source->bytes();
      if (first == nullptr) first = base->source;
    }
    int64_t& spent = spent_[first];
    const int64_t allowed = kGrowthFactor * have + kGrowthFree;
    if (spent + *added > allowed) {
      return Obstacle{"byte-budget", fmt::format("at most {} bytes made from '{}'", allowed, first->name),
                      fmt::format("{} bytes", spent + *added)};
    }
    spent += *added;
    return std::nullopt;
  }

  // What a target takes (which axis, lists, block sizes) is in the backend's file. A fold that turns
  // parameters which the consumer takes into some that it does not would make it unfusable, so it is not
  // done: cat of two constants with a scale each along the input features of a linear, say.
  std::optional<Obstacle> consumers_refuse(Chain& chain) {
    if (pass_.backend == nullptr || chain.domain != Domain::Reals) return std::nullopt;
    const QuantType& after = **chains_.written(chain);
    for (const Use& use : chain.value->uses()) {
      const Node& user = *use.user();
      if (chains_.find(user.result_count() > 0 ? user.result() : nullptr) != nullptr) continue;
      const backend::WeightAnswer& answer = takes(user, use.index(), after, chain.value->type().shape);
      if (answer.ok) continue;
      for (Chain* base : chains_.bases(chain)) {
        if (base->domain == Domain::Plain) continue;
        const auto before = chains_.written(*base);
        if (!before.ok() || !takes(user, use.index(), **before, base->value->type().shape).ok) continue;
        return Obstacle{"consumer", answer.wanted,
                        fmt::format("{}, which operand {} of {} '{}' does not take", quant_str(after),
                                    use.index(), op_label(user), source_name(user))};
      }
    }
    return std::nullopt;
  }

  // Many consumers are of one kind; the backend is asked once for each.
  const backend::WeightAnswer& takes(const Node& user, size_t operand, const QuantType& quant,
                                     const Shape& shape) {
    const auto key = std::tuple(&user.op(), operand, &quant, shape.size());
    const auto [found, fresh] = answers_.try_emplace(key);
    if (fresh) found->second = pass_.backend->takes_weight_quant(user.op(), operand, quant, shape);
    return found->second;
  }

  Status materialize(Node& node) {
    const auto found = plans_.find(&node);
    if (found == plans_.end()) return {};
    for (const size_t r : found->second.fold) {
      Value* old = node.result(r);
      Chain& chain = *chains_.find(old);
      ZP_TRY(const Constant* constant, chains_.constant(chain));
      const Type* type = nullptr;
      if (chain.domain != Domain::Plain) {
        ZP_TRY(const QuantType* quant, chains_.written(chain));
        type = graph_.context().quantized(*quant, old->type().shape);
      }
      Value* value = add_const_node(graph_, *constant, type, &node);
      if (chain.domain == Domain::Reals) {
        Value* integers[] = {value};
        Node* dequantize = graph_.create(
            {.op = &ops::dequantize, .operands = integers, .name = old->name(), .origins = node.origins()},
            &node);
        ZP_CHECK(dequantize->infer());
        value = dequantize->result();
      }
      if (!(value->type().dtype == old->type().dtype && value->type().shape == old->type().shape)) {
        return node.error("fold-shape.type",
                          fmt::format("{} became {}", old->type().str(), value->type().str()));
      }
      record(chain, node, *value, *constant);
      renames_.emplace_back(value->def(), std::string(old->name()));
      old->replace_all_uses_with(value);
    }
    return {};
  }

  void record(Chain& chain, const Node& node, const Value& into, const Constant& constant) {
    RewriteRecord rewrite;
    rewrite.pass = kPass;
    for (const Value* step : chains_.steps(chain, 64))
      for (std::string& name : source_names(*step->def())) rewrite.nodes.push_back(std::move(name));
    rewrite.into = node.name();
    const Value& integers = chain.domain == Domain::Reals ? *into.def()->operand(0) : into;
    std::string from;
    for (const Chain* base : chains_.bases(chain))
      from += (from.empty() ? "'" : ", '") + std::string(base->source->name) + "'";
    rewrite.note = fmt::format("{} became '{}', {}", from, constant.name, integers.type().str());
    pass_.records.rewrites.push_back(std::move(rewrite));
  }

  void keep(const Node& node, const Obstacle& obstacle) {
    KeptRecord kept;
    kept.node = source_name(node);
    kept.op = op_label(node);
    kept.pass = kPass;
    kept.clause = obstacle.clause;
    kept.wanted = obstacle.wanted;
    kept.found = obstacle.found;
    kept.text = obstacle.wanted.empty()
                    ? fmt::format("{} '{}' is not folded: {}", kept.op, kept.node, obstacle.found)
                    : fmt::format("{} '{}' is not folded: wanted {}, found {}", kept.op, kept.node,
                                  obstacle.wanted, obstacle.found);
    pass_.records.kept.push_back(std::move(kept));
  }

  // In reverse order, so that readers go before what they read.
  void remove_if_dead(Node* node) {
    if (node->has_uses() || node->op().has(kEffect)) return;
    const bool folded = node->result_count() > 0 && chains_.find(node->result()) != nullptr;
    const bool fed = was_read_.contains(node) && is_computable(*node);
    if (!folded && !fed) return;
    if (node->is(kConstOp) && !fed) return;  // dead before: not this pass's
    for (size_t i = 0; i < node->operand_count(); ++i) {
      if (node->operand(i) != nullptr && node->operand(i)->def() != nullptr)
        was_read_.emplace(node->operand(i)->def(), true);
    }
    node->erase();
  }

  PassContext& pass_;
  Graph& graph_;
  Chains chains_;
  std::unordered_map<const Node*, Plan> plans_;
  std::unordered_map<const Value*, const Value*>
      from_input_;  // value -> the input whose integers it is made of
  std::unordered_map<const Value*, const Node*>
      cut_;  // value -> the operator that computes it from a constant
  std::unordered_map<const Constant*, int64_t> spent_;
  std::unordered_map<const Node*, bool> was_read_;  // nodes that a removed node read
  std::map<std::tuple<const OpDef*, size_t, const QuantType*, size_t>, backend::WeightAnswer> answers_;
  std::vector<std::pair<Node*, std::string>> renames_;
};

// ---------------------------------------------------------------- regions

// The first operand of a control flow node that its regions get unchanged, and the number of their input it
// is.
std::optional<std::pair<size_t, size_t>> first_capture(const Node& node) {
  if (node.is(ops::cond)) return std::pair<size_t, size_t>(1, 0);
  if (!node.is(ops::while_loop)) return std::nullopt;
  const auto carried = static_cast<size_t>(node.attrs<ops::WhileLoopAttrs>().carried);
  return std::pair(carried, carried);
}

// The constant behind an operand: a const node, or one and the dequantize or the view as quantized above it.
std::vector<const Node*> constant_path(const Value* value) {
  std::vector<const Node*> path;
  for (; value != nullptr && value->def() != nullptr; value = value->def()->operand(0)) {
    const Node* node = value->def();
    path.push_back(node);
    if (node->is(kConstOp)) return path;
    const bool looks_through = (node->is(ops::dequantize) || node->is(ops::storage_cast)) &&
                               node->operand(1) == nullptr && node->operand(2) == nullptr;
    if (!looks_through || path.size() > 3) break;
  }
  return {};
}

bool feeds_a_chain(const Value& input) {
  for (const Use& use : input.uses()) {
    const Node& user = *use.user();
    if (user.op().shape_map != nullptr || user.is(ops::dequantize) || user.is(ops::storage_cast) ||
        (first_capture(user) && !user.regions().empty()))
      return true;
  }
  return false;
}

// A constant that a region gets as an input is a constant there too: it is named in the region itself (the
// bytes stay shared), so that chains inside start from it. An input that no region reads any more is given
// the predicate or the first carried value, for operands cannot be taken from a node.
Status sink_constants(Node& node) {
  const auto capture = first_capture(node);
  if (!capture || node.regions().empty()) return {};
  for (size_t k = capture->first; k < node.operand_count(); ++k) {
    const std::vector<const Node*> path = constant_path(node.operand(k));
    const size_t input = k - capture->first + capture->second;
    if (path.empty()) continue;
    bool read = false;
    for (Graph* region : node.regions()) {
      if (input >= region->inputs().size()) return {};
      Value* inside = region->inputs()[input];
      if (!feeds_a_chain(*inside)) {
        read |= inside->has_uses();
        continue;
      }
      Node* first = region->first_node();
      Value* value = nullptr;
      for (size_t i = path.size(); i-- > 0;) {
        if (path[i]->is(kConstOp)) {
          value = region->add_const(*path[i]->constant(), path[i]->name(), first);
          value->set_type(path[i]->result()->type_ptr());
          continue;
        }
        Value* operands[] = {value};
        Node* copy = region->create({.op = &path[i]->op(),
                                     .operands = operands,
                                     .attrs = path[i]->attrs_data(),
                                     .name = path[i]->name(),
                                     .origins = path[i]->origins()},
                                    first);
        ZP_CHECK(copy->infer());
        value = copy->result();
      }
      inside->replace_all_uses_with(value);
    }
    if (read || k == 0) continue;
    Value* const instead = node.operand(0);
    if (instead == nullptr) continue;
    for (Graph* region : node.regions()) region->inputs()[input]->set_type(instead->type_ptr());
    Node* was = node.operand(k)->def();
    node.set_operand(k, instead);
    for (Node* dead = was; dead != nullptr && !dead->has_uses();) {
      Node* above = dead->operand(0) != nullptr ? dead->operand(0)->def() : nullptr;
      dead->erase();
      dead = above;
    }
  }
  return {};
}

Status run_fold_shape(PassContext& pass) {
  // Constants sink before the graphs below are looked at.
  const std::vector<Graph*> graphs = pass.model.graphs();
  const Node* last = nullptr;
  for (Graph* graph : graphs)
    if (graph->parent() != nullptr && std::exchange(last, graph->parent()) != graph->parent())
      ZP_CHECK(sink_constants(*graph->parent()));
  for (Graph* graph : graphs) ZP_CHECK(FoldShape(pass, *graph).run());
  return {};
}

}  // namespace

const PassCard kFoldShapePass = {
    .name = "fold-shape",
    .doc = "carries out shape operators on constants; integers stay integers and take their parameters along",
    .needs = "cleanup",
    .gives =
        "no shape operator between a quantized constant and its consumer, where parameters can be written",
    .promise = Promise::Exact,
    .run = run_fold_shape,
};

}  // namespace zp
