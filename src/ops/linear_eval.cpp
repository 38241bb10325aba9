// linear, matmul, addmm, baddbmm and int_mm as products of rows: a row of the left factor times a row of the
// transposed right factor. Plain integers multiply in wrapping 64-bit arithmetic, as the source's integer
// matmul does.
#include <algorithm>
#include <cmath>

#include "ops/affine_eval.h"
#include "ops/conv.h"
#include "ops/conv_eval.h"
#include "ops/quant_eval.h"
#include "support/parallel.h"

namespace zp::ops {
namespace {

// A factor as a batch of matrices: dims [0, rank - 2) are the batch, `row_dim` and `depth_dim` the matrix. A
// vector has row_dim -1.
struct Matrices {
  Factor factor;
  int row_dim = -1, depth_dim = 0;
  int64_t rows = 1, row_step = 0, depth = 0, depth_step = 1;
};

Matrices left_of(const Factor& f) {
  const std::vector<int64_t>& shape = f.tensor->shape();
  const int rank = static_cast<int>(shape.size());
  Matrices m{.factor = f, .row_dim = rank - 2, .depth_dim = rank - 1, .depth = shape.back()};
  if (rank >= 2) {
    m.rows = shape[static_cast<size_t>(rank - 2)];
    m.row_step = m.depth;
  }
  return m;
}

Matrices right_of(const Factor& f) {
  const std::vector<int64_t>& shape = f.tensor->shape();
  const int rank = static_cast<int>(shape.size());
  if (rank == 1) return {.factor = f, .row_dim = -1, .depth_dim = 0, .depth = shape[0]};
  return {.factor = f,
          .row_dim = rank - 1,
          .depth_dim = rank - 2,
          .rows = shape.back(),
          .row_step = 1,
          .depth = shape[static_cast<size_t>(rank - 2)],
          .depth_step = shape.back()};
}

// The sum can be exact if the parameters of the left factor do not change along it, and those of the right
// one only by blocks; a right factor quantized along the axis of the sum is multiplied as real numbers.
bool scales_allow_exact(const Matrices& a, const Matrices& b) {
  if (!has_integers(a.factor) || !has_integers(b.factor)) return false;
  if (a.factor.quant->grid[static_cast<size_t>(a.depth_dim)] != 1) return false;
  return !(b.factor.quant->type->per_axis() && b.factor.quant->type->axis == b.depth_dim);
}

// One matrix of a batch as rows. `index` addresses the first element of the matrix.
RowsView view_of(const Matrices& m, std::vector<int64_t> index, bool exact) {
  const std::vector<int64_t>& shape = m.factor.tensor->shape();
  RowsView v{.factor = m.factor, .rows = m.rows, .row_step = m.row_step, .depth_step = m.depth_step};
  int64_t step = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    v.offset += index[d] * step;
    step *= shape[d];
  }
  if (!exact) return v;
  const QuantParams& quant = *m.factor.quant;
  const auto depth_dim = static_cast<size_t>(m.depth_dim);
  if (quant.grid[depth_dim] != 1) v.block_cell_step = grid_step(quant, depth_dim);
  if (product(quant.grid) == 1) return v;
  for (int64_t row = 0; row < m.rows; ++row) {
    if (m.row_dim >= 0) index[static_cast<size_t>(m.row_dim)] = row;
    v.cells.push_back(cell_at(quant, shape, index));
  }
  return v;
}

// The arithmetic of a product and how its sum is cut; on floats the factors become real numbers.
struct Plan {
  Arithmetic arithmetic = Arithmetic::Float;
  Depth depth;
  Tensor real_a, real_b;
  bool exact() const { return arithmetic == Arithmetic::Narrow || arithmetic == Arithmetic::Wide; }
};

Status make_plan(const EvalArgs& args, Matrices& a, Matrices& b, bool allow_exact, Plan* plan) {
  plan->arithmetic = float_arithmetic(args);
  plan->depth = Depth::whole(a.depth);
  if (allow_exact) {
    const Arithmetic exact = exact_arithmetic(a.factor, b.factor, a.depth);
    if (exact != Arithmetic::Float) {
      const auto d = static_cast<size_t>(b.depth_dim);
      plan->arithmetic = exact;
      if (b.factor.quant->grid[d] != 1) {
        plan->depth =
            Depth::blocks(a.depth, block_extent(*b.factor.quant->type, b.factor.tensor->shape(), d));
      }
      return {};
    }
  }
  const DType expressed = result_dtype(args);
  ZP_TRY(plan->real_a, real_values(a.factor, expressed, plan->arithmetic));
  ZP_TRY(plan->real_b, real_values(b.factor, expressed, plan->arithmetic));
  a.factor = {&plan->real_a, nullptr};
  b.factor = {&plan->real_b, nullptr};
  return {};
}

Result<Tensor> make_sums(const EvalArgs& args, std::vector<int64_t> shape) {
  return Tensor::make(result_dtype(args) == DType::F64 ? DType::F64 : DType::F32, std::move(shape));
}

void use_bias(Epilogue& e, const Bias& bias) {
  e.bias = bias.real.empty() ? nullptr : &bias.real;
  e.integer_bias = bias.integers.empty() ? nullptr : &bias.integers;
}

Status refuse_shapes(const EvalArgs& args, std::string_view check, int64_t a, int64_t b) {
  return args.node.error(std::string(args.node.op().name) + "." + std::string(check),
                         "inner dims " + std::to_string(a) + " and " + std::to_string(b) + " differ");
}

// Index of the first element of matrix `batch` of an operand whose leading dims broadcast to `lead`.
std::vector<int64_t> batch_index(const std::vector<int64_t>& shape, std::span<const int64_t> lead,
                                 int64_t batch) {
  std::vector<int64_t> index(shape.size(), 0);
  for (size_t i = 0; i < lead.size(); ++i) {
    const size_t d = lead.size() - 1 - i;
    const int64_t at = batch % lead[d];
    batch /= lead[d];
    if (i + 2 < shape.size()) {
      const size_t own = shape.size() - 3 - i;
      index[own] = shape[own] == 1 ? 0 : at;
    }
  }
  return index;
}

std::span<const int64_t> lead_of(const std::vector<int64_t>& shape) {
  return {shape.data(), shape.size() > 2 ? shape.size() - 2 : 0};
}

bool broadcasts_to(std::span<const int64_t> shape, std::span<const int64_t> out) {
  if (shape.size() > out.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t own = shape[shape.size() - 1 - i];
    if (own != 1 && own != out[out.size() - 1 - i]) return false;
  }
  return true;
}

// How a product is completed: alpha * sums + beta * bias, the bias broadcast to the product's shape.
struct Addend {
  Factor bias;
  Number alpha = Number::of_int(1), beta = Number::of_int(1);
};

// Integers: alpha and beta are integers too, everything wraps at 64 bits.
template <typename T>
void multiply_integers(const RowsView& a, const RowsView& b, int64_t depth, int64_t start, Tensor& out) {
  if (out.elements() == 0) return;
  const T* x = a.factor.tensor->data<T>() + a.offset;
  const T* y = b.factor.tensor->data<T>() + b.offset;
  parallel_for(
      a.rows, std::max<int64_t>(1, 4096 / std::max<int64_t>(1, depth)), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          for (int64_t c = 0; c < b.rows; ++c) {
            uint64_t sum = 0;
            for (int64_t k = 0; k < depth; ++k) {
              sum += static_cast<uint64_t>(static_cast<int64_t>(x[r * a.row_step + k * a.depth_step])) *
                     static_cast<uint64_t>(static_cast<int64_t>(y[c * b.row_step + k * b.depth_step]));
            }
            out.set_int(start + r * b.rows + c, static_cast<int64_t>(sum));
          }
        }
      });
}

