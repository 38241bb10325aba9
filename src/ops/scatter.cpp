// Writing by tensors of indices or by windows: index_put, index_copy, index_add, scatter, slice_scatter,
// select_scatter, masked_scatter; and the reads whose size depends on data: masked_select, nonzero. Plain
// writes are maps from two tensors: the written one is joined with the values, then every place takes its
// element from one of them.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/move_data.h"
#include "ops/index.h"
#include "ops/index_util.h"
#include "ops/ops.h"
#include "ops/rearrange_util.h"
#include "ops/scatter_util.h"

namespace zp::ops {

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

int64_t count_of(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t d : shape) count *= d;
  return count;
}

constexpr std::string_view kAccumulates = "computes";

// Steps that stretch `from` over `to` (right-aligned) and flatten it.
Result<std::vector<MapStep>> stretched(const Node& node, std::string_view check, const IntShape& from,
                                       const IntShape& to) {
  const bool fits = from.size() <= to.size();
  IntShape aligned(fits ? to.size() - from.size() : 0, 1);
  aligned.insert(aligned.end(), from.begin(), from.end());
  MapStep window;
  window.kind = MapStep::Window;
  window.shape = to;
  window.start.assign(to.size(), 0);
  for (size_t d = 0; d < aligned.size(); ++d) {
    if (!fits || (aligned[d] != 1 && aligned[d] != to[d])) {
      return failed(node, check, fmt::format("{} does not fit {}", shape_text(from), shape_text(to)));
    }
    window.step.push_back(aligned[d] == to[d] ? 1 : 0);
  }
  return std::vector<MapStep>{MapStep::reshape(std::move(aligned)), std::move(window),
                              MapStep::reshape({count_of(to)})};
}

// self with values written to places.
Status map_written(const Node& node, ShapeMap* map, const IntShape& self, size_t values,
                   std::vector<MapStep> value_steps, const std::vector<int64_t>& places) {
  const int64_t count = count_of(self);
  ZP_CHECK(check_index_count(node, {count}));
  std::vector<int64_t> table(at(count));
  std::iota(table.begin(), table.end(), 0);
  for (size_t i = 0; i < places.size(); ++i) table[at(places[i])] = count + static_cast<int64_t>(i);
  MapResult result;
  result.parts = {{0, {MapStep::reshape({count})}}, {values, std::move(value_steps)}};
  result.join_dim = 0;
  result.steps = {MapStep::table(self, std::move(table))};
  map->results = {std::move(result)};
  return {};
}

Error not_known(const Node& node) {
  return failed(node, "static", "the places are not known before the model runs");
}

