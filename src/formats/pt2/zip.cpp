#include "formats/pt2/zip.h"

#include <fmt/format.h>
#include <libdeflate.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

namespace zp::pt2 {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
constexpr uint64_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56, kLocatorSize = 20;

// Little-endian fields at any alignment; the caller has checked the bounds.
template <typename T>
T get(const std::byte* at) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(static_cast<T>(at[i]) << (8 * i));
  return value;
}

struct Directory {
  uint64_t offset = 0, size = 0, entries = 0;
};

Error bad(std::string id, std::string text) { return Error("zip." + std::move(id), std::move(text)); }

// The end record is the last one whose comment length reaches exactly to the end of the file.
Result<uint64_t> find_end(std::span<const std::byte> bytes) {
  if (bytes.size() < kEndSize)
    return bad("end", fmt::format("{} bytes are too few for a zip archive", bytes.size()));
  const uint64_t last = bytes.size() - kEndSize;
  const uint64_t first = last > 65535 ? last - 65535 : 0;
  for (uint64_t at = last + 1; at-- > first;) {
    if (get<uint32_t>(&bytes[at]) == kEnd && at + kEndSize + get<uint16_t>(&bytes[at + 20]) == bytes.size())
      return at;
  }
  return bad("end", "no end-of-directory record: the file is truncated or is no zip archive");
}

Result<Directory> read_end(std::span<const std::byte> bytes) {
  ZP_TRY(const uint64_t at, find_end(bytes));
  const std::byte* end = &bytes[at];
  if (get<uint16_t>(end + 4) != 0 || get<uint16_t>(end + 6) != 0) {
    return bad("spanned", "the archive is split over several files; only single-file archives are read");
  }
  Directory d{get<uint32_t>(end + 16), get<uint32_t>(end + 12), get<uint16_t>(end + 10)};
  uint64_t limit = at;
  const bool needs_64 = d.offset == 0xFFFFFFFF || d.size == 0xFFFFFFFF || d.entries == 0xFFFF;
  const bool has_64 = at >= kLocatorSize && get<uint32_t>(&bytes[at - kLocatorSize]) == kEnd64Locator;
  if (has_64) {
    const uint64_t where = get<uint64_t>(&bytes[at - kLocatorSize + 8]);
    if (where > at - kLocatorSize || at - kLocatorSize - where < kEnd64Size ||
        get<uint32_t>(&bytes[where]) != kEnd64) {
      return bad("end64",
                 fmt::format("the zip64 locator points to byte {}, where no zip64 end record is", where));
    }
    d = {get<uint64_t>(&bytes[where + 48]), get<uint64_t>(&bytes[where + 40]),
         get<uint64_t>(&bytes[where + 32])};
    limit = where;
  } else if (needs_64) {
    return bad("end64", "sizes are given as zip64 but the zip64 end record is missing");
  }
  if (d.offset > limit || d.size > limit - d.offset) {
    return bad("directory", fmt::format("the directory ({} bytes at {}) ends beyond byte {} of the file",
                                        d.size, d.offset, limit));
  }
  if (d.entries > d.size / kCentralSize) {
    return bad("entries",
               fmt::format("{} entries do not fit into a directory of {} bytes", d.entries, d.size));
  }
  return d;
}

// Replaces the fields that are given as all ones by those of the zip64 extra field, in their fixed order.
Status apply_zip64(std::span<const std::byte> extra, ZipEntry& entry, bool size, bool compressed,
                   bool offset) {
  for (size_t at = 0; at + 4 <= extra.size();) {
    const uint16_t id = get<uint16_t>(&extra[at]), length = get<uint16_t>(&extra[at + 2]);
    at += 4;
    if (length > extra.size() - at) break;
    if (id == 1) {
      size_t p = at, end = at + length;
      for (auto [wanted, field] : {std::pair{size, &entry.size},
                                   {compressed, &entry.compressed_size},
                                   {offset, &entry.header_offset}}) {
        if (!wanted) continue;
        if (end - p < 8)
          return bad("extra64", fmt::format("entry '{}': its zip64 field is too short", entry.name));
        *field = get<uint64_t>(&extra[p]);
        p += 8;
      }
      return {};
    }
    at += length;
  }
  return bad("extra64",
             fmt::format("entry '{}': sizes are given as zip64 but its zip64 field is missing", entry.name));
}

