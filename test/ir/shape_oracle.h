// The definition of shape steps and of the coarsest form of parameters, element by element and without any
// cleverness: what the algebra in ir/parameter_grid.h is held to.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <random>

#include "ir/parameter_grid.h"
#include "ir/quant_carry.h"
#include "ir/shape_map.h"

namespace zp::oracle {

inline int64_t count_of(const IntShape& s) {
  int64_t n = 1;
  for (int64_t d : s) n *= d;
  return n;
}

inline IntShape unravel(int64_t i, const IntShape& shape) {
  IntShape j(shape.size());
  for (size_t d = shape.size(); d-- > 0; i /= shape[d]) j[d] = i % shape[d];
  return j;
}

inline int64_t ravel(const IntShape& j, const IntShape& shape) {
  int64_t i = 0;
  for (size_t d = 0; d < shape.size(); ++d) i = i * shape[d] + j[d];
  return i;
}

// A tensor of element numbers; negative: padding.
struct Elements {
  IntShape shape;
  std::vector<int64_t> ids;

  static Elements iota(const IntShape& shape) {
    Elements e{shape, std::vector<int64_t>(static_cast<size_t>(count_of(shape)))};
    std::iota(e.ids.begin(), e.ids.end(), 0);
    return e;
  }
};

// The source coordinate of each element, straight from the definition in ir/shape_map.h.
inline Elements apply(const Elements& in, const MapStep& s, int64_t padding = -1) {
  Elements out;
  auto each = [&](auto source) {
    out.ids.resize(static_cast<size_t>(count_of(out.shape)));
    for (int64_t i = 0; i < count_of(out.shape); ++i) {
      const int64_t from = source(unravel(i, out.shape), i);
      out.ids[static_cast<size_t>(i)] = from < 0 ? padding : in.ids[static_cast<size_t>(from)];
    }
  };
  switch (s.kind) {
    case MapStep::Reshape:
      out.shape = s.shape;
      each([](const IntShape&, int64_t i) { return i; });
      break;
    case MapStep::Permute:
      for (int64_t d : s.dims) out.shape.push_back(in.shape[static_cast<size_t>(d)]);
      each([&](const IntShape& j, int64_t) {
        IntShape from(j.size());
        for (size_t d = 0; d < j.size(); ++d) from[static_cast<size_t>(s.dims[d])] = j[d];
        return ravel(from, in.shape);
      });
      break;
    case MapStep::Window:
      out.shape = s.shape;
      each([&](const IntShape& j, int64_t) {
        IntShape from(j.size());
        for (size_t d = 0; d < j.size(); ++d) from[d] = s.start[d] + s.step[d] * j[d];
        return ravel(from, in.shape);
      });
      break;
    case MapStep::Take:
      out.shape = in.shape;
      out.shape[static_cast<size_t>(s.dim)] = static_cast<int64_t>(s.index.size());
      each([&](IntShape j, int64_t) {
        const int64_t from = s.index[static_cast<size_t>(j[static_cast<size_t>(s.dim)])];
        if (from < 0) return int64_t{-1};
        j[static_cast<size_t>(s.dim)] = from;
        return ravel(j, in.shape);
      });
      break;
    case MapStep::Diagonal: {
      const size_t a = static_cast<size_t>(s.dims[0]), b = static_cast<size_t>(s.dims[1]);
      for (size_t d = 0; d < in.shape.size(); ++d)
        if (d != a && d != b) out.shape.push_back(in.shape[d]);
      int64_t length = 0;
      while (length + std::max<int64_t>(0, -s.offset) < in.shape[a] &&
             length + std::max<int64_t>(0, s.offset) < in.shape[b])
        ++length;
      out.shape.push_back(length);
      each([&](const IntShape& j, int64_t) {
        IntShape from;
        size_t next = 0;
        for (size_t d = 0; d < in.shape.size(); ++d) {
          if (d == a) from.push_back(j.back() + std::max<int64_t>(0, -s.offset));
          else if (d == b) from.push_back(j.back() + std::max<int64_t>(0, s.offset));
          else from.push_back(j[next++]);
        }
        return ravel(from, in.shape);
      });
      break;
    }
    case MapStep::Table:
      out.shape = s.shape;
      each([&](const IntShape&, int64_t i) { return s.index[static_cast<size_t>(i)]; });
      break;
    case MapStep::Triangle:
      out.shape = in.shape;
      each([&](const IntShape& j, int64_t i) {
        const int64_t above = j[j.size() - 1] - j[j.size() - 2];
        return (s.upper ? above >= s.offset : above <= s.offset) ? i : int64_t{-1};
      });
      break;
    case MapStep::Choose: break;
  }
  return out;
}

struct Form {
  GridForm::Kind kind = GridForm::None;
  int64_t axis = -1;
  IntShape block;
};

// Is the label of every element that is not padding the same throughout each cell?
inline bool uniform(const Elements& labels, const IntShape& block) {
  std::map<int64_t, int64_t> seen;
  IntShape cells;
  for (size_t d = 0; d < block.size(); ++d) cells.push_back(labels.shape[d] / block[d]);
  for (int64_t i = 0; i < count_of(labels.shape); ++i) {
    const int64_t label = labels.ids[static_cast<size_t>(i)];
    if (label < 0) continue;
    IntShape j = unravel(i, labels.shape);
    for (size_t d = 0; d < j.size(); ++d) j[d] /= block[d];
    if (seen.emplace(ravel(j, cells), label).first->second != label) return false;
  }
  return true;
}

// Tries every uniform grid whose blocks divide the extents: the fewest cells win, the first found in
// ascending order.
inline Form coarsest(const Elements& labels) {
  Form best;
  const int64_t n = count_of(labels.shape);
  const size_t rank = labels.shape.size();
  if (n == 0 || rank == 0) return {GridForm::PerTensor, -1, labels.shape};
  int64_t fewest = INT64_MAX;
  IntShape block(rank, 1);
  for (;;) {
    int64_t cells = 1;
    for (size_t d = 0; d < rank; ++d) cells *= labels.shape[d] / block[d];
    if (cells < fewest && uniform(labels, block)) {
      fewest = cells;
      best.block = block;
    }
    size_t d = rank;
    while (d-- > 0) {
      do ++block[d];
      while (block[d] <= labels.shape[d] && labels.shape[d] % block[d] != 0);
      if (block[d] <= labels.shape[d]) break;
      block[d] = 1;
    }
    if (d == SIZE_MAX) break;
  }
  if (fewest == 1) {
    best.kind = GridForm::PerTensor;
    return best;
  }
  for (size_t d = 0; d < rank; ++d) {
    IntShape list = labels.shape;
    list[d] = 1;
    if (labels.shape[d] == 1 || !uniform(labels, list)) continue;
    best.kind = GridForm::PerAxis;
    best.axis = static_cast<int64_t>(d);
    return best;
  }
  if (fewest * 2 <= n) best.kind = GridForm::PerBlock;
  return best;
}

inline std::string text(const IntShape& s) {
  std::string t = "[";
  for (int64_t d : s) t += std::to_string(d) + " ";
  return t + "]";
}

inline std::string text(const MapStep& s) {
  static const char* const kNames[] = {"reshape",  "permute", "window",   "take",
                                       "diagonal", "table",   "triangle", "choose"};
  return std::string(kNames[s.kind]) + " shape " + text(s.shape) + " dims " + text(s.dims) + " start " +
         text(s.start) + " step " + text(s.step) + " dim " + std::to_string(s.dim) + " offset " +
         std::to_string(s.offset) + " index " + text(s.index);
}

// All shapes of `rank` dims over the sizes.
inline std::vector<IntShape> shapes(size_t rank, const std::vector<int64_t>& sizes) {
  std::vector<IntShape> all{{}};
  for (size_t d = 0; d < rank; ++d) {
    std::vector<IntShape> next;
    for (const IntShape& s : all)
      for (int64_t e : sizes) {
        next.push_back(s);
        next.back().push_back(e);
      }
    all = std::move(next);
  }
  return all;
}

inline void factorings(int64_t n, size_t rank, IntShape* prefix, std::vector<IntShape>* out) {
  if (rank == 0) {
    if (n == 1) out->push_back(*prefix);
    return;
  }
  for (int64_t d = 1; d <= n; ++d) {
    if (n % d != 0) continue;
    prefix->push_back(d);
    factorings(n / d, rank - 1, prefix, out);
    prefix->pop_back();
  }
}

// Every step of each kind that is of interest on a shape: all reshapes up to `rank` dims, all permutations,
// slices with all starts and some steps, reversals, selections, repeats, takes with repetitions, rolls and
// padding, diagonals, triangles.
inline std::vector<MapStep> steps(const IntShape& in, size_t rank, std::mt19937& random) {
  std::vector<MapStep> all;
  const int64_t n = count_of(in);
  for (size_t r = 0; r <= rank && n > 0; ++r) {
    std::vector<IntShape> targets;
    IntShape prefix;
    factorings(n, r, &prefix, &targets);
    for (const IntShape& t : targets) all.push_back(MapStep::reshape(t));
  }
  std::vector<int64_t> order(in.size());
  std::iota(order.begin(), order.end(), 0);
  do all.push_back(MapStep::permute(order));
  while (std::next_permutation(order.begin(), order.end()));
  for (int64_t d = 0; d < static_cast<int64_t>(in.size()); ++d) {
    const int64_t e = in[static_cast<size_t>(d)];
    for (int64_t start = 0; start < e; ++start) {
      for (int64_t step = 1; step <= 3; ++step) {
        const int64_t most = (e - 1 - start) / step + 1;
        for (int64_t count : {int64_t{1}, most / 2, most})
          all.push_back(MapStep::window(in, d, start, step, count));
      }
    }
    all.push_back(MapStep::window(in, d, 0, 1, 0));
    if (e > 0) all.push_back(MapStep::window(in, d, e - 1, -1, e));
    if (e == 1) all.push_back(MapStep::window(in, d, 0, 0, 6));
    if (e > 0) {
      std::vector<int64_t> index;
      for (int64_t k = 0; k < e + 2; ++k)
        index.push_back(static_cast<int64_t>(random() % static_cast<uint64_t>(e)));
      all.push_back(MapStep::take(d, index));
      std::vector<int64_t> roll, pad{-1}, twice;
      for (int64_t k = 0; k < e; ++k) {
        roll.push_back((k + 1) % e);
        pad.push_back(k);
        twice.insert(twice.end(), {k, k});
      }
      pad.push_back(-1);
      all.push_back(MapStep::take(d, roll));
      all.push_back(MapStep::take(d, pad));
      all.push_back(MapStep::take(d, twice));
    }
    for (int64_t b = 0; b < static_cast<int64_t>(in.size()); ++b) {
      if (b == d) continue;
      for (int64_t offset : {-1, 0, 1}) all.push_back(MapStep::diagonal(d, b, offset));
    }
  }
  if (n > 0) {
    std::vector<int64_t> index(static_cast<size_t>(n));
    for (int64_t& i : index) i = static_cast<int64_t>(random() % static_cast<uint64_t>(n));
    all.push_back(MapStep::table(in, index));
  }
  return all;
}

}  // namespace zp::oracle