Status infer_like_self(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  ZP_CHECK(check_same_elements(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  return set_moved_result(node, 0, node.operand(0)->type().shape);
}

// ---------------------------------------------------------------- index_put

constexpr OperandDef kIndexPutOperands[] = {{"self"}, {"values"}, {"indices", Role::Index, true, true}};
constexpr std::string_view kIndexPutChecks[] = {
    "c1: at most one index a dim", "c2: indices broadcast together", "c3: indices lie inside their dims",
    "c4: a mask has the extents of its dims", "c5: values broadcast to the indexed shape"};

Status infer_index_put(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  if (!any_unranked(node)) ZP_CHECK(plan_index(node, 2));
  if (node.attrs<IndexPutAttrs>().accumulate && node.operand(0)->type().is_quantized()) {
    return failed(node, "quant", "sums of quantized elements are not elements");
  }
  return infer_like_self(context, node);
}

Status map_index_put(const Node& node, ShapeMap* map) {
  if (node.attrs<IndexPutAttrs>().accumulate)
    return failed(node, kAccumulates, "accumulate adds values, it does not only move them");
  ZP_TRY(const IntShape self, map->env->shape(0));
  ZP_TRY(const IntShape values, map->env->shape(1));
  ZP_TRY(const std::optional<WrittenPlaces> written, index_put_places(*map->env));
  if (!written) return not_known(node);
  ZP_TRY(std::vector<MapStep> steps, stretched(node, "c5", values, written->shape));
  return map_written(node, map, self, 1, std::move(steps), written->places);
}

// ---------------------------------------------------------------- index_copy, index_add

constexpr OperandDef kIndexCopyOperands[] = {{"self"}, {"index", Role::Index}, {"source"}};
constexpr std::string_view kIndexCopyChecks[] = {"c1: dim is a dim of the input",
                                                 "c2: indices lie inside the dim",
                                                 "c3: source has the input's shape, and one row an index"};

template <typename Attrs>
Status infer_rows(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  Attrs& attrs = attrs_of_node<Attrs>(node);
  if (node.operand(0)->type().ranked) {
    ZP_TRY(attrs.dim, normalize_dim(node, "c1", attrs.dim, node.operand(0)->type().rank()));
  }
  return infer_like_self(context, node);
}

Status infer_index_copy(Context& context, Node& node) { return infer_rows<IndexCopyAttrs>(context, node); }

Status infer_index_add(Context& context, Node& node) {
  if (has_quantized_operand(node))
    return failed(node, "quant", "sums of quantized elements are not elements");
  return infer_rows<IndexAddAttrs>(context, node);
}

Status map_index_copy(const Node& node, ShapeMap* map) {
  ZP_TRY(IntShape self, map->env->shape(0));
  ZP_TRY(IntShape source, map->env->shape(2));
  const IntShape declared = self;
  if (self.empty()) self = {1};
  if (source.empty()) source = {1};
  const int64_t dim = node.attrs<IndexCopyAttrs>().dim;
  ZP_TRY(const std::optional<Tensor> index, map->env->value(1));
  if (!index) return not_known(node);
  IntShape wanted = self;
  wanted[at(dim)] = index->elements();
  if (source != wanted)
    return failed(node, "c3", fmt::format("source is {}, wanted {}", shape_text(source), shape_text(wanted)));
  std::vector<int64_t> take(at(self[at(dim)]));
  std::iota(take.begin(), take.end(), 0);
  for (int64_t i = 0; i < index->elements(); ++i) {
    const int64_t row = index->get_int(i);
    if (row < 0 || row >= self[at(dim)])
      return failed(node, "c2", fmt::format("index {} of a dim of extent {}", row, self[at(dim)]));
    take[at(row)] = self[at(dim)] + i;
  }
  MapResult result;
  result.parts = {{0, {MapStep::reshape(self)}}, {2, {MapStep::reshape(source)}}};
  result.join_dim = dim;
  result.steps = {MapStep::take(dim, std::move(take)), MapStep::reshape(declared)};
  map->results = {std::move(result)};
  return {};
}

// ---------------------------------------------------------------- scatter

constexpr OperandDef kScatterOperands[] = {{"self"}, {"index", Role::Index}, {"src", Role::Data, true}};
constexpr std::string_view kScatterChecks[] = {
    "c1: dim is a dim of the input", "c2: index is nowhere longer than src, nor than the input but along dim",
    "c3: indices lie inside the dim", "c4: src or value, not both", "c5: reduce is empty, add or multiply"};

Status infer_scatter(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  ZP_CHECK(check_same_elements(node));
  ScatterAttrs& attrs = attrs_of_node<ScatterAttrs>(node);
  if (attrs.value.has_value() == (node.operand(2) != nullptr))
    return failed(node, "c4", "exactly one of src and value is needed");
  if (!attrs.reduce.empty() && attrs.reduce != "add" && attrs.reduce != "multiply")
    return failed(node, "c5", fmt::format("reduce is '{}'", attrs.reduce));
  if (!attrs.reduce.empty() && node.operand(0)->type().is_quantized())
    return failed(node, "quant", "results of arithmetic on quantized elements are not elements");
  if (any_unranked(node)) return set_moved_unranked(node);
  ZP_TRY(attrs.dim, normalize_dim(node, "c1", attrs.dim, node.operand(0)->type().rank()));
  return set_moved_result(node, 0, node.operand(0)->type().shape);
}

Status map_scatter(const Node& node, ShapeMap* map) {
  const ScatterAttrs& attrs = node.attrs<ScatterAttrs>();
  if (!attrs.reduce.empty())
    return failed(node, kAccumulates,
                  fmt::format("{} computes values, it does not only move them", attrs.reduce));
  ZP_TRY(const IntShape self, map->env->shape(0));
  ZP_TRY(const std::optional<WrittenPlaces> written, scatter_places(*map->env));
  if (!written) return not_known(node);
  if (attrs.value) {
    ZP_CHECK(check_index_count(node, {count_of(self)}));
    std::vector<int64_t> table(at(count_of(self)));
    std::iota(table.begin(), table.end(), 0);
    for (const int64_t p : written->places) table[at(p)] = -1;
    map->results = {{.parts = {{0, {MapStep::table(self, std::move(table))}}}, .fill = *attrs.value}};
    return {};
  }
  ZP_TRY(IntShape src, map->env->shape(2));
  if (src.empty()) src = {1};
  std::vector<MapStep> steps{MapStep::reshape(src)};
  if (count_of(written->shape) == 0) {
    steps.push_back(MapStep::table({0}, {}));
  } else {
    for (size_t d = 0; d < src.size(); ++d) {
      if (src[d] < written->shape[d])
        return failed(node, "c2",
                      fmt::format("dim {} of src is {}, of the index {}", d, src[d], written->shape[d]));
      steps.push_back(MapStep::window(src, static_cast<int64_t>(d), 0, 1, written->shape[d]));
      src[d] = written->shape[d];
    }
    steps.push_back(MapStep::reshape({count_of(src)}));
  }
  return map_written(node, map, self, 2, std::move(steps), written->places);
}

// ---------------------------------------------------------------- slice_scatter, select_scatter

constexpr OperandDef kSliceScatterOperands[] = {{"self"}, {"src"}};
constexpr std::string_view kSliceScatterChecks[] = {"c1: dim is a dim of the input", "c2: step is positive",
                                                    "c3: src has the shape of the slice"};
constexpr std::string_view kSelectScatterChecks[] = {
    "c1: dim is a dim of the input", "c2: index is inside the dim", "c3: src has the shape of the selection"};

Status infer_slice_scatter(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  SliceScatterAttrs& attrs = attrs_of_node<SliceScatterAttrs>(node);
  if (attrs.step.is_known() && attrs.step.value() <= 0)
    return failed(node, "c2", fmt::format("step {}", attrs.step.value()));
  if (node.operand(0)->type().ranked) {
    if (node.operand(0)->type().rank() == 0) return failed(node, "c1", "the input has no dims");
    ZP_TRY(attrs.dim, normalize_dim(node, "c1", attrs.dim, node.operand(0)->type().rank()));
  }
  return infer_like_self(context, node);
}

// Coordinate start + k * step of the result comes from coordinate k of src.
Status map_into_dim(const Node& node, ShapeMap* map, const IntShape& self, const IntShape& src, int64_t dim,
                    int64_t start, int64_t step, int64_t count) {
  IntShape wanted = self;
  wanted[at(dim)] = count;
  if (src != wanted)
    return failed(node, "c3", fmt::format("src is {}, wanted {}", shape_text(src), shape_text(wanted)));
  std::vector<int64_t> take(at(self[at(dim)]));
  std::iota(take.begin(), take.end(), 0);
  for (int64_t k = 0; k < count; ++k) take[at(start + k * step)] = self[at(dim)] + k;
  MapResult result;
  result.parts = {{0, {}}, {1, {MapStep::reshape(src)}}};
  result.join_dim = dim;
  result.steps = {MapStep::take(dim, std::move(take))};
  map->results = {std::move(result)};
  return {};
}

Status map_slice_scatter(const Node& node, ShapeMap* map) {
  const SliceScatterAttrs& attrs = node.attrs<SliceScatterAttrs>();
  ZP_TRY(const IntShape self, map->env->shape(0));
  ZP_TRY(const IntShape src, map->env->shape(1));
  const int64_t extent = self[at(attrs.dim)];
  int64_t from = 0, to = extent;
  if (attrs.start) { ZP_TRY(from, map->env->dim(*attrs.start)); }
  if (attrs.end) { ZP_TRY(to, map->env->dim(*attrs.end)); }
  ZP_TRY(const int64_t step, map->env->dim(attrs.step));
  if (step <= 0) return failed(node, "c2", fmt::format("step {}", step));
  from = std::clamp<int64_t>(from < 0 ? from + extent : from, 0, extent);
  to = std::clamp<int64_t>(to < 0 ? to + extent : to, 0, extent);
  const int64_t length = std::max<int64_t>(0, to - from);
  return map_into_dim(node, map, self, src, attrs.dim, from, step, length / step + (length % step != 0));
}

Status infer_select_scatter(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  SelectScatterAttrs& attrs = attrs_of_node<SelectScatterAttrs>(node);
  if (node.operand(0)->type().ranked) {
    if (node.operand(0)->type().rank() == 0) return failed(node, "c1", "the input has no dims");
    ZP_TRY(attrs.dim, normalize_dim(node, "c1", attrs.dim, node.operand(0)->type().rank()));
  }
  return infer_like_self(context, node);
}

Status map_select_scatter(const Node& node, ShapeMap* map) {
  const SelectScatterAttrs& attrs = node.attrs<SelectScatterAttrs>();
  ZP_TRY(const IntShape self, map->env->shape(0));
  ZP_TRY(IntShape src, map->env->shape(1));
  ZP_TRY(int64_t index, map->env->dim(attrs.index));
  const int64_t extent = self[at(attrs.dim)];
  if (index < 0) index += extent;
  if (index < 0 || index >= extent)
    return failed(node, "c2", fmt::format("index {} of a dim of extent {}", index, extent));
  if (src.size() + 1 != self.size()) return failed(node, "c3", fmt::format("src is {}", shape_text(src)));
  src.insert(src.begin() + attrs.dim, 1);
  return map_into_dim(node, map, self, src, attrs.dim, index, 1, 1);
}

// ---------------------------------------------------------------- masks

constexpr OperandDef kMaskedScatterOperands[] = {{"self"}, {"mask", Role::Mask}, {"source"}};
constexpr std::string_view kMaskedScatterChecks[] = {"c1: self and mask broadcast together",
                                                     "c2: source has an element for each true place"};
constexpr OperandDef kMaskedSelectOperands[] = {{"self"}, {"mask", Role::Mask}};
constexpr std::string_view kMaskedSelectChecks[] = {"c1: self and mask broadcast together"};

Result<IntShape> masked_shape(const MapEnv& env) {
  ZP_TRY(const IntShape self, env.shape(0));
  ZP_TRY(const IntShape mask, env.shape(1));
  const std::vector<Dim> a = dims_of(self), b = dims_of(mask);
  const Shape shapes[] = {Shape(a.data(), a.size()), Shape(b.data(), b.size())};
  ZP_TRY(const std::vector<Dim> out, broadcast_shapes(env.node(), "c1", shapes));
  return known_shape(out);
}

// Numbers of the true places of the mask stretched over `shape`; nothing if it is not known.
Result<std::optional<std::vector<int64_t>>> true_places(const MapEnv& env, const IntShape& shape) {
  ZP_TRY(const std::optional<Tensor> mask, env.value(1));
  if (!mask) return std::optional<std::vector<int64_t>>();
  ZP_CHECK(check_index_count(env.node(), {count_of(shape)}));
  ZP_TRY(const std::vector<MapStep> steps, stretched(env.node(), "c1", mask->shape(), shape));
  ZP_TRY(const StridedView view, move_view(view_of(*mask), steps));
  ZP_TRY(const Blob bytes, dense_blob(view));
  std::vector<int64_t> places;
  const size_t width = static_cast<size_t>(view.width);
  for (int64_t i = 0; i < count_of(shape); ++i) {
    const auto* p = bytes.data() + at(i) * width;
    if (std::any_of(p, p + width, [](std::byte b) { return b != std::byte{0}; })) places.push_back(i);
  }
  return std::optional(std::move(places));
}

Status infer_masked_scatter(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  ZP_CHECK(check_same_elements(node));
  if (any_unranked(node)) return set_moved_unranked(node);
  const Shape shapes[] = {node.operand(0)->type().shape, node.operand(1)->type().shape};
  ZP_TRY(const std::vector<Dim> out, broadcast_shapes(node, "c1", shapes));
  return set_moved_result(node, 0, out);
}

Status map_masked_scatter(const Node& node, ShapeMap* map) {
  ZP_TRY(const IntShape self, map->env->shape(0));
  ZP_TRY(const IntShape source, map->env->shape(2));
  ZP_TRY(const IntShape shape, masked_shape(*map->env));
  ZP_TRY(const auto places, true_places(*map->env, shape));
  if (!places) return not_known(node);
  const int64_t used = static_cast<int64_t>(places->size());
  if (count_of(source) < used)
    return failed(node, "c2", fmt::format("{} elements for {} places", count_of(source), used));
  std::vector<MapStep> steps{MapStep::reshape({count_of(source)}),
                             MapStep::window({count_of(source)}, 0, 0, 1, used)};
  ZP_CHECK(map_written(node, map, shape, 2, std::move(steps), *places));
  ZP_TRY(map->results[0].parts[0].steps, stretched(node, "c1", self, shape));
  return {};
}

Status infer_masked_select(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  if (any_unranked(node)) {
    node.result()->set_type(
        node.context().tensor(node.operand(0)->type().dtype, std::vector<Dim>{Dim::unknown()}));
    return {};
  }
  const Shape shapes[] = {node.operand(0)->type().shape, node.operand(1)->type().shape};
  ZP_TRY(const std::vector<Dim> out, broadcast_shapes(node, "c1", shapes));
  Dim count;
  if (std::all_of(out.begin(), out.end(), [](const Dim& d) { return d.is_known(); })) {
    ZP_TRY(const auto places, true_places(MapEnv(node), known_shape(out)));
    if (places) count = static_cast<int64_t>(places->size());
  }
  return set_moved_result(node, 0, std::vector<Dim>{count});
}

Status map_masked_select(const Node& node, ShapeMap* map) {
  ZP_TRY(const IntShape self, map->env->shape(0));
  ZP_TRY(const IntShape shape, masked_shape(*map->env));
  ZP_TRY(auto places, true_places(*map->env, shape));
  if (!places) return not_known(node);
  ZP_TRY(std::vector<MapStep> steps, stretched(node, "c1", self, shape));
  steps.push_back(MapStep::take(0, std::move(*places)));
  map->results = {{.parts = {{0, std::move(steps)}}}};
  return {};
}

// ---------------------------------------------------------------- nonzero

Status infer_nonzero(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type& in = node.operand(0)->type();
  if (in.is_quantized()) return failed(node, "quant", "the operand is quantized");
  return set_result(node, 0, DType::I64,
                    {Dim::unknown(), in.ranked ? Dim(int64_t{in.rank()}) : Dim::unknown()});
}

}  // namespace

// ---------------------------------------------------------------- places

Result<std::optional<WrittenPlaces>> index_put_places(const MapEnv& env) {
  ZP_TRY(const IntShape self, env.shape(0));
  ZP_TRY(const std::vector<MapStep> steps, index_steps(env, 2, self));
  for (const MapStep& s : steps)
    if (s.kind == MapStep::Choose) return std::optional<WrittenPlaces>();
  ZP_CHECK(check_index_count(env.node(), {count_of(self)}));
  ZP_TRY(Tensor numbers, Tensor::make(DType::I64, self));
  std::iota(numbers.mutable_data<int64_t>(), numbers.mutable_data<int64_t>() + numbers.elements(), 0);
  ZP_TRY(const StridedView view, move_view(view_of(numbers), steps));
  ZP_TRY(const Tensor picked, [&]() -> Result<Tensor> {
    ZP_TRY(Blob bytes, dense_blob(view));
    return Tensor::view(DType::I64, view.shape, std::move(bytes));
  }());
  WrittenPlaces out;
  out.shape = picked.shape();
  out.places.assign(picked.data<int64_t>(), picked.data<int64_t>() + picked.elements());
  return std::optional(std::move(out));
}

Result<std::optional<WrittenPlaces>> scatter_places(const MapEnv& env) {
  const Node& node = env.node();
  ZP_TRY(IntShape self, env.shape(0));
  ZP_TRY(const std::optional<Tensor> index, env.value(1));
  if (!index) return std::optional<WrittenPlaces>();
  WrittenPlaces out;
  out.shape = index->shape();
  if (self.empty()) self = {1};
  if (out.shape.empty()) out.shape = {1};
  const size_t dim = at(node.attrs<ScatterAttrs>().dim);
  if (index->elements() == 0) return std::optional(std::move(out));
  if (out.shape.size() != self.size())
    return failed(node, "c2",
                  fmt::format("the index has rank {}, the input {}", out.shape.size(), self.size()));
  for (size_t d = 0; d < self.size(); ++d) {
    if (d != dim && out.shape[d] > self[d])
      return failed(node, "c2",
                    fmt::format("dim {} of the index is {}, of the input {}", d, out.shape[d], self[d]));
  }
  const std::vector<int64_t> strides = dense_strides(self);
  IntShape j(self.size(), 0);
  for (int64_t i = 0; i < index->elements(); ++i) {
    const int64_t row = index->get_int(i);
    if (row < 0 || row >= self[dim])
      return failed(node, "c3", fmt::format("index {} of a dim of extent {}", row, self[dim]));
    int64_t place = 0;
    for (size_t d = 0; d < self.size(); ++d) place += (d == dim ? row : j[d]) * strides[d];
    out.places.push_back(place);
    for (size_t d = self.size(); d-- > 0;) {
      if (++j[d] < out.shape[d]) break;
      j[d] = 0;
    }
  }
  return std::optional(std::move(out));
}

Result<std::optional<WrittenPlaces>> index_rows(const MapEnv& env, int64_t dim) {
  const Node& node = env.node();
  ZP_TRY(IntShape self, env.shape(0));
  ZP_TRY(const std::optional<Tensor> index, env.value(1));
  if (!index) return std::optional<WrittenPlaces>();
  if (self.empty()) self = {1};
  WrittenPlaces out;
  out.shape = self;
  out.shape[at(dim)] = index->elements();
  int64_t outer = 1, inner = 1;
  for (size_t d = 0; d < self.size(); ++d) (d < at(dim) ? outer : inner) *= d == at(dim) ? 1 : self[d];
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t k = 0; k < index->elements(); ++k) {
      const int64_t row = index->get_int(k);
      if (row < 0 || row >= self[at(dim)])
        return failed(node, "c2", fmt::format("index {} of a dim of extent {}", row, self[at(dim)]));
      for (int64_t i = 0; i < inner; ++i) out.places.push_back((o * self[at(dim)] + row) * inner + i);
    }
  }
  return std::optional(std::move(out));
}

