// Checks of quantized types.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/tensor.h"
#include "ir/verifier.h"
#include "support/text_format.h"

namespace zp {

namespace {

std::string_view word(DType d) { return dtype_name(d); }

Status check_element(const QuantType& q) {
  const bool narrow_float = is_float(q.storage) && bits_of(q.storage) == 8 && q.storage != DType::F8E8M0;
  if (!is_integer(q.storage) && !narrow_float)
    return Error("quant.storage", fmt::format("{} cannot hold quantized values", word(q.storage)));
  if (!is_float(q.expressed) || bits_of(q.expressed) < 16) {
    return Error("quant.expressed", fmt::format("{} is not a type of real numbers", word(q.expressed)));
  }
  if (!is_float(q.scale_dtype))
    return Error("quant.scale_dtype", fmt::format("scales are {}, not floats", word(q.scale_dtype)));
  if (is_integer(q.storage) &&
      (q.qmin > q.qmax || q.qmin < int_min(q.storage) || q.qmax > int_max(q.storage))) {
    return Error("quant.range", fmt::format("range {}..{} is not one of {} ({}..{})", q.qmin, q.qmax,
                                            word(q.storage), int_min(q.storage), int_max(q.storage)));
  }
  if (q.per_axis() && q.per_block()) return Error("quant.axis", "an axis and a block are given at once");
  for (int64_t b : q.block)
    if (b < 0) return Error("quant.block", fmt::format("block extent {} is negative", b));
  return {};
}

Status check_scale(double scale, const std::string& which) {
  if (std::isfinite(scale) && scale > 0) return {};
  return Error("quant.scale", fmt::format("scale {}{} is not finite and positive", shortest(scale), which));
}

Status check_zero_point(const QuantType& q, double z, const std::string& which) {
  const auto refuse = [&](std::string_view why) {
    return Error("quant.zero_point", fmt::format("zero point {}{} {}", shortest(z), which, why));
  };
  switch (q.domain) {
    case ZeroPointDomain::None:
      if (z != 0) return refuse("of a quantization without zero points is not 0");
      return {};
    case ZeroPointDomain::Float:
      if (!std::isfinite(z)) return refuse("is not finite");
      return {};
    case ZeroPointDomain::Integer: break;
  }
  if (z != std::trunc(z)) return refuse("is no integer");
  if (!is_integer(q.storage)) return {};
  if (z < static_cast<double>(int_min(q.storage)) || z > static_cast<double>(int_max(q.storage))) {
    return refuse(
        fmt::format("is outside {} ({}..{})", word(q.storage), int_min(q.storage), int_max(q.storage)));
  }
  return {};
}

// Number of scales: 1 per tensor, else cells of the grid; nothing if a dim it depends on is not known.
Result<std::optional<int64_t>> cell_count(const QuantType& q, std::span<const Dim> shape) {
  if (q.per_tensor()) return std::optional<int64_t>(1);
  if (q.per_axis()) {
    if (static_cast<size_t>(q.axis) >= shape.size()) {
      return Error("quant.axis", fmt::format("axis {} of a tensor of rank {}", q.axis, shape.size()));
    }
    const Dim d = shape[static_cast<size_t>(q.axis)];
    return d.is_known() ? std::optional(d.value()) : std::nullopt;
  }
  if (q.block.size() != shape.size()) {
    return Error("quant.block",
                 fmt::format("a block of {} dims for a tensor of rank {}", q.block.size(), shape.size()));
  }
  int64_t cells = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (q.block[i] == 0) continue;
    if (!shape[i].is_known()) return std::optional<int64_t>();
    const int64_t along = shape[i].value() / q.block[i] + (shape[i].value() % q.block[i] != 0);
    if (__builtin_mul_overflow(cells, along, &cells))
      return Error("quant.count", "the grid has too many cells");
  }
  return std::optional(cells);
}

Status check_count(const Constant& c, std::optional<int64_t> cells, std::string_view what) {
  if (!cells || c.elements() == *cells) return {};
  return Error("quant.count", fmt::format("{} {} in '@{}', the grid has {} cell{}", c.elements(), what,
                                          c.name, *cells, *cells == 1 ? "" : "s"));
}

// Reads every number of a constant and gives it to `check` with its place for the message.
template <typename Check>
Status check_each(Context& context, const Constant& c, Check&& check) {
  if (c.stripped) return {};
  ZP_TRY(const Tensor values, constant_tensor(context, c));
  for (int64_t i = 0; i < values.elements(); ++i)
    ZP_CHECK(check(values.get_double(i), values.elements() == 1 ? "" : fmt::format(" of cell {}", i)));
  return {};
}

Status check_parameters(Context& context, const QuantType& q, std::optional<int64_t> cells) {
  if (q.dynamic) {
    if (q.scales != nullptr || q.zero_points != nullptr)
      return Error("quant.dynamic", "a dynamic quantization has constant scales or zero points");
    return {};
  }
  if (q.scales == nullptr) {
    if (!q.per_tensor())
      return Error("quant.scales",
                   fmt::format("no scales for a quantization per {}", q.per_axis() ? "axis" : "block"));
    if (q.zero_points != nullptr)
      return Error("quant.scales", "zero points are a constant, but the scale is a number");
    ZP_CHECK(check_scale(q.scale, ""));
    return check_zero_point(q, q.zero_point, "");
  }
  if (!is_float(q.scales->dtype))
    return Error("quant.scale_dtype",
                 fmt::format("scales '@{}' are {}, not floats", q.scales->name, word(q.scales->dtype)));
  ZP_CHECK(check_count(*q.scales, cells, "scales"));
  ZP_CHECK(check_each(context, *q.scales, check_scale));
  if (q.zero_points == nullptr) return {};
  const Constant& z = *q.zero_points;
  if (q.domain == ZeroPointDomain::None)
    return Error("quant.zero_point", "a quantization without zero points has some");
  if (q.domain == ZeroPointDomain::Integer ? !is_integer(z.dtype) : !is_float(z.dtype)) {
    return Error("quant.zero_point", fmt::format("zero points '@{}' are {}", z.name, word(z.dtype)));
  }
  ZP_CHECK(check_count(z, cells, "zero points"));
  return check_each(context, z,
                    [&](double v, const std::string& which) { return check_zero_point(q, v, which); });
}

}  // namespace

Status check_quant(Context& context, const QuantType& quant, std::span<const Dim> shape) {
  ZP_CHECK(check_element(quant));
  ZP_TRY(const std::optional<int64_t> cells, cell_count(quant, shape));
  return check_parameters(context, quant, cells);
}

}  // namespace zp
