// What the processor can do, for kernels that exist once for each instruction set. A table of such kernels
// begins with the plain ones and has a member `present`, which says whether this machine runs an entry.
#pragma once

namespace zp {

#if defined(__x86_64__)
inline bool has_avx2() { return __builtin_cpu_supports("avx2"); }
inline bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
inline bool has_avx512_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
#endif

// How many entries, from the first on, this machine runs.
template <typename Isa, int N>
int count_present(const Isa (&table)[N]) {
  int count = 0;
  while (count < N && table[count].present()) ++count;
  return count;
}

}  // namespace zp
