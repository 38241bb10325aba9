// Recurrent layers on run-time tensors. The input part of all gates is one product over the whole sequence;
// then, step by step, the hidden part is added and the cell updated. Sigmoid and tanh are computed in f64 and
// rounded once.
#include "ops/recurrent_eval.h"

#include <cmath>
#include <cstring>

#include "ops/affine_eval.h"
#include "ops/element_eval.h"
#include "ops/recurrent.h"

namespace zp::ops {
namespace {

template <typename T>
T sigmoid(T x) {
  return static_cast<T>(1.0 / (1.0 + std::exp(-static_cast<double>(x))));
}
template <typename T>
T tanh_of(T x) {
  return static_cast<T>(std::tanh(static_cast<double>(x)));
}

// x[rows, features] @ w[cols, features]^T + bias, as [rows, cols].
Result<Tensor> affine(const Tensor& x, int64_t offset, int64_t rows, const Tensor& w, const Tensor* bias) {
  const int64_t features = w.shape()[1], cols = w.shape()[0];
  ZP_TRY(Tensor out, Tensor::make(x.dtype(), {rows, cols}));
  std::vector<double> added;
  for (int64_t i = 0; bias != nullptr && i < cols; ++i) added.push_back(bias->get_double(i));
  Epilogue e;
  e.out = &out;
  e.outer_step = cols;
  e.bias = bias != nullptr ? &added : nullptr;
  multiply({.factor = {&x}, .offset = offset, .rows = rows, .row_step = features},
           {.factor = {&w}, .rows = cols, .row_step = features}, Depth::whole(features),
           x.dtype() == DType::F64 ? Arithmetic::Double : Arithmetic::Float, e);
  return out;
}

struct CellParameters {
  Tensor w_ih, w_hh, b_ih, b_hh, projection;
  bool biases = false, projected = false;
};

// One step of one cell: gates from the input part `x` and the hidden part `u`, both [batch, gates * hidden].
template <typename T>
void step(RecurrentKind kind, const T* x, const T* u, int64_t batch, int64_t hidden, T* h, T* c) {
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t j = 0; j < hidden; ++j) {
      const int64_t gates = kind == RecurrentKind::Lstm ? 4 : kind == RecurrentKind::Gru ? 3 : 1;
      const T* gx = x + n * gates * hidden + j;
      const T* gu = u + n * gates * hidden + j;
      T& state = h[n * hidden + j];
      if (kind == RecurrentKind::RnnRelu) {
        const T sum = gx[0] + gu[0];
        state = sum < 0 ? T(0) : sum;  // NaN stays
      } else if (kind == RecurrentKind::RnnTanh) {
        state = tanh_of(gx[0] + gu[0]);
      } else if (kind == RecurrentKind::Gru) {
        const T reset = sigmoid(gx[0] + gu[0]), update = sigmoid(gx[hidden] + gu[hidden]);
        const T fresh = tanh_of(gx[2 * hidden] + reset * gu[2 * hidden]);
        state = (state - fresh) * update + fresh;
      } else {
        const T in = sigmoid(gx[0] + gu[0]), forget = sigmoid(gx[hidden] + gu[hidden]);
        const T fresh = tanh_of(gx[2 * hidden] + gu[2 * hidden]),
                out = sigmoid(gx[3 * hidden] + gu[3 * hidden]);
        T& cell = c[n * hidden + j];
        cell = forget * cell + in * fresh;
        state = out * tanh_of(cell);
      }
    }
  }
}

Tensor copy_rows(const Tensor& from, int64_t at, std::vector<int64_t> shape, Tensor into) {
  const int64_t count = product(shape);
  std::memcpy(into.mutable_data<std::byte>(), from.data<std::byte>() + at * byte_size(from.dtype()),
              static_cast<size_t>(count * byte_size(from.dtype())));
  return into;
}

