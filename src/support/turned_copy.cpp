// Source lines of 64 bytes are turned in registers (turn_block.h) into a tile, some cache lines of each line
// of the result, which are then written past the cache. So both sides are touched by whole cache lines, once,
// even where all lines fall into one set of the cache. Tiles follow each other along the source, as its lines
// are what the machine can read ahead; the lines may run through several dims, as the taps and input channels
// of a convolution's weight do. Where lines of the result do not start with a cache line, tiles overlap by
// one, and each line is cut where its own cache lines end.
//
// Elements of 4 bits are turned as pairs: a byte of the source belongs to two lines of the result, which are
// told apart in the end.
#include "support/turned_copy.h"

#include <bit>
#include <cstring>
#include <optional>

#include "support/parallel.h"
#include "support/turn_block.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace zp {

namespace {

constexpr int64_t kLine = 64;                        // bytes of a cache line, and of a source line of a tile
constexpr int64_t kPastTheCache = int64_t{4} << 20;  // results from this size on are not read soon

typedef uint8_t Bytes16 __attribute__((vector_size(16)));

int64_t phase(const std::byte* p) { return static_cast<int64_t>(reinterpret_cast<uintptr_t>(p) % kLine); }

void copy_some(const std::byte* from, std::byte* to, int64_t bytes) {
  if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
}

// What is the same for all tiles of a copy.
struct Plan {
  TurnedCopy copy;
  std::vector<CopyDim> rows, columns, outer;  // rows run on in the source, columns in the result
  int64_t row_count = 0, column_count = 0, outer_count = 0;
  int64_t tile_rows = 0, tile_columns = 0, bands = 0, tiles = 0;
  int64_t overlap = 0;  // columns that a tile has in common with the one before
  int64_t lines = 0;    // of a tile, as the kernels write them
  int64_t pitch = 0;    // between lines of a tile
  bool past_the_cache = false, rows_follow = false;
  const TurnKernels* kernels = nullptr;

  int64_t lines_of_chunk() const { return 16 / copy.width; }
  int64_t unit() const { return copy.nibbles ? 1 : copy.width; }  // step between neighbours
  int64_t in_result(int64_t places) const { return copy.nibbles ? places / 2 : places; }  // as bytes
  int64_t bytes_of(int64_t columns) const { return in_result(columns * unit()); }
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

// Does every line of the result start with a cache line?
bool starts_with_lines(const Plan& p) {
  bool all = phase(p.copy.to) == 0;
  for (const auto* dims : {&p.rows, &p.outer})
    for (const CopyDim& d : *dims) all &= p.in_result(d.to) % kLine == 0;
  return all;
}

Plan plan_of(const TurnedCopy& copy, std::vector<CopyDim> dims, size_t fast) {
  Plan p;
  p.copy = copy;
  const int64_t per_line = kLine / copy.width * (copy.nibbles ? 2 : 1);
  // The two lines must not take each other's first dim.
  const CopyDim column = dims.back();
  dims.pop_back();
  p.rows = take_line(&dims, fast, &CopyDim::from, p.unit(), per_line);
  dims.push_back(column);
  p.columns = take_line(&dims, dims.size() - 1, &CopyDim::to, p.unit(), 512);
  p.outer = std::move(dims);
  p.row_count = product(p.rows);
  p.column_count = product(p.columns);
  p.outer_count = product(p.outer);
  p.tile_rows = std::min(per_line, p.row_count);
  const int64_t source_bytes = copy.nibbles ? (p.tile_rows + 1) / 2 : p.tile_rows * copy.width;
  p.lines = (source_bytes + 15) / 16 * p.lines_of_chunk();
  p.past_the_cache = p.bytes_of(p.row_count * p.column_count * p.outer_count) >= kPastTheCache &&
                     phase(copy.to) % copy.width == 0;
  const bool whole = starts_with_lines(p);
  if (p.past_the_cache && !whole) p.overlap = per_line;
  // Few lines are longer ones; so are those that become two.
  const int64_t tile_bytes = copy.nibbles ? 32768 : 8192;
  const auto most = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(tile_bytes / p.lines)));
  const int64_t row_bytes = p.column_count * copy.width;
  const int64_t line_bytes = std::min(most, (row_bytes + kLine - 1) / kLine * kLine);
  p.tile_columns = line_bytes / copy.width;
  p.kernels = &turn_kernels(std::min(line_bytes, row_bytes));
  // Short lines stand close together; others not a power of two apart, to spread over the cache.
  p.pitch = row_bytes <= 16 ? 16 : line_bytes + p.overlap * copy.width + kLine;
  p.bands = (p.row_count + p.tile_rows - 1) / p.tile_rows;
  p.tiles = (p.column_count + p.tile_columns - 1) / p.tile_columns;
  p.rows_follow =
      p.tiles == 1 && row_bytes <= kLine && !copy.nibbles && p.rows.size() == 1 && p.rows[0].to == row_bytes;
  return p;
}