void add_integers(const Addend& addend, Tensor& out) {
  const auto whole = [](const Number& n) {
    return static_cast<uint64_t>(
        n.kind == Number::Float ? saturate_to_int(std::trunc(n.f), INT64_MIN, INT64_MAX) : n.i);
  };
  const uint64_t alpha = whole(addend.alpha), beta = whole(addend.beta);
  const std::vector<int64_t> steps[] = {broadcast_strides(addend.bias.tensor->shape(), out.shape())};
  for_each_row(out.shape(), steps, [&](int64_t at, const int64_t* from, int64_t length, const int64_t* step) {
    for (int64_t i = 0; i < length; ++i) {
      const auto bias = static_cast<uint64_t>(addend.bias.tensor->get_int(from[0] + i * step[0]));
      const auto sum = static_cast<uint64_t>(out.get_int(at + i));
      out.set_int(at + i, static_cast<int64_t>(alpha * sum + beta * bias));
    }
  });
}

bool plain_integers(const Factor& a, const Factor& b) {
  return a.quant == nullptr && b.quant == nullptr && is_integer(a.tensor->dtype()) &&
         a.tensor->dtype() == b.tensor->dtype();
}

// The scale products a quantized bias may be given in; empty if it must be real.
std::vector<double> bias_units(const Matrices& a, const Matrices& b, const Plan& plan) {
  if (!plan.exact() || plan.depth.count != 1 || a.factor.quant->scales.size() != 1) return {};
  std::vector<double> units;
  const std::vector<double> cols =
      col_scales(view_of(b, std::vector<int64_t>(b.factor.tensor->shape().size(), 0), true), plan.depth);
  for (double scale : cols) units.push_back(a.factor.quant->scales[0] * scale);
  return units;
}

