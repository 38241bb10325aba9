// zp op: what is known of an operator.
#include <fmt/format.h>

#include <map>
#include <set>

#include "command.h"
#include "formats/pt2/integer_form.h"
#include "formats/pt2/schema.h"
#include "ops/ops.h"
#include "report/table.h"
#include "support/json_writer.h"

namespace zp::cli {

namespace {

struct Options {
  std::string name;
  bool json = false, markdown = false, schemas = false;
};

std::string_view role_name(Role role) {
  switch (role) {
    case Role::Data: return "data";
    case Role::Weight: return "weight";
    case Role::Bias: return "bias";
    case Role::Scale: return "scale";
    case Role::ZeroPoint: return "zero_point";
    case Role::Index: return "index";
    case Role::Shape: return "shape";
    case Role::Mask: return "mask";
    case Role::State: break;
  }
  return "state";
}

std::string_view kind_name(AttrKind kind) {
  static constexpr std::string_view names[] = {"int",     "float", "bool",   "string",  "dtype",
                                               "number",  "dim",   "ints",   "floats",  "dims",
                                               "strings", "int?",  "float?", "bool?",   "dtype?",
                                               "number?", "dim?",  "dims?",  "floats?", "quantization"};
  return names[static_cast<int>(kind)];
}

std::vector<std::string> targets_of(const OpDef& op) {
  std::vector<std::string> targets;
  for (const pt2::Overload* o : pt2::overloads_of(op.name)) targets.emplace_back(o->target);
  return targets;
}

void write_op(JsonWriter& json, const OpDef& op) {
  json.begin_object().field("name", op.name).field("doc", op.doc).field("trait", trait_name(op.trait));
  json.field("integer_form", op.has(kIntegerForm)).field("executable", op.eval != nullptr);
  json.key("operands").begin_array();
  for (const OperandDef& o : op.operands) {
    json.begin_object()
        .field("name", o.name)
        .field("role", role_name(o.role))
        .field("optional", o.optional)
        .field("variadic", o.variadic)
        .end_object();
  }
  json.end_array().key("attributes").begin_array();
  if (op.attrs != nullptr)
    for (const AttrField& f : op.attrs->fields)
      json.begin_object().field("name", f.name).field("kind", kind_name(f.kind)).end_object();
  json.end_array().key("checks").begin_array();
  for (std::string_view c : op.checks) json.value(c);
  json.end_array().key("pt2").begin_array();
  for (const std::string& t : targets_of(op)) json.value(t);
  json.end_array().end_object();
}

std::string signature_of(const OpDef& op) {
  std::string signature;
  for (const OperandDef& o : op.operands)
    signature += (signature.empty() ? "" : ", ") + std::string(o.name) +
                 (o.variadic   ? "..."
                  : o.optional ? "?"
                               : "");
  return fmt::format("{}({})", op.name, signature);
}

std::string describe(const OpDef& op) {
  std::string out =
      fmt::format("{}\n  {}\n\n  trait         {}\n", signature_of(op), op.doc, trait_name(op.trait));
  out += fmt::format("  integer form  {}\n  executable    {}\n", op.has(kIntegerForm) ? "yes" : "no",
                     op.eval ? "yes" : "no");
  if (op.attrs != nullptr && !op.attrs->fields.empty()) {
    out += "  attributes    ";
    bool first = true;
    for (const AttrField& f : op.attrs->fields) {
      out += fmt::format("{}{}: {}", first ? "" : ", ", f.name, kind_name(f.kind));
      first = false;
    }
    out += '\n';
  }
  for (std::string_view c : op.checks) out += fmt::format("  check         {}.{}\n", op.name, c);
  for (const std::string& t : targets_of(op)) out += fmt::format("  in .pt2       {}\n", t);
  return out;
}

// What archives call the ops, as the operator tables say; a hook's row that names no op is given apart.
std::string coverage() {
  std::map<std::string_view, std::set<std::string_view>> by_op;
  std::set<std::string_view> others;
  for (const pt2::Overload* o : pt2::all_overloads()) {
    if (ops::table().find(o->op) != nullptr) by_op[o->op].insert(o->target);
    else others.insert(o->target);
  }
  const auto list = [](const std::set<std::string_view>& targets) {
    std::string text;
    for (const std::string_view t : targets) text += fmt::format("{}`{}`", text.empty() ? "" : ", ", t);
    return text;
  };
  std::string out =
      "# Operators\n\n"
      "Written by `zp op --markdown`; a test says when this page is out of date. The last column lists the\n"
      "operators of torch.export archives that become the operator; in-place forms (`add_.Tensor`) belong "
      "to\n"
      "their functional ones. `zp op NAME` prints attributes and checks as well.\n\n";
  out += fmt::format("{} operators, {} overloads in archives.\n\n", ops::table().all().size(),
                     pt2::all_overloads().size());
  out += "| operator | quantization | integer form | in .pt2 |\n|---|---|---|---|\n";
  for (const OpDef* op : ops::table().all()) {
    const auto found = by_op.find(op->name);
    out += fmt::format("| `{}` | {} | {} | {} |\n", signature_of(*op), trait_name(op->trait),
                       op->has(kIntegerForm) ? "yes" : "", found == by_op.end() ? "" : list(found->second));
  }
  out +=
      "\nTranslated by what their arguments say (casts, convolutions by rank, quantizers), into several\n"
      "operators, or into none: " +
      list(others) + ".\n";
  return out;
}

int run_op(const Options& o) {
  if (o.schemas) {
    for (const OpDef* op : ops::table().all())
      if (pt2::has_integer_form(*op)) fmt::print("{}\n", pt2::integer_schema(*op));
    return 0;
  }
  if (o.markdown) {
    fmt::print("{}", coverage());
    return 0;
  }
  if (o.name.empty()) {
    if (o.json) {
      JsonWriter json(1);
      json.begin_array();
      for (const OpDef* op : ops::table().all()) write_op(json, *op);
      json.end_array();
      fmt::print("{}\n", json.str());
      return 0;
    }
    TextTable table({"operator", "trait", "integer form", "what it is"});
    for (const OpDef* op : ops::table().all()) {
      const std::string doc(op->doc.substr(0, op->doc.find_first_of(".:")));
      table.add({std::string(op->name), std::string(trait_name(op->trait)),
                 op->has(kIntegerForm) ? "yes" : "", doc});
    }
    fmt::print("{}", table.str(0, stdout_is_terminal() ? 140 : 0));
    return 0;
  }
  const OpDef* op = ops::table().find(o.name);
  if (op == nullptr)
    return fail(Error("op.name", "no operator is called '" + o.name + "'; `zp op` lists all"));
  if (o.json) {
    JsonWriter json(1);
    write_op(json, *op);
    fmt::print("{}\n", json.str());
  } else {
    fmt::print("{}", describe(*op));
  }
  return 0;
}

}  // namespace

void add_op(CLI::App& app, Globals& globals) {
  auto o = std::make_shared<Options>();
  CLI::App* cmd = app.add_subcommand("op", "what is known of an operator; without a name, all of them");
  cmd->add_option("NAME", o->name, "canonical name, e.g. conv2d");
  cmd->add_flag("--json", o->json, "as JSON");
  cmd->add_flag("--markdown", o->markdown, "the table of docs/operators.md");
  cmd->add_flag("--schemas", o->schemas,
                "the integer operators as torch is told of them (python/zeropoint_ops.py)");
  cmd->callback([&globals, o] { globals.action = [o] { return run_op(*o); }; });
}

}  // namespace zp::cli
