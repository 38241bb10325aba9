// Register tiles over rows of a and b with the sum index innermost: every loop is plain C++ that the compiler
// vectorizes, once for each instruction set, chosen at run time. A tile of 4 x 4 outputs reads 8 vectors for
// 16 multiply-adds.
#include "ops/gemm.h"

#include <algorithm>
#include <cstring>

#include "support/isa.h"
#include "support/parallel.h"

namespace zp::ops {
namespace {

#define ZP_INLINE inline __attribute__((always_inline))

// acc[m][n] = sum of a[m][i] * b[n][i]; i16 pairs become one multiply-add instruction.
template <typename T, typename Acc, int Rows, int Cols>
ZP_INLINE void integer_tile(const T* a, int64_t lda, const T* b, int64_t ldb, int64_t depth,
                            Acc (&sum)[Rows][Cols]) {
  Acc s[Rows][Cols] = {};
  for (int64_t i = 0; i < depth; ++i)
    for (int m = 0; m < Rows; ++m)
      for (int n = 0; n < Cols; ++n)
        s[m][n] += static_cast<Acc>(a[m * lda + i]) * static_cast<Acc>(b[n * ldb + i]);
  for (int m = 0; m < Rows; ++m)
    for (int n = 0; n < Cols; ++n) sum[m][n] = s[m][n];
}

// Partial sums stay in 32 bits for at most `chunk` products, then go to 64.
template <int Rows, int Cols>
ZP_INLINE void tile(const int16_t* a, int64_t lda, const int16_t* b, int64_t ldb, int64_t depth,
                    int64_t chunk, int64_t* c, int64_t ldc) {
  int64_t total[Rows][Cols] = {};
  for (int64_t begin = 0; begin < depth; begin += chunk) {
    int32_t sum[Rows][Cols];
    integer_tile(a + begin, lda, b + begin, ldb, std::min(chunk, depth - begin), sum);
    for (int m = 0; m < Rows; ++m)
      for (int n = 0; n < Cols; ++n) total[m][n] += sum[m][n];
  }
  for (int m = 0; m < Rows; ++m)
    for (int n = 0; n < Cols; ++n) c[m * ldc + n] = total[m][n];
}

template <int Rows, int Cols>
ZP_INLINE void tile(const int32_t* a, int64_t lda, const int32_t* b, int64_t ldb, int64_t depth, int64_t,
                    int64_t* c, int64_t ldc) {
  int64_t sum[Rows][Cols];
  integer_tile(a, lda, b, ldb, depth, sum);
  for (int m = 0; m < Rows; ++m)
    for (int n = 0; n < Cols; ++n) c[m * ldc + n] = sum[m][n];
}

template <typename T, int Width>
struct Vector {
  typedef T type __attribute__((vector_size(Width * sizeof(T))));
};

// Sixteen lanes in 16 / Width vectors; then the tree.
template <typename T, int Width, int Rows, int Cols>
ZP_INLINE void float_tile(const T* a, int64_t lda, const T* b, int64_t ldb, int64_t depth, T* c,
                          int64_t ldc) {
  using V = typename Vector<T, Width>::type;
  constexpr int kParts = 16 / Width;
  V sum[Rows][Cols][kParts] = {};
  for (int64_t i = 0; i < depth; i += 16) {
    for (int p = 0; p < kParts; ++p) {
      V x[Rows], y;
      for (int m = 0; m < Rows; ++m) std::memcpy(&x[m], a + m * lda + i + p * Width, sizeof(V));
      for (int n = 0; n < Cols; ++n) {
        std::memcpy(&y, b + n * ldb + i + p * Width, sizeof(V));
        for (int m = 0; m < Rows; ++m) sum[m][n][p] += x[m] * y;
      }
    }
  }
  for (int m = 0; m < Rows; ++m) {
    for (int n = 0; n < Cols; ++n) {
      T lane[16];
      std::memcpy(lane, sum[m][n], sizeof(lane));
      for (int width = 8; width >= 1; width /= 2)
        for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
      c[m * ldc + n] = lane[0];
    }
  }
}

// Walks the outputs in tiles; rows and columns that do not fill a tile go one by one.
template <int Rows, int Cols, typename Tile>
ZP_INLINE void walk(int64_t rows, int64_t cols, const Tile& one) {
  int64_t n = 0;
  for (; n + Cols <= cols; n += Cols) {
    int64_t m = 0;
    for (; m + Rows <= rows; m += Rows) one.template run<Rows, Cols>(m, n);
    for (; m < rows; ++m) one.template run<1, Cols>(m, n);
  }
  for (; n < cols; ++n) {
    int64_t m = 0;
    for (; m + Rows <= rows; m += Rows) one.template run<Rows, 1>(m, n);
    for (; m < rows; ++m) one.template run<1, 1>(m, n);
  }
}

template <typename T, typename C>
struct Job {
  const T *a, *b;
  int64_t lda, ldb, rows, cols, depth, chunk;
  C* c;
  int64_t ldc;
};

template <typename T>
struct IntegerTile {
  const Job<T, int64_t>& j;
  template <int Rows, int Cols>
  ZP_INLINE void run(int64_t m, int64_t n) const {
    tile<Rows, Cols>(j.a + m * j.lda, j.lda, j.b + n * j.ldb, j.ldb, j.depth, j.chunk, j.c + m * j.ldc + n,
                     j.ldc);
  }
};

template <typename T, int Width>
struct FloatTile {
  const Job<T, T>& j;
  template <int Rows, int Cols>
  ZP_INLINE void run(int64_t m, int64_t n) const {
    float_tile<T, Width, Rows, Cols>(j.a + m * j.lda, j.lda, j.b + n * j.ldb, j.ldb, j.depth,
                                     j.c + m * j.ldc + n, j.ldc);
  }
};

struct Isa {
  bool (*present)();
  void (*i16)(const Job<int16_t, int64_t>&);
  void (*i32)(const Job<int32_t, int64_t>&);
  void (*f32)(const Job<float, float>&);
  void (*f64)(const Job<double, double>&);
};

// One set of loops: the attributes of its functions, tile sizes for integers and for floats, lanes of a float
// vector.
#define ZP_GEMM_ISA(NAME, ATTRIBUTE, INT_ROWS, INT_COLS, FLOAT_ROWS, FLOAT_COLS, LANES) \
  ATTRIBUTE void i16_##NAME(const Job<int16_t, int64_t>& j) {                           \
    walk<INT_ROWS, INT_COLS>(j.rows, j.cols, IntegerTile<int16_t>{j});                  \
  }                                                                                     \
  ATTRIBUTE void i32_##NAME(const Job<int32_t, int64_t>& j) {                           \
    walk<2, 2>(j.rows, j.cols, IntegerTile<int32_t>{j});                                \
  }                                                                                     \
  ATTRIBUTE void f32_##NAME(const Job<float, float>& j) {                               \
    walk<FLOAT_ROWS, FLOAT_COLS>(j.rows, j.cols, FloatTile<float, LANES>{j});           \
  }                                                                                     \
  ATTRIBUTE void f64_##NAME(const Job<double, double>& j) {                             \
    walk<FLOAT_ROWS / 2, FLOAT_COLS>(j.rows, j.cols, FloatTile<double, LANES / 2>{j});  \
  }