// Batches of products, with an optional addend.
Status products(EvalArgs& args, Matrices a, Matrices b, const Addend& addend) {
  if (a.depth != b.depth) return refuse_shapes(args, "c2", a.depth, b.depth);
  const std::vector<int64_t> lead =
      broadcast_shape(lead_of(a.factor.tensor->shape()), lead_of(b.factor.tensor->shape()));
  const int64_t batches = product(lead), size = product(std::vector<int64_t>{a.rows, b.rows});
  std::vector<int64_t> shape = lead;
  if (a.row_dim >= 0) shape.push_back(a.rows);
  if (b.row_dim >= 0) shape.push_back(b.rows);
  // Symbolic extents are known to fit only now.
  bool fits = broadcasts_to(lead_of(a.factor.tensor->shape()), lead) &&
              broadcasts_to(lead_of(b.factor.tensor->shape()), lead);
  if (addend.bias.tensor != nullptr) fits = fits && broadcasts_to(addend.bias.tensor->shape(), shape);
  if (!fits)
    return args.node.error(std::string(args.node.op().name) + ".c3", "the operands' dims do not fit");
  const auto view = [&](const Matrices& m, int64_t batch, bool exact) {
    return view_of(m, batch_index(m.factor.tensor->shape(), lead, batch), exact);
  };
  if (plain_integers(a.factor, b.factor)) {
    ZP_TRY(Tensor out, Tensor::make(a.factor.tensor->dtype(), std::move(shape)));
    for (int64_t batch = 0; batch < batches && out.elements() > 0; ++batch) {
      dispatch_integer(out.dtype(), [&](auto* type) {
        multiply_integers<std::remove_pointer_t<decltype(type)>>(view(a, batch, false), view(b, batch, false),
                                                                 a.depth, batch * size, out);
      });
    }
    if (addend.bias.tensor != nullptr) add_integers(addend, out);
    args.out[0] = std::move(out);
    return {};
  }
  Plan plan;
  ZP_CHECK(make_plan(args, a, b, scales_allow_exact(a, b), &plan));
  ZP_TRY(Tensor out, make_sums(args, std::move(shape)));
  if (out.elements() == 0) return finish(args, std::move(out));
  const double alpha = addend.alpha.as_double(), beta = addend.beta.as_double();
  const bool scaled = alpha != 1 || beta != 1;
  Bias bias;
  std::vector<int64_t> bias_steps;
  if (addend.bias.tensor != nullptr && beta != 0) {
    // A bias along the columns may be in units of the accumulator; any other is real.
    const std::vector<int64_t>& bias_shape = addend.bias.tensor->shape();
    const bool along_cols =
        addend.bias.tensor->elements() == b.rows && !bias_shape.empty() && bias_shape.back() == b.rows;
    ZP_TRY(bias,
           read_bias(addend.bias, scaled || !along_cols ? std::vector<double>() : bias_units(a, b, plan)));
    bias_steps = broadcast_strides(bias_shape, out.shape());
  }
  const auto one = [&](int64_t batch) {
    Epilogue e;
    e.out = &out;
    e.start = batch * size;
    e.outer_step = b.rows;
    e.alpha = alpha;
    e.beta = beta;
    use_bias(e, bias);
    if (!bias_steps.empty()) {
      const size_t rank = bias_steps.size();
      e.bias_row_step = bias_steps[rank - 2];
      e.bias_col_step = bias_steps[rank - 1];
      if (rank == 3) e.bias_start = batch * bias_steps[0];
    }
    multiply(view(a, batch, plan.exact()), view(b, batch, plan.exact()), plan.depth, plan.arithmetic,
             std::move(e));
  };
  // Many small matrices run side by side, one large product is parallel inside.
  const int64_t grain =
      std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(1, size * std::max<int64_t>(a.depth, 1)));
  parallel_for(batches, grain, [&](int64_t begin, int64_t end) {
    for (int64_t batch = begin; batch < end; ++batch) one(batch);
  });
  return finish(args, std::move(out));
}

}  // namespace

