// Three ways to run a node, by the trait of its op:
//   affine            integers and parameters go to the evaluator, which returns the real result; clamp, then
//   quantize shape, quantizer  bytes as they are all others        quantized operands are dequantized, the
//   float evaluator runs; clamp, then quantize
// so that fused integer operators of every family mean "dequantize, compute, clamp, quantize" without code of
// their own.
#include "interp/node_eval.h"

#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <unordered_map>

#include "interp/control.h"
#include "ops/eval_util.h"
#include "ops/ops.h"
#include "ops/quant_eval.h"
#include "ops/rearrange_util.h"
#include "ops/run_types.h"
#include "support/parallel.h"

namespace zp::interp {
namespace {

bool is_quantized_node(const Node& node) {
  for (size_t i = 0; i < node.operand_count(); ++i)
    if (node.operand(i) != nullptr && node.operand(i)->type().is_quantized()) return true;
  for (size_t i = 0; i < node.result_count(); ++i)
    if (node.result(i)->type().is_quantized()) return true;
  return false;
}

// The attribute of that name if the op has it and it is set.
std::optional<double> optional_number(const Node& node, std::string_view name) {
  if (node.op().attrs == nullptr) return std::nullopt;
  const AttrField* field = node.op().attrs->find(name);
  if (field == nullptr || field->kind != AttrKind::OptFloat) return std::nullopt;
  return attr_ref<std::optional<double>>(node.attrs_data(), *field);
}

// NaN stays NaN and zero keeps its sign, as relu and clamp of the source do.
template <typename T>
void clamp_values(T* x, int64_t count, std::optional<double> lo, std::optional<double> hi) {
  parallel_for(count, 1 << 15, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T v = x[i];
      if (lo && v < static_cast<T>(*lo)) v = static_cast<T>(*lo);
      if (hi && v > static_cast<T>(*hi)) v = static_cast<T>(*hi);
      x[i] = v;
    }
  });
}

// `shared`: the evaluator handed on a tensor that others read.
Result<Tensor> clamped(const Node& node, Tensor x, bool shared) {
  const auto lo = optional_number(node, "act_min"), hi = optional_number(node, "act_max");
  if (!lo && !hi) return x;
  if (shared || x.mutable_data<std::byte>() == nullptr) {
    ZP_TRY(Tensor copy, Tensor::make(x.dtype(), x.shape()));
    if (x.bytes() > 0)
      std::memcpy(copy.mutable_data<std::byte>(), x.data<std::byte>(), static_cast<size_t>(x.bytes()));
    x = std::move(copy);
  }
  if (x.dtype() != DType::F32 && x.dtype() != DType::F64) {
    const DType dtype = x.dtype();
    if (!is_float(dtype)) return x;
    ZP_TRY(Tensor wide, ops::to_float(x));
    clamp_values(wide.mutable_data<float>(), wide.elements(), lo, hi);
    return ops::round_to(wide, dtype);
  }
  if (x.dtype() == DType::F32) clamp_values(x.mutable_data<float>(), x.elements(), lo, hi);
  else clamp_values(x.mutable_data<double>(), x.elements(), lo, hi);
  return x;
}

// One operand as it goes to the evaluator.
struct Argument {
  const Tensor* tensor = nullptr;
  Tensor own;                          // where it had to be made
  std::unique_ptr<QuantParams> quant;  // of integers handed over with their parameters
};

Result<QuantParams> source_params(const Node& node, const OperandSource& source, const Tensor& data,
                                  const Lookup& lookup) {
  const Tensor* scale = nullptr;
  const Tensor* zero_point = nullptr;
  if (source.scale != nullptr) { ZP_TRY(scale, lookup(*source.scale)); }
  if (source.zero_point != nullptr) { ZP_TRY(zero_point, lookup(*source.zero_point)); }
  if (source.quant->dynamic && scale == nullptr) {
    return node.error("run.dynamic", "the scale of a dynamically quantized operand is not known here");
  }
  return ops::resolve_quant(node.context(), *source.quant, data.shape(), scale, zero_point);
}

