// The operators and their meaning, element by element.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>
#include <set>

#include "ops/index.h"
#include "ops/join.h"
#include "ops/ops.h"
#include "ops/pad.h"
#include "ops/pool.h"
#include "ops/shape.h"
#include "ops/view.h"
#include "shape_algebra.h"

namespace zp::algebra {

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

IntShape unravel(int64_t i, const IntShape& shape) {
  IntShape j(shape.size());
  for (size_t d = shape.size(); d-- > 0; i /= shape[d]) j[d] = i % shape[d];
  return j;
}

int64_t ravel(const IntShape& j, const IntShape& shape) {
  int64_t i = 0;
  for (size_t d = 0; d < shape.size(); ++d) i = i * shape[d] + j[d];
  return i;
}

struct Index {
  IntShape shape;
  std::vector<int64_t> values;
  bool mask = false;
};

class Maker {
 public:
  Maker(const IntShape& shape, std::mt19937& random, std::string* problem)
      : in_(shape),
        rank_(static_cast<int64_t>(shape.size())),
        n_(count_of(shape)),
        random_(random),
        problem_(problem),
        graph_(context_, nullptr) {}

  std::vector<Variant> run() {
    same_order();
    permutes();
    repeats();
    selections();
    splits();
    indices();
    turns();
    joins();
    pads();
    windows();
    return std::move(all_);
  }

 private:
  using Source = std::function<int64_t(const IntShape& j)>;  // the element that place j shows, or -1 / below

  Elements each(IntShape out, const Source& source) {
    Elements e{std::move(out), {}};
    e.ids.resize(at(count_of(e.shape)));
    for (int64_t i = 0; i < count_of(e.shape); ++i)
      e.ids[at(i)] = static_cast<int32_t>(source(unravel(i, e.shape)));
    return e;
  }
  Elements in_order(IntShape out) {
    Elements e{std::move(out), std::vector<int32_t>(at(n_))};
    std::iota(e.ids.begin(), e.ids.end(), 0);
    return e;
  }

  template <typename Attrs>
  void add(const OpDef& op, const Attrs& attrs, std::string what, std::vector<Elements> results,
           std::vector<Index> extra = {}, size_t operands = 1) {
    make(op, &attrs, std::move(what), std::move(results), std::move(extra), operands);
  }

  void make(const OpDef& op, const void* attrs, std::string what, std::vector<Elements> results,
            std::vector<Index> extra, size_t operands) {
    std::vector<Value*> values;
    const Type* type = context_.tensor(DType::I8, std::span<const int64_t>(in_));
    for (size_t k = 0; k < operands; ++k) values.push_back(graph_.add_input("x", type));
    for (const Index& index : extra) {
      const Constant* c = nullptr;
      if (index.mask) {
        std::vector<uint8_t> bytes(index.values.begin(), index.values.end());
        c = context_.make_constant("i", DType::Bool, index.shape, bytes);
      } else if (!index.shape.empty() || !index.values.empty()) {
        c = context_.make_constant("i", DType::I64, index.shape, index.values);
      }
      values.push_back(c != nullptr ? graph_.add_const(*c) : nullptr);
    }
    Node* node = graph_.create({.op = &op, .operands = values, .attrs = attrs, .results = results.size()});
    Variant v{&op, fmt::format("{} {}", op.name, what), operands, {}, std::move(results)};
    const auto fail = [&](const std::string& text) {
      if (problem_->empty()) *problem_ = fmt::format("{} on {}: {}", v.text, text_of(in_), text);
    };
    if (Status s = node->infer(); !s.ok()) return fail(s.error().str());
    auto map = shape_map_of(MapEnv(*node));
    if (!map.ok()) return fail(map.error().str());
    if (map->results.size() != v.results.size()) return fail("another number of results");
    const std::vector<IntShape> shapes(node->operand_count(), in_);
    for (size_t r = 0; r < v.results.size(); ++r) {
      auto shape = result_shape(map->results[r], shapes);
      if (!shape.ok() || *shape != v.results[r].shape) return fail("the map gives another shape");
      IntShape inferred;
      for (const Dim& d : node->result(r)->type().shape) inferred.push_back(d.is_known() ? d.value() : -1);
      if (inferred != v.results[r].shape) return fail("inference gives " + text_of(inferred));
    }
    v.map = std::move(map->results);
    all_.push_back(std::move(v));
  }

