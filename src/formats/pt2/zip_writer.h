// Writes zip archives laid out as PyTorch's file writer does (caffe2/serialize/inline_container.cc): records
// stored, under one root folder, every payload at a multiple of 64 bytes so that readers can map it, sizes
// and CRC behind the payload and in the directory, no dates. Equal records give equal bytes. The payload of a
// record whose CRC is known (carried over from another archive) is copied by the kernel and never read here;
// a large one begins where its source begins in a page, since whole pages are cheaper to copy.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "support/atomic_file.h"
#include "support/blob.h"
#include "support/result.h"

namespace zp::pt2 {

struct ZipWriteOptions {
  uint64_t large = 0xFFFFFFFF;  // sizes and offsets from here on use the 64-bit fields; lower only in tests
};

class ZipWriter {
 public:
  // `root` is the folder in front of every name.
  static Result<ZipWriter> create(const std::string& target, std::string_view root,
                                  const ZipWriteOptions& options = {});
  ZipWriter(ZipWriter&&) noexcept;
  ~ZipWriter();

  Status add(std::string_view name, std::string_view text);
  Status add(std::string_view name, const Blob& payload, std::optional<uint32_t> crc = {});
  // A record whose size is known only at its end. append() keeps the first error for end().
  Status begin(std::string_view name);
  void append(std::string_view text);
  Status end();
  // `.data/serialization_id` from what was added so far, the directory, and the rename to the target's name.
  // Without it the target stays as it was.
  Status finish();

 private:
  struct State;
  explicit ZipWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace zp::pt2
