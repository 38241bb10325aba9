#include "passes/constant_eval.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "interp/interp.h"

namespace zp {

bool is_computable(const Node& node) {
  const OpDef& op = node.op();
  if (node.is(kConstOp)) return true;
  return op.trait != Trait::Structural && !op.has(kEffect) && !op.has(kRandom) && node.regions().empty() &&
         op.eval != nullptr;
}

namespace {

// A frame of an explicit post-order walk: graphs may be deep, the call stack must not be.
struct Frame {
  Node* node;
  size_t next_operand;
};

}  // namespace

namespace {
enum Mark : uint32_t { Unknown = 0, Varies = 1, Settled = 2 };
}  // namespace

void ConstantFlow::start(const Graph& graph) {
  for (Node* node : graph.nodes()) node->scratch = Unknown;
}

bool ConstantFlow::is_constant(const Value* value) {
  if (value == nullptr || value->def() == nullptr) return false;
  if (value->def()->is(kConstOp)) return true;
  if (value->def()->scratch != Unknown) return value->def()->scratch == Settled;

  std::vector<Frame> stack{{value->def(), 0}};
  const auto settle = [&](Node& node, bool constant) {
    node.scratch = constant ? Settled : Varies;
    stack.pop_back();
  };
  while (!stack.empty()) {
    Frame& frame = stack.back();
    Node& node = *frame.node;
    if (frame.next_operand == 0 && !is_computable(node)) {
      settle(node, false);
      continue;
    }
    if (frame.next_operand == node.operand_count()) {
      settle(node, true);
      continue;
    }
    const Value* operand = node.operand(frame.next_operand);
    Node* def = operand ? operand->def() : nullptr;
    if (operand == nullptr || (def != nullptr && (def->is(kConstOp) || def->scratch == Settled))) {
      ++frame.next_operand;
    } else if (def == nullptr || def->scratch == Varies) {
      settle(node, false);
    } else {
      stack.push_back({def, 0});
    }
  }
  return value->def()->scratch == Settled;
}

Result<Tensor> ConstantValues::compute(const Node& node) {
  if (node.is(kConstOp)) return constant_tensor(node.context(), *node.constant());
  std::vector<const Tensor*> operands;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Value* operand = node.operand(i);
    operands.push_back(operand == nullptr ? nullptr : &known_.at(operand));
  }
  ZP_TRY(std::vector<Tensor> results, evaluate_node(node, operands));
  for (size_t i = 0; i < results.size() && i < node.result_count(); ++i)
    known_[node.result(i)] = std::move(results[i]);
  return known_.at(node.result());
}

Result<Tensor> ConstantValues::tensor(const Value& value) {
  if (auto found = known_.find(&value); found != known_.end()) return found->second;
  if (value.def() == nullptr) return Error("fold.input", "'" + std::string(value.name()) + "' is an input");
  if (value.def()->is(kConstOp) && value.type().elements() <= max_elements_)
    return constant_tensor(value.def()->context(), *value.def()->constant());
  size_t evaluated = 0;
  std::vector<Frame> stack{{value.def(), 0}};
  while (!stack.empty()) {
    Frame& frame = stack.back();
    const Node& node = *frame.node;
    if (frame.next_operand < node.operand_count()) {
      const Value* operand = node.operand(frame.next_operand++);
      if (operand == nullptr || known_.contains(operand)) continue;
      if (operand->def() == nullptr)
        return node.error("fold.input", "'" + std::string(operand->name()) + "' is an input");
      stack.push_back({operand->def(), 0});
      continue;
    }
    if (!is_computable(node))
      return node.error("fold.op", "'" + std::string(op_label(node)) + "' is not computed at compile time");
    if (++evaluated > max_nodes_)
      return node.error("fold.budget", fmt::format("more than {} nodes to evaluate", max_nodes_));
    for (size_t i = 0; i < node.result_count(); ++i) {
      if (node.result(i)->type().elements() > max_elements_) {
        return node.error("fold.budget", fmt::format("{} elements, more than {}",
                                                     node.result(i)->type().elements(), max_elements_));
      }
    }
    ZP_TRY(Tensor result, compute(node));
    known_[node.result()] = std::move(result);
    stack.pop_back();
  }
  return known_.at(&value);
}

Result<const Constant*> store_tensor(Context& context, std::string_view name, const Tensor& tensor) {
  const int bits = bits_of(tensor.dtype());
  if (bits >= 8) return context.make_constant(name, tensor.dtype(), tensor.shape(), tensor.blob());
  std::byte* out = nullptr;
  const auto size = static_cast<size_t>(storage_bytes(tensor.dtype(), tensor.elements()));
  Blob blob = Blob::allocate(size, &out);
  std::memset(out, 0, size);
  const int64_t per_byte = 8 / bits;
  const auto mask = static_cast<uint8_t>((1 << bits) - 1);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    const auto element = static_cast<uint8_t>(tensor.data<uint8_t>()[i] & mask);
    out[i / per_byte] |= static_cast<std::byte>(element << (i % per_byte * bits));
  }
  return context.make_constant(name, tensor.dtype(), tensor.shape(), std::move(blob));
}

Value* add_const_node(Graph& graph, const Constant& constant, const Type* type, Node* before) {
  Value* value = graph.add_const(constant, {}, before);
  if (type != nullptr) value->set_type(type);
  return value;
}

bool all_elements_are(Context& context, const Constant& constant, double number) {
  constexpr int64_t kSmall = 4096;
  if (constant.elements() == 0 || constant.elements() > kSmall || constant.stripped) return false;
  const Result<Tensor> tensor = constant_tensor(context, constant);
  if (!tensor.ok()) return false;
  for (int64_t i = 0; i < tensor->elements(); ++i) {
    if (is_float(constant.dtype)) {
      if (std::bit_cast<uint64_t>(tensor->get_double(i)) != std::bit_cast<uint64_t>(number)) return false;
    } else if (tensor->get_double(i) != number) {
      return false;
    }
  }
  return true;
}

}  // namespace zp
