// Attention and einsum on run-time tensors. Products go through the rows of affine_eval.h, exponentials are
// computed in f64 and rounded once (as softmax does), sums have the fixed order.
#include "ops/attention_eval.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>

#include "ops/affine_eval.h"
#include "ops/attention.h"
#include "ops/element_eval.h"
#include "support/parallel.h"

namespace zp::ops {
namespace {

// One softmax row in place; a row of -inf alone becomes zeros.
template <typename T>
void softmax_row(T* x, int64_t n) {
  T most = -std::numeric_limits<T>::infinity();
  for (int64_t i = 0; i < n; ++i) most = x[i] > most || x[i] != x[i] ? x[i] : most;
  if (most == -std::numeric_limits<T>::infinity()) {
    std::fill(x, x + n, T{0});
    return;
  }
  for (int64_t i = 0; i < n; ++i) x[i] = static_cast<T>(std::exp(static_cast<double>(x[i] - most)));
  const T sum = sum16(x, n);
  for (int64_t i = 0; i < n; ++i) x[i] /= sum;
}

// Offsets of matrix `batch` of an operand whose leading dims broadcast (or repeat, for shared heads) to
// `lead`.
int64_t matrix_offset(const std::vector<int64_t>& shape, std::span<const int64_t> lead, int64_t batch) {
  int64_t offset = 0, step = shape[shape.size() - 1] * shape[shape.size() - 2];
  for (size_t i = 0; i < lead.size(); ++i) {
    const int64_t extent = lead[lead.size() - 1 - i];
    const int64_t at = batch % extent;
    batch /= extent;
    if (i + 2 >= shape.size()) continue;
    const int64_t own = shape[shape.size() - 3 - i];
    // Fewer heads than asked for serve consecutive query heads; one serves all.
    offset += (own == extent ? at : at / (extent / std::max<int64_t>(own, 1))) * step;
    step *= own;
  }
  return offset;
}

// Whether dims broadcast to `lead`, or (heads of key and value) serve it evenly.
bool serves(const std::vector<int64_t>& shape, size_t tail, std::span<const int64_t> lead,
            bool shared_heads) {
  if (shape.size() < tail || shape.size() - tail > lead.size()) return false;
  for (size_t i = 0; i + tail < shape.size(); ++i) {
    const int64_t own = shape[shape.size() - tail - 1 - i], extent = lead[lead.size() - 1 - i];
    const bool even = i == 0 && shared_heads && own > 0 && extent % own == 0;
    if (own != extent && own != 1 && !even) return false;
  }
  return true;
}

struct Attention {
  Tensor q, k, v;
  const Tensor* mask = nullptr;  // as given
  Tensor mask_values;            // of the computation type, unless it is bool
  std::vector<int64_t> lead, mask_steps;
  int64_t queries = 0, keys = 0, features = 0, values = 0;
  double scale = 1;
  bool causal = false;
  Arithmetic arithmetic = Arithmetic::Float;
};

template <typename T>
void mask_scores(const Attention& a, int64_t batch, T* scores) {
  const T never = -std::numeric_limits<T>::infinity();
  for (int64_t i = 0; a.causal && i < a.queries; ++i)
    for (int64_t j = i + 1; j < a.keys; ++j) scores[i * a.keys + j] = never;
  if (a.mask == nullptr) return;
  int64_t base = 0;
  for (size_t i = 0; i < a.lead.size(); ++i) {
    const size_t d = a.lead.size() - 1 - i;
    base += batch % a.lead[d] * a.mask_steps[d];
    batch /= a.lead[d];
  }
  const int64_t row_step = a.mask_steps[a.lead.size()], col_step = a.mask_steps[a.lead.size() + 1];
  const bool keeps = a.mask->dtype() == DType::Bool;
  for (int64_t i = 0; i < a.queries; ++i) {
    for (int64_t j = 0; j < a.keys; ++j) {
      const int64_t at = base + i * row_step + j * col_step;
      if (!keeps) scores[i * a.keys + j] += a.mask_values.data<T>()[at];
      else if (a.mask->data<uint8_t>()[at] == 0) scores[i * a.keys + j] = never;
    }
  }
}

template <typename T>
Status attend(const Attention& a, int64_t batch, Tensor& out) {
  ZP_TRY(Tensor scores, Tensor::make(kDTypeOf<T>, {a.queries, a.keys}));
  Epilogue e;
  e.out = &scores;
  e.outer_step = a.keys;
  e.alpha = a.scale;
  multiply({.factor = {&a.q},
            .offset = matrix_offset(a.q.shape(), a.lead, batch),
            .rows = a.queries,
            .row_step = a.features},
           {.factor = {&a.k},
            .offset = matrix_offset(a.k.shape(), a.lead, batch),
            .rows = a.keys,
            .row_step = a.features},
           Depth::whole(a.features), a.arithmetic, e);
  T* const x = scores.mutable_data<T>();
  mask_scores<T>(a, batch, x);
  for (int64_t i = 0; i < a.queries; ++i) softmax_row(x + i * a.keys, a.keys);
  Epilogue into;
  into.out = &out;
  into.start = batch * a.queries * a.values;
  into.outer_step = a.values;
  multiply({.factor = {&scores}, .rows = a.queries, .row_step = a.keys},
           {.factor = {&a.v},
            .offset = matrix_offset(a.v.shape(), a.lead, batch),
            .rows = a.values,
            .row_step = 1,
            .depth_step = a.values},
           Depth::whole(a.keys), a.arithmetic, into);
  return {};
}

// The first error of a parallel loop.
class FirstError {
 public:
  void take(int64_t index, Status status) {
    if (status.ok()) return;
    const std::lock_guard guard(lock_);
    if (index < index_) {
      index_ = index;
      status_ = std::move(status);
    }
  }
  Status status() { return std::move(status_); }

