// Runs graphs node by node. Before a graph runs, one walk from the end counts how often each value will be
// read: nodes that nothing reads are skipped, a dequantize whose readers are all affine ops never runs (they
// read its integers), and every value is freed after its last reader. Constants are looked up where they are
// read and never stored.
#include "interp/interp.h"

#include <fmt/format.h>

#include <algorithm>

#include "interp/node_eval.h"
#include "ops/number.h"
#include "ops/ops.h"

namespace zp {
namespace {

Result<Tensor> read_constant(const Node& node) {
  auto tensor = constant_tensor(node.context(), *node.constant());
  if (!tensor.ok()) return interp::in_node(node, std::move(tensor).error());
  return tensor;
}

bool is_constant(const Value& value) { return value.def() != nullptr && value.def()->constant() != nullptr; }

class Frame {
 public:
  Frame(const Graph& graph, DimBinding& dims, const RunOptions* options)
      : graph_(graph), dims_(dims), options_(options) {}

  Result<std::vector<Tensor>> run(std::vector<Tensor> inputs);

 private:
  bool keeps_all() const {
    return options_ != nullptr && (options_->trace || options_->replace || options_->values != nullptr);
  }
  void count_reads();
  Status define(const Value& value, Tensor tensor);
  Result<const Tensor*> read(const Value& value);
  void release(const Node& node);
  Status run_one(const Node& node);

