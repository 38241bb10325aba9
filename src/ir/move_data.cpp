#include "ir/move_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "support/parallel.h"

namespace zp {

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

int64_t count_of(const IntShape& shape) {
  int64_t count = 1;
  for (const int64_t d : shape) count *= d;
  return count;
}

// One dim of a copy: extent, and strides in bytes on both sides.
struct CopyDim {
  int64_t extent, from, to;
};

// Dims of extent 1 dropped, neighbours merged where both sides run on.
std::vector<CopyDim> copy_dims(const StridedView& view, const std::vector<int64_t>& to_strides) {
  std::vector<CopyDim> dims;
  for (size_t d = 0; d < view.shape.size(); ++d) {
    if (view.shape[d] == 1) continue;
    const CopyDim dim{view.shape[d], view.strides[d] * view.width, to_strides[d] * view.width};
    if (!dims.empty() && dims.back().from == dim.from * dim.extent && dims.back().to == dim.to * dim.extent) {
      dims.back() = {dims.back().extent * dim.extent, dim.from, dim.to};
    } else {
      dims.push_back(dim);
    }
  }
  return dims;
}

// Walks the places of a set of dims, the last one fastest.
class Odometer {
 public:
  Odometer(std::span<const CopyDim> dims, int64_t start) : dims_(dims), j_(dims.size()) {
    for (size_t d = dims.size(); d-- > 0;) {
      j_[d] = start % dims[d].extent;
      start /= dims[d].extent;
      from += j_[d] * dims[d].from;
      to += j_[d] * dims[d].to;
    }
  }
  void next() {
    for (size_t d = dims_.size(); d-- > 0;) {
      from += dims_[d].from;
      to += dims_[d].to;
      if (++j_[d] < dims_[d].extent) return;
      from -= dims_[d].from * dims_[d].extent;
      to -= dims_[d].to * dims_[d].extent;
      j_[d] = 0;
    }
  }
  int64_t from = 0, to = 0;

 private:
  std::span<const CopyDim> dims_;
  std::vector<int64_t> j_;
};

struct Wide16 {
  uint64_t a, b;
};

// One line element by element: to[i * to_step] = from[i * from_step].
template <typename T>
void copy_line(const std::byte* from, int64_t from_step, std::byte* to, int64_t to_step, int64_t count) {
  T v;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(&v, from + i * from_step, sizeof(T));
    std::memcpy(to + i * to_step, &v, sizeof(T));
  }
}

// A rows x columns block: from runs along rows, to along columns. Small enough for both sides to stay in the
// cache.
template <typename T>
void transpose_block(const std::byte* from, int64_t column_step, std::byte* to, int64_t row_step,
                     int64_t rows, int64_t columns) {
  T v;
  constexpr int64_t kWidth = sizeof(T);
  for (int64_t r = 0; r < rows; ++r) {
    std::byte* line = to + r * row_step;
    const std::byte* source = from + r * kWidth;
    for (int64_t c = 0; c < columns; ++c) {
      std::memcpy(&v, source + c * column_step, kWidth);
      std::memcpy(line + c * kWidth, &v, kWidth);
    }
  }
}

// Copies where the last dim of the result is not the fast one of the source, but dim `fast` is (source stride
// = width).
template <typename T>
void copy_transposed(const std::byte* from, std::byte* to, std::vector<CopyDim> dims, size_t fast) {
  const CopyDim columns = dims.back(), rows = dims[fast];
  dims.pop_back();
  dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(fast));
  int64_t outer = 1;
  for (const CopyDim& d : dims) outer *= d.extent;
  constexpr int64_t kBlock = sizeof(T) == 1 ? 64 : sizeof(T) == 2 ? 32 : 16;
  const int64_t bands = (rows.extent + kBlock - 1) / kBlock;
  const int64_t band_bytes = kBlock * columns.extent * static_cast<int64_t>(sizeof(T));
  parallel_for(outer * bands, std::max<int64_t>(1, (int64_t{1} << 18) / std::max<int64_t>(1, band_bytes)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end;) {
                   const Odometer place(dims, i / bands);
                   const int64_t last = std::min(end, (i / bands + 1) * bands);
                   for (; i < last; ++i) {
                     const int64_t row = i % bands * kBlock;
                     const int64_t height = std::min(kBlock, rows.extent - row);
                     for (int64_t column = 0; column < columns.extent; column += kBlock) {
                       transpose_block<T>(from + place.from + row * rows.from + column * columns.from,
                                          columns.from, to + place.to + row * rows.to + column * columns.to,
                                          rows.to, height, std::min(kBlock, columns.extent - column));
                     }
                   }
                 }
               });
}

