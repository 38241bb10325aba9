// layout: writes fused operators as the target's own, with weights in the target's packing, as the `lower`
// clauses of the backend file say. It pays when a program of the target's is to be built from the archive
// (`--form vendor`), and it comes last: the target's operators are opaque to every other pass and the packed
// constants are no longer the integers of the model. What has no clause that applies stays as it is, with a
// record.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "backend/backend.h"
#include "ops/ops.h"
#include "ops/quant.h"
#include "passes/fuse/apply.h"
#include "passes/fuse/fuse.h"
#include "passes/fuse/layout_value.h"
#include "rewrite/nomenclature.h"
#include "rewrite/trace.h"
#include "support/json_writer.h"
#include "support/text_format.h"

namespace zp {
namespace {

using backend::LowerArg;
using backend::LowerCall;
using backend::Lowering;
using backend::MatchScope;
using rewrite::BoundSlot;
using rewrite::ExprValue;
using rewrite::Match;

constexpr std::string_view kPass = "layout";

// A node on its way out: the match it is, as the backend judged it.
struct Site {
  const Match& match;
  const backend::Verdict& verdict;
  const MatchScope& scope;
};

// One call as an opaque node's payload: a list of named arguments (torch/_export/serde/schema.py).
struct Call {
  std::vector<Value*> operands;
  JsonWriter json;
};

Error refused(std::string text) { return Error("layout", std::move(text)); }

class Layout {
 public:
  Layout(PassContext& context, const Backend& backend, Graph& graph)
      : context_(context), backend_(backend), graph_(graph), values_(graph) {}

  Status run() {
    std::vector<Node*> nodes;
    for (Node* node : graph_.nodes())
      if (computes_on_quantized(*node)) nodes.push_back(node);
    for (Node* node : nodes) ZP_CHECK(lower(node));
    return {};
  }

 private:
  static bool computes_on_quantized(const Node& node) {
    if (node.op().trait == Trait::Quantizer || node.op().trait == Trait::Structural) return false;
    for (size_t i = 0; i < node.operand_count(); ++i)
      if (node.operand(i) != nullptr && node.operand(i)->type().is_quantized()) return true;
    return false;
  }

  Status lower(Node* node) {
    std::string why = fmt::format("backend {} has no operator of its own for {}", backend_.name(),
                                  rewrite::derived_name(*node));
    std::string pattern;
    bool done = false;
    Status failed;
    rewrite::match_at(backend_.pattern_set(), node, [&](Match match) {
      if (done || !failed.ok() || match.nodes.size() != 1) return;
      const backend::Verdict verdict = backend_.accepts(match);
      if (!verdict.ok()) return;
      const MatchScope scope(backend_, match, verdict.slots);
      for (const Lowering& lowering : verdict.pattern->lowers) {
        if (!of_types(lowering, verdict)) continue;
        if (pattern.empty()) pattern = verdict.pattern->pattern.name;
        const Site site{match, verdict, scope};
        Result<bool> made = apply(lowering, site, node, &why);
        if (!made.ok()) {
          why = made.error().first().text;
          continue;
        }
        done = *made;
        if (done) return;
      }
    });
    if (!done) keep(*node, pattern, why);
    return failed;
  }

  static bool of_types(const Lowering& lowering, const backend::Verdict& verdict) {
    if (lowering.types.empty()) return true;
    return verdict.types != nullptr &&
           std::any_of(lowering.types.begin(), lowering.types.end(),
                       [&](const auto& t) { return t.first == verdict.types->name; });
  }