Status check_entry(const ZipEntry& e, uint16_t flags, uint64_t directory_offset, const ZipLimits& limits) {
  if (e.name.empty()) return bad("name", "an entry has no name");
  if (e.name.find('\0') != std::string_view::npos) return bad("name", "an entry's name contains a zero byte");
  if (flags & 1) return bad("encrypted", fmt::format("entry '{}' is encrypted", e.name));
  if (e.method != 0 && e.method != 8) {
    return bad("method",
               fmt::format("entry '{}' uses compression method {}; only stored (0) and deflate (8) are read",
                           e.name, e.method));
  }
  if (e.stored() && e.size != e.compressed_size) {
    return bad("size", fmt::format("stored entry '{}' has {} bytes in the file but a size of {}", e.name,
                                   e.compressed_size, e.size));
  }
  const uint64_t least = kLocalSize + e.name.size();
  if (e.header_offset > directory_offset || directory_offset - e.header_offset < least ||
      directory_offset - e.header_offset - least < e.compressed_size) {
    return bad("bounds", fmt::format("entry '{}' ({} bytes at {}) reaches beyond the directory at {}", e.name,
                                     e.compressed_size, e.header_offset, directory_offset));
  }
  if (!e.stored() && (e.size > limits.max_inflated || e.size / limits.max_ratio > e.compressed_size)) {
    return bad("bomb", fmt::format("entry '{}' claims to inflate from {} to {} bytes", e.name,
                                   e.compressed_size, e.size));
  }
  return {};
}

// Entries may lie in any order but must not share bytes.
Status check_overlap(std::vector<ZipEntry>& entries, uint64_t directory_offset) {
  std::vector<uint32_t> order(entries.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  auto by_offset = [&](uint32_t a, uint32_t b) {
    return entries[a].header_offset < entries[b].header_offset;
  };
  if (!std::is_sorted(order.begin(), order.end(), by_offset))
    std::sort(order.begin(), order.end(), by_offset);
  for (size_t i = 0; i < order.size(); ++i) {
    ZipEntry& e = entries[order[i]];
    e.end_bound = i + 1 < order.size() ? entries[order[i + 1]].header_offset : directory_offset;
    if (e.header_offset + kLocalSize + e.name.size() + e.compressed_size > e.end_bound) {
      return bad("overlap", fmt::format("entry '{}' ({} bytes at {}) overlaps what begins at byte {}", e.name,
                                        e.compressed_size, e.header_offset, e.end_bound));
    }
  }
  return {};
}

Result<Blob> inflate_entry(const ZipEntry& entry, std::span<const std::byte> packed) {
  std::byte* out = nullptr;
  Blob blob = Blob::allocate(entry.size, &out);
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
    return Error("zip.inflate", "zlib cannot start", ErrorKind::Internal);
  uint64_t read = 0, written = 0;
  int code = Z_OK;
  // zlib counts in 32 bits: feed it in pieces.
  constexpr uint64_t kPiece = uint64_t{1} << 30;
  while (code == Z_OK) {
    const uint64_t in = std::min<uint64_t>(packed.size() - read, kPiece),
                   room = std::min<uint64_t>(entry.size - written, kPiece);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data() + read));
    stream.avail_in = static_cast<uInt>(in);
    std::byte nothing{};
    stream.next_out = reinterpret_cast<Bytef*>(room ? out + written : &nothing);
    stream.avail_out = static_cast<uInt>(room);
    code = inflate(&stream, Z_NO_FLUSH);
    const uint64_t used = in - stream.avail_in, made = room - stream.avail_out;
    read += used;
    written += made;
    if (code == Z_OK && used == 0 && made == 0) code = Z_BUF_ERROR;
  }
  inflateEnd(&stream);
  if (code != Z_STREAM_END || written != entry.size) {
    return bad("inflate", fmt::format("entry '{}': deflated data is damaged ({} of {} bytes came out)",
                                      entry.name, written, entry.size));
  }
  return blob;
}

Status check_bomb(std::span<const ZipEntry> entries, const ZipLimits& limits) {
  uint64_t packed = 0, size = 0;
  for (const ZipEntry& e : entries) {
    if (e.stored()) continue;
    packed += e.compressed_size;  // entries do not overlap, so this is at most the file
    if (__builtin_add_overflow(size, e.size, &size)) size = UINT64_MAX;
  }
  if (size <= limits.bomb_bytes || size / limits.bomb_ratio <= packed) return {};
  return bad("bomb", fmt::format("the deflated entries would inflate from {} to {} bytes", packed, size));
}

Status check_crc(const ZipEntry& entry, std::span<const std::byte> bytes) {
  const uint32_t found = crc32_of(bytes);
  if (found == entry.crc) return {};
  return bad("crc", fmt::format("entry '{}': its bytes have CRC {:08x}, the directory says {:08x}",
                                entry.name, found, entry.crc));
}

}  // namespace

