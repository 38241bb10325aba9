// move-qdq: quantize and dequantize of activations move through shape operators. A dequantize moves down: the
// shape op then runs on integers (a quarter of the bytes) and the dequantize stands before the operator that
// it fuses with. A quantize moves up to the operator whose result it rounds. Where both meet with equal
// parameters the pair goes. Nothing is ever requantized on the way: parameters move along as the shape op
// carries them, and a pair with other parameters stays. Values that others read stay for them.
#include <fmt/format.h>

#include <unordered_map>

#include "backend/backend.h"
#include "ir/quant_carry.h"
#include "ops/ops.h"
#include "ops/quant.h"
#include "ops/shape.h"
#include "passes/shape/shape.h"
#include "rewrite/nomenclature.h"

namespace zp {

namespace {

constexpr std::string_view kPass = "move-qdq";

bool is_shape_op(const Node& node) {
  return node.op().trait == Trait::ShapeOnly && node.op().shape_map != nullptr && node.regions().empty();
}

std::string source_name(const Node& node) {
  const std::vector<std::string> names = source_names(node);
  return names.empty() ? std::string(node.name()) : names.front();
}

// Shape ops that keep every element, so that a quantize may pass them upwards without touching other
// elements.
bool keeps_all_elements(const Node& node) {
  return node.is(ops::reshape) || node.is(ops::permute) || node.is(ops::squeeze) || node.is(ops::unsqueeze) ||
         node.is(ops::identity);
}

class MoveQdq {
 public:
  MoveQdq(PassContext& pass, Graph& graph) : pass_(pass), graph_(graph), context_(graph.context()) {}

  Status run() {
    std::vector<Node*> order;
    for (Node* node : graph_.nodes()) order.push_back(node);
    // Upwards first, last quantize first: what a quantize leaves behind is a shape op on integers.
    for (size_t i = order.size(); i-- > 0;) {
      if (!order[i]->erased() && order[i]->is(ops::quantize)) ZP_CHECK(move_up(*order[i]));
    }
    // Downwards in program order: each shape op sees the dequantize that the one before it left.
    for (Node* node = graph_.first_node(); node != nullptr;) {
      Node* next = node->next();
      if (node == graph_.output_node()) break;
      if (is_shape_op(*node)) {
        ZP_CHECK(move_down(*node));
      } else if (node->is(ops::quantize)) {
        remove_pair(*node);
      }
      node = next;
    }
    return {};
  }

 private:
  // ---------------------------------------------------------------- dequantize, downwards

  // The dequantize that makes a value, if it may pass a shape op: its parameters are in its type, or one
  // run-time scale.
  static const Node* movable_dequantize(const Value* value) {
    const Node* d = value->def();
    if (d == nullptr || !d->is(ops::dequantize)) return nullptr;
    const QuantType* quant = d->operand(0)->type().quant;
    if (quant == nullptr) return nullptr;
    if (d->operand(1) != nullptr || d->operand(2) != nullptr) return quant->per_tensor() ? d : nullptr;
    return quant->dynamic ? nullptr : d;
  }

  // Data operands of a shape op, or nothing if they do not all come from dequantize.
  static std::vector<const Node*> dequantized_operands(const Node& node) {
    std::vector<const Node*> all;
    const List<OperandDef>& defs = node.op().operands;
    for (size_t i = 0; i < node.operand_count(); ++i) {
      const OperandDef& def = defs[std::min(i, defs.size() - 1)];
      if (def.role != Role::Data || node.operand(i) == nullptr) {
        all.push_back(nullptr);
        continue;
      }
      const Node* d = movable_dequantize(node.operand(i));
      if (d == nullptr) return {};
      all.push_back(d);
    }
    return all;
  }

