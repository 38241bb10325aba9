// Evaluators of comparison, logic, bits and selection. Comparisons are made in the common type of the
// operands, to which both are rounded first; selections move elements without touching them.
#include <cstring>

#include "ops/binary_eval.h"
#include "ops/element_eval.h"
#include "ops/infer_util.h"

namespace zp::ops {

namespace {

template <typename F>
Status compare(EvalArgs& args, const F& f) {
  ZP_TRY(const DType common, common_dtype(args, 0, 2));
  ZP_TRY(const DType computation, computation_type(args, common));
  ZP_TRY(const Tensor a, cast_tensor(*args.in[0], common));
  ZP_TRY(const Tensor b, cast_tensor(*args.in[1], common));
  return with_computation(computation, [&](auto tag) -> Status {
    using T = decltype(tag);
    ZP_TRY(const Tensor x, widen_to(a, kDTypeOf<T>));
    ZP_TRY(const Tensor y, widen_to(b, kDTypeOf<T>));
    const std::array<const Tensor*, 2> in{&x, &y};
    ZP_TRY(std::vector<int64_t> shape, common_shape(args, in));
    ZP_TRY(Tensor * out, make_result(args, 0, DType::Bool, std::move(shape)));
    map_broadcast<T, uint8_t>(in, *out, f);
    return {};
  });
}

template <typename F>
Status logical(EvalArgs& args, const F& f) {
  ZP_TRY(const Tensor a, cast_tensor(*args.in[0], DType::Bool));
  ZP_TRY(const Tensor b, cast_tensor(*args.in[1], DType::Bool));
  const std::array<const Tensor*, 2> in{&a, &b};
  ZP_TRY(std::vector<int64_t> shape, common_shape(args, in));
  ZP_TRY(Tensor * out, make_result(args, 0, DType::Bool, std::move(shape)));
  map_broadcast<uint8_t, uint8_t>(in, *out, f);
  return {};
}

template <typename F>
Status bits(EvalArgs& args, const F& f) {
  ZP_TRY(const DType common, common_dtype(args, 0, 2));
  return map_operands<2>(args, common, result_dtype(args), [&](auto a, auto b) {
    return static_cast<decltype(a)>(f(static_cast<int64_t>(a), static_cast<int64_t>(b)));
  });
}

// Elements of any type are moved by their size: out[i] = mask[i] ? yes[i] : no[i], all of them of one dtype.
template <typename Element>
void select_elements(const Tensor& mask, const Tensor& yes, const Tensor& no, Tensor& out) {
  if (out.elements() == 0) return;
  const std::array<std::vector<int64_t>, 3> strides{broadcast_strides(mask.shape(), out.shape()),
                                                    broadcast_strides(yes.shape(), out.shape()),
                                                    broadcast_strides(no.shape(), out.shape())};
  const auto* m = mask.data<uint8_t>();
  const auto* a = yes.data<Element>();
  const auto* b = no.data<Element>();
  auto* to = out.mutable_data<Element>();
  for_each_row(
      out.shape(), strides, [&](int64_t at, const int64_t* offset, int64_t length, const int64_t* step) {
        for (int64_t i = 0; i < length; ++i) {
          to[at + i] =
              m[offset[0] + i * step[0]] != 0 ? a[offset[1] + i * step[1]] : b[offset[2] + i * step[2]];
        }
      });
}

Status select(EvalArgs& args, const Tensor& mask, const Tensor& yes, const Tensor& no) {
  const DType dtype = result_dtype(args);
  ZP_TRY(const Tensor a, cast_tensor(yes, dtype));
  ZP_TRY(const Tensor b, cast_tensor(no, dtype));
  const Tensor* const all[] = {&mask, &a, &b};
  ZP_TRY(std::vector<int64_t> shape, common_shape(args, all));
  ZP_TRY(Tensor * out, make_result(args, 0, dtype, std::move(shape)));
  switch (byte_size(dtype)) {
    case 1: select_elements<uint8_t>(mask, a, b, *out); break;
    case 2: select_elements<uint16_t>(mask, a, b, *out); break;
    case 4: select_elements<uint32_t>(mask, a, b, *out); break;
    case 8: select_elements<uint64_t>(mask, a, b, *out); break;
    default: return args.node.error("run.dtype", "elements of that size cannot be selected");
  }
  return {};
}

// `source` cast to the type of the result and repeated to the shape of operand 0.
Status spread(EvalArgs& args, const Tensor& source) {
  const std::vector<int64_t>& shape = args.in[0]->shape();
  const Tensor* const both[] = {args.in[0], &source};
  ZP_TRY(const std::vector<int64_t> common, common_shape(args, both));
  if (common != shape) return failed(args.node, "c1", "the source does not fit the shape of the result");
  ZP_TRY(const Tensor no_mask, Tensor::make(DType::Bool, {}));
  ZP_TRY(const Tensor value, cast_tensor(source, result_dtype(args)));
  ZP_TRY(const Tensor like, Tensor::make(value.dtype(), shape));
  return select(args, no_mask, like, value);
}

}  // namespace

Status eval_eq(EvalArgs& args) {
  return compare(args, [](auto a, auto b) { return a == b; });
}
Status eval_ne(EvalArgs& args) {
  return compare(args, [](auto a, auto b) { return a != b; });
}
Status eval_lt(EvalArgs& args) {
  return compare(args, [](auto a, auto b) { return a < b; });
}
Status eval_le(EvalArgs& args) {
  return compare(args, [](auto a, auto b) { return a <= b; });
}
Status eval_gt(EvalArgs& args) {
  return compare(args, [](auto a, auto b) { return a > b; });
}
Status eval_ge(EvalArgs& args) {
  return compare(args, [](auto a, auto b) { return a >= b; });
}

Status eval_logical_and(EvalArgs& args) {
  return logical(args, [](uint8_t a, uint8_t b) { return a & b; });
}
Status eval_logical_or(EvalArgs& args) {
  return logical(args, [](uint8_t a, uint8_t b) { return a | b; });
}
Status eval_logical_xor(EvalArgs& args) {
  return logical(args, [](uint8_t a, uint8_t b) { return a ^ b; });
}

Status eval_bitwise_and(EvalArgs& args) {
  return bits(args, [](int64_t a, int64_t b) { return a & b; });
}
Status eval_bitwise_or(EvalArgs& args) {
  return bits(args, [](int64_t a, int64_t b) { return a | b; });
}
Status eval_bitwise_xor(EvalArgs& args) {
  return bits(args, [](int64_t a, int64_t b) { return a ^ b; });
}
Status eval_bitwise_left_shift(EvalArgs& args) {
  const int64_t width = bits_of(result_dtype(args));
  return bits(args, [=](int64_t a, int64_t b) {
    return b < 0 || b >= width ? int64_t{0} : static_cast<int64_t>(static_cast<uint64_t>(a) << b);
  });
}
Status eval_bitwise_right_shift(EvalArgs& args) {
  const DType dtype = result_dtype(args);
  const int64_t last = bits_of(dtype) - (is_signed(dtype) ? 1 : 0);
  return bits(args, [=](int64_t a, int64_t b) {
    const int64_t by = b < 0 || b >= last ? last : b;
    return by >= 64 ? int64_t{0} : a >> by;
  });
}

Status eval_where(EvalArgs& args) { return select(args, *args.in[0], *args.in[1], *args.in[2]); }

Status eval_masked_fill(EvalArgs& args) {
  if (args.in[2]->elements() != 1) return failed(args.node, "c3", "the value is not one number");
  return select(args, *args.in[1], *args.in[2], *args.in[0]);
}

Status eval_copy(EvalArgs& args) { return spread(args, *args.in[1]); }
Status eval_fill(EvalArgs& args) { return spread(args, *args.in[1]); }

}  // namespace zp::ops