// Short lines that follow each other in the result are put together until they fill cache lines.
class Pending {
 public:
  explicit Pending(const Plan& plan) : p_(plan) {}

  // `rows` lines of `length` bytes, `pitch` apart.
  void append(const std::byte* line, int64_t pitch, int64_t length, int64_t rows, std::byte* to) {
    if (to != to_ + size_) {
      flush();
      to_ = to;
    }
    while (rows > 0) {
      const int64_t some = std::min(rows, (kSize - size_) / length + 1);
      std::byte* place = bytes_ + size_;
      for (int64_t r = 0; r < some; ++r, line += pitch, place += length)
        for (int64_t b = 0; b < length; b += 16) std::memcpy(place + b, line + b, 16);
      rows -= some;
      size_ += some * length;
      if (size_ >= kSize) write_lines();
    }
  }

  void flush() {
    copy_some(bytes_, to_, size_);
    to_ += size_;
    size_ = 0;
  }

 private:
  void write_lines() {
    if (!p_.past_the_cache) return flush();
    const int64_t head = -phase(to_) & (kLine - 1), whole = (size_ - head) / kLine * kLine;
    copy_some(bytes_, to_, head);
    p_.kernels->stream(bytes_ + head, 0, to_ + head, 0, 1, whole);
    to_ += head + whole;
    size_ -= head + whole;
    std::memmove(bytes_, bytes_ + head + whole, kLine);
  }

  static constexpr int64_t kSize = 2048;
  const Plan& p_;
  std::byte* to_ = nullptr;
  int64_t size_ = 0;
  alignas(64) std::byte bytes_[kSize + 3 * kLine] = {};
};

class Tile {
 public:
  explicit Tile(const Plan& plan)
      : p_(plan),
        columns_(plan.columns.size() > 1 ? static_cast<size_t>(plan.tile_columns + plan.overlap) : 0),
        pending_(plan),
        lines_(static_cast<size_t>((plan.lines * plan.pitch + kLine - 1) / kLine) + 1),
        nibbles_(plan.copy.nibbles ? lines_.size() + static_cast<size_t>(2 * plan.lines) : 0) {
    const int64_t lines = p_.kernels->line / p_.copy.width;
    for (int64_t n = 0; n < lines; ++n) place_[n] = 16 * p_.kernels->place(n, p_.copy.width);
  }

  // Goes to a tile's columns, `tile` of the part of the copy that starts at the places `source` and `result`.
  void set_columns(int64_t tile, int64_t source, int64_t result) {
    first_ = tile * p_.tile_columns;
    last_ = std::min(p_.column_count, first_ + p_.tile_columns);
    in_tile_ = std::max<int64_t>(0, first_ - p_.overlap);
    result_ = result;
    if (p_.columns.size() == 1) {
      source_ = source + in_tile_ * p_.columns[0].from;
      return;
    }
    Odometer column(p_.columns, in_tile_);
    for (int64_t k = 0; k < last_ - in_tile_; ++k, column.next())
      columns_[static_cast<size_t>(k)] = source + column.from;
  }