enum class Handling { Raw, Affine, Real };

Handling handling_of(const Node& node) {
  switch (node.op().trait) {
    case Trait::Affine: return Handling::Affine;
    case Trait::ShapeOnly:
    case Trait::Quantizer:
    case Trait::Structural: return Handling::Raw;
    default: return Handling::Real;
  }
}

// Runs the shape ops of a chain on integers.
Result<Tensor> move_integers(const MovedIntegers& moved, const DimBinding& dims, const Lookup& lookup) {
  std::unordered_map<const Value*, Tensor> made;
  for (const Node* node : moved.nodes) {
    std::vector<const Tensor*> in(node->operand_count());
    for (size_t i = 0; i < in.size(); ++i) {
      const Value* operand = node->operand(i);
      if (operand == nullptr) continue;
      if (const auto found = made.find(operand); found != made.end()) {
        in[i] = &found->second;
        continue;
      }
      const bool dequantized = operand->def() != nullptr && operand->def()->is(ops::dequantize) &&
                               operand->type().is_tensor() && is_float(operand->type().dtype);
      ZP_TRY(in[i], lookup(dequantized ? *operand->def()->operand(0) : *operand));
    }
    std::vector<Tensor> out(node->result_count());
    std::vector<const QuantType*> quants(out.size());
    for (size_t r = 0; r < out.size(); ++r) {
      const auto padded = moved.padded.find(node->result(r));
      if (padded != moved.padded.end()) quants[r] = padded->second;
    }
    auto run = ops::RunTypes::of(*node, in, &dims);
    if (!run.ok()) return in_node(*node, std::move(run).error());
    EvalArgs args{.node = run->node(), .in = in, .out = out, .dims = &dims};
    if (Status status = ops::eval_moved_as(args, quants); !status.ok())
      return in_node(*node, std::move(status).error());
    for (size_t r = 0; r < out.size(); ++r) made[node->result(r)] = std::move(out[r]);
  }
  return std::move(made[moved.value]);
}

Result<Argument> argument_of(const Node& node, Handling handling, const OperandSource& source,
                             const DimBinding& dims, const Lookup& lookup) {
  Argument a;
  if (source.absent()) return a;
  if (source.moved != nullptr) {
    ZP_TRY(a.own, move_integers(*source.moved, dims, lookup));
    ZP_TRY(QuantParams params, quant_params(node.context(), *source.quant, a.own.shape()));
    a.quant = std::make_unique<QuantParams>(std::move(params));
    return a;
  }
  ZP_TRY(a.tensor, lookup(*source.data));
  if (source.quant == nullptr || handling == Handling::Raw) return a;
  ZP_TRY(QuantParams params, source_params(node, source, *a.tensor, lookup));
  if (handling == Handling::Affine) {
    a.quant = std::make_unique<QuantParams>(std::move(params));
    return a;
  }
  ZP_TRY(a.own, ops::dequantize_tensor(*a.tensor, params, source.quant->expressed));
  return a;
}

// Results of the evaluator as the node's types want them.
Status complete(const Node& node, Handling handling, std::span<const Tensor* const> in,
                std::vector<Tensor>& out) {
  if (handling == Handling::Raw) return {};
  for (size_t i = 0; i < out.size(); ++i) {
    const Type& type = node.result(i)->type();
    if (i == 0) {
      bool shared = false;
      for (const Tensor* tensor : in)
        shared |= tensor != nullptr && tensor->blob().data() == out[0].blob().data();
      ZP_TRY(out[0], clamped(node, std::move(out[0]), shared));
    }
    if (!type.is_quantized()) continue;
    if (type.quant->dynamic)
      return node.error("run.dynamic", "a fused result cannot be quantized dynamically");
    ZP_TRY(const QuantParams params, quant_params(node.context(), *type.quant, out[i].shape()));
    ZP_TRY(out[i], ops::quantize_tensor(out[i], params));
  }
  return {};
}

}  // namespace

