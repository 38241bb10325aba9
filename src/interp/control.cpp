#include "interp/control.h"

#include <fmt/format.h>

#include <cstring>

#include "ops/control.h"
#include "ops/ops.h"

namespace zp::interp {
namespace {

using Tensors = std::vector<Tensor>;

// Runs `region` of the node on values of its operands.
Result<Tensors> run_cond(const Node& node, const Tensors& values, const RunRegion& region) {
  if (values[0].elements() != 1) {
    return node.error("run.predicate",
                      fmt::format("the predicate has {} elements, not one", values[0].elements()));
  }
  const bool yes = values[0].get_double(0) != 0;
  return region(*node.regions()[yes ? 0 : 1], Tensors(values.begin() + 1, values.end()));
}

int64_t g_max_loop_rounds = 100'000'000;

Result<Tensors> run_while(const Node& node, Tensors values, const RunRegion& region) {
  for (int64_t round = 0;; ++round) {
    if (round > g_max_loop_rounds) {
      return node.error("run.rounds",
                        fmt::format("the loop has not ended after {} rounds", g_max_loop_rounds));
    }
    ZP_TRY(const Tensors go_on, region(*node.regions()[0], values));
    if (go_on.size() != 1 || go_on[0].elements() != 1)
      return node.error("run.predicate", "the condition is not one number");
    if (go_on[0].get_double(0) == 0) break;
    ZP_TRY(Tensors next, region(*node.regions()[1], values));
    if (next.size() > values.size())
      return node.error("run.regions",
                        fmt::format("the body gives {} values of {}", next.size(), values.size()));
    std::move(next.begin(), next.end(), values.begin());
  }
  values.resize(node.result_count());
  return values;
}

// Part `index` of a tensor along dim 0: the same memory, but for elements that are packed elsewhere.
Result<Tensor> part_of(const Tensor& whole, int64_t index) {
  std::vector<int64_t> shape(whole.shape().begin() + 1, whole.shape().end());
  const int64_t bytes = whole.shape()[0] == 0 ? 0 : whole.bytes() / whole.shape()[0];
  const auto size = static_cast<size_t>(bytes);
  if (bits_of(whole.dtype()) < 8) {
    ZP_TRY(Tensor part, Tensor::make(whole.dtype(), std::move(shape)));
    if (size > 0)
      std::memcpy(part.mutable_data<std::byte>(), whole.data<std::byte>() + static_cast<size_t>(index) * size,
                  size);
    return part;
  }
  return Tensor::view(whole.dtype(), std::move(shape),
                      whole.blob().slice(static_cast<size_t>(index) * size, size));
}

// Collects the parts of one result. Without parts the shape is what the type says.
class Stack {
 public:
  Status add(const Node& node, const Tensor& part, int64_t index, int64_t count) {
    if (index == 0) {
      std::vector<int64_t> shape = {count};
      shape.insert(shape.end(), part.shape().begin(), part.shape().end());
      ZP_TRY(whole_, Tensor::make(part.dtype(), std::move(shape)));
      part_shape_ = part.shape();
    }
    if (part.shape() != part_shape_ || part.dtype() != whole_.dtype())
      return node.error("run.regions", fmt::format("part {} has another shape than part 0", index));
    const auto bytes = static_cast<size_t>(part.bytes());
    if (bytes > 0)
      std::memcpy(whole_.mutable_data<std::byte>() + static_cast<size_t>(index) * bytes,
                  part.data<std::byte>(), bytes);
    return {};
  }
  Status none(const Node& node, const Type& type) {
    std::vector<int64_t> shape;
    for (const Dim d : type.shape) {
      const bool first = shape.empty();
      if (!first && !d.is_known())
        return node.error("run.regions", "without parts the shape of the result is not known");
      shape.push_back(first ? 0 : d.value());
    }
    if (shape.empty()) return node.error("run.regions", "without parts the shape of the result is not known");
    ZP_TRY(whole_, Tensor::make(type.dtype, std::move(shape)));
    return {};
  }
  Tensor take() { return std::move(whole_); }