  const Graph& graph_;
  DimBinding& dims_;
  const RunOptions* options_;  // null inside regions
  interp::OperandSources sources_{interp::Reading::ThroughDequantize};
  std::unordered_map<const Value*, Tensor> values_;
  std::unordered_map<const Value*, int64_t> reads_;
  std::unordered_map<const Value*, Tensor> constants_;  // of the node that is running
};

void Frame::count_reads() {
  const auto count = [&](const Value& value) { ++reads_[&value]; };
  for (size_t i = 0; i < graph_.output_count(); ++i)
    if (graph_.output(i) != nullptr) count(*graph_.output(i));
  for (const Node* node = graph_.output_node()->prev(); node != nullptr; node = node->prev()) {
    bool needed = node->op().has(kEffect) || ops::defines_symbol(*node) || (keeps_all() && node->has_uses());
    for (size_t i = 0; i < node->result_count(); ++i) needed |= reads_.contains(node->result(i));
    if (needed) sources_.for_each_read(*node, count);
  }
}

Status Frame::define(const Value& value, Tensor tensor) {
  if (options_ != nullptr && options_->trace) options_->trace(value, tensor);
  if (options_ != nullptr && options_->replace) {
    if (const Tensor* other = options_->replace(value, tensor)) tensor = *other;
  }
  if (options_ != nullptr && options_->values != nullptr) (*options_->values)[&value] = tensor;
  if (reads_.contains(&value)) values_[&value] = std::move(tensor);
  return {};
}

Result<const Tensor*> Frame::read(const Value& value) {
  if (const auto found = values_.find(&value); found != values_.end()) return &found->second;
  if (is_constant(value)) {
    if (const auto found = constants_.find(&value); found != constants_.end()) return &found->second;
    ZP_TRY(Tensor tensor, read_constant(*value.def()));
    return &(constants_[&value] = std::move(tensor));
  }
  return Error("run.value", fmt::format("value %{} has not been computed", value.name()),
               ErrorKind::Internal);
}

void Frame::release(const Node& node) {
  constants_.clear();
  sources_.for_each_read(node, [&](const Value& value) {
    const auto found = reads_.find(&value);
    if (found == reads_.end() || --found->second > 0) return;
    values_.erase(&value);
  });
}

Status Frame::run_one(const Node& node) {
  const auto lookup = [&](const Value& value) { return read(value); };
  const auto region = [&](const Graph& graph, std::vector<Tensor> inputs) -> Result<std::vector<Tensor>> {
    DimBinding inner = dims_;
    return Frame(graph, inner, nullptr).run(std::move(inputs));
  };
  ZP_TRY(std::vector<Tensor> results, interp::run_node(node, lookup, dims_, region, sources_));
  for (size_t i = 0; i < results.size(); ++i) {
    const Value& value = *node.result(i);
    if (value.type().kind == TypeKind::None || value.type().kind == TypeKind::Token) continue;
    ZP_CHECK(interp::accept_result(value, results[i], &dims_));
    ZP_CHECK(define(value, std::move(results[i])));
  }
  release(node);
  return {};
}

Result<std::vector<Tensor>> Frame::run(std::vector<Tensor> inputs) {
  if (inputs.size() != graph_.inputs().size()) {
    return Error("run.inputs", fmt::format("graph '{}' takes {} inputs, found {}", graph_.name(),
                                           graph_.inputs().size(), inputs.size()));
  }
  count_reads();
  for (size_t i = 0; i < inputs.size(); ++i) ZP_CHECK(define(*graph_.inputs()[i], std::move(inputs[i])));
  for (const Node* node : graph_.nodes()) {
    if (node->constant() != nullptr) {
      if (!keeps_all() || !node->has_uses()) continue;
      ZP_TRY(const Tensor tensor, read_constant(*node));
      if (options_->trace) options_->trace(*node->result(), tensor);
      if (options_->values != nullptr) (*options_->values)[node->result()] = tensor;
      continue;
    }
    bool needed = node->op().has(kEffect) || ops::defines_symbol(*node) || (keeps_all() && node->has_uses());
    for (size_t i = 0; i < node->result_count() && !needed; ++i) needed = reads_.contains(node->result(i));
    if (needed) ZP_CHECK(run_one(*node));
  }
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < graph_.output_count(); ++i) {
    const Value* value = graph_.output(i);
    if (value == nullptr || value->type().kind == TypeKind::None || value->type().kind == TypeKind::Token) {
      outputs.emplace_back();
      continue;
    }
    ZP_TRY(const Tensor* const tensor, read(*value));
    outputs.push_back(*tensor);
  }
  return outputs;
}

// All inputs of the main graph: the user's, then states from the options or their initial constants.
Result<std::vector<Tensor>> all_inputs(const Model& model, std::span<const Tensor> user_inputs,
                                       const RunOptions& options) {
  std::vector<Tensor> inputs;
  size_t user = 0, state = 0;
  for (size_t i = 0; i < model.inputs.size(); ++i) {
    const InputInfo& info = model.inputs[i];
    Tensor tensor;
    if (info.kind == InputInfo::User) {
      tensor = user_inputs[user++];
    } else if (info.kind == InputInfo::State) {
      const size_t k = state++;
      if (k < options.state.size()) {
        tensor = options.state[k];
      } else if (info.initial != nullptr) {
        ZP_TRY(tensor, constant_tensor(*model.context, *info.initial));
      } else {
        return Error("run.state",
                     fmt::format("state '{}' has no initial value", model.graph->inputs()[i]->name()));
      }
    }
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

}  // namespace

Result<std::vector<Tensor>> run(const Model& model, std::span<const Tensor> user_inputs,
                                const RunOptions& options) {
  if (model.inputs.size() != model.graph->inputs().size() ||
      model.outputs.size() != model.graph->output_count()) {
    return Error("run.model", "the model's inputs and outputs do not match its graph", ErrorKind::Internal);
  }
  ZP_TRY(DimBinding dims, bind_inputs(model, user_inputs));
  ZP_TRY(std::vector<Tensor> inputs, all_inputs(model, user_inputs, options));
  std::vector<Tensor> state(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i)
    if (model.inputs[i].kind == InputInfo::State) state[i] = inputs[i];
  ZP_TRY(std::vector<Tensor> outputs, Frame(*model.graph, dims, &options).run(std::move(inputs)));
  std::vector<Tensor> user;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const OutputInfo& info = model.outputs[i];
    if (info.kind == OutputInfo::User) user.push_back(outputs[i]);
    if (info.kind == OutputInfo::StateUpdate && info.target >= 0 &&
        static_cast<size_t>(info.target) < state.size()) {
      state[static_cast<size_t>(info.target)] = outputs[i];
    }
  }
  if (options.state_after != nullptr) {
    options.state_after->clear();
    for (size_t i = 0; i < model.inputs.size(); ++i)
      if (model.inputs[i].kind == InputInfo::State) options.state_after->push_back(state[i]);
  }
  return user;
}

void set_max_loop_rounds(int64_t rounds) { interp::set_max_loop_rounds(rounds); }

Result<std::vector<Tensor>> evaluate_node(const Node& node, std::span<const Tensor* const> operands,
                                          const DimBinding* dims) {
  DimBinding bound = dims != nullptr ? *dims : DimBinding();
  std::unordered_map<const Value*, const Tensor*> given;
  for (size_t i = 0; i < node.operand_count() && i < operands.size(); ++i)
    if (node.operand(i) != nullptr) given[node.operand(i)] = operands[i];
  const auto lookup = [&](const Value& value) -> Result<const Tensor*> {
    if (const auto found = given.find(&value); found != given.end() && found->second != nullptr)
      return found->second;
    return Error("run.value", fmt::format("value %{} is not given", value.name()));
  };
  const auto region = [&](const Graph& graph, std::vector<Tensor> inputs) -> Result<std::vector<Tensor>> {
    DimBinding inner = bound;
    return Frame(graph, inner, nullptr).run(std::move(inputs));
  };
  interp::OperandSources sources(interp::Reading::AsGiven);
  ZP_TRY(std::vector<Tensor> results, interp::run_node(node, lookup, bound, region, sources));
  for (size_t i = 0; i < results.size(); ++i)
    ZP_CHECK(interp::accept_result(*node.result(i), results[i], &bound));
  return results;
}

Result<Tensor> evaluate(const Value& value, size_t max_nodes) {
  // The nodes behind the value, in program order.
  std::vector<const Node*> order;
  std::unordered_map<const Node*, bool> seen;
  std::vector<const Value*> open{&value};
  while (!open.empty()) {
    const Value* next = open.back();
    open.pop_back();
    const Node* node = next->def();
    if (node == nullptr)
      return Error("run.constant",
                   fmt::format("value %{} depends on input '{}'", value.name(), next->name()));
    if (!seen.emplace(node, true).second) continue;
    if (node->constant() == nullptr && !interp::is_function_of_operands(*node)) {
      return node->error("run.constant",
                         fmt::format("value %{} depends on operator {}", value.name(), op_label(*node)));
    }
    if (seen.size() > max_nodes) {
      return Error("run.constant",
                   fmt::format("value %{} depends on more than {} nodes", value.name(), max_nodes));
    }
    order.push_back(node);
    for (size_t i = 0; i < node->operand_count(); ++i)
      if (node->operand(i) != nullptr) open.push_back(node->operand(i));
  }
  std::sort(order.begin(), order.end(), [](const Node* a, const Node* b) { return a->order() < b->order(); });
  std::unordered_map<const Value*, Tensor> values;
  DimBinding dims;
  const auto lookup = [&](const Value& wanted) -> Result<const Tensor*> {
    if (const auto found = values.find(&wanted); found != values.end()) return &found->second;
    return Error("run.value", fmt::format("value %{} has not been computed", wanted.name()),
                 ErrorKind::Internal);
  };
  const auto region = [](const Graph&, std::vector<Tensor>) -> Result<std::vector<Tensor>> {
    return Error("run.constant", "regions are not folded");
  };
  interp::OperandSources sources(interp::Reading::ThroughDequantize);
  for (const Node* node : order) {
    if (node->constant() != nullptr) {
      ZP_TRY(values[node->result()], read_constant(*node));
      continue;
    }
    ZP_TRY(std::vector<Tensor> results, interp::run_node(*node, lookup, dims, region, sources));
    for (size_t i = 0; i < results.size(); ++i) {
      ZP_CHECK(interp::accept_result(*node->result(i), results[i], &dims));
      values[node->result(i)] = std::move(results[i]);
    }
  }
  return values[&value];
}

Result<Tensor> evaluate(const Node& node, size_t max_nodes) {
  if (node.result_count() != 1)
    return node.error("run.constant", fmt::format("{} results, one is wanted", node.result_count()));
  return evaluate(*node.result(), max_nodes);
}

}  // namespace zp
