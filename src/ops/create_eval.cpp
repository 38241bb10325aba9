// Evaluators of ops that make tensors from numbers, and of casts.
#include "ops/create_eval.h"
#include "ops/cut_to_int.h"

#include <cmath>

#include "ops/element_eval.h"
#include "ops/infer_util.h"

namespace zp::ops {

namespace {

Status fill_with(EvalArgs& args, std::vector<int64_t> shape, const Number& number) {
  const DType dtype = result_dtype(args);
  if (is_complex(dtype)) return args.node.error("run.dtype", "complex numbers cannot be computed");
  ZP_TRY(Tensor one, Tensor::make(DType::F64, {}));
  ZP_TRY(Tensor whole, Tensor::make(DType::I64, {}));
  *one.mutable_data<double>() = number.as_double();
  *whole.mutable_data<int64_t>() = number.i;
  ZP_TRY(const Tensor value, cast_tensor(number.kind == Number::Float ? one : whole, dtype));
  ZP_TRY(Tensor * out, make_result(args, 0, dtype, std::move(shape)));
  const auto size = static_cast<size_t>(byte_size(dtype));
  auto* to = out->mutable_data<std::byte>();
  const auto* from = value.data<std::byte>();
  parallel_for(out->elements(), kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) std::copy_n(from, size, to + static_cast<size_t>(i) * size);
  });
  return {};
}

// A number, or the value of the expression that stands for it.
Result<Number> number_of(const EvalArgs& args, const Number& number, const std::optional<Dim>& dim) {
  if (!dim) return number;
  ZP_TRY(const int64_t value, args.dim(*dim));
  return Number::of_int(value);
}

Status fill_sized(EvalArgs& args, int64_t value) {
  ZP_TRY(std::vector<int64_t> shape, args.dims_value(args.node.attrs<SizeAttrs>().size));
  return fill_with(args, std::move(shape), Number::of_int(value));
}

Status fill_full(EvalArgs& args) {
  const auto& attrs = args.node.attrs<FullAttrs>();
  ZP_TRY(std::vector<int64_t> shape, args.dims_value(attrs.size));
  ZP_TRY(const Number value, number_of(args, attrs.fill_value, attrs.fill_value_dim));
  return fill_with(args, std::move(shape), value);
}

}  // namespace

Status eval_full(EvalArgs& args) { return fill_full(args); }
Status eval_new_full(EvalArgs& args) { return fill_full(args); }
Status eval_zeros(EvalArgs& args) { return fill_sized(args, 0); }
Status eval_ones(EvalArgs& args) { return fill_sized(args, 1); }
Status eval_empty(EvalArgs& args) { return fill_sized(args, 0); }
Status eval_new_zeros(EvalArgs& args) { return fill_sized(args, 0); }
Status eval_new_ones(EvalArgs& args) { return fill_sized(args, 1); }
Status eval_new_empty(EvalArgs& args) { return fill_sized(args, 0); }
Status eval_zeros_like(EvalArgs& args) { return fill_with(args, args.in[0]->shape(), Number::of_int(0)); }
Status eval_ones_like(EvalArgs& args) { return fill_with(args, args.in[0]->shape(), Number::of_int(1)); }
Status eval_empty_like(EvalArgs& args) { return fill_with(args, args.in[0]->shape(), Number::of_int(0)); }

Status eval_full_like(EvalArgs& args) {
  const auto& attrs = args.node.attrs<FullLikeAttrs>();
  ZP_TRY(const Number value, number_of(args, attrs.fill_value, attrs.fill_value_dim));
  return fill_with(args, args.in[0]->shape(), value);
}

Status eval_scalar_tensor(EvalArgs& args) {
  const auto& attrs = args.node.attrs<ScalarTensorAttrs>();
  ZP_TRY(const Number value, number_of(args, attrs.s, attrs.s_dim));
  return fill_with(args, {}, value);
}

