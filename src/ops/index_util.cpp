#include "ops/index_util.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/rearrange_util.h"

namespace zp::ops {

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

int64_t count_of(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t d : shape) count *= d;
  return count;
}

Result<int64_t> checked_index(const Node& node, std::string_view check, int64_t index, int64_t extent,
                              bool negative) {
  const int64_t place = negative && index < 0 ? index + extent : index;
  if (place < 0 || place >= extent)
    return failed(node, check, fmt::format("index {} of a dim of extent {}", index, extent));
  return place;
}

bool is_mask(DType dtype) { return dtype == DType::Bool || dtype == DType::U8; }

}  // namespace

Result<MapStep> pick_step(const MapEnv& env, size_t operand, std::string_view check, int64_t dim,
                          int64_t extent, bool negative) {
  ZP_TRY(const std::optional<Tensor> index, env.value(operand));
  if (!index) {
    ZP_TRY(const IntShape shape, env.shape(operand));
    return MapStep::choose(dim, {count_of(shape)});
  }
  ZP_CHECK(check_index_count(env.node(), {index->elements()}));
  std::vector<int64_t> places(at(index->elements()));
  for (int64_t i = 0; i < index->elements(); ++i) {
    ZP_TRY(places[at(i)], checked_index(env.node(), check, index->get_int(i), extent, negative));
  }
  return MapStep::take(dim, std::move(places));
}

Result<MapStep> gather_step(const Node& node, const Tensor& index, int64_t dim, const IntShape& in,
                            const IntShape& out) {
  int64_t inner = 1, outer = 1;
  for (int64_t d = 0; d < static_cast<int64_t>(out.size()); ++d)
    (d < dim ? outer : inner) *= d == dim ? 1 : out[at(d)];
  const int64_t length = out[at(dim)], extent = in[at(dim)];
  std::vector<int64_t> line(at(length));
  bool separable = true;
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t j = 0; j < length; ++j) {
      for (int64_t i = 0; i < inner; ++i) {
        ZP_TRY(const int64_t place,
               checked_index(node, "c3", index.get_int((o * length + j) * inner + i), extent, false));
        if (o == 0 && i == 0) line[at(j)] = place;
        separable &= place == line[at(j)];
      }
    }
  }
  if (separable) return MapStep::take(dim, std::move(line));
  ZP_CHECK(check_index_count(node, {outer, length, inner}));
  std::vector<int64_t> table(at(outer * length * inner));
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t j = 0; j < length; ++j)
      for (int64_t i = 0; i < inner; ++i) {
        const int64_t e = (o * length + j) * inner + i;
        table[at(e)] = (o * extent + index.get_int(e)) * inner + i;
      }
  return MapStep::table(out, std::move(table));
}

Result<IndexPlan> plan_index(const Node& node, size_t first) {
  IndexPlan plan;
  const Type& in = node.operand(0)->type();
  for (const Dim& d : in.shape) plan.dims.push_back({d, false});
  size_t dim = 0, last = 0;
  bool adjacent = true;
  for (size_t i = first; i < node.operand_count(); ++i) {
    if (node.operand(i) == nullptr) {
      ++dim;
      continue;
    }
    const Type& index = node.operand(i)->type();
    if (!is_integer(index.dtype) && index.dtype != DType::Bool)
      return failed(node, "c1", fmt::format("index {} is {}", i - first, index.str()));
    const bool mask = is_mask(index.dtype);
    const size_t covers = mask ? index.shape.size() : 1;
    if (dim + covers > plan.dims.size()) {
      return failed(node, "c1",
                    fmt::format("index {} stands for dim {}, the input has rank {}", i - first,
                                dim + covers - 1, plan.dims.size()));
    }
    for (size_t k = 0; k < covers; ++k) {
      const Dim want = plan.dims[dim + k].extent;
      if (mask && want.is_known() && index.shape[k].is_known() && !(want == index.shape[k])) {
        return failed(node, "c4",
                      fmt::format("mask {} has extent {} where the input has {}", i - first,
                                  index.shape[k].value(), want.value()));
      }
      plan.dims[dim + k].indexed = true;
    }
    if (plan.entries.empty()) plan.front = dim;
    adjacent &= plan.entries.empty() || last == dim;
    plan.entries.push_back({i, dim, covers, mask});
    dim += covers;
    last = dim;
  }
  if (dim > plan.dims.size())
    return failed(node, "c1", fmt::format("{} indices for a tensor of rank {}", dim, plan.dims.size()));
  if (!adjacent) plan.front = 0;
  return plan;
}

Result<std::vector<Dim>> index_shape(Context&, const Node& node, const IndexPlan& plan, size_t) {
  std::vector<std::vector<Dim>> kept;
  std::vector<Shape> shapes;
  for (const IndexPlan::Entry& e : plan.entries) {
    if (!e.mask) {
      shapes.push_back(node.operand(e.operand)->type().shape);
      continue;
    }
    ZP_TRY(const std::optional<Tensor> mask, MapEnv(node).value(e.operand));
    Dim count;
    if (mask) {
      int64_t n = 0;
      for (int64_t i = 0; i < mask->elements(); ++i) n += mask->get_int(i) != 0;
      count = n;
    }
    kept.push_back({count});
  }
  for (const std::vector<Dim>& k : kept) shapes.push_back(Shape(k.data(), k.size()));
  if (shapes.empty()) return std::vector<Dim>{};
  return broadcast_shapes(node, "c2", shapes);
}