// Copies line by line along the last dim.
template <typename T>
void copy_lines(const std::byte* from, std::byte* to, std::span<const CopyDim> dims) {
  constexpr int64_t kWidth = sizeof(T);
  const CopyDim line = dims.empty() ? CopyDim{1, kWidth, kWidth} : dims.back();
  const std::span<const CopyDim> outer = dims.empty() ? dims : dims.first(dims.size() - 1);
  int64_t lines = 1;
  for (const CopyDim& d : outer) lines *= d.extent;
  const bool run = line.from == kWidth && line.to == kWidth;
  if (run && lines == 1) {  // one run of bytes: cut it for the threads
    parallel_for(line.extent * kWidth, int64_t{1} << 22,
                 [&](int64_t begin, int64_t end) { std::memcpy(to + begin, from + begin, at(end - begin)); });
    return;
  }
  parallel_for(lines, std::max<int64_t>(1, (int64_t{1} << 18) / (line.extent * kWidth)),
               [&](int64_t begin, int64_t end) {
                 Odometer place(outer, begin);
                 for (int64_t i = begin; i < end; ++i, place.next()) {
                   if (run && line.extent * kWidth >= 32) {
                     std::memcpy(to + place.to, from + place.from, at(line.extent * kWidth));
                   } else {
                     copy_line<T>(from + place.from, line.from, to + place.to, line.to, line.extent);
                   }
                 }
               });
}

template <typename T>
void copy_typed(const std::byte* from, std::byte* to, const std::vector<CopyDim>& dims) {
  constexpr int64_t kWidth = sizeof(T);
  if (dims.size() > 1 && dims.back().from != kWidth && dims.back().to == kWidth) {
    for (size_t d = 0; d + 1 < dims.size(); ++d) {
      if (dims[d].from == kWidth && dims[d].extent >= 4 && dims.back().extent >= 4)
        return copy_transposed<T>(from, to, dims, d);
    }
  }
  copy_lines<T>(from, to, dims);
}

void copy_view(const StridedView& view, std::byte* to, const std::vector<int64_t>& to_strides) {
  if (view.elements() == 0) return;
  const std::vector<CopyDim> dims = copy_dims(view, to_strides);
  const std::byte* from = view.storage.data() + view.offset * view.width;
  switch (view.width) {
    case 1: return copy_typed<uint8_t>(from, to, dims);
    case 2: return copy_typed<uint16_t>(from, to, dims);
    case 4: return copy_typed<uint32_t>(from, to, dims);
    case 8: return copy_typed<uint64_t>(from, to, dims);
    default: return copy_typed<Wide16>(from, to, dims);
  }
}

}  // namespace

int64_t StridedView::elements() const { return count_of(shape); }

bool StridedView::dense() const {
  int64_t expected = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 0) return true;
    if (shape[d] != 1 && strides[d] != expected) return false;
    expected *= shape[d];
  }
  return true;
}

std::vector<int64_t> dense_strides(const IntShape& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t step = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    strides[d] = step;
    step *= std::max<int64_t>(1, shape[d]);
  }
  return strides;
}

StridedView view_of(const Tensor& tensor) {
  StridedView view;
  view.storage = tensor.blob();
  view.width = byte_size(tensor.dtype());
  view.shape = tensor.shape();
  view.strides = dense_strides(view.shape);
  return view;
}

void copy_strided(const StridedView& from, std::byte* to) { copy_view(from, to, dense_strides(from.shape)); }

