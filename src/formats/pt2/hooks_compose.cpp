// Hooks of rows that are short chains of canonical operators which only move elements: rotations, stacks that
// first give every tensor its dims, diagonals written into a matrix. Made so, they fold and carry
// quantization as their parts do.
#include <algorithm>
#include <numeric>

#include "formats/pt2/hooks.h"
#include "formats/pt2/node_reader.h"
#include "ops/ops.h"

namespace zp::pt2 {
namespace {

// One operator after the other on one value; the last one takes the name of the source node.
class Chain {
 public:
  Chain(NodeReader& n, Value* value) : n_(n), value_(value) {}

  Chain& unsqueeze(int64_t dim) {
    return then(ops::unsqueeze, [&](AttrBuilder& a) { return a.set_int("dim", dim); });
  }
  Chain& reshape(std::vector<Dim> shape) {
    return then(ops::reshape, [&](AttrBuilder& a) { return a.set_dims("shape", shape); });
  }
  Chain& permute(std::vector<int64_t> dims) {
    return then(ops::permute, [&](AttrBuilder& a) { return a.set_ints("dims", dims); });
  }
  Chain& flip(std::vector<int64_t> dims) {
    return then(ops::flip, [&](AttrBuilder& a) { return a.set_ints("dims", dims); });
  }
  Chain& expand(std::span<const Dim> shape) {
    return then(ops::expand, [&](AttrBuilder& a) { return a.set_dims("shape", shape); });
  }
  // With zeros; negative numbers cut off.
  Chain& pad(int64_t before, int64_t after) {
    const Dim both[] = {Dim(before), Dim(after)};
    return then(ops::pad, [&](AttrBuilder& a) { return a.set_dims("pad", both); });
  }

  // All operators as helpers of one that follows.
  Result<Value*> aux() { return run(false); }
  // All of them as the source node.
  Result<bool> finish() {
    if (steps_.empty()) steps_.emplace_back(ops::identity, n_.context());
    if (!ok_) return n_.no("an attribute is symbolic");
    ZP_TRY(Value * value, run(true));
    n_.bind(0, value);
    return true;
  }

 private:
  template <typename F>
  Chain& then(const OpDef& op, F set) {
    steps_.emplace_back(op, n_.context());
    ok_ = set(steps_.back()) && ok_;
    return *this;
  }
  Result<Value*> run(bool whole) {
    if (!ok_) return Error("pt2.argument", "an attribute is symbolic");
    for (size_t i = 0; i < steps_.size(); ++i) {
      ZP_TRY(Node * node, n_.make(steps_[i], {value_}, 1, !whole || i + 1 < steps_.size()));
      value_ = node->result();
    }
    steps_.clear();
    return value_;
  }

