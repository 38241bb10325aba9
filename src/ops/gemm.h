// Products of rows with rows, in bulk: c[r][n] = sum over k of a[r][k] * b[n][k]. The reference arithmetic of
// all affine ops runs through these four loops, so every machine and thread count gives the same bits:
// integers are exact, floats use the order of eval_util.h. Wider vectors only make it faster; they pay from
// about 30 products an output on.
//
// Callers pad every row with zeros to a multiple of kGemmStep.
#pragma once

#include <cstdint>

namespace zp::ops {

inline constexpr int64_t kGemmStep = 32;

// 16-bit factors. `bound` is the largest |a * b| that can occur; kGemmStep * bound must be below 2^31.
void gemm(const int16_t* a, const int16_t* b, int64_t lda, int64_t ldb, int64_t rows, int64_t cols,
          int64_t depth, int64_t bound, int64_t* c, int64_t ldc);
// 32-bit factors; the caller has shown that no sum leaves 64 bits.
void gemm(const int32_t* a, const int32_t* b, int64_t lda, int64_t ldb, int64_t rows, int64_t cols,
          int64_t depth, int64_t bound, int64_t* c, int64_t ldc);
// Floats in the fixed order; `bound` is not used.
void gemm(const float* a, const float* b, int64_t lda, int64_t ldb, int64_t rows, int64_t cols, int64_t depth,
          int64_t bound, float* c, int64_t ldc);
void gemm(const double* a, const double* b, int64_t lda, int64_t ldb, int64_t rows, int64_t cols,
          int64_t depth, int64_t bound, double* c, int64_t ldc);

// The instruction sets this machine can choose from, plainest first; tests compare their bits. The last is
// the default.
int gemm_isa_count();
void set_gemm_isa(int index);

}  // namespace zp::ops