  void turn(int64_t band) {
    const int64_t first_row = band * p_.tile_rows, width = p_.copy.width;
    const int64_t rows = std::min(p_.tile_rows, p_.row_count - first_row);
    const int64_t bytes = p_.copy.nibbles ? (rows + 1) / 2 : rows * width;
    const int64_t chunks = (bytes + 15) / 16, lines = p_.kernels->line / width, count = last_ - in_tile_;
    const auto which = std::countr_zero(static_cast<uint64_t>(width));
    for (int64_t c = 0; c < count; c += lines) {
      const Block block{c, std::min(lines, count - c), first_row * p_.unit(), bytes};
      std::byte* to = tile() + c * width;
      const auto even = block.count == lines ? even_lines(block, chunks) : std::nullopt;
      if (!even) {
        gather(block, chunks);
        p_.kernels->turn[which](block_, chunks, to, p_.pitch);
      } else if (chunks == 4) {
        p_.kernels->turn_far[which](even->first, even->step, to, p_.pitch);
      } else {
        p_.kernels->turn_near[which](even->first, even->step, chunks, to, p_.pitch);
      }
    }
    write(first_row, rows);
  }

  void flush() { pending_.flush(); }

 private:
  struct alignas(64) CacheLine {
    std::byte bytes[kLine];
  };
  struct Block {
    int64_t column, count;     // whose lines are taken, from the tile's first one on
    int64_t row_place, bytes;  // which part of them
  };

  static std::byte* bytes_in(std::vector<CacheLine>& lines) {
    return reinterpret_cast<std::byte*>(lines.data());
  }
  std::byte* tile() { return bytes_in(lines_); }

  // The source lines of a block where they are `step` bytes apart and may all be read to the end.
  struct EvenLines {
    const std::byte* first;
    int64_t step;
  };
  std::optional<EvenLines> even_lines(const Block& b, int64_t chunks) const {
    if (p_.columns.size() != 1) return std::nullopt;
    int64_t step = p_.columns[0].from, first = source_ + b.column * step + b.row_place;
    if (p_.copy.nibbles) {
      if (step % 2 != 0 || first % 2 != 0) return std::nullopt;
      step /= 2, first /= 2;
    }
    const int64_t last = std::max(first, first + (b.count - 1) * step);
    if (last + 16 * chunks > static_cast<int64_t>(p_.copy.storage.size())) return std::nullopt;
    return EvenLines{p_.copy.storage.data() + first, step};
  }

  // Brings the lines of some columns together, as the kernel wants them.
  void gather(const Block& b, int64_t chunks) {
    const int64_t apart = p_.lines_of_chunk() * p_.kernels->line;
    for (int64_t k = 0; k < b.count; ++k) {
      const int64_t place = p_.columns.size() == 1 ? source_ + (b.column + k) * p_.columns[0].from
                                                   : columns_[static_cast<size_t>(b.column + k)];
      gather_line(place + b.row_place, b.bytes, chunks, block_ + place_[k], apart);
    }
  }

  // Any line: one that starts in the middle of a byte, or is the last of the storage.
  void gather_line(int64_t place, int64_t bytes, int64_t chunks, std::byte* to, int64_t apart) const {
    const auto size = static_cast<int64_t>(p_.copy.storage.size());
    const bool odd = p_.copy.nibbles && place % 2 != 0;
    if (p_.copy.nibbles) place /= 2;
    const std::byte* line = p_.copy.storage.data() + place;
    alignas(16) std::byte last[kLine + 16];
    if (place + chunks * 16 + odd > size) {
      copy_some(line, last, std::min(bytes + odd, size - place));
      line = last;
    }
    for (int64_t c = 0; c < chunks; ++c) {
      if (odd) shift_nibbles(line + 16 * c, to + c * apart);
      else std::memcpy(to + c * apart, line + 16 * c, 16);
    }
  }

  static void shift_nibbles(const std::byte* from, std::byte* to) {
    Bytes16 v, next;
    std::memcpy(&v, from, 16);
    std::memcpy(&next, from + 1, 16);
    v = v >> 4 | next << 4;
    std::memcpy(to, &v, 16);
  }

