// Interleaving line i with line i + n/2 of n lines, log2(n) times, transposes n x n elements within 16 bytes.
// A wider register holds several such squares side by side, of lines that lie n apart: their results are
// pieces of the same line, so a register is a longer line and nothing has to cross its lanes. The loops are
// plain C++ on vector types, compiled once for each instruction set.
#include "support/turn_block.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "support/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace zp {
namespace {

#define ZP_INLINE inline __attribute__((always_inline))

template <typename T, int Lanes>
struct Vector {
  typedef T type __attribute__((vector_size(16 * Lanes)));
};
template <int Width>
struct Unsigned {
  using type = uint64_t;
};
template <>
struct Unsigned<1> {
  using type = uint8_t;
};
template <>
struct Unsigned<2> {
  using type = uint16_t;
};
template <>
struct Unsigned<4> {
  using type = uint32_t;
};

// Lane i of register j becomes lane j of register i; results are `pitch` apart.
template <int Lanes>
struct Across {
  static ZP_INLINE void turn(const std::byte* from, std::byte* to, int64_t) { std::memcpy(to, from, 16); }
};
template <>
struct Across<2> {
  static ZP_INLINE void turn(const std::byte* from, std::byte* to, int64_t pitch) {
    using V = Vector<uint64_t, 2>::type;
    V a, b;
    std::memcpy(&a, from, 32);
    std::memcpy(&b, from + 32, 32);
    const V first = __builtin_shufflevector(a, b, 0, 1, 4, 5),
            second = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    std::memcpy(to, &first, 32);
    std::memcpy(to + pitch, &second, 32);
  }
};
template <>
struct Across<4> {
  static ZP_INLINE void turn(const std::byte* from, std::byte* to, int64_t pitch) {
    using V = Vector<uint64_t, 4>::type;
    V v[4], half[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) std::memcpy(&v[i], from + 64 * i, 64);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      half[2 * i] = __builtin_shufflevector(v[2 * i], v[2 * i + 1], 0, 1, 2, 3, 8, 9, 10, 11);
      half[2 * i + 1] = __builtin_shufflevector(v[2 * i], v[2 * i + 1], 4, 5, 6, 7, 12, 13, 14, 15);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      v[2 * i] = __builtin_shufflevector(half[i], half[i + 2], 0, 1, 4, 5, 8, 9, 12, 13);
      v[2 * i + 1] = __builtin_shufflevector(half[i], half[i + 2], 2, 3, 6, 7, 10, 11, 14, 15);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) std::memcpy(to + i * pitch, &v[i], 64);
  }
};

template <int Width, int Lanes>
struct Square {
  using T = typename Unsigned<Width>::type;
  using V = typename Vector<T, Lanes>::type;
  static constexpr int kLine = 16 * Lanes;
  static constexpr int kCount = 16 / Width;                                // lines of a square
  static constexpr int kTotal = static_cast<int>(16 * Lanes / sizeof(T));  // elements of a register

  // Elements of the lower (upper) halves of each 16 bytes of a and b, in turn.
  template <int Upper, size_t... I>
  static ZP_INLINE V interleave(V a, V b, std::index_sequence<I...>) {
    return __builtin_shufflevector(a, b,
                                   (static_cast<int>(I) / kCount * kCount + static_cast<int>(I) % kCount / 2 +
                                    Upper * kCount / 2 + static_cast<int>(I) % 2 * kTotal)...);
  }

  // Transposes each square of the register.
  static ZP_INLINE void transpose(V (&lines)[kCount]) {
    if constexpr (kCount > 1) {
      constexpr auto kAll = std::make_index_sequence<static_cast<size_t>(kTotal)>();
#pragma GCC unroll 4
      for (int n = 1; n < kCount; n *= 2) {
        V next[kCount];
#pragma GCC unroll 8
        for (int i = 0; i < kCount / 2; ++i) {
          next[2 * i] = interleave<0>(lines[i], lines[i + kCount / 2], kAll);
          next[2 * i + 1] = interleave<1>(lines[i], lines[i + kCount / 2], kAll);
        }
#pragma GCC unroll 16
        for (int i = 0; i < kCount; ++i) lines[i] = next[i];
      }
    }
  }

  static ZP_INLINE void turn(const std::byte* block, std::byte* to, int64_t pitch) {
    V lines[kCount];
#pragma GCC unroll 16
    for (int k = 0; k < kCount; ++k) std::memcpy(&lines[k], block + k * kLine, kLine);
    transpose(lines);
    // One after the other: no address is kept for the next block.
#pragma GCC unroll 16
    for (int k = 0; k < kCount; ++k, to += pitch) std::memcpy(to, &lines[k], kLine);
  }

