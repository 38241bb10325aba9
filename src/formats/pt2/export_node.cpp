#include "formats/pt2/export_node.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "formats/pt2/argument_json.h"
#include "formats/pt2/integer_form.h"
#include "ops/ops.h"

namespace zp::pt2 {
namespace {

const Constant* literal_of(const Value* value) {
  if (value == nullptr || value->def() == nullptr || !value->def()->is(kConstOp)) return nullptr;
  const Constant* constant = value->def()->constant();
  return constant != nullptr && constant->kind == ConstantKind::Literal && constant->shape.empty() ? constant
                                                                                                   : nullptr;
}

std::optional<Number> literal_number(const Constant& constant) {
  const std::byte* at = constant.storage.data();
  if (static_cast<int64_t>(constant.storage.size()) < byte_size(constant.dtype)) return {};
  const auto read = [&](auto value) {
    std::memcpy(&value, at, sizeof(value));
    return value;
  };
  switch (constant.dtype) {
    case DType::Bool: return Number::of_bool(read(uint8_t{}) != 0);
    case DType::I64: return Number::of_int(read(int64_t{}));
    case DType::I32: return Number::of_int(read(int32_t{}));
    case DType::F32: return Number::of_float(static_cast<double>(read(float{})));
    case DType::F64: return Number::of_float(read(double{}));
    default: return {};
  }
}

// Operators whose tensor arguments may be plain numbers (torch/csrc/utils/tensor_numpy and its list of
// names).
bool takes_numbers(std::string_view target) {
  constexpr std::string_view kNames[] = {
      "aten.add.Tensor",      "aten.sub.Tensor",         "aten.mul.Tensor",          "aten.div.Tensor",
      "aten.div.Tensor_mode", "aten.true_divide.Tensor", "aten.floor_divide.default"};
  return std::find(std::begin(kNames), std::end(kNames), target) != std::end(kNames);
}

// These fail where the strides of their operand do not suit, and passes remove what made them suit.
bool needs_strides(std::string_view target) {
  constexpr std::string_view kNames[] = {"aten.view.default", "aten._unsafe_view.default",
                                         "aten.view_copy.default"};
  return std::find(std::begin(kNames), std::end(kNames), target) != std::end(kNames);
}

}  // namespace

// The memory of one node's texts serves the next one.
NodeWriter::NodeWriter(GraphWriter& graph, const Node& node)
    : graph_(graph), node_(node), text_(std::move(graph.spare_)) {
  text_.target.clear();
  text_.args.clear();
  text_.outputs.clear();
  text_.metadata = "{}";
  text_.single_return = -1;
  text_.name.clear();
}

NodeWriter::~NodeWriter() { graph_.spare_ = std::move(text_); }

void NodeWriter::raw(std::string_view arg, std::string json, bool keyword) {
  text_.args.push_back({arg, std::move(json), keyword});
}

Status NodeWriter::tensor(std::string_view arg, const Value* value, bool keyword) {
  if (value == nullptr) {
    raw(arg, kNoneJson, keyword);
    return {};
  }
  ZP_TRY(std::string json, graph_.argument(value));
  raw(arg, std::move(json), keyword);
  return {};
}

Status NodeWriter::number_or_tensor(std::string_view arg, const Value* value) {
  const Constant* literal = literal_of(value);
  const std::optional<Number> number = literal != nullptr ? literal_number(*literal) : std::nullopt;
  if (!number) return tensor(arg, value);
  raw(arg, number_json(*number));
  return {};
}

Status NodeWriter::tensors(std::string_view arg, std::span<const Value* const> values) {
  const bool gaps = std::find(values.begin(), values.end(), nullptr) != values.end();
  JsonWriter json;
  json.begin_array();
  for (const Value* value : values) {
    if (value == nullptr) {
      json.raw(kNoneJson);
      continue;
    }
    ZP_TRY(const std::string name, graph_.name_of(value));
    if (gaps) json.begin_object().key("as_tensor");
    json.begin_object().field("name", name).end_object();
    if (gaps) json.end_object();
  }
  raw(arg, variant(gaps ? "as_optional_tensors" : "as_tensors", json.end_array().str()));
  return {};
}

Status NodeWriter::constant(std::string_view arg, const Constant* constant) {
  if (constant == nullptr) {
    none(arg);
    return {};
  }
  ZP_TRY(const std::string name, graph_.placeholder(*constant));
  raw(arg, tensor_json(name));
  return {};
}

void NodeWriter::integer(std::string_view arg, int64_t value) { raw(arg, int_json(value)); }
void NodeWriter::number(std::string_view arg, double value) { raw(arg, float_json(value)); }
void NodeWriter::boolean(std::string_view arg, bool value) { raw(arg, bool_json(value)); }
void NodeWriter::text(std::string_view arg, std::string_view value) { raw(arg, string_json(value)); }
void NodeWriter::integers(std::string_view arg, std::span<const int64_t> values) {
  raw(arg, list_json("as_ints", values));
}
void NodeWriter::dtype(std::string_view arg, DType dtype, bool keyword) {
  raw(arg, dtype_json(dtype), keyword);
}

Status NodeWriter::dims(std::string_view arg, std::span<const Dim> values, bool keyword) {
  std::vector<int64_t> numbers;
  for (const Dim d : values)
    if (d.is_known()) numbers.push_back(d.value());
  if (numbers.size() == values.size()) {
    raw(arg, list_json("as_ints", numbers), keyword);
    return {};
  }
  JsonWriter json;
  json.begin_array();
  for (const Dim d : values) {
    ZP_TRY(const std::string item, graph_.sym_int(d));
    json.raw(item);
  }
  raw(arg, variant("as_sym_ints", json.end_array().str()), keyword);
  return {};
}

Status NodeWriter::finish(int results, bool list) {
  JsonWriter outputs;
  outputs.begin_array();
  if (list) outputs.begin_object().key("as_tensors").begin_array();
  const size_t count = node_.result_count();
  if (auto own = graph_.node_names_.find(&node_); own != graph_.node_names_.end()) {
    text_.name = own->second;
  } else {
    const bool several = results > 1 || list;
    text_.name = several ? graph_.names_.unique(std::string(node_.name()) + "_node")
                         : graph_.value_names_.at(node_.result());
  }
  for (size_t i = 0; i < count; ++i) {
    const Value* value = node_.result(i);
    const std::string_view name = graph_.value_names_.at(value);
    if (list) {
      outputs.begin_object().field("name", name).end_object();
      continue;
    }
    switch (value->type().kind) {
      case TypeKind::None: outputs.raw(kNoneJson); continue;
      case TypeKind::Int:
        outputs.raw(variant("as_sym_int", fmt::format("{{\"as_name\": \"{}\"}}", name)));
        continue;
      case TypeKind::Float:
        outputs.raw(variant("as_sym_float", fmt::format("{{\"as_name\": \"{}\"}}", name)));
        continue;
      case TypeKind::Bool:
        outputs.raw(variant("as_sym_bool", fmt::format("{{\"as_name\": \"{}\"}}", name)));
        continue;
      default: outputs.raw(tensor_json(name));
    }
  }
  for (int i = static_cast<int>(count); i < results && !list; ++i) {
    Type nothing;
    nothing.dtype = DType::F32;
    const int64_t empty[] = {0};
    nothing.shape = graph_.context().dims_of(empty);
    const std::string name = graph_.declare_tensor(fmt::format("{}_unused_{}", text_.name, i), nothing);
    outputs.raw(tensor_json(name));
  }
  if (list) outputs.end_array().end_object();
  text_.outputs = outputs.end_array().take();
  graph_.emit(text_);
  return {};
}

Result<std::optional<std::string>> NodeWriter::tensor_list(const ArgSpec& arg) {
  std::vector<const Value*> values;
  const size_t begin = static_cast<size_t>(arg.operand);
  const size_t end = arg.fixed_size > 0 ? begin + static_cast<size_t>(arg.fixed_size) : node_.operand_count();
  bool gaps = false;
  for (size_t i = begin; i < end; ++i) {
    values.push_back(node_.operand(i));
    gaps |= node_.operand(i) == nullptr;
  }
  if (gaps && !arg.optional_items) {
    why_ = fmt::format("operand {} is absent", begin);
    return std::optional<std::string>();
  }
  const size_t count = text_.args.size();
  ZP_CHECK(tensors(arg.name, values));
  std::string json = std::move(text_.args.back().json);
  text_.args.resize(count);
  return std::optional(std::move(json));
}

Result<std::optional<std::string>> NodeWriter::operand_json(const Overload& row, const ArgSpec& arg,
                                                            Fit fit) {
  const std::optional<std::string> no;
  if (arg.list) return tensor_list(arg);
  const Value* value = node_.operand(static_cast<size_t>(arg.operand));
  if (value == nullptr) {
    if (arg.optional) return std::optional(kNoneJson);
    why_ = fmt::format("operand {} is absent, {} needs it", arg.operand, row.target);
    return no;
  }
  const Constant* literal = literal_of(value);
  const std::optional<Number> number = literal != nullptr ? literal_number(*literal) : std::nullopt;
  if (arg.kind != ArgKind::Tensor) {
    if (number) return std::optional(number_json(*number));
    why_ = fmt::format("operand {} is no number, {} wants one", arg.operand, row.target);
    return no;
  }
  if (number && takes_numbers(row.target)) return std::optional(number_json(*number));
  if (literal != nullptr && fit == Fit::Strict) {
    why_ = fmt::format("operand {} is a number, {} wants a tensor", arg.operand, row.target);
    return no;
  }
  ZP_TRY(std::string json, graph_.argument(value));
  return std::optional(std::move(json));
}

Result<bool> NodeWriter::try_row(const Overload& row, const SourceNode* source, Fit fit) {
  text_.args.clear();
  if (!fixed_hold(row) || !others_default(row)) return false;
  const bool same_row = source != nullptr && source->overload == &row;
  struct Entry {
    const ArgSpec* arg;
    std::string json;
    bool written;  // false: may be left out
  };
  std::vector<Entry> entries;
  size_t covered = 0;
  for (const ArgSpec& arg : row.args) {
    std::optional<std::string> json;
    bool written = true;
    switch (arg.to) {
      case ArgSpec::Operand: {
        ZP_TRY(json, operand_json(row, arg, fit));
        covered = std::max(covered, arg.list && arg.fixed_size == 0
                                        ? node_.operand_count()
                                        : static_cast<size_t>(arg.operand) +
                                              static_cast<size_t>(arg.list ? arg.fixed_size : 1));
        break;
      }
      case ArgSpec::Attribute: {
        ZP_TRY(json, attribute_json(arg));
        break;
      }
      case ArgSpec::Fixed: json = literal_json(arg, arg.literal); break;
      case ArgSpec::Dropped:
        if (same_row) json = raw_argument(source->inputs, arg.name);
        if (!json && !arg.literal.empty()) json = literal_json(arg, arg.literal);
        if (!json && arg.has_default) {
          json = literal_json(arg, arg.default_text);
          written = false;
        }
        break;
    }
    if (!json) {
      if (why_.empty()) why_ = fmt::format("{} needs {}", row.target, arg.name);
      return false;
    }
    if (arg.has_default && *json == literal_json(arg, arg.default_text)) written = false;
    entries.push_back({&arg, std::move(*json), written});
  }
  for (size_t i = covered; i < node_.operand_count(); ++i) {
    if (node_.operand(i) == nullptr) continue;
    why_ = fmt::format("{} has no place for operand {}", row.target, i);
    return false;
  }
  // Positional arguments are written up to the last one that matters: none may be missing before it.
  size_t positional = 0;
  for (size_t i = 0; i < entries.size(); ++i)
    if (!entries[i].arg->keyword_only && entries[i].written) positional = i + 1;
  for (size_t i = 0; i < entries.size(); ++i) {
    const bool keyword = entries[i].arg->keyword_only;
    if (keyword ? entries[i].written : i < positional)
      raw(entries[i].arg->name, std::move(entries[i].json), keyword);
  }
  target(row.target);
  ZP_CHECK(finish(row.results, row.list_result));
  return true;
}

Status NodeWriter::write_rows(const SourceNode* source) {
  if (source != nullptr && source->overload != nullptr && source->overload->op == node_.op().name &&
      source->overload->hook.empty() && !needs_strides(source->overload->target)) {
    ZP_TRY(const bool done, try_row(*source->overload, source, Fit::Strict));
    if (done) return {};
  }
  std::string first;
  for (const Fit fit : {Fit::Strict, Fit::Loose}) {
    for (const Overload* row : overloads_of(node_.op().name)) {
      if (!row->hook.empty() || needs_strides(row->target)) continue;
      why_.clear();
      ZP_TRY(const bool done, try_row(*row, nullptr, fit));
      if (done) return {};
      if (first.empty()) first = why_;
    }
  }
  if (first.empty()) first = "no operator of torch has this form";
  return Error("export.op", fmt::format("{} cannot be written: {}", node_.op().name, first));
}

Status NodeWriter::write() {
  const SourceNode* source = source_node(node_, graph_.source());
  if (source != nullptr) text_.metadata = source->metadata;
  // An operator of a target that a pass made has a source too, of which it is no copy.
  if (node_.is(kOpaqueOp))
    return write_opaque(source != nullptr && source->op == &kOpaqueOp ? source : nullptr);
  if (computes_on_quantized(node_)) return write_integer_form(*this);
  if (const ExportHook hook = find_export_hook(node_)) return hook(*this);
  return write_rows(source);
}

namespace {

// Operands of an opaque node by the names they had.
class OpaqueNames : public Renamer {
 public:
  OpaqueNames(GraphWriter& graph, const Node& node, std::span<const std::string_view> names)
      : graph_(graph), node_(node) {
    for (size_t i = 0; i < names.size(); ++i) slots_[std::string(names[i])].push_back(i);
  }
  Result<std::string> tensor(std::string_view name) override {
    auto found = slots_.find(std::string(name));
    if (found == slots_.end()) return Error("export.opaque", fmt::format("no operand stands for '{}'", name));
    const std::vector<size_t>& slots = found->second;
    size_t& turn = turns_[found->first];
    const Value* value = node_.operand(slots[std::min(turn, slots.size() - 1)]);
    ++turn;
    if (value == nullptr) return Error("export.opaque", fmt::format("the operand for '{}' is absent", name));
    return graph_.name_of(value);
  }
  Result<std::string> number(std::string_view name) override {
    if (slots_.contains(std::string(name))) {
      ZP_TRY(const std::string now, tensor(name));
      return fmt::format("{{\"as_name\": \"{}\"}}", now);
    }
    if (const Pt2Source* source = graph_.source()) {
      if (auto found = source->symbol_values.find(name); found != source->symbol_values.end())
        return graph_.sym_int(found->second);
    }
    return Error("export.opaque", fmt::format("nothing is known of the number '{}'", name));
  }

