#include "support/parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace zp {

namespace {

int g_threads = 1;
thread_local bool t_inside = false;

// Workers wait for a job; the caller works on it too and leaves when every chunk is done.
class Pool {
 public:
  static Pool& instance() {
    static Pool pool;
    return pool;
  }

  void run(int64_t count, int64_t grain, int helpers, const std::function<void(int64_t, int64_t)>& body) {
    std::lock_guard<std::mutex> one_job(job_mutex_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (static_cast<int>(workers_.size()) < helpers) workers_.emplace_back([this] { work(); });
      body_ = &body;
      count_ = count;
      grain_ = grain;
      next_ = 0;
      active_ = 0;
      ++generation_;
    }
    wake_.notify_all();
    t_inside = true;
    take_chunks();
    t_inside = false;
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return active_ == 0; });
    body_ = nullptr;
  }

 private:
  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : workers_) t.join();
  }

  void take_chunks() {
    for (;;) {
      const int64_t begin = next_.fetch_add(grain_);
      if (begin >= count_) return;
      (*body_)(begin, std::min(count_, begin + grain_));
    }
  }

  void work() {
    t_inside = true;
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stop_ || (generation_ != seen && body_ != nullptr); });
      if (stop_) return;
      seen = generation_;
      ++active_;
      lock.unlock();
      take_chunks();
      lock.lock();
      if (--active_ == 0) done_.notify_all();
    }
  }

  std::mutex job_mutex_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  const std::function<void(int64_t, int64_t)>* body_ = nullptr;
  int64_t count_ = 0, grain_ = 1;
  std::atomic<int64_t> next_{0};
  int active_ = 0;
  uint64_t generation_ = 0;
  bool stop_ = false;
};

}  // namespace

void set_thread_count(int threads) {
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  g_threads = threads <= 0 ? cores : std::min(threads, 256);
}

int thread_count() { return g_threads; }

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  grain = std::max<int64_t>(1, grain);
  if (count <= grain || g_threads == 1 || t_inside) {
    for (int64_t begin = 0; begin < count; begin += grain) body(begin, std::min(count, begin + grain));
    return;
  }
  Pool::instance().run(count, grain, g_threads - 1, body);
}

}  // namespace zp
