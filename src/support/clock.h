// Wall-clock milliseconds since an arbitrary start, and the process's peak memory.
#pragma once

#include <cstdint>

namespace zp {

double now_ms();
uint64_t peak_rss_bytes();

}  // namespace zp
