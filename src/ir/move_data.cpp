#include "ir/move_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "support/parallel.h"
#include "support/strided_copy.h"

namespace zp {

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

int64_t count_of(const IntShape& shape) {
  int64_t count = 1;
  for (const int64_t d : shape) count *= d;
  return count;
}

void copy_view(const StridedView& view, std::byte* to, const std::vector<int64_t>& to_strides) {
  copy_elements({view.storage.bytes(), view.offset, view.strides}, view.width, view.shape, to, to_strides);
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
  std::byte* own = nullptr;
  view.storage = Blob::allocate(at(bytes), &own);
  if (writable != nullptr) *writable = own;
  view.width = width;
  view.strides = dense_strides(shape);
  view.shape = std::move(shape);
  return view;
}

// Nibbles as elements of one byte: all from the first place of the view to its last.
Result<StridedView> unpacked(const StridedView& view) {
  int64_t first = view.offset, last = view.offset;
  for (size_t d = 0; d < view.shape.size(); ++d) {
    if (view.shape[d] == 0) return fresh_view(1, view.shape, nullptr);
    const int64_t reach = (view.shape[d] - 1) * view.strides[d];
    (reach < 0 ? first : last) += reach;
  }
  std::byte* to = nullptr;
  ZP_TRY(StridedView out, fresh_view(1, {last - first + 1}, &to));
  unpack_nibbles(view.storage.bytes(), first, last - first + 1, view.packed == DType::I4, to);
  out.shape = view.shape;
  out.strides = view.strides;
  out.offset = view.offset - first;
  return out;
}

Result<StridedView> densify(StridedView view) {
  if (view.packed != DType::Unknown) { ZP_TRY(view, unpacked(view)); }
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

Result<StridedView> triangle_view(StridedView view, const MapStep& step, const std::byte* fill) {
  if (view.packed != DType::Unknown) { ZP_TRY(view, unpacked(view)); }
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
  if (bits == 4) {
    pack_nibbles(elements, to);
    return packed;
  }
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
            if (shape[d] > 1) view.strides[d] *= step.step[d];  // the step of a single coordinate may be any
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
        ZP_TRY(view, triangle_view(std::move(view), step, fill));
        break;
      }
      case MapStep::Choose: return Error("shape_map", "the indices are not known before the model runs");
    }
  }
  return view;
}

Result<Blob> packed_blob(const StridedView& view, DType dtype) {
  if (view.packed == dtype && view.elements() > 0) {
    const auto bytes = at(storage_bytes(dtype, view.elements()));
    if (view.dense() && view.offset % 2 == 0) return view.storage.slice(at(view.offset / 2), bytes);
    std::byte* to = nullptr;
    Blob packed = Blob::allocate(bytes, &to);
    if (copy_nibbles({view.storage.bytes(), view.offset, view.strides}, view.shape, to)) return packed;
  }
  ZP_TRY(const Blob elements, dense_blob(view));
  return pack_elements(dtype, elements.bytes());
}

Result<StridedView> join_views(std::span<const StridedView> packed_or_not, int64_t dim) {
  std::vector<StridedView> views(packed_or_not.begin(), packed_or_not.end());
  for (StridedView& v : views)
    if (v.packed != DType::Unknown) { ZP_TRY(v, unpacked(v)); }
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
