#include "passes/qat/channel_constants.h"

#include <fmt/format.h>

#include "ops/binary.h"
#include "ops/create.h"
#include "ops/eval_util.h"
#include "ops/infer_util.h"
#include "ops/ops.h"

namespace zp::qat {
namespace {

constexpr int64_t kLargest = int64_t{1} << 20;  // elements of one array: parameters of channels are small
constexpr size_t kMostNodes = 4096;

bool has_rule(const Node& node) {
  if (node.is(ops::add) || node.is(ops::sub) || node.is(ops::mul)) return true;
  if (node.is(ops::div)) return node.attrs<ops::DivAttrs>().rounding_mode.empty();
  if (node.is(ops::neg) || node.is(ops::sqrt) || node.is(ops::rsqrt) || node.is(ops::reciprocal)) return true;
  if (node.is(ops::reshape) || node.is(ops::squeeze) || node.is(ops::unsqueeze) || node.is(ops::identity) ||
      node.is(ops::expand))
    return true;
  if (node.is(ops::cast)) {
    const DType to = node.attrs<ops::CastAttrs>().dtype;
    return to == DType::F64 || (to == DType::F32 && is_float(node.operand(0)->type().dtype));
  }
  return false;
}

// Whether the rule is one of floating arithmetic; integer subgraphs divide and round differently.
bool is_real(const Node& node) {
  return node.result_count() == 1 && is_float(node.result()->type().dtype) &&
         !node.result()->type().is_quantized();
}

Result<std::vector<int64_t>> static_shape(const Node& node) {
  const Type& type = node.result()->type();
  if (!type.is_static()) return node.error("fold.shape", "the shape of a constant is not known");
  if (type.elements() > kLargest)
    return node.error("fold.budget", fmt::format("{} elements, more than {}", type.elements(), kLargest));
  return ops::known_shape(type.shape);
}

}  // namespace

const ChannelConstants::Array* ChannelConstants::operand(const Node& node, size_t i, Zeros zeros) const {
  return &known_[static_cast<size_t>(zeros)].at(node.operand(i));
}

Result<ChannelConstants::Array> ChannelConstants::by_interpreter(const Value& value, Zeros zeros) {
  if (value.type().elements() > kLargest) {
    return value.def()->error("fold.budget",
                              fmt::format("{} elements, more than {}", value.type().elements(), kLargest));
  }
  ZP_TRY(const Tensor tensor, values_.tensor(value));
  Array array;
  array.shape = tensor.shape();
  array.data.reserve(static_cast<size_t>(tensor.elements()));
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    const double v = tensor.get_double(i);
    array.data.push_back(v == 0 && zeros == Zeros::Small ? Scaled{1, 1} : Scaled::of(v));
  }
  return array;
}

// The integers of a dequantize, times its scales in double.
namespace {
Result<std::vector<double>> dequantized(Context& context, const Tensor& integers, const QuantType& quant) {
  ZP_TRY(const QuantParams params, quant_params(context, quant, integers.shape()));
  std::vector<double> out(static_cast<size_t>(integers.elements()));
  const std::vector<int64_t>& shape = integers.shape();
  std::vector<int64_t> index(shape.size(), 0);
  for (int64_t i = 0; i < integers.elements(); ++i) {
    int64_t cell = 0;
    for (size_t d = 0; d < shape.size(); ++d) {
      const int64_t block = (shape[d] + params.grid[d] - 1) / std::max<int64_t>(params.grid[d], 1);
      cell = cell * params.grid[d] + index[d] / std::max<int64_t>(block, 1);
    }
    const auto k = static_cast<size_t>(cell);
    const double zero = params.float_zero_points.empty() ? static_cast<double>(params.zero_points[k])
                                                         : params.float_zero_points[k];
    out[static_cast<size_t>(i)] = (integers.get_double(i) - zero) * params.scales[k];
    for (size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < shape[d]) break;
      index[d] = 0;
    }
  }
  return out;
}
}  // namespace

Result<ChannelConstants::Array> ChannelConstants::compute(const Node& node, Zeros zeros) {
  Array out;
  ZP_TRY(out.shape, static_shape(node));
  const Array& x = *operand(node, 0, zeros);
  const auto count = static_cast<size_t>(ops::product(out.shape));
  out.data.resize(count);
  const bool binary = node.operand_count() >= 2 &&
                      (node.is(ops::add) || node.is(ops::sub) || node.is(ops::mul) || node.is(ops::div));
  if (binary || node.is(ops::expand)) {
    const Array& y = binary ? *operand(node, 1, zeros) : x;
    double alpha = 1;
    if (node.is(ops::add) || node.is(ops::sub)) alpha = node.attrs<ops::AddAttrs>().alpha.as_double();
    if (node.is(ops::sub)) alpha = -alpha;
    const std::vector<std::vector<int64_t>> strides{ops::broadcast_strides(x.shape, out.shape),
                                                    ops::broadcast_strides(y.shape, out.shape)};
    std::vector<int64_t> index(out.shape.size(), 0);
    for (size_t i = 0; i < count; ++i) {
      int64_t at[2] = {0, 0};
      for (size_t d = 0; d < index.size(); ++d)
        for (size_t k = 0; k < 2; ++k) at[k] += index[d] * strides[k][d];
      const Scaled p = x.data[static_cast<size_t>(at[0])];
      const Scaled q = y.data[static_cast<size_t>(at[1])];
      out.data[i] = !binary             ? p
                    : node.is(ops::mul) ? p * q
                    : node.is(ops::div) ? p / q
                                        : p + Scaled::of(alpha) * q;
      for (size_t d = index.size(); d-- > 0;) {
        if (++index[d] < out.shape[d]) break;
        index[d] = 0;
      }
    }
    return out;
  }
  if (x.data.size() != count) return node.error("fold.shape", "a reshape changes the number of elements");
  for (size_t i = 0; i < count; ++i) {
    const Scaled v = x.data[i];
    out.data[i] = node.is(ops::neg)          ? -v
                  : node.is(ops::sqrt)       ? sqrt(v)
                  : node.is(ops::rsqrt)      ? Scaled::of(1) / sqrt(v)
                  : node.is(ops::reciprocal) ? Scaled::of(1) / v
                                             : v;
  }
  return out;
}

