// Hooks of rows whose canonical form is another operator or needs the shapes of operands: convolutions by
// rank, flatten as reshape, transpose as permute, chunk as split, casts by what the arguments say.
#include <fmt/format.h>

#include <algorithm>

#include "formats/pt2/hooks.h"
#include "formats/pt2/node_reader.h"
#include "ops/ops.h"

namespace zp::pt2 {
namespace {

// The value of an operand whose elements only move: it may stay quantized.
Result<Value*> moved(NodeReader& n, std::string_view name) {
  const Arg& a = n.arg(name);
  if (a.tag != ArgTag::Tensor)
    return Error("pt2.argument",
                 fmt::format("argument '{}' is {}, a tensor is wanted", name, arg_tag_name(a.tag)));
  return n.graph().moved_value(a.value);
}

Result<bool> emit(NodeReader& n, const AttrBuilder& attrs, Value* operand) {
  ZP_TRY(Node * node, n.make(attrs, {operand}));
  return n.bind_all(node);
}

Result<bool> reshape_to(NodeReader& n, Value* input, std::span<const Dim> shape) {
  const OpDef* op = n.card("reshape");
  if (op == nullptr) return n.no({});
  AttrBuilder attrs(*op, n.context());
  if (!attrs.set_dims("shape", shape)) return n.no("the shape is symbolic");
  return emit(n, attrs, input);
}

std::optional<int64_t> wrap(std::optional<int64_t> dim, int64_t rank) {
  if (!dim) return dim;
  const int64_t extent = rank == 0 ? 1 : rank;
  if (*dim < -extent || *dim >= extent) return std::nullopt;
  return *dim < 0 ? *dim + extent : *dim;
}

Result<bool> flatten(NodeReader& n) {
  ZP_TRY(Value * input, moved(n, "self"));
  if (!input->type().ranked) return n.no("the rank of its input is not known");
  const Shape shape = input->type().shape;
  const auto rank = static_cast<int64_t>(shape.size());
  const auto first = wrap(n.integer("start_dim"), rank), last = wrap(n.integer("end_dim"), rank);
  if (!first || !last || *first > *last) return n.no("start_dim and end_dim do not fit the rank");
  std::vector<Dim> out(shape.begin(), shape.begin() + (rank == 0 ? 0 : *first));
  Dim product = 1;
  for (int64_t d = *first; d <= *last && d < rank; ++d)
    product = n.dims().mul(product, shape[static_cast<size_t>(d)]);
  out.push_back(product);
  for (int64_t d = *last + 1; d < rank; ++d) out.push_back(shape[static_cast<size_t>(d)]);
  size_t unknown = 0;
  for (Dim& d : out) {
    if (!d.is_unknown()) continue;
    ++unknown;
    d = Dim(-1);
  }
  if (unknown > 1) return n.no("more than one size is not known");
  return reshape_to(n, input, out);
}

Result<bool> unflatten(NodeReader& n) {
  ZP_TRY(Value * input, moved(n, "self"));
  if (!input->type().ranked) return n.no("the rank of its input is not known");
  const Shape shape = input->type().shape;
  const auto dim = wrap(n.integer("dim"), static_cast<int64_t>(shape.size()));
  const auto sizes = n.dim_list("sizes");
  if (!dim || !sizes || shape.empty()) return n.no("dim or sizes do not fit");
  std::vector<Dim> out(shape.begin(), shape.begin() + *dim);
  out.insert(out.end(), sizes->begin(), sizes->end());
  out.insert(out.end(), shape.begin() + *dim + 1, shape.end());
  return reshape_to(n, input, out);
}

// view_as, reshape_as, expand_as: the other tensor gives only its shape.
Result<bool> shape_of(NodeReader& n) {
  ZP_TRY(Value * input, moved(n, "self"));
  ZP_TRY(Value * other, n.tensor("other"));
  if (other == nullptr || !other->type().ranked) return n.no("the rank of the other tensor is not known");
  for (const Dim& d : other->type().shape)
    if (d.is_unknown()) return n.no("a size of the other tensor is not known");
  const OpDef* op = n.card(n.row().op);
  if (op == nullptr) return n.no({});
  AttrBuilder attrs(*op, n.context());
  if (!attrs.set_dims("shape", other->type().shape)) return n.no("the shape is symbolic");
  return emit(n, attrs, input);
}

Result<bool> permute_by(NodeReader& n, Value* input, std::span<const int64_t> dims) {
  const OpDef* op = n.card("permute");
  if (op == nullptr) return n.no({});
  AttrBuilder attrs(*op, n.context());
  attrs.set_ints("dims", dims);
  return emit(n, attrs, input);
}

Result<bool> swap_dims(NodeReader& n, std::optional<int64_t> a, std::optional<int64_t> b,
                       std::string_view self = "self") {
  ZP_TRY(Value * input, moved(n, self));
  if (!input->type().ranked) return n.no("the rank of its input is not known");
  const int64_t rank = input->type().rank();
  a = wrap(a, rank);
  b = wrap(b, rank);
  if (!a || !b) return n.no("a dim does not fit the rank");
  std::vector<int64_t> dims(static_cast<size_t>(rank));
  for (int64_t d = 0; d < rank; ++d) dims[static_cast<size_t>(d)] = d;
  if (rank > 0) std::swap(dims[static_cast<size_t>(*a)], dims[static_cast<size_t>(*b)]);
  return permute_by(n, input, dims);
}

Result<bool> transpose(NodeReader& n) {
  const bool axes = n.row().find("axis0") != nullptr;
  return swap_dims(n, n.integer(axes ? "axis0" : "dim0"), n.integer(axes ? "axis1" : "dim1"));
}

Result<bool> transpose_last(NodeReader& n) { return swap_dims(n, -1, -2); }
Result<bool> adjoint(NodeReader& n) {
  ZP_TRY(const Value* input, moved(n, "self"));
  if (is_complex(input->type().dtype)) return n.no("it conjugates complex numbers");
  return swap_dims(n, -1, -2);
}

Result<bool> t(NodeReader& n) {
  ZP_TRY(Value * input, moved(n, "self"));
  if (!input->type().ranked || input->type().rank() > 2) return n.no("its input has not rank 2");
  return input->type().rank() < 2 ? swap_dims(n, 0, 0) : swap_dims(n, 0, 1);
}

Result<bool> reverse_dims(NodeReader& n) {
  ZP_TRY(Value * input, moved(n, "self"));
  if (!input->type().ranked) return n.no("the rank of its input is not known");
  std::vector<int64_t> dims;
  for (int64_t d = input->type().rank(); d-- > 0;) dims.push_back(d);
  return permute_by(n, input, dims);
}

Result<bool> movedim(NodeReader& n) {
  ZP_TRY(Value * input, moved(n, "self"));
  auto from = n.int_list("source"), to = n.int_list("destination");
  if (!input->type().ranked || !from || !to || from->size() != to->size())
    return n.no("source and destination do not fit");
  const int64_t rank = input->type().rank();
  std::vector<int64_t> dims(static_cast<size_t>(rank), -1);
  std::vector<bool> moved_dim(static_cast<size_t>(rank), false);
  for (size_t i = 0; i < from->size(); ++i) {
    const auto a = wrap((*from)[i], rank), b = wrap((*to)[i], rank);
    if (!a || !b || rank == 0 || moved_dim[static_cast<size_t>(*a)] || dims[static_cast<size_t>(*b)] >= 0)
      return n.no("source and destination do not fit");
    moved_dim[static_cast<size_t>(*a)] = true;
    dims[static_cast<size_t>(*b)] = *a;
  }
  int64_t next = 0;
  for (int64_t& d : dims) {
    if (d >= 0) continue;
    while (moved_dim[static_cast<size_t>(next)]) ++next;
    d = next++;
  }
  return permute_by(n, input, dims);
}

Result<bool> narrow(NodeReader& n) {
  ZP_TRY(Value * input, moved(n, "self"));
  const OpDef* op = n.card("slice");
  const auto dim = n.integer("dim");
  auto start = n.dim("start");
  const auto length = n.dim("length");
  if (op == nullptr || !dim || !start || !length) return n.no("start or length is not known");
  if (start->is_known() && start->value() < 0) {
    const auto d = wrap(dim, input->type().rank());
    if (!input->type().ranked || !d) return n.no("the rank of its input is not known");
    start = n.dims().add(*start, input->type().shape[static_cast<size_t>(*d)]);
  }
  AttrBuilder attrs(*op, n.context());
  attrs.set_int("dim", *dim);
  attrs.set_dim("start", *start);
  attrs.set_dim("end", n.dims().add(*start, *length));
  return emit(n, attrs, input);
}

// The dim of a split: an argument, or said by the operator's name. hsplit splits vectors along their only
// one.
std::optional<int64_t> split_dim(NodeReader& n, const Value& input) {
  if (n.row().find("dim") != nullptr) return n.integer("dim");
  const std::string_view name = n.row().target;
  if (name.starts_with("aten.hsplit")) return input.type().ranked && input.type().rank() == 1 ? 0 : 1;
  return name.starts_with("aten.dsplit") ? 2 : 0;
}

Result<bool> split_into(NodeReader& n, Value* input, std::span<const Dim> sizes) {
  const OpDef* op = n.card("split");
  const auto dim = split_dim(n, *input);
  if (op == nullptr || !dim) return n.no({});
  for (const Dim& d : sizes)
    if (d.is_unknown()) return n.no("a size is not known");
  AttrBuilder attrs(*op, n.context());
  attrs.set_dims("sizes", sizes);
  attrs.set_int("dim", *dim);
  ZP_TRY(Node * node, n.make(attrs, {input}, sizes.size()));
  return n.bind_all(node);
}

// The extent of the split dim of a tensor; unknown if it is not known.
Dim extent_of(NodeReader& n, const Value* input) {
  if (!input->type().ranked) return {};
  const auto d = wrap(split_dim(n, *input), input->type().rank());
  return d && input->type().rank() > 0 ? input->type().shape[static_cast<size_t>(*d)] : Dim();
}

// All parts have `size` but the last, which has the rest; how many there are the file says.
Result<bool> split_equally(NodeReader& n, Value* input, Dim size) {
  const size_t count = n.result_count();
  if (count == 0) return n.no("it has no results");
  std::vector<Dim> sizes(count, size);
  sizes.back() = n.dims().sub(extent_of(n, input), n.dims().mul(size, Dim(static_cast<int64_t>(count) - 1)));
  return split_into(n, input, sizes);
}

Result<bool> split(NodeReader& n) {
  ZP_TRY(Value * input, moved(n, "self"));
  const auto size = n.dim("split_size");
  if (!size) return n.no("the size is not known");
  return split_equally(n, input, *size);
}

Result<bool> chunk(NodeReader& n) {
  ZP_TRY(Value * input, moved(n, "self"));
  const auto chunks = n.integer("chunks");
  if (!chunks || *chunks <= 0) return n.no("the number of chunks is not known");
  return split_equally(n, input, n.dims().ceildiv(extent_of(n, input), Dim(*chunks)));
}

Result<bool> tensor_split(NodeReader& n) {
  ZP_TRY(Value * input, moved(n, "self"));
  const Dim extent = extent_of(n, input);
  if (!extent.is_known()) return n.no("the extent is not known");
  std::vector<Dim> sizes;
  if (const auto sections = n.integer("sections")) {
    if (*sections <= 0 || *sections != static_cast<int64_t>(n.result_count()))
      return n.no("sections do not fit the results");
    for (int64_t i = 0; i < *sections; ++i)
      sizes.emplace_back(extent.value() / *sections + (i < extent.value() % *sections ? 1 : 0));
    return split_into(n, input, sizes);
  }
  const auto indices = n.int_list("indices");
  if (!indices) return n.no("the indices are not known");
  int64_t at = 0;
  for (int64_t i : *indices) {
    const int64_t end = std::clamp<int64_t>(i < 0 ? i + extent.value() : i, 0, extent.value());
    if (end < at) return n.no("its indices do not increase");
    sizes.emplace_back(end - at);
    at = end;
  }
  sizes.emplace_back(extent.value() - at);
  return split_into(n, input, sizes);
}

Result<bool> tile(NodeReader& n) {
  ZP_TRY(Value * input, moved(n, "self"));
  const OpDef* op = n.card("repeat");
  auto repeats = n.dim_list("dims");
  if (op == nullptr || !repeats || !input->type().ranked) return n.no("the repeats are not known");
  while (repeats->size() < input->type().shape.size()) repeats->insert(repeats->begin(), Dim(1));
  AttrBuilder attrs(*op, n.context());
  attrs.set_dims("repeats", *repeats);
  return emit(n, attrs, input);
}

// The strides speak of the storage: only where the input fills its storage densely do they speak of its
// elements.
Result<bool> as_strided(NodeReader& n) {
  const Arg& self = n.arg("self");
  const OpDef* op = n.card("as_strided");
  if (op == nullptr || self.tag != ArgTag::Tensor) return n.no({});
  auto meta = read_dense_meta(n.graph().data().values[self.value].meta);
  bool dense = meta.ok() && meta->offset == 0 && meta->sizes.size() == meta->strides.size();
  int64_t expected = 1;
  for (size_t d = dense ? meta->sizes.size() : 0; d-- > 0;) {
    dense = dense && (meta->sizes[d] == 1 || meta->strides[d] == expected);
    expected *= std::max<int64_t>(meta->sizes[d], 1);
  }
  if (!dense) return n.no("its input is a view with strides of its own");
  AttrBuilder attrs(*op, n.context());
  std::vector<Value*> operands;
  ZP_TRY(const bool filled, n.fill(attrs, operands));
  if (!filled) return false;
  ZP_TRY(Node * node, n.make(attrs, operands));
  return n.bind_all(node);
}

Result<bool> convolution(NodeReader& n) {
  ZP_TRY(Value * input, n.tensor("input"));
  ZP_TRY(Value * weight, n.tensor("weight"));
  ZP_TRY(Value * bias, n.tensor("bias"));
  const auto transposed = n.boolean("transposed");
  if (input == nullptr || weight == nullptr || !weight->type().ranked || !transposed)
    return n.no("the rank of its weight is not known");
  const int spatial = weight->type().rank() - 2;
  const OpDef* op = n.card(fmt::format("conv{}{}d", *transposed ? "_transpose" : "", spatial));
  if (op == nullptr) return n.no(fmt::format("{} spatial dims", spatial));
  AttrBuilder attrs(*op, n.context());
  for (std::string_view name : {"stride", "padding", "dilation", "output_padding"}) {
    auto values = n.int_list(name);
    if (!values) return n.no(fmt::format("{} is symbolic", name));
    if (values->size() == 1) values->assign(static_cast<size_t>(spatial), values->front());
    bool zero = true;
    for (int64_t v : *values) zero = zero && v == 0;
    if (name == "output_padding" && !*transposed && zero) continue;
    attrs.set_ints(name, *values);
  }
  const auto groups = n.integer("groups");
  if (!groups) return n.no("groups is symbolic");
  attrs.set_int("groups", *groups);
  ZP_TRY(Node * node, n.make(attrs, {input, weight, bias}));
  return n.bind_all(node);
}

// upsample_*.default: sizes and, for each dim, a scale or none.
Result<bool> scales(NodeReader& n) {
  const OpDef* op = n.card(n.row().op);
  if (op == nullptr) return n.no({});
  AttrBuilder attrs(*op, n.context());
  ZP_TRY(Value * input, n.tensor(n.row().args.front().name));
  const auto size = n.dim_list("output_size");
  if (!size || !attrs.set_dims("output_size", *size)) return n.no("the size is not known");
  if (n.row().find("align_corners") != nullptr)
    attrs.set_bool("align_corners", n.boolean("align_corners").value_or(false));
  std::vector<double> factors;
  size_t wanted = 0;
  for (const ArgSpec& spec : n.row().args) {
    if (!spec.name.starts_with("scales")) continue;
    ++wanted;
    if (auto factor = n.real(spec.name)) factors.push_back(*factor);
  }
  if (!factors.empty() && factors.size() != wanted) return n.no("scales are given for some dims only");
  if (!factors.empty()) attrs.set_floats("scale_factors", factors);
  return emit(n, attrs, input);
}

// var and std with a flag instead of a correction.
Result<bool> unbiased(NodeReader& n) {
  const OpDef* op = n.card(n.row().op);
  if (op == nullptr) return n.no({});
  AttrBuilder attrs(*op, n.context());
  std::vector<Value*> operands;
  ZP_TRY(const bool filled, n.fill(attrs, operands));
  if (!filled) return false;
  attrs.set_int("correction", n.boolean("unbiased").value_or(true) ? 1 : 0);
  ZP_TRY(Node * node, n.make(attrs, operands, std::max<size_t>(op->results.size(), 1)));
  return n.bind_all(node);
}

Result<bool> cast_to(NodeReader& n, Value* input, std::optional<DType> dtype) {
  const OpDef* op = n.card(dtype ? "cast" : "identity");
  if (op == nullptr) return n.no({});
  AttrBuilder attrs(*op, n.context());
  if (dtype) attrs.set_dtype("dtype", *dtype);
  return emit(n, attrs, input);
}

Result<bool> to(NodeReader& n) {
  ZP_TRY(Value * input, n.tensor("self"));
  if (!n.is_none("dtype") && !n.dtype("dtype")) return n.no("its dtype is not known");
  return cast_to(n, input, n.is_none("dtype") ? std::nullopt : n.dtype("dtype"));
}

Result<bool> type_as(NodeReader& n) {
  ZP_TRY(Value * input, n.tensor("self"));
  ZP_TRY(Value * other, n.tensor("other"));
  if (other == nullptr || !other->type().is_tensor() || other->type().dtype == DType::Unknown)
    return n.no("the other type is not known");
  return cast_to(n, input, other->type().dtype);
}

// Index k as often as repeats[k] says.
Result<bool> repeated_indices(NodeReader& n) {
  ZP_TRY(Value * repeats, n.tensor("repeats"));
  const OpDef *arange = n.card("arange"), *repeat = n.card("repeat_interleave");
  const Type& type = repeats->type();
  if (arange == nullptr || repeat == nullptr) return n.no({});
  if (!type.ranked || type.rank() != 1 || type.shape[0].is_unknown())
    return n.no("the number of repeats is not known");
  AttrBuilder all(*arange, n.context()), attrs(*repeat, n.context());
  if (!all.set_dim("end", type.shape[0])) return n.no("the number of repeats is symbolic");
  all.set_dtype("dtype", type.dtype);
  ZP_TRY(Node * indices, n.make(all, {}, 1, true));
  attrs.set_int("dim", 0);
  ZP_TRY(Node * node, n.make(attrs, {indices->result(), repeats}));
  return n.bind_all(node);
}

// Class k as the row that is 1 at k: a comparison with all classes.
Result<bool> one_hot(NodeReader& n) {
  ZP_TRY(Value * input, n.tensor("self"));
  const auto classes = n.integer("num_classes");
  const OpDef *unsqueeze = n.card("unsqueeze"), *arange = n.card("arange"), *eq = n.card("eq"),
              *cast = n.card("cast");
  if (!classes || *classes < 0) return n.no("the number of classes depends on the data");
  if (unsqueeze == nullptr || arange == nullptr || eq == nullptr || cast == nullptr) return n.no({});
  AttrBuilder column(*unsqueeze, n.context()), all(*arange, n.context()), whole(*cast, n.context());
  column.set_int("dim", -1);
  all.set_int("end", *classes);
  whole.set_dtype("dtype", DType::I64);
  ZP_TRY(Node * left, n.make(column, {input}, 1, true));
  ZP_TRY(Node * right, n.make(all, {}, 1, true));
  ZP_TRY(Node * equal, n.make(AttrBuilder(*eq, n.context()), {left->result(), right->result()}, 1, true));
  ZP_TRY(Node * node, n.make(whole, {equal->result()}));
  return n.bind_all(node);
}

// The product of every element of one vector with every element of another.
Result<bool> outer(NodeReader& n) {
  ZP_TRY(Value * a, n.tensor("self"));
  ZP_TRY(Value * b, n.tensor("vec2"));
  const OpDef *unsqueeze = n.card("unsqueeze"), *mul = n.card("mul");
  if (unsqueeze == nullptr || mul == nullptr || a == nullptr || b == nullptr) return n.no({});
  AttrBuilder column(*unsqueeze, n.context());
  column.set_int("dim", 1);
  ZP_TRY(Node * left, n.make(column, {a}, 1, true));
  ZP_TRY(Node * node, n.make(AttrBuilder(*mul, n.context()), {left->result(), b}));
  return n.bind_all(node);
}

// A part of a pickled tensor subclass is a constant of its own.
Result<bool> subclass_part(NodeReader& n) {
  const Arg& self = n.arg("src_subclass_tensor");
  if (self.tag != ArgTag::Tensor || n.data().outputs.empty() || n.data().outputs[0].tag != ArgTag::Tensor)
    return n.no("its arguments cannot be read");
  const Name& name = n.graph().name(self.value);
  if (name.subclass == nullptr) return n.no("its input is no pickled tensor subclass");
  const Constant* part = n.graph().part_constant(*name.subclass, n.text("attr"));
  if (part == nullptr) {
    return Error(
        "pt2.subclass",
        fmt::format(
            "'{}' has no part '{}'; call torchao.utils.unwrap_tensor_subclass(model) before exporting",
            name.subclass->fqn, n.text("attr")));
  }
  n.graph().name(n.data().outputs[0].value).constant = part;
  return true;
}

}  // namespace

std::span<const NamedHook> shape_hooks() {
  static constexpr NamedHook kHooks[] = {
      {"adjoint", adjoint},
      {"as_strided", as_strided},
      {"chunk", chunk},
      {"convolution", convolution},
      {"flatten", flatten},
      {"movedim", movedim},
      {"narrow", narrow},
      {"one_hot", one_hot},
      {"outer", outer},
      {"repeated_indices", repeated_indices},
      {"reverse_dims", reverse_dims},
      {"scales", scales},
      {"shape_of", shape_of},
      {"split", split},
      {"subclass_part", subclass_part},
      {"t", t},
      {"tensor_split", tensor_split},
      {"tile", tile},
      {"to", to},
      {"transpose", transpose},
      {"transpose_last", transpose_last},
      {"type_as", type_as},
      {"unbiased", unbiased},
      {"unflatten", unflatten},
  };
  return kHooks;
}

ImportHook find_import_hook(std::string_view name) {
  for (std::span<const NamedHook> hooks :
       {quant_hooks(), shape_hooks(), number_hooks(), layer_hooks(), embedding_hooks(), compose_hooks()}) {
    for (const NamedHook& hook : hooks)
      if (hook.name == name) return hook.function;
  }
  return nullptr;
}

}  // namespace zp::pt2