  void write(int64_t first_row, int64_t rows) {
    const std::byte* line = tile();
    int64_t pitch = p_.pitch;
    if (p_.copy.nibbles) {
      pitch = (pitch / 2 + kLine - 1) / kLine * kLine;
      for (int64_t r = 0; r < rows; r += 2)
        p_.kernels->split_nibbles(line + r / 2 * p_.pitch, last_ - in_tile_, bytes_in(nibbles_) + r * pitch,
                                  pitch);
      line = bytes_in(nibbles_);
    }
    if (p_.rows.size() == 1) {
      const int64_t step = p_.in_result(p_.rows[0].to), length = p_.bytes_of(last_ - in_tile_);
      std::byte* to = p_.copy.to + p_.in_result(result_) + first_row * step;
      if (p_.rows_follow) return pending_.append(line, pitch, length, rows, to);
      if (p_.past_the_cache && p_.overlap == 0 && length % kLine == 0)
        return p_.kernels->stream(line, pitch, to + p_.bytes_of(first_), step, rows, length);
      for (int64_t r = 0; r < rows; ++r, line += pitch, to += step) write_line(line, to);
      return;
    }
    Odometer row(p_.rows, first_row);
    for (int64_t r = 0; r < rows; ++r, row.next(), line += pitch)
      write_line(line, p_.copy.to + p_.in_result(result_ + row.to));
  }

  // The part of a result line, which starts at `to`, that belongs to this tile. `line` is the first of the
  // tile's columns.
  void write_line(const std::byte* line, std::byte* to) const {
    std::byte *begin = to + p_.bytes_of(first_), *end = to + p_.bytes_of(last_);
    if (p_.past_the_cache) {
      // Cut where cache lines end; what is cut off here is written with the next tile.
      if (first_ > 0) begin -= phase(begin);
      if (last_ < p_.column_count) end -= phase(end);
    }
    line += begin - (to + p_.bytes_of(in_tile_));
    const int64_t head = std::min(end - begin, -phase(begin) & (kLine - 1));
    const int64_t whole = p_.past_the_cache ? (end - begin - head) / kLine * kLine : 0;
    if (whole > 0) {
      copy_some(line, begin, head);
      p_.kernels->stream(line + head, 0, begin + head, 0, 1, whole);
      line += head + whole, begin += head + whole;
    }
    copy_some(line, begin, end - begin);
  }

  const Plan& p_;
  int64_t first_ = 0, last_ = 0;  // columns written from this tile, but for those cut off
  int64_t in_tile_ = 0;           // its first column
  int64_t source_ = 0;            // the place of that column, where there is a step between neighbours
  std::vector<int64_t> columns_;  // the places of all, where not
  int64_t result_ = 0;
  Pending pending_;
  std::vector<CacheLine> lines_, nibbles_;
  int64_t place_[64];  // of the lines in a block
  alignas(64) std::byte block_[4 * 16 * kLine] = {};
};

}  // namespace

void copy_turned(const TurnedCopy& copy, std::vector<CopyDim> dims, size_t fast) {
  const Plan p = plan_of(copy, std::move(dims), fast);
  const int64_t tile_bytes = p.bytes_of(p.tile_rows * p.tile_columns);
  parallel_for(p.outer_count * p.tiles * p.bands, grain_of(tile_bytes), [&](int64_t begin, int64_t end) {
    Tile tile(p);
    int64_t band = begin % p.bands, number = begin / p.bands % p.tiles;
    Odometer place(p.outer, begin / p.bands / p.tiles);
    tile.set_columns(number, copy.place + place.from, place.to);
    for (int64_t i = begin;;) {
      tile.turn(band);
      if (++i == end) break;
      if (++band < p.bands) continue;
      band = 0;
      if (++number == p.tiles) {
        number = 0;
        place.next();
      }
      tile.set_columns(number, copy.place + place.from, place.to);
    }
    tile.flush();
#if defined(__SSE2__)
    if (p.past_the_cache) _mm_sfence();
#endif
  });
}

}  // namespace zp
