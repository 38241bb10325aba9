// A copy is reduced to its true dims (neighbours that run on are merged) and then takes one of three forms:
// - runs: both sides are contiguous along the last dim; short runs are visited in blocks of both orders
// - turned: the last dim of the result is not the fast one of the source (turned_copy.h)
// - elements: anything else, one by one
#include "support/strided_copy.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "support/copy_dims.h"
#include "support/parallel.h"
#include "support/turned_copy.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace zp {

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

std::vector<CopyDim> true_dims(int64_t width, std::span<const int64_t> shape, std::span<const int64_t> from,
                               std::span<const int64_t> to) {
  std::vector<CopyDim> dims;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    const CopyDim dim{shape[d], from[d] * width, to[d] * width};
    if (!dims.empty() && dims.back().from == dim.from * dim.extent && dims.back().to == dim.to * dim.extent) {
      dims.back() = {dims.back().extent * dim.extent, dim.from, dim.to};
    } else {
      dims.push_back(dim);
    }
  }
  return dims;
}

struct Wide16 {
  uint64_t a, b;
};

// ---------------------------------------------------------------- elements

template <typename T>
void copy_line(const std::byte* from, int64_t from_step, std::byte* to, int64_t to_step, int64_t count) {
  T v;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(&v, from + i * from_step, sizeof(T));
    std::memcpy(to + i * to_step, &v, sizeof(T));
  }
}

template <typename T>
void copy_one_by_one(const std::byte* from, std::byte* to, std::span<const CopyDim> dims) {
  const CopyDim line = dims.back();
  const std::span<const CopyDim> outer = dims.first(dims.size() - 1);
  parallel_for(product(outer), grain_of(line.extent * static_cast<int64_t>(sizeof(T))),
               [&](int64_t begin, int64_t end) {
                 Odometer place(outer, begin);
                 for (int64_t i = begin; i < end; ++i, place.next())
                   copy_line<T>(from + place.from, line.from, to + place.to, line.to, line.extent);
               });
}

// ---------------------------------------------------------------- runs

void copy_run(const std::byte* from, std::byte* to, int64_t bytes) {
  if (bytes > 128) {
    std::memcpy(to, from, at(bytes));
    return;
  }
  for (; bytes >= 16; bytes -= 16, from += 16, to += 16) std::memcpy(to, from, 16);
  if (bytes & 8) std::memcpy(to, from, 8), to += 8, from += 8;
  if (bytes & 4) std::memcpy(to, from, 4), to += 4, from += 4;
  if (bytes & 2) std::memcpy(to, from, 2), to += 2, from += 2;
  if (bytes & 1) *to = *from;
}

void copy_runs(const std::byte* from, std::byte* to, std::vector<CopyDim> dims, int64_t run) {
  if (dims.empty()) {
    parallel_for(run, int64_t{1} << 22,
                 [&](int64_t begin, int64_t end) { std::memcpy(to + begin, from + begin, at(end - begin)); });
    return;
  }
  // Short runs that are neighbours in the source, but not in the result, are taken together in blocks.
  constexpr int64_t kBlock = 16;
  size_t fast = dims.size() - 1;
  for (size_t d = 0; d + 1 < dims.size(); ++d)
    if (dims[d].from > 0 && dims[d].from < dims[fast].from) fast = d;
  if (run >= 2048 || fast + 1 == dims.size() || dims[fast].extent < kBlock / 2) {
    parallel_for(product(dims), grain_of(run), [&](int64_t begin, int64_t end) {
      Odometer place(dims, begin);
      for (int64_t i = begin; i < end; ++i, place.next()) copy_run(from + place.from, to + place.to, run);
    });
    return;
  }
  const CopyDim columns = dims.back(), rows = dims[fast];
  dims.pop_back();
  dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(fast));
  const int64_t outer = product(dims), bands = (rows.extent + kBlock - 1) / kBlock;
  parallel_for(outer * bands, grain_of(kBlock * columns.extent * run), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Odometer place(dims, i / bands);
      const int64_t row = i % bands * kBlock, last = std::min(rows.extent, row + kBlock);
      for (int64_t column = 0; column < columns.extent; column += kBlock) {
        for (int64_t c = column; c < std::min(columns.extent, column + kBlock); ++c) {
          for (int64_t r = row; r < last; ++r) {
            copy_run(from + place.from + r * rows.from + c * columns.from,
                     to + place.to + r * rows.to + c * columns.to, run);
          }
        }
      }
    }
  });
}

// The dim along which the source runs, if turning it against the last dim of the result pays.
size_t turned_dim(std::span<const CopyDim> dims, int64_t unit) {
  if (dims.size() < 2 || dims.back().to != unit || dims.back().from == unit) return dims.size();
  for (size_t d = 0; d + 1 < dims.size(); ++d)
    if (dims[d].from == unit && dims[d].extent >= 3 && dims.back().extent >= 3) return d;
  return dims.size();
}

// Runs of few bytes that are turned as a whole are wider elements.
bool widen(std::vector<CopyDim>* dims, int64_t* width) {
  const CopyDim last = dims->back();
  const int64_t run = last.extent * *width;
  if (last.from != *width || last.to != *width || dims->size() < 3 || run > 16 || (run & (run - 1)) != 0)
    return false;
  dims->pop_back();
  if (turned_dim(*dims, run) < dims->size()) {
    *width = run;
    return true;
  }
  dims->push_back(last);
  return false;
}

bool no_elements(std::span<const int64_t> shape) {
  return std::find(shape.begin(), shape.end(), 0) != shape.end();
}

}  // namespace