 private:
  std::mutex lock_;
  int64_t index_ = INT64_MAX;
  Status status_;
};

// Operand of an einsum: its values, dense, and the stride of each label (labels that repeat add up, extent 1
// has none).
template <typename T>
struct Term {
  const T* data = nullptr;
  std::map<int, int64_t> strides;
  int64_t stride(int label) const {
    const auto found = strides.find(label);
    return found == strides.end() ? 0 : found->second;
  }
};

// Sums the products over `inner` for one output element at `base`.
template <typename T>
T sum_of_products(std::span<const Term<T>> terms, std::span<const int64_t> base, std::span<const int> inner,
                  const std::map<int, int64_t>& extents) {
  using Wrapping = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;
  Lanes16<Wrapping> sum;
  std::vector<int64_t> at(base.begin(), base.end()), index(inner.size(), 0), counts;
  for (int label : inner) counts.push_back(extents.at(label));
  const int64_t count = product(counts);
  for (int64_t i = 0; i < count; ++i) {
    auto value = static_cast<Wrapping>(terms[0].data[at[0]]);
    for (size_t t = 1; t < terms.size(); ++t) value *= static_cast<Wrapping>(terms[t].data[at[t]]);
    sum.add(i, value);
    for (size_t d = inner.size(); d-- > 0;) {
      const int64_t extent = extents.at(inner[d]);
      for (size_t t = 0; t < terms.size(); ++t) at[t] += terms[t].stride(inner[d]);
      if (++index[d] < extent) break;
      for (size_t t = 0; t < terms.size(); ++t) at[t] -= extent * terms[t].stride(inner[d]);
      index[d] = 0;
    }
  }
  return static_cast<T>(sum.total());
}

// The values of a term in the order of `labels` (extents as given; missing labels have extent 1).
template <typename T>
Result<Tensor> arranged(const Term<T>& term, std::span<const int> labels,
                        const std::map<int, int64_t>& extents) {
  std::vector<int64_t> shape, strides;
  for (int label : labels) {
    shape.push_back(extents.at(label));
    strides.push_back(term.stride(label));
  }
  ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, shape));
  T* to = out.template mutable_data<T>();
  const std::vector<int64_t> in[] = {strides};
  for_each_row(shape, in, [&](int64_t at, const int64_t* from, int64_t length, const int64_t* step) {
    for (int64_t i = 0; i < length; ++i) to[at + i] = term.data[from[0] + i * step[0]];
  });
  return out;
}

