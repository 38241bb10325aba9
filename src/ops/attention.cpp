// Attention and the general product of several tensors: cards and inference.
#include "ops/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "ops/attention_eval.h"
#include "ops/conv_infer.h"
#include "ops/ops.h"

namespace zp::ops {
namespace {

constexpr OperandDef kAttentionOperands[] = {
    {"query", Role::Data}, {"key", Role::Data}, {"value", Role::Data}, {"mask", Role::Mask, true}};
constexpr OperandDef kEinsumOperands[] = {{"operands", Role::Data, false, true}};
constexpr std::string_view kAttentionChecks[] = {
    "c1: query, key and value have rank 2 or more, and one floating type",
    "c2: query and key have as many features, key and value as many positions",
    "c3: batch dims broadcast; with enable_gqa the query heads are a multiple of the key heads",
    "c4: the mask broadcasts to the scores",
};
constexpr std::string_view kEinsumChecks[] = {
    "c1: the equation is well formed and has one term for each operand",
    "c2: each term has one label for each dim",
    "c3: dims of one label agree or are 1",
    "c4: the operands have one type",
};

// Heads of key and value as the query sees them.
Result<std::vector<Dim>> lead_dims(Context& context, const Node& node, std::span<const Dim> query,
                                   std::span<const Dim> other) {
  std::vector<Dim> lead(other.begin(), other.end() - 2);
  if (!node.attrs<ScaledDotProductAttentionAttrs>().enable_gqa || query.size() < 3 || other.size() < 3)
    return lead;
  const Dim heads = query[query.size() - 3], own = other[other.size() - 3];
  const Dim rest = context.dims().mod(heads, own);
  if (rest.is_known() && rest.value() != 0) {
    return failed(
        node, "c3",
        fmt::format("{} query heads are no multiple of {} key or value heads", heads.str(), own.str()));
  }
  lead.back() = heads;
  return lead;
}

Status check_mask(const Node& node, const Type* mask, std::span<const Dim> scores) {
  if (mask == nullptr || !mask->ranked) return {};
  bool fits = mask->shape.size() <= scores.size();
  for (size_t i = 0; fits && i < mask->shape.size(); ++i) {
    const Dim d = mask->shape[mask->shape.size() - 1 - i];
    fits = d == Dim(1) || may_be_equal(d, scores[scores.size() - 1 - i]);
  }
  if (fits) return {};
  return failed(node, "c4",
                fmt::format("mask {} does not broadcast to the scores {}", shape_text(mask->shape),
                            shape_text(scores)));
}

Status infer_attention(Context& context, Node& node) {
  ZP_CHECK(check_operands(node));
  const Type &q = *operand_type(node, 0), &k = *operand_type(node, 1), &v = *operand_type(node, 2);
  const DType dtype = q.real_dtype();
  for (const Type* t : {&q, &k, &v}) {
    if (t->real_dtype() != dtype || (dtype != DType::Unknown && !is_float(dtype))) {
      return failed(node, "c1", fmt::format("operands are {}, {} and {}", q.str(), k.str(), v.str()));
    }
    if (t->ranked && t->rank() < 2)
      return failed(node, "c1", fmt::format("an operand has rank {}", t->rank()));
  }
  if (!q.ranked || !k.ranked || !v.ranked) return set_unranked_result(node, 0, dtype);
  if (!may_be_equal(q.shape.back(), k.shape.back()) ||
      !may_be_equal(k.shape[k.shape.size() - 2], v.shape[v.shape.size() - 2])) {
    return failed(node, "c2",
                  fmt::format("query {}, key {} and value {}", shape_text(q.shape), shape_text(k.shape),
                              shape_text(v.shape)));
  }
  ZP_TRY(const std::vector<Dim> key_lead, lead_dims(context, node, q.shape, k.shape));
  ZP_TRY(const std::vector<Dim> value_lead, lead_dims(context, node, q.shape, v.shape));
  const Shape leads[] = {Shape(q.shape.data(), q.shape.size() - 2), Shape(key_lead.data(), key_lead.size()),
                         Shape(value_lead.data(), value_lead.size())};
  ZP_TRY(std::vector<Dim> out, broadcast_shapes(node, "c3", leads));
  out.push_back(q.shape[q.shape.size() - 2]);
  std::vector<Dim> scores = out;
  scores.push_back(k.shape[k.shape.size() - 2]);
  ZP_CHECK(check_mask(node, operand_type(node, 3), scores));
  out.push_back(v.shape.back());
  return set_result(node, 0, dtype, out);
}

Status infer_einsum(Context&, Node& node) {
  ZP_CHECK(check_operands(node));
  if (node.operand_count() == 0) return failed(node, "c1", "there are no operands");
  const DType dtype = operand_type(node, 0)->real_dtype();
  std::vector<int> ranks;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Type* type = operand_type(node, i);
    if (type == nullptr) return failed(node, "operands", fmt::format("operand {} is missing", i));
    if (type->real_dtype() != dtype) {
      return failed(node, "c4",
                    fmt::format("operand {} is {}, the first {}", i, type->str(), dtype_name(dtype)));
    }
    ranks.push_back(type->rank());
  }
  if (any_unranked(node)) return set_unranked_result(node, 0, dtype);
  auto equation = read_equation(node.attrs<EinsumAttrs>().equation, ranks);
  if (!equation.ok()) return failed(node, "c1", equation.error().first().text);
  std::unordered_map<int, Dim> extents;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Shape shape = operand_type(node, i)->shape;
    for (size_t d = 0; d < shape.size(); ++d) {
      const auto [found, fresh] = extents.emplace(equation->operands[i][d], shape[d]);
      if (fresh || shape[d] == Dim(1)) continue;
      if (found->second == Dim(1)) found->second = shape[d];
      if (!may_be_equal(found->second, shape[d])) {
        return failed(node, "c3",
                      fmt::format("dim {} of operand {} is {}, its label stands for {}", d, i, shape[d].str(),
                                  found->second.str()));
      }
      found->second = more_precise(found->second, shape[d]);
    }
  }
  std::vector<Dim> out;
  for (int label : equation->result) out.push_back(extents.at(label));
  return set_result(node, 0, dtype, out);
}

}  // namespace

