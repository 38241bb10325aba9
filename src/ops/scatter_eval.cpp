// Evaluators of the writing operators' adding forms, and of nonzero. Additions happen in the order of the
// written values.
#include <fmt/format.h>

#include <cstring>

#include "ir/move_data.h"
#include "ops/index.h"
#include "ops/rearrange_util.h"
#include "ops/scatter_util.h"

namespace zp::ops {

namespace {

Result<Tensor> own_copy(const Tensor& from) {
  ZP_TRY(Tensor out, Tensor::make(from.dtype(), from.shape()));
  if (from.bytes() > 0)
    std::memcpy(out.mutable_data<std::byte>(), from.data<std::byte>(), static_cast<size_t>(from.bytes()));
  return out;
}

enum class Combine { Add, Multiply };

// out[place] = out[place] (op) value, in the tensor's own precision: one rounding an operation.
void combine(Tensor* out, int64_t place, double real, int64_t integer, Combine how) {
  if (is_float(out->dtype())) {
    const double old = out->get_double(place);
    out->set_double(place, how == Combine::Add ? old + real : old * real);
  } else {
    const auto old = static_cast<uint64_t>(out->get_int(place));
    const auto by = static_cast<uint64_t>(integer);
    out->set_int(place, static_cast<int64_t>(how == Combine::Add ? old + by : old * by));
  }
}

// `values` must have the shape of the places, or broadcast to it.
Status combine_all(EvalArgs& args, const WrittenPlaces& written, const Tensor& values, Combine how,
                   const Number& factor) {
  ZP_TRY(Tensor out, own_copy(*args.in[0]));
  const IntShape& shape = written.shape;
  const IntShape& from = values.shape();
  if (from.size() > shape.size())
    return failed(args.node, "c5", fmt::format("{} does not fit {}", shape_text(from), shape_text(shape)));
  std::vector<int64_t> stride(shape.size(), 0);
  const std::vector<int64_t> own = dense_strides(from);
  const size_t pad = shape.size() - from.size();
  for (size_t d = 0; d < from.size(); ++d) {
    if (from[d] == shape[d + pad]) {
      stride[d + pad] = from[d] == 1 ? 0 : own[d];
    } else if (from[d] != 1) {
      // Longer sources are read from their front only (scatter); anything else does not fit.
      if (from[d] < shape[d + pad])
        return failed(args.node, "c5",
                      fmt::format("{} does not fit {}", shape_text(from), shape_text(shape)));
      stride[d + pad] = own[d];
    }
  }
  IntShape j(shape.size(), 0);
  int64_t place = 0;
  for (const int64_t target : written.places) {
    const bool real = is_float(out.dtype());
    double value = real ? values.get_double(place) : 0;
    int64_t integer = real ? 0 : values.get_int(place);
    if (factor.as_double() != 1) {
      value *= factor.as_double();
      if (out.dtype() == DType::F32) value = static_cast<float>(value);
      integer *= factor.i;
    }
    combine(&out, target, value, integer, how);
    for (size_t d = shape.size(); d-- > 0;) {
      place += stride[d];
      if (++j[d] < shape[d]) break;
      place -= stride[d] * shape[d];
      j[d] = 0;
    }
  }
  args.out[0] = std::move(out);
  return {};
}

}  // namespace

Status eval_index_put(EvalArgs& args) {
  if (!args.node.attrs<IndexPutAttrs>().accumulate) return eval_moved(args);
  ZP_TRY(const auto written, index_put_places(MapEnv(args.node, args.in, args.dims)));
  return combine_all(args, *written, *args.in[1], Combine::Add, Number::of_int(1));
}

Status eval_scatter(EvalArgs& args) {
  const ScatterAttrs& attrs = args.node.attrs<ScatterAttrs>();
  if (attrs.reduce.empty()) return eval_moved(args);
  ZP_TRY(const auto written, scatter_places(MapEnv(args.node, args.in, args.dims)));
  const Combine how = attrs.reduce == "add" ? Combine::Add : Combine::Multiply;
  if (!attrs.value) return combine_all(args, *written, *args.in[2], how, Number::of_int(1));
  ZP_TRY(Tensor value, Tensor::make(args.in[0]->dtype(), {}));
  if (attrs.value->kind == Number::Float) value.set_double(0, attrs.value->f);
  else value.set_int(0, attrs.value->i);
  return combine_all(args, *written, value, how, Number::of_int(1));
}

Status eval_index_add(EvalArgs& args) {
  const IndexAddAttrs& attrs = args.node.attrs<IndexAddAttrs>();
  ZP_TRY(const auto written, index_rows(MapEnv(args.node, args.in, args.dims), attrs.dim));
  return combine_all(args, *written, *args.in[2], Combine::Add, attrs.alpha);
}

Status eval_nonzero(EvalArgs& args) {
  const Tensor& in = *args.in[0];
  std::vector<int64_t> set;
  const bool real = is_float(in.dtype());
  for (int64_t i = 0; i < in.elements(); ++i)
    if (real ? in.get_double(i) != 0 : in.get_int(i) != 0) set.push_back(i);
  ZP_TRY(args.out[0], Tensor::make(DType::I64, {static_cast<int64_t>(set.size()), in.rank()}));
  int64_t* to = args.out[0].mutable_data<int64_t>();
  for (const int64_t i : set) {
    int64_t rest = i;
    for (int d = in.rank(); d-- > 0;) {
      to[d] = rest % in.shape()[static_cast<size_t>(d)];
      rest /= in.shape()[static_cast<size_t>(d)];
    }
    to += in.rank();
  }
  return {};
}

}  // namespace zp::ops
