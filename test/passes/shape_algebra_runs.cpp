#include "shape_algebra_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>

#include "shape_algebra.h"

namespace zp::algebra {

namespace {

const std::vector<int64_t> kSizes{1, 2, 3, 4, 6};
constexpr DType kStorages[] = {DType::I8, DType::I4, DType::U8};

std::string text_of(const MapStep& s) {
  return fmt::format("{} {} {} {} [{}] [{}] [{}] [{}] [{}];", static_cast<int>(s.kind), s.upper, s.dim,
                     s.offset, fmt::join(s.shape, ","), fmt::join(s.dims, ","), fmt::join(s.start, ","),
                     fmt::join(s.step, ","), fmt::join(s.index, ","));
}

std::string described(const IntShape& shape, const Quantization& q, const std::string& chain,
                      const std::string& text) {
  return fmt::format("{} block {} ; {}: {}", algebra::text_of(shape), algebra::text_of(q.block), chain, text);
}

// One variant of those with the same map: for chains it is the map that counts.
std::vector<Variant> distinct(std::vector<Variant> all) {
  std::vector<Variant> kept;
  std::set<std::string> seen;
  for (Variant& v : all) {
    std::string key = std::to_string(v.operands);
    for (const MapResult& map : v.map) {
      key += fmt::format("|{} {}", map.join_dim, map.parts.size());
      for (const MapPart& part : map.parts) {
        key += fmt::format("/{}", part.operand);
        for (const MapStep& step : part.steps) key += text_of(step);
      }
      for (const MapStep& step : map.steps) key += text_of(step);
    }
    if (seen.insert(std::move(key)).second) kept.push_back(std::move(v));
  }
  return kept;
}

// All that decides what further steps do with a state.
std::string key_of(const State& state) {
  std::string key;
  const auto add = [&](const auto& list) {
    const size_t bytes = list.size() * sizeof(list[0]);
    key.append(reinterpret_cast<const char*>(&bytes), sizeof(bytes));
    key.append(reinterpret_cast<const char*>(list.data()), bytes);
  };
  for (const GridDim& d : state.grid.dims()) {
    add(std::array<int64_t, 3>{d.extent, d.tiles, d.block});
    add(d.slots);
  }
  add(state.grid.labels());
  add(state.grid.shape());  // of a reshape that is put off
  add(state.elements.ids);
  return key;
}

std::vector<IntShape> shapes_up_to(size_t rank, const std::vector<int64_t>& sizes) {
  std::vector<IntShape> all;
  for (size_t r = 0; r <= rank; ++r) {
    const auto some = shapes_of(r, sizes);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

}  // namespace

Count run_singles(size_t rank, int every, bool zeros, bool all_quantizations) {
  Count count;
  std::mt19937 random(1);
  size_t turn = 0;
  for (const IntShape& shape : shapes_up_to(rank, zeros ? std::vector<int64_t>{0, 1, 3} : kSizes)) {
    if (zeros && count_of(shape) != 0) continue;
    Context context;
    std::string problem;
    const std::vector<Variant> all = variants(shape, random, &problem);
    const std::vector<Quantization> quants = quantizations(shape);
    if (!problem.empty()) return {count.cases, problem};
    for (const Variant& v : all) {
      for (size_t r = 0; r < v.results.size(); ++r) {
        for (size_t k = 0; k < (all_quantizations ? quants.size() : 1); ++k) {
          const Quantization& q = quants[(turn + k) % quants.size()];
          ++count.cases, ++turn;
          State state = start(shape, q);
          if (apply(&state, v, r, &problem)) problem = compare(&state, turn % 2 == 0);
          if (!problem.empty()) return {count.cases, described(shape, q, v.text, problem)};
          if (turn % static_cast<size_t>(every) != 0) continue;
          const size_t kind = turn / static_cast<size_t>(every);
          problem = check_chain(context, shape, q, {{&v, r}}, kStorages[kind % 3], kind % 2 == 0, true);
          if (!problem.empty()) return {count.cases, problem};
        }
      }
    }
  }
  return count;
}

Count run_pairs(int part, int parts, bool all_quantizations) {
  // Pairs are grouped by the shape between them, so that its variants are made once.
  struct First {
    IntShape shape;
    size_t quant;
    std::string text;
    State state;
    int64_t times;  // chains of one operator that lead to this very state
  };
  Count count;
  std::mt19937 random(2);
  std::map<IntShape, std::vector<First>> between;
  std::unordered_map<std::string, std::pair<const IntShape*, size_t>> known;
  std::unordered_map<std::string, std::vector<Quantization>> quants;
  size_t turn = 0;
  std::string problem;
  const std::vector<IntShape> shapes = shapes_up_to(3, kSizes);
  for (const IntShape& shape : shapes) {
    const auto& own = quants[algebra::text_of(shape)] = quantizations(shape);
    for (const Variant& v : distinct(variants(shape, random, &problem))) {
      for (size_t r = 0; r < v.results.size(); ++r) {
        const IntShape& to = v.results[r].shape;
        if (to.size() > 3 || v.operands != 1) continue;
        // The shapes between are what is dealt out to the parts.
        size_t hash = 0;
        for (const int64_t e : to) hash = hash * 31 + static_cast<size_t>(e);
        ++turn;
        if (static_cast<int>(hash % static_cast<size_t>(parts)) != part) continue;
        for (size_t k = 0; k < (all_quantizations ? own.size() : 1); ++k) {
          const size_t q = (turn + k) % own.size();
          State state = start(shape, own[q]);
          if (!apply(&state, v, r, &problem)) break;
          auto [place, _] = between.try_emplace(to);
          const auto [same, fresh] =
              known.try_emplace(key_of(state), std::pair(&place->first, place->second.size()));
          if (fresh) place->second.push_back({shape, q, v.text, std::move(state), 1});
          else ++between[*same->second.first][same->second.second].times;
        }
        if (!problem.empty()) return {0, described(shape, own[0], v.text, problem)};
      }
    }
    if (!problem.empty()) return {0, problem};
  }
  for (const auto& [shape, firsts] : between) {
    const std::vector<Variant> seconds = distinct(variants(shape, random, &problem));
    if (!problem.empty()) return {count.cases, problem};
    for (const First& first : firsts) {
      for (const Variant& v : seconds) {
        for (size_t r = 0; r < v.results.size(); ++r) {
          State state = first.state;
          if (!apply(&state, v, r, &problem) && problem.empty()) continue;
          if (problem.empty()) problem = compare(&state, ++turn % 4 == 0);
          count.cases += first.times;
          if (!problem.empty()) {
            return {count.cases, described(first.shape, quants[algebra::text_of(first.shape)][first.quant],
                                           first.text + " ; " + v.text, problem)};
          }
        }
      }
    }
  }
  return count;
}

Count run_triples(int64_t wanted, uint32_t seed) {
  Count count;
  std::mt19937 random(seed);
  std::string problem;
  const std::vector<IntShape> shapes = shapes_up_to(3, kSizes);
  std::map<IntShape, std::vector<Variant>> known;
  std::map<IntShape, std::vector<Quantization>> quants;
  std::unique_ptr<Context> context;
  const auto of = [&](const IntShape& shape) -> const std::vector<Variant>& {
    auto [found, fresh] = known.try_emplace(shape);
    if (fresh) found->second = distinct(variants(shape, random, &problem));
    return found->second;
  };
  // Shapes on the way are kept small and few, so that their variants need not be made again and again.
  const auto small = [](const IntShape& shape) {
    return shape.size() <= 3 && count_of(shape) <= 96 &&
           std::all_of(shape.begin(), shape.end(), [](int64_t e) { return e <= 12; });
  };
  while (count.cases < wanted) {
    if (count.cases % 512 == 0 || context == nullptr) context = std::make_unique<Context>();
    const IntShape& shape = shapes[random() % shapes.size()];
    auto& own = quants[shape];
    if (own.empty()) own = quantizations(shape);
    const Quantization& q = own[random() % own.size()];
    std::vector<Step> chain;
    for (int tries = 0; chain.size() < 3 && tries < 32; ++tries) {
      const std::vector<Variant>& all =
          of(chain.empty() ? shape : chain.back().variant->results[chain.back().result].shape);
      if (!problem.empty()) return {count.cases, problem};
      const Variant& v = all[random() % all.size()];
      const size_t result = random() % v.results.size();
      if (chain.size() < 2 && !small(v.results[result].shape)) continue;
      chain.push_back({&v, result});
    }
    if (chain.size() < 3) continue;
    ++count.cases;
    problem = check_chain(*context, shape, q, chain, kStorages[count.cases % 3], count.cases % 2 == 0,
                          count.cases % 4 < 2);
    if (!problem.empty()) return {count.cases, problem};
  }
  return count;
}

}  // namespace zp::algebra
