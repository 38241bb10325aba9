#include "report/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ir/record.h"
#include "ir/tensor.h"
#include "report/table.h"
#include "support/json_writer.h"
#include "support/sha256.h"

namespace zp {

namespace {

template <typename F>
void each_node(const Graph& graph, F&& f) {
  for (Node* n : graph.nodes()) {
    f(*n);
    for (Graph* region : n->regions()) each_node(*region, f);
  }
}

bool is_literal(const Value& v) {
  return v.def() != nullptr && v.def()->is(kConstOp) && v.def()->constant()->kind == ConstantKind::Literal;
}

std::string literal_text(Context& context, const Value& v) {
  auto tensor = constant_tensor(context, *v.def()->constant());
  if (!tensor.ok() || tensor->elements() != 1) return std::string(v.name());
  return is_float(tensor->dtype()) ? fmt::format("{}", tensor->get_double(0))
                                   : fmt::format("{}", tensor->get_int(0));
}

// Names of the nodes that read a value, dequantizes and casts looked through.
void readers(const Value& v, std::vector<std::string>& names) {
  for (const Use* use : v.use_list()) {
    const Node& user = *use->user();
    const std::string_view op = user.op().name;
    if ((op == "dequantize" || op == "storage_cast") && use->index() == 0) {
      readers(*user.result(), names);
    } else if (std::find(names.begin(), names.end(), user.name()) == names.end()) {
      names.emplace_back(user.name());
    }
  }
}

// The quantization a constant has: that of its value, or what the cast behind it says.
const QuantType* constant_quant(const Value& v) {
  if (v.type().quant != nullptr) return v.type().quant;
  for (const Use& use : v.uses()) {
    const Node& user = *use.user();
    if (user.op().name == "storage_cast" && user.result()->type().quant != nullptr)
      return user.result()->type().quant;
  }
  return nullptr;
}

Status write_quant(JsonWriter& json, Context& context, const QuantType& q, std::span<const int64_t> shape) {
  ZP_TRY(const QuantParams params, quant_params(context, q, shape));
  json.begin_object();
  json.field("scheme", q.per_tensor() ? "per_tensor" : q.per_axis() ? "per_axis" : "per_block");
  json.key("axis");
  if (q.per_axis()) json.value(q.axis);
  else json.null();
  json.key("block");
  if (q.per_block()) {
    json.begin_array();
    for (size_t d = 0; d < shape.size(); ++d) json.value(q.block[d] == 0 ? shape[d] : q.block[d]);
    json.end_array();
  } else {
    json.null();
  }
  json.key("scales").begin_array();
  for (double s : params.scales) json.value(s);
  json.end_array();
  json.key("zero_points").begin_array();
  if (q.domain == ZeroPointDomain::Float) {
    for (double z : params.float_zero_points) json.value(z);
  } else {
    for (int64_t z : params.zero_points) json.value(z);
  }
  json.end_array();
  json.field("qmin", q.qmin).field("qmax", q.qmax).field("expressed", dtype_name(q.expressed));
  json.end_object();
  return {};
}

// One byte per element below 8 bits, whatever the storage.
Result<std::string> digest(Context& context, const Constant& c) {
  ZP_TRY(const Tensor tensor, constant_tensor(context, c));
  return sha256_hex(std::span<const std::byte>(tensor.blob().data(), static_cast<size_t>(tensor.bytes())));
}

void write_shape(JsonWriter& json, const Type& type) {
  json.key("shape").begin_array();
  for (const Dim& d : type.shape) {
    if (d.is_known()) json.value(d.value());
    else json.value(d.str());
  }
  json.end_array();
}

void write_value(JsonWriter& json, const Value& v, const std::string& name) {
  json.begin_object().field("name", name).field("type", v.type().str());
  if (v.type().is_tensor()) {
    json.field("dtype", dtype_name(v.type().dtype));
    write_shape(json, v.type());
  }
  json.end_object();
}

Status write_constants(JsonWriter& json, const Model& model) {
  Context& context = *model.context;
  json.key("constants").begin_array();
  for (Node* n : model.graph->nodes()) {
    if (!n->is(kConstOp) || n->constant()->kind == ConstantKind::Literal) continue;
    const Constant& c = *n->constant();
    const Value& v = *n->result();
    const QuantType* q = constant_quant(v);
    json.begin_object().field("name", v.name()).field("dtype", dtype_name(q ? q->storage : c.dtype));
    json.key("shape").begin_array();
    for (int64_t d : c.shape) json.value(d);
    json.end_array();
    json.field("bytes", c.bytes());
    json.key("sha256");
    if (c.stripped) {
      json.null();
    } else {
      ZP_TRY(const std::string hex, digest(context, c));
      json.value(hex);
    }
    json.key("quantization");
    if (q != nullptr && !q->dynamic) {
      if (Status s = write_quant(json, context, *q, c.shape); !s.ok())
        return std::move(std::move(s).error()).at_node(v.name());
    } else {
      json.null();
    }
    std::vector<std::string> users;
    readers(v, users);
    json.key("used_by").begin_array();
    for (const std::string& u : users) json.value(u);
    json.end_array().field("source", c.name).end_object();
  }
  json.end_array();
  return {};
}

void write_nodes(JsonWriter& json, const Model& model) {
  json.key("nodes").begin_array();
  each_node(*model.graph, [&](const Node& n) {
    if (n.is(kConstOp)) return;
    json.begin_object().field("name", n.name()).field("op", op_label(n));
    json.key("inputs").begin_array();
    for (size_t i = 0; i < n.operand_count(); ++i) {
      const Value* v = n.operand(i);
      if (v == nullptr) {
        json.null();
      } else {
        json.value(is_literal(*v) ? literal_text(*model.context, *v) : std::string(v->name()));
      }
    }
    json.end_array().key("outputs").begin_array();
    for (size_t i = 0; i < n.result_count(); ++i) {
      json.begin_object()
          .field("name", n.result(i)->name())
          .field("type", n.result(i)->type().str())
          .end_object();
    }
    json.end_array();
    json.field("source", n.origin() ? n.origin()->target : std::string_view());
    json.field("module", n.origin() ? n.origin()->module : std::string_view());
    if (n.origins().size() > 1) {
      json.key("sources").begin_array();
      for (const std::string& s : source_names(n)) json.value(s);
      json.end_array();
    }
    json.end_object();
  });
  json.end_array();
}

std::string user_name(const Model& model, size_t i) {
  return model.inputs[i].user_name.empty() ? std::string(model.graph->inputs()[i]->name())
                                           : model.inputs[i].user_name;
}

struct ConstantSummary {
  int64_t count = 0;
  uint64_t bytes = 0, quantized_bytes = 0;
  std::map<std::string, std::pair<int64_t, uint64_t>> by_type;
};

ConstantSummary summarize_constants(const Model& model) {
  ConstantSummary s;
  std::set<const std::byte*> seen;  // tied storage counts once
  for (Node* n : model.graph->nodes()) {
    if (!n->is(kConstOp) || n->constant()->kind == ConstantKind::Literal) continue;
    const Constant& c = *n->constant();
    const auto bytes = static_cast<uint64_t>(c.bytes());
    const QuantType* q = constant_quant(*n->result());
    ++s.count;
    std::string kind(dtype_name(q ? q->storage : c.dtype));
    if (q != nullptr) kind += q->per_tensor() ? ", per tensor" : q->per_axis() ? ", per axis" : ", per block";
    auto& entry = s.by_type[kind];
    ++entry.first;
    if (!seen.insert(c.storage.data() + c.offset).second && !c.storage.empty()) continue;
    entry.second += bytes;
    s.bytes += bytes;
    if (q != nullptr) s.quantized_bytes += bytes;
  }
  return s;
}

}  // namespace

std::map<std::string, int64_t> count_ops(const Model& model) {
  std::map<std::string, int64_t> ops;
  each_node(*model.graph, [&](const Node& n) {
    if (!n.is(kConstOp)) ++ops[std::string(op_label(n))];
  });
  return ops;
}

std::map<std::string, int64_t> count_unknown(const Model& model) {
  std::map<std::string, int64_t> ops;
  each_node(*model.graph, [&](const Node& n) {
    if (n.is(kOpaqueOp)) ++ops[std::string(op_label(n))];
  });
  return ops;
}

uint64_t count_nodes(const Model& model) {
  uint64_t count = 0;
  each_node(*model.graph, [&](const Node& n) { count += !n.is(kConstOp); });
  return count;
}

Result<std::string> inspect_json(const Model& model, const InspectOptions& options) {
  JsonWriter json(1);
  json.begin_object()
      .field("format", model.format)
      .field("producer", model.producer)
      .field("path", model.path);
  json.field("bytes", model.file_bytes);
  json.key("inputs").begin_array();
  for (size_t i : model.user_inputs()) write_value(json, *model.graph->inputs()[i], user_name(model, i));
  json.end_array().key("outputs").begin_array();
  for (size_t i : model.user_outputs()) {
    const Value* v = model.graph->output(i);
    if (v == nullptr) json.null();
    else write_value(json, *v, std::string(v->name()));
  }
  json.end_array();
  json.field("node_count", count_nodes(model));
  json.key("ops").begin_object();
  for (const auto& [name, count] : count_ops(model)) json.field(name, count);
  json.end_object().key("unknown_ops").begin_object();
  for (const auto& [name, count] : count_unknown(model)) json.field(name, count);
  json.end_object();
  const ConstantSummary constants = summarize_constants(model);
  json.key("constant_bytes")
      .begin_object()
      .field("total", constants.bytes)
      .field("quantized", constants.quantized_bytes)
      .end_object();
  if (options.nodes) write_nodes(json, model);
  if (options.constants) ZP_CHECK(write_constants(json, model));
  json.end_object();
  return json.take();
}

Result<std::string> inspect_text(const Model& model, const InspectOptions& options) {
  std::string out = fmt::format("{}  {}{}  {}\n", model.path, model.format,
                                model.producer.empty() ? "" : " by " + model.producer,
                                human_bytes(static_cast<double>(model.file_bytes)));
  for (size_t i : model.user_inputs())
    out += fmt::format("  input   {}: {}\n", user_name(model, i), model.graph->inputs()[i]->type().str());
  for (size_t i : model.user_outputs()) {
    const Value* v = model.graph->output(i);
    out +=
        v ? fmt::format("  output  {}: {}\n", v->name(), v->type().str()) : std::string("  output  none\n");
  }
  const ConstantSummary constants = summarize_constants(model);
  out += fmt::format("\n{} nodes, {} constants of {}, {} of it quantized\n\n", count_nodes(model),
                     constants.count, human_bytes(static_cast<double>(constants.bytes)),
                     human_bytes(static_cast<double>(constants.quantized_bytes)));
  TextTable ops({"operator", "count"});
  for (const auto& [name, count] : count_ops(model)) ops.add({name, std::to_string(count)});
  out += ops.str(2);
  if (!constants.by_type.empty()) {
    TextTable types({"constants", "count", "size"});
    for (const auto& [kind, entry] : constants.by_type)
      types.add({kind, std::to_string(entry.first), human_bytes(static_cast<double>(entry.second))});
    out += "\n" + types.str(2);
  }
  if (const auto unknown = count_unknown(model); !unknown.empty()) {
    TextTable table({"unknown operator", "count"});
    for (const auto& [name, count] : unknown) table.add({name, std::to_string(count)});
    out += "\n" + table.str(2);
  }
  if (options.nodes) {
    TextTable table({"node", "op", "result", "module"});
    each_node(*model.graph, [&](const Node& n) {
      if (n.is(kConstOp)) return;
      table.add({std::string(n.name()), std::string(op_label(n)),
                 n.result_count() ? n.result()->type().str() : "-",
                 n.origin() ? std::string(n.origin()->module) : ""});
    });
    out += "\n" + table.str(2);
  }
  if (options.constants) {
    TextTable table({"constant", "type", "source", "bytes"});
    for (Node* n : model.graph->nodes()) {
      if (!n->is(kConstOp) || n->constant()->kind == ConstantKind::Literal) continue;
      table.add({std::string(n->result()->name()), n->result()->type().str(),
                 std::string(n->constant()->name), std::to_string(n->constant()->bytes())});
    }
    out += "\n" + table.str(2);
  }
  return out;
}

std::string inspect_dot(const Model& model) {
  std::string out = "digraph model {\n  rankdir=TB; node [shape=box, fontname=\"monospace\", fontsize=10];\n";
  auto quoted = [](std::string_view text) { return json_quote(text); };
  for (Value* v : model.graph->inputs()) {
    out += fmt::format("  {} [label={}, style=filled, fillcolor=lightblue];\n", quoted(v->name()),
                       quoted(std::string(v->name()) + "\\n" + v->type().str()));
  }
  for (Node* n : model.graph->nodes()) {
    if (n->is(kConstOp)) continue;
    out += fmt::format("  {} [label={}];\n", quoted(n->name()), quoted(op_label(*n)));
    for (size_t i = 0; i < n->operand_count(); ++i) {
      const Value* v = n->operand(i);
      if (v == nullptr || (v->def() != nullptr && v->def()->is(kConstOp))) continue;
      const std::string_view from = v->def() ? v->def()->name() : v->name();
      out += fmt::format("  {} -> {} [label={}, fontsize=8];\n", quoted(from), quoted(n->name()),
                         quoted(v->type().str()));
    }
  }
  return out + "}\n";
}

}  // namespace zp
