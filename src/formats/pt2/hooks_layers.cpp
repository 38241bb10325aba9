// Hooks of operators that are a piece of a layer known here: a recurrent cell is one step of its layer, a
// weight split into direction and length is their product.
#include <fmt/format.h>

#include "formats/pt2/hooks.h"
#include "ops/norm.h"
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

// The statistics that a batch norm returns beside its output: those of the batch while training, else nothing
// (on a CPU: tensors without elements, in the type of the running statistics; the last is a reserve of
// bytes).
Result<bool> batch_norm_statistics(NodeReader& n) {
  AttrBuilder attrs(ops::batch_norm, n.context());
  std::vector<Value*> operands;
  ZP_TRY(const bool filled, n.fill(attrs, operands));
  if (!filled) return false;
  ZP_TRY(Node * norm, n.make(attrs, operands));
  n.bind(0, norm->result());
  const auto& known = norm->attrs<ops::BatchNormAttrs>();
  const Type& x = operands[0]->type();
  const Value* running = operands.size() > 3 ? operands[3] : nullptr;
  for (size_t k = 1; k < n.result_count(); ++k) {
    if (!n.result_used(k)) continue;
    if (!known.training) {
      AttrBuilder nothing(ops::full, n.context());
      nothing.set_int("size", 0);
      nothing.set_int("fill_value", 0);
      nothing.set_dtype("dtype",
                        k == 3 ? DType::U8 : (running == nullptr ? x : running->type()).real_dtype());
      ZP_TRY(Node * node, n.make(nothing, {}, 1, true));
      n.bind(k, node->result());
      continue;
    }
    if (!x.ranked || k > 2) return n.no("the rank of its input is not known");
    std::vector<int64_t> dims = {0};
    for (int64_t d = 2; d < x.rank(); ++d) dims.push_back(d);
    AttrBuilder moment(k == 1 ? ops::mean : ops::var, n.context());
    moment.set_ints("dims", dims);
    if (k == 2) moment.set_int("correction", 0);
    ZP_TRY(Node * node, n.make(moment, {operands[0]}, 1, true));
    if (k == 2) {
      Value* eps = n.graph().literal(Number::of_float(known.eps), DType::F32);
      ZP_TRY(Node * sum, n.make(AttrBuilder(ops::add, n.context()), {node->result(), eps}, 1, true));
      ZP_TRY(node, n.make(AttrBuilder(ops::rsqrt, n.context()), {sum->result()}, 1, true));
    }
    n.bind(k, node->result());
  }
  return true;
}

Result<Value*> vector_norm(NodeReader& n, Value* x, double order, int64_t dim, bool keepdim, bool aux) {
  AttrBuilder attrs(ops::linalg_vector_norm, n.context());
  attrs.set_float("ord", order);
  attrs.set_int("dims", dim);
  attrs.set_bool("keepdim", keepdim);
  ZP_TRY(Node * node, n.make(attrs, {x}, 1, aux));
  return node->result();
}

// The sum of the products of both, each divided by its length or eps, whichever is greater.
Result<bool> cosine_similarity(NodeReader& n) {
  const auto dim = n.integer("dim");
  const auto eps = n.real("eps");
  if (!dim || !eps) return n.no("its dim or eps is not known");
  Value* unit[2] = {};
  for (size_t i = 0; i < 2; ++i) {
    ZP_TRY(Value * x, n.tensor(i == 0 ? "x1" : "x2"));
    ZP_TRY(Value * length, vector_norm(n, x, 2, *dim, true, true));
    AttrBuilder least(ops::clamp, n.context());
    least.set_float("min", *eps);
    ZP_TRY(Node * divisor, n.make(least, {length}, 1, true));
    ZP_TRY(Node * scaled, n.make(AttrBuilder(ops::div, n.context()), {x, divisor->result()}, 1, true));
    unit[i] = scaled->result();
  }
  ZP_TRY(Node * product, n.make(AttrBuilder(ops::mul, n.context()), {unit[0], unit[1]}, 1, true));
  AttrBuilder total(ops::sum, n.context());
  total.set_int("dims", *dim);
  ZP_TRY(Node * node, n.make(total, {product->result()}));
  return n.bind_all(node);
}

// The distance of each row of x1 to each row of x2.
Result<bool> cdist(NodeReader& n) {
  ZP_TRY(Value * a, n.tensor("x1"));
  ZP_TRY(Value * b, n.tensor("x2"));
  const auto order = n.real("p");
  if (!order) return n.no("its order is not known");
  AttrBuilder row(ops::unsqueeze, n.context()), column(ops::unsqueeze, n.context());
  row.set_int("dim", -2);
  column.set_int("dim", -3);
  ZP_TRY(Node * from, n.make(row, {a}, 1, true));
  ZP_TRY(Node * to, n.make(column, {b}, 1, true));
  ZP_TRY(Node * difference,
         n.make(AttrBuilder(ops::sub, n.context()), {from->result(), to->result()}, 1, true));
  ZP_TRY(Value * length, vector_norm(n, difference->result(), *order, -1, false, false));
  n.bind(0, length);
  return true;
}

// The length of x1 - x2 + eps along the last dim.
Result<bool> pairwise_distance(NodeReader& n) {
  ZP_TRY(Value * a, n.tensor("x1"));
  ZP_TRY(Value * b, n.tensor("x2"));
  const auto order = n.real("p"), eps = n.real("eps");
  if (!order || !eps) return n.no("its order or eps is not known");
  ZP_TRY(Node * difference, n.make(AttrBuilder(ops::sub, n.context()), {a, b}, 1, true));
  Value* least = n.graph().literal(Number::of_float(*eps), DType::F32);
  ZP_TRY(Node * shifted, n.make(AttrBuilder(ops::add, n.context()), {difference->result(), least}, 1, true));
  ZP_TRY(Value * length,
         vector_norm(n, shifted->result(), *order, -1, n.boolean("keepdim").value_or(false), false));
  n.bind(0, length);
  return true;
}

}  // namespace

std::span<const NamedHook> layer_hooks() {
  static constexpr NamedHook kHooks[] = {{"batch_norm_statistics", batch_norm_statistics},
                                         {"recurrent_cell", recurrent_cell},
                                         {"weight_norm", weight_norm},
                                         {"cdist", cdist},
                                         {"cosine_similarity", cosine_similarity},
                                         {"pairwise_distance", pairwise_distance}};
  return kHooks;
}

}  // namespace zp::pt2
