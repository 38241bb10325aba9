#include "backend/import_pattern.h"

#include <fmt/format.h>

#include <algorithm>

#include "backend/torch_names.h"
#include "ops/ops.h"
#include "rewrite/pattern.h"
#include "support/text_format.h"

namespace zp::backend {

using zeropoint::PatternTree;

namespace {

constexpr int kMaxDepth = 32;
constexpr size_t kMaxNodes = 48;

class Builder {
 public:
  explicit Builder(CanonPattern* out) : out_(out) {}

  // Appends the nodes of a tree; the number of the one that gives its value.
  std::optional<size_t> add(const PatternTree& tree, int depth) {
    if (depth > kMaxDepth || out_->nodes.size() > kMaxNodes)
      return fail(
          fmt::format("it is nested deeper than {} or has more than {} operators", kMaxDepth, kMaxNodes));
    if (tree.kind == PatternTree::Op) return leaf(tree.name, {});
    if (tree.kind != PatternTree::Tuple || tree.parts.empty() || tree.parts.front().kind != PatternTree::Op)
      return fail("a nested pattern starts with an operator");
    const std::string& head = tree.parts.front().name;
    // One of several results: operators here give their results directly.
    if (head == "operator.getitem" && tree.parts.size() == 3 && tree.parts[2].kind == PatternTree::Literal) {
      if (tree.parts[2].literal != 0) return fail("a result of an operator other than its first is no step");
      return add(tree.parts[1], depth + 1);
    }
    std::vector<CanonArg> args;
    for (size_t i = 1; i < tree.parts.size(); ++i) {
      const PatternTree& part = tree.parts[i];
      CanonArg arg;
      if (part.kind == PatternTree::Literal) {
        arg.kind = CanonArg::Literal;
        arg.literal =
            part.integer ? std::to_string(static_cast<int64_t>(part.literal)) : shortest(part.literal, true);
      } else if (part.kind != PatternTree::Any) {
        const auto child = add(part, depth + 1);
        if (!child) return std::nullopt;
        arg.kind = CanonArg::Child;
        arg.child = *child;
      }
      args.push_back(std::move(arg));
    }
    return leaf(head, std::move(args));
  }

 private:
  std::optional<size_t> fail(std::string why) {
    if (out_->problem.empty()) out_->problem = std::move(why);
    return std::nullopt;
  }

  std::optional<size_t> leaf(const std::string& name, std::vector<CanonArg> args) {
    std::vector<NamedStep> steps = named_steps(name);
    if (steps.empty()) {
      out_->foreign_code = out_->foreign_code || !is_torch_name(name);
      const std::string_view why = why_unsaid(name);
      return fail(why.empty() ? fmt::format("{} is a class or function of its author", name)
                              : fmt::format("{}: {}", name, why));
    }
    for (size_t i = 0; i < steps.size(); ++i) {
      CanonNode node;
      node.ops = std::move(steps[i].ops);
      node.attrs = std::move(steps[i].attrs);
      node.condition = std::move(steps[i].condition);
      if (i == 0) node.args = std::move(args);
      else {
        node.args.push_back({CanonArg::Child, out_->nodes.size() - 1, {}});
        if (node.ops.front() == "add") {
          node.args.emplace_back();
          out_->fused_extra = true;
        }
      }
      if (!fit_args(&node, name)) return std::nullopt;
      out_->nodes.push_back(std::move(node));
    }
    return out_->nodes.size() - 1;
  }

  // Arguments that are attributes here are no operands: a literal among them is said to be left out.
  bool fit_args(CanonNode* node, const std::string& name) {
    const OpDef& op = *op_named(node->ops.front());
    if (!op.variadic()) {
      while (node->args.size() > op.operands.size()) {
        const CanonArg& last = node->args.back();
        if (last.kind == CanonArg::Child)
          return fail(fmt::format("argument {} of {} is no operand", node->args.size(), name)).has_value();
        if (last.kind == CanonArg::Literal)
          out_->notes.push_back(
              fmt::format("argument {} of {} is not compared: {} here holds its result's form",
                          node->args.size(), shorten(name), op.name));
        node->args.pop_back();
      }
    }
    size_t needed = 0;
    for (const OperandDef& o : op.operands) needed += o.role == Role::Data && !o.optional && !o.variadic;
    if (!node->args.empty() && node->args.size() < needed)
      return fail(fmt::format("{} has {} operands, the pattern gives {}: it matches nothing", shorten(name),
                              needed, node->args.size()))
          .has_value();
    return true;
  }

