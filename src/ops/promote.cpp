#include "ops/promote.h"

#include <algorithm>
#include <vector>

#include "ops/ops.h"

namespace zp::ops {

namespace {

enum Category : int { kNone, kBool, kInteger, kFloat, kComplex };

Category category(DType d) {
  if (d == DType::Unknown) return kNone;
  if (d == DType::Bool) return kBool;
  if (is_integer(d)) return kInteger;
  return is_complex(d) ? kComplex : kFloat;
}

bool is_f8(DType d) { return d >= DType::F8E4M3 && d <= DType::F8E8M0; }

std::optional<DType> promote_integers(DType a, DType b) {
  if (is_signed(a) == is_signed(b)) return bits_of(a) >= bits_of(b) ? a : b;
  const DType s = is_signed(a) ? a : b;
  const DType u = is_signed(a) ? b : a;
  if (bits_of(s) > bits_of(u)) return s;
  switch (bits_of(u)) {
    case 2: return DType::I4;
    case 4: return DType::I8;
    case 8: return DType::I16;
    case 16: return DType::I32;
    case 32: return DType::I64;
    default: return std::nullopt;
  }
}

std::optional<DType> promote_floats(DType a, DType b) {
  if (is_f8(a) || is_f8(b)) return std::nullopt;
  if (bits_of(a) == bits_of(b)) return DType::F32;  // f16 with bf16
  return bits_of(a) > bits_of(b) ? a : b;
}

// The complex type whose parts hold `d`.
DType complex_of(DType d) {
  switch (d) {
    case DType::F64:
    case DType::C128: return DType::C128;
    case DType::F16:
    case DType::C32: return DType::C32;
    default: return DType::C64;
  }
}

// `higher` decides unless `lower` is of a higher category.
std::optional<DType> combine(DType higher, DType lower) {
  if (category(higher) == kNone) return lower;
  if (category(lower) == kNone || category(higher) >= category(lower)) return higher;
  if (category(lower) == kComplex && category(higher) == kFloat) return complex_of(higher);
  return promote_dtypes(higher, lower);
}

}  // namespace

std::optional<DType> promote_dtypes(DType a, DType b) {
  if (a == b) return a;
  if (a == DType::Unknown || b == DType::Unknown) return std::nullopt;
  const Category ca = category(a), cb = category(b);
  if (ca == kComplex || cb == kComplex) {
    if (ca == kComplex && cb < kFloat) return a;
    if (cb == kComplex && ca < kFloat) return b;
    const DType x = complex_of(a), y = complex_of(b);
    return bits_of(x) >= bits_of(y) ? x : y;
  }
  if (ca != cb) return ca > cb ? a : b;
  return ca == kInteger ? promote_integers(a, b) : promote_floats(a, b);
}

bool is_number(const Value& value) {
  const Node* def = value.def();
  if (def != nullptr && def->is(number_tensor)) return true;
  return def != nullptr && def->constant() != nullptr && def->constant()->kind == ConstantKind::Literal &&
         def->constant()->shape.empty();
}

PromotedOperand promoted_operand(const Value& value) {
  PromotedOperand operand;
  operand.dtype = value.type().real_dtype();
  if (is_number(value)) {
    operand.group = PromotedOperand::Number;
    if (is_float(operand.dtype)) operand.dtype = DType::F32;  // the default float type
  } else if (value.type().ranked && value.type().shape.empty()) {
    operand.group = PromotedOperand::ZeroDim;
  }
  return operand;
}

PromotedOperand promoted_operand(const zp::Number& number) {
  switch (number.kind) {
    case zp::Number::Bool: return {PromotedOperand::Number, DType::Bool};
    case zp::Number::Int: return {PromotedOperand::Number, DType::I64};
    case zp::Number::Float: break;
  }
  return {PromotedOperand::Number, DType::F32};
}

std::optional<DType> promote(std::span<const PromotedOperand> operands) {
  DType groups[3] = {DType::Unknown, DType::Unknown, DType::Unknown};
  for (const PromotedOperand& operand : operands) {
    if (operand.dtype == DType::Unknown) return std::nullopt;
    DType& group = groups[operand.group];
    if (group == DType::Unknown) {
      group = operand.dtype;
    } else if (const auto both = promote_dtypes(group, operand.dtype)) {
      group = *both;
    } else {
      return std::nullopt;
    }
  }
  const auto lower = combine(groups[1], groups[2]);
  if (!lower) return std::nullopt;
  const auto all = combine(groups[0], *lower);
  if (!all || *all == DType::Unknown) return std::nullopt;
  return all;
}

std::optional<DType> promote(std::span<Value* const> values) {
  std::vector<PromotedOperand> operands;
  for (const Value* value : values)
    if (value != nullptr) operands.push_back(promoted_operand(*value));
  return promote(operands);
}

}  // namespace zp::ops
