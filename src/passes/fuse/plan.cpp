#include "passes/fuse/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "ops/ops.h"
#include "ops/unary.h"
#include "rewrite/trace.h"

namespace zp::fuse {
namespace {

using backend::Becomes;
using backend::Refusal;
using rewrite::BoundSlot;

Refusal refuse(std::string wanted, std::string found, std::string text) {
  Refusal r;
  r.clause = "becomes";
  r.wanted = std::move(wanted);
  r.found = std::move(found);
  r.text = std::move(text);
  r.progress = 900;
  return r;
}

// The clamp of a later step on top of an earlier one: both as one.
void compose(Plan* plan, const ClampBounds& next) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  double low = plan->act_min.value_or(-kInf), high = plan->act_max.value_or(kInf);
  low = std::min(low, high);  // an upper bound below the lower one wins
  auto apply = [&](double x) {
    if (next.low && x < *next.low) x = *next.low;
    if (next.high && x > *next.high) x = *next.high;
    return x;
  };
  low = apply(low);
  high = apply(high);
  plan->act_min = low > -kInf ? std::optional<double>(low) : std::nullopt;
  plan->act_max = high < kInf ? std::optional<double>(high) : std::nullopt;
}

std::optional<double> act_bound(const Node& node, std::string_view name) {
  const AttrField* field = node.op().attrs == nullptr ? nullptr : node.op().attrs->find(name);
  if (field == nullptr || field->kind != AttrKind::OptFloat) return std::nullopt;
  return attr_ref<std::optional<double>>(node.attrs_data(), *field);
}

bool step_is(const rewrite::PatternStep& step, const Node& node, std::string_view name) {
  return step.value == name || node.op().name == name ||
         std::find(step.alternatives.begin(), step.alternatives.end(), name) != step.alternatives.end();
}

class Planner {
 public:
  Planner(const rewrite::Match& match, const backend::Verdict& verdict) : match_(match), verdict_(verdict) {
    plan_.becomes = verdict.pattern->becomes ? &*verdict.pattern->becomes : nullptr;
    plan_.root = match.root();
    plan_.op = &match.root()->op();
  }

  std::variant<Plan, Refusal> plan() {
    if (plan_.becomes != nullptr && plan_.becomes->op != "root")
      plan_.op = ops::table().find(plan_.becomes->op);
    if (plan_.op == nullptr)
      return refuse("a known op", plan_.becomes->op, fmt::format("{} is no op", plan_.becomes->op));
    if (auto refusal = absorb_steps()) return *refusal;
    if (auto refusal = operands()) return *refusal;
    if (auto refusal = result()) return *refusal;
    const bool bytes = plan_.op->trait == Trait::ShapeOnly;
    if (!bytes && !plan_.op->has(kIntegerForm)) {
      return refuse("an op with an integer form", std::string(plan_.op->name),
                    fmt::format("{} has no integer form", plan_.op->name));
    }
    if (bytes) {
      if (auto refusal = same_parameters()) return *refusal;
    }
    plan_.unchanged = plan_.op == &plan_.root->op() && match_.nodes.size() == 1 && !plan_.transposed &&
                      same_operands() && (!plan_.result_quantized || plan_.result->converter == nullptr);
    return std::move(plan_);
  }

 private:
  // Every step but the root is a clamp on the way to the result, or nothing can say it.
  std::optional<Refusal> absorb_steps() {
    if (plan_.op == &plan_.root->op()) {
      plan_.act_min = act_bound(*plan_.root, "act_min");
      plan_.act_max = act_bound(*plan_.root, "act_max");
    }
    for (size_t i = 0; i < match_.nodes.size(); ++i) {
      if (i == match_.variant->root) continue;
      const Node& node = *match_.nodes[i];
      const auto bounds = clamp_bounds(node);
      const bool after = i > match_.variant->root && match_.variant->steps[i].chained >= 0;
      if (!bounds || !after || !wanted_as_clamp(i)) {
        const bool batch_norm = node.op().name == "batch_norm";
        return refuse("one operator", std::string(node.op().name),
                      batch_norm ? fmt::format("batch norm {} is still here, its fold comes first",
                                               rewrite::source_name(node))
                                 : fmt::format("{} {} cannot be part of a fused {}", op_label(node),
                                               rewrite::source_name(node), plan_.op->name));
      }
      if (plan_.op->attrs == nullptr || plan_.op->attrs->find("act_min") == nullptr) {
        return refuse("an op that clamps", std::string(plan_.op->name),
                      fmt::format("{} takes no clamp, {} stays a node of its own", plan_.op->name,
                                  rewrite::source_name(node)));
      }
      compose(&plan_, *bounds);
    }
    if (plan_.becomes != nullptr) {
      for (const Becomes::Attr& attr : plan_.becomes->attrs) {
        if (attr.name != "clamp" || attr.kind != Becomes::Attr::Activation) continue;
        compose(&plan_, {0.0, attr.activation == "relu6" ? std::optional<double>(6.0) : std::nullopt});
      }
    }
    return std::nullopt;
  }

  // Without `becomes` every clamp is absorbed; with it those it names, or that a fixed activation stands for.
  bool wanted_as_clamp(size_t i) const {
    if (plan_.becomes == nullptr) return true;
    const rewrite::PatternStep& step = match_.variant->pattern->steps[match_.variant->steps[i].source];
    return std::any_of(plan_.becomes->attrs.begin(), plan_.becomes->attrs.end(),
                       [&](const Becomes::Attr& attr) {
                         if (attr.name != "clamp") return false;
                         return attr.kind == Becomes::Attr::Of ? step_is(step, *match_.nodes[i], attr.of)
                                                               : step_is(step, *match_.nodes[i], "relu");
                       });
  }

