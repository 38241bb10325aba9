#include "support/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <vector>

#include "support/mapped_file.h"
#include "support/parallel.h"
#include "support/write_behind.h"

namespace zp {

namespace {

// Temporaries that exist now. A handler may only use async-signal-safe calls, hence a fixed table of atomics.
std::atomic<const char*> g_temporaries[64];

void swap_temporary(const char* from, const char* to) {
  for (std::atomic<const char*>& slot : g_temporaries) {
    const char* expected = from;
    if (slot.compare_exchange_strong(expected, to)) return;
  }
}

}  // namespace

void remove_temporaries() {
  for (std::atomic<const char*>& slot : g_temporaries)
    if (const char* path = slot.load(); path != nullptr) ::unlink(path);
}

constexpr size_t kBufferSize = size_t{1} << 18;
constexpr size_t kCopyRangeMin = size_t{1} << 16;   // below this a system call costs more than the copy
constexpr uint64_t kBehindMin = uint64_t{4} << 20;  // a thread pays from here on

struct AtomicFile::State {
  std::string target, temporary;
  int descriptor = -1;
  uint64_t position = 0;  // of the next byte, buffered ones included
  std::vector<std::byte> buffer;
  std::optional<WriteBehind> behind;

  Error fail(const char* what) const {
    return Error("file.write", std::string(what) + ": " + std::strerror(errno)).in_file(target);
  }

  Status check(int error) const {
    if (error == 0) return {};
    if (error == EFAULT) {  // the kernel could not read a mapped page: its file ends earlier now
      return Error("file.truncated", "an input file became shorter while it was being copied")
          .in_file(target);
    }
    errno = error;
    return fail("cannot write");
  }

  ~State() {
    if (descriptor >= 0) {
      behind.reset();
      ::close(descriptor);
      discard();
    }
  }

  void discard() {
    ::unlink(temporary.c_str());
    swap_temporary(temporary.c_str(), nullptr);
  }

  // The buffer goes on its way; in a long file that is written piece by piece, while the next one fills.
  Status hand_over() {
    if (!behind && position >= kBehindMin && thread_count() > 1) {
      try {
        behind.emplace(descriptor);
      } catch (const std::system_error&) {  // no thread to be had
      }
    }
    if (!behind) return flush();
    return check(behind->hand_over(buffer));
  }

  // Everything so far is in the file.
  Status flush() {
    if (behind) ZP_CHECK(check(behind->drain()));
    Status status = check(write_all(descriptor, buffer.data(), buffer.size()));
    buffer.clear();
    return status;
  }
};

AtomicFile::AtomicFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
AtomicFile::AtomicFile(AtomicFile&&) noexcept = default;
AtomicFile& AtomicFile::operator=(AtomicFile&&) noexcept = default;
AtomicFile::~AtomicFile() = default;

Result<AtomicFile> AtomicFile::create(const std::string& target) {
  auto state = std::make_unique<State>();
  state->target = target;
  struct stat status {};
  if (::stat(target.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
    return Error("file.write", "the target is a directory").in_file(target);
  }
  state->temporary = target + ".XXXXXX.tmp";
  state->descriptor = ::mkostemps(state->temporary.data(), 4, O_CLOEXEC);
  if (state->descriptor < 0) return state->fail("cannot create a temporary file beside the target");
  swap_temporary(nullptr, state->temporary.c_str());
  // mkostemps makes the file private; give it the mode that a plain creation would have.
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(state->descriptor, 0666 & ~mask);
  state->buffer.reserve(kBufferSize);
  return AtomicFile(std::move(state));
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  State& s = *state_;
  s.position += bytes.size();
  if (s.buffer.size() + bytes.size() > kBufferSize && !s.buffer.empty()) ZP_CHECK(s.hand_over());
  if (bytes.size() > 4 * kBufferSize) {
    ZP_CHECK(s.flush());
    return s.check(write_all(s.descriptor, bytes.data(), bytes.size()));
  }
  s.buffer.insert(s.buffer.end(), bytes.begin(), bytes.end());
  return {};
}

Status AtomicFile::write(std::string_view text) {
  return write(std::as_bytes(std::span(text.data(), text.size())));
}

// Whole pages that lie alike in both files are a third cheaper to copy: what stands before the first and
// behind the last of them is written plainly.
Status AtomicFile::write(const Blob& blob) {
  State& s = *state_;
  if (!blob.file() || blob.size() < kCopyRangeMin) return write(blob.bytes());
  const std::span<const std::byte> bytes = blob.bytes();
  const bool alike = (blob.offset() - s.position) % kPageSize == 0;
  const size_t head = alike ? (kPageSize - s.position % kPageSize) % kPageSize : 0;
  const size_t tail = alike ? (bytes.size() - head) % kPageSize : 0;
  ZP_CHECK(write(bytes.first(head)));
  ZP_CHECK(s.flush());
  auto from = static_cast<off64_t>(blob.offset() + head);
  const size_t end = bytes.size() - tail;
  size_t at = head;
  while (at < end) {
    const ssize_t done =
        ::copy_file_range(blob.file()->descriptor(), &from, s.descriptor, nullptr, end - at, 0);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) break;  // not supported here, or the file became shorter: the plain way decides
    at += static_cast<size_t>(done);
  }
  ZP_CHECK(s.check(write_all(s.descriptor, bytes.data() + at, end - at)));
  s.position += end - head;
  return write(bytes.last(tail));
}

Status AtomicFile::pad_to(uint64_t position) {
  static const std::byte zeros[4096] = {};
  while (state_->position < position) {
    const uint64_t missing = position - state_->position;
    ZP_CHECK(write(std::span<const std::byte>(zeros, missing < sizeof(zeros) ? missing : sizeof(zeros))));
  }
  return {};
}

uint64_t AtomicFile::position() const { return state_->position; }

Status AtomicFile::commit() {
  State& s = *state_;
  ZP_CHECK(s.flush());
  s.behind.reset();
  const int closed = ::close(s.descriptor);
  s.descriptor = -1;
  if (closed != 0 || ::rename(s.temporary.c_str(), s.target.c_str()) != 0) {
    Error error = s.fail(closed != 0 ? "cannot write" : "cannot rename the finished file to its name");
    s.discard();
    return error;
  }
  swap_temporary(s.temporary.c_str(), nullptr);
  return {};
}

Status write_file(const std::string& path, std::string_view text) {
  ZP_TRY(AtomicFile file, AtomicFile::create(path));
  ZP_CHECK(file.write(text));
  return file.commit();
}

Result<std::string> read_file(const std::string& path, uint64_t limit) {
  ZP_TRY(std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  if (file->size() > limit) {
    return Error("file.size", "has " + std::to_string(file->size()) + " bytes, at most " +
                                  std::to_string(limit) + " are accepted here")
        .in_file(path);
  }
  return std::string(reinterpret_cast<const char*>(file->data()), static_cast<size_t>(file->size()));
}

}  // namespace zp