// Labels of one term; "..." stands for the dims that the letters leave.
static Result<std::vector<int>> read_term(std::string_view term, int rank, int* most_ellipsis) {
  std::vector<int> labels;
  const auto letters =
      static_cast<int>(std::count_if(term.begin(), term.end(), [](char c) { return c != '.' && c != ' '; }));
  bool ellipsis = false;
  for (size_t i = 0; i < term.size(); ++i) {
    const char c = term[i];
    if (c == ' ') continue;
    if (c == '.') {
      if (ellipsis || term.substr(i, 3) != "...")
        return Error("", fmt::format("\"{}\" has a stray dot", term));
      ellipsis = true;
      i += 2;
      const int extra = rank < 0 ? *most_ellipsis : rank - letters;
      if (extra < 0) return Error("", fmt::format("\"{}\" has {} labels for rank {}", term, letters, rank));
      *most_ellipsis = std::max(*most_ellipsis, extra);
      for (int k = extra; k > 0; --k) labels.push_back(kEllipsis + k - 1);
      continue;
    }
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
      return Error("", fmt::format("\"{}\" has label '{}'", term, c));
    labels.push_back(c);
  }
  if (rank >= 0 && static_cast<int>(labels.size()) != rank) {
    return Error("", fmt::format("\"{}\" has {} labels for rank {}", term, labels.size(), rank));
  }
  return labels;
}

Result<Equation> read_equation(std::string_view text, std::span<const int> ranks) {
  Equation e;
  const size_t arrow = text.find("->");
  std::string_view terms = text.substr(0, arrow);
  int most_ellipsis = 0;
  for (size_t i = 0; i < ranks.size(); ++i) {
    const size_t comma = terms.find(',');
    const bool last = i + 1 == ranks.size();
    if (last != (comma == std::string_view::npos))
      return Error("", fmt::format("\"{}\" does not have {} terms", text, ranks.size()));
    ZP_TRY(std::vector<int> labels, read_term(terms.substr(0, comma), ranks[i], &most_ellipsis));
    e.operands.push_back(std::move(labels));
    if (!last) terms.remove_prefix(comma + 1);
  }
  std::unordered_map<int, int> counts;
  for (const auto& labels : e.operands)
    for (int label : labels) ++counts[label];
  if (arrow != std::string_view::npos) {
    ZP_TRY(e.result, read_term(text.substr(arrow + 2), -1, &most_ellipsis));
    std::unordered_map<int, int> in_result;
    for (int label : e.result) {
      if (!counts.contains(label))
        return Error("", fmt::format("\"{}\": a label of the result is in no term", text));
      if (++in_result[label] > 1)
        return Error("", fmt::format("\"{}\": a label of the result occurs twice", text));
    }
    return e;
  }
  // Without an arrow: the dims of "...", then every letter that occurs once, in order.
  for (int k = most_ellipsis; k > 0; --k) e.result.push_back(kEllipsis + k - 1);
  std::vector<int> once;
  for (const auto& [label, count] : counts)
    if (label < kEllipsis && count == 1) once.push_back(label);
  std::sort(once.begin(), once.end());
  e.result.insert(e.result.end(), once.begin(), once.end());
  return e;
}

constinit const OpDef scaled_dot_product_attention = {
    .name = "scaled_dot_product_attention",
    .doc = "softmax(scale * q @ k^T + mask) @ v; rows that see no key give zeros.",
    .operands = kAttentionOperands,
    .results = kOneResult,
    .attrs = &attrs_of<ScaledDotProductAttentionAttrs>,
    .trait = Trait::FloatOnly,
    .infer = infer_attention,
    .eval = eval_scaled_dot_product_attention,
    .checks = kAttentionChecks};
constinit const OpDef einsum = {
    .name = "einsum",
    .doc = "Products of elements with equal labels, summed over the labels that are not in the result.",
    .operands = kEinsumOperands,
    .results = kOneResult,
    .attrs = &attrs_of<EinsumAttrs>,
    .trait = Trait::FloatOnly,
    .infer = infer_einsum,
    .eval = eval_einsum,
    .checks = kEinsumChecks};

}  // namespace zp::ops