uint32_t crc32_of(std::span<const std::byte> bytes, uint32_t seed) {
  return libdeflate_crc32(seed, bytes.data(), bytes.size());
}

bool looks_like_zip(std::span<const std::byte> bytes) {
  if (bytes.size() < 4) return false;
  const uint32_t magic = get<uint32_t>(bytes.data());
  return magic == kLocalHeader || magic == kEnd;
}

Result<Zip> Zip::open(Blob bytes, const ZipLimits& limits) {
  Zip zip;
  zip.bytes_ = std::move(bytes);
  zip.limits_ = limits;
  const auto all = zip.bytes_.bytes();
  ZP_TRY(const Directory directory, read_end(all));
  if (directory.entries > limits.max_entries) {
    return bad("entries",
               fmt::format("{} entries, at most {} are read", directory.entries, limits.max_entries));
  }
  zip.entries_.reserve(directory.entries);
  zip.by_name_.reserve(directory.entries);
  uint64_t at = directory.offset;
  const uint64_t end = directory.offset + directory.size;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    if (end - at < kCentralSize || get<uint32_t>(&all[at]) != kCentralHeader) {
      return bad("directory", fmt::format("entry {} of {} is no directory entry", i, directory.entries));
    }
    const std::byte* h = &all[at];
    const uint64_t name = get<uint16_t>(h + 28), extra = get<uint16_t>(h + 30),
                   comment = get<uint16_t>(h + 32);
    if (end - at - kCentralSize < name + extra + comment) {
      return bad("directory", fmt::format("entry {} of {} ends beyond the directory", i, directory.entries));
    }
    ZipEntry e;
    e.name = {reinterpret_cast<const char*>(h + kCentralSize), static_cast<size_t>(name)};
    e.method = get<uint16_t>(h + 10);
    e.crc = get<uint32_t>(h + 16);
    e.compressed_size = get<uint32_t>(h + 20);
    e.size = get<uint32_t>(h + 24);
    e.header_offset = get<uint32_t>(h + 42);
    const bool size64 = e.size == 0xFFFFFFFF, compressed64 = e.compressed_size == 0xFFFFFFFF,
               offset64 = e.header_offset == 0xFFFFFFFF;
    if (size64 || compressed64 || offset64) {
      ZP_CHECK(apply_zip64(all.subspan(at + kCentralSize + name, extra), e, size64, compressed64, offset64));
    }
    ZP_CHECK(check_entry(e, get<uint16_t>(h + 8), directory.offset, limits));
    if (!zip.by_name_.emplace(e.name, static_cast<uint32_t>(i)).second) {
      return bad("duplicate", fmt::format("two entries are named '{}'", e.name));
    }
    zip.entries_.push_back(e);
    at += kCentralSize + name + extra + comment;
  }
  ZP_CHECK(check_overlap(zip.entries_, directory.offset));
  ZP_CHECK(check_bomb(zip.entries_, limits));
  return zip;
}

const ZipEntry* Zip::find(std::string_view name) const {
  auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

Result<uint64_t> Zip::payload_offset(const ZipEntry& entry) const {
  const auto all = bytes_.bytes();
  // The directory check has shown that 30 bytes of header and the name fit before end_bound.
  const std::byte* h = &all[entry.header_offset];
  if (get<uint32_t>(h) != kLocalHeader) {
    return bad("local",
               fmt::format("entry '{}': no local header at byte {}", entry.name, entry.header_offset));
  }
  const uint64_t begin = entry.header_offset + kLocalSize + get<uint16_t>(h + 26) + get<uint16_t>(h + 28);
  if (begin > entry.end_bound || entry.end_bound - begin < entry.compressed_size) {
    return bad("bounds", fmt::format("entry '{}' ({} bytes at {}) overlaps what begins at byte {}",
                                     entry.name, entry.compressed_size, begin, entry.end_bound));
  }
  return begin;
}

Result<Blob> Zip::payload(const ZipEntry& entry) const {
  ZP_TRY(const uint64_t begin, payload_offset(entry));
  Blob packed = bytes_.slice(begin, entry.compressed_size);
  if (entry.stored()) return packed;
  ZP_TRY(Blob blob, inflate_entry(entry, packed.bytes()));
  ZP_CHECK(check_crc(entry, blob.bytes()));
  return blob;
}

Status Zip::verify(const ZipEntry& entry) const {
  ZP_TRY(const Blob blob, payload(entry));
  return entry.stored() ? check_crc(entry, blob.bytes()) : Status();
}

}  // namespace zp::pt2
