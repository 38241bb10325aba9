#include "ops/run_types.h"

#include <fmt/format.h>

#include "ops/infer_util.h"

namespace zp::ops {

namespace {

// The type of an operand as the tensor at hand has it.
Result<const Type*> run_type(Context& context, const Node& node, size_t index, const Tensor& tensor) {
  const Type& type = node.operand(index)->type();
  if (type.kind == TypeKind::Int && tensor.elements() == 1)
    return context.scalar(type.kind, Dim(tensor.get_int(0)));
  if (!type.is_tensor()) return context.scalar(type.kind);
  const std::vector<Dim> shape = dims_of(tensor.shape());
  if (!type.is_quantized())
    return context.tensor(type.dtype == DType::Unknown ? tensor.dtype() : type.dtype, shape);
  const QuantType& quant = *type.quant;
  const auto rank = static_cast<int64_t>(shape.size());
  if (quant.axis >= rank || (quant.per_block() && static_cast<int64_t>(quant.block.size()) != rank)) {
    return failed(node, "quant",
                  fmt::format("operand {} is {} and has rank {}", index, quant_str(quant), rank));
  }
  return context.quantized(quant, shape);
}

// The number of a dim that is an attribute; other contexts do not know this one's symbols.
Result<Dim> run_dim(const Node& node, Dim dim, const DimBinding* binding) {
  if (dim.is_known() || dim.is_unknown()) return dim;
  static const DimBinding none;
  if (const auto v = node.context().dims().evaluate(dim, binding != nullptr ? *binding : none))
    return Dim(*v);
  return node.error("run.dim", fmt::format("dimension {} has no value here", dim.str()));
}

Result<List<Dim>> run_dims(const Node& node, Context& context, List<Dim> list, const DimBinding* binding) {
  std::vector<Dim> out;
  for (const Dim& d : list) {
    ZP_TRY(const Dim v, run_dim(node, d, binding));
    out.push_back(v);
  }
  return context.arena().copy(out);
}

Status bind_attrs(const Node& from, Node& to, const DimBinding* binding) {
  if (from.op().attrs == nullptr) return {};
  void* attrs = to.attrs_data();
  for (const AttrField& field : from.op().attrs->fields) {
    if (field.kind == AttrKind::Dim) {
      auto& dim = attr_ref<Dim>(attrs, field);
      ZP_TRY(dim, run_dim(from, dim, binding));
    } else if (field.kind == AttrKind::OptDim) {
      auto& dim = attr_ref<std::optional<Dim>>(attrs, field);
      if (dim) { ZP_TRY(dim, run_dim(from, *dim, binding)); }
    } else if (field.kind == AttrKind::Dims) {
      auto& dims = attr_ref<List<Dim>>(attrs, field);
      ZP_TRY(dims, run_dims(from, to.context(), dims, binding));
    } else if (field.kind == AttrKind::OptDims) {
      auto& dims = attr_ref<std::optional<List<Dim>>>(attrs, field);
      if (dims) { ZP_TRY(dims, run_dims(from, to.context(), *dims, binding)); }
    }
  }
  return {};
}

}  // namespace

Result<RunTypes> RunTypes::of(const Node& node, std::span<const Tensor* const> in, const DimBinding* dims) {
  RunTypes out(node);
  if (node.op().infer == nullptr || !node.regions().empty() || !any_unranked(node)) return out;
  out.model_ = std::make_unique<Model>();
  Context& context = *out.model_->context;
  std::vector<Value*> operands(node.operand_count());
  for (size_t i = 0; i < operands.size(); ++i) {
    const Value* operand = node.operand(i);
    if (operand == nullptr) continue;
    if (i >= in.size() || in[i] == nullptr)
      return node.error("run.operand", fmt::format("operand {} is missing", i));
    ZP_TRY(const Type* type, run_type(context, node, i, *in[i]));
    operands[i] = out.model_->graph->add_input(operand->name(), type);
  }
  NodeSpec spec;
  spec.op = &node.op();
  spec.operands = operands;
  spec.attrs = node.attrs_data();
  spec.name = node.name();
  spec.results = node.result_count();
  spec.origins = node.origins();
  Node* copy = out.model_->graph->create(spec);
  ZP_CHECK(bind_attrs(node, *copy, dims));
  // A fused result stays quantized: that is for the graph to say, not for inference.
  for (size_t i = 0; i < node.result_count(); ++i) {
    const Type& type = node.result(i)->type();
    if (!type.is_tensor() || !type.is_quantized()) continue;
    Type open;
    open.dtype = type.dtype;
    open.quant = context.quant(*type.quant);
    open.ranked = false;
    copy->result(i)->set_type(context.type(open));
  }
  ZP_CHECK(copy->infer());
  out.copy_ = copy;
  return out;
}

}  // namespace zp::ops
