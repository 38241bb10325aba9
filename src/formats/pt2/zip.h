// Reads the directory of a zip archive that lies in memory (usually a mapped file). Stored payloads are
// slices, nothing is copied; deflated ones are inflated under a size bound. The central directory is trusted,
// a local header is read only to find where its payload begins, so opening touches the directory pages and no
// other: a file of many gigabytes is listed in milliseconds. Zip64 is understood; encryption, spanning and
// methods other than stored and deflate are refused by name. Source: .ZIP File Format Specification 6.3.10
// (APPNOTE.TXT).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "support/blob.h"
#include "support/result.h"

namespace zp::pt2 {

struct ZipEntry {
  std::string_view name;  // points into the directory
  uint64_t size = 0;
  uint64_t compressed_size = 0;
  uint64_t header_offset = 0;  // of the local header, from the start of the archive
  uint64_t end_bound = 0;      // where the next entry or the directory begins: the payload ends before
  uint32_t crc = 0;
  uint16_t method = 0;  // 0 stored, 8 deflate

  bool stored() const { return method == 0; }
};

struct ZipLimits {
  uint64_t max_entries = 4'000'000;
  uint64_t max_inflated = uint64_t{1} << 32;  // of one entry
  uint64_t max_ratio = 1100;                  // deflate cannot do better than 1032
  // All deflated entries together: more bytes than this, made of so few, are no model.
  uint64_t bomb_bytes = uint64_t{1} << 26;
  uint64_t bomb_ratio = 200;
};

class Zip {
 public:
  static Result<Zip> open(Blob bytes, const ZipLimits& limits = {});

  std::span<const ZipEntry> entries() const { return entries_; }  // in the order of the directory
  const ZipEntry* find(std::string_view name) const;

  // Where a stored payload begins in the archive.
  Result<uint64_t> payload_offset(const ZipEntry& entry) const;
  // The bytes: a slice where stored, inflated where not. An inflated payload is always checked against its
  // CRC, a stored one only by `verify`.
  Result<Blob> payload(const ZipEntry& entry) const;
  Status verify(const ZipEntry& entry) const;  // reads the payload and compares its CRC

  const Blob& bytes() const { return bytes_; }

 private:
  Blob bytes_;
  ZipLimits limits_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string_view, uint32_t> by_name_;
};

// True if the bytes begin like a zip archive (`PK\3\4`, or the empty archive `PK\5\6`).
bool looks_like_zip(std::span<const std::byte> bytes);

uint32_t crc32_of(std::span<const std::byte> bytes, uint32_t seed = 0);

}  // namespace zp::pt2
