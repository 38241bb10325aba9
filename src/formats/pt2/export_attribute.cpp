// Attributes of a node as arguments of an operator, and the question whether a row of the operator table can
// say them all.
#include <fmt/format.h>

#include <algorithm>

#include "formats/pt2/argument_json.h"
#include "formats/pt2/export_node.h"
#include "ops/ops.h"

namespace zp::pt2 {
namespace {

// Zeros for each dim say the same as no padding at all.
bool no_padding(const AttrField& field, const void* attrs) {
  if (field.kind != AttrKind::Ints || !field.name.ends_with("padding")) return false;
  const List<int64_t>& values = attr_ref<List<int64_t>>(attrs, field);
  return std::all_of(values.begin(), values.end(), [](int64_t v) { return v == 0; });
}

ArgKind kind_of(AttrKind kind) {
  switch (kind) {
    case AttrKind::Float:
    case AttrKind::Floats:
    case AttrKind::OptFloat:
    case AttrKind::OptFloats: return ArgKind::Float;
    case AttrKind::Bool:
    case AttrKind::OptBool: return ArgKind::Bool;
    case AttrKind::String:
    case AttrKind::Strings: return ArgKind::String;
    case AttrKind::DType:
    case AttrKind::OptDType: return ArgKind::DType;
    case AttrKind::Number:
    case AttrKind::OptNumber: return ArgKind::Scalar;
    default: return ArgKind::Int;
  }
}

bool is_list(AttrKind kind) {
  switch (kind) {
    case AttrKind::Ints:
    case AttrKind::Floats:
    case AttrKind::Dims:
    case AttrKind::Strings:
    case AttrKind::OptDims:
    case AttrKind::OptFloats: return true;
    default: return false;
  }
}

}  // namespace

std::string number_json(const Number& number) {
  switch (number.kind) {
    case Number::Int: return int_json(number.i);
    case Number::Bool: return bool_json(number.i != 0);
    case Number::Float: break;
  }
  return float_json(number.f);
}

std::string literal_json(const ArgSpec& arg, std::string_view text) {
  const Literal literal = parse_literal(text, arg.kind);
  if (literal.kind == Literal::None) return kNoneJson;
  std::vector<Literal> items = literal.items;
  if (arg.list && literal.kind != Literal::List)
    items.assign(static_cast<size_t>(std::max(arg.fixed_size, 1)), literal);
  if (arg.list) {
    std::vector<double> floats;
    std::vector<int64_t> ints;
    for (const Literal& item : items) {
      floats.push_back(item.f);
      ints.push_back(item.i);
    }
    if (arg.kind == ArgKind::Float) return list_json("as_floats", floats);
    return list_json(arg.kind == ArgKind::Tensor ? "as_tensors" : "as_ints", ints);
  }
  switch (arg.kind) {
    case ArgKind::Bool: return bool_json(literal.b);
    case ArgKind::Float: return float_json(literal.f);
    case ArgKind::String: return string_json(literal.s);
    case ArgKind::DType: return dtype_json(dtype_from_name(literal.s).value_or(DType::Unknown));
    case ArgKind::MemoryFormat: return variant("as_memory_format", literal.i == 0 ? "1" : "4");
    case ArgKind::Layout: return variant("as_layout", "7");
    case ArgKind::Device: return kNoneJson;
    default: break;
  }
  switch (literal.kind) {
    case Literal::Bool: return bool_json(literal.b);
    case Literal::Float: return float_json(literal.f);
    case Literal::String: return string_json(literal.s);
    default: return int_json(literal.i);
  }
}

// Symbolic extents that torch finds by itself, as -1: for those that no node can compute.
std::vector<Dim> NodeWriter::without_symbols(std::span<const Dim> dims, std::string_view attr) const {
  std::vector<Dim> out(dims.begin(), dims.end());
  if (attr != "shape") return out;
  if (node_.is(ops::reshape)) {
    const auto plain = [](const Dim& d) { return d.is_known() && d.value() > 0; };
    if (std::count_if(out.begin(), out.end(), plain) + 1 != static_cast<ptrdiff_t>(out.size())) return out;
    const auto odd = std::find_if_not(out.begin(), out.end(), plain);
    if (!odd->is_known()) *odd = -1;
  } else if (node_.is(ops::expand) && node_.operand(0) != nullptr && node_.operand(0)->type().ranked) {
    const Shape& from = node_.operand(0)->type().shape;
    for (size_t i = 0; i < out.size() && i < from.size(); ++i) {
      Dim& d = out[out.size() - 1 - i];
      if (d.is_symbolic() && d == from[from.size() - 1 - i]) d = -1;
    }
  }
  return out;
}

Result<std::optional<std::string>> NodeWriter::dim_json(Dim dim) {
  if (dim.is_known()) return std::optional(int_json(dim.value()));
  ZP_TRY(const std::string json, graph_.sym_int(dim));
  return std::optional(variant("as_sym_int", json));
}

Result<std::optional<std::string>> NodeWriter::dim_list_json(const ArgSpec& arg,
                                                             std::span<const Dim> values) {
  if (arg.optional && values.empty()) return std::optional(std::string(kNoneJson));
  if (values.empty() && arg.has_default && arg.fixed_size > 0)
    return std::optional(literal_json(arg, arg.default_text));
  if (!arg.list) {
    if (values.size() == 1) return dim_json(values[0]);
    why_ = fmt::format("{} has {} entries, one is wanted", arg.attr, values.size());
    return std::optional<std::string>();
  }
  const size_t count = text_.args.size();
  if (Status written = dims(arg.name, values); !written.ok()) {
    if (!dims(arg.name, without_symbols(values, arg.attr)).ok()) return std::move(written).error();
  }
  std::string json = std::move(text_.args.back().json);
  text_.args.resize(count);
  return std::optional(std::move(json));
}

// Attributes that always have a value.
Result<std::optional<std::string>> NodeWriter::value_json(const ArgSpec& arg, const AttrField& field) {
  const void* attrs = node_.attrs_data();
  const bool real = arg.kind == ArgKind::Float;
  switch (field.kind) {
    case AttrKind::Int: {
      const int64_t v = attr_ref<int64_t>(attrs, field);
      return std::optional(arg.list ? list_json("as_ints", std::span(&v, 1))
                           : real   ? float_json(static_cast<double>(v))
                                    : int_json(v));
    }
    case AttrKind::Float: return std::optional(float_json(attr_ref<double>(attrs, field)));
    case AttrKind::Bool: return std::optional(bool_json(attr_ref<bool>(attrs, field)));
    case AttrKind::String: {
      const std::string_view v = attr_ref<std::string_view>(attrs, field);
      return std::optional(v.empty() && arg.optional ? std::string(kNoneJson) : string_json(v));
    }
    case AttrKind::DType: return std::optional(dtype_json(attr_ref<DType>(attrs, field)));
    case AttrKind::Number: {
      const Number& n = attr_ref<Number>(attrs, field);
      if (real && arg.optional && attr_equal(field, attrs, node_.op().attrs->defaults))
        return std::optional(std::string(kNoneJson));
      return std::optional(real ? float_json(n.as_double()) : number_json(n));
    }
    case AttrKind::Dim: return dim_json(attr_ref<Dim>(attrs, field));
    case AttrKind::Ints: {
      std::vector<Dim> values;
      for (int64_t v : attr_ref<List<int64_t>>(attrs, field)) values.emplace_back(v);
      return dim_list_json(arg, values);
    }
    case AttrKind::Floats: return std::optional(list_json("as_floats", attr_ref<List<double>>(attrs, field)));
    case AttrKind::Dims: return dim_list_json(arg, attr_ref<List<Dim>>(attrs, field));
    case AttrKind::Strings:
      return std::optional(list_json("as_strings", attr_ref<List<std::string_view>>(attrs, field)));
    default: break;
  }
  why_ = fmt::format("{} has no form here", arg.attr);
  return std::optional<std::string>();
}

// Attributes that may be absent, and are not; nothing if they are.
Result<std::optional<std::string>> NodeWriter::optional_json(const ArgSpec& arg, const AttrField& field) {
  const void* attrs = node_.attrs_data();
  const bool real = arg.kind == ArgKind::Float;
  switch (field.kind) {
    case AttrKind::OptInt:
      if (const auto& v = attr_ref<std::optional<int64_t>>(attrs, field)) return std::optional(int_json(*v));
      break;
    case AttrKind::OptFloat:
      if (const auto& v = attr_ref<std::optional<double>>(attrs, field)) return std::optional(float_json(*v));
      break;
    case AttrKind::OptBool:
      if (const auto& v = attr_ref<std::optional<bool>>(attrs, field)) return std::optional(bool_json(*v));
      break;
    case AttrKind::OptDType:
      if (const auto& v = attr_ref<std::optional<DType>>(attrs, field)) return std::optional(dtype_json(*v));
      break;
    case AttrKind::OptNumber:
      if (const auto& v = attr_ref<std::optional<Number>>(attrs, field))
        return std::optional(real ? float_json(v->as_double()) : number_json(*v));
      break;
    case AttrKind::OptDim:
      if (const auto& v = attr_ref<std::optional<Dim>>(attrs, field)) return dim_json(*v);
      break;
    case AttrKind::OptDims:
      if (const auto& v = attr_ref<std::optional<List<Dim>>>(attrs, field)) {
        // An empty list that is set differs from no list.
        if (v->empty()) return std::optional(std::string(R"({"as_ints": []})"));
        return dim_list_json(arg, *v);
      }
      break;
    case AttrKind::OptFloats:
      if (const auto& v = attr_ref<std::optional<List<double>>>(attrs, field))
        return std::optional(list_json("as_floats", *v));
      break;
    default: return value_json(arg, field);
  }
  if (arg.optional) return std::optional(std::string(kNoneJson));
  why_ = fmt::format("{} is not set", arg.attr);
  return std::optional<std::string>();
}

Result<std::optional<std::string>> NodeWriter::attribute_json(const ArgSpec& arg) {
  const AttrsDef* def = node_.op().attrs;
  const AttrField* field = def != nullptr ? def->find(arg.attr) : nullptr;
  if (field == nullptr) {
    why_ = fmt::format("there is no attribute {}", arg.attr);
    return std::optional<std::string>();
  }
  // aten's Scalar may be symbolic: the card then has the expression in a field of its own.
  const AttrField* symbolic =
      field->kind == AttrKind::Number ? def->find(std::string(arg.attr) + "_dim") : nullptr;
  if (symbolic != nullptr && symbolic->kind == AttrKind::OptDim) {
    if (const auto& d = attr_ref<std::optional<Dim>>(node_.attrs_data(), *symbolic)) return dim_json(*d);
  }
  return optional_json(arg, *field);
}

// The attributes that the overload fixes have these values.
bool NodeWriter::fixed_hold(const Overload& row) {
  for (const FixedAttr& fixed : row.fixed) {
    const AttrField* field = node_.op().attrs != nullptr ? node_.op().attrs->find(fixed.attr) : nullptr;
    if (field == nullptr) {
      why_ = fmt::format("there is no attribute {}", fixed.attr);
      return false;
    }
    ArgSpec arg;
    arg.name = arg.attr = fixed.attr;
    arg.kind = kind_of(field->kind);
    arg.list = is_list(field->kind);
    arg.optional = fixed.literal == "None";
    Result<std::optional<std::string>> json = attribute_json(arg);
    // A number is compared by its value: 0 and 0.0 fix the same.
    std::string wanted = literal_json(arg, fixed.literal);
    if (json.ok() && *json && field->kind == AttrKind::Number && arg.kind == ArgKind::Scalar) {
      const Literal literal = parse_literal(fixed.literal, arg.kind);
      wanted = attr_ref<Number>(node_.attrs_data(), *field).as_double() == literal.f ? **json : std::string();
    }
    if (!json.ok() || !*json || **json != wanted) {
      why_ = fmt::format("{} wants {} = {}", row.target, fixed.attr, fixed.literal);
      return false;
    }
  }
  return true;
}

// Attributes that the row does not speak of have their defaults.
bool NodeWriter::others_default(const Overload& row) {
  const AttrsDef* def = node_.op().attrs;
  if (def == nullptr) return true;
  for (const AttrField& field : def->fields) {
    bool said = false;
    for (const FixedAttr& fixed : row.fixed) said |= fixed.attr == field.name;
    for (const ArgSpec& arg : row.args) {
      said |= arg.to == ArgSpec::Attribute &&
              (arg.attr == field.name || std::string(arg.attr) + "_dim" == field.name);
    }
    if (!said && !attr_equal(field, node_.attrs_data(), def->defaults) &&
        !no_padding(field, node_.attrs_data())) {
      why_ = fmt::format("{} cannot say {}", row.target, field.name);
      return false;
    }
  }
  return true;
}

}  // namespace zp::pt2
