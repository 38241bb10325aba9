#include "formats/pt2/integer_form.h"

#include <fmt/format.h>

#include <charconv>
#include <type_traits>

#include "ops/ops.h"
#include "ops/quant.h"
#include "support/text_format.h"

namespace zp::pt2 {

bool computes_on_quantized(const Node& node) {
  const QuantType* quant = nullptr;
  bool mixed = false, quantized = false;
  const auto look = [&](const Value* value) {
    if (value == nullptr || !value->type().is_tensor()) return;
    const Type& type = value->type();
    if (type.quant != nullptr && quant != nullptr && type.quant != quant) mixed = true;
    if (type.quant != nullptr) quant = type.quant;
    else if (is_float(type.dtype)) mixed = true;
    quantized |= type.quant != nullptr;
  };
  for (size_t i = 0; i < node.operand_count(); ++i) look(node.operand(i));
  for (size_t i = 0; i < node.result_count(); ++i) look(node.result(i));
  if (!quantized || node.op().trait == Trait::ShapeOnly || node.op().trait == Trait::Quantizer) return false;
  return node.op().trait != Trait::SameQparams || mixed;
}

namespace {

// The parameters of one node, each tensor once.
class Parameters {
 public:
  explicit Parameters(GraphWriter& graph) : graph_(graph) {}

  Result<size_t> number_of(const Constant& constant) {
    ZP_TRY(std::string name, graph_.placeholder(constant));
    return add(std::move(name));
  }
  Result<size_t> number_of(const Value* value) {
    ZP_TRY(std::string name, graph_.name_of(value));
    return add(std::move(name));
  }
  std::string json() const {
    JsonWriter json;
    json.begin_object().key("as_tensors").begin_array();
    for (const std::string& name : names_) json.begin_object().field("name", name).end_object();
    return json.end_array().end_object().take();
  }