  static ZP_INLINE void turn_all(const std::byte* block, int64_t chunks, std::byte* to, int64_t pitch) {
    for (; chunks > 0; --chunks, block += kCount * kLine, to += kCount * pitch) turn(block, to, pitch);
  }

  // 16 bytes of the same line of each square.
  static ZP_INLINE V load(const std::byte* line, int64_t square) {
    using Lane = typename Vector<uint64_t, 1>::type;
    Lane lane[Lanes];
#pragma GCC unroll 4
    for (int g = 0; g < Lanes; ++g) std::memcpy(&lane[g], line + g * square, 16);
    if constexpr (Lanes == 1) {
      return reinterpret_cast<V>(lane[0]);
    } else if constexpr (Lanes == 2) {
      return reinterpret_cast<V>(__builtin_shufflevector(lane[0], lane[1], 0, 1, 2, 3));
    } else {
      const auto first = __builtin_shufflevector(lane[0], lane[1], 0, 1, 2, 3);
      const auto second = __builtin_shufflevector(lane[2], lane[3], 0, 1, 2, 3);
      return reinterpret_cast<V>(__builtin_shufflevector(first, second, 0, 1, 2, 3, 4, 5, 6, 7));
    }
  }

  static ZP_INLINE void turn_near(const std::byte* from, int64_t step, int64_t chunks, std::byte* to,
                                  int64_t pitch) {
    for (; chunks > 0; --chunks, from += 16) {
      V lines[kCount];
      const std::byte* line = from;
#pragma GCC unroll 16
      for (int k = 0; k < kCount; ++k, line += step) lines[k] = load(line, kCount * step);
      transpose(lines);
#pragma GCC unroll 16
      for (int k = 0; k < kCount; ++k, to += pitch) std::memcpy(to, &lines[k], kLine);
    }
  }

  // Whole registers of `kCount` lines are turned; then the 16 bytes that Lanes such squares have of a line
  // are brought together.
  static ZP_INLINE void turn_far(const std::byte* from, int64_t step, std::byte* to, int64_t pitch) {
    alignas(64) std::byte squares[Lanes * kCount * kLine];
    for (int64_t column = 0; column < 64; column += kLine) {
      const std::byte* line = from + column;
      for (int g = 0; g < Lanes; ++g) {
        V lines[kCount];
#pragma GCC unroll 16
        for (int k = 0; k < kCount; ++k, line += step) std::memcpy(&lines[k], line, kLine);
        transpose(lines);
#pragma GCC unroll 16
        for (int k = 0; k < kCount; ++k) std::memcpy(squares + (k * Lanes + g) * kLine, &lines[k], kLine);
      }
      for (int k = 0; k < kCount; ++k)
        Across<Lanes>::turn(squares + k * Lanes * kLine, to + k * pitch, kCount * pitch);
      to += Lanes * kCount * pitch;
    }
  }
};

// Pairs of bytes become one byte of their lower nibbles, and one of their upper ones.
template <int Lanes>
ZP_INLINE void split_nibbles(const std::byte* from, int64_t bytes, std::byte* to, int64_t pitch) {
  using Pairs = typename Vector<uint16_t, Lanes>::type;
  typedef uint8_t Half __attribute__((vector_size(8 * Lanes)));
  for (int64_t i = 0; i < bytes; i += 16 * Lanes, to += 8 * Lanes) {
    Pairs v;
    std::memcpy(&v, from + i, sizeof(v));
    const Pairs lower = (v & 0x000F) | ((v >> 4) & 0x00F0), upper = ((v >> 4) & 0x000F) | ((v >> 8) & 0x00F0);
    const Half low = __builtin_convertvector(lower, Half), high = __builtin_convertvector(upper, Half);
    std::memcpy(to, &low, sizeof(low));
    std::memcpy(to + pitch, &high, sizeof(high));
  }
}

// ---------------------------------------------------------------- past the cache