  // False, and why, if the clause's condition does not hold.
  Result<bool> apply(const Lowering& lowering, const Site& site, Node* node, std::string* why) {
    if (const auto& when = lowering.calls.front().when; when != nullptr) {
      if (!rewrite::evaluate(*when, site.scope).is_true()) {
        const rewrite::ExprFailure failure = rewrite::explain_failure(*when, site.scope);
        *why = fmt::format("{} takes it only if {}; here {}", lowering.calls.front().target, failure.wanted,
                           failure.found);
        return false;
      }
    }
    // All arguments of all calls first: nothing is changed by a clause that cannot be carried out.
    std::vector<const LowerCall*> calls;
    for (const LowerCall& call : lowering.calls) {
      if (&call == &lowering.calls.front() || call.when == nullptr ||
          rewrite::evaluate(*call.when, site.scope).is_true())
        calls.push_back(&call);
    }
    std::vector<Call> made(calls.size());
    for (size_t i = 0; i < calls.size(); ++i) {
      // The result of an earlier call stands as the node's own until that exists.
      ZP_CHECK(arguments(*calls[i], site, node, i > 0 ? node->result() : nullptr, &made[i]));
    }
    Value* result = nullptr;
    const std::string name(node->name());
    const std::vector<std::string> sources = source_names(*node);
    Node* last = nullptr;
    for (size_t i = 0; i < calls.size(); ++i) {
      for (Value*& operand : made[i].operands)
        if (i > 0 && operand == node->result()) operand = result;
      last = emit(*calls[i], made[i], node, i + 1 == calls.size() ? name : name + "_" + std::to_string(i));
      result = last->result();
    }
    RewriteRecord record;
    record.pass = kPass;
    record.pattern = rewrite::derived_name(*node);
    record.nodes = sources;
    node->result()->replace_all_uses_with(result);
    fuse::erase_unused(node);
    last->set_name(name);
    record.into = name;
    record.note = fmt::format("{} of backend {}", lowering.calls.front().target, backend_.name());
    context_.records.rewrites.push_back(std::move(record));
    return true;
  }

  Node* emit(const LowerCall& call, Call& made, Node* node, const std::string& name) {
    OpaqueAttrs attrs;
    attrs.target = graph_.context().text("torch.ops." + call.target);
    attrs.payload = graph_.context().text(made.json.take());
    // An operator that only the target knows takes and gives plain integers.
    for (Value*& operand : made.operands) operand = plain(operand, node);
    Node* opaque = graph_.create({.op = &kOpaqueOp,
                                  .operands = made.operands,
                                  .attrs = &attrs,
                                  .name = name,
                                  .origins = node->origins()},
                                 node);
    const Type& type = node->result()->type();
    if (!type.is_quantized()) {
      opaque->result()->set_type(node->result()->type_ptr());
      return opaque;
    }
    Context& context = graph_.context();
    opaque->result()->set_type(context.with_element(type, type.dtype));
    ops::StorageCastAttrs cast;
    cast.type = type.quant;
    Value* const operands[] = {opaque->result()};
    Node* quantized = graph_.create({.op = &ops::storage_cast,
                                     .operands = operands,
                                     .attrs = &cast,
                                     .name = name,
                                     .origins = node->origins()},
                                    node);
    quantized->result()->set_type(node->result()->type_ptr());
    return quantized;
  }

  // The storage of a quantized value as plain integers.
  Value* plain(Value* value, Node* before) {
    if (!value->type().is_quantized()) return value;
    Node* def = value->def();
    if (def != nullptr && def->is(ops::storage_cast) && !def->operand(0)->type().is_quantized())
      return def->operand(0);
    Value*& known = plain_[value];
    if (known != nullptr) return known;
    Value* const operands[] = {value};
    Node* cast = graph_.create(
        {.op = &ops::storage_cast, .operands = operands, .name = fmt::format("{}_int", value->name())},
        before);
    cast->result()->set_type(graph_.context().with_element(value->type(), value->type().dtype));
    return known = cast->result();
  }

  Status arguments(const LowerCall& call, const Site& site, Node* node, Value* result, Call* out) {
    out->json.begin_array();
    for (const LowerArg& arg : call.args) {
      out->json.begin_object().field("name", arg.name).key("arg").begin_object();
      ZP_CHECK(argument(arg, site, node, result, out));
      out->json.end_object().field("kind", 1).end_object();
    }
    out->json.end_array();
    return {};
  }