Status eval_arange(EvalArgs& args) {
  const auto& attrs = args.node.attrs<ArangeAttrs>();
  ZP_TRY(const Number start, number_of(args, attrs.start, attrs.start_dim));
  ZP_TRY(const Number end, number_of(args, attrs.end, attrs.end_dim));
  ZP_TRY(const Number step, number_of(args, attrs.step, attrs.step_dim));
  ZP_TRY(const int64_t count, arange_size(args.node, start, end, step));
  const DType dtype = result_dtype(args);
  // Integer types count in integers, from numbers cut to integers; float types in f64.
  if (!is_float(dtype)) {
    ZP_TRY(Tensor out, Tensor::make(DType::I64, {count}));
    const auto whole = [](const Number& n) { return n.kind == Number::Float ? cut_to_int(n.f) : n.i; };
    for (int64_t i = 0; i < count; ++i) {
      out.mutable_data<int64_t>()[i] =
          static_cast<int64_t>(static_cast<uint64_t>(whole(start)) +
                               static_cast<uint64_t>(i) * static_cast<uint64_t>(whole(step)));
    }
    ZP_TRY(args.out[0], narrow_integer(out, dtype));
    return {};
  }
  ZP_TRY(Tensor out, Tensor::make(DType::F64, {count}));
  for (int64_t i = 0; i < count; ++i)
    out.mutable_data<double>()[i] = start.as_double() + step.as_double() * static_cast<double>(i);
  ZP_TRY(args.out[0], cast_tensor(out, dtype));
  return {};
}

namespace {

// Evenly spaced from both ends, so that the last number is exact. In f32 for f32 and narrower types, in f64
// for f64 and integers.
template <typename T>
Status space(EvalArgs& args, const Number& first, const Number& last, int64_t steps,
             const std::optional<double>& base) {
  if (steps < 0) return failed(args.node, "c1", "the number of steps is negative");
  ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, {steps}));
  const T start = static_cast<T>(first.as_double()), end = static_cast<T>(last.as_double());
  const T step = steps > 1 ? (end - start) / static_cast<T>(steps - 1) : T(0);
  for (int64_t i = 0; i < steps; ++i) {
    T x = i < steps / 2 || steps == 1 ? start + step * static_cast<T>(i)
                                      : end - step * static_cast<T>(steps - 1 - i);
    if (base) x = static_cast<T>(std::pow(*base, static_cast<double>(x)));
    out.mutable_data<T>()[i] = x;
  }
  ZP_TRY(args.out[0], cast_tensor(out, result_dtype(args)));
  return {};
}

Status space_as(EvalArgs& args, const Number& first, const Number& last, Dim steps,
                const std::optional<double>& base) {
  ZP_TRY(const int64_t count, args.dim(steps));
  const DType dtype = result_dtype(args);
  if (is_float(dtype) && dtype != DType::F64) return space<float>(args, first, last, count, base);
  return space<double>(args, first, last, count, base);
}

}  // namespace

Status eval_linspace(EvalArgs& args) {
  const auto& attrs = args.node.attrs<LinspaceAttrs>();
  return space_as(args, attrs.start, attrs.end, attrs.steps, std::nullopt);
}
Status eval_logspace(EvalArgs& args) {
  const auto& attrs = args.node.attrs<LogspaceAttrs>();
  return space_as(args, attrs.start, attrs.end, attrs.steps, attrs.base);
}

Status eval_eye(EvalArgs& args) {
  const auto& attrs = args.node.attrs<EyeAttrs>();
  ZP_TRY(const int64_t rows, args.dim(attrs.n));
  ZP_TRY(const int64_t columns, args.dim(attrs.m.value_or(attrs.n)));
  if (rows < 0 || columns < 0) return failed(args.node, "c1", "a size is negative");
  ZP_TRY(Tensor * out, make_result(args, 0, result_dtype(args), {rows, columns}));
  for (int64_t i = 0; i < std::min(rows, columns); ++i) out->set_double(i * columns + i, 1);
  return {};
}

Status eval_cast(EvalArgs& args) {
  auto cast = cast_tensor(*args.in[0], args.node.attrs<CastAttrs>().dtype);
  if (!cast.ok()) return std::move(std::move(cast).error()).at_node(args.node.name());
  args.out[0] = std::move(cast).value();
  return {};
}

}  // namespace zp::ops
