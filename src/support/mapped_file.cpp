#include "support/mapped_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "support/atomic_file.h"

namespace zp {

namespace {

// The handler may only use async-signal-safe calls, so the mappings are kept in a fixed table of atomics.
struct Mapping {
  std::atomic<const std::byte*> begin{nullptr};
  std::atomic<uint64_t> size{0};
};
constexpr size_t kMappings = 1024;
Mapping g_mappings[kMappings];

void remember(const std::byte* begin, uint64_t size) {
  for (Mapping& m : g_mappings) {
    const std::byte* expected = nullptr;
    if (m.begin.compare_exchange_strong(expected, begin)) {
      m.size = size;
      return;
    }
  }
}

void forget(const std::byte* begin) {
  for (Mapping& m : g_mappings) {
    if (m.begin.load() == begin) {
      m.size = 0;
      m.begin = nullptr;
      return;
    }
  }
}

void on_bus_error(int signal_number, siginfo_t* info, void*) {
  const auto* at = static_cast<const std::byte*>(info->si_addr);
  for (const Mapping& m : g_mappings) {
    const std::byte* begin = m.begin.load();
    if (begin != nullptr && at >= begin && at < begin + m.size.load()) {
      static const char message[] =
          "error: file.truncated: an input file became shorter while it was being read\n";
      remove_temporaries();
      [[maybe_unused]] const auto written = ::write(2, message, sizeof(message) - 1);
      ::_exit(1);
    }
  }
  ::signal(signal_number, SIG_DFL);
  ::raise(signal_number);
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  auto fail = [&](const char* what) {
    return Error("file.open", std::string(what) + ": " + std::strerror(errno)).in_file(path);
  };
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return fail("cannot open");
  std::shared_ptr<MappedFile> file(new MappedFile());
  file->path_ = path;
  file->descriptor_ = descriptor;
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return fail("cannot read its size");
  if (!S_ISREG(status.st_mode)) return Error("file.open", "not a regular file").in_file(path);
  file->size_ = static_cast<uint64_t>(status.st_size);
  if (file->size_ > 0) {
    void* memory = ::mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (memory == MAP_FAILED) return fail("cannot map");
    file->data_ = static_cast<const std::byte*>(memory);
    remember(file->data_, file->size_);
  }
  return std::shared_ptr<const MappedFile>(std::move(file));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) {
    forget(data_);
    ::munmap(const_cast<std::byte*>(data_), size_);
  }
  if (descriptor_ >= 0) ::close(descriptor_);
}

namespace {

void on_interrupt(int signal_number) {
  remove_temporaries();
  ::signal(signal_number, SIG_DFL);
  ::raise(signal_number);
}

}  // namespace

void guard_process() {
  ::signal(SIGXFSZ, SIG_IGN);  // writing beyond a limit is an error of the write
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::signal(number, on_interrupt);
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace zp