void copy_elements(const StridedSource& from, int64_t width, std::span<const int64_t> shape, std::byte* to,
                   std::span<const int64_t> to_strides) {
  if (no_elements(shape)) return;
  std::vector<CopyDim> dims = true_dims(width, shape, from.strides, to_strides);
  const int64_t first = from.offset * width;
  const std::byte* source = from.bytes.data() + first;
  if (dims.empty()) {
    std::memcpy(to, source, at(width));
    return;
  }
  int64_t unit = width;
  const bool wider = widen(&dims, &unit);
  const CopyDim last = dims.back();
  if (!wider && last.from == width && last.to == width) {
    dims.pop_back();
    return copy_runs(source, to, std::move(dims), last.extent * width);
  }
  if (const size_t fast = turned_dim(dims, unit); fast < dims.size())
    return copy_turned({from.bytes, first, to, unit, false}, std::move(dims), fast);
  switch (width) {
    case 1: return copy_one_by_one<uint8_t>(source, to, dims);
    case 2: return copy_one_by_one<uint16_t>(source, to, dims);
    case 4: return copy_one_by_one<uint32_t>(source, to, dims);
    case 8: return copy_one_by_one<uint64_t>(source, to, dims);
    default: return copy_one_by_one<Wide16>(source, to, dims);
  }
}

// ---------------------------------------------------------------- nibbles

namespace {

typedef uint8_t Bytes16 __attribute__((vector_size(16)));

// 16 bytes become 32 elements.
void unpack_16(const std::byte* packed, std::byte* to) {
  Bytes16 v;
  std::memcpy(&v, packed, 16);
  const Bytes16 low = v & 15, high = v >> 4;
  const Bytes16 first =
      __builtin_shufflevector(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const Bytes16 second =
      __builtin_shufflevector(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  std::memcpy(to, &first, 16);
  std::memcpy(to + 16, &second, 16);
}

// Whole bytes: 2 * bytes elements.
void unpack_bytes(const std::byte* packed, int64_t bytes, std::byte* to) {
  int64_t i = 0;
  for (; i + 16 <= bytes; i += 16) unpack_16(packed + i, to + 2 * i);
  for (; i < bytes; ++i) {
    to[2 * i] = packed[i] & std::byte{15};
    to[2 * i + 1] = packed[i] >> 4;
  }
}

// An even number of elements, which may hold more than their lower four bits.
void pack_pairs(const std::byte* elements, int64_t bytes, std::byte* to) {
  int64_t i = 0;
#if defined(__SSE2__)
  const __m128i low = _mm_set1_epi16(0x000F), high = _mm_set1_epi16(0x00F0);
  const auto pairs = [&](const std::byte* from) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm_or_si128(_mm_and_si128(v, low), _mm_and_si128(_mm_srli_epi16(v, 4), high));
  };
  for (; i + 16 <= bytes; i += 16) {
    const __m128i packed = _mm_packus_epi16(pairs(elements + 2 * i), pairs(elements + 2 * i + 16));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), packed);
  }
#endif
  for (; i < bytes; ++i)
    to[i] = (elements[2 * i] & std::byte{15}) | (elements[2 * i + 1] & std::byte{15}) << 4;
}

}  // namespace

bool copy_nibbles(const StridedSource& from, std::span<const int64_t> shape, std::byte* to) {
  if (no_elements(shape)) return true;
  std::vector<int64_t> to_strides(shape.size());
  int64_t step = 1;
  for (size_t d = shape.size(); d-- > 0; step *= shape[d]) to_strides[d] = step;
  std::vector<CopyDim> dims = true_dims(1, shape, from.strides, to_strides);
  if (dims.empty() || dims.back().extent % 2 != 0) return false;
  if (dims.back().from == 1) {  // runs: whole bytes if nothing starts in the middle of one
    bool whole = from.offset % 2 == 0;
    for (size_t d = 0; d + 1 < dims.size(); ++d) whole &= dims[d].from % 2 == 0;
    if (!whole) return false;
    const int64_t run = dims.back().extent / 2;
    dims.pop_back();
    for (CopyDim& d : dims) d.from /= 2, d.to /= 2;
    copy_runs(from.bytes.data() + from.offset / 2, to, std::move(dims), run);
    return true;
  }
  const size_t fast = turned_dim(dims, 1);
  if (fast == dims.size()) return false;
  copy_turned({from.bytes, from.offset, to, 1, true}, std::move(dims), fast);
  return true;
}

void unpack_nibbles(std::span<const std::byte> packed, int64_t offset, int64_t count, bool sign,
                    std::byte* to) {
  parallel_for((count + 1) / 2, int64_t{1} << 17, [&](int64_t begin, int64_t end) {
    const int64_t first = 2 * begin, last = std::min(count, 2 * end);
    int64_t i = first;
    if (offset % 2 == 0) {
      unpack_bytes(packed.data() + (offset + first) / 2, (last - first) / 2, to + first);
      i = first + (last - first) / 2 * 2;
    }
    for (; i < last; ++i) {
      const std::byte both = packed[at((offset + i) / 2)];
      to[i] = (offset + i) % 2 == 0 ? both & std::byte{15} : both >> 4;
    }
    if (!sign) return;
    auto* out = reinterpret_cast<uint8_t*>(to);
    for (i = first; i < last; ++i) out[i] = static_cast<uint8_t>((out[i] ^ 8) - 8);
  });
}

void pack_nibbles(std::span<const std::byte> elements, std::byte* to) {
  const int64_t pairs = static_cast<int64_t>(elements.size()) / 2;
  parallel_for(pairs, int64_t{1} << 17, [&](int64_t begin, int64_t end) {
    pack_pairs(elements.data() + 2 * begin, end - begin, to + begin);
  });
  if (elements.size() % 2 != 0) to[pairs] = elements.back() & std::byte{15};
}

}  // namespace zp