  Status move_down(Node& node) {
    const std::vector<const Node*> dequantizes = dequantized_operands(node);
    const Node* first = nullptr;
    std::vector<Value*> operands;
    for (size_t i = 0; i < dequantizes.size(); ++i) {
      operands.push_back(dequantizes[i] != nullptr ? dequantizes[i]->operand(0) : node.operand(i));
      if (dequantizes[i] == nullptr) continue;
      if (first == nullptr) first = dequantizes[i];
      // Run-time parameters belong to one value; two dequantizes must agree on them.
      const bool same_run_time =
          dequantizes[i]->operand(1) == first->operand(1) && dequantizes[i]->operand(2) == first->operand(2);
      const bool same_type = dequantizes[i]->operand(0)->type().quant == first->operand(0)->type().quant;
      if (!same_run_time || (first->operand(1) != nullptr && !same_type)) return {};
    }
    if (first == nullptr || reads_constant(node)) return {};
    // Real zeros among integers are zero points, which formats say only for padding.
    if (node.op().has(kAddsElements) && !node.is(ops::pad)) return {};
    Node* moved = graph_.create({.op = &node.op(),
                                 .operands = operands,
                                 .attrs = node.attrs_data(),
                                 .name = fmt::format("{}_q", node.name()),
                                 .results = node.result_count(),
                                 .origins = node.origins()},
                                &node);
    if (auto inferred = moved->infer(); !inferred.ok()) {
      keep(node, "parameters", "parameters that can be written behind the shape operator",
           inferred.error().first().text);
      moved->erase();
      return {};
    }
    // Scales that differ between operands would make a list of one scale each, a list spread over two dims a
    // grid: no operator takes that of an activation.
    const QuantType& before = *first->operand(0)->type().quant;
    if (!same_kind(before, moved->result()->type())) {
      keep(node, "parameters", before.per_tensor() ? "one scale for all operands" : "one list along an axis",
           moved->result()->type().str());
      moved->erase();
      return {};
    }
    RewriteRecord rewrite;
    rewrite.pass = kPass;
    for (const Node* d : dequantizes)
      if (d != nullptr) rewrite.nodes.push_back(source_name(*d));
    rewrite.nodes.push_back(source_name(node));
    rewrite.pattern = rewrite::derived_name(*moved);
    rewrite.note = fmt::format("{} runs on {}", op_label(node), moved->result()->type().str());
    std::vector<std::pair<Node*, std::string>> names;
    for (size_t r = 0; r < node.result_count(); ++r) {
      Value* old = node.result(r);
      if (!old->has_uses()) continue;
      std::vector<Value*> inputs{moved->result(r)};
      for (size_t k = 1; k < first->operand_count(); ++k) inputs.push_back(first->operand(k));
      Node* dequantize = graph_.create({.op = &ops::dequantize,
                                        .operands = inputs,
                                        .attrs = first->attrs_data(),
                                        .name = old->name(),
                                        .origins = first->origins()},
                                       &node);
      ZP_CHECK(dequantize->infer());
      names.emplace_back(dequantize, std::string(old->name()));
      old->replace_all_uses_with(dequantize->result());
    }
    shape_of_[moved] = source_name(node);
    erase_dead(&node);
    for (auto& [dequantize, name] : names) dequantize->set_name(name);
    for (const Node* d : dequantizes) erase_dead(const_cast<Node*>(d));
    rewrite.into = names.empty() ? std::string(moved->name()) : names.front().second;
    pass_.records.rewrites.push_back(std::move(rewrite));
    return {};
  }

  // A constant's shape ops are the business of fold-shape; what it left is better left.
  static bool reads_constant(const Node& node) {
    const List<OperandDef>& defs = node.op().operands;
    for (size_t i = 0; i < node.operand_count(); ++i) {
      if (node.operand(i) == nullptr || defs[std::min(i, defs.size() - 1)].role != Role::Data) continue;
      const Value* v = node.operand(i);
      if (v->def() == nullptr || !v->def()->is(ops::dequantize)) return false;
      v = v->def()->operand(0);
      if (v->def() == nullptr || !v->def()->is(kConstOp)) return false;
    }
    return true;
  }

  static bool same_kind(const QuantType& before, const Type& after) {
    const QuantType* q = after.quant;
    return q != nullptr && (q->per_tensor() || (before.per_axis() && q->per_axis()) ||
                            (before.per_block() && q->per_block()));
  }

  // ---------------------------------------------------------------- pairs

  // quantize(dequantize(q)) is q where the parameters are equal and q is in the quantizer's range: (q - z) *
  // s * (1/s) lies nearer than half a step to q - z as long as q - z has no more bits than half a float's
  // mantissa.
  void remove_pair(Node& quantize) {
    const Node* d = quantize.operand(0)->def();
    if (d == nullptr || !d->is(ops::dequantize)) return;
    Value* integers = d->operand(0);
    const QuantType *from = integers->type().quant, *to = quantize.result()->type().quant;
    if (from == nullptr || to == nullptr) return;
    const bool run_time = d->operand(1) != nullptr || quantize.operand(1) != nullptr;
    if (run_time && (d->operand(1) != quantize.operand(1) || d->operand(2) != quantize.operand(2))) return;
    bool same = from == to;
    if (!same && !run_time && integers->type().is_static()) {
      IntShape shape;
      for (const Dim& e : integers->type().shape) shape.push_back(e.value());
      const auto equal = same_parameters(context_, *from, *to, shape);
      same = equal.ok() && *equal;
    }
    if (!same) {
      if (const auto op = shape_between(*integers)) {
        keep(quantize, "same-parameters", quant_str(*from),
             fmt::format("{}: quantizing with other parameters behind '{}' is a rounding of its own",
                         quant_str(*to), *op));
      }
      return;
    }
    if (run_time || !in_range(*integers, *to) || bits_of(to->storage) > 16 || !normal_scales(*to, *integers))
      return;
    RewriteRecord rewrite;
    rewrite.pass = kPass;
    rewrite.nodes = {source_name(*d), source_name(quantize)};
    rewrite.into = integers->def() != nullptr ? integers->def()->name() : integers->name();
    rewrite.note = fmt::format("the pair has the parameters {} on both sides", quant_str(*to));
    pass_.records.rewrites.push_back(std::move(rewrite));
    quantize.result()->replace_all_uses_with(integers);
    quantize.erase();
    erase_dead(const_cast<Node*>(d));
  }

