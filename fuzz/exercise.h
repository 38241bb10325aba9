// What the fuzz targets do with a model once its bytes were accepted: everything a person would. Limits are
// small, so that a run is short; an internal error, which says that an invariant of ours broke, ends the
// process like a crash does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "ir/model.h"

namespace zp::fuzz {

// Small tensors, few rounds of a loop. Called once by every target.
void set_limits();

// Bytes as a file with a path, in memory.
class MemoryFile {
 public:
  MemoryFile(const void* data, size_t size);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const;

 private:
  int descriptor_ = -1;
};

// Verifies, prints and reads the text back, runs on seeded inputs.
void exercise(const Model& model);
// Reads the archive at `path`, then does some of: exercise it, compile it for some backend, write it and read
// that again.
void exercise_archive(const std::string& path, uint32_t choice);
// Aborts if the error is an internal one.
void expect_refused(const Error& error);

}  // namespace zp::fuzz