  CanonPattern* out_;
};

std::string alternatives(const CanonNode& node) { return fmt::format("{}", fmt::join(node.ops, " | ")); }

size_t children(const CanonNode& node) {
  return static_cast<size_t>(std::count_if(node.args.begin(), node.args.end(),
                                           [](const CanonArg& a) { return a.kind == CanonArg::Child; }));
}

}  // namespace

const OpDef* op_named(std::string_view name) { return ops::table().find(name); }

bool CanonPattern::chain() const {
  if (!nodes.empty() && (children(nodes.front()) != 0 || !nodes.front().args.empty())) return false;
  for (size_t i = 1; i < nodes.size(); ++i) {
    if (children(nodes[i]) != 1) return false;
    const auto at = std::find_if(nodes[i].args.begin(), nodes[i].args.end(),
                                 [](const CanonArg& a) { return a.kind == CanonArg::Child; });
    if (at->child != i - 1) return false;
    for (const std::string& name : nodes[i].ops) {
      const OpDef& op = *op_named(name);
      const int taken = rewrite::chained_operand(op);
      const bool either = op.has(kCommutative) && at - nodes[i].args.begin() < 2;
      if (taken != 0 || (at != nodes[i].args.begin() && !either)) return false;
    }
  }
  return true;
}

size_t CanonPattern::root() const {
  for (size_t i = 0; i < nodes.size(); ++i)
    if (op_named(nodes[i].ops.front())->trait == Trait::Affine) return i;
  return 0;
}

const OpDef& CanonPattern::root_op() const { return *op_named(nodes[root()].ops.front()); }

std::string CanonPattern::condition() const {
  return root() == 0 && nodes.front().args.empty() ? nodes.front().condition : std::string();
}

std::string CanonPattern::text(bool extra, std::vector<std::string>* names) const {
  std::vector<std::string> taken;
  auto wildcard = [&] {
    if (!extra && !fused_extra) return std::string("_");
    taken.push_back(taken.empty() ? "r" : fmt::format("r{}", taken.size() + 1));
    return "%" + taken.back();
  };
  auto arg_text = [&](const CanonArg& a) { return a.kind == CanonArg::Literal ? a.literal : wildcard(); };
  std::string out;
  if (chain()) {
    for (const CanonNode& node : nodes) {
      out += (out.empty() ? ": " : ", ") + alternatives(node);
      std::string args;
      for (const CanonArg& a : node.args)
        if (a.kind != CanonArg::Child) args += (args.empty() ? "" : ", ") + arg_text(a);
      if (!args.empty()) out += "(" + args + ")";
      if (!node.attrs.empty()) out += " " + node.attrs;
    }
  } else {
    out = "{";
    for (size_t i = 0; i < nodes.size(); ++i) {
      out += fmt::format("\n    %{} = {}", i + 1 == nodes.size() ? "y" : fmt::format("v{}", i + 1),
                         alternatives(nodes[i]));
      std::string args;
      for (const CanonArg& a : nodes[i].args) {
        args += args.empty() ? "" : ", ";
        args += a.kind == CanonArg::Child ? fmt::format("%v{}", a.child + 1) : arg_text(a);
      }
      if (!args.empty()) out += "(" + args + ")";
      if (!nodes[i].attrs.empty()) out += " " + nodes[i].attrs;
    }
    out += "\n  }";
  }
  if (names != nullptr) *names = std::move(taken);
  return out;
}

CanonPattern canonical(const zeropoint::PatternConfig& config) {
  CanonPattern out;
  const auto key = config.key();
  if (!key) {
    out.problem = "it has no operators";
    return out;
  }
  Builder(&out).add(*key, 0);
  if (out.ok() && out.nodes.empty()) out.problem = "it has no operators";
  return out;
}

}  // namespace zp::backend
