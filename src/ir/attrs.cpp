#include "ir/attrs.h"

#include <bit>
#include <functional>

namespace zp {

namespace {

// Calls f with a value of the field's C++ type (as a type tag); the only place that lists all kinds.
template <typename F>
auto with_kind(AttrKind kind, F&& f) {
  switch (kind) {
    case AttrKind::Int: return f(std::type_identity<int64_t>());
    case AttrKind::Float: return f(std::type_identity<double>());
    case AttrKind::Bool: return f(std::type_identity<bool>());
    case AttrKind::String: return f(std::type_identity<std::string_view>());
    case AttrKind::DType: return f(std::type_identity<DType>());
    case AttrKind::Number: return f(std::type_identity<Number>());
    case AttrKind::Dim: return f(std::type_identity<Dim>());
    case AttrKind::Ints: return f(std::type_identity<List<int64_t>>());
    case AttrKind::Floats: return f(std::type_identity<List<double>>());
    case AttrKind::Dims: return f(std::type_identity<List<Dim>>());
    case AttrKind::Strings: return f(std::type_identity<List<std::string_view>>());
    case AttrKind::OptInt: return f(std::type_identity<std::optional<int64_t>>());
    case AttrKind::OptFloat: return f(std::type_identity<std::optional<double>>());
    case AttrKind::OptBool: return f(std::type_identity<std::optional<bool>>());
    case AttrKind::OptDType: return f(std::type_identity<std::optional<DType>>());
    case AttrKind::OptNumber: return f(std::type_identity<std::optional<Number>>());
    case AttrKind::OptDim: return f(std::type_identity<std::optional<Dim>>());
    case AttrKind::OptDims: return f(std::type_identity<std::optional<List<Dim>>>());
    case AttrKind::OptFloats: return f(std::type_identity<std::optional<List<double>>>());
    case AttrKind::Quant: break;
  }
  return f(std::type_identity<const QuantType*>());
}

// Equality of attributes is equality of bits, so that NaN equals itself and -0.0 differs from 0.0.
bool same(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }
bool same(const Number& a, const Number& b) { return a.kind == b.kind && a.i == b.i && same(a.f, b.f); }
template <typename T>
bool same(const T& a, const T& b) {
  return a == b;
}
template <typename T>
bool same(const List<T>& a, const List<T>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!same(a[i], b[i])) return false;
  return true;
}
template <typename T>
bool same(const std::optional<T>& a, const std::optional<T>& b) {
  return a.has_value() == b.has_value() && (!a || same(*a, *b));
}

size_t hash_of(double v) { return std::hash<uint64_t>()(std::bit_cast<uint64_t>(v)); }
size_t hash_of(int64_t v) { return std::hash<int64_t>()(v); }
size_t hash_of(bool v) { return v ? 3 : 5; }
size_t hash_of(std::string_view v) { return std::hash<std::string_view>()(v); }
size_t hash_of(DType v) { return static_cast<size_t>(v); }
size_t hash_of(const Number& v) { return hash_of(v.i) * 31 + hash_of(v.f) + v.kind; }
size_t hash_of(const Dim& v) { return hash_of(v.value()) * 31 + std::hash<const void*>()(v.expr()); }
size_t hash_of(const QuantType* v) { return std::hash<const void*>()(v); }
template <typename T>
size_t hash_of(const List<T>& v) {
  size_t h = v.size();
  for (const T& x : v) h = h * 1000003 + hash_of(x);
  return h;
}
template <typename T>
size_t hash_of(const std::optional<T>& v) {
  return v ? hash_of(*v) + 7 : 11;
}

}  // namespace

bool attr_equal(const AttrField& field, const void* a, const void* b) {
  return with_kind(field.kind, [&](auto tag) {
    using T = typename decltype(tag)::type;
    return same(attr_ref<T>(a, field), attr_ref<T>(b, field));
  });
}

bool attrs_equal(const AttrsDef& def, const void* a, const void* b) {
  for (const AttrField& field : def.fields)
    if (!attr_equal(field, a, b)) return false;
  return true;
}

size_t attrs_hash(const AttrsDef& def, const void* attrs) {
  size_t h = 17;
  for (const AttrField& field : def.fields) {
    h = h * 1000003 + with_kind(field.kind, [&](auto tag) {
          return hash_of(attr_ref<typename decltype(tag)::type>(attrs, field));
        });
  }
  return h;
}

}  // namespace zp