// Runs one direction of one layer over `x` [time, batch, features]; writes its columns of `out` [time, batch,
// width].
template <typename T>
Status run_cell(RecurrentKind kind, const CellParameters& p, const Tensor& x, bool reverse, Tensor& hidden,
                Tensor* cell, Tensor& out, int64_t column) {
  const int64_t time = x.shape()[0], batch = x.shape()[1], width = out.shape()[2];
  const int64_t gates = kind == RecurrentKind::Lstm ? 4 : kind == RecurrentKind::Gru ? 3 : 1;
  const int64_t size = p.w_ih.shape()[0] / gates, state = hidden.shape()[1];
  ZP_TRY(const Tensor inputs, affine(x, 0, product(x.shape(), 0, 2), p.w_ih, p.biases ? &p.b_ih : nullptr));
  ZP_TRY(Tensor raw, Tensor::make(x.dtype(), {batch, size}));  // hidden values before a projection
  for (int64_t t = 0; t < time && batch > 0; ++t) {
    const int64_t at = reverse ? time - 1 - t : t;
    ZP_TRY(const Tensor recurrent, affine(hidden, 0, batch, p.w_hh, p.biases ? &p.b_hh : nullptr));
    T* h = p.projected ? raw.mutable_data<T>() : hidden.mutable_data<T>();
    step<T>(kind, inputs.data<T>() + at * batch * gates * size, recurrent.data<T>(), batch, size, h,
            cell != nullptr ? cell->mutable_data<T>() : nullptr);
    if (p.projected) {
      ZP_TRY(const Tensor projected, affine(raw, 0, batch, p.projection, nullptr));
      std::memcpy(hidden.mutable_data<T>(), projected.data<T>(),
                  static_cast<size_t>(batch * state) * sizeof(T));
    }
    for (int64_t n = 0; n < batch; ++n) {
      std::memcpy(out.mutable_data<T>() + (at * batch + n) * width + column, hidden.data<T>() + n * state,
                  static_cast<size_t>(state) * sizeof(T));
    }
  }
  return {};
}

// [a, b, c] as [b, a, c].
Result<Tensor> swap_leading(const Tensor& x) {
  const int64_t a = x.shape()[0], b = x.shape()[1], c = x.shape()[2];
  ZP_TRY(Tensor out, Tensor::make(x.dtype(), {b, a, c}));
  const auto run = static_cast<size_t>(c * byte_size(x.dtype()));
  for (int64_t i = 0; i < a; ++i) {
    for (int64_t j = 0; j < b; ++j) {
      std::memcpy(out.mutable_data<std::byte>() + static_cast<size_t>(j * a + i) * run,
                  x.data<std::byte>() + static_cast<size_t>(i * b + j) * run, run);
    }
  }
  return out;
}

Result<CellParameters> read_cell(const EvalArgs& args, const RecurrentLayout& layout, size_t index,
                                 DType dtype) {
  const size_t first = layout.first_parameter + index * layout.per_cell;
  CellParameters p;
  p.biases = args.node.attrs<RecurrentAttrs>().has_biases;
  p.projected = layout.projected;
  ZP_TRY(p.w_ih, widen_to(*args.in[first], dtype));
  ZP_TRY(p.w_hh, widen_to(*args.in[first + 1], dtype));
  if (p.biases) {
    ZP_TRY(p.b_ih, widen_to(*args.in[first + 2], dtype));
    ZP_TRY(p.b_hh, widen_to(*args.in[first + 3], dtype));
  }
  if (p.projected) { ZP_TRY(p.projection, widen_to(*args.in[first + layout.per_cell - 1], dtype)); }
  return p;
}

// Symbolic extents are known to fit only now.
Status check_cell(const Node& node, const CellParameters& p, const RecurrentLayout& layout, int64_t features,
                  int64_t state) {
  const int64_t rows = p.w_ih.shape()[0], size = rows / layout.gates();
  bool fits = rows % layout.gates() == 0 && p.w_ih.shape()[1] == features && p.w_hh.shape()[0] == rows &&
              p.w_hh.shape()[1] == state && (layout.projected || size == state);
  if (p.biases) fits = fits && p.b_ih.elements() == rows && p.b_hh.elements() == rows;
  if (p.projected) fits = fits && p.projection.shape()[0] == state && p.projection.shape()[1] == size;
  if (fits) return {};
  return node.error(std::string(node.op().name) + ".c3",
                    "parameters of " + std::to_string(rows) + " gate rows for " + std::to_string(features) +
                        " features and a state of " + std::to_string(state));
}