  std::optional<std::string> shape_between(const Value& integers) const {
    const auto found = integers.def() != nullptr ? shape_of_.find(integers.def()) : shape_of_.end();
    return found == shape_of_.end() ? std::nullopt : std::optional(found->second);
  }

  // Are all integers surely inside the declared range? They are where a quantize made them, through any shape
  // op.
  static bool in_range(const Value& integers, const QuantType& to) {
    if (to.qmin == int_min(to.storage) && to.qmax == int_max(to.storage)) return true;
    const Value* v = &integers;
    for (int depth = 0; depth < 64 && v->def() != nullptr; ++depth) {
      if (v->def()->is(ops::quantize))
        return v->type().quant->qmin >= to.qmin && v->type().quant->qmax <= to.qmax;
      if (!is_shape_op(*v->def()) || v->def()->operand_count() != 1) return false;
      v = v->def()->operand(0);
    }
    return false;
  }

  bool normal_scales(const QuantType& quant, const Value& value) const {
    if (quant.per_tensor() && quant.scales == nullptr)
      return quant.scale >= 0x1p-120 && quant.scale <= 0x1p120;
    if (!value.type().is_static()) return false;
    IntShape shape;
    for (const Dim& e : value.type().shape) shape.push_back(e.value());
    const auto params = quant_params(context_, quant, shape);
    return params.ok() && std::all_of(params->scales.begin(), params->scales.end(),
                                      [](double s) { return s >= 0x1p-120 && s <= 0x1p120; });
  }

  // ---------------------------------------------------------------- quantize, upwards

  Status move_up(Node& quantize) {
    const QuantType* type = quantize.result()->type().quant;
    if (type == nullptr || quantize.operand(1) != nullptr || !type->per_tensor()) return {};
    std::vector<Node*> path;
    Value* x = quantize.operand(0);
    while (x->def() != nullptr && keeps_all_elements(*x->def()) && x->has_one_use()) {
      path.push_back(x->def());
      x = x->def()->operand(0);
    }
    if (path.empty() || x->def() == nullptr || !x->has_one_use()) return {};
    if (!x->def()->op().has(kIntegerForm)) return {};  // nothing there to fuse with
    Value* input[] = {x};
    Node* above = graph_.create({.op = &ops::quantize,
                                 .operands = input,
                                 .attrs = quantize.attrs_data(),
                                 .name = fmt::format("{}_q", x->name()),
                                 .origins = quantize.origins()},
                                path.back());
    if (!above->infer().ok()) {
      above->erase();
      return {};
    }
    Value* value = above->result();
    std::vector<Node*> made{above};
    for (size_t i = path.size(); i-- > 0;) {
      std::vector<Value*> operands{value};
      Node* moved = graph_.create({.op = &path[i]->op(),
                                   .operands = operands,
                                   .attrs = path[i]->attrs_data(),
                                   .name = fmt::format("{}_q", path[i]->name()),
                                   .origins = path[i]->origins()},
                                  path[i]);
      made.push_back(moved);
      if (!moved->infer().ok() || moved->result()->type().quant != type) {
        while (!made.empty()) {
          made.back()->erase();
          made.pop_back();
        }
        return {};
      }
      value = moved->result();
    }
    RewriteRecord rewrite;
    rewrite.pass = kPass;
    rewrite.nodes.push_back(source_name(quantize));
    for (const Node* n : path) rewrite.nodes.push_back(source_name(*n));
    rewrite.into = above->name();
    rewrite.note = fmt::format("quantize moves up to {} '{}'", op_label(*x->def()), x->def()->name());
    pass_.records.rewrites.push_back(std::move(rewrite));
    const std::string name(quantize.name());
    quantize.result()->replace_all_uses_with(value);
    quantize.erase();
    value->def()->set_name(name);
    for (Node* n : path) n->erase();
    return {};
  }

  // ---------------------------------------------------------------- common

  void keep(const Node& node, std::string clause, std::string wanted, std::string found) {
    KeptRecord kept;
    kept.node = source_name(node);
    kept.op = op_label(node);
    kept.pass = kPass;
    kept.clause = std::move(clause);
    kept.text = fmt::format("{} '{}' stays: {}", kept.op, kept.node, found);
    kept.wanted = std::move(wanted);
    kept.found = std::move(found);
    pass_.records.kept.push_back(std::move(kept));
  }

  static void erase_dead(Node* node) {
    if (node != nullptr && !node->erased() && !node->has_uses()) node->erase();
  }

  PassContext& pass_;
  Graph& graph_;
  Context& context_;
  std::unordered_map<const Node*, std::string> shape_of_;  // shape op on integers -> the name it had
};

Status run_move_qdq(PassContext& pass) {
  for (Graph* graph : pass.model.graphs()) ZP_CHECK(MoveQdq(pass, *graph).run());
  return {};
}

}  // namespace

const PassCard kMoveQdqPass = {
    .name = "move-qdq",
    .doc =
        "moves dequantize down and quantize up through shape operators, and removes pairs that meet with "
        "equal parameters",
    .needs = "fold-shape",
    .gives = "shape operators on integers; quantizers next to the operators they fuse with",
    .promise = Promise::Exact,
    .run = run_move_qdq,
};

}  // namespace zp