// Two terms as batches of matrix products: batch labels are in both and in the result, inner ones in both and
// not in it.
template <typename T>
Result<Tensor> pair_product(std::span<const Term<T>> terms, const Equation& equation,
                            std::span<const int> inner, const std::map<int, int64_t>& extents,
                            Arithmetic arithmetic) {
  std::vector<int> batch, left, right;
  for (int label : equation.result) {
    const bool a = terms[0].strides.contains(label), b = terms[1].strides.contains(label);
    (a && b ? batch : a ? left : right).push_back(label);
  }
  const auto join = [](std::vector<int> a, std::span<const int> b, std::span<const int> c) {
    a.insert(a.end(), b.begin(), b.end());
    a.insert(a.end(), c.begin(), c.end());
    return a;
  };
  const auto count = [&](std::span<const int> labels) {
    std::vector<int64_t> counts;
    for (int label : labels) counts.push_back(extents.at(label));
    return product(counts);
  };
  ZP_TRY(const Tensor a, arranged(terms[0], join(batch, left, inner), extents));
  ZP_TRY(const Tensor b, arranged(terms[1], join(batch, right, inner), extents));
  const int64_t batches = count(batch), rows = count(left), cols = count(right), depth = count(inner);
  const std::vector<int> order = join(batch, left, right);
  std::vector<int64_t> shape;
  for (int label : order) shape.push_back(extents.at(label));
  ZP_TRY(Tensor sums, Tensor::make(kDTypeOf<T>, shape));
  parallel_for(batches, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, rows * cols * depth)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   Epilogue e;
                   e.out = &sums;
                   e.start = i * rows * cols;
                   e.outer_step = cols;
                   multiply({.factor = {&a}, .offset = i * rows * depth, .rows = rows, .row_step = depth},
                            {.factor = {&b}, .offset = i * cols * depth, .rows = cols, .row_step = depth},
                            Depth::whole(depth), arithmetic, e);
                 }
               });
  Term<T> result{.data = sums.template data<T>()};
  int64_t step = 1;
  for (size_t d = order.size(); d-- > 0;) {
    result.strides[order[d]] = step;
    step *= shape[d];
  }
  return arranged(result, equation.result, extents);
}

