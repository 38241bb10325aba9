#include "passes/cleanup/cleanup.h"

#include <vector>

#include "ops/number.h"
#include "ops/ops.h"
#include "passes/cleanup/common.h"
#include "passes/cleanup/rules.h"
#include "passes/cleanup/spelled_out.h"
#include "passes/cleanup/state.h"

namespace zp {
namespace {

bool stays(const Node& node) {
  return node.op().has(kEffect) || node.op().has(kRandom) || ops::defines_symbol(node) ||
         (node.is(kOpaqueOp) && node.attrs<OpaqueAttrs>().effect);
}

// Whether a node may go when nobody reads it. Regions are asked for all their nodes.
bool is_removable(const Node& node) {
  if (stays(node)) return false;
  if (node.regions().empty()) return true;
  std::vector<const Graph*> work(node.regions().begin(), node.regions().end());
  while (!work.empty()) {
    const Graph* graph = work.back();
    work.pop_back();
    for (const Node* inner : graph->nodes()) {
      if (stays(*inner)) return false;
      work.insert(work.end(), inner->regions().begin(), inner->regions().end());
    }
  }
  return true;
}

void remove_dead_code(Graph& graph) {
  for (Node* node = graph.output_node()->prev(); node != nullptr;) {
    Node* before = node->prev();
    if (!node->has_uses() && is_removable(*node)) node->erase();
    node = before;
  }
}

void merge(Node* node, Node* earlier) {
  for (size_t i = 0; i < node->result_count(); ++i)
    node->result(i)->replace_all_uses_with(earlier->result(i));
  constexpr size_t kManyOrigins = 64;
  if (!node->is(kConstOp) && earlier->origins().size() < kManyOrigins) earlier->add_origins_of(*node);
  node->erase();
}

// One sweep in program order: operands are in their final form when a node is visited.
void sweep(Graph& graph) {
  cleanup::CommonValues common(graph.node_count());
  for (Node* node : graph.nodes()) {
    if (!node->is(kConstOp) && cleanup::fold_constant(*node)) continue;
    if (Value* same = cleanup::same_value(*node)) {
      node->result()->replace_all_uses_with(same);
      node->erase();
      continue;
    }
    if (Node* activation = cleanup::merge_spelled_out(*node)) node = activation;
    if (Node* earlier = common.earlier(node)) merge(node, earlier);
  }
}

// Outside the sweep, because it replaces readers behind the node.
bool make_quantizers_static(Graph& graph) {
  std::vector<Node*> quantizers;
  for (Node* node : graph.nodes())
    if (node->is(ops::quantize) && node->operand(1) != nullptr) quantizers.push_back(node);
  bool any = false;
  for (Node* node : quantizers) any |= cleanup::make_quantize_static(*node);
  return any;
}

Status run_cleanup(PassContext& context) {
  Model& model = context.model;
  remove_dead_code(model);
  const size_t states = cleanup::remove_dead_state(model);
  if (states > 0) {
    context.records.rewrites.push_back(
        {.pass = "cleanup",
         .pattern = "dead-state",
         .nodes = {},
         .into = {},
         .note = std::to_string(states) + " state counters that only feed themselves removed"});
  }
  for (Graph* graph : model.graphs()) {
    sweep(*graph);
    if (make_quantizers_static(*graph)) sweep(*graph);
  }
  remove_dead_code(model);
  return {};
}

}  // namespace

void remove_dead_code(Model& model) {
  const std::vector<Graph*> graphs = model.graphs();
  for (size_t i = graphs.size(); i-- > 0;) remove_dead_code(*graphs[i]);
}

const PassCard kCleanupPass{
    .name = "cleanup",
    .doc = "folds constants, removes identities, duplicates, dead code and dead counters",
    .needs = "",
    .gives = "no constant subgraph but dequantize of constants",
    .promise = Promise::Exact,
    .run = run_cleanup};

}  // namespace zp