 private:
  GraphWriter& graph_;
  const Node& node_;
  std::unordered_map<std::string, std::vector<size_t>> slots_;
  std::unordered_map<std::string, size_t> turns_;
};

}  // namespace

Status NodeWriter::write_opaque(const SourceNode* source) {
  const OpaqueAttrs& attrs = node_.attrs<OpaqueAttrs>();
  const std::string_view inputs = source != nullptr ? source->inputs : attrs.payload;
  std::vector<std::string_view> names;
  std::vector<std::string> found;
  if (source != nullptr && source->operands.size() == node_.operand_count()) {
    names.assign(source->operands.begin(), source->operands.end());
  } else {
    ZP_TRY(found, tensor_names(inputs));
    if (found.size() != node_.operand_count()) {
      return Error("export.opaque", fmt::format("{} names {} tensors, the node has {} operands", attrs.target,
                                                found.size(), node_.operand_count()));
    }
    names.assign(found.begin(), found.end());
  }
  text_.target = source != nullptr ? source->target : attrs.target;
  if (!text_.target.starts_with("torch.") && !text_.target.starts_with("_operator.") &&
      !text_.target.starts_with("math.")) {
    text_.target = "torch.ops." + text_.target;
  }
  if (source != nullptr) text_.single_return = source->single_return;
  OpaqueNames renamer(graph_, node_, names);
  ZP_TRY(text_.args, rename_arguments(inputs, graph_.context(), renamer));
  const bool list = source != nullptr && source->outputs.find("\"as_tensors\"") != std::string_view::npos;
  return finish(static_cast<int>(node_.result_count()), list);
}

}  // namespace zp::pt2