Error in_node(const Node& node, Error error) {
  const Origin* origin = node.origin();
  return std::move(error).at_node(node.name(), origin != nullptr ? origin->module : std::string_view());
}

Result<std::vector<Tensor>> run_node(const Node& node, const Lookup& lookup, const DimBinding& dims,
                                     const RunRegion& region, OperandSources& sources) {
  const OpDef& op = node.op();
  if (is_control_flow(node)) return run_control_flow(node, lookup, region);
  if (node.is(kOpaqueOp)) {
    return node.error("run.opaque",
                      fmt::format("operator {} is not known here and cannot run", op_label(node)));
  }
  if (op.eval == nullptr)
    return node.error("run.evaluator", fmt::format("operator {} cannot run: it has no evaluator", op.name));
  const Handling handling = handling_of(node);
  if (handling == Handling::Real && !op.has(kIntegerForm) && is_quantized_node(node)) {
    return node.error("run.quantized",
                      fmt::format("operator {} has no form for quantized operands or results", op.name));
  }
  std::vector<Argument> arguments(node.operand_count());
  std::vector<const Tensor*> in(arguments.size());
  std::vector<const QuantParams*> quant(arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    auto argument = argument_of(node, handling, sources.of(node, i), dims, lookup);
    if (!argument.ok()) return in_node(node, std::move(argument).error());
    arguments[i] = std::move(argument).value();
    in[i] = arguments[i].own.dtype() != DType::Unknown ? &arguments[i].own : arguments[i].tensor;
    quant[i] = arguments[i].quant.get();
  }
  std::vector<Tensor> out(node.result_count());
  auto run = ops::RunTypes::of(node, in, &dims);
  if (!run.ok()) return in_node(node, std::move(run).error());
  EvalArgs args{.node = run->node(), .in = in, .out = out, .dims = &dims, .quant = quant};
  if (Status status = op.eval(args); !status.ok()) return in_node(node, std::move(status).error());
  if (Status status = complete(node, handling, in, out); !status.ok())
    return in_node(node, std::move(status).error());
  return out;
}

bool is_function_of_operands(const Node& node) {
  return !node.is(kOpaqueOp) && !node.op().has(kEffect) && !node.op().has(kRandom) && node.regions().empty();
}

Status accept_result(const Value& value, const Tensor& tensor, DimBinding* dims) {
  const Type& type = value.type();
  const Node* node = value.def();
  const auto refuse = [&](std::string text) -> Status {
    text = fmt::format("value %{}: {}", value.name(), text);
    return node != nullptr ? node->error("run.result", text) : Error("run.result", text);
  };
  if (!type.is_tensor()) {
    // A symbolic number: what was computed is the value of its symbol.
    if (type.kind == TypeKind::Int && type.value.is_symbolic() && type.value.expr()->op == DimOp::Symbol) {
      if (tensor.elements() != 1) return refuse(fmt::format("{} elements for one number", tensor.elements()));
      dims->emplace(type.value.expr()->symbol, tensor.get_int(0));
    }
    return {};
  }
  if (type.dtype != DType::Unknown && tensor.dtype() != type.dtype) {
    return refuse(fmt::format("computed {} where the type says {}", dtype_name(tensor.dtype()),
                              dtype_name(type.dtype)));
  }
  if (!type.ranked) return {};
  if (type.rank() != tensor.rank())
    return refuse(fmt::format("computed rank {} where the type says {}", tensor.rank(), type.rank()));
  for (size_t d = 0; d < type.shape.size(); ++d) {
    const Dim wanted = type.shape[d];
    const int64_t found = tensor.shape()[d];
    if (wanted.is_symbolic() && wanted.expr()->op == DimOp::Symbol)
      dims->emplace(wanted.expr()->symbol, found);
    if (wanted.is_known() && wanted.value() != found) {
      return refuse(
          fmt::format("computed extent {} in dim {} where the type says {}", found, d, wanted.value()));
    }
  }
  return {};
}

}  // namespace zp::interp
