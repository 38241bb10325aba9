// A copy is reduced to its true dims (neighbours that run on are merged) and then takes one of three forms:
// - runs: both sides are contiguous along the last dim; short runs are visited in blocks of both orders
// - transposed: the last dim of the result is not the fast one of the source. Tiles of up to 256 bytes of
//   source lines by 64 bytes of result lines are read line by line, turned in registers (16 bytes by 16
//   bytes, by interleaving halves log2 times), and written by whole cache lines past the cache; so memory is
//   touched once even where all lines of a tile fall into one cache set. The lines may run through several
//   dims, as the taps and input channels of a convolution's weight do
// - elements: anything else, one by one
#include "support/strided_copy.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "support/parallel.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace zp {

namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

// One dim of a copy: extent, and strides on both sides; in bytes, for nibbles in elements.
struct CopyDim {
  int64_t extent, from, to;
};

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

int64_t product(std::span<const CopyDim> dims) {
  int64_t count = 1;
  for (const CopyDim& d : dims) count *= d.extent;
  return count;
}

// Items of `bytes` each, in chunks of about 256 KiB.
int64_t grain_of(int64_t bytes) {
  return std::max<int64_t>(1, (int64_t{1} << 18) / std::max<int64_t>(1, bytes));
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

// ---------------------------------------------------------------- transposed

// Bytes of a full line of a tile on the side of the source.
constexpr int64_t kLineBytes = 256;

// 16 bytes as lanes of T. Interleaving rows i and i + n/2 of n rows, log2(n) times, transposes n x n lanes.
template <typename T>
struct Lanes {
  static constexpr int kCount = 16 / static_cast<int>(sizeof(T));
  static constexpr int kLines = kCount < 8 ? kCount : 8;  // taken at once: as many as fit in registers
  typedef T Vector __attribute__((vector_size(16)));

  template <size_t... I>
  static Vector low(Vector a, Vector b, std::index_sequence<I...>) {
    return __builtin_shufflevector(a, b, (I % 2 == 0 ? I / 2 : I / 2 + kCount)...);
  }
  template <size_t... I>
  static Vector high(Vector a, Vector b, std::index_sequence<I...>) {
    return __builtin_shufflevector(a, b, (I % 2 == 0 ? I / 2 + kCount / 2 : I / 2 + kCount / 2 + kCount)...);
  }
  static void transpose(Vector (&rows)[kLines]) {
    constexpr auto kAll = std::make_index_sequence<static_cast<size_t>(kCount)>();
#pragma GCC unroll 4
    for (int n = 1; n < kLines; n *= 2) {
      Vector next[kLines];
#pragma GCC unroll 8
      for (int i = 0; i < kLines / 2; ++i) {
        next[2 * i] = low(rows[i], rows[i + kLines / 2], kAll);
        next[2 * i + 1] = high(rows[i], rows[i + kLines / 2], kAll);
      }
#pragma GCC unroll 16
      for (int i = 0; i < kLines; ++i) rows[i] = next[i];
    }
  }
  // 16 bytes of kCount lines, which `line(k)` finds, become kCount lines of 16 bytes.
  template <typename Line>
  static void turn(Line line, std::byte* to, int64_t pitch) {
    for (int64_t first = 0; first < kCount; first += kLines) {
      Vector block[kLines];
#pragma GCC unroll 16
      for (int64_t k = 0; k < kLines; ++k) std::memcpy(&block[k], line(first + k), 16);
      transpose(block);
      constexpr int64_t kParts = kCount / kLines, kPart = 16 / kParts;  // lines in one vector
      std::byte* out = to + first * static_cast<int64_t>(sizeof(T));
#pragma GCC unroll 16
      for (int64_t k = 0; k < kLines; ++k) {
#pragma GCC unroll 2
        for (int64_t p = 0; p < kParts; ++p)
          std::memcpy(out + (k * kParts + p) * pitch,
                      reinterpret_cast<const std::byte*>(&block[k]) + p * kPart, kPart);
      }
    }
  }
};

// Writes past the cache where that is possible: the result is larger than the cache or not read soon.
void stream_line(const std::byte* line, std::byte* to, int64_t bytes) {
#if defined(__SSE2__)
  if (bytes % 16 == 0 && reinterpret_cast<uintptr_t>(to) % 16 == 0) {
    for (int64_t b = 0; b < bytes; b += 16)
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + b),
                       _mm_load_si128(reinterpret_cast<const __m128i*>(line + b)));
    return;
  }