  Value* chosen(size_t slot, size_t reading) const {
    const rewrite::SlotReading& r = verdict_.slots[slot].readings[reading];
    return verdict_.as_quantized[slot][reading] ? r.quantized : r.value;
  }

  std::optional<Refusal> operands() {
    return plan_.op == &plan_.root->op() ? operands_of_root() : operands_by_name();
  }

  std::optional<Refusal> operands_of_root() {
    for (size_t i = 0; i < plan_.root->operand_count(); ++i) plan_.operands.push_back(plan_.root->operand(i));
    for (size_t s = 0; s < verdict_.slots.size(); ++s) {
      const BoundSlot& slot = verdict_.slots[s];
      if (slot.name.result || !slot.present()) continue;
      if (!slot.name.of_root || slot.name.step != match_.variant->root) {
        return refuse("operands of one operator", slot.name.name,
                      fmt::format("{} has no place in a fused {}", slot.name.name, plan_.op->name));
      }
      for (size_t k = 0; k < slot.readings.size(); ++k) plan_.operands[slot.operands[k]] = chosen(s, k);
    }
    return std::nullopt;
  }

  std::optional<Refusal> operands_by_name() {
    InlineVector<bool, 16> used;
    used.assign(verdict_.slots.size(), false);
    for (size_t i = 0; i < plan_.op->operands.size(); ++i) {
      const OperandDef& def = plan_.op->operands[i];
      const BoundSlot* slot = rewrite::find_slot(verdict_.slots, def.name);
      const std::string_view alias = def.role == Role::Data     ? "x"
                                     : def.role == Role::Weight ? "w"
                                     : def.role == Role::Bias   ? "b"
                                                                : "";
      if ((slot == nullptr || slot->name.role != def.role) && !alias.empty())
        slot = rewrite::find_slot(verdict_.slots, alias);
      if (slot == nullptr || !slot->present() || (def.role == Role::Bias && slot->name.role != Role::Bias)) {
        if (!def.optional) {
          return refuse(fmt::format("operand {}", def.name), "none",
                        fmt::format("nothing stands for operand {} of {}", def.name, plan_.op->name));
        }
        plan_.operands.push_back(nullptr);
        continue;
      }
      const auto s = static_cast<size_t>(slot - verdict_.slots.data());
      used[s] = true;
      plan_.operands.push_back(chosen(s, 0));
      if (def.role == Role::Weight && plan_.becomes->action == "transpose-weight") {
        const rewrite::SlotReading& r = slot->readings.front();
        if (!r.constant || r.value->type().rank() != 2) {
          return refuse("a constant matrix", r.constant ? "another rank" : "a computed value",
                        "only a constant matrix can be transposed ahead");
        }
        plan_.transposed = i;
      }
    }
    for (size_t s = 0; s < verdict_.slots.size(); ++s) {
      const BoundSlot& slot = verdict_.slots[s];
      if (used[s] || slot.name.result || !slot.present()) continue;
      return refuse("operands of one operator", slot.name.name,
                    fmt::format("{} has no place in {}", slot.name.name, plan_.op->name));
    }
    return std::nullopt;
  }

  std::optional<Refusal> result() {
    for (size_t s = 0; s < verdict_.slots.size(); ++s) {
      if (!verdict_.slots[s].name.result) continue;
      plan_.result = &verdict_.slots[s].readings.front();
      plan_.result_quantized = !verdict_.as_quantized[s].empty() && verdict_.as_quantized[s].front();
    }
    const bool any = std::any_of(plan_.operands.begin(), plan_.operands.end(),
                                 [](const Value* v) { return v != nullptr && v->type().is_quantized(); });
    if (any) return std::nullopt;
    return refuse("a quantized operand", "none", "none of its operands is quantized");
  }

  // Bytes only move: all quantized inputs share their parameters.
  std::optional<Refusal> same_parameters() {
    const QuantType* first = nullptr;
    for (const Value* v : plan_.operands) {
      if (v == nullptr || (!v->type().is_quantized() && !is_float(v->type().dtype))) continue;
      const QuantType* quant = v->type().quant;
      if (quant == nullptr || (first != nullptr && quant != first) || !quant->per_tensor()) {
        return refuse("one quantization", "several",
                      fmt::format("{} moves bytes, its inputs have different parameters", plan_.op->name));
      }
      first = quant;
    }
    if (first == nullptr || !plan_.result_quantized) {
      return refuse("quantized input and result", "a float",
                    fmt::format("{} moves bytes, not both its sides are integers", plan_.op->name));
    }
    plan_.requantized = plan_.result->quant != first;
    return std::nullopt;
  }

  bool same_operands() const {
    for (size_t i = 0; i < plan_.operands.size(); ++i)
      if (plan_.operands[i] != plan_.root->operand(i)) return false;
    return true;
  }

  const rewrite::Match& match_;
  const backend::Verdict& verdict_;
  Plan plan_;
};

}  // namespace

std::optional<ClampBounds> clamp_bounds(const Node& node) {
  if (node.is(ops::relu)) return ClampBounds{0.0, std::nullopt};
  if (node.is(ops::hardtanh)) {
    const auto& attrs = node.attrs<ops::HardtanhAttrs>();
    return ClampBounds{attrs.min_val.as_double(), attrs.max_val.as_double()};
  }
  if (node.is(ops::clamp)) {
    const auto& attrs = node.attrs<ops::ClampAttrs>();
    ClampBounds bounds;
    if (attrs.min) bounds.low = attrs.min->as_double();
    if (attrs.max) bounds.high = attrs.max->as_double();
    return bounds;
  }
  return std::nullopt;
}

std::variant<Plan, Refusal> plan_match(const rewrite::Match& match, const backend::Verdict& verdict) {
  return Planner(match, verdict).plan();
}

}  // namespace zp::fuse