 private:
  Tensor whole_;
  std::vector<int64_t> part_shape_;
};

// map is a scan that carries nothing.
Result<Tensors> run_parts(const Node& node, const Tensors& values, size_t carried, size_t taken_apart,
                          const RunRegion& region) {
  int64_t count = -1;
  for (size_t i = carried; i < carried + taken_apart; ++i) {
    if (values[i].rank() == 0) return node.error("run.operand", fmt::format("operand {} has no dim 0", i));
    const int64_t here = values[i].shape()[0];
    if (count >= 0 && here != count)
      return node.error("run.operand", fmt::format("operands of {} and {} parts", count, here));
    count = here;
  }
  if (count > g_max_loop_rounds)
    return node.error("run.rounds", fmt::format("{} parts, {} are allowed", count, g_max_loop_rounds));
  std::vector<Stack> stacks(node.result_count() - carried);
  Tensors state(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(carried));
  for (int64_t k = 0; k < count; ++k) {
    Tensors in = state;
    for (size_t i = carried; i < carried + taken_apart; ++i) {
      ZP_TRY(Tensor part, part_of(values[i], k));
      in.push_back(std::move(part));
    }
    in.insert(in.end(), values.begin() + static_cast<std::ptrdiff_t>(carried + taken_apart), values.end());
    ZP_TRY(Tensors out, region(*node.regions()[0], std::move(in)));
    if (out.size() != node.result_count())
      return node.error("run.regions",
                        fmt::format("{} results where {} are wanted", out.size(), node.result_count()));
    for (size_t i = 0; i < stacks.size(); ++i) ZP_CHECK(stacks[i].add(node, out[carried + i], k, count));
    std::move(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(carried), state.begin());
  }
  Tensors results = std::move(state);
  for (size_t i = 0; i < stacks.size(); ++i) {
    if (count == 0) ZP_CHECK(stacks[i].none(node, node.result(carried + i)->type()));
    results.push_back(stacks[i].take());
  }
  return results;
}

Result<Tensors> run_by_op(const Node& node, Tensors values, const RunRegion& region) {
  if (node.is(ops::cond)) return run_cond(node, values, region);
  if (node.is(ops::while_loop)) return run_while(node, std::move(values), region);
  const bool maps = node.is(ops::map);
  const int64_t carried = maps ? 0 : node.attrs<ops::ScanRegionAttrs>().carried;
  const int64_t apart =
      maps ? node.attrs<ops::MapRegionAttrs>().mapped : node.attrs<ops::ScanRegionAttrs>().scanned;
  const auto count = static_cast<int64_t>(values.size());
  if (carried < 0 || apart < 1 || carried > count || apart > count - carried ||
      static_cast<size_t>(carried) > node.result_count())
    return node.error("run.operand", fmt::format("{} operands do not do", values.size()));
  return run_parts(node, values, static_cast<size_t>(carried), static_cast<size_t>(apart), region);
}

}  // namespace

void set_max_loop_rounds(int64_t rounds) { g_max_loop_rounds = rounds; }

bool is_control_flow(const Node& node) {
  return node.is(ops::cond) || node.is(ops::while_loop) || node.is(ops::map) || node.is(ops::scan);
}

Result<Tensors> run_control_flow(const Node& node, const Lookup& lookup, const RunRegion& region) {
  const size_t wanted = node.is(ops::cond) || node.is(ops::while_loop) ? 2 : 1;
  if (node.regions().size() != wanted)
    return node.error("run.regions", fmt::format("{} regions, not {}", node.regions().size(), wanted));
  Tensors values;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (node.operand(i) == nullptr) return node.error("run.operand", fmt::format("operand {} is absent", i));
    ZP_TRY(const Tensor* const value, lookup(*node.operand(i)));
    values.push_back(*value);
  }
  if (values.empty()) return node.error("run.operand", "there are no operands");
  Result<Tensors> results = run_by_op(node, std::move(values), region);
  if (results.ok() && results->size() != node.result_count()) {
    return node.error("run.regions",
                      fmt::format("{} results where {} are wanted", results->size(), node.result_count()));
  }
  return results;
}

}  // namespace zp::interp
