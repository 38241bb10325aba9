// Walking over slices of a tensor: all elements that share one result of a reduction, or the elements along
// one dim.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "ir/tensor.h"
#include "support/parallel.h"

namespace zp::ops {

// Product of non-negative extents that neither overflows nor forgets a zero: shapes of empty tensors may hold
// any number.
inline int64_t saturating_product(int64_t a, int64_t b) {
  int64_t out = 0;
  return __builtin_mul_overflow(a, b, &out) ? INT64_MAX : out;
}

// A tensor as outer x extent x inner around one dim; a 0-d tensor is 1 x 1 x 1.
struct DimView {
  int64_t outer = 1, extent = 1, inner = 1;
  DimView() = default;
  DimView(std::span<const int64_t> shape, int64_t dim) {
    for (size_t d = 0; d < shape.size(); ++d) {
      int64_t& part = static_cast<int64_t>(d) < dim ? outer : static_cast<int64_t>(d) == dim ? extent : inner;
      part = saturating_product(part, shape[d]);
    }
  }
  int64_t slices() const { return saturating_product(outer, inner); }
  // Offset of the first element of a slice in a tensor whose extent along the dim is `length`.
  int64_t first(int64_t slice, int64_t length) const {
    return slice / inner * inner * length + slice % inner;
  }
};

// Calls body(slice) for all slices in parallel; not for empty ones, of which there may be any number.
template <typename F>
void for_each_slice(const DimView& view, const F& body) {
  if (view.extent == 0) return;
  const int64_t grain = std::max<int64_t>(1, (int64_t{1} << 14) / std::max<int64_t>(1, view.extent));
  parallel_for(view.slices(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) body(s);
  });
}

// Which elements make which result of a reduction over several dims.
struct ReductionPlan {
  std::vector<int64_t> kept_shape, kept_stride, reduced_shape, reduced_stride, out_shape;
  int64_t outputs = 1, terms = 1;
  bool contiguous = false;  // the terms of one result lie side by side

  ReductionPlan(std::span<const int64_t> shape, std::span<const int64_t> reduced, bool keepdim) {
    std::vector<int64_t> stride(shape.size(), 1);
    for (size_t d = shape.size(); d-- > 1;)
      stride[d - 1] = saturating_product(stride[d], std::max<int64_t>(shape[d], 1));
    for (size_t d = 0; d < shape.size(); ++d) {
      const bool gone = std::find(reduced.begin(), reduced.end(), static_cast<int64_t>(d)) != reduced.end();
      (gone ? reduced_shape : kept_shape).push_back(shape[d]);
      (gone ? reduced_stride : kept_stride).push_back(stride[d]);
      int64_t& count = gone ? terms : outputs;
      count = saturating_product(count, shape[d]);
      if (!gone || keepdim) out_shape.push_back(gone ? 1 : shape[d]);
    }
    contiguous = true;
    for (size_t i = 0; i < reduced.size(); ++i) {
      if (reduced[i] != static_cast<int64_t>(shape.size() - reduced.size() + i)) contiguous = false;
    }
  }

  int64_t base(int64_t output) const {
    int64_t offset = 0;
    for (size_t d = kept_shape.size(); d-- > 0;) {
      offset += output % kept_shape[d] * kept_stride[d];
      output /= kept_shape[d];
    }
    return offset;
  }

  // Copies the terms of the result at `base` to `to`, in C order of the reduced dims.
  template <typename T>
  void gather(const T* x, T* to) const {
    std::vector<int64_t> index(reduced_shape.size(), 0);
    const size_t last = reduced_shape.size() - 1;
    for (int64_t done = 0; done < terms; done += reduced_shape[last]) {
      int64_t offset = 0;
      for (size_t d = 0; d < last; ++d) offset += index[d] * reduced_stride[d];
      for (int64_t i = 0; i < reduced_shape[last]; ++i) *to++ = x[offset + i * reduced_stride[last]];
      for (size_t d = last; d-- > 0;) {
        if (++index[d] < reduced_shape[d]) break;
        index[d] = 0;
      }
    }
  }
};

// out[i] = f(terms, count) for every result, terms in C order of the reduced dims; in parallel.
template <typename T, typename R, typename F>
void reduce_slices(const ReductionPlan& plan, const T* x, R* out, const F& f) {
  const int64_t grain = std::max<int64_t>(1, (int64_t{1} << 14) / std::max<int64_t>(1, plan.terms));
  parallel_for(plan.outputs, grain, [&](int64_t begin, int64_t end) {
    std::vector<T> buffer(plan.contiguous ? 0 : static_cast<size_t>(plan.terms));
    for (int64_t i = begin; i < end; ++i) {
      const T* terms = x + (plan.terms > 0 ? plan.base(i) : 0);
      if (!plan.contiguous && plan.terms > 0) {
        plan.gather(terms, buffer.data());
        terms = buffer.data();
      }
      out[i] = f(terms, plan.terms);
    }
  });
}

}  // namespace zp::ops
