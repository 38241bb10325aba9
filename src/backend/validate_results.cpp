// What patterns become: the operator and its attributes, the target's own operators, kernels.
#include "backend/actions.h"
#include "backend/legality.h"
#include "backend/validate_rules.h"

namespace zp::backend {

void Checker::check_becomes(const PatternDef& def) {
  const Becomes& b = *def.becomes;
  // `root`: whatever op the root is.
  std::vector<const OpDef*> targets = root_ops(def);
  if (b.op != "root") targets = {ops_.find(b.op)};
  if (targets.front() == nullptr) return op_known(b.op, b.at);
  for (const Becomes::Attr& attr : b.attrs) {
    const std::string_view field =
        attr.name == "clamp" ? std::string_view("act_min") : std::string_view(attr.name);
    const bool known = std::any_of(targets.begin(), targets.end(), [&](const OpDef* op) {
      return op->attrs != nullptr && op->attrs->find(field) != nullptr;
    });
    if (!known)
      error("zpb01", attr.at, fmt::format("{} has no attribute \"{}\"", targets.front()->name, attr.name));
    if (attr.kind == Becomes::Attr::Activation && attr.activation != "relu" && attr.activation != "relu6") {
      error("zpb01", attr.at,
            fmt::format("unknown activation \"{}\", known: relu, relu6, or 'of' a step", attr.activation));
    }
    if (attr.kind != Becomes::Attr::Of) continue;
    const bool step =
        std::any_of(def.pattern.steps.begin(), def.pattern.steps.end(), [&](const rewrite::PatternStep& s) {
          return std::find(s.alternatives.begin(), s.alternatives.end(), attr.of) != s.alternatives.end() ||
                 s.value == attr.of ||
                 std::any_of(s.ops.begin(), s.ops.end(), [&](const OpDef* o) { return o->name == attr.of; });
        });
    if (!step) error("zpb01", attr.at, fmt::format("\"{}\" has no step \"{}\"", label(def), attr.of));
  }
  if (b.action.empty()) return;
  const auto known = names_of(kActions, [](const ActionDef& a) { return a.name; });
  if (std::find(known.begin(), known.end(), b.action) == known.end()) {
    error("zpb01", b.at, fmt::format("unknown action \"{}\"{}", b.action, did_you_mean(b.action, known)));
  }
}

void Checker::check_lowering(const PatternDef& def, const Lowering& lower,
                             const std::set<std::string, std::less<>>& words) {
  for (const auto& [name, at] : lower.types) {
    const auto known = names_of(def.types, [](const auto& t) { return std::string_view(t.first); });
    if (std::find(known.begin(), known.end(), name) == known.end())
      error("zpb01", at,
            fmt::format("\"{}\" is none of the types of pattern \"{}\"{}", name, def.pattern.name,
                        did_you_mean(name, known)));
  }
  for (const LowerCall& call : lower.calls) {
    if (call.when != nullptr) condition(def, *call.when, call.at, words);
    std::set<std::string, std::less<>> seen;
    for (const LowerArg& arg : call.args) {
      if (!seen.insert(arg.name).second)
        error("zpb02", arg.at, fmt::format("argument \"{}\" is given twice", arg.name));
      lower_value(def, *arg.value, arg.at, words, &call != &lower.calls.front());
    }
  }
}

void Checker::lower_value(const PatternDef& def, const Expr& expr, const Place& at,
                          const std::set<std::string, std::less<>>& words, bool later) {
  rewrite::visit_parts(expr, [&](const Expr& part) {
    if (part.kind == Expr::Path) {
      if (!(later && part.path.size() == 1 && part.path[0] == "result")) condition(def, part, at, words);
      return;
    }
    if (part.kind != Expr::Call) return;
    const LayoutFunction* layout = find_layout_function(part.text);
    if (layout == nullptr) return call(part, at, words);
    if (part.args.size() != layout->arguments)
      error("zpb01", at,
            fmt::format("{} takes {} arguments, not {}", part.text, layout->arguments, part.args.size()));
  });
}

void Checker::check_kernel(const PatternDef& def) {
  if (def.kernel.empty() || file_.kernels.empty()) return;
  const auto kernel = std::find_if(file_.kernels.begin(), file_.kernels.end(),
                                   [&](const KernelDef& k) { return k.name == def.kernel; });
  if (kernel == file_.kernels.end()) {
    const auto known = names_of(file_.kernels, [](const KernelDef& k) { return std::string_view(k.name); });
    return error("zpb10", def.kernel_at,
                 fmt::format("kernel \"{}\" is missing{}", def.kernel, did_you_mean(def.kernel, known)));
  }
  for (const auto& [name, at] : def.types) {
    for (const TypesDef& types : file_.typesets) {
      if (types.name != name) continue;
      for (const SlotTypes& mine : kernel->slots) {
        const SlotTypes* asked = types.find(mine.slot);
        if (asked == nullptr) continue;
        for (const Elem& e : asked->accepted) {
          const bool taken = std::any_of(mine.accepted.begin(), mine.accepted.end(),
                                         [&](const Elem& k) { return includes(k, e); });
          if (taken) continue;
          error("zpb10", def.kernel_at,
                fmt::format("{} takes {} {}, types \"{}\" allow {}", kernel->name, print_elems(mine.elems),
                            mine.slot, types.name, print_elem(e)));
        }
      }
    }
  }
}

bool Checker::includes(const Elem& kernel, const Elem& e) {
  if (kernel.any || e.none) return true;
  if (kernel.dtype != e.dtype) return false;
  if (!is_integer(e.dtype)) return true;
  auto low = [](const Elem& x) { return x.range ? x.range->first : int_min(x.dtype); };
  auto high = [](const Elem& x) { return x.range ? x.range->second : int_max(x.dtype); };
  if (low(e) < low(kernel) || high(e) > high(kernel)) return false;
  if (kernel.granularity.kind != Granularity::Any && kernel.granularity.kind != e.granularity.kind)
    return false;
  if (kernel.scheme == Scheme::Symmetric && e.scheme != Scheme::Symmetric) return false;
  return kernel.dynamic == e.dynamic;
}

}  // namespace zp::backend