#if defined(__SSE2__)
void stream_plain(const std::byte* from, int64_t pitch, std::byte* to, int64_t step, int64_t rows,
                  int64_t bytes) {
  for (; rows > 0; --rows, from += pitch, to += step)
    for (int64_t b = 0; b < bytes; b += 16)
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + b),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + b)));
}
#else
void stream_plain(const std::byte* from, int64_t pitch, std::byte* to, int64_t step, int64_t rows,
                  int64_t bytes) {
  for (; rows > 0; --rows, from += pitch, to += step) std::memcpy(to, from, static_cast<size_t>(bytes));
}
#endif
#if defined(__x86_64__)
__attribute__((target("avx2"))) void stream_avx2(const std::byte* from, int64_t pitch, std::byte* to,
                                                 int64_t step, int64_t rows, int64_t bytes) {
  for (; rows > 0; --rows, from += pitch, to += step)
    for (int64_t b = 0; b < bytes; b += 32)
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to + b),
                          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + b)));
}
__attribute__((target("avx512f"))) void stream_avx512(const std::byte* from, int64_t pitch, std::byte* to,
                                                      int64_t step, int64_t rows, int64_t bytes) {
  for (; rows > 0; --rows, from += pitch, to += step)
    for (int64_t b = 0; b < bytes; b += 64)
      _mm512_stream_si512(reinterpret_cast<__m512i*>(to + b), _mm512_loadu_si512(from + b));
}
#endif

struct Isa {
  bool (*present)();
  TurnKernels kernels;
};

#define ZP_TURN(NAME, ATTRIBUTE, LANES, WIDTH)                                                             \
  ATTRIBUTE void turn_##NAME##_##WIDTH(const std::byte* block, int64_t chunks, std::byte* to,              \
                                       int64_t pitch) {                                                    \
    Square<WIDTH, LANES>::turn_all(block, chunks, to, pitch);                                              \
  }                                                                                                        \
  ATTRIBUTE void near_##NAME##_##WIDTH(const std::byte* from, int64_t step, int64_t chunks, std::byte* to, \
                                       int64_t pitch) {                                                    \
    Square<WIDTH, LANES>::turn_near(from, step, chunks, to, pitch);                                        \
  }                                                                                                        \
  ATTRIBUTE void far_##NAME##_##WIDTH(const std::byte* from, int64_t step, std::byte* to, int64_t pitch) { \
    Square<WIDTH, LANES>::turn_far(from, step, to, pitch);                                                 \
  }
#define ZP_TURN_ISA(NAME, ATTRIBUTE, LANES)                                                         \
  ZP_TURN(NAME, ATTRIBUTE, LANES, 1)                                                                \
  ZP_TURN(NAME, ATTRIBUTE, LANES, 2)                                                                \
  ZP_TURN(NAME, ATTRIBUTE, LANES, 4)                                                                \
  ZP_TURN(NAME, ATTRIBUTE, LANES, 8)                                                                \
  ZP_TURN(NAME, ATTRIBUTE, LANES, 16)                                                               \
  ATTRIBUTE void split_##NAME(const std::byte* from, int64_t bytes, std::byte* to, int64_t pitch) { \
    split_nibbles<LANES>(from, bytes, to, pitch);                                                   \
  }                                                                                                 \
  constexpr TurnKernels kernels_##NAME = {                                                          \
      16 * LANES,                                                                                   \
      {turn_##NAME##_1, turn_##NAME##_2, turn_##NAME##_4, turn_##NAME##_8, turn_##NAME##_16},       \
      {near_##NAME##_1, near_##NAME##_2, near_##NAME##_4, near_##NAME##_8, near_##NAME##_16},       \
      {far_##NAME##_1, far_##NAME##_2, far_##NAME##_4, far_##NAME##_8, far_##NAME##_16},            \
      stream_##NAME,                                                                                \
      split_##NAME};

ZP_TURN_ISA(plain, , 1)
#if defined(__x86_64__)
#if defined(__clang__)
#define ZP_WIDE ""
#else
#define ZP_WIDE ",prefer-vector-width=512"
#endif
ZP_TURN_ISA(avx2, __attribute__((target("avx2"))), 2)
ZP_TURN_ISA(avx512, __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq" ZP_WIDE))), 4)
#endif

constexpr Isa kIsas[] = {
    {[] { return true; }, kernels_plain},
#if defined(__x86_64__)
    {has_avx2, kernels_avx2},
    {has_avx512, kernels_avx512},
#endif
};

int& widest() {
  static int index = count_present(kIsas) - 1;
  return index;
}

}  // namespace

const TurnKernels& turn_kernels(int64_t bytes) {
  int index = 0;
  while (index < widest() && kIsas[index].kernels.line < bytes) ++index;
  return kIsas[index].kernels;
}

int turn_isa_count() { return count_present(kIsas); }
void set_turn_isa(int index) { widest() = std::clamp(index, 0, count_present(kIsas) - 1); }

}  // namespace zp