  List<Dim> dims(const IntShape& values) { return context_.dims_of(values); }
  List<int64_t> ints(const IntShape& values) { return context_.ints(values); }
  int64_t pick(int64_t below) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(below)); }
  IntShape without(int64_t d) const {
    IntShape s = in_;
    s.erase(s.begin() + d);
    return s;
  }
  IntShape with(int64_t d, int64_t extent) const {
    IntShape s = in_;
    s[at(d)] = extent;
    return s;
  }
  IntShape inserted(int64_t d, int64_t extent) const {
    IntShape s = in_;
    s.insert(s.begin() + d, extent);
    return s;
  }

  // ---------------------------------------------------------------- one order

  void factorings(int64_t n, size_t rank, IntShape* prefix, std::vector<IntShape>* out) {
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

  void same_order() {
    make(ops::identity, nullptr, "", {in_order(in_)}, {}, 1);
    std::vector<IntShape> targets;
    IntShape prefix;
    if (n_ == 0) targets = {{0}, {0, 3}, in_};
    else
      for (size_t r = 0; r <= (n_ <= 72 ? size_t{4} : size_t{3}); ++r) factorings(n_, r, &prefix, &targets);
    for (const IntShape& t : targets)
      add(ops::reshape, ops::ReshapeAttrs{dims(t)}, text_of(t), {in_order(t)});
    if (rank_ > 1 && n_ > 0) {
      add(ops::reshape, ops::ReshapeAttrs{dims({-1, in_.back()})}, "-1, last",
          {in_order({n_ / in_.back(), in_.back()})});
    }
    IntShape squeezed;
    for (const int64_t e : in_)
      if (e != 1) squeezed.push_back(e);
    add(ops::squeeze, ops::SqueezeAttrs{.all = true}, "all", {in_order(squeezed)});
    for (int64_t d = 0; d < rank_; ++d) {
      add(ops::squeeze, ops::SqueezeAttrs{.dims = ints({d - rank_})}, std::to_string(d - rank_),
          {in_order(in_[at(d)] == 1 ? without(d) : in_)});
    }
    for (int64_t d = 0; d <= rank_; ++d) {
      add(ops::unsqueeze, ops::UnsqueezeAttrs{d}, std::to_string(d), {in_order(inserted(d, 1))});
      add(ops::unsqueeze, ops::UnsqueezeAttrs{d - rank_ - 1}, std::to_string(d - rank_ - 1),
          {in_order(inserted(d, 1))});
    }
  }

  void permutes() {
    IntShape order(at(rank_));
    std::iota(order.begin(), order.end(), 0);
    do {
      IntShape out, negative;
      for (const int64_t d : order) out.push_back(in_[at(d)]), negative.push_back(d - rank_);
      Elements meaning = each(out, [&](const IntShape& j) {
        IntShape from(j.size());
        for (size_t d = 0; d < j.size(); ++d) from[at(order[d])] = j[d];
        return ravel(from, in_);
      });
      add(ops::permute, ops::PermuteAttrs{ints(random_() % 2 == 0 ? order : negative)}, text_of(order),
          {std::move(meaning)});
    } while (std::next_permutation(order.begin(), order.end()));
  }

  // ---------------------------------------------------------------- repetition

  void repeats() {
    for (int64_t d = 0; d < rank_; ++d) {
      if (in_[at(d)] == 1) {
        IntShape target = with(d, 3);
        add(ops::expand, ops::ExpandAttrs{dims(target)}, text_of(target), {each(target, [&](IntShape j) {
              j[at(d)] = 0;
              return ravel(j, in_);
            })});
      }
      IntShape times(at(rank_), 1);
      times[at(d)] = 2;
      add(ops::repeat, ops::RepeatAttrs{dims(times)}, text_of(times),
          {each(with(d, 2 * in_[at(d)]), [&](IntShape j) {
            j[at(d)] %= in_[at(d)];
            return ravel(j, in_);
          })});
      add(ops::repeat_interleave, ops::RepeatInterleaveAttrs{.repeats = 2, .dim = d}, fmt::format("2 {}", d),
          {each(with(d, 2 * in_[at(d)]), [&](IntShape j) {
            j[at(d)] /= 2;
            return ravel(j, in_);
          })});
      std::vector<int64_t> counts, which;
      for (int64_t i = 0; i < in_[at(d)]; ++i) {
        counts.push_back((i + 1) % 3);
        which.insert(which.end(), at(counts.back()), i);
      }
      add(ops::repeat_interleave, ops::RepeatInterleaveAttrs{.dim = d - rank_}, fmt::format("counts {}", d),
          {each(with(d, static_cast<int64_t>(which.size())),
                [&](IntShape j) {
                  j[at(d)] = which[at(j[at(d)])];
                  return ravel(j, in_);
                })},
          {{{in_[at(d)]}, counts}});
    }
    IntShape target = inserted(0, 2);
    const Source rest = [&](const IntShape& j) { return ravel(IntShape(j.begin() + 1, j.end()), in_); };
    add(ops::expand, ops::ExpandAttrs{dims(target)}, text_of(target), {each(target, rest)});
    IntShape times(at(rank_ + 1), 1);
    times[0] = 2;
    add(ops::repeat, ops::RepeatAttrs{dims(times)}, text_of(times), {each(target, rest)});
    add(ops::repeat_interleave, ops::RepeatInterleaveAttrs{.repeats = 3}, "3",
        {each({3 * n_}, [](const IntShape& j) { return j[0] / 3; })});
  }

  // ---------------------------------------------------------------- selection

  void slice(int64_t d, std::optional<Dim> start, std::optional<Dim> end, int64_t step, int64_t first,
             int64_t count) {
    ops::SliceAttrs attrs{.dim = d, .start = start, .end = end, .step = step};
    add(ops::slice, attrs, fmt::format("{} from {} step {} count {}", d, first, step, count),
        {each(with(d, count), [&](IntShape j) {
          j[at(d)] = first + step * j[at(d)];
          return ravel(j, in_);
        })});
  }

  void selections() {
    for (int64_t d = 0; d < rank_; ++d) {
      const int64_t e = in_[at(d)];
      for (int64_t step = 1; step <= 3; ++step) {
        for (int64_t start = 0; start < e; start += std::max<int64_t>(1, e / 3))
          slice(d, Dim(start), std::nullopt, step, start, (e - start + step - 1) / step);
      }
      slice(d, std::nullopt, Dim(e / 2), 1, 0, e / 2);
      slice(d - 0, Dim(-1), Dim(1000), 1, std::max<int64_t>(0, e - 1), std::min<int64_t>(1, e));
      slice(d, Dim(e), std::nullopt, 1, e, 0);
      for (int64_t i = 0; i < e; i += std::max<int64_t>(1, e - 1)) {
        add(ops::select, ops::SelectAttrs{.dim = d, .index = i % 2 == 0 ? i : i - e},
            fmt::format("{} {}", d, i), {each(without(d), [&](IntShape j) {
              j.insert(j.begin() + d, i);
              return ravel(j, in_);
            })});
      }
      IntShape order(at(e));
      std::vector<int64_t> flips{d};
      add(ops::flip, ops::FlipAttrs{ints(flips)}, std::to_string(d), {each(in_, [&](IntShape j) {
            j[at(d)] = e - 1 - j[at(d)];
            return ravel(j, in_);
          })});
      if (e == 0) continue;
      for (const int64_t shift : {int64_t{1}, int64_t{-2}}) {
        add(ops::roll, ops::RollAttrs{dims({shift}), ints({d})}, fmt::format("{} {}", shift, d),
            {each(in_, [&](IntShape j) {
              j[at(d)] = ((j[at(d)] - shift) % e + e) % e;
              return ravel(j, in_);
            })});
      }
    }
    IntShape all(at(rank_));
    std::iota(all.begin(), all.end(), 0);
    add(ops::flip, ops::FlipAttrs{ints(all)}, "all",
        {each(in_, [&](const IntShape& j) { return n_ - 1 - ravel(j, in_); })});
    if (n_ > 0) {
      add(ops::roll, ops::RollAttrs{dims({1}), {}}, "flat",
          {each(in_, [&](const IntShape& j) { return (ravel(j, in_) + n_ - 1) % n_; })});
    }
  }

  void splits() {
    for (int64_t d = 0; d < rank_; ++d) {
      const int64_t e = in_[at(d)];
      std::vector<IntShape> sizes{{e}, {0, e}};
      if (e > 1) sizes.push_back({1, e - 1});
      if (e == 6) sizes.push_back({2, 2, 2});
      for (const IntShape& parts : sizes) {
        std::vector<Elements> results;
        int64_t first = 0;
        for (const int64_t size : parts) {
          results.push_back(each(with(d, size), [&](IntShape j) {
            j[at(d)] += first;
            return ravel(j, in_);
          }));
          first += size;
        }
        add(ops::split, ops::SplitAttrs{dims(parts), d}, fmt::format("{} {}", text_of(parts), d),
            std::move(results));
      }
      std::vector<Elements> results;
      for (int64_t i = 0; i < e; ++i) {
        results.push_back(each(without(d), [&](IntShape j) {
          j.insert(j.begin() + d, i);
          return ravel(j, in_);
        }));
      }
      if (e > 0) add(ops::unbind, ops::UnbindAttrs{d - rank_}, std::to_string(d), std::move(results));
    }
  }

  // ---------------------------------------------------------------- indices

  std::vector<int64_t> picks(int64_t count, int64_t below) {
    std::vector<int64_t> all;
    for (int64_t i = 0; i < count; ++i) all.push_back(pick(below));
    return all;
  }

  void indices() {
    for (int64_t d = 0; d < rank_; ++d) {
      const int64_t e = in_[at(d)];
      if (e == 0) continue;
      for (const auto& list : {picks(e + 1, e), std::vector<int64_t>{e - 1, 0}, std::vector<int64_t>{}}) {
        add(ops::index_select, ops::IndexSelectAttrs{d}, fmt::format("{} {}", d, text_of(list)),
            {each(with(d, static_cast<int64_t>(list.size())),
                  [&](IntShape j) {
                    j[at(d)] = list[at(j[at(d)])];
                    return ravel(j, in_);
                  })},
            {{{static_cast<int64_t>(list.size())}, list}});
      }
      for (const bool constant : {false, true}) {
        const IntShape out = with(d, 2);
        std::vector<int64_t> index = picks(count_of(out), e);
        // The same along all other dims: parameters then stay on one axis.
        if (constant)
          for (int64_t i = 0; i < count_of(out); ++i) index[at(i)] = unravel(i, out)[at(d)] % e;
        add(ops::gather, ops::GatherAttrs{d}, fmt::format("{}{}", d, constant ? " constant" : ""),
            {each(out,
                  [&](IntShape j) {
                    const int64_t i = index[at(ravel(j, out))];
                    j[at(d)] = i;
                    return ravel(j, in_);
                  })},
            {{out, index}});
      }
      if (rank_ < 2) continue;
      // x[:, i] with i of rank 2, by absent indices before it.
      const std::vector<int64_t> two = picks(4, e);
      IntShape out = without(d);
      out.insert(out.begin() + d, {2, 2});
      std::vector<Index> extra(at(d));
      extra.push_back({{2, 2}, two});
      make(ops::index, nullptr, fmt::format("dim {} by [2,2]", d),
           {each(out,
                 [&](IntShape j) {
                   const int64_t i = two[at(j[at(d)] * 2 + j[at(d) + 1])];
                   j.erase(j.begin() + d);
                   j[at(d)] = i;
                   return ravel(j, in_);
                 })},
           extra, 1);
    }
    if (rank_ >= 2 && in_[0] > 0 && in_[1] > 0) {
      const std::vector<int64_t> rows = picks(3, in_[0]), columns = picks(3, in_[1]);
      IntShape out(in_.begin() + 1, in_.end());
      out[0] = 3;
      make(ops::index, nullptr, "rows and columns",
           {each(out,
                 [&](const IntShape& j) {
                   IntShape from{rows[at(j[0])], columns[at(j[0])]};
                   from.insert(from.end(), j.begin() + 1, j.end());
                   return ravel(from, in_);
                 })},
           {{{3}, rows}, {{3}, columns}}, 1);
    }
    if (rank_ >= 1 && in_[0] > 0) {
      std::vector<int64_t> mask, kept;
      for (int64_t i = 0; i < in_[0]; ++i) {
        mask.push_back(i % 2 == 0 ? 1 : 0);
        if (mask.back() != 0) kept.push_back(i);
      }
      make(ops::index, nullptr, "mask",
           {each(with(0, static_cast<int64_t>(kept.size())),
                 [&](IntShape j) {
                   j[0] = kept[at(j[0])];
                   return ravel(j, in_);
                 })},
           {{{in_[0]}, mask, true}}, 1);
    }
    if (rank_ != 2 || in_[0] == 0) return;
    for (const IntShape& shape : {IntShape{}, IntShape{3}, IntShape{2, 2}}) {
      const std::vector<int64_t> rows = picks(count_of(shape), in_[0]);
      IntShape out = shape;
      out.push_back(in_[1]);
      add(ops::embedding, ops::EmbeddingAttrs{}, text_of(shape),
          {each(out,
                [&](IntShape j) {
                  const int64_t c = j.back();
                  j.pop_back();
                  return rows[at(ravel(j, shape))] * in_[1] + c;
                })},
          {{shape, rows}});
    }
  }

  // ---------------------------------------------------------------- diagonals, triangles, shuffles

  void turns() {
    for (int64_t a = 0; a < rank_; ++a) {
      for (int64_t b = 0; b < rank_; ++b) {
        if (a == b) continue;
        for (const int64_t offset : {-1, 0, 1}) {
          IntShape out;
          for (int64_t d = 0; d < rank_; ++d)
            if (d != a && d != b) out.push_back(in_[at(d)]);
          int64_t length = 0;
          while (length + std::max<int64_t>(0, -offset) < in_[at(a)] &&
                 length + std::max<int64_t>(0, offset) < in_[at(b)])
            ++length;
          out.push_back(length);
          add(ops::diagonal, ops::DiagonalAttrs{offset, a, b}, fmt::format("{} {} {}", offset, a, b),
              {each(out, [&](const IntShape& j) {
                IntShape from(at(rank_));
                size_t next = 0;
                for (int64_t d = 0; d < rank_; ++d) {
                  if (d == a) from[at(d)] = j.back() + std::max<int64_t>(0, -offset);
                  else if (d == b) from[at(d)] = j.back() + std::max<int64_t>(0, offset);
                  else from[at(d)] = j[next++];
                }
                return ravel(from, in_);
              })});
        }
      }
    }
    if (rank_ >= 2) {
      for (const int64_t k : {-1, 0, 2}) {
        for (const bool upper : {false, true}) {
          add(upper ? ops::triu : ops::tril, ops::TriangleAttrs{k}, std::to_string(k),
              {each(in_, [&](const IntShape& j) {
                const int64_t above = j[at(rank_ - 1)] - j[at(rank_ - 2)];
                const int64_t i = ravel(j, in_);
                return (upper ? above >= k : above <= k) ? i : -2 - i;
              })});
        }
      }
    }
    if (rank_ < 3) return;
    const size_t c = at(rank_ - 3), h = at(rank_ - 2), w = at(rank_ - 1);
    for (const int64_t r : {1, 2}) {
      if (in_[c] % (r * r) == 0) {
        IntShape out = in_;
        out[c] /= r * r, out[h] *= r, out[w] *= r;
        add(ops::pixel_shuffle, ops::PixelShuffleAttrs{r}, std::to_string(r), {each(out, [&](IntShape j) {
              j[c] = (j[c] * r + j[h] % r) * r + j[w] % r;
              j[h] /= r, j[w] /= r;
              return ravel(j, in_);
            })});
      }
      if (in_[h] % r == 0 && in_[w] % r == 0) {
        IntShape out = in_;
        out[c] *= r * r, out[h] /= r, out[w] /= r;
        add(ops::pixel_unshuffle, ops::PixelUnshuffleAttrs{r}, std::to_string(r), {each(out, [&](IntShape j) {
              const int64_t part = j[c] % (r * r);
              j[c] /= r * r;
              j[h] = j[h] * r + part / r, j[w] = j[w] * r + part % r;
              return ravel(j, in_);
            })});
      }
    }
    for (const int64_t groups : {1, 2, 3}) {
      if (in_[1] == 0 || in_[1] % groups != 0) continue;
      add(ops::channel_shuffle, ops::ChannelShuffleAttrs{groups}, std::to_string(groups),
          {each(in_, [&](IntShape j) {
            j[1] = j[1] % groups * (in_[1] / groups) + j[1] / groups;
            return ravel(j, in_);
          })});
    }
  }

  // ---------------------------------------------------------------- joins

  void joins() {
    for (int64_t d = 0; d < rank_; ++d) {
      const int64_t e = in_[at(d)];
      add(ops::cat, ops::CatAttrs{d}, std::to_string(d),
          {each(with(d, 2 * e),
                [&](IntShape j) {
                  const int64_t part = j[at(d)] / std::max<int64_t>(1, e);
                  j[at(d)] -= part * e;
                  return part * n_ + ravel(j, in_);
                })},
          {}, 2);
    }
    for (int64_t d = 0; d <= rank_; ++d) {
      add(ops::stack, ops::StackAttrs{d - rank_ - 1}, std::to_string(d),
          {each(inserted(d, 2),
                [&](IntShape j) {
                  const int64_t part = j[at(d)];
                  j.erase(j.begin() + d);
                  return part * n_ + ravel(j, in_);
                })},
          {}, 2);
    }
    if (rank_ != 1) return;
    const int64_t e = in_[0];
    add(ops::meshgrid, ops::MeshgridAttrs{}, "ij",
        {each({e, e}, [](const IntShape& j) { return j[0]; }),
         each({e, e}, [&](const IntShape& j) { return n_ + j[1]; })},
        {}, 2);
  }

  // ---------------------------------------------------------------- padding

  void pad(int64_t d, int64_t before, int64_t after, std::string_view mode) {
    const int64_t e = in_[at(d)], back = rank_ - 1 - d;
    IntShape pairs(at(2 * back + 2), 0);
    pairs[at(2 * back)] = before, pairs[at(2 * back + 1)] = after;
    add(ops::pad, ops::PadAttrs{.pad = dims(pairs), .mode = mode},
        fmt::format("{} {} {} {}", d, before, after, mode),
        {each(with(d, e + before + after), [&](IntShape j) -> int64_t {
          int64_t i = j[at(d)] - before;
          if (i < 0 || i >= e) {
            if (mode == "constant") return kPadding;
            if (mode == "reflect") i = i < 0 ? -i : 2 * e - 2 - i;
            else if (mode == "replicate") i = i < 0 ? 0 : e - 1;
            else i = (i + e) % e;
          }
          j[at(d)] = i;
          return ravel(j, in_);
        })});
  }

  void pads() {
    for (int64_t d = 0; d < rank_; ++d) {
      const int64_t e = in_[at(d)];
      pad(d, 1, 0, "constant");
      pad(d, 0, 2, "constant");
      if (e > 0) pad(d, 2, -1, "constant");
      if (e > 1) pad(d, -1, 0, "constant");
      if (e > 1) pad(d, 1, 1, "reflect");
      if (e > 0) pad(d, 1, 2, "replicate");
      if (e > 0) pad(d, 1, 1, "circular");
    }
  }

  // ---------------------------------------------------------------- windows

  void windows() {
    for (int64_t d = 0; d < rank_; ++d) {
      const int64_t e = in_[at(d)];
      for (const int64_t size : {int64_t{1}, int64_t{2}, e}) {
        for (const int64_t step : {1, 2}) {
          if (size > e || size == 0) continue;
          IntShape out = with(d, (e - size) / step + 1);
          out.push_back(size);
          add(ops::unfold, ops::UnfoldAttrs{d, size, step}, fmt::format("{} {} {}", d, size, step),
              {each(out, [&](IntShape j) {
                const int64_t within = j.back();
                j.pop_back();
                j[at(d)] = j[at(d)] * step + within;
                return ravel(j, in_);
              })});
        }
      }
    }
    columns();
    if (n_ < 2) return;
    for (int k = 0; k < 3; ++k) {
      const int64_t a = 1 + pick(std::min<int64_t>(n_ / 2, 4)), b = 1 + pick(3), first = pick(2);
      const int64_t outer = std::max<int64_t>(1, (n_ - first - 1) / a),
                    inner = std::min<int64_t>(b, n_ - first - (outer - 1) * a);
      const IntShape size{outer, std::max<int64_t>(1, inner)}, stride{a, 1};
      if (first + (size[0] - 1) * a + size[1] - 1 >= n_) continue;
      add(ops::as_strided, ops::AsStridedAttrs{dims(size), dims(stride), Dim(first)},
          fmt::format("{} by {} from {}", text_of(size), text_of(stride), first),
          {each(size, [&](const IntShape& j) { return first + j[0] * a + j[1]; })});
    }
  }

  // im2col: place (c, ky, kx) of window (oy, ox).
  void columns() {
    if (rank_ != 3 && rank_ != 4) return;
    const size_t c = at(rank_ - 3), y = at(rank_ - 2), x = at(rank_ - 1);
    for (const int64_t kernel : {1, 2}) {
      for (const int64_t padding : {0, 1}) {
        for (const int64_t stride : {1, 2}) {
          const int64_t high = (in_[y] + 2 * padding - kernel) / stride + 1;
          const int64_t wide = (in_[x] + 2 * padding - kernel) / stride + 1;
          if (in_[y] + 2 * padding < kernel || in_[x] + 2 * padding < kernel || n_ == 0) continue;
          IntShape out(in_.begin(), in_.end() - 3);
          out.push_back(in_[c] * kernel * kernel);
          out.push_back(high * wide);
          ops::Im2colAttrs attrs;
          attrs.kernel_size = ints({kernel, kernel});
          attrs.dilation = ints({1, 1});
          attrs.padding = ints({padding, padding});
          attrs.stride = ints({stride, stride});
          add(ops::im2col, attrs, fmt::format("{} {} {}", kernel, padding, stride),
              {each(out, [&](const IntShape& j) -> int64_t {
                const int64_t window = j.back(), row = j[j.size() - 2];
                IntShape from(j.begin(), j.end() - 2);
                from.push_back(row / (kernel * kernel));
                from.push_back(window / wide * stride - padding + row / kernel % kernel);
                from.push_back(window % wide * stride - padding + row % kernel);
                for (const size_t d : {y, x})
                  if (from[d] < 0 || from[d] >= in_[d]) return kPadding;
                return ravel(from, in_);
              })});
        }
      }
    }
  }

  IntShape in_;
  int64_t rank_, n_;
  std::mt19937& random_;
  std::string* problem_;
  Context context_;
  Graph graph_;
  std::vector<Variant> all_;
};

}  // namespace

std::vector<Variant> variants(const IntShape& shape, std::mt19937& random, std::string* problem) {
  return Maker(shape, random, problem).run();
}

std::vector<std::string> known_operators() {
  std::mt19937 random(1);
  std::string problem;
  std::set<std::string> names;
  for (const IntShape& shape : {IntShape{4}, IntShape{4, 4}, IntShape{4, 4, 4}, IntShape{1, 4}})
    for (const Variant& v : variants(shape, random, &problem)) names.insert(std::string(v.op->name));
  return {names.begin(), names.end()};
}

}  // namespace zp::algebra
