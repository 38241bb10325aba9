#include "formats/pt2/zip_writer.h"

#include <zlib.h>

#include <cstdio>
#include <unordered_set>
#include <vector>

#include "formats/pt2/zip.h"
#include "support/parallel.h"

namespace zp::pt2 {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint16_t kUtf8 = 0x0800, kDescriptor = 0x0008;
constexpr uint64_t kLikeSource = uint64_t{1} << 18;  // from here on the filler of up to a page is worth it
constexpr size_t kCrcChunk = size_t{1} << 22;

// Little-endian fields appended to a string.
struct Fields {
  std::string text;
  Fields& u16(uint64_t v) { return put(v, 2); }
  Fields& u32(uint64_t v) { return put(v, 4); }
  Fields& u64(uint64_t v) { return put(v, 8); }
  Fields& bytes(std::string_view v) {
    text += v;
    return *this;
  }
  Fields& put(uint64_t v, int count) {
    for (int i = 0; i < count; ++i) text += static_cast<char>((v >> (8 * i)) & 0xFF);
    return *this;
  }
};

struct Record {
  std::string name;
  uint64_t offset = 0, size = 0;
  uint32_t crc = 0;
  bool streamed = false;  // the size is not known at the beginning: written as for a large one
};

uint64_t mix(uint64_t hash, std::string_view bytes) {  // FNV-1a
  for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  return hash;
}

// Large ranges on all cores.
uint32_t crc_of(std::span<const std::byte> bytes) {
  if (bytes.size() <= kCrcChunk) return crc32_of(bytes);
  const size_t chunks = (bytes.size() + kCrcChunk - 1) / kCrcChunk;
  const auto part = [&](size_t i) {
    return bytes.subspan(i * kCrcChunk, std::min(kCrcChunk, bytes.size() - i * kCrcChunk));
  };
  std::vector<uint32_t> partial(chunks);
  parallel_for(static_cast<int64_t>(chunks), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      partial[static_cast<size_t>(i)] = crc32_of(part(static_cast<size_t>(i)));
  });
  uint32_t crc = partial[0];
  for (size_t i = 1; i < chunks; ++i) {
    crc = static_cast<uint32_t>(::crc32_combine(crc, partial[i], static_cast<z_off_t>(part(i).size())));
  }
  return crc;
}

}  // namespace

struct ZipWriter::State {
  AtomicFile file;
  std::string root;
  ZipWriteOptions options;
  std::vector<Record> records;
  std::unordered_set<std::string> names;
  Record open;  // between begin() and end()
  Status problem;

  State(AtomicFile f, std::string_view r, const ZipWriteOptions& o)
      : file(std::move(f)), root(r), options(o) {}

  bool large(uint64_t value) const { return value >= options.large; }

  // `like`: where in a page the payload shall begin, if that is a place for payloads.
  Status begin(const Record& record, std::optional<uint64_t> like = {}) {
    Fields extra;
    if (record.streamed || large(record.size)) extra.u16(1).u16(16).u64(record.size).u64(0);
    const uint64_t before = file.position() + 30 + record.name.size() + extra.text.size() + 4;
    const bool placed = like && *like % kAlignment == 0;
    const uint64_t unit = placed ? AtomicFile::kPageSize : kAlignment;
    const uint64_t filler = (unit + (placed ? *like % unit : 0) - before % unit) % unit;
    extra.bytes("FB").u16(filler).bytes(std::string(filler, 'Z'));
    Fields header;
    const bool descriptor = record.streamed || record.size > 0;
    header.bytes("PK\x03\x04").u16(0).u16(descriptor ? kUtf8 | kDescriptor : kUtf8);
    header.u16(0).u16(0).u16(0).u32(0).u32(0).u32(0);  // method, time, date, CRC and sizes: see the directory
    header.u16(record.name.size()).u16(extra.text.size()).bytes(record.name).bytes(extra.text);
    return file.write(header.text);
  }

  Status end(const Record& record) {
    if (record.size == 0 && !record.streamed) return {};
    Fields descriptor;
    descriptor.bytes("PK\x07\x08").u32(record.crc);
    const int width = record.streamed || large(record.size) ? 8 : 4;
    return file.write(descriptor.put(record.size, width).put(record.size, width).text);
  }