 private:
  size_t add(std::string name) {
    for (size_t i = 0; i < names_.size(); ++i)
      if (names_[i] == name) return i;
    names_.push_back(std::move(name));
    return names_.size() - 1;
  }
  GraphWriter& graph_;
  std::vector<std::string> names_;
};

Result<std::string> quant_text(const Value* value, Parameters& parameters) {
  if (value == nullptr || value->type().quant == nullptr) return std::string();
  const QuantType& q = *value->type().quant;
  std::string text =
      fmt::format("{} {} {} {}", dtype_name(q.storage), q.qmin, q.qmax, dtype_name(q.expressed));
  if (q.axis >= 0) text += fmt::format(" axis={}", q.axis);
  if (q.per_block()) {
    text += " block=";
    for (size_t d = 0; d < q.block.size(); ++d) text += fmt::format("{}{}", d ? "," : "", q.block[d]);
  }
  if (q.domain != ZeroPointDomain::Integer)
    text += q.domain == ZeroPointDomain::Float ? " domain=float" : " domain=none";
  if (q.scale_dtype != DType::F32) text += fmt::format(" scale_dtype={}", dtype_name(q.scale_dtype));
  if (q.dynamic) {
    text += " dynamic";
    const Node* maker = value->def();
    if (maker == nullptr || !maker->is(ops::quantize) || maker->operand(1) == nullptr) return text;
    ZP_TRY(const size_t scale, parameters.number_of(maker->operand(1)));
    text += fmt::format(" scales={}", scale);
    if (maker->operand(2) == nullptr) return text;
    ZP_TRY(const size_t zero_point, parameters.number_of(maker->operand(2)));
    return text + fmt::format(" zero_points={}", zero_point);
  }
  if (q.scales == nullptr) return text + fmt::format(" scale={} zero_point={}", q.scale, q.zero_point);
  ZP_TRY(const size_t scales, parameters.number_of(*q.scales));
  text += fmt::format(" scales={}", scales);
  if (q.zero_points == nullptr) return text;
  ZP_TRY(const size_t zero_points, parameters.number_of(*q.zero_points));
  return text + fmt::format(" zero_points={}", zero_points);
}

Status write_attribute(NodeWriter& writer, const AttrField& field, const void* attrs) {
  const std::string_view name = field.name;
  switch (field.kind) {
    case AttrKind::Int: writer.integer(name, attr_ref<int64_t>(attrs, field)); return {};
    case AttrKind::Float: writer.number(name, attr_ref<double>(attrs, field)); return {};
    case AttrKind::Bool: writer.boolean(name, attr_ref<bool>(attrs, field)); return {};
    case AttrKind::String: writer.text(name, attr_ref<std::string_view>(attrs, field)); return {};
    case AttrKind::DType: writer.dtype(name, attr_ref<DType>(attrs, field)); return {};
    case AttrKind::Number: writer.raw(name, number_json(attr_ref<Number>(attrs, field))); return {};
    case AttrKind::Ints: writer.integers(name, attr_ref<List<int64_t>>(attrs, field)); return {};
    case AttrKind::Dims: return writer.dims(name, attr_ref<List<Dim>>(attrs, field));
    case AttrKind::OptInt: writer.integer(name, *attr_ref<std::optional<int64_t>>(attrs, field)); return {};
    case AttrKind::OptFloat: writer.number(name, *attr_ref<std::optional<double>>(attrs, field)); return {};
    case AttrKind::OptBool: writer.boolean(name, *attr_ref<std::optional<bool>>(attrs, field)); return {};
    case AttrKind::OptDType: writer.dtype(name, *attr_ref<std::optional<DType>>(attrs, field)); return {};
    case AttrKind::OptNumber:
      writer.raw(name, number_json(*attr_ref<std::optional<Number>>(attrs, field)));
      return {};
    case AttrKind::OptDims: return writer.dims(name, *attr_ref<std::optional<List<Dim>>>(attrs, field));
    case AttrKind::OptFloats:
    case AttrKind::Floats: {
      const List<double> values = field.kind == AttrKind::Floats
                                      ? attr_ref<List<double>>(attrs, field)
                                      : *attr_ref<std::optional<List<double>>>(attrs, field);
      JsonWriter json;
      json.begin_object().key("as_floats").begin_array();
      for (const double v : values) json.value(v);
      writer.raw(name, json.end_array().end_object().take());
      return {};
    }
    default: return Error("export.integer", fmt::format("attribute {} has no form in archives", name));
  }
}

// The words of a quantization text.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

template <typename T>
bool read_number(std::string_view text, T* value) {
  const auto done = std::from_chars(text.data(), text.data() + text.size(), *value);
  return done.ec == std::errc() && done.ptr == text.data() + text.size();
}

bool read_block(std::string_view text, std::vector<int64_t>* block) {
  while (true) {
    const size_t end = std::min(text.find(','), text.size());
    int64_t extent = 0;
    if (!read_number(text.substr(0, end), &extent) || extent < 0 || block->size() > 64) return false;
    block->push_back(extent);
    if (end == text.size()) return true;
    text.remove_prefix(end + 1);
  }
}

bool read_word(std::string_view key, std::string_view value, QuantType* q, std::vector<int64_t>* block,
               std::span<const Constant* const> parameters) {
  size_t number = 0;
  if (key == "dynamic") return q->dynamic = true;
  if (key == "axis") return read_number(value, &q->axis) && q->axis >= 0;
  if (key == "block") return read_block(value, block);
  if (key == "scale") return read_number(value, &q->scale);
  if (key == "zero_point") return read_number(value, &q->zero_point);
  if (key == "domain") {
    q->domain = value == "float" ? ZeroPointDomain::Float : ZeroPointDomain::None;
    return value == "float" || value == "none";
  }
  if (key == "scale_dtype") {
    const auto dtype = dtype_from_name(value);
    if (dtype) q->scale_dtype = *dtype;
    return dtype.has_value();
  }
  if (key != "scales" && key != "zero_points") return false;
  if (!read_number(value, &number) || number >= parameters.size()) return false;
  if (q->dynamic) return true;  // values of the graph: the operand's own type knows them
  (key == "scales" ? q->scales : q->zero_points) = parameters[number];
  return parameters[number] != nullptr;
}

Result<const QuantType*> read_quant(Context& context, std::string_view text,
                                    std::span<const Constant* const> parameters) {
  const std::vector<std::string_view> words = words_of(text);
  if (words.empty()) return static_cast<const QuantType*>(nullptr);
  QuantType q;
  std::vector<int64_t> block;
  bool right = words.size() >= 4;
  const auto storage = right ? dtype_from_name(words[0]) : std::nullopt,
             expressed = right ? dtype_from_name(words[3]) : std::nullopt;
  right = right && storage && expressed && read_number(words[1], &q.qmin) && read_number(words[2], &q.qmax);
  for (size_t i = 4; right && i < words.size(); ++i) {
    const size_t equal = std::min(words[i].find('='), words[i].size());
    right = read_word(words[i].substr(0, equal), words[i].substr(std::min(equal + 1, words[i].size())), &q,
                      &block, parameters);
  }
  if (!right)
    return Error("pt2.integer", fmt::format("cannot read the quantization '{}'", text.substr(0, 200)));
  q.storage = *storage;
  q.expressed = *expressed;
  q.block = List<int64_t>(block.data(), block.size());
  if (q.scales != nullptr) q.scale_dtype = q.scales->dtype;
  return context.quant(q);
}

}  // namespace

bool has_integer_form(const OpDef& op) { return op.has(kIntegerForm) && op.trait != Trait::ShapeOnly; }

namespace {

template <typename T>
std::string list_text(const List<T>& items) {
  std::string text;
  for (const T& item : items) {
    text += text.empty() ? "" : ", ";
    if constexpr (std::is_same_v<T, Dim>) text += item.str();
    else if constexpr (std::is_same_v<T, double>) text += shortest(item, true);
    else text += std::to_string(item);
  }
  return "[" + text + "]";
}

std::string bool_text(bool value) { return value ? "True" : "False"; }

std::string number_text(const Number& n) {
  return n.kind == Number::Bool  ? bool_text(n.i != 0)
         : n.kind == Number::Int ? std::to_string(n.i)
                                 : shortest(n.f, true);
}

// Type and default of an attribute in a schema.
std::string attribute_schema(const AttrField& field, const void* defaults) {
  const auto optional = [&](std::string_view type, const auto& value, const auto& text) {
    return fmt::format("{}? {}={}", type, field.name, value ? text(*value) : std::string("None"));
  };
  const auto plain = [&](std::string_view type, const std::string& value) {
    return fmt::format("{} {}={}", type, field.name, value);
  };
  const auto real = [](double v) { return shortest(v, true); };
  switch (field.kind) {
    case AttrKind::Int: return plain("int", std::to_string(attr_ref<int64_t>(defaults, field)));
    case AttrKind::Float: return plain("float", real(attr_ref<double>(defaults, field)));
    case AttrKind::Bool: return plain("bool", bool_text(attr_ref<bool>(defaults, field)));
    case AttrKind::String:
      return plain("str", fmt::format("\"{}\"", attr_ref<std::string_view>(defaults, field)));
    case AttrKind::Number: return plain("Scalar", number_text(attr_ref<Number>(defaults, field)));
    case AttrKind::Ints: return plain("int[]", list_text(attr_ref<List<int64_t>>(defaults, field)));
    case AttrKind::Floats: return plain("float[]", list_text(attr_ref<List<double>>(defaults, field)));
    case AttrKind::Dims: return plain("SymInt[]", list_text(attr_ref<List<Dim>>(defaults, field)));
    case AttrKind::OptInt:
      return optional("int", attr_ref<std::optional<int64_t>>(defaults, field),
                      [](int64_t v) { return std::to_string(v); });
    case AttrKind::OptFloat: return optional("float", attr_ref<std::optional<double>>(defaults, field), real);
    case AttrKind::OptBool:
      return optional("bool", attr_ref<std::optional<bool>>(defaults, field), bool_text);
    case AttrKind::OptNumber:
      return optional("Scalar", attr_ref<std::optional<Number>>(defaults, field), number_text);
    case AttrKind::OptDims:
      return optional("SymInt[]", attr_ref<std::optional<List<Dim>>>(defaults, field),
                      [](const List<Dim>& l) { return list_text(l); });
    case AttrKind::OptFloats:
      return optional("float[]", attr_ref<std::optional<List<double>>>(defaults, field),
                      [](const List<double>& l) { return list_text(l); });
    case AttrKind::DType:
    case AttrKind::OptDType: return fmt::format("ScalarType? {}=None", field.name);
    default: return {};
  }
}

}  // namespace

std::string integer_schema(const OpDef& op) {
  std::string text = std::string(op.name) + "(";
  for (const OperandDef& operand : op.operands) {
    const std::string_view type = operand.variadic ? "Tensor[]" : operand.optional ? "Tensor?" : "Tensor";
    text += fmt::format("{} {}, ", type, operand.name);
  }
  text += "*, ";
  if (op.attrs != nullptr) {
    for (const AttrField& field : op.attrs->fields) {
      const std::string attribute = attribute_schema(field, op.attrs->defaults);
      if (!attribute.empty()) text += attribute + ", ";
    }
  }
  text += "str[] quantization, Tensor[] parameters) -> ";
  if (op.results.size() < 2) return text + "Tensor";
  std::string results;
  for (std::string_view name : op.results)
    results += fmt::format("{}Tensor {}", results.empty() ? "" : ", ", name);
  return text + "(" + results + ")";
}

Status write_integer_form(NodeWriter& writer) {
  const Node& node = writer.node();
  const OpDef& op = node.op();
  Parameters parameters(writer.graph());
  writer.target("zp." + std::string(op.name) + ".default");
  JsonWriter quantization;
  quantization.begin_object().key("as_strings").begin_array();
  const auto describe = [&](const Value* value) -> Status {
    ZP_TRY(const std::string text, quant_text(value, parameters));
    quantization.value(text);
    return {};
  };
  for (size_t k = 0; k < op.operands.size(); ++k) {
    if (op.operands[k].variadic) {
      std::vector<const Value*> rest;
      for (size_t i = k; i < node.operand_count(); ++i) rest.push_back(node.operand(i));
      ZP_CHECK(writer.tensors(op.operands[k].name, rest));
    } else {
      ZP_CHECK(writer.tensor(op.operands[k].name, node.operand(k)));
    }
  }
  const size_t fixed = op.operands.size() - (op.variadic() ? 1 : 0);
  for (size_t i = 0; i < std::max(fixed, node.operand_count()); ++i) ZP_CHECK(describe(node.operand(i)));
  for (size_t i = 0; i < node.result_count(); ++i) ZP_CHECK(describe(node.result(i)));
  // Operands stand by position, all else by name: what an attribute is by default is not written.
  const size_t operands = writer.arguments();
  if (op.attrs != nullptr) {
    for (const AttrField& field : op.attrs->fields)
      if (!attr_equal(field, node.attrs_data(), op.attrs->defaults))
        ZP_CHECK(write_attribute(writer, field, node.attrs_data()));
  }
  writer.raw("quantization", quantization.end_array().end_object().take());
  writer.raw("parameters", parameters.json());
  writer.keywords_from(operands);
  return writer.finish(static_cast<int>(node.result_count()));
}

Result<bool> NodeReader::translate_integer_form() {
  std::string_view name = data_.target.substr(kIntegerNamespace.size());
  name = name.substr(0, name.find('.'));
  const OpDef* op = card(name);
  if (op == nullptr || !op->has(kIntegerForm))
    return no(fmt::format("no integer operator is called '{}'", name));
  const auto find = [&](std::string_view key) -> const Arg* {
    for (const NamedArg& named : data_.inputs)
      if (named.name == key) return &named.arg;
    return nullptr;
  };
  std::vector<const Constant*> parameters;
  if (const Arg* list = find("parameters"))
    for (const Arg& item : list->items)
      parameters.push_back(item.tag == ArgTag::Tensor ? graph_.constant_of(item.value) : nullptr);
  std::vector<const QuantType*> quants;
  if (const Arg* list = find("quantization")) {
    for (const Arg& item : list->items) {
      ZP_TRY(const QuantType* quant, read_quant(context(), item.text, parameters));
      quants.push_back(quant);
    }
  }
  std::vector<Value*> operands;
  const auto add = [&](const Arg* arg) -> Status {
    const QuantType* quant = operands.size() < quants.size() ? quants[operands.size()] : nullptr;
    if (arg == nullptr || arg->tag != ArgTag::Tensor) {
      operands.push_back(nullptr);
      return {};
    }
    if (quant != nullptr && !quant->dynamic) {
      ZP_TRY(Value * value, graph_.as_quantized(arg->value, quant));
      operands.push_back(value);
      return {};
    }
    ZP_TRY(Value * value, graph_.value_of(arg->value, quant == nullptr));
    operands.push_back(value);
    return {};
  };
  for (const OperandDef& operand : op->operands) {
    const Arg* arg = find(operand.name);
    if (!operand.variadic) {
      ZP_CHECK(add(arg));
    } else if (arg != nullptr) {
      for (const Arg& item : arg->items) ZP_CHECK(add(&item));
    }
  }
  AttrBuilder attrs(*op, context());
  if (op->attrs != nullptr) {
    for (const AttrField& field : op->attrs->fields) {
      const Arg* arg = find(field.name);
      if (arg == nullptr) continue;
      ArgSpec spec;
      spec.name = spec.attr = field.name;
      spec.kind = field.kind == AttrKind::DType || field.kind == AttrKind::OptDType     ? ArgKind::DType
                  : field.kind == AttrKind::Floats || field.kind == AttrKind::OptFloats ? ArgKind::Float
                                                                                        : ArgKind::Int;
      if (!set_attr(attrs, spec, *arg)) return no(fmt::format("attribute {} does not fit", field.name));
    }
  }
  const size_t results = result_count();
  ZP_TRY(Node * node, make(attrs, operands, results));
  for (size_t k = 0; k < results; ++k) {
    const size_t at = operands.size() + k;
    const QuantType* quant = at < quants.size() ? quants[at] : nullptr;
    if (quant != nullptr) node->result(k)->set_type(context().with_quant(node->result(k)->type(), *quant));
    bind(k, node->result(k));
  }
  return true;
}

}  // namespace zp::pt2
