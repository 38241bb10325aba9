#include "ir/shape_map.h"

#include <fmt/format.h>

#include <algorithm>

namespace zp {

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

Error misfit(const MapStep& step, const IntShape& in) {
  return Error(
      "shape_map",
      fmt::format("step {} does not fit a tensor of rank {}", static_cast<int>(step.kind), in.size()),
      ErrorKind::Internal);
}

// Element count; -1 if a dim is negative or the product overflows, also that of the dims beside a zero: every
// partial product of a shape that passed here is a number.
int64_t count_of(std::span<const int64_t> shape) {
  int64_t count = 1;
  bool zero = false;
  for (const int64_t d : shape) {
    zero |= d == 0;
    if (d < 0 || __builtin_mul_overflow(count, std::max<int64_t>(1, d), &count)) return -1;
  }
  return zero ? 0 : count;
}

}  // namespace

MapStep MapStep::reshape(IntShape shape) {
  MapStep s;
  s.kind = Reshape;
  s.shape = std::move(shape);
  return s;
}

MapStep MapStep::permute(std::vector<int64_t> dims) {
  MapStep s;
  s.kind = Permute;
  s.dims = std::move(dims);
  return s;
}

MapStep MapStep::window(const IntShape& in, int64_t dim, int64_t start, int64_t step, int64_t count) {
  MapStep s;
  s.kind = Window;
  s.shape = in;
  s.start.assign(in.size(), 0);
  s.step.assign(in.size(), 1);
  s.shape[at(dim)] = count;
  s.start[at(dim)] = start;
  s.step[at(dim)] = step;
  return s;
}

MapStep MapStep::take(int64_t dim, std::vector<int64_t> index) {
  MapStep s;
  s.kind = Take;
  s.dim = dim;
  s.index = std::move(index);
  return s;
}

MapStep MapStep::diagonal(int64_t a, int64_t b, int64_t offset) {
  MapStep s;
  s.kind = Diagonal;
  s.dims = {a, b};
  s.offset = offset;
  return s;
}

MapStep MapStep::table(IntShape shape, std::vector<int64_t> index) {
  MapStep s;
  s.kind = Table;
  s.shape = std::move(shape);
  s.index = std::move(index);
  return s;
}

MapStep MapStep::triangle(bool upper, int64_t offset) {
  MapStep s;
  s.kind = Triangle;
  s.upper = upper;
  s.offset = offset;
  return s;
}

MapStep MapStep::choose(int64_t dim, IntShape index_shape) {
  MapStep s;
  s.kind = Choose;
  s.dim = dim;
  s.shape = std::move(index_shape);
  return s;
}

namespace {

bool window_fits(const MapStep& step, const IntShape& in) {
  if (step.shape.size() != in.size() || step.start.size() != in.size() || step.step.size() != in.size())
    return false;
  for (size_t d = 0; d < in.size(); ++d) {
    if (step.shape[d] < 0) return false;
    if (step.shape[d] == 0) continue;
    int64_t last = 0;
    if (__builtin_mul_overflow(step.step[d], step.shape[d] - 1, &last) ||
        __builtin_add_overflow(last, step.start[d], &last))
      return false;
    if (std::min(last, step.start[d]) < 0 || std::max(last, step.start[d]) >= in[d]) return false;
  }
  return true;
}

bool indices_fit(const std::vector<int64_t>& index, int64_t extent) {
  return std::all_of(index.begin(), index.end(), [&](int64_t i) { return i >= -1 && i < extent; });
}

bool dims_fit(const std::vector<int64_t>& dims, size_t rank) {
  std::vector<bool> seen(rank, false);
  for (const int64_t d : dims) {
    if (d < 0 || at(d) >= rank || seen[at(d)]) return false;
    seen[at(d)] = true;
  }
  return true;
}

}  // namespace

namespace {

Result<IntShape> shape_after(const MapStep& step, const IntShape& in) {
  const int64_t rank = static_cast<int64_t>(in.size());
  IntShape out;
  switch (step.kind) {
    case MapStep::Reshape:
      if (count_of(step.shape) < 0 || count_of(step.shape) != count_of(in)) return misfit(step, in);
      return step.shape;
    case MapStep::Permute:
      if (step.dims.size() != in.size() || !dims_fit(step.dims, in.size())) return misfit(step, in);
      for (const int64_t d : step.dims) out.push_back(in[at(d)]);
      return out;
    case MapStep::Window:
      if (!window_fits(step, in)) return misfit(step, in);
      return step.shape;
    case MapStep::Take:
      if (step.dim < 0 || step.dim >= rank || !indices_fit(step.index, in[at(step.dim)]))
        return misfit(step, in);
      out = in;
      out[at(step.dim)] = static_cast<int64_t>(step.index.size());
      return out;
    case MapStep::Diagonal: {
      if (step.dims.size() != 2 || !dims_fit(step.dims, in.size())) return misfit(step, in);
      for (int64_t d = 0; d < rank; ++d)
        if (d != step.dims[0] && d != step.dims[1]) out.push_back(in[at(d)]);
      const int64_t below = in[at(step.dims[0])] - std::max<int64_t>(0, -step.offset);
      const int64_t right = in[at(step.dims[1])] - std::max<int64_t>(0, step.offset);
      out.push_back(std::max<int64_t>(0, std::min(below, right)));
      return out;
    }
    case MapStep::Table:
      if (count_of(step.shape) != static_cast<int64_t>(step.index.size()) ||
          !indices_fit(step.index, count_of(in)))
        return misfit(step, in);
      return step.shape;
    case MapStep::Triangle:
      if (rank < 2) return misfit(step, in);
      return in;
    case MapStep::Choose:
      if (step.dim < 0 || step.dim >= rank) return misfit(step, in);
      out.assign(in.begin(), in.begin() + step.dim);
      out.insert(out.end(), step.shape.begin(), step.shape.end());
      out.insert(out.end(), in.begin() + step.dim + 1, in.end());
      return out;
  }
  return misfit(step, in);
}

}  // namespace

