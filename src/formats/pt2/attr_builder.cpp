#include "formats/pt2/attr_builder.h"

#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace zp::pt2 {

AttrBuilder::AttrBuilder(const OpDef& op, Context& context) : op_(op), context_(context) {
  if (op.attrs != nullptr && op.attrs->size <= sizeof(bytes_))
    std::memcpy(bytes_, op.attrs->defaults, op.attrs->size);
}

template <typename T>
bool AttrBuilder::put(const AttrField* field, const T& value) {
  if (field->kind == AttrKindOf<T>::value) {
    ref<T>(field) = value;
    return true;
  }
  if constexpr (requires { AttrKindOf<std::optional<T>>::value; }) {
    if (field->kind == AttrKindOf<std::optional<T>>::value) {
      ref<std::optional<T>>(field) = value;
      return true;
    }
  }
  return false;
}

bool AttrBuilder::set_int(std::string_view field, int64_t value) {
  const AttrField* f = find(field);
  if (f == nullptr) return false;
  if (put(f, value) || put(f, Number::of_int(value)) || put(f, static_cast<double>(value))) return true;
  if (f->kind == AttrKind::Ints) return set_ints(field, std::span(&value, 1));
  const bool dims = f->kind == AttrKind::Dim || f->kind == AttrKind::OptDim || f->kind == AttrKind::Dims ||
                    f->kind == AttrKind::OptDims;
  return dims && set_dim(field, Dim(value));
}

bool AttrBuilder::set_ints(std::string_view field, std::span<const int64_t> values) {
  const AttrField* f = find(field);
  if (f == nullptr) return false;
  if (f->kind == AttrKind::Ints) return put(f, List<int64_t>(context_.ints(values)));
  if (f->kind == AttrKind::Dims || f->kind == AttrKind::OptDims)
    return set_dims(field, std::vector<Dim>(values.begin(), values.end()));
  return values.size() == 1 && set_int(field, values[0]);
}

bool AttrBuilder::set_dim(std::string_view field, Dim value) {
  const AttrField* f = find(field);
  if (f == nullptr) return false;
  if (put(f, value)) return true;
  if (f->kind == AttrKind::Dims || f->kind == AttrKind::OptDims) return set_dims(field, std::span(&value, 1));
  if (value.is_known()) return set_int(field, value.value());
  // Cards have a second field where a number may be symbolic.
  return (f->kind == AttrKind::Number || f->kind == AttrKind::OptNumber) &&
         set_dim(std::string(field) + "_dim", value);
}

bool AttrBuilder::set_dims(std::string_view field, std::span<const Dim> values) {
  const AttrField* f = find(field);
  if (f == nullptr) return false;
  if (f->kind == AttrKind::Dims || f->kind == AttrKind::OptDims) return put(f, context_.arena().copy(values));
  std::vector<int64_t> numbers;
  for (const Dim& d : values) {
    if (!d.is_known()) return false;
    numbers.push_back(d.value());
  }
  return f->kind == AttrKind::Ints && set_ints(field, numbers);
}

bool AttrBuilder::set_float(std::string_view field, double value) {
  const AttrField* f = find(field);
  return f != nullptr && (put(f, value) || put(f, Number::of_float(value)));
}

bool AttrBuilder::set_floats(std::string_view field, std::span<const double> values) {
  const AttrField* f = find(field);
  return f != nullptr && (f->kind == AttrKind::Floats || f->kind == AttrKind::OptFloats) &&
         put(f, context_.arena().copy(values));
}

bool AttrBuilder::set_bool(std::string_view field, bool value) {
  const AttrField* f = find(field);
  if (f == nullptr) return false;
  if (put(f, value) || put(f, Number::of_bool(value))) return true;
  return f->kind == AttrKind::Int && put(f, int64_t{value ? 1 : 0});
}

bool AttrBuilder::set_text(std::string_view field, std::string_view value) {
  const AttrField* f = find(field);
  return f != nullptr && f->kind == AttrKind::String && put(f, context_.text(value));
}

bool AttrBuilder::set_dtype(std::string_view field, DType value) {
  const AttrField* f = find(field);
  return f != nullptr && put(f, value);
}

bool AttrBuilder::set_number(std::string_view field, Number value) {
  if (value.kind == Number::Float) return set_float(field, value.f);
  return value.kind == Number::Bool ? set_bool(field, value.i != 0) : set_int(field, value.i);
}

bool AttrBuilder::set_quant(std::string_view field, const QuantType* value) {
  const AttrField* f = find(field);
  return f != nullptr && put(f, value);
}

bool AttrBuilder::set_none(std::string_view field) {
  const AttrField* f = find(field);
  if (f == nullptr) return false;
  switch (f->kind) {
    case AttrKind::OptInt: ref<std::optional<int64_t>>(f).reset(); break;
    case AttrKind::OptFloat: ref<std::optional<double>>(f).reset(); break;
    case AttrKind::OptBool: ref<std::optional<bool>>(f).reset(); break;
    case AttrKind::OptDType: ref<std::optional<DType>>(f).reset(); break;
    case AttrKind::OptNumber: ref<std::optional<Number>>(f).reset(); break;
    case AttrKind::OptDim: ref<std::optional<Dim>>(f).reset(); break;
    case AttrKind::OptDims: ref<std::optional<List<Dim>>>(f).reset(); break;
    case AttrKind::OptFloats: ref<std::optional<List<double>>>(f).reset(); break;
    default: break;  // not optional here: the card's default says what None means
  }
  return true;
}

bool AttrBuilder::set_literal(std::string_view field, const Literal& literal) {
  switch (literal.kind) {
    case Literal::None: return set_none(field);
    case Literal::Bool: return set_bool(field, literal.b);
    case Literal::Int: return set_int(field, literal.i);
    case Literal::Float: return set_float(field, literal.f);
    case Literal::String: {
      if (auto dtype = dtype_from_name(literal.s); dtype && set_dtype(field, *dtype)) return true;
      return set_text(field, literal.s);
    }
    case Literal::List: {
      std::vector<int64_t> values;
      for (const Literal& item : literal.items) values.push_back(item.i);
      return set_ints(field, values);
    }
  }
  return false;
}

}  // namespace zp::pt2
