// fold-shape: shape operators on constants are carried out. A quantized constant keeps its integers: chains
// of shape ops between a dequantize and its consumer become one constant with the parameters that the chain
// carries along, and the dequantize comes last. It pays whenever a weight is stored in another layout than
// its consumer wants, and it is what makes such weights fuse. It never rounds: a quantize inside a chain is
// part of the value and evaluated as it is; where parameters cannot be written for the end of a chain, its
// longest prefix that can is folded and the rest stays, with a record that says why.
#include <fmt/format.h>

#include <unordered_map>

#include "backend/backend.h"
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
  FoldShape(PassContext& pass, Graph& graph) : pass_(pass), graph_(graph), chains_(graph.context()) {}

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
    Plan& plan = plans_[&node];
    for (size_t r = 0; r < node.result_count(); ++r) {
      Chain* chain = chains_.find(node.result(r));
      if (chain == nullptr || !needed(*node.result(r))) continue;
      if (auto obstacle = check(node, *chain)) {
        plan.stays = true;
        plan.obstacle = std::move(obstacle);
      } else {
        plan.fold.push_back(r);
      }
    }
    if (plan.stays && plan.obstacle) keep(node, *plan.obstacle);
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

  std::optional<Obstacle> check(const Node& node, Chain& chain) {
    if (chain.domain != Domain::Plain) {
      const auto type = chains_.written(chain);
      if (!type.ok())
        return Obstacle{"parameters", "one scale, a list along one axis, or blocks of at least two elements",
                        type.error().first().text};
    }
    const auto added = chains_.added_bytes(chain);
    if (!added.ok()) return Obstacle{"data", "", added.error().first().text};
    if (*added == 0) return std::nullopt;
    int64_t have = 0;
    const Constant* first = nullptr;
    for (const Constant* source : chains_.sources(chain)) {
      have += source->bytes();
      if (first == nullptr) first = source;
    }
    int64_t& spent = spent_[first];
    const int64_t allowed = kGrowthFactor * have + kGrowthFree;
    if (spent + *added > allowed) {
      return Obstacle{"byte-budget", fmt::format("at most {} bytes made from '{}'", allowed, first->name),
                      fmt::format("{} bytes", spent + *added)};
    }
    // A list that grew helps only a consumer that takes it.
    if (pass_.backend != nullptr && *added > have + kGrowthFree && chain.domain == Domain::Reals) {
      for (const Use& use : node.result(chain.value->index())->uses()) {
        const auto answer = pass_.backend->takes_weight_quant(
            use.user()->op(), use.index(), **chains_.written(chain), chain.value->type().shape);
        if (!answer.ok)
          return Obstacle{
              "consumer", answer.wanted,
              fmt::format("{} with {}", op_label(*use.user()), quant_str(**chains_.written(chain)))};
      }
    }
    spent += *added;
    return std::nullopt;
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

  void record(const Chain& chain, const Node& node, const Value& into, const Constant& constant) {
    RewriteRecord rewrite;
    rewrite.pass = kPass;
    for (const Value* step : chains_.steps(chain, 64))
      for (std::string& name : source_names(*step->def())) rewrite.nodes.push_back(std::move(name));
    rewrite.into = node.name();
    const Value& integers = chain.domain == Domain::Reals ? *into.def()->operand(0) : into;
    std::string from;
    for (const Constant* source : chains_.sources(chain))
      from += (from.empty() ? "'" : ", '") + std::string(source->name) + "'";
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
    bool fed = node->is(kConstOp) && was_read_.contains(node);
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
  std::unordered_map<const Node*, bool> was_read_;  // const nodes that a removed node read
  std::vector<std::pair<Node*, std::string>> renames_;
};

Status run_fold_shape(PassContext& pass) {
  // Regions first in an own list: graphs may nest deeply.
  std::vector<Graph*> graphs{pass.model.graph.get()};
  for (size_t i = 0; i < graphs.size(); ++i) {
    for (const Node* node : graphs[i]->nodes())
      for (Graph* region : node->regions()) graphs.push_back(region);
  }
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
