#include "process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace zp::bench {

ProcessResult run_process(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = ::vfork();
  if (child == 0) {
    const int null = ::open("/dev/null", O_WRONLY);
    ::dup2(null, 1);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ProcessResult result;
  int status = 0;
  rusage usage{};
  if (child < 0 || ::wait4(child, &status, 0, &usage) != child) return result;
  result.ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  result.peak_rss_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

ProcessResult best_of(int repeats, const std::vector<std::string>& command) {
  ProcessResult best;
  for (int i = 0; i < repeats; ++i) {
    const ProcessResult one = run_process(command);
    if (one.exit_code != 0) return one;
    if (i == 0) best = one;
    best.ms = std::min(best.ms, one.ms);
    best.peak_rss_bytes = std::max(best.peak_rss_bytes, one.peak_rss_bytes);
  }
  return best;
}

}  // namespace zp::bench