namespace {

// A dense view of its own, zeroed only where `zero`.
Result<StridedView> fresh_view(int64_t width, IntShape shape, std::byte** writable) {
  int64_t bytes = width;
  for (const int64_t d : shape) {
    if (d == 0) {
      bytes = 0;
      break;
    }
    if (bytes > max_tensor_bytes() / d) {
      return Error("tensor.size", fmt::format("a tensor would need more than {} bytes", max_tensor_bytes()));
    }
    bytes *= d;
  }
  StridedView view;
  view.storage = Blob::allocate(at(bytes), writable);
  view.width = width;
  view.strides = dense_strides(shape);
  view.shape = std::move(shape);
  return view;
}

Result<StridedView> densify(StridedView view) {
  if (view.dense()) return view;
  std::byte* to = nullptr;
  ZP_TRY(StridedView out, fresh_view(view.width, view.shape, &to));
  copy_strided(view, to);
  return out;
}

// Strides of `view` under another shape of equal count; false if only a copy can have it. Both shapes are
// walked from the end; a chunk is a run of source dims that one stride walks through, and must hold whole
// dims of the new shape.
bool restride(const StridedView& view, const IntShape& shape, std::vector<int64_t>* strides) {
  *strides = dense_strides(shape);
  if (view.elements() == 0 || view.shape.empty()) return true;
  size_t to = shape.size();
  int64_t base = view.strides.back(), chunk = 1, made = 1;
  for (size_t d = view.shape.size(); d-- > 0;) {
    chunk *= view.shape[d];
    if (d > 0 && (view.shape[d - 1] == 1 || view.strides[d - 1] == chunk * base)) continue;
    while (to > 0 && (made < chunk || shape[to - 1] == 1)) {
      (*strides)[--to] = made * base;
      made *= shape[to];
    }
    if (made != chunk) return false;
    if (d > 0) base = view.strides[d - 1];
    chunk = made = 1;
  }
  return to == 0;
}

Result<StridedView> take_view(StridedView view, int64_t dim, const std::vector<int64_t>& index,
                              const std::byte* fill) {
  const size_t d = at(dim);
  bool arithmetic = !index.empty() && index.front() >= 0;
  const int64_t by = index.size() > 1 ? index[1] - index[0] : 1;
  for (size_t j = 1; j < index.size() && arithmetic; ++j)
    arithmetic = index[j] >= 0 && index[j] - index[j - 1] == by;
  if (arithmetic) {
    view.offset += index.front() * view.strides[d];
    view.strides[d] *= by;
    view.shape[d] = static_cast<int64_t>(index.size());
    return view;
  }
  ZP_TRY(view, densify(std::move(view)));
  IntShape shape = view.shape;
  shape[d] = static_cast<int64_t>(index.size());
  std::byte* to = nullptr;
  ZP_TRY(StridedView out, fresh_view(view.width, shape, &to));
  int64_t outer = 1, inner = view.width;
  for (size_t e = 0; e < shape.size(); ++e) (e < d ? outer : inner) *= e == d ? 1 : shape[e];
  if (outer == 0 || inner == 0) return out;
  const std::byte* from = view.storage.data() + view.offset * view.width;
  const int64_t extent = view.shape[d], count = shape[d];
  parallel_for(outer * count, std::max<int64_t>(1, (int64_t{1} << 18) / inner),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t source = index[at(i % count)];
                   std::byte* place = to + i * inner;
                   if (source >= 0) {
                     std::memcpy(place, from + (i / count * extent + source) * inner, at(inner));
                   } else if (fill == nullptr) {
                     std::memset(place, 0, at(inner));
                   } else {
                     for (int64_t k = 0; k < inner; k += view.width)
                       std::memcpy(place + k, fill, at(view.width));
                   }
                 }
               });
  return out;
}

Result<StridedView> table_view(StridedView view, const MapStep& step, const std::byte* fill) {
  ZP_TRY(view, densify(std::move(view)));
  std::byte* to = nullptr;
  ZP_TRY(StridedView out, fresh_view(view.width, step.shape, &to));
  const std::byte* from = view.storage.data() + view.offset * view.width;
  const size_t width = at(view.width);
  for (const int64_t source : step.index) {
    if (source >= 0) {
      std::memcpy(to, from + source * view.width, width);
    } else if (fill == nullptr) {
      std::memset(to, 0, width);
    } else {
      std::memcpy(to, fill, width);
    }
    to += width;
  }
  return out;
}

Result<StridedView> triangle_view(const StridedView& view, const MapStep& step, const std::byte* fill) {
  std::byte* to = nullptr;
  ZP_TRY(StridedView out, fresh_view(view.width, view.shape, &to));
  copy_strided(view, to);
  const size_t rank = view.shape.size();
  const int64_t rows = view.shape[rank - 2], columns = view.shape[rank - 1];
  if (view.elements() == 0) return out;
  for (int64_t i = 0; i < view.elements() / columns; ++i) {
    // The diagonal crosses this row at column `edge`.
    const int64_t edge = std::clamp<int64_t>(
        i % rows + std::clamp<int64_t>(step.offset, -rows - columns, rows + columns), -1, columns);
    const int64_t begin = step.upper ? 0 : std::min(columns, edge + 1);
    const int64_t end = step.upper ? std::max<int64_t>(0, edge) : columns;
    std::byte* line = to + i * columns * view.width;
    for (int64_t c = begin; c < end; ++c) {
      if (fill == nullptr) {
        std::memset(line + c * view.width, 0, at(view.width));
      } else {
        std::memcpy(line + c * view.width, fill, at(view.width));
      }
    }
  }
  return out;
}

}  // namespace

Result<Blob> dense_blob(const StridedView& view) {
  ZP_TRY(const StridedView dense, densify(view));
  if (dense.elements() == 0) return Blob();
  return dense.storage.slice(at(dense.offset * dense.width), at(dense.elements() * dense.width));
}

