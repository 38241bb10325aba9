// Text of types, quantizations, numbers and attributes.
#include "ir/text_form.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "support/half.h"
#include "support/text_format.h"

namespace zp {

namespace text_form {

namespace {

void append_zero_point(std::string* out, const QuantType& q) {
  if (q.domain == ZeroPointDomain::None) {
    *out += ", none";
    return;
  }
  const bool is_float = q.domain == ZeroPointDomain::Float;
  if (q.zero_points != nullptr) {
    *out += (is_float ? ", float @" : ", @") + name_text(q.zero_points->name);
  } else if (q.per_tensor() && q.scales == nullptr && !q.dynamic) {
    // Whole numbers print without a fraction; anything else shows what it is, though it is not valid.
    const bool whole =
        !is_float && std::abs(q.zero_point) < 0x1p53 && q.zero_point == std::trunc(q.zero_point);
    *out += is_float ? ", float " : ", ";
    *out += whole ? std::to_string(static_cast<int64_t>(q.zero_point)) : shortest(q.zero_point);
  } else if (is_float) {
    *out += ", float";
  }
}

void append_grid(std::string* out, const QuantType& q) {
  if (q.per_axis()) *out += "axis " + std::to_string(q.axis);
  if (!q.per_block()) return;
  *out += "block [";
  for (size_t i = 0; i < q.block.size(); ++i) {
    if (i > 0) *out += ',';
    *out += q.block[i] == 0 ? "*" : std::to_string(q.block[i]);
  }
  *out += ']';
}

template <typename T>
T load(const std::byte* data, int64_t index) {
  T value;
  std::memcpy(&value, data + static_cast<size_t>(index) * sizeof(T), sizeof(T));
  return value;
}

// A float format narrower than f32: exact as f32; only the one NaN that reading `nan` gives back may print.
template <typename Bits>
bool append_narrow(std::string* out, Bits bits, float (*widen)(Bits), Bits (*narrow)(float)) {
  const float value = widen(bits);
  if (narrow(std::isnan(value) ? std::numeric_limits<float>::quiet_NaN() : value) != bits) return false;
  *out += shortest(value);
  return true;
}

template <typename T>
bool append_real(std::string* out, T value) {
  if (std::isnan(value)) {
    const T canonical = std::numeric_limits<T>::quiet_NaN();
    if (std::memcmp(&value, &canonical, sizeof(T)) != 0) return false;
  }
  *out += shortest(value);
  return true;
}

int64_t packed_element(DType dtype, const std::byte* data, int64_t index) {
  const int bits = bits_of(dtype);
  const int per_byte = 8 / bits;
  const int mask = (1 << bits) - 1;
  const int v = (std::to_integer<int>(data[index / per_byte]) >> (index % per_byte * bits)) & mask;
  return is_signed(dtype) && v > mask / 2 ? v - mask - 1 : v;
}

void append(std::string* out, int64_t v) { *out += std::to_string(v); }
void append(std::string* out, double v) { *out += shortest(v, true); }
void append(std::string* out, bool v) { *out += v ? "true" : "false"; }
void append(std::string* out, std::string_view v) { *out += quote(v); }
void append(std::string* out, DType v) { *out += dtype_name(v); }
void append(std::string* out, Dim v) { *out += v.str(); }
void append(std::string* out, const Number& v) {
  if (v.kind == Number::Float) append(out, v.f);
  else if (v.kind == Number::Bool) append(out, v.i != 0);
  else append(out, v.i);
}
template <typename T>
void append(std::string* out, const List<T>& list) {
  *out += '[';
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) *out += ',';
    append(out, list[i]);
  }
  *out += ']';
}
template <typename T>
void append(std::string* out, const std::optional<T>& v) {
  if (v) append(out, *v);
  else *out += "none";
}

}  // namespace

