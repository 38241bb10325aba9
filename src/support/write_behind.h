// Writes to a file in order and behind the caller's back: buffers are handed over, a thread of its own puts
// them into the file. Pays where much text is made and written at once: making it does not wait for the page
// cache. At most kQueue buffers wait. After a failure nothing more is written; drain() tells.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace zp {

class WriteBehind {
 public:
  static constexpr size_t kQueue = 8;

  explicit WriteBehind(int descriptor);
  ~WriteBehind();  // waits for the thread
  WriteBehind(const WriteBehind&) = delete;

  // Takes the bytes and leaves an empty buffer of about the same capacity. Waits while the queue is full.
  // Returns 0 or the errno of an earlier failure.
  int hand_over(std::vector<std::byte>& buffer);
  // Waits until all is written. Returns 0 or the errno of the first failure.
  int drain();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// All bytes by write(2). Returns 0 or errno.
int write_all(int descriptor, const std::byte* data, size_t size);

}  // namespace zp
