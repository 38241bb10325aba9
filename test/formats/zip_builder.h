// Builds zip archives by hand for tests, with every field open to be made wrong.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "support/blob.h"

namespace zp::test {

struct ZipItem {
  std::string name;
  std::string data;
  bool deflate = false;
  bool zip64 = false;  // sizes and offset only in the zip64 field
  uint16_t extra = 0;  // filler bytes in the local header
  uint16_t flags = 0x0800;
  int method = -1;          // overrides the method field
  int64_t size = -1;        // overrides the uncompressed size
  int64_t compressed = -1;  // overrides the compressed size
  int64_t offset = -1;      // overrides the header offset
  int64_t crc = -1;         // overrides the checksum
};

inline void put(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(i < 8 ? value >> (8 * i) & 0xFF : 0);
}

inline std::string deflated(const std::string& data) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, data.size()) + 16, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// `end64`: a zip64 end record and its locator stand before the classic one.
inline std::string build_zip(const std::vector<ZipItem>& items, bool end64 = false,
                             const std::string& comment = {}) {
  std::string out, directory;
  for (const ZipItem& item : items) {
    const uint64_t offset = item.offset >= 0 ? static_cast<uint64_t>(item.offset) : out.size();
    const std::string payload = item.deflate ? deflated(item.data) : item.data;
    const uint64_t method = item.method >= 0 ? static_cast<uint64_t>(item.method) : (item.deflate ? 8 : 0);
    const uint64_t size = item.size >= 0 ? static_cast<uint64_t>(item.size) : item.data.size();
    const uint64_t compressed =
        item.compressed >= 0 ? static_cast<uint64_t>(item.compressed) : payload.size();
    const auto computed =
        crc32(0, reinterpret_cast<const Bytef*>(item.data.data()), static_cast<uInt>(item.data.size()));
    const uint64_t crc = item.crc >= 0 ? static_cast<uint64_t>(item.crc) : computed;
    // Local header: as torch writes it, sizes and checksum are zero here.
    put(out, 0x04034b50, 4);
    put(out, 20, 2);
    put(out, item.flags, 2);
    put(out, method, 2);
    put(out, 0, 4 + 4 + 4 + 4);
    put(out, item.name.size(), 2);
    put(out, item.extra, 2);
    out += item.name + std::string(item.extra, 'Z') + payload;
    put(directory, 0x02014b50, 4);
    put(directory, 20, 2);
    put(directory, 20, 2);
    put(directory, item.flags, 2);
    put(directory, method, 2);
    put(directory, 0, 4);
    put(directory, crc, 4);
    put(directory, item.zip64 ? 0xFFFFFFFF : compressed, 4);
    put(directory, item.zip64 ? 0xFFFFFFFF : size, 4);
    put(directory, item.name.size(), 2);
    put(directory, item.zip64 ? 28 : 0, 2);
    put(directory, 0, 2 + 2 + 2 + 4);
    put(directory, item.zip64 ? 0xFFFFFFFF : offset, 4);
    directory += item.name;
    if (item.zip64) {
      put(directory, 1, 2);
      put(directory, 24, 2);
      put(directory, size, 8);
      put(directory, compressed, 8);
      put(directory, offset, 8);
    }
  }
  const uint64_t at = out.size();
  out += directory;
  if (end64) {
    const uint64_t record = out.size();
    put(out, 0x06064b50, 4);
    put(out, 44, 8);
    put(out, 45, 2);
    put(out, 45, 2);
    put(out, 0, 8);
    put(out, items.size(), 8);
    put(out, items.size(), 8);
    put(out, directory.size(), 8);
    put(out, at, 8);
    put(out, 0x07064b50, 4);
    put(out, 0, 4);
    put(out, record, 8);
    put(out, 1, 4);
  }
  put(out, 0x06054b50, 4);
  put(out, 0, 4);
  put(out, end64 ? 0xFFFF : items.size(), 2);
  put(out, end64 ? 0xFFFF : items.size(), 2);
  put(out, end64 ? 0xFFFFFFFF : directory.size(), 4);
  put(out, end64 ? 0xFFFFFFFF : at, 4);
  put(out, comment.size(), 2);
  return out + comment;
}

inline Blob blob_of(const std::string& text) {
  return Blob::copy_of(std::as_bytes(std::span(text.data(), text.size())));
}

inline std::string text_of(const Blob& blob) {
  return {reinterpret_cast<const char*>(blob.data()), blob.size()};
}

}  // namespace zp::test
