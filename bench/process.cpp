#include "process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace zp::bench {

namespace {

pid_t start_process(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t child = ::vfork();
  if (child == 0) {
    const int null = ::open("/dev/null", O_WRONLY);
    ::dup2(null, 1);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  return child;
}

}  // namespace

ProcessResult run_process(const std::vector<std::string>& command) {
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = start_process(command);
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

uint64_t peak_private_bytes(const std::vector<std::string>& command) {
  const pid_t child = start_process(command);
  if (child < 0) return 0;
  const std::string path = "/proc/" + std::to_string(child) + "/statm";
  const uint64_t page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  uint64_t most = 0;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    unsigned long long size = 0, resident = 0, shared = 0;
    if (FILE* file = std::fopen(path.c_str(), "r")) {
      if (std::fscanf(file, "%llu %llu %llu", &size, &resident, &shared) == 3 && resident > shared)
        most = std::max<uint64_t>(most, (resident - shared) * page);
      std::fclose(file);
    }
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? most : 0;
}

}  // namespace zp::bench