  NodeReader& n_;
  Value* value_;
  std::vector<AttrBuilder> steps_;
  bool ok_ = true;
};

Result<Value*> self_of(NodeReader& n) {
  const Arg& a = n.arg("self");
  if (a.tag != ArgTag::Tensor) return Error("pt2.argument", "argument 'self' is no tensor");
  return n.graph().moved_value(a.value);
}

std::optional<int64_t> wrap(int64_t dim, int64_t rank) {
  if (dim < -rank || dim >= rank) return std::nullopt;
  return dim < 0 ? dim + rank : dim;
}

std::vector<int64_t> identity_dims(int64_t rank) {
  std::vector<int64_t> dims(static_cast<size_t>(rank));
  std::iota(dims.begin(), dims.end(), 0);
  return dims;
}

Result<bool> rot90(NodeReader& n) {
  ZP_TRY(Value * self, self_of(n));
  const auto k = n.integer("k");
  const auto plane = n.int_list("dims");
  if (!self->type().ranked || !k || !plane || plane->size() != 2)
    return n.no("the rank, the number of turns or the plane is not known");
  const int64_t rank = self->type().rank();
  const auto a = wrap((*plane)[0], rank), b = wrap((*plane)[1], rank);
  if (!a || !b || *a == *b) return n.no("the plane does not fit the rank");
  Chain chain(n, self);
  std::vector<int64_t> swapped = identity_dims(rank);
  std::swap(swapped[static_cast<size_t>(*a)], swapped[static_cast<size_t>(*b)]);
  switch ((*k % 4 + 4) % 4) {
    case 1: chain.flip({*b}).permute(swapped); break;
    case 2: chain.flip({*a, *b}); break;
    case 3: chain.flip({*a}).permute(swapped); break;
    default: break;
  }
  return chain.finish();
}

// ---------------------------------------------------------------- tensors of at least so many dims

// A vector becomes a row; with three dims it lies in the middle, and a matrix gets the last one.
void raise(Chain& chain, int rank, int64_t wanted) {
  if (wanted >= 1 && rank == 0) chain.unsqueeze(0);
  if (wanted >= 2 && rank <= 1) chain.unsqueeze(0);
  if (wanted >= 3 && rank <= 2) chain.unsqueeze(2);
}

Result<bool> at_least(NodeReader& n, int64_t wanted) {
  if (n.row().find("self") != nullptr) {
    ZP_TRY(Value * self, self_of(n));
    if (!self->type().ranked) return n.no("the rank of its input is not known");
    Chain chain(n, self);
    raise(chain, self->type().rank(), wanted);
    return chain.finish();
  }
  ZP_TRY(const std::vector<Value*> values, n.tensors("tensors"));
  for (const Value* v : values)
    if (v == nullptr || !v->type().ranked) return n.no("the rank of an input is not known");
  for (size_t i = 0; i < values.size(); ++i) {
    Chain chain(n, values[i]);
    raise(chain, values[i]->type().rank(), wanted);
    ZP_TRY(Value * value, chain.aux());
    n.bind(i, value);
  }
  return true;
}
Result<bool> at_least_1d(NodeReader& n) { return at_least(n, 1); }
Result<bool> at_least_2d(NodeReader& n) { return at_least(n, 2); }
Result<bool> at_least_3d(NodeReader& n) { return at_least(n, 3); }

// Tensors joined along `dim`, after `prepare` gave each its dims.
template <typename F>
Result<bool> joined(NodeReader& n, int64_t dim, F prepare) {
  ZP_TRY(std::vector<Value*> values, n.tensors("tensors"));
  if (values.empty()) return n.no("there are no tensors");
  for (const Value* v : values)
    if (v == nullptr || !v->type().ranked) return n.no("the rank of a tensor is not known");
  for (Value*& v : values) {
    Chain chain(n, v);
    prepare(chain, *v);
    ZP_TRY(v, chain.aux());
  }
  AttrBuilder attrs(ops::cat, n.context());
  attrs.set_int("dim", dim < 0 ? (values[0]->type().rank() == 1 ? 0 : 1) : dim);
  ZP_TRY(Node * node, n.make(attrs, values));
  return n.bind_all(node);
}

Result<bool> hstack(NodeReader& n) {
  return joined(n, -1, [](Chain& c, const Value& v) { raise(c, v.type().rank(), 1); });
}
Result<bool> vstack(NodeReader& n) {
  return joined(n, 0, [](Chain& c, const Value& v) { raise(c, v.type().rank(), 2); });
}
Result<bool> dstack(NodeReader& n) {
  return joined(n, 2, [](Chain& c, const Value& v) { raise(c, v.type().rank(), 3); });
}
// Vectors become columns.
Result<bool> column_stack(NodeReader& n) {
  return joined(n, 1, [](Chain& c, const Value& v) {
    raise(c, v.type().rank(), 1);
    if (v.type().rank() <= 1) c.unsqueeze(1);
  });
}

// Matrices along the diagonal of one, zeros elsewhere.
Result<bool> block_diag(NodeReader& n) {
  ZP_TRY(const std::vector<Value*> values, n.tensors("tensors"));
  int64_t columns = 0;
  std::vector<int64_t> widths;
  for (const Value* v : values) {
    if (v == nullptr || !v->type().ranked || v->type().rank() > 2) return n.no("a tensor is no matrix");
    const Dim width = v->type().rank() == 0 ? Dim(1) : v->type().shape.back();
    if (!width.is_known()) return n.no("the width of a matrix is not known");
    widths.push_back(width.value());
    columns += width.value();
  }
  size_t i = 0;
  int64_t before = 0;
  return joined(n, 0, [&](Chain& c, const Value& v) {
    raise(c, v.type().rank(), 2);
    const int64_t width = widths[i++];
    c.pad(before, columns - before - width);
    before += width;
  });
}

// Every tensor over the shape that all of them broadcast to.
Result<bool> broadcast_tensors(NodeReader& n) {
  ZP_TRY(const std::vector<Value*> values, n.tensors("tensors"));
  std::vector<Dim> shape;
  for (const Value* v : values) {
    if (v == nullptr || !v->type().ranked) return n.no("the rank of a tensor is not known");
    const Shape own = v->type().shape;
    while (shape.size() < own.size()) shape.insert(shape.begin(), Dim(1));
    for (size_t k = 0; k < own.size(); ++k) {
      if (own[k].is_unknown()) return n.no("a size is not known");
      Dim& common = shape[shape.size() - own.size() + k];
      if (common == Dim(1)) common = own[k];
    }
  }
  for (size_t i = 0; i < values.size(); ++i) {
    ZP_TRY(Value * value, Chain(n, values[i]).expand(shape).aux());
    n.bind(i, value);
  }
  return true;
}

// ---------------------------------------------------------------- diagonals

// The last dim becomes the diagonal `offset` of two new dims at the end: an element and the zeros that come
// before the next one of the diagonal follow each other in the matrix.
bool embed_diagonal(Chain& chain, const Shape& shape, int64_t offset) {
  const Dim last = shape.back();
  if (!last.is_known() || last.value() == 0) return false;
  const int64_t count = last.value(), side = count + std::abs(offset);
  const int64_t before = offset >= 0 ? offset : -offset * side;
  std::vector<Dim> flat(shape.begin(), shape.end()), square = flat;
  flat.back() = Dim(count * (side + 1));
  square.back() = Dim(side);
  square.emplace_back(side);
  chain.unsqueeze(-1).pad(0, side).reshape(flat).pad(before, side * side - before - count * (side + 1));
  chain.reshape(square);
  return true;
}

Result<bool> diag_embed(NodeReader& n) {
  ZP_TRY(Value * self, self_of(n));
  const auto offset = n.integer("offset"), dim1 = n.integer("dim1"), dim2 = n.integer("dim2");
  if (!self->type().ranked || self->type().rank() == 0 || !offset || !dim1 || !dim2 ||
      std::abs(*offset) > 1 << 20)
    return n.no("the rank or the diagonal is not known");
  const int64_t rank = self->type().rank() + 1;
  const auto a = wrap(*dim1, rank), b = wrap(*dim2, rank);
  if (!a || !b || *a == *b) return n.no("the dims do not fit the rank");
  Chain chain(n, self);
  if (!embed_diagonal(chain, self->type().shape, *offset)) return n.no("the size is not known");
  std::vector<int64_t> order;
  for (int64_t d = 0, next = 0; d < rank; ++d)
    order.push_back(d == *a ? rank - 2 : d == *b ? rank - 1 : next++);
  if (order != identity_dims(rank)) chain.permute(order);
  return chain.finish();
}

Result<bool> diag(NodeReader& n) {
  ZP_TRY(Value * self, self_of(n));
  const auto offset = n.integer("diagonal");
  if (!self->type().ranked || !offset || std::abs(*offset) > 1 << 20)
    return n.no("the rank or the diagonal is not known");
  if (self->type().rank() == 1) {
    Chain chain(n, self);
    if (!embed_diagonal(chain, self->type().shape, *offset)) return n.no("the size is not known");
    return chain.finish();
  }
  if (self->type().rank() != 2) return n.no("its input is no vector and no matrix");
  AttrBuilder attrs(ops::diagonal, n.context());
  attrs.set_int("offset", *offset);
  attrs.set_int("dim1", 0);
  attrs.set_int("dim2", 1);
  ZP_TRY(Node * node, n.make(attrs, {self}));
  return n.bind_all(node);
}

// ---------------------------------------------------------------- picking

// Elements by their number in the whole tensor.
Result<bool> take(NodeReader& n) {
  ZP_TRY(Value * self, self_of(n));
  ZP_TRY(Value * index, n.tensor("index"));
  ZP_TRY(Value * flat, Chain(n, self).reshape({Dim(-1)}).aux());
  ZP_TRY(Node * node, n.make(AttrBuilder(ops::index, n.context()), {flat, index}));
  return n.bind_all(node);
}

// gather, whose operands broadcast together in the other dims; without a dim both are flat.
Result<bool> take_along_dim(NodeReader& n) {
  ZP_TRY(Value * self, self_of(n));
  ZP_TRY(Value * index, n.tensor("indices"));
  AttrBuilder attrs(ops::gather, n.context());
  if (n.is_none("dim")) {
    ZP_TRY(self, Chain(n, self).reshape({Dim(-1)}).aux());
    ZP_TRY(index, Chain(n, index).reshape({Dim(-1)}).aux());
    attrs.set_int("dim", 0);
  } else {
    const auto dim = n.integer("dim");
    if (!dim || !self->type().ranked || !index->type().ranked || self->type().rank() != index->type().rank())
      return n.no("the ranks do not agree");
    const auto d = wrap(*dim, self->type().rank());
    if (!d) return n.no("the dim does not fit the rank");
    for (Value** v : {&self, &index}) {
      const Value* other = v == &self ? index : self;
      std::vector<Dim> shape((*v)->type().shape.begin(), (*v)->type().shape.end());
      for (size_t e = 0; e < shape.size(); ++e)
        if (static_cast<int64_t>(e) != *d && shape[e] == Dim(1)) shape[e] = other->type().shape[e];
      if (std::equal(shape.begin(), shape.end(), (*v)->type().shape.begin())) continue;
      ZP_TRY(*v, Chain(n, *v).expand(shape).aux());
    }
    attrs.set_int("dim", *d);
  }
  ZP_TRY(Node * node, n.make(attrs, {self, index}));
  return n.bind_all(node);
}

}  // namespace

std::span<const NamedHook> compose_hooks() {
  static constexpr NamedHook kHooks[] = {
      {"at_least_1d", at_least_1d},
      {"at_least_2d", at_least_2d},
      {"at_least_3d", at_least_3d},
      {"block_diag", block_diag},
      {"broadcast_tensors", broadcast_tensors},
      {"column_stack", column_stack},
      {"diag", diag},
      {"diag_embed", diag_embed},
      {"dstack", dstack},
      {"hstack", hstack},
      {"rot90", rot90},
      {"take", take},
      {"take_along_dim", take_along_dim},
      {"vstack", vstack},
  };
  return kHooks;
}

}  // namespace zp::pt2
