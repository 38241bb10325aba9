#include "passes/cleanup/common.h"

#include <cstring>

#include "ops/ops.h"

namespace zp::cleanup {
namespace {

size_t mix(size_t h, size_t v) { return (h ^ v) * 0x9E3779B97F4A7C15ull + (h >> 29); }

bool is_literal(const Node& node) {
  const Constant* c = node.constant();
  return c != nullptr && c->kind == ConstantKind::Literal && c->shape.empty() && c->dense() && !c->stripped &&
         bits_of(c->dtype) >= 8 && static_cast<int64_t>(c->storage.size()) >= c->bytes() && c->offset == 0 &&
         c->bytes() <= 16;
}

bool may_share(const Node& node) {
  if (node.is(kConstOp)) return true;
  const OpDef& op = node.op();
  return op.trait != Trait::Structural && !op.has(kEffect) && !op.has(kRandom) && node.regions().empty() &&
         !node.is(ops::dequantize) && node.result_count() > 0;
}

}  // namespace

size_t CommonValues::Hash::operator()(const Node* node) const {
  size_t h = reinterpret_cast<size_t>(&node->op());
  if (is_literal(*node)) {
    const Constant& c = *node->constant();
    for (int64_t i = 0; i < c.bytes(); ++i) h = mix(h, static_cast<size_t>(c.storage.data()[i]));
    return mix(h, static_cast<size_t>(c.dtype));
  }
  h = mix(h, reinterpret_cast<size_t>(node->constant()));
  for (size_t i = 0; i < node->operand_count(); ++i) h = mix(h, reinterpret_cast<size_t>(node->operand(i)));
  if (node->op().attrs != nullptr) h = mix(h, attrs_hash(*node->op().attrs, node->attrs_data()));
  return h;
}

bool CommonValues::Equal::operator()(const Node* a, const Node* b) const {
  if (&a->op() != &b->op() || a->operand_count() != b->operand_count() ||
      a->result_count() != b->result_count())
    return false;
  for (size_t i = 0; i < a->result_count(); ++i)
    if (a->result(i)->type_ptr() != b->result(i)->type_ptr()) return false;
  if (is_literal(*a) && is_literal(*b)) {
    const Constant& x = *a->constant();
    const Constant& y = *b->constant();
    return x.dtype == y.dtype &&
           std::memcmp(x.storage.data(), y.storage.data(), static_cast<size_t>(x.bytes())) == 0;
  }
  if (a->constant() != b->constant()) return false;
  for (size_t i = 0; i < a->operand_count(); ++i)
    if (a->operand(i) != b->operand(i)) return false;
  return a->op().attrs == nullptr || attrs_equal(*a->op().attrs, a->attrs_data(), b->attrs_data());
}

Node* CommonValues::earlier(Node* node) {
  if (!may_share(*node)) return nullptr;
  const auto [found, inserted] = nodes_.insert(node);
  return inserted ? nullptr : *found;
}

}  // namespace zp::cleanup