void append_quant(std::string* out, const QuantType& q) {
  *out += dtype_name(q.storage);
  const QuantType usual;
  const int64_t lo = is_integer(q.storage) ? int_min(q.storage) : usual.qmin;
  const int64_t hi = is_integer(q.storage) ? int_max(q.storage) : usual.qmax;
  if (q.qmin != lo || q.qmax != hi) *out += "<" + std::to_string(q.qmin) + ":" + std::to_string(q.qmax) + ">";
  if (q.expressed != DType::F32) (*out += ':') += dtype_name(q.expressed);
  *out += '(';
  DType implied = DType::F32;  // dtype of the scales where nothing is said
  if (q.dynamic) {
    *out += "dynamic";
  } else {
    append_grid(out, q);
    if (!q.per_tensor()) *out += ": ";
    if (q.scales != nullptr) {
      *out += "@" + name_text(q.scales->name);
      implied = q.scales->dtype;
    } else {
      *out += q.per_tensor() ? shortest(q.scale) : "?";
    }
  }
  if (q.scale_dtype != implied) (*out += ':') += dtype_name(q.scale_dtype);
  if (q.dynamic && !q.per_tensor()) {
    *out += ' ';
    append_grid(out, q);
  }
  append_zero_point(out, q);
  *out += ')';
}

void append_shape(std::string* out, const Type& type) {
  if (!type.ranked) {
    *out += "[*]";
    return;
  }
  *out += '[';
  for (size_t i = 0; i < type.shape.size(); ++i) {
    if (i > 0) *out += ',';
    *out += type.shape[i].str();
  }
  *out += ']';
}

std::string_view type_kind_word(TypeKind kind) {
  switch (kind) {
    case TypeKind::Tensor: return "tensor";
    case TypeKind::Int: return "int";
    case TypeKind::Float: return "float";
    case TypeKind::Bool: return "bool";
    case TypeKind::None: return "none";
    case TypeKind::Token: return "token";
    case TypeKind::Object: break;
  }
  return "object";
}

std::string_view constant_kind_word(ConstantKind kind) {
  switch (kind) {
    case ConstantKind::Parameter: return "param";
    case ConstantKind::Buffer: return "buffer";
    case ConstantKind::NonPersistentBuffer: return "transient";
    case ConstantKind::Literal: return "literal";
    case ConstantKind::Tensor: break;
  }
  return "";
}

void append_type(std::string* out, const Type& type, const Aliases* aliases) {
  if (!type.is_tensor()) {
    *out += type_kind_word(type.kind);
    if (!type.value.is_unknown()) *out += " = " + type.value.str();
    return;
  }
  const bool aliased = type.quant != nullptr && aliases != nullptr && aliases->contains(type.quant);
  if (aliased) *out += "#" + aliases->at(type.quant);
  else if (type.quant != nullptr) append_quant(out, *type.quant);
  else *out += dtype_name(type.dtype);
  append_shape(out, type);
}

bool append_element(std::string* out, DType dtype, const std::byte* data, int64_t i) {
  switch (dtype) {
    case DType::Bool: {
      const auto v = load<uint8_t>(data, i);
      if (v > 1) return false;
      append(out, v == 1);
      return true;
    }
    case DType::I2:
    case DType::U2:
    case DType::I4:
    case DType::U4: *out += std::to_string(packed_element(dtype, data, i)); return true;
    case DType::I8: *out += std::to_string(load<int8_t>(data, i)); return true;
    case DType::U8: *out += std::to_string(load<uint8_t>(data, i)); return true;
    case DType::I16: *out += std::to_string(load<int16_t>(data, i)); return true;
    case DType::U16: *out += std::to_string(load<uint16_t>(data, i)); return true;
    case DType::I32: *out += std::to_string(load<int32_t>(data, i)); return true;
    case DType::U32: *out += std::to_string(load<uint32_t>(data, i)); return true;
    case DType::I64: *out += std::to_string(load<int64_t>(data, i)); return true;
    case DType::U64: *out += std::to_string(load<uint64_t>(data, i)); return true;
    case DType::F8E4M3:
      return append_narrow<uint8_t>(out, load<uint8_t>(data, i), f8e4m3_to_float, float_to_f8e4m3);
    case DType::F8E5M2:
      return append_narrow<uint8_t>(out, load<uint8_t>(data, i), f8e5m2_to_float, float_to_f8e5m2);
    case DType::F16:
      return append_narrow<uint16_t>(out, load<uint16_t>(data, i), half_to_float, float_to_half);
    case DType::BF16:
      return append_narrow<uint16_t>(out, load<uint16_t>(data, i), bfloat16_to_float, float_to_bfloat16);
    case DType::F32: return append_real(out, load<float>(data, i));
    case DType::F64: return append_real(out, load<double>(data, i));
    case DType::F8E4M3FNUZ:
    case DType::F8E5M2FNUZ:
    case DType::F8E8M0:
    case DType::C32:
    case DType::C64:
    case DType::C128:
    case DType::Unknown: break;
  }
  return false;
}

