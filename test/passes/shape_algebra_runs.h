// The runs over all small cases, for the tests (samples) and for the benchmark (all of them).
#pragma once

#include <cstdint>
#include <string>

namespace zp::algebra {

struct Count {
  int64_t cases = 0;
  std::string problem;  // of the first case that did not agree
};

// Every variant of every operator on every shape up to `rank` dims of the sizes 1, 2, 3, 4, 6 (with `zeros`:
// of 0, 1, 3, those without elements): labels and form; written type and moved elements of one in `every`.
// Each under one of the quantizations in turn, or under all.
Count run_singles(size_t rank, int every, bool zeros, bool all_quantizations);
// Every pair of variants with different maps on shapes up to 3 dims, each under one of the quantizations in
// turn, or under all. The work is dealt out by the shape between the two.
Count run_pairs(int part, int parts, bool all_quantizations);
// Seeded chains of three on shapes up to 3 dims: every element's scale and zero point as written, and the
// elements of one chain in four.
Count run_triples(int64_t count, uint32_t seed);

}  // namespace zp::algebra
