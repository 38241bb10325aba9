#include "support/write_behind.h"

#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace zp {

int write_all(int descriptor, const std::byte* data, size_t size) {
  while (size > 0) {
    const ssize_t done = ::write(descriptor, data, size);
    if (done < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    data += done;
    size -= static_cast<size_t>(done);
  }
  return 0;
}

struct WriteBehind::State {
  int descriptor;
  std::mutex mutex;
  std::condition_variable work, progress;
  std::deque<std::vector<std::byte>> waiting;
  std::vector<std::vector<std::byte>> spare;
  bool writing = false, stop = false;
  int problem = 0;
  std::thread thread;

  void run() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      work.wait(lock, [&] { return stop || !waiting.empty(); });
      if (waiting.empty()) return;
      std::vector<std::byte> buffer = std::move(waiting.front());
      waiting.pop_front();
      writing = true;
      const bool failed = problem != 0;
      lock.unlock();
      const int error = failed ? 0 : write_all(descriptor, buffer.data(), buffer.size());
      buffer.clear();
      lock.lock();
      if (problem == 0) problem = error;
      spare.push_back(std::move(buffer));
      writing = false;
      progress.notify_all();
    }
  }
};

WriteBehind::WriteBehind(int descriptor) : state_(std::make_unique<State>()) {
  state_->descriptor = descriptor;
  state_->thread = std::thread([this] { state_->run(); });
}

WriteBehind::~WriteBehind() {
  {
    std::lock_guard<std::mutex> lock(state_->mutex);
    state_->stop = true;
  }
  state_->work.notify_all();
  state_->thread.join();
}

int WriteBehind::hand_over(std::vector<std::byte>& buffer) {
  State& s = *state_;
  std::vector<std::byte> next;
  int problem = 0;
  {
    std::unique_lock<std::mutex> lock(s.mutex);
    s.progress.wait(lock, [&] { return s.waiting.size() < kQueue; });
    problem = s.problem;
    const size_t capacity = buffer.capacity();
    s.waiting.push_back(std::move(buffer));
    if (!s.spare.empty()) {
      next = std::move(s.spare.back());
      s.spare.pop_back();
    } else {
      next.reserve(capacity);
    }
  }
  s.work.notify_one();
  buffer = std::move(next);
  return problem;
}

int WriteBehind::drain() {
  State& s = *state_;
  std::unique_lock<std::mutex> lock(s.mutex);
  s.progress.wait(lock, [&] { return s.waiting.empty() && !s.writing; });
  return s.problem;
}

}  // namespace zp