Blob pack_elements(DType dtype, std::span<const std::byte> elements) {
  const int bits = bits_of(dtype);
  const size_t per_byte = static_cast<size_t>(8 / bits);
  const auto mask = static_cast<uint8_t>((1 << bits) - 1);
  std::byte* to = nullptr;
  Blob packed = Blob::allocate((elements.size() + per_byte - 1) / per_byte, &to);
  for (size_t i = 0; i < packed.size(); ++i) {
    unsigned byte = 0;
    for (size_t k = 0; k < per_byte && i * per_byte + k < elements.size(); ++k) {
      byte |= (static_cast<unsigned>(elements[i * per_byte + k]) & mask) << (static_cast<int>(k) * bits);
    }
    to[i] = static_cast<std::byte>(byte);
  }
  return packed;
}

Result<StridedView> move_view(StridedView view, std::span<const MapStep> steps, const std::byte* fill) {
  for (const MapStep& step : steps) {
    ZP_TRY(IntShape shape, step_shape(step, view.shape));
    switch (step.kind) {
      case MapStep::Reshape: {
        std::vector<int64_t> strides;
        if (!restride(view, shape, &strides)) {
          ZP_TRY(view, densify(std::move(view)));
          strides = dense_strides(shape);
        }
        view.shape = std::move(shape);
        view.strides = std::move(strides);
        break;
      }
      case MapStep::Permute: {
        std::vector<int64_t> strides;
        for (const int64_t d : step.dims) strides.push_back(view.strides[at(d)]);
        view.shape = std::move(shape);
        view.strides = std::move(strides);
        break;
      }
      case MapStep::Window:
        if (std::find(shape.begin(), shape.end(), 0) == shape.end()) {
          for (size_t d = 0; d < shape.size(); ++d) {
            view.offset += step.start[d] * view.strides[d];
            view.strides[d] *= step.step[d];
          }
        }
        view.shape = std::move(shape);
        break;
      case MapStep::Take: {
        ZP_TRY(view, take_view(std::move(view), step.dim, step.index, fill));
        break;
      }
      case MapStep::Diagonal: {
        const size_t a = at(step.dims[0]), b = at(step.dims[1]);
        const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
        if (!empty) {
          view.offset += std::max<int64_t>(0, -step.offset) * view.strides[a] +
                         std::max<int64_t>(0, step.offset) * view.strides[b];
        }
        const int64_t along = view.strides[a] + view.strides[b];
        std::vector<int64_t> strides;
        for (size_t d = 0; d < view.strides.size(); ++d)
          if (d != a && d != b) strides.push_back(view.strides[d]);
        strides.push_back(along);
        view.shape = std::move(shape);
        view.strides = std::move(strides);
        break;
      }
      case MapStep::Table: {
        ZP_TRY(view, table_view(std::move(view), step, fill));
        break;
      }
      case MapStep::Triangle: {
        ZP_TRY(view, triangle_view(view, step, fill));
        break;
      }
      case MapStep::Choose: return Error("shape_map", "the indices are not known before the model runs");
    }
  }
  return view;
}

Result<StridedView> join_views(std::span<const StridedView> views, int64_t dim) {
  IntShape shape = views.front().shape;
  shape[at(dim)] = 0;
  for (const StridedView& v : views) {
    if (v.shape.size() != shape.size() || v.width != views.front().width)
      return Error("shape_map", "parts that do not join", ErrorKind::Internal);
    shape[at(dim)] += v.shape[at(dim)];
  }
  std::byte* to = nullptr;
  ZP_TRY(StridedView out, fresh_view(views.front().width, shape, &to));
  int64_t from = 0;
  for (const StridedView& v : views) {
    copy_view(v, to + from * out.strides[at(dim)] * out.width, out.strides);
    from += v.shape[at(dim)];
  }
  return out;
}

Result<StridedView> move_result(const MapResult& result, std::span<const StridedView> operands,
                                const std::byte* fill) {
  std::vector<StridedView> parts;
  for (const MapPart& part : result.parts) {
    if (part.operand >= operands.size())
      return Error("shape_map", fmt::format("no operand {}", part.operand), ErrorKind::Internal);
    ZP_TRY(StridedView view, move_view(operands[part.operand], part.steps, fill));
    parts.push_back(std::move(view));
  }
  if (parts.empty()) return Error("shape_map", "a map without parts", ErrorKind::Internal);
  if (parts.size() == 1) return move_view(std::move(parts.front()), result.steps, fill);
  ZP_TRY(StridedView joined, join_views(parts, result.join_dim));
  return move_view(std::move(joined), result.steps, fill);
}

}  // namespace zp