constinit const OpDef index_put = {
    .name = "index_put",
    .doc = "Writes values to the places of index tensors or masks (or adds them, with accumulate).",
    .operands = kIndexPutOperands,
    .results = kOutResult,
    .attrs = &attrs_of<IndexPutAttrs>,
    .trait = Trait::ShapeOnly,
    .infer = infer_index_put,
    .eval = eval_index_put,
    .shape_map = map_index_put,
    .checks = kIndexPutChecks};
constinit const OpDef index_copy = {.name = "index_copy",
                                    .doc = "Writes rows of source to the rows of index.",
                                    .operands = kIndexCopyOperands,
                                    .results = kOutResult,
                                    .attrs = &attrs_of<IndexCopyAttrs>,
                                    .trait = Trait::ShapeOnly,
                                    .infer = infer_index_copy,
                                    .eval = eval_moved,
                                    .shape_map = map_index_copy,
                                    .checks = kIndexCopyChecks};
constinit const OpDef index_add = {.name = "index_add",
                                   .doc = "Adds alpha times rows of source to the rows of index.",
                                   .operands = kIndexCopyOperands,
                                   .results = kOutResult,
                                   .attrs = &attrs_of<IndexAddAttrs>,
                                   .trait = Trait::FloatOnly,
                                   .infer = infer_index_add,
                                   .eval = eval_index_add,
                                   .checks = kIndexCopyChecks};