  std::string directory_entry(const Record& record) const {
    Fields extra;
    const bool large_size = large(record.size), large_offset = large(record.offset);
    if (large_size) extra.u64(record.size).u64(record.size);
    if (large_offset) extra.u64(record.offset);
    const uint64_t size = large_size ? 0xFFFFFFFF : record.size;
    Fields entry;
    const bool descriptor = record.streamed || record.size > 0;
    entry.bytes("PK\x01\x02").u16(0).u16(0).u16(descriptor ? kUtf8 | kDescriptor : kUtf8);
    entry.u16(0).u16(0).u16(0).u32(record.crc).u32(size).u32(size).u16(record.name.size());
    entry.u16(extra.text.empty() ? 0 : extra.text.size() + 4).u16(0).u16(0).u16(0).u32(0);
    entry.u32(large_offset ? 0xFFFFFFFF : record.offset).bytes(record.name);
    if (!extra.text.empty()) entry.u16(1).u16(extra.text.size()).bytes(extra.text);
    return std::move(entry.text);
  }

  Result<Record> named(std::string_view name) {
    Record record;
    record.name = root + "/" + std::string(name);
    if (record.name.size() > 0xFF00)
      return Error("zip.name", "a record name has " + std::to_string(record.name.size()) + " bytes");
    if (!names.insert(record.name).second)
      return Error("zip.name", "two records are named '" + record.name + "'");
    record.offset = file.position();
    return record;
  }

  Status write_directory() {
    const uint64_t start = file.position();
    for (const Record& record : records) ZP_CHECK(file.write(directory_entry(record)));
    const uint64_t end = file.position(), size = end - start, count = records.size();
    Fields tail;
    tail.bytes("PK\x06\x06")
        .u64(44)
        .u16(0x031E)
        .u16(45)
        .u32(0)
        .u32(0)
        .u64(count)
        .u64(count)
        .u64(size)
        .u64(start);
    tail.bytes("PK\x06\x07").u32(0).u64(end).u32(1);
    const uint64_t short_count = count > 0xFFFF ? 0xFFFF : count;
    tail.bytes("PK\x05\x06").u16(0).u16(0).u16(short_count).u16(short_count);
    tail.u32(large(size) ? 0xFFFFFFFF : size).u32(large(start) ? 0xFFFFFFFF : start).u16(0);
    return file.write(tail.text);
  }

  // 40 decimal digits as PyTorch has them: one number for the names, one for the contents.
  std::string serialization_id() const {
    uint64_t names_hash = 0xCBF29CE484222325u, content_hash = names_hash;
    for (const Record& record : records) {
      names_hash = mix(names_hash, record.name.substr(root.size() + 1) + '\n');
      content_hash = mix(content_hash, Fields().u32(record.crc).u64(record.size).text);
    }
    char text[48];
    std::snprintf(text, sizeof(text), "%020llu%020llu", static_cast<unsigned long long>(names_hash),
                  static_cast<unsigned long long>(content_hash));
    return text;
  }
};

ZipWriter::ZipWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
ZipWriter::ZipWriter(ZipWriter&&) noexcept = default;
ZipWriter::~ZipWriter() = default;

Result<ZipWriter> ZipWriter::create(const std::string& target, std::string_view root,
                                    const ZipWriteOptions& options) {
  if (root.empty() || root.find('/') != std::string_view::npos) {
    return Error("zip.root", "the root folder '" + std::string(root) + "' is not one path component");
  }
  ZP_TRY(AtomicFile file, AtomicFile::create(target));
  return ZipWriter(std::make_unique<State>(std::move(file), root, options));
}

Status ZipWriter::add(std::string_view name, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return add(name, Blob(bytes.data(), bytes.size(), nullptr));
}

Status ZipWriter::add(std::string_view name, const Blob& payload, std::optional<uint32_t> crc) {
  State& s = *state_;
  ZP_TRY(Record record, s.named(name));
  record.size = payload.size();
  record.crc = crc ? *crc : crc_of(payload.bytes());
  const bool copied = payload.file() != nullptr && payload.size() >= kLikeSource;
  ZP_CHECK(s.begin(record, copied ? std::optional(payload.offset()) : std::nullopt));
  ZP_CHECK(s.file.write(payload));
  ZP_CHECK(s.end(record));
  s.records.push_back(std::move(record));
  return {};
}

Status ZipWriter::begin(std::string_view name) {
  State& s = *state_;
  ZP_TRY(s.open, s.named(name));
  s.open.streamed = true;
  s.problem = s.begin(s.open);
  return {};
}

void ZipWriter::append(std::string_view text) {
  State& s = *state_;
  if (!s.problem.ok()) return;
  s.open.size += text.size();
  s.open.crc = crc32_of(std::as_bytes(std::span(text)), s.open.crc);
  s.problem = s.file.write(text);
}

Status ZipWriter::end() {
  State& s = *state_;
  ZP_CHECK(std::move(s.problem));
  ZP_CHECK(s.end(s.open));
  s.records.push_back(std::move(s.open));
  return {};
}

Status ZipWriter::finish() {
  ZP_CHECK(add(".data/serialization_id", state_->serialization_id()));
  ZP_CHECK(state_->write_directory());
  return state_->file.commit();
}

}  // namespace zp::pt2
