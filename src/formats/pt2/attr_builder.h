// The attributes of a node under construction: the struct of its card, set by name while arguments are read.
// Conversions are those the schemas need (a number where the card has a float, one number where it has a
// list); nothing else fits.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "formats/pt2/schema.h"
#include "ir/attrs.h"
#include "ir/graph.h"
#include "ir/op_def.h"

namespace zp::pt2 {

// The attribute struct of an op, set field by field. A setter returns false if there is no such field or it
// cannot hold the value; a field that is absent from the card stays what it was.
class AttrBuilder {
 public:
  AttrBuilder(const OpDef& op, Context& context);

  bool has(std::string_view field) const { return find(field) != nullptr; }
  bool set_int(std::string_view field, int64_t value);
  bool set_ints(std::string_view field, std::span<const int64_t> values);
  bool set_dim(std::string_view field, Dim value);
  bool set_dims(std::string_view field, std::span<const Dim> values);
  bool set_float(std::string_view field, double value);
  bool set_floats(std::string_view field, std::span<const double> values);
  bool set_bool(std::string_view field, bool value);
  bool set_text(std::string_view field, std::string_view value);
  bool set_dtype(std::string_view field, DType value);
  bool set_number(std::string_view field, Number value);
  bool set_quant(std::string_view field, const QuantType* value);
  bool set_none(std::string_view field);  // an absent optional; true also where the default then holds
  bool set_literal(std::string_view field, const Literal& literal);

  const OpDef& op() const { return op_; }
  const void* data() const { return bytes_; }

 private:
  const AttrField* find(std::string_view field) const {
    return op_.attrs == nullptr ? nullptr : op_.attrs->find(field);
  }
  template <typename T>
  T& ref(const AttrField* field) {
    return attr_ref<T>(bytes_, *field);
  }
  // Writes a field of T's kind or of its optional kind; false for any other.
  template <typename T>
  bool put(const AttrField* field, const T& value);

  const OpDef& op_;
  Context& context_;
  alignas(16) std::byte bytes_[512];
};

}  // namespace zp::pt2
