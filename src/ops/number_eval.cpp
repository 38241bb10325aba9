// Evaluators of symbolic numbers: Python's arithmetic on integers of 64 bits, doubles and truth values. What
// does not fit 64 bits is an error.
#include <fmt/format.h>

#include <cmath>

#include "ir/tensor.h"
#include "ops/number.h"

namespace zp::ops {
namespace {

struct Num {
  bool is_float = false, is_bool = false;
  int64_t i = 0;
  double f = 0;
  double real() const { return is_float ? f : static_cast<double>(i); }
};

Result<Num> read(const EvalArgs& args, size_t index) {
  if (index >= args.in.size() || args.in[index] == nullptr || args.in[index]->elements() != 1)
    return args.node.error("run.number", fmt::format("operand {} is not one number", index));
  const Tensor& t = *args.in[index];
  Num n;
  n.is_float = is_float(t.dtype());
  n.is_bool = t.dtype() == DType::Bool;
  if (n.is_float) n.f = t.get_double(0);
  else n.i = t.get_int(0);
  return n;
}

Status give(EvalArgs& args, const Num& n) {
  const DType dtype = n.is_float ? DType::F64 : n.is_bool ? DType::Bool : DType::I64;
  ZP_TRY(args.out[0], Tensor::make(dtype, {}));
  if (n.is_float) args.out[0].set_double(0, n.f);
  else args.out[0].set_int(0, n.i);
  return {};
}

Num of_int(int64_t value) { return {.i = value}; }
Num of_bool(bool value) { return {.is_bool = true, .i = value}; }
Num of_float(double value) { return {.is_float = true, .f = value}; }

// Towards minus infinity, as Python's // and %.
__int128 floor_div(__int128 a, __int128 b) { return a / b - ((a % b != 0) && ((a < 0) != (b < 0)) ? 1 : 0); }

Result<Num> fit(const EvalArgs& args, __int128 value) {
  if (value > INT64_MAX || value < INT64_MIN)
    return args.node.error("run.number", "the result does not fit 64 bits");
  return of_int(static_cast<int64_t>(value));
}

Result<Num> power(const EvalArgs& args, int64_t base, int64_t exponent) {
  if (exponent < 0)
    return args.node.error("run.number", fmt::format("{} ** {} is no integer", base, exponent));
  __int128 value = 1;
  if (base == 0 || base == 1) return of_int(exponent == 0 ? 1 : base);
  if (base == -1) return of_int(exponent % 2 == 0 ? 1 : -1);
  for (int64_t k = 0; k < exponent; ++k) {
    value *= base;
    if (value > INT64_MAX || value < INT64_MIN) break;
  }
  return fit(args, value);
}

Result<Num> whole(const EvalArgs& args, double value) {
  if (!(value >= -9.2e18 && value <= 9.2e18))
    return args.node.error("run.number", fmt::format("{} is no integer of 64 bits", value));
  return of_int(static_cast<int64_t>(value));
}

Result<Num> unary(const EvalArgs& args, std::string_view f, const Num& a) {
  if (f == "pos") return a.is_bool ? of_int(a.i) : a;
  if (f == "neg") return a.is_float ? Result<Num>(of_float(-a.f)) : fit(args, -static_cast<__int128>(a.i));
  if (f == "not_") return of_bool(a.real() == 0);
  if (f == "float") return of_float(a.real());
  if (f == "sqrt") return of_float(std::sqrt(a.real()));
  if (!a.is_float) return of_int(a.i);
  if (f == "floor") return whole(args, std::floor(a.f));
  if (f == "ceil") return whole(args, std::ceil(a.f));
  return whole(args, std::trunc(a.f));
}

int compare(const Num& a, const Num& b) {  // 2: not ordered
  if (!a.is_float && !b.is_float) return a.i < b.i ? -1 : a.i > b.i ? 1 : 0;
  const double x = a.real(), y = b.real();
  return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
}

Result<Num> of_reals(const EvalArgs& args, std::string_view f, double a, double b) {
  if (f == "add") return of_float(a + b);
  if (f == "sub") return of_float(a - b);
  if (f == "mul") return of_float(a * b);
  if (f == "pow") return of_float(std::pow(a, b));
  if (b == 0) return args.node.error("run.number", "division by zero");
  if (f == "truediv") return of_float(a / b);
  if (f == "floordiv") return of_float(std::floor(a / b));
  return of_float(a - std::floor(a / b) * b);
}

Result<Num> of_integers(const EvalArgs& args, std::string_view f, int64_t a, int64_t b) {
  const __int128 x = a, y = b;
  if (f == "add") return fit(args, x + y);
  if (f == "sub") return fit(args, x - y);
  if (f == "mul") return fit(args, x * y);
  if (f == "pow") return power(args, a, b);
  if (f == "lshift" || f == "rshift") {
    if (b < 0 || b > 63) return args.node.error("run.number", fmt::format("shift by {}", b));
    return f == "rshift" ? Result<Num>(of_int(a >> b)) : fit(args, x * (static_cast<__int128>(1) << b));
  }
  if (b == 0) return args.node.error("run.number", "division by zero");
  if (f == "floordiv") return fit(args, floor_div(x, y));
  return fit(args, x - floor_div(x, y) * y);
}

Result<Num> binary(const EvalArgs& args, std::string_view f, const Num& a, const Num& b) {
  const int order = compare(a, b);
  if (f == "eq") return of_bool(order == 0);
  if (f == "ne") return of_bool(order != 0);
  if (f == "lt") return of_bool(order == -1);
  if (f == "le") return of_bool(order == -1 || order == 0);
  if (f == "gt") return of_bool(order == 1);
  if (f == "ge") return of_bool(order == 1 || order == 0);
  if (f == "max") return order >= 0 ? a : b;
  if (f == "min") return order <= 0 ? a : b;
  if (f == "and_" || f == "or_") {
    Num n = of_int(f == "and_" ? a.i & b.i : a.i | b.i);
    n.is_bool = a.is_bool && b.is_bool;
    return n;
  }
  if (a.is_float || b.is_float || f == "truediv") return of_reals(args, f, a.real(), b.real());
  return of_integers(args, f, a.i, b.i);
}

}  // namespace

Status eval_item(EvalArgs& args) {
  ZP_TRY(const Num n, read(args, 0));
  return give(args, n);
}

Status eval_size_number(EvalArgs& args) {
  ZP_TRY(const int64_t value, args.dim(args.node.attrs<SizeNumberAttrs>().value));
  return give(args, of_int(value));
}

Status eval_number(EvalArgs& args) {
  const std::string_view f = args.node.attrs<NumberAttrs>().function;
  if (args.in.empty()) return args.node.error("run.number", "there are no operands");
  ZP_TRY(Num n, read(args, 0));
  if (f == "ite") {
    ZP_TRY(n, read(args, n.real() != 0 ? 1 : 2));
  } else if (args.in.size() == 1) {
    ZP_TRY(n, unary(args, f, n));
  } else {
    for (size_t i = 1; i < args.in.size(); ++i) {
      ZP_TRY(const Num next, read(args, i));
      ZP_TRY(n, binary(args, f, n, next));
    }
  }
  // One branch of `ite`, or one operand of max and min, may be of the narrower kind.
  const TypeKind kind = args.node.result()->type().kind;
  if (kind == TypeKind::Float && !n.is_float) n = of_float(n.real());
  n.is_bool = kind == TypeKind::Bool;
  return give(args, n);
}

Status eval_number_tensor(EvalArgs& args) {
  ZP_TRY(const Num n, read(args, 0));
  return give(args, n);
}

Status eval_assertion(EvalArgs& args) {
  ZP_TRY(const Num n, read(args, 0));
  if (n.real() != 0) return {};
  const std::string_view message = args.node.attrs<AssertionAttrs>().message;
  return args.node.error(
      "run.assertion", message.empty() ? std::string("the program's assertion fails") : std::string(message));
}

Status eval_assert_range(EvalArgs& args) {
  ZP_TRY(const Num n, read(args, 0));
  const auto& a = args.node.attrs<AssertRangeAttrs>();
  const int64_t min = a.min.value_or(a.size ? 0 : INT64_MIN), max = a.max.value_or(INT64_MAX);
  if (n.i >= min && n.i <= max) return {};
  return args.node.error("run.assertion", fmt::format("{} is not within {}..{}", n.i, min, max));
}

}  // namespace zp::ops