constinit const OpDef scatter = {
    .name = "scatter",
    .doc = "Writes src or a value to the places of index along dim (or reduces with what is there).",
    .operands = kScatterOperands,
    .results = kOutResult,
    .attrs = &attrs_of<ScatterAttrs>,
    .trait = Trait::ShapeOnly,
    .flags = kAddsElements,
    .infer = infer_scatter,
    .eval = eval_scatter,
    .shape_map = map_scatter,
    .checks = kScatterChecks};
constinit const OpDef slice_scatter = {.name = "slice_scatter",
                                       .doc = "Writes src to a slice.",
                                       .operands = kSliceScatterOperands,
                                       .results = kOutResult,
                                       .attrs = &attrs_of<SliceScatterAttrs>,
                                       .trait = Trait::ShapeOnly,
                                       .infer = infer_slice_scatter,
                                       .eval = eval_moved,
                                       .shape_map = map_slice_scatter,
                                       .checks = kSliceScatterChecks};
constinit const OpDef select_scatter = {.name = "select_scatter",
                                        .doc = "Writes src to one coordinate of a dim.",
                                        .operands = kSliceScatterOperands,
                                        .results = kOutResult,
                                        .attrs = &attrs_of<SelectScatterAttrs>,
                                        .trait = Trait::ShapeOnly,
                                        .infer = infer_select_scatter,
                                        .eval = eval_moved,
                                        .shape_map = map_select_scatter,
                                        .checks = kSelectScatterChecks};
constinit const OpDef masked_scatter = {
    .name = "masked_scatter",
    .doc = "Writes the elements of source, in order, where the mask is true.",
    .operands = kMaskedScatterOperands,
    .results = kOutResult,
    .trait = Trait::ShapeOnly,
    .infer = infer_masked_scatter,
    .eval = eval_moved,
    .shape_map = map_masked_scatter,
    .checks = kMaskedScatterChecks};
constinit const OpDef masked_select = {.name = "masked_select",
                                       .doc = "The elements where the mask is true, as one dim.",
                                       .operands = kMaskedSelectOperands,
                                       .results = kOutResult,
                                       .trait = Trait::ShapeOnly,
                                       .flags = kDataShape,
                                       .infer = infer_masked_select,
                                       .eval = eval_moved,
                                       .shape_map = map_masked_select,
                                       .checks = kMaskedSelectChecks};
constinit const OpDef nonzero = {
    .name = "nonzero",
    .doc = "Coordinates of the elements that are not zero, one row each, in C order.",
    .operands = kSelfOperand,
    .results = kOutResult,
    .trait = Trait::Never,
    .flags = kDataShape,
    .infer = infer_nonzero,
    .eval = eval_nonzero};

}  // namespace zp::ops