ZP_GEMM_ISA(plain, , 4, 2, 2, 1, 4)
#if defined(__x86_64__)
#if defined(__clang__)
#define ZP_WIDE ""
#else
#define ZP_WIDE ",prefer-vector-width=512"
#endif
ZP_GEMM_ISA(avx2, __attribute__((target("avx2"))), 4, 2, 2, 2, 8)
ZP_GEMM_ISA(avx512, __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq" ZP_WIDE))), 4, 4, 4, 4, 16)
ZP_GEMM_ISA(vnni, __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni" ZP_WIDE))), 4, 4, 4,
            4, 16)
#endif

constexpr Isa kIsas[] = {
    {[] { return true; }, i16_plain, i32_plain, f32_plain, f64_plain},
#if defined(__x86_64__)
    {has_avx2, i16_avx2, i32_avx2, f32_avx2, f64_avx2},
    {has_avx512, i16_avx512, i32_avx512, f32_avx512, f64_avx512},
    {has_avx512_vnni, i16_vnni, i32_vnni, f32_vnni, f64_vnni},
#endif
};

int& chosen_isa() {
  static int index = count_present(kIsas) - 1;
  return index;
}

const Isa& isa() { return kIsas[chosen_isa()]; }

}  // namespace

int gemm_isa_count() { return count_present(kIsas); }
void set_gemm_isa(int index) { chosen_isa() = std::clamp(index, 0, count_present(kIsas) - 1); }

void gemm(const int16_t* a, const int16_t* b, int64_t lda, int64_t ldb, int64_t rows, int64_t cols,
          int64_t depth, int64_t bound, int64_t* c, int64_t ldc) {
  const int64_t most = INT32_MAX / std::max<int64_t>(bound, 1);
  const int64_t chunk = std::max(kGemmStep, most / kGemmStep * kGemmStep);
  isa().i16({a, b, lda, ldb, rows, cols, depth, chunk, c, ldc});
}

void gemm(const int32_t* a, const int32_t* b, int64_t lda, int64_t ldb, int64_t rows, int64_t cols,
          int64_t depth, int64_t, int64_t* c, int64_t ldc) {
  isa().i32({a, b, lda, ldb, rows, cols, depth, depth, c, ldc});
}

void gemm(const float* a, const float* b, int64_t lda, int64_t ldb, int64_t rows, int64_t cols, int64_t depth,
          int64_t, float* c, int64_t ldc) {
  isa().f32({a, b, lda, ldb, rows, cols, depth, depth, c, ldc});
}

void gemm(const double* a, const double* b, int64_t lda, int64_t ldb, int64_t rows, int64_t cols,
          int64_t depth, int64_t, double* c, int64_t ldc) {
  isa().f64({a, b, lda, ldb, rows, cols, depth, depth, c, ldc});
}

}  // namespace zp::ops