#endif
  copy_run(line, to, bytes);
}

void fetch_line(const std::byte* line, int64_t bytes) {
  for (int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(line + b, 0, 2);
}

// How lines of a tile are read and written: whole elements of T.
template <typename T>
struct WholeElements {
  using Element = T;
  static constexpr int64_t kWidth = sizeof(T);
  static constexpr bool kDirect = true;  // lines may be read where they are
  static void fetch(const std::byte* from, int64_t place, int64_t count) {
    fetch_line(from + place, count * kWidth);
  }
  // `count` elements at `place` (bytes).
  static const std::byte* read(const std::byte* from, int64_t place, int64_t count, std::byte* line) {
    if (count * kWidth == kLineBytes) {
      std::memcpy(line, from + place, kLineBytes);  // in line, being of a known length
    } else {
      std::memcpy(line, from + place, at(count * kWidth));
    }
    return line;
  }
  static void write(const std::byte* line, std::byte* to, int64_t place, int64_t count) {
    stream_line(line, to + place, count * kWidth);
  }
};

// A tile: up to kRows x kColumns elements. Rows are consecutive in the source, columns in the result.
template <typename Access>
class Tile {
 public:
  using T = typename Access::Element;
  static constexpr int64_t kWidth = sizeof(T);
  static constexpr int64_t kRows = kLineBytes / kWidth;
  static constexpr int64_t kColumns = 256 / kWidth;
  static constexpr int64_t kLanes = Lanes<T>::kCount;

  // Places of the tile's lines: source lines of columns, result lines of rows.
  struct Columns {
    int64_t from[kColumns];
    int64_t count = 0;
    int64_t step = -1;  // between neighbours, where it is one
  };
  Columns columns;
  int64_t row_to[kRows];
  int64_t rows = 0;
  bool rows_follow = false;  // the result's lines are whole tile lines one behind the other

  // Meanwhile the lines of the tile after this one are fetched. `last`: the last place from which 16 bytes
  // may be read.
  void turn(const std::byte* from, int64_t last, std::byte* to, int64_t to_place, const Columns& next) {
    int64_t c = 0;
    if (Access::kDirect && rows <= 4 * kLanes && columns.step >= 0) {
      // Short lines are read where they are: their neighbours in the register do no harm.
      const int64_t reach = (rows - 1) / kLanes * 16;
      for (; c + kLanes <= columns.count && columns.from[c + kLanes - 1] + reach <= last; c += kLanes) {
        const std::byte* line = from + columns.from[c];
        for (int64_t r = 0; r < rows; r += kLanes)
          Lanes<T>::turn([&](int64_t k) { return line + k * columns.step + r * kWidth; },
                         out_ + r * kOutPitch + c * kWidth, kOutPitch);
      }
    }
    for (; c < columns.count; c += kLanes) {
      const std::byte* lines[kLanes];
      for (int64_t k = 0; k < kLanes; ++k) {
        const int64_t place = columns.from[std::min(c + k, columns.count - 1)];
        if (c + k < next.count) Access::fetch(from, next.from[c + k], rows);
        lines[k] = Access::read(from, place, rows, in_ + k * kInPitch);
      }
      for (int64_t r = 0; r < rows; r += kLanes)
        Lanes<T>::turn([&](int64_t k) { return lines[k] + r * kWidth; }, out_ + r * kOutPitch + c * kWidth,
                       kOutPitch);
    }
    int64_t r = 0;
    if (Access::kDirect && rows_follow && columns.count * kWidth <= 16) {
      // Short lines one behind the other: what is written too much is written again by the next ones.
      const int64_t length = columns.count * kWidth;
      for (; (rows - r) * length >= 16; ++r) std::memcpy(to + to_place + row_to[r], out_ + r * kOutPitch, 16);
    }
    for (; r < rows; ++r) Access::write(out_ + r * kOutPitch, to, to_place + row_to[r], columns.count);
  }

 private:
  // Pitches are no powers of two, so that lines spread over the sets of the cache.
  static constexpr int64_t kInPitch = kRows * kWidth + 64;
  static constexpr int64_t kOutPitch = kColumns * kWidth + 16;
  alignas(64) std::byte in_[kLanes * kInPitch] = {};
  alignas(64) std::byte out_[kRows * kOutPitch] = {};
};

// Takes from `dims` a line of dims that follow each other on one side: dim `first`, and then whatever starts
// where the line ends, until it is long enough. The fastest dim comes last.
std::vector<CopyDim> take_line(std::vector<CopyDim>* dims, size_t first, int64_t CopyDim::*side, int64_t unit,
                               int64_t enough) {
  std::vector<CopyDim> line;
  int64_t extent = 1;
  for (size_t d = first;;) {
    line.insert(line.begin(), (*dims)[d]);
    extent *= (*dims)[d].extent;
    dims->erase(dims->begin() + static_cast<std::ptrdiff_t>(d));
    if (extent >= enough) return line;
    d = dims->size();
    for (size_t e = 0; e < dims->size(); ++e)
      if ((*dims)[e].*side == unit * extent) d = e;
    if (d == dims->size()) return line;
  }
}

// `unit` is the step between neighbours: an element's bytes, or 1 for nibbles, whose strides count elements.
template <typename Access>
void copy_transposed(std::span<const std::byte> storage, int64_t from_place, std::byte* to,
                     std::vector<CopyDim> dims, size_t fast, int64_t unit) {
  using OneTile = Tile<Access>;
  const std::byte* from = storage.data();
  const int64_t last_read = static_cast<int64_t>(storage.size()) - 16;
  // The two lines must not take each other's first dim.
  const CopyDim column = dims.back();
  dims.pop_back();
  const std::vector<CopyDim> rows = take_line(&dims, fast, &CopyDim::from, unit, OneTile::kRows);
  dims.push_back(column);
  const std::vector<CopyDim> columns =
      take_line(&dims, dims.size() - 1, &CopyDim::to, unit, OneTile::kColumns);
  const int64_t row_count = product(rows), column_count = product(columns);
  const int64_t outer = product(dims);
  const int64_t bands = (row_count + OneTile::kRows - 1) / OneTile::kRows;
  const int64_t tiles = (column_count + OneTile::kColumns - 1) / OneTile::kColumns;
  const int64_t tile_bytes = std::min(OneTile::kRows, row_count) * OneTile::kColumns * OneTile::kWidth;
  parallel_for(outer * bands * tiles, grain_of(tile_bytes), [&](int64_t begin, int64_t end) {
    OneTile tile;
    typename OneTile::Columns next;
    Odometer place(dims, begin / tiles % outer);
    int64_t next_to = 0;
    const auto look_at = [&](int64_t i) {
      const int64_t first = i % tiles * OneTile::kColumns;
      next.count = std::min(OneTile::kColumns, column_count - first);
      const int64_t source = from_place + place.from + i / tiles / outer * OneTile::kRows * unit;
      if (columns.size() == 1) {
        next.step = columns[0].from;
        for (int64_t k = 0; k < next.count; ++k) next.from[k] = source + (first + k) * next.step;
      } else {
        Odometer column(columns, first);
        for (int64_t k = 0; k < next.count; ++k, column.next()) next.from[k] = source + column.from;
      }
      next_to = place.to + first * unit;
    };
    look_at(begin);
    int64_t at_band = -1;
    for (int64_t i = begin; i < end; ++i) {
      tile.columns = next;
      const int64_t band = i / tiles / outer, to_place = next_to;
      if (band != at_band) {
        tile.rows = std::min(OneTile::kRows, row_count - band * OneTile::kRows);
        Odometer row(rows, band * OneTile::kRows);
        tile.rows_follow = tiles == 1;
        for (int64_t r = 0; r < tile.rows; ++r, row.next()) {
          tile.row_to[r] = row.to;
          if (r > 0) tile.rows_follow &= row.to == tile.row_to[r - 1] + column_count * OneTile::kWidth;
        }
        at_band = band;
      }
      next.count = 0;
      if (i + 1 < end) {
        if ((i + 1) % tiles == 0) place.next();
        look_at(i + 1);
      }
      tile.turn(from, last_read, to, to_place, next);
    }
#if defined(__SSE2__)
    _mm_sfence();
#endif
  });
}

// The dim along which the source runs, if turning it against the last dim of the result pays.
size_t turned_dim(std::span<const CopyDim> dims, int64_t unit) {
  if (dims.size() < 2 || dims.back().to != unit || dims.back().from == unit) return dims.size();
  for (size_t d = 0; d + 1 < dims.size(); ++d)
    if (dims[d].from == unit && dims[d].extent >= 3 && dims.back().extent >= 3) return d;
  return dims.size();
}

template <typename T>
void copy_typed(const StridedSource& source, std::byte* to, std::vector<CopyDim> dims) {
  constexpr int64_t kWidth = sizeof(T);
  const std::byte* from = source.bytes.data() + source.offset * kWidth;
  if (dims.empty()) {
    std::memcpy(to, from, sizeof(T));
    return;
  }
  const CopyDim last = dims.back();
  if (last.from == kWidth && last.to == kWidth) {
    dims.pop_back();
    return copy_runs(from, to, std::move(dims), last.extent * kWidth);
  }
  if constexpr (sizeof(T) <= 8) {
    if (const size_t fast = turned_dim(dims, kWidth); fast < dims.size())
      return copy_transposed<WholeElements<T>>(source.bytes, source.offset * kWidth, to, std::move(dims),
                                               fast, kWidth);
  }
  copy_one_by_one<T>(from, to, dims);
}

bool no_elements(std::span<const int64_t> shape) {
  return std::find(shape.begin(), shape.end(), 0) != shape.end();
}

}  // namespace

