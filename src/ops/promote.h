// Type promotion as the source framework does it: operands with dimensions decide, then 0-d tensors, then
// numbers written in the program; a lower group widens the result only into a higher category (bool < integer
// < float < complex), never within one. So i8 tensor + 1000 stays i8, i32 tensor * 1.5 is f32, f16 tensor
// * 1.5 stays f16. Source: the public rules of torch.result_type ("type promotion", tensor attributes page of
// the PyTorch manual).
#pragma once

#include <optional>
#include <span>

#include "ir/graph.h"

namespace zp::ops {

// The smallest type both convert to: u8 with i8 is i16, f16 with bf16 is f32. Nothing if there is none (f8
// with another type, u64 with a signed integer).
std::optional<DType> promote_dtypes(DType a, DType b);

// How one operand takes part.
struct PromotedOperand {
  enum Group : uint8_t { Dimensions, ZeroDim, Number } group = Dimensions;
  DType dtype = DType::Unknown;
};
PromotedOperand promoted_operand(const Value& value);  // a 0-d Literal constant is a Number

std::optional<DType> promote(std::span<const PromotedOperand> operands);
std::optional<DType> promote(std::span<Value* const> values);  // nulls are skipped

// A number written in the program: a const node of a 0-d Literal.
bool is_number(const Value& value);
// The number of an attribute as an operand.
PromotedOperand promoted_operand(const zp::Number& number);

}  // namespace zp::ops