bool has(std::span<const int> labels, int label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

// One or two terms at once; a label of both that is not in the result is summed last.
template <typename T>
Result<Tensor> contract(std::span<const Term<T>> terms, const Equation& equation,
                        const std::map<int, int64_t>& extents) {
  std::vector<int> inner;
  for (const std::vector<int>& labels : equation.operands)
    for (int label : labels)
      if (!has(equation.result, label) && !has(inner, label)) inner.push_back(label);
  std::vector<int64_t> shape;
  std::vector<std::vector<int64_t>> strides(terms.size());
  for (int label : equation.result) {
    shape.push_back(extents.at(label));
    for (size_t t = 0; t < terms.size(); ++t) strides[t].push_back(terms[t].stride(label));
  }
  ZP_TRY(Tensor out, Tensor::make(kDTypeOf<T>, shape));
  if (out.elements() == 0) return out;
  if constexpr (std::is_floating_point_v<T>) {
    const Arithmetic arithmetic = sizeof(T) == 8 ? Arithmetic::Double : Arithmetic::Float;
    if (terms.size() == 2) return pair_product(terms, equation, inner, extents, arithmetic);
  }
  T* to = out.template mutable_data<T>();
  for_each_row(shape, strides, [&](int64_t at, const int64_t* from, int64_t length, const int64_t* step) {
    std::vector<int64_t> base(from, from + terms.size());
    for (int64_t i = 0; i < length; ++i) {
      to[at + i] = sum_of_products<T>(terms, base, inner, extents);
      for (size_t t = 0; t < terms.size(); ++t) base[t] += step[t];
    }
  });
  return out;
}

// Values and strides of a term whose labels have been made distinct.
template <typename T>
Term<T> term_of(const Tensor& values, std::span<const int> labels) {
  Term<T> term{.data = values.template data<T>()};
  int64_t step = 1;
  for (size_t d = labels.size(); d-- > 0;) {
    const int64_t own = values.shape()[d];
    term.strides[labels[d]] += own == 1 ? 0 : step;
    step *= own;
  }
  return term;
}

// From left to right, two terms at a time. Before, each term sums the labels that no other term and not the
// result has.
template <typename T>
Result<Tensor> contract_all(std::vector<Tensor> values, Equation equation,
                            const std::map<int, int64_t>& extents) {
  const auto needed = [&](size_t first_other, size_t own) {
    std::vector<int> labels = equation.result;
    for (size_t t = first_other; t < equation.operands.size(); ++t)
      if (t != own) labels.insert(labels.end(), equation.operands[t].begin(), equation.operands[t].end());
    return labels;
  };
  const auto kept = [](std::span<const int> labels, std::span<const int> wanted) {
    std::vector<int> distinct;
    for (int label : labels)
      if (has(wanted, label) && !has(distinct, label)) distinct.push_back(label);
    return distinct;
  };
  for (size_t t = 0; values.size() > 1 && t < values.size(); ++t) {
    const std::vector<int> labels = kept(equation.operands[t], needed(0, t));
    if (labels == equation.operands[t]) continue;
    const Term<T> term[] = {term_of<T>(values[t], equation.operands[t])};
    std::map<int, int64_t> own;
    for (size_t d = 0; d < equation.operands[t].size(); ++d) {
      int64_t& extent = own.emplace(equation.operands[t][d], 1).first->second;
      extent = std::max(extent, values[t].shape()[d]);
      if (values[t].shape()[d] == 0) extent = 0;
    }
    ZP_TRY(values[t], contract<T>(term, {{equation.operands[t]}, labels}, own));
    equation.operands[t] = labels;
  }
  while (values.size() > 2) {
    std::vector<int> both = equation.operands[0];
    both.insert(both.end(), equation.operands[1].begin(), equation.operands[1].end());
    const std::vector<int> labels = kept(both, needed(2, values.size()));
    const Term<T> terms[] = {term_of<T>(values[0], equation.operands[0]),
                             term_of<T>(values[1], equation.operands[1])};
    ZP_TRY(values[0], contract<T>(terms, {{equation.operands[0], equation.operands[1]}, labels}, extents));
    equation.operands[0] = labels;
    values.erase(values.begin() + 1);
    equation.operands.erase(equation.operands.begin() + 1);
  }
  std::vector<Term<T>> terms;
  for (size_t t = 0; t < values.size(); ++t) terms.push_back(term_of<T>(values[t], equation.operands[t]));
  return contract<T>(terms, equation, extents);
}

template <typename T>
Result<Tensor> einsum_as(EvalArgs& args, const Equation& equation) {
  std::vector<Tensor> values;
  std::map<int, int64_t> extents;
  for (size_t i = 0; i < args.in.size(); ++i) {
    ZP_TRY(values.emplace_back(), widen_to(*args.in[i], kDTypeOf<T>));
    for (size_t d = 0; d < equation.operands[i].size(); ++d) {
      int64_t& extent = extents.emplace(equation.operands[i][d], 1).first->second;
      const int64_t own = values[i].shape()[d];
      if (extent != 1 && own != 1 && own != extent) {
        return args.node.error("einsum.c3", "dim " + std::to_string(d) + " of operand " + std::to_string(i) +
                                                " is " + std::to_string(own) + ", its label stands for " +
                                                std::to_string(extent));
      }
      if (own != 1) extent = own;
    }
  }
  return contract_all<T>(std::move(values), equation, extents);
}

}  // namespace