void ChannelConstants::trim() {
  constexpr size_t kMost = 256;
  for (auto& known : known_)
    if (known.size() > kMost) known.clear();
  values_.trim(kMost);
}

Result<const ChannelConstants::Array*> ChannelConstants::evaluate(const Value& value, Zeros zeros,
                                                                  Array* own) {
  if (value.def() != nullptr && value.def()->is(kConstOp)) {
    ZP_TRY(*own, by_interpreter(value, zeros));
    return own;
  }
  auto& known = known_[static_cast<size_t>(zeros)];
  std::vector<const Value*> stack{&value};
  size_t evaluated = 0;
  while (!stack.empty()) {
    const Value* v = stack.back();
    if (known.contains(v)) {
      stack.pop_back();
      continue;
    }
    if (v->def() == nullptr) return Error("fold.input", "'" + std::string(v->name()) + "' is an input");
    const Node& node = *v->def();
    if (++evaluated > kMostNodes)
      return node.error("fold.budget", fmt::format("more than {} nodes to evaluate", kMostNodes));
    if (node.is(ops::dequantize) && node.operand(1) == nullptr && v->type().elements() <= kLargest) {
      ZP_TRY(const Tensor integers, values_.tensor(*node.operand(0)));
      ZP_TRY(const std::vector<double> reals,
             dequantized(node.context(), integers, *node.operand(0)->type().quant));
      Array array{integers.shape(), {}};
      for (double r : reals)
        array.data.push_back(r == 0 && zeros == Zeros::Small ? Scaled{1, 1} : Scaled::of(r));
      known.emplace(v, std::move(array));
    } else if (!has_rule(node) || !is_real(node)) {
      ZP_TRY(Array array, by_interpreter(*v, zeros));
      known.emplace(v, std::move(array));
    } else {
      bool ready = true;
      for (size_t i = 0; i < node.operand_count(); ++i) {
        const Value* operand = node.operand(i);
        if (operand == nullptr || known.contains(operand)) continue;
        stack.push_back(operand);
        ready = false;
      }
      if (!ready) continue;
      ZP_TRY(Array array, compute(node, zeros));
      known.emplace(v, std::move(array));
    }
    stack.pop_back();
  }
  return &known.at(&value);
}

Answer<std::vector<Scaled>> ChannelConstants::per_channel(const Node& place, const Value& constant,
                                                          const Type& data, int axis, int64_t channels,
                                                          Zeros zeros) {
  const Type& type = constant.type();
  const std::string name = source_name(place);
  const auto refuse = [&](std::string_view what) {
    return Why{&place, "channel-axis", fmt::format("extent {} in dim {}, 1 in all others", channels, axis),
               ops::shape_text(type.shape),
               fmt::format("a constant operand of '{}' has shape {} for a value of shape {}: {}", name,
                           ops::shape_text(type.shape), ops::shape_text(data.shape), what)};
  };
  if (!type.is_static() || !data.ranked) return refuse("the shapes are not known");
  if (type.rank() > data.rank()) return refuse("it adds dims");
  const size_t lead = static_cast<size_t>(data.rank() - type.rank());
  bool varies = false;
  for (size_t d = 0; d < type.shape.size(); ++d) {
    const int64_t extent = type.shape[d].value();
    if (extent == 1) continue;
    if (lead + d != static_cast<size_t>(axis)) return refuse("it does not lie along the channels");
    if (extent != channels) return refuse("it changes the number of channels");
    varies = true;
  }
  Array own;
  const Result<const Array*> array = evaluate(constant, zeros, &own);
  if (!array.ok())
    return Why{&place, "constant", "a constant that can be computed", array.error().first().text,
               array.error().first().text};
  const std::vector<Scaled>& values = (*array)->data;
  if (values.empty()) return refuse("it is empty");
  if (varies && static_cast<int64_t>(values.size()) == channels) return values;
  return std::vector<Scaled>(static_cast<size_t>(channels), values[0]);
}

Answer<std::vector<Scaled>> ChannelConstants::vector(const Node& place, const Value& constant,
                                                     int64_t channels, Zeros zeros) {
  Array own;
  const Result<const Array*> array = evaluate(constant, zeros, &own);
  if (!array.ok())
    return Why{&place, "constant", "a constant that can be computed", array.error().first().text,
               array.error().first().text};
  const std::vector<Scaled>& values = (*array)->data;
  if (static_cast<int64_t>(values.size()) == channels) return values;
  if (values.size() == 1) return std::vector<Scaled>(static_cast<size_t>(channels), values[0]);
  return Why{&place, "channels", fmt::format("{} entries", channels),
             fmt::format("{} entries", values.size()),
             fmt::format("'{}' has {} channels but '{}' has {} entries", source_name(place), channels,
                         constant.name(), values.size())};
}

}  // namespace zp::qat
