// Pieces of the text form that types, constants, attributes and graphs share. What the printer writes here
// the parser reads back to the same bits.
#pragma once

#include <string>
#include <unordered_map>

#include "ir/attrs.h"
#include "ir/constant.h"
#include "ir/type.h"

namespace zp::text_form {

// Names of quantizations that are declared once (`#w = i8(axis 0: @w.scale)`) and used as `#w[8,3]`.
using Aliases = std::unordered_map<const QuantType*, std::string>;

void append_quant(std::string* out, const QuantType& quant);
void append_type(std::string* out, const Type& type, const Aliases* aliases = nullptr);
void append_shape(std::string* out, const Type& type);

// Element `index` of dense constant data. False (and nothing appended) if decimal text would lose bits:
// complex numbers and NaN with a payload.
bool append_element(std::string* out, DType dtype, const std::byte* data, int64_t index);

// The number of a 0-d constant as it stands in operand position: `3` is i64, `1.5` f32, `true` bool, others
// say their dtype: `3:i32`. False if it cannot be written so.
bool append_literal(std::string* out, DType dtype, const std::byte* data);

void append_attr(std::string* out, const AttrField& field, const void* attrs);

// Words of the kinds of constants: param, buffer, transient, literal; empty for lifted tensors.
std::string_view constant_kind_word(ConstantKind kind);
// Words of the types that are no tensors: int, float, bool, none, token, object.
std::string_view type_kind_word(TypeKind kind);

}  // namespace zp::text_form
