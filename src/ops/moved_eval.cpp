// The evaluator of all operators that only move bytes: it runs the map of the op on the run's tensors.
#include <fmt/format.h>

#include <cstring>

#include "ir/move_data.h"
#include "ir/quant_carry.h"
#include "ops/rearrange_util.h"

namespace zp::ops {

namespace {

// A dense tensor of a view; types below 8 bits are one byte an element here, which no blob of packed bytes
// is.
Result<Tensor> tensor_of(DType dtype, const StridedView& view) {
  if (bits_of(dtype) < 8) {
    ZP_TRY(Tensor t, Tensor::make(dtype, view.shape));
    if (t.elements() > 0) copy_strided(view, t.mutable_data<std::byte>());
    return t;
  }
  ZP_TRY(Blob bytes, dense_blob(view));
  return Tensor::view(dtype, view.shape, std::move(bytes));
}

// The fill of a plain result as the bytes of one element.
Result<std::vector<std::byte>> fill_bytes(const Node& node, DType dtype, const Number& value) {
  ZP_TRY(Tensor one, Tensor::make(dtype, {}));
  if (is_complex(dtype) && value.as_double() != 0) return failed(node, "fill", "a complex fill");
  if (!is_complex(dtype)) {
    if (value.kind == Number::Float) one.set_double(0, value.f);
    else one.set_int(0, value.i);
  }
  return std::vector<std::byte>(one.data<std::byte>(), one.data<std::byte>() + one.bytes());
}

// Places that are padding, found by moving a tensor of zeros with ones as fill.
Result<Tensor> padding_mask(const MapResult& result, std::span<const Tensor* const> in) {
  static const uint8_t kOne = 1;
  std::vector<StridedView> operands(in.size());
  static const std::byte kZero{0};
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i] == nullptr) continue;
    operands[i].storage = Blob(&kZero, 1, nullptr);
    operands[i].shape = in[i]->shape();
    operands[i].strides.assign(in[i]->shape().size(), 0);
  }
  ZP_TRY(const StridedView mask, move_result(result, operands, reinterpret_cast<const std::byte*>(&kOne)));
  return tensor_of(DType::U8, mask);
}

Status eval_result(EvalArgs& args, const MapResult& result, std::span<const StridedView> operands,
                   size_t index, const QuantType* quant) {
  const DType dtype = args.in[result.parts.front().operand]->dtype();
  const bool quantized = quant != nullptr;
  const bool pads = result.pads();
  std::vector<std::byte> fill;
  if (pads && !quantized) { ZP_TRY(fill, fill_bytes(args.node, dtype, result.fill)); }
  ZP_TRY(const StridedView moved, move_result(result, operands, fill.empty() ? nullptr : fill.data()));
  if (!pads || !quantized) {
    ZP_TRY(args.out[index], tensor_of(dtype, moved));
    return {};
  }
  ZP_TRY(const Tensor mask, padding_mask(result, args.in));
  ZP_TRY(Tensor out, Tensor::make(dtype, moved.shape));
  if (out.elements() > 0) copy_strided(moved, out.mutable_data<std::byte>());
  ZP_CHECK(fill_padding(args.context(), *quant, out.shape(),
                        {mask.data<uint8_t>(), static_cast<size_t>(mask.elements())},
                        std::span(&result.fill, 1), out.mutable_data<std::byte>()));
  args.out[index] = std::move(out);
  return {};
}

}  // namespace

Status eval_moved(EvalArgs& args) {
  std::vector<const QuantType*> quants;
  for (size_t r = 0; r < args.out.size(); ++r) quants.push_back(args.node.result(r)->type().quant);
  return eval_moved_as(args, quants);
}

Status eval_moved_as(EvalArgs& args, std::span<const QuantType* const> quants) {
  // Inference brings dims into range where ranks are known (see ops/run_types.h); without it the maps below
  // would trust what a file says.
  for (size_t i = 0; i < args.node.operand_count(); ++i) {
    const Value* operand = args.node.operand(i);
    if (operand != nullptr && operand->type().is_tensor() && !operand->type().ranked) {
      return failed(args.node, "rank",
                    fmt::format("the rank of operand {} was not known when the graph was checked", i));
    }
  }
  const MapEnv env(args.node, args.in, args.dims);
  ZP_TRY(const ShapeMap map, shape_map_of(env));
  if (map.results.size() != args.out.size()) {
    return failed(args.node, "results",
                  fmt::format("{} results, the map has {}", args.out.size(), map.results.size()));
  }
  std::vector<StridedView> operands(args.in.size());
  for (size_t i = 0; i < args.in.size(); ++i)
    if (args.in[i] != nullptr) operands[i] = view_of(*args.in[i]);
  for (size_t r = 0; r < map.results.size(); ++r)
    ZP_CHECK(eval_result(args, map.results[r], operands, r, quants[r]));
  return {};
}

}  // namespace zp::ops
