// Runs a command as a whole process and measures it: wall time, peak memory, exit code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace zp::bench {

struct ProcessResult {
  double ms = 0;
  uint64_t peak_rss_bytes = 0;
  int exit_code = -1;
};

// Output of the command is thrown away.
ProcessResult run_process(const std::vector<std::string>& command);
// The fastest of `repeats` runs; peak memory is the largest seen. Stops at the first failure.
ProcessResult best_of(int repeats, const std::vector<std::string>& command);

// The most memory of its own (pages of files not counted) that the command was seen to have while it ran: it
// is looked at all the time, so the command itself runs a little slower. 0 if it fails.
uint64_t peak_private_bytes(const std::vector<std::string>& command);

}  // namespace zp::bench