bool append_literal(std::string* out, DType dtype, const std::byte* data) {
  std::string text;
  if (!append_element(&text, dtype, data, 0)) return false;
  if (is_float(dtype) && text.find_first_of(".ein") == std::string::npos)
    text += ".0";  // inf and nan are floats as they are
  *out += text;
  if (dtype != DType::I64 && dtype != DType::F32 && dtype != DType::Bool) (*out += ':') += dtype_name(dtype);
  return true;
}

void append_attr(std::string* out, const AttrField& field, const void* attrs) {
  switch (field.kind) {
    case AttrKind::Int: return append(out, attr_ref<int64_t>(attrs, field));
    case AttrKind::Float: return append(out, attr_ref<double>(attrs, field));
    case AttrKind::Bool: return append(out, attr_ref<bool>(attrs, field));
    case AttrKind::String: return append(out, attr_ref<std::string_view>(attrs, field));
    case AttrKind::DType: return append(out, attr_ref<DType>(attrs, field));
    case AttrKind::Number: return append(out, attr_ref<Number>(attrs, field));
    case AttrKind::Dim: return append(out, attr_ref<Dim>(attrs, field));
    case AttrKind::Ints: return append(out, attr_ref<List<int64_t>>(attrs, field));
    case AttrKind::Floats: return append(out, attr_ref<List<double>>(attrs, field));
    case AttrKind::Dims: return append(out, attr_ref<List<Dim>>(attrs, field));
    case AttrKind::Strings: return append(out, attr_ref<List<std::string_view>>(attrs, field));
    case AttrKind::OptInt: return append(out, attr_ref<std::optional<int64_t>>(attrs, field));
    case AttrKind::OptFloat: return append(out, attr_ref<std::optional<double>>(attrs, field));
    case AttrKind::OptBool: return append(out, attr_ref<std::optional<bool>>(attrs, field));
    case AttrKind::OptDType: return append(out, attr_ref<std::optional<DType>>(attrs, field));
    case AttrKind::OptNumber: return append(out, attr_ref<std::optional<Number>>(attrs, field));
    case AttrKind::OptDim: return append(out, attr_ref<std::optional<Dim>>(attrs, field));
    case AttrKind::OptDims: return append(out, attr_ref<std::optional<List<Dim>>>(attrs, field));
    case AttrKind::OptFloats: return append(out, attr_ref<std::optional<List<double>>>(attrs, field));
    case AttrKind::Quant: {
      const QuantType* q = attr_ref<const QuantType*>(attrs, field);
      if (q != nullptr) append_quant(out, *q);
      else *out += "none";
      return;
    }
  }
}

}  // namespace text_form

std::string Type::str() const {
  std::string out;
  text_form::append_type(&out, *this);
  return out;
}

std::string quant_str(const QuantType& quant) {
  std::string out;
  text_form::append_quant(&out, quant);
  return out;
}

}  // namespace zp