namespace {

// An index tensor as one list of coordinates for each dim it stands for.
struct Coordinates {
  IntShape shape;
  size_t dim;
  std::vector<int64_t> values;
};

Status add_mask(const Node& node, const Tensor& mask, const IndexPlan::Entry& entry, const IntShape& in,
                std::vector<Coordinates>* all) {
  for (size_t k = 0; k < entry.dims; ++k) {
    if (mask.shape()[k] != in[entry.dim + k]) {
      return failed(
          node, "c4",
          fmt::format("a mask has extent {} where the input has {}", mask.shape()[k], in[entry.dim + k]));
    }
  }
  std::vector<int64_t> set;
  for (int64_t i = 0; i < mask.elements(); ++i)
    if (mask.get_int(i) != 0) set.push_back(i);
  int64_t inner = mask.elements();
  for (size_t k = 0; k < entry.dims; ++k) {
    const int64_t extent = mask.shape()[k];
    inner = extent == 0 ? 0 : inner / extent;
    Coordinates c{{static_cast<int64_t>(set.size())}, entry.dim + k, {}};
    for (const int64_t i : set) c.values.push_back(i / inner % extent);
    all->push_back(std::move(c));
  }
  if (entry.dims == 0)
    all->push_back({{static_cast<int64_t>(set.size())}, SIZE_MAX, std::vector<int64_t>(set.size(), 0)});
  return {};
}

}  // namespace

Result<std::optional<PickedPlaces>> picked_places(const MapEnv& env, const IndexPlan& plan,
                                                  const IntShape& in) {
  const Node& node = env.node();
  std::vector<Coordinates> all;
  for (const IndexPlan::Entry& e : plan.entries) {
    ZP_TRY(const std::optional<Tensor> index, env.value(e.operand));
    if (!index) return std::optional<PickedPlaces>();
    if (e.mask) {
      ZP_CHECK(add_mask(node, *index, e, in, &all));
      continue;
    }
    Coordinates c{index->shape(), e.dim, std::vector<int64_t>(at(index->elements()))};
    for (int64_t i = 0; i < index->elements(); ++i) {
      ZP_TRY(c.values[at(i)], checked_index(node, "c3", index->get_int(i), in[e.dim], true));
    }
    all.push_back(std::move(c));
  }
  PickedPlaces picked;
  size_t rank = 0;
  for (const Coordinates& c : all) rank = std::max(rank, c.shape.size());
  picked.shape.assign(rank, 1);
  for (const Coordinates& c : all) {
    for (size_t d = 0; d < c.shape.size(); ++d) {
      int64_t& extent = picked.shape[rank - c.shape.size() + d];
      if (extent == 1) {
        extent = c.shape[d];
      } else if (c.shape[d] != 1 && c.shape[d] != extent) {
        return failed(node, "c2",
                      fmt::format("indices of extents {} and {} do not broadcast", extent, c.shape[d]));
      }
    }
  }
  int64_t count = 1;
  for (const int64_t d : picked.shape) {
    ZP_CHECK(check_index_count(node, {count, d}));
    count *= d;
  }
  picked.places.assign(at(count), 0);
  for (const Coordinates& c : all) {
    const int64_t extent = c.dim == SIZE_MAX ? 1 : in[c.dim];
    std::vector<int64_t> stride(rank, 0), j(rank, 0);
    int64_t step = 1;
    for (size_t d = c.shape.size(); d-- > 0; step *= c.shape[d])
      if (c.shape[d] != 1) stride[rank - c.shape.size() + d] = step;
    int64_t from = 0;
    for (int64_t i = 0; i < count; ++i) {
      picked.places[at(i)] = picked.places[at(i)] * extent + c.values[at(from)];
      for (size_t d = rank; d-- > 0;) {
        from += stride[d];
        if (++j[d] < picked.shape[d]) break;
        from -= stride[d] * picked.shape[d];
        j[d] = 0;
      }
    }
  }
  return std::optional(std::move(picked));
}

Result<std::vector<MapStep>> index_steps(const MapEnv& env, size_t first, const IntShape& in) {
  ZP_TRY(const IndexPlan plan, plan_index(env.node(), first));
  std::vector<MapStep> steps;
  if (plan.entries.empty()) return steps;
  std::vector<int64_t> order, rest;
  IntShape merged, tail;
  int64_t line = 1;
  for (size_t d = 0; d < in.size(); ++d) {
    if (plan.dims[d].indexed) {
      line *= in[d];
    } else if (d < plan.front) {
      order.push_back(static_cast<int64_t>(d));
      merged.push_back(in[d]);
    } else {
      rest.push_back(static_cast<int64_t>(d));
      tail.push_back(in[d]);
    }
  }
  for (size_t d = 0; d < in.size(); ++d)
    if (plan.dims[d].indexed) order.push_back(static_cast<int64_t>(d));
  order.insert(order.end(), rest.begin(), rest.end());
  IntShape out = merged;
  merged.push_back(line);
  merged.insert(merged.end(), tail.begin(), tail.end());
  steps.push_back(MapStep::permute(std::move(order)));
  steps.push_back(MapStep::reshape(std::move(merged)));
  ZP_TRY(const std::optional<PickedPlaces> picked, picked_places(env, plan, in));
  const int64_t dim = static_cast<int64_t>(plan.front);
  IntShape places;
  if (picked) {
    places = picked->shape;
    steps.push_back(MapStep::take(dim, picked->places));
  } else {
    ZP_TRY(const std::vector<Dim> shape, index_shape(env.node().context(), env.node(), plan, first));
    for (const Dim& d : shape) {
      ZP_TRY(const int64_t extent, env.dim(d));
      places.push_back(extent);
    }
    steps.push_back(MapStep::choose(dim, {count_of(places)}));
  }
  out.insert(out.end(), places.begin(), places.end());
  out.insert(out.end(), tail.begin(), tail.end());
  steps.push_back(MapStep::reshape(std::move(out)));
  return steps;
}

}  // namespace zp::ops
