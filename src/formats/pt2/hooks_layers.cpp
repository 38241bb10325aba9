// Hooks of operators that are a piece of a layer known here: a recurrent cell is one step of its layer, a
// weight split into direction and length is their product.
#include <fmt/format.h>

#include "formats/pt2/hooks.h"
#include "ops/ops.h"

namespace zp::pt2 {
namespace {

Result<Value*> with_time(NodeReader& n, Value* value) {
  AttrBuilder attrs(ops::unsqueeze, n.context());
  attrs.set_int("dim", 0);
  ZP_TRY(Node * node, n.make(attrs, {value}, 1, true));
  return node->result();
}

Result<bool> recurrent_cell(NodeReader& n) {
  const OpDef* layer = n.card(n.row().op);
  ZP_TRY(Value * input, n.tensor("input"));
  const bool lstm = layer == &ops::lstm;
  std::vector<Value*> states;
  if (lstm) {
    ZP_TRY(states, n.tensors("hx"));
  } else {
    ZP_TRY(Value * hidden, n.tensor("hx"));
    states.push_back(hidden);
  }
  if (states.size() != (lstm ? 2u : 1u)) return n.no("the number of states does not fit");
  if (input->type().ranked && input->type().rank() != 2) return n.no("its input has not rank 2");
  std::vector<Value*> operands;
  ZP_TRY(Value * step, with_time(n, input));
  operands.push_back(step);
  for (Value* state : states) {
    ZP_TRY(Value * first, with_time(n, state));
    operands.push_back(first);
  }
  size_t biases = 0;
  for (const std::string_view name : {"w_ih", "w_hh", "b_ih", "b_hh"}) {
    ZP_TRY(Value * parameter, n.tensor(name));
    if (parameter == nullptr) continue;
    biases += name[0] == 'b' ? 1 : 0;
    operands.push_back(parameter);
  }
  if (biases == 1) return n.no("it has one bias of two");
  AttrBuilder attrs(*layer, n.context());
  attrs.set_bool("has_biases", biases == 2);
  ZP_TRY(Node * node, n.make(attrs, operands, states.size() + 1, true));
  for (size_t k = 0; k < states.size(); ++k) {
    AttrBuilder drop(ops::squeeze, n.context());
    drop.set_int("dims", 0);
    ZP_TRY(Node * state, n.make(drop, {node->result(k + 1)}, 1, k > 0));
    n.bind(k, state->result());
  }
  return true;
}

// v * (g / norm of v over all dims but one)
Result<bool> weight_norm(NodeReader& n) {
  ZP_TRY(Value * v, n.tensor("v"));
  ZP_TRY(Value * g, n.tensor("g"));
  const auto dim = n.integer("dim");
  if (!dim || !v->type().ranked) return n.no("the rank of its weight is not known");
  const int64_t rank = v->type().rank(), kept = *dim < 0 ? *dim + rank : *dim;
  if (kept < 0 || kept >= rank) return n.no("its dim does not fit the rank");
  std::vector<int64_t> others;
  for (int64_t d = 0; d < rank; ++d)
    if (d != kept) others.push_back(d);
  AttrBuilder length(ops::linalg_vector_norm, n.context());
  if (others.empty()) return n.no("its weight is a vector");
  length.set_ints("dims", others);
  length.set_bool("keepdim", true);
  ZP_TRY(Node * norm, n.make(length, {v}, 1, true));
  ZP_TRY(Node * ratio, n.make(AttrBuilder(ops::div, n.context()), {g, norm->result()}, 1, true));
  ZP_TRY(Node * node, n.make(AttrBuilder(ops::mul, n.context()), {v, ratio->result()}));
  n.bind(0, node->result());
  if (n.result_count() > 1) n.bind(1, norm->result());
  return true;
}

}  // namespace

std::span<const NamedHook> layer_hooks() {
  static constexpr NamedHook kHooks[] = {{"recurrent_cell", recurrent_cell}, {"weight_norm", weight_norm}};
  return kHooks;
}

}  // namespace zp::pt2