void copy_elements(const StridedSource& from, int64_t width, std::span<const int64_t> shape, std::byte* to,
                   std::span<const int64_t> to_strides) {
  if (no_elements(shape)) return;
  std::vector<CopyDim> dims = true_dims(width, shape, from.strides, to_strides);
  switch (width) {
    case 1: return copy_typed<uint8_t>(from, to, std::move(dims));
    case 2: return copy_typed<uint16_t>(from, to, std::move(dims));
    case 4: return copy_typed<uint32_t>(from, to, std::move(dims));
    case 8: return copy_typed<uint64_t>(from, to, std::move(dims));
    default: return copy_typed<Wide16>(from, to, std::move(dims));
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

// Lines of a tile are unpacked when they are read and packed when they are written. Places count elements.
struct Nibbles {
  using Element = uint8_t;
  static constexpr bool kDirect = false;
  static void fetch(const std::byte* from, int64_t place, int64_t count) {
    fetch_line(from + place / 2, count / 2 + 1);
  }
  static const std::byte* read(const std::byte* from, int64_t place, int64_t count, std::byte* line) {
    const int64_t odd = place & 1;
    unpack_bytes(from + place / 2, (count + odd + 1) / 2, line);
    return line + odd;
  }
  static void write(const std::byte* line, std::byte* to, int64_t place, int64_t count) {
    alignas(16) std::byte packed[128];
    pack_pairs(line, count / 2, packed);
    stream_line(packed, to + place / 2, count / 2);
  }
};

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
  copy_transposed<Nibbles>(from.bytes, from.offset, to, std::move(dims), fast, 1);
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