Status eval_linear(EvalArgs& args) {
  const Factor x = factor_of(args, 0), w = factor_of(args, 1);
  const std::vector<int64_t>& shape = x.tensor->shape();
  const bool vector = w.tensor->rank() == 1;
  Matrices a{.factor = x, .depth_dim = static_cast<int>(shape.size()) - 1, .depth = shape.back()};
  a.rows = product(shape, 0, shape.size() - 1);
  a.row_step = a.depth;
  Matrices b{.factor = w,
             .row_dim = vector ? -1 : 0,
             .depth_dim = vector ? 0 : 1,
             .depth = w.tensor->shape().back()};
  b.rows = vector ? 1 : w.tensor->shape()[0];
  b.row_step = b.depth;
  if (a.depth != b.depth) return refuse_shapes(args, "c2", a.depth, b.depth);
  if (const Factor bias = factor_of(args, 2); bias.tensor != nullptr && bias.tensor->elements() != b.rows) {
    return args.node.error("linear.c4", "bias has " + std::to_string(bias.tensor->elements()) +
                                            " entries for " + std::to_string(b.rows) + " output channels");
  }

  Plan plan;
  std::vector<int64_t> out_shape(shape.begin(), shape.end() - 1);
  if (!vector) out_shape.push_back(b.rows);
  if (plain_integers(x, w)) {
    ZP_TRY(Tensor out, Tensor::make(x.tensor->dtype(), out_shape));
    dispatch_integer(out.dtype(), [&](auto* type) {
      multiply_integers<std::remove_pointer_t<decltype(type)>>(
          view_of(a, std::vector<int64_t>(shape.size(), 0), false),
          view_of(b, std::vector<int64_t>(w.tensor->shape().size(), 0), false), a.depth, 0, out);
    });
    if (const Factor bias = factor_of(args, 2); bias.tensor != nullptr) add_integers({bias}, out);
    args.out[0] = std::move(out);
    return {};
  }
  ZP_CHECK(make_plan(args, a, b, scales_allow_exact(a, b), &plan));
  ZP_TRY(Tensor out, make_sums(args, std::move(out_shape)));
  if (out.elements() == 0) return finish(args, std::move(out));
  RowsView rows = view_of(a, std::vector<int64_t>(shape.size(), 0), false);
  const RowsView cols = view_of(b, std::vector<int64_t>(w.tensor->shape().size(), 0), plan.exact());
  if (plan.exact() && product(x.quant->grid) != 1) {
    std::vector<int64_t> index(shape.size(), 0);
    for (int64_t row = 0; row < a.rows; ++row) {
      int64_t rest = row;
      for (size_t d = shape.size() - 1; d-- > 0;) {
        index[d] = rest % shape[d];
        rest /= shape[d];
      }
      rows.cells.push_back(cell_at(*x.quant, shape, index));
    }
  }
  ZP_TRY(const Bias bias, read_bias(factor_of(args, 2), bias_units(a, b, plan)));
  Epilogue e;
  e.out = &out;
  e.outer_step = b.rows;
  use_bias(e, bias);
  multiply(rows, cols, plan.depth, plan.arithmetic, std::move(e));
  return finish(args, std::move(out));
}

Status eval_matmul(EvalArgs& args) {
  const Factor a = factor_of(args, 0), b = factor_of(args, 1);
  return products(args, left_of(a), right_of(b), {});
}

Status eval_addmm(EvalArgs& args) {
  const auto& attrs = args.node.attrs<AddmmAttrs>();
  const Factor a = factor_of(args, 1), b = factor_of(args, 2);
  return products(args, left_of(a), right_of(b), {factor_of(args, 0), attrs.alpha, attrs.beta});
}

Status eval_int_mm(EvalArgs& args) {
  // As quantized integers of scale 1: the sums are the results.
  QuantType types[2];
  QuantParams params[2];
  Factor factors[2];
  for (size_t i = 0; i < 2; ++i) {
    types[i].storage = args.in[i]->dtype();
    params[i].type = &types[i];
    params[i].scales = {1.0};
    params[i].zero_points = {0};
    params[i].grid = {1, 1};
    factors[i] = {args.in[i], &params[i]};
  }
  const Matrices a = left_of(factors[0]), b = right_of(factors[1]);
  if (a.depth != b.depth) return refuse_shapes(args, "c2", a.depth, b.depth);
  if (exact_arithmetic(factors[0], factors[1], a.depth) != Arithmetic::Narrow) {
    return args.node.error("int_mm.c2", "a sum of " + std::to_string(a.depth) + " products is too long");
  }
  ZP_TRY(Tensor sums, Tensor::make(DType::F64, {a.rows, b.rows}));  // exact: below 2^53
  Epilogue e;
  e.out = &sums;
  e.outer_step = b.rows;
  multiply(view_of(a, {0, 0}, true), view_of(b, {0, 0}, true), Depth::whole(a.depth), Arithmetic::Narrow,
           std::move(e));
  ZP_TRY(Tensor* const out, make_result(args, 0, DType::I32, {a.rows, b.rows}));
  for (int64_t i = 0; i < sums.elements(); ++i) out->set_int(i, static_cast<int64_t>(sums.data<double>()[i]));
  return {};
}

}  // namespace zp::ops