Result<IntShape> step_shape(const MapStep& step, const IntShape& in) {
  ZP_TRY(IntShape out, shape_after(step, in));
  if (count_of(out) < 0) return Error("shape_map", "the extents of a result overflow");
  return out;
}

namespace {

template <typename F>
bool any_step(const MapResult& r, F f) {
  for (const MapPart& p : r.parts)
    if (std::any_of(p.steps.begin(), p.steps.end(), f)) return true;
  return std::any_of(r.steps.begin(), r.steps.end(), f);
}

}  // namespace

bool MapResult::pads() const {
  return any_step(*this, [](const MapStep& s) {
    return s.kind == MapStep::Triangle || ((s.kind == MapStep::Take || s.kind == MapStep::Table) &&
                                           std::find(s.index.begin(), s.index.end(), -1) != s.index.end());
  });
}

bool MapResult::chooses() const {
  return any_step(*this, [](const MapStep& s) { return s.kind == MapStep::Choose; });
}

// ---------------------------------------------------------------- environment

Result<int64_t> MapEnv::dim(Dim d) const {
  if (d.is_known()) return d.value();
  if (!d.is_unknown()) {
    static const DimBinding none;
    if (auto value = node_.context().dims().evaluate(d, binding_ ? *binding_ : none)) return *value;
  }
  return node_.error(fmt::format("{}.static", node_.op().name),
                     fmt::format("the extent or attribute {} is not a number here", d.str()));
}

Result<IntShape> MapEnv::dims(List<Dim> list) const {
  IntShape out;
  for (const Dim& d : list) {
    ZP_TRY(const int64_t v, dim(d));
    out.push_back(v);
  }
  return out;
}

Result<IntShape> MapEnv::shape(size_t operand) const {
  if (running_) {
    if (operand >= tensors_.size() || tensors_[operand] == nullptr)
      return node_.error("run.operand", fmt::format("operand {} is missing", operand));
    return tensors_[operand]->shape();
  }
  const Value* value = node_.operand(operand);
  if (value == nullptr || !value->type().is_tensor())
    return node_.error("run.operand", fmt::format("operand {} is missing", operand));
  if (!value->type().ranked)
    return node_.error(fmt::format("{}.static", node_.op().name),
                       fmt::format("the rank of operand {} is not known", operand));
  ZP_TRY(IntShape shape, dims(value->type().shape));
  if (count_of(shape) < 0) {
    return node_.error(fmt::format("{}.size", node_.op().name),
                       fmt::format("the extents of operand {} are negative or overflow", operand));
  }
  return shape;
}

Result<std::optional<Tensor>> MapEnv::value(size_t operand) const {
  if (running_) {
    if (operand >= tensors_.size() || tensors_[operand] == nullptr)
      return node_.error("run.operand", fmt::format("operand {} is missing", operand));
    return std::optional<Tensor>(*tensors_[operand]);
  }
  const Value* value = node_.operand(operand);
  if (value == nullptr || value->def() == nullptr || value->def()->constant() == nullptr ||
      value->type().is_quantized()) {
    return std::optional<Tensor>();
  }
  const Constant& constant = *value->def()->constant();
  if (constant.stripped) return std::optional<Tensor>();
  ZP_TRY(Tensor t, constant_tensor(node_.context(), constant));
  return std::optional<Tensor>(std::move(t));
}

Result<ShapeMap> shape_map_of(const MapEnv& env) {
  const Node& node = env.node();
  if (node.op().shape_map == nullptr) {
    return node.error(fmt::format("{}.map", node.op().name),
                      fmt::format("{} computes values, it does not only move them", node.op().name));
  }
  ShapeMap map;
  map.env = &env;
  ZP_CHECK(node.op().shape_map(node, &map));
  map.env = nullptr;
  return map;
}

Result<IntShape> result_shape(const MapResult& result, std::span<const IntShape> operand_shapes) {
  IntShape shape;
  for (size_t k = 0; k < result.parts.size(); ++k) {
    const MapPart& part = result.parts[k];
    if (part.operand >= operand_shapes.size())
      return Error("shape_map", fmt::format("no operand {}", part.operand), ErrorKind::Internal);
    IntShape one = operand_shapes[part.operand];
    for (const MapStep& s : part.steps) { ZP_TRY(one, step_shape(s, one)); }
    if (k == 0) {
      shape = std::move(one);
      continue;
    }
    const size_t d = at(result.join_dim);
    if (result.join_dim < 0 || one.size() != shape.size() || d >= shape.size()) {
      return Error(
          "shape_map",
          fmt::format("part {} of rank {} does not join parts of rank {}", k, one.size(), shape.size()),
          ErrorKind::Internal);
    }
    for (size_t e = 0; e < shape.size(); ++e) {
      if (e != d && one[e] != shape[e]) {
        return Error("shape_map",
                     fmt::format("dim {} of part {} is {}, of the others {}", e, k, one[e], shape[e]),
                     ErrorKind::Internal);
      }
    }
    if (__builtin_add_overflow(shape[d], one[d], &shape[d]) || count_of(shape) < 0)
      return Error("shape_map", "the extents of a result overflow");
  }
  for (const MapStep& s : result.steps) { ZP_TRY(shape, step_shape(s, shape)); }
  return shape;
}

}  // namespace zp