  Status argument(const LowerArg& arg, const Site& site, Node* node, Value* result, Call* out) {
    const BoundSlot* slot = fuse::LayoutValues::slot_of(*arg.value, site.verdict.slots);
    if (arg.optional && slot != nullptr && !slot->present()) {
      out->json.field("as_none", true);
      return {};
    }
    if (arg.kind == LowerArg::Tensor) {
      ZP_TRY(Value * value, values_.value(*arg.value, site.scope, site.verdict, site.match, result, node));
      out->json.key("as_tensor").begin_object();
      out->json.field("name", fmt::format("operand_{}", out->operands.size())).end_object();
      out->operands.push_back(value);
      return {};
    }
    const ExprValue v = rewrite::evaluate(*arg.value, site.scope);
    const auto bad = [&](std::string_view wanted) {
      return refused(fmt::format("argument {}: {} is {}, not {}", arg.name, rewrite::print_expr(*arg.value),
                                 v.str(), wanted));
    };
    const auto whole = [](double d) { return std::fabs(d) < 9e15 && d == std::floor(d); };
    if (arg.kind == LowerArg::Text) {
      if (v.kind != ExprValue::Text) return bad("a text");
      out->json.field("as_string", v.text);
    } else if (arg.kind == LowerArg::Bool) {
      if (v.kind != ExprValue::Bool) return bad("true or false");
      out->json.field("as_bool", v.boolean);
    } else if (arg.kind == LowerArg::Ints) {
      if (v.kind != ExprValue::List || !std::all_of(v.list.begin(), v.list.end(), whole))
        return bad("a list of whole numbers");
      out->json.key("as_ints").begin_array();
      for (double d : v.list) out->json.value(static_cast<int64_t>(d));
      out->json.end_array();
    } else if (arg.kind == LowerArg::Int) {
      if (v.kind != ExprValue::Number || !whole(v.number)) return bad("a whole number");
      out->json.field("as_int", static_cast<int64_t>(v.number));
    } else {
      if (v.kind != ExprValue::Number || !std::isfinite(v.number)) return bad("a number");
      out->json.field("as_float", v.number);
    }
    return {};
  }

  void keep(const Node& node, const std::string& pattern, const std::string& why) {
    KeptRecord record;
    record.node = rewrite::source_name(node);
    record.op = std::string(op_label(node));
    record.pass = kPass;
    record.pattern = pattern;
    record.clause = "lower";
    record.wanted = fmt::format("an operator of backend {}", backend_.name());
    record.found = rewrite::derived_name(node);
    record.text = fmt::format("{} {} has no form of the target's own: {}", record.found,
                              rewrite::person_name(node), why);
    context_.records.kept.push_back(std::move(record));
  }

  PassContext& context_;
  const Backend& backend_;
  Graph& graph_;
  fuse::LayoutValues values_;
  std::unordered_map<const Value*, Value*> plain_;
};

Status run_layout(PassContext& context) {
  const Backend& backend = context.backend != nullptr ? *context.backend : Backend::permissive();
  std::vector<Graph*> graphs = {context.model.graph.get()};
  for (size_t i = 0; i < graphs.size(); ++i) {
    ZP_CHECK(Layout(context, backend, *graphs[i]).run());
    for (Node* node : graphs[i]->nodes())
      for (Graph* region : node->regions()) graphs.push_back(region);
  }
  return {};
}

}  // namespace

constinit const PassCard kLayoutPass = {
    .name = "layout",
    .doc = "writes fused operators as the target's own, with weights in its packing",
    .needs = "fuse-qdq; nothing after it but writing",
    .gives = "operators that the target's tools know (--form vendor)",
    .promise = Promise::Exact,
    .run = run_layout,
};

}  // namespace zp
