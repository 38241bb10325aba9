// Attributes: each op has one plain struct with default member values and a constexpr list of its fields.
// Printing, parsing, comparing, hashing and exporting work from that list; evaluators read the struct.
//
//   struct ConvAttrs {
//     List<int64_t> stride, padding;
//     int64_t groups = 1;
//     ZP_ATTRS(ConvAttrs, stride, padding, groups)
//   };
//   ... OpDef{.attrs = &attrs_of<ConvAttrs>}
//
// The structs are trivially copyable; lists and strings live in the Context's arena or in static storage.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <string_view>
#include <type_traits>

#include "ir/dim.h"
#include "ir/dtype.h"
#include "ir/type.h"
#include "support/list.h"

namespace zp {

// A number as the source wrote it; the kind decides type promotion.
struct Number {
  enum Kind : uint8_t { Int, Float, Bool } kind = Int;
  int64_t i = 0;
  double f = 0;
  constexpr Number() = default;
  static constexpr Number of_int(int64_t v) {
    Number n;
    n.kind = Int;
    n.i = v;
    return n;
  }
  static constexpr Number of_float(double v) {
    Number n;
    n.kind = Float;
    n.f = v;
    return n;
  }
  static constexpr Number of_bool(bool v) {
    Number n;
    n.kind = Bool;
    n.i = v;
    return n;
  }
  constexpr double as_double() const { return kind == Float ? f : static_cast<double>(i); }
  friend bool operator==(const Number&, const Number&) = default;
};

enum class AttrKind : uint8_t {
  Int,
  Float,
  Bool,
  String,
  DType,
  Number,
  Dim,
  Ints,
  Floats,
  Dims,
  Strings,
  OptInt,
  OptFloat,
  OptBool,
  OptDType,
  OptNumber,
  OptDim,
  OptDims,
  OptFloats,
  Quant,  // const QuantType*
};

template <typename T>
struct AttrKindOf;
template <>
struct AttrKindOf<int64_t> {
  static constexpr AttrKind value = AttrKind::Int;
};
template <>
struct AttrKindOf<double> {
  static constexpr AttrKind value = AttrKind::Float;
};
template <>
struct AttrKindOf<bool> {
  static constexpr AttrKind value = AttrKind::Bool;
};
template <>
struct AttrKindOf<std::string_view> {
  static constexpr AttrKind value = AttrKind::String;
};
template <>
struct AttrKindOf<DType> {
  static constexpr AttrKind value = AttrKind::DType;
};
template <>
struct AttrKindOf<Number> {
  static constexpr AttrKind value = AttrKind::Number;
};
template <>
struct AttrKindOf<Dim> {
  static constexpr AttrKind value = AttrKind::Dim;
};
template <>
struct AttrKindOf<List<int64_t>> {
  static constexpr AttrKind value = AttrKind::Ints;
};
template <>
struct AttrKindOf<List<double>> {
  static constexpr AttrKind value = AttrKind::Floats;
};
template <>
struct AttrKindOf<List<Dim>> {
  static constexpr AttrKind value = AttrKind::Dims;
};
template <>
struct AttrKindOf<List<std::string_view>> {
  static constexpr AttrKind value = AttrKind::Strings;
};
template <>
struct AttrKindOf<std::optional<int64_t>> {
  static constexpr AttrKind value = AttrKind::OptInt;
};
template <>
struct AttrKindOf<std::optional<double>> {
  static constexpr AttrKind value = AttrKind::OptFloat;
};
template <>
struct AttrKindOf<std::optional<bool>> {
  static constexpr AttrKind value = AttrKind::OptBool;
};
template <>
struct AttrKindOf<std::optional<DType>> {
  static constexpr AttrKind value = AttrKind::OptDType;
};
template <>
struct AttrKindOf<std::optional<Number>> {
  static constexpr AttrKind value = AttrKind::OptNumber;
};
template <>
struct AttrKindOf<std::optional<Dim>> {
  static constexpr AttrKind value = AttrKind::OptDim;
};
template <>
struct AttrKindOf<std::optional<List<Dim>>> {
  static constexpr AttrKind value = AttrKind::OptDims;
};
template <>
struct AttrKindOf<std::optional<List<double>>> {
  static constexpr AttrKind value = AttrKind::OptFloats;
};
template <>
struct AttrKindOf<const QuantType*> {
  static constexpr AttrKind value = AttrKind::Quant;
};

struct AttrField {
  std::string_view name;
  AttrKind kind;
  uint16_t offset;
};

// ZP_ATTRS(Struct, member...) inside a struct lists its fields, in the order they print.
#define ZP_PARENS_ ()
#define ZP_EXPAND_(...) ZP_EXPAND3_(ZP_EXPAND3_(ZP_EXPAND3_(__VA_ARGS__)))
#define ZP_EXPAND3_(...) ZP_EXPAND2_(ZP_EXPAND2_(ZP_EXPAND2_(__VA_ARGS__)))
#define ZP_EXPAND2_(...) ZP_EXPAND1_(ZP_EXPAND1_(ZP_EXPAND1_(__VA_ARGS__)))
#define ZP_EXPAND1_(...) __VA_ARGS__
#define ZP_FIELDS_(Struct, member, ...)                                       \
  ::zp::AttrField{#member, ::zp::AttrKindOf<decltype(Struct::member)>::value, \
                  offsetof(Struct, member)} __VA_OPT__(, ZP_FIELDS_AGAIN_ ZP_PARENS_(Struct, __VA_ARGS__))
#define ZP_FIELDS_AGAIN_() ZP_FIELDS_
#define ZP_ATTRS(Struct, ...) \
  static constexpr auto attr_fields() { return std::array{ZP_EXPAND_(ZP_FIELDS_(Struct, __VA_ARGS__))}; }

struct AttrsDef {
  size_t size = 0;
  size_t alignment = 1;
  List<AttrField> fields;
  void (*construct)(void*) = nullptr;  // writes the defaults
  const void* defaults = nullptr;      // an instance with the defaults

  const AttrField* find(std::string_view name) const {
    for (const AttrField& f : fields)
      if (f.name == name) return &f;
    return nullptr;
  }
};

struct NoAttrs {};

template <typename T>
inline constexpr T attr_defaults{};
template <typename T>
inline constexpr auto attr_fields_of = T::attr_fields();

template <typename T>
constexpr AttrsDef make_attrs_def() {
  static_assert(std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T>);
  AttrsDef def;
  def.size = sizeof(T);
  def.alignment = alignof(T);
  if constexpr (requires { T::attr_fields(); }) {
    def.fields = List<AttrField>(attr_fields_of<T>.data(), attr_fields_of<T>.size());
  }
  def.construct = [](void* at) { new (at) T(); };
  def.defaults = &attr_defaults<T>;
  return def;
}

// The definition of a struct's attributes; constant-initialized, so op cards may point to it.
template <typename T>
inline constexpr AttrsDef attrs_of = make_attrs_def<T>();

// One field of a type-erased attribute struct.
template <typename T>
const T& attr_ref(const void* attrs, const AttrField& field) {
  return *reinterpret_cast<const T*>(static_cast<const std::byte*>(attrs) + field.offset);
}
template <typename T>
T& attr_ref(void* attrs, const AttrField& field) {
  return *reinterpret_cast<T*>(static_cast<std::byte*>(attrs) + field.offset);
}

bool attrs_equal(const AttrsDef& def, const void* a, const void* b);
bool attr_equal(const AttrField& field, const void* a, const void* b);
size_t attrs_hash(const AttrsDef& def, const void* attrs);

}  // namespace zp
