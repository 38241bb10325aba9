// An output file that appears whole or not at all: bytes go to a temporary name beside the target and are
// renamed by commit(). Without commit() the temporary is removed and an existing target stays as it was.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "support/blob.h"
#include "support/result.h"

namespace zp {

class AtomicFile {
 public:
  // A range of a file is copied fastest to a position that differs from its own by a multiple of this.
  static constexpr uint64_t kPageSize = 4096;

  static Result<AtomicFile> create(const std::string& target);
  AtomicFile(AtomicFile&&) noexcept;
  AtomicFile& operator=(AtomicFile&&) noexcept;
  ~AtomicFile();

  Status write(std::span<const std::byte> bytes);  // buffered, appends
  Status write(std::string_view text);
  // Appends a blob; ranges of files go through copy_file_range where the kernel can.
  Status write(const Blob& blob);
  Status pad_to(uint64_t position);  // zero bytes up to `position`
  uint64_t position() const;
  Status commit();

 private:
  struct State;
  explicit AtomicFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Removes the temporaries of files that are being written; for a signal handler that ends the process.
void remove_temporaries();

// Whole-file helpers on top.
Status write_file(const std::string& path, std::string_view text);
Result<std::string> read_file(const std::string& path, uint64_t limit = uint64_t{1} << 32);

}  // namespace zp