template <typename T>
Status run_layers(EvalArgs& args, const RecurrentLayout& layout) {
  constexpr DType dtype = sizeof(T) == 8 ? DType::F64 : DType::F32;
  const auto& attrs = args.node.attrs<RecurrentAttrs>();
  ZP_TRY(Tensor x, widen_to(*args.in[0], dtype));
  if (attrs.batch_first) { ZP_TRY(x, swap_leading(x)); }
  const bool has_cell = layout.kind == RecurrentKind::Lstm;
  Tensor states[2], last[2];
  for (size_t s = 0; s < (has_cell ? 2u : 1u); ++s) {
    ZP_TRY(states[s], widen_to(*args.in[1 + s], dtype));
    ZP_TRY(last[s], Tensor::make(dtype, states[s].shape()));
  }
  const int64_t batch = x.shape()[1];
  for (size_t s = 0; s < (has_cell ? 2u : 1u); ++s) {
    if (states[s].shape()[0] != static_cast<int64_t>(layout.layers * layout.directions) ||
        states[s].shape()[1] != batch) {
      return args.node.error(std::string(args.node.op().name) + ".c4",
                             "a state does not fit a batch of " + std::to_string(batch));
    }
  }
  for (size_t layer = 0; layer < layout.layers; ++layer) {
    const int64_t width = states[0].shape()[2];
    ZP_TRY(Tensor out,
           Tensor::make(dtype, {x.shape()[0], batch, width * static_cast<int64_t>(layout.directions)}));
    for (size_t direction = 0; direction < layout.directions; ++direction) {
      const size_t index = layer * layout.directions + direction;
      ZP_TRY(const CellParameters p, read_cell(args, layout, index, dtype));
      ZP_CHECK(check_cell(args.node, p, layout, x.shape()[2], width));
      Tensor current[2];
      for (size_t s = 0; s < (has_cell ? 2u : 1u); ++s) {
        const int64_t size = states[s].shape()[2];
        if (s == 1 && size != p.w_ih.shape()[0] / layout.gates()) {
          return args.node.error(std::string(args.node.op().name) + ".c4",
                                 "the cell state has " + std::to_string(size) + " entries");
        }
        ZP_TRY(Tensor own, Tensor::make(dtype, {batch, size}));
        current[s] =
            copy_rows(states[s], static_cast<int64_t>(index) * batch * size, {batch, size}, std::move(own));
      }
      ZP_CHECK(run_cell<T>(layout.kind, p, x, direction == 1, current[0], has_cell ? &current[1] : nullptr,
                           out, static_cast<int64_t>(direction) * width));
      for (size_t s = 0; s < (has_cell ? 2u : 1u); ++s) {
        std::memcpy(last[s].mutable_data<T>() + static_cast<int64_t>(index) * current[s].elements(),
                    current[s].data<T>(), static_cast<size_t>(current[s].bytes()));
      }
    }
    x = std::move(out);
  }
  if (attrs.batch_first) { ZP_TRY(x, swap_leading(x)); }
  ZP_TRY(args.out[0], round_to(x, result_dtype(args)));
  for (size_t s = 0; s < (has_cell ? 2u : 1u) && 1 + s < args.out.size(); ++s) {
    ZP_TRY(args.out[1 + s], round_to(last[s], result_dtype(args)));
  }
  return {};
}

}  // namespace

Status eval_recurrent(EvalArgs& args) {
  const auto& attrs = args.node.attrs<RecurrentAttrs>();
  if (attrs.train && attrs.dropout != 0)
    return args.node.error("run.random", "a recurrent layer with dropout in training is random");
  ZP_TRY(const RecurrentLayout layout, recurrent_layout(args.node));
  return result_dtype(args) == DType::F64 ? run_layers<double>(args, layout)
                                          : run_layers<float>(args, layout);
}

}  // namespace zp::ops
