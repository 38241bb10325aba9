// Cards and inference of the elementwise ops of two and three operands.
#include "ops/binary.h"

#include <fmt/format.h>

#include "ops/binary_eval.h"
#include "ops/infer_util.h"
#include "ops/ops.h"
#include "ops/promote.h"

namespace zp::ops {

namespace {

Result<DType> promoted(const Node& node, std::string_view check, std::span<Value* const> values) {
  if (const auto dtype = promote(values)) return *dtype;
  std::string types;
  for (const Value* v : values)
    if (v != nullptr) types += (types.empty() ? "" : ", ") + std::string(dtype_name(v->type().real_dtype()));
  return failed(node, check, fmt::format("element types {} have no common type", types));
}

// Broadcasts all operands and sets result 0.
Status set_broadcast(Node& node, DType dtype) {
  if (any_unranked(node)) return set_unranked_result(node, 0, dtype);
  std::vector<Shape> shapes;
  for (size_t i = 0; i < node.operand_count(); ++i)
    if (node.operand(i) != nullptr) shapes.push_back(node.operand(i)->type().shape);
  ZP_TRY(const std::vector<Dim> shape, broadcast_shapes(node, "c1", shapes));
  return set_result(node, 0, dtype, shape);
}

Result<DType> promoted_all(const Node& node) {
  ZP_CHECK(check_operands(node));
  std::vector<Value*> values;
  for (size_t i = 0; i < node.operand_count(); ++i) values.push_back(node.operand(i));
  return promoted(node, "c2", values);
}

Status infer_arithmetic(Context&, Node& node) {
  ZP_TRY(const DType dtype, promoted_all(node));
  return set_broadcast(node, dtype);
}

// add with alpha: a float alpha needs a float result.
Status infer_add(Context&, Node& node) {
  ZP_TRY(const DType dtype, promoted_all(node));
  const Number& alpha = node.attrs<AddAttrs>().alpha;
  if (alpha.kind == Number::Float && !is_float(dtype) && !is_complex(dtype)) {
    return failed(node, "c3",
                  fmt::format("alpha {} is a float, the result is {}", alpha.f, dtype_name(dtype)));
  }
  return set_broadcast(node, dtype);
}

Status infer_float_result(Context&, Node& node) {
  ZP_TRY(const DType dtype, promoted_all(node));
  return set_broadcast(node, is_float(dtype) || is_complex(dtype) ? dtype : DType::F32);
}

Status infer_div(Context& context, Node& node) {
  const std::string_view mode = node.attrs<DivAttrs>().rounding_mode;
  if (mode.empty()) return infer_float_result(context, node);
  if (mode != "floor" && mode != "trunc")
    return failed(node, "c3", fmt::format("rounding_mode is '{}', not floor or trunc", mode));
  return infer_arithmetic(context, node);
}

Status infer_integers(Context&, Node& node) {
  ZP_TRY(const DType dtype, promoted_all(node));
  if (is_float(dtype) || is_complex(dtype))
    return failed(node, "c3", fmt::format("operands are {}, integers or bool are needed", dtype_name(dtype)));
  return set_broadcast(node, dtype);
}

Status infer_compare(Context&, Node& node) {
  ZP_TRY(const DType dtype, promoted_all(node));
  static_cast<void>(dtype);
  return set_broadcast(node, DType::Bool);
}

Status infer_logical(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  return set_broadcast(node, DType::Bool);
}

Status infer_where(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const DType mask = node.operand(0)->type().dtype;
  if (mask != DType::Bool && mask != DType::U8)
    return failed(node, "c3", fmt::format("the condition is {}, bool is needed", dtype_name(mask)));
  Value* const values[] = {node.operand(1), node.operand(2)};
  ZP_TRY(const DType dtype, promoted(node, "c2", values));
  return set_broadcast(node, dtype);
}

Status infer_masked_fill(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const DType mask = node.operand(1)->type().dtype;
  if (mask != DType::Bool)
    return failed(node, "c2", fmt::format("the mask is {}, bool is needed", dtype_name(mask)));
  const Type& value = node.operand(2)->type();
  if (value.ranked && value.rank() != 0)
    return failed(node, "c3", fmt::format("the value has rank {}, 0 is needed", value.rank()));
  return set_broadcast(node, node.operand(0)->type().real_dtype());
}

// Bounds that are tensors, either of which may be absent.
Status infer_clamp_tensor(Context& context, Node& node) {
  if (node.operand(1) == nullptr && node.operand(2) == nullptr)
    return failed(node, "c3", "neither min nor max is given");
  return infer_arithmetic(context, node);
}

Status infer_prelu(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type& x = node.operand(0)->type();
  const Type& w = node.operand(1)->type();
  if (!is_float(x.real_dtype()))
    return failed(node, "c1",
                  fmt::format("elements are {}, a float type is needed", dtype_name(x.real_dtype())));
  if (x.ranked && w.ranked && w.elements() != 1) {
    // One entry a channel, as a vector or already lying along dim 1.
    const size_t along = w.rank() == 1 ? 0 : 1;
    bool vector = w.rank() == 1 || w.rank() == x.rank();
    for (size_t d = 0; vector && d < w.shape.size(); ++d)
      vector = d == along || !w.shape[d].is_known() || w.shape[d].value() == 1;
    if (!vector)
      return failed(
          node, "c2",
          fmt::format("the weight has shape {}, one number or one a channel is needed", shape_text(w.shape)));
    if (x.rank() >= 2 && x.shape[1].is_known() && w.shape[along].is_known() &&
        !(x.shape[1] == w.shape[along])) {
      return failed(node, "c2",
                    fmt::format("the weight has {} entries, the input {} channels", w.shape[along].value(),
                                x.shape[1].value()));
    }
  }
  return set_result_like(node, 0, x.real_dtype(), x);
}

// The result is like operand 0; operand 1 broadcasts to it.
Status infer_into_self(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type& self = node.operand(0)->type();
  if (!any_unranked(node)) {
    const Shape shapes[] = {self.shape, node.operand(1)->type().shape};
    ZP_TRY(const std::vector<Dim> shape, broadcast_shapes(node, "c1", shapes));
    if (shape.size() != self.shape.size()) {
      return failed(
          node, "c1",
          fmt::format("the source has rank {}, the result {}", shapes[1].size(), self.shape.size()));
    }
    for (size_t i = 0; i < shape.size(); ++i) {
      if (self.shape[i].is_known() && !(shape[i] == self.shape[i])) {
        return failed(node, "c1",
                      fmt::format("the source has {} in dim {}, the result {}", shape[i].str(), i,
                                  self.shape[i].str()));
      }
    }
  }
  return set_result_like(node, 0, self.real_dtype(), self);
}

constexpr OperandDef kTwo[] = {{"self"}, {"other"}};
constexpr OperandDef kPow[] = {{"self"}, {"exponent"}};
constexpr OperandDef kLerp[] = {{"self"}, {"end"}, {"weight"}};
constexpr OperandDef kAddc[] = {{"self"}, {"tensor1"}, {"tensor2"}};
constexpr OperandDef kWhere[] = {{"condition", Role::Mask}, {"self"}, {"other"}};
constexpr OperandDef kMaskedFill[] = {{"self"}, {"mask", Role::Mask}, {"value"}};
constexpr OperandDef kClampTensor[] = {{"self"}, {"min", Role::Data, true}, {"max", Role::Data, true}};
constexpr OperandDef kPrelu[] = {{"self"}, {"weight", Role::Weight}};
constexpr OperandDef kCopy[] = {{"self"}, {"src"}};
constexpr OperandDef kFill[] = {{"self"}, {"value"}};

constexpr std::string_view kChecks[] = {"c1: shapes broadcast: dims are equal, or 1",
                                        "c2: element types have a common type"};
constexpr std::string_view kAddChecks[] = {"c1: shapes broadcast: dims are equal, or 1",
                                           "c2: element types have a common type",
                                           "c3: alpha is an integer where the result is"};
constexpr std::string_view kDivChecks[] = {"c1: shapes broadcast: dims are equal, or 1",
                                           "c2: element types have a common type",
                                           "c3: rounding_mode is empty, floor or trunc"};
constexpr std::string_view kIntegerChecks[] = {"c1: shapes broadcast: dims are equal, or 1",
                                               "c2: element types have a common type",
                                               "c3: operands are integers or bool"};
constexpr std::string_view kBroadcastChecks[] = {"c1: shapes broadcast: dims are equal, or 1"};
constexpr std::string_view kWhereChecks[] = {"c1: shapes broadcast: dims are equal, or 1",
                                             "c2: element types have a common type",
                                             "c3: the condition is bool (or u8)"};
constexpr std::string_view kMaskedFillChecks[] = {"c1: shapes broadcast: dims are equal, or 1",
                                                  "c2: the mask is bool", "c3: the value has no dims"};
constexpr std::string_view kClampTensorChecks[] = {"c1: shapes broadcast: dims are equal, or 1",
                                                   "c2: element types have a common type",
                                                   "c3: min or max is given"};
constexpr std::string_view kPreluChecks[] = {"c1: elements are a float type",
                                             "c2: the weight is one number or one a channel (dim 1)"};
constexpr std::string_view kIntoSelfChecks[] = {
    "c1: the second operand broadcasts to the shape of the first"};

}  // namespace

#define ZP_BINARY(NAME, OPERANDS, INFER, TRAIT, FLAGS, CHECKS, DOC) \
  constinit const OpDef NAME = {.name = #NAME,                      \
                                .doc = DOC,                         \
                                .operands = OPERANDS,               \
                                .results = kOneResult,              \
                                .trait = Trait::TRAIT,              \
                                .flags = FLAGS,                     \
                                .infer = INFER,                     \
                                .eval = ZP_EVAL(NAME),              \
                                .checks = CHECKS}
#define ZP_BINARY_ATTRS(NAME, ATTRS, OPERANDS, INFER, TRAIT, FLAGS, CHECKS, DOC) \
  constinit const OpDef NAME = {.name = #NAME,                                   \
                                .doc = DOC,                                      \
                                .operands = OPERANDS,                            \
                                .results = kOneResult,                           \
                                .attrs = &attrs_of<ATTRS>,                       \
                                .trait = Trait::TRAIT,                           \
                                .flags = FLAGS,                                  \
                                .infer = INFER,                                  \
                                .eval = ZP_EVAL(NAME),                           \
                                .checks = CHECKS}

// Arithmetic.
ZP_BINARY_ATTRS(add, AddAttrs, kTwo, infer_add, Rescales, kPointwise | kCommutative | kIntegerForm,
                kAddChecks,
                "Sum: self + alpha * other; integers wrap, of bools: or (commutative when alpha is 1)");
ZP_BINARY_ATTRS(sub, AddAttrs, kTwo, infer_add, Rescales, kPointwise | kIntegerForm, kAddChecks,
                "Difference: self - alpha * other; integers wrap");
ZP_BINARY_ATTRS(mul, MulAttrs, kTwo, infer_arithmetic, Rescales, kPointwise | kCommutative | kIntegerForm,
                kChecks, "Product; integers wrap, of bools: and");
ZP_BINARY_ATTRS(div, DivAttrs, kTwo, infer_div, FloatOnly, kPointwise, kDivChecks,
                "Quotient: of integers a float, unless rounding_mode is floor or trunc");
ZP_BINARY(floor_divide, kTwo, infer_arithmetic, FloatOnly, kPointwise, kChecks,
          "floor(self / other) in the common type");
ZP_BINARY(remainder, kTwo, infer_arithmetic, FloatOnly, kPointwise, kChecks,
          "self - floor(self / other) * other: the sign of the divisor");
ZP_BINARY(fmod, kTwo, infer_arithmetic, FloatOnly, kPointwise, kChecks,
          "self - trunc(self / other) * other: the sign of the dividend");
ZP_BINARY(pow, kPow, infer_arithmetic, FloatOnly, kPointwise, kChecks, "self ^ exponent");
ZP_BINARY(atan2, kTwo, infer_float_result, FloatOnly, kPointwise, kChecks,
          "Angle of the point (other, self), -pi..pi");
ZP_BINARY(hypot, kTwo, infer_arithmetic, FloatOnly, kPointwise | kCommutative, kChecks,
          "sqrt(self^2 + other^2) without overflow");
ZP_BINARY(copysign, kTwo, infer_float_result, FloatOnly, kPointwise, kChecks,
          "|self| with the sign of other");
ZP_BINARY(xlogy, kTwo, infer_float_result, FloatOnly, kPointwise, kChecks,
          "self * log(other), 0 where self is 0 and other is not NaN");
ZP_BINARY(logaddexp, kTwo, infer_float_result, FloatOnly, kPointwise | kCommutative, kChecks,
          "log(exp(self) + exp(other))");
ZP_BINARY(logaddexp2, kTwo, infer_float_result, FloatOnly, kPointwise | kCommutative, kChecks,
          "log2(2^self + 2^other)");
ZP_BINARY_ATTRS(addcmul, AddcAttrs, kAddc, infer_arithmetic, FloatOnly, kPointwise, kChecks,
                "self + value * tensor1 * tensor2");
ZP_BINARY_ATTRS(addcdiv, AddcAttrs, kAddc, infer_arithmetic, FloatOnly, kPointwise, kChecks,
                "self + value * tensor1 / tensor2");
ZP_BINARY(lerp, kLerp, infer_arithmetic, FloatOnly, kPointwise, kChecks,
          "self + weight * (end - self); from the other end where |weight| >= 0.5");
ZP_BINARY(prelu, kPrelu, infer_prelu, Rescales, 0, kPreluChecks,
          "self where self > 0, else weight * self; the weight is along dim 1");

// Selection.
ZP_BINARY(maximum, kTwo, infer_arithmetic, SameQparams, kPointwise | kCommutative | kIntegerForm, kChecks,
          "The larger; NaN if either is NaN");
ZP_BINARY(minimum, kTwo, infer_arithmetic, SameQparams, kPointwise | kCommutative | kIntegerForm, kChecks,
          "The smaller; NaN if either is NaN");
ZP_BINARY(heaviside, kTwo, infer_arithmetic, FloatOnly, kPointwise, kChecks,
          "The step function: 0 below 0 and for NaN, 1 above, the second operand at 0");
ZP_BINARY(fmax, kTwo, infer_arithmetic, FloatOnly, kPointwise | kCommutative, kChecks,
          "The larger; the other one if one is NaN");
ZP_BINARY(fmin, kTwo, infer_arithmetic, FloatOnly, kPointwise | kCommutative, kChecks,
          "The smaller; the other one if one is NaN");
ZP_BINARY(clamp_tensor, kClampTensor, infer_clamp_tensor, FloatOnly, kPointwise, kClampTensorChecks,
          "min(max(self, min), max) elementwise; NaN where any is NaN");
ZP_BINARY(where, kWhere, infer_where, SameQparams, kPointwise | kIntegerForm, kWhereChecks,
          "self where the condition holds, else other");
ZP_BINARY(masked_fill, kMaskedFill, infer_masked_fill, SameQparams, kPointwise | kIntegerForm,
          kMaskedFillChecks, "value where the mask holds, else self");
ZP_BINARY(copy, kCopy, infer_into_self, FloatOnly, 0, kIntoSelfChecks,
          "src, broadcast to the shape of self and cast to its type");
ZP_BINARY(fill, kFill, infer_into_self, FloatOnly, 0, kIntoSelfChecks,
          "value everywhere, in the shape and type of self");

// Bits.
ZP_BINARY(bitwise_and, kTwo, infer_integers, Never, kPointwise | kCommutative, kIntegerChecks,
          "Bits set in both");
ZP_BINARY(bitwise_or, kTwo, infer_integers, Never, kPointwise | kCommutative, kIntegerChecks,
          "Bits set in either");
ZP_BINARY(bitwise_xor, kTwo, infer_integers, Never, kPointwise | kCommutative, kIntegerChecks,
          "Bits set in exactly one");
ZP_BINARY(bitwise_left_shift, kTwo, infer_integers, Never, kPointwise, kIntegerChecks,
          "self * 2^other, bits beyond the type lost; 0 for shifts out of range");
ZP_BINARY(bitwise_right_shift, kTwo, infer_integers, Never, kPointwise, kIntegerChecks,
          "floor(self / 2^other); shifts out of range give the sign");

// Comparison and logic, in the common type.
ZP_BINARY(eq, kTwo, infer_compare, Never, kPointwise | kCommutative, kChecks, "self == other");
ZP_BINARY(ne, kTwo, infer_compare, Never, kPointwise | kCommutative, kChecks,
          "self != other; true where either is NaN");
ZP_BINARY(lt, kTwo, infer_compare, Never, kPointwise, kChecks, "self < other");
ZP_BINARY(le, kTwo, infer_compare, Never, kPointwise, kChecks, "self <= other");
ZP_BINARY(gt, kTwo, infer_compare, Never, kPointwise, kChecks, "self > other");
ZP_BINARY(ge, kTwo, infer_compare, Never, kPointwise, kChecks, "self >= other");
ZP_BINARY(logical_and, kTwo, infer_logical, Never, kPointwise | kCommutative, kBroadcastChecks,
          "True where both are not 0");
ZP_BINARY(logical_or, kTwo, infer_logical, Never, kPointwise | kCommutative, kBroadcastChecks,
          "True where either is not 0");
ZP_BINARY(logical_xor, kTwo, infer_logical, Never, kPointwise | kCommutative, kBroadcastChecks,
          "True where exactly one is not 0");

}  // namespace zp::ops
