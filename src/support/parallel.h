// Data-parallel loops. Work is cut into chunks that do not depend on the number of threads, so a result
// that is computed per chunk has the same bits whatever that number is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace zp {

// 0: all cores. Set once at start-up by the program.
void set_thread_count(int threads);
int thread_count();

// Calls body(begin, end) for consecutive ranges of at most `grain` items that cover [0, count).
// Runs on the calling thread when count <= grain or one thread is set. Nested calls run serially.
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

}  // namespace zp