Status eval_scaled_dot_product_attention(EvalArgs& args) {
  const auto& attrs = args.node.attrs<ScaledDotProductAttentionAttrs>();
  if (attrs.dropout_p != 0) return args.node.error("run.random", "attention with dropout is random");
  Attention a;
  a.arithmetic = float_arithmetic(args);
  const DType dtype = a.arithmetic == Arithmetic::Double ? DType::F64 : DType::F32;
  ZP_TRY(a.q, widen_to(*args.in[0], dtype));
  ZP_TRY(a.k, widen_to(*args.in[1], dtype));
  ZP_TRY(a.v, widen_to(*args.in[2], dtype));
  const std::vector<int64_t>&q = a.q.shape(), &k = a.k.shape(), &v = a.v.shape();
  a.queries = q[q.size() - 2];
  a.keys = k[k.size() - 2];
  a.features = q.back();
  a.values = v.back();
  if (k.back() != a.features || v[v.size() - 2] != a.keys) {
    return args.node.error("scaled_dot_product_attention.c2", "query, key and value do not fit");
  }
  const auto lead_of = [](const std::vector<int64_t>& s) {
    return std::span<const int64_t>(s.data(), s.size() - 2);
  };
  a.lead.assign(lead_of(q).begin(), lead_of(q).end());
  if (!attrs.enable_gqa) a.lead = broadcast_shape(broadcast_shape(lead_of(q), lead_of(k)), lead_of(v));
  if (!serves(q, 2, a.lead, false) || !serves(k, 2, a.lead, attrs.enable_gqa) ||
      !serves(v, 2, a.lead, attrs.enable_gqa)) {
    return args.node.error("scaled_dot_product_attention.c3",
                           "the batch dims of query, key and value do not broadcast");
  }
  a.scale = attrs.scale ? *attrs.scale : 1.0 / std::sqrt(static_cast<double>(a.features));
  a.causal = attrs.is_causal;
  if (args.in.size() > 3 && args.in[3] != nullptr) {
    a.mask = args.in[3];
    std::vector<int64_t> scores = a.lead;
    scores.insert(scores.end(), {a.queries, a.keys});
    const std::vector<int64_t>& m = a.mask->shape();
    bool fits = m.size() <= scores.size();
    for (size_t i = 0; fits && i < m.size(); ++i) {
      const int64_t own = m[m.size() - 1 - i];
      fits = own == 1 || own == scores[scores.size() - 1 - i];
    }
    if (!fits)
      return args.node.error("scaled_dot_product_attention.c4", "the mask does not broadcast to the scores");
    a.mask_steps = broadcast_strides(a.mask->shape(), scores);
    if (a.mask->dtype() != DType::Bool) { ZP_TRY(a.mask_values, widen_to(*a.mask, dtype)); }
  }
  std::vector<int64_t> shape = a.lead;
  shape.insert(shape.end(), {a.queries, a.values});
  ZP_TRY(Tensor out, Tensor::make(dtype, std::move(shape)));
  if (out.elements() == 0) return finish(args, std::move(out));
  FirstError error;
  parallel_for(product(a.lead), 1, [&](int64_t begin, int64_t end) {
    for (int64_t batch = begin; batch < end; ++batch) {
      error.take(batch, dtype == DType::F64 ? attend<double>(a, batch, out) : attend<float>(a, batch, out));
    }
  });
  ZP_CHECK(error.status());
  return finish(args, std::move(out));
}

Status eval_einsum(EvalArgs& args) {
  std::vector<int> ranks;
  for (const Tensor* t : args.in) ranks.push_back(t->rank());
  ZP_TRY(const Equation equation, read_equation(args.node.attrs<EinsumAttrs>().equation, ranks));
  const DType dtype = result_dtype(args);
  ZP_TRY(const DType computation, computation_type(args, dtype));
  if (computation == DType::I64) {
    ZP_TRY(const Tensor out, einsum_as<int64_t>(args, equation));
    ZP_TRY(args.out[0], narrow_integer(out, dtype));
    return {};
  }
  ZP_TRY(Tensor out,
         computation == DType::F64 ? einsum_as<double>(args, equation) : einsum_as<float>(args, equation));
  return finish(args, std::move(out));
}

}  // namespace zp::ops
