#include "formats/pt2/zip_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "support/mapped_file.h"

namespace zp::pt2 {
namespace {

uint64_t field(const std::string& s, size_t at, int bytes) {
  uint64_t v = 0;
  for (int i = 0; i < bytes; ++i)
    v |= static_cast<uint64_t>(static_cast<uint8_t>(s.at(at + static_cast<size_t>(i)))) << (8 * i);
  return v;
}

struct Found {
  uint64_t flags, crc, size, offset, payload;
  std::string data;
};

// A reader of its own, so that the writer is not judged by code that shares its mistakes. Trusts the
// directory.
std::map<std::string, Found> read_zip(const std::string& s) {
  std::map<std::string, Found> found;
  const size_t end = s.rfind("PK\x05\x06");
  if (end == std::string::npos) return found;
  const size_t end64 = field(s, end - 12, 8);
  EXPECT_EQ(s.substr(end - 20, 4), "PK\x06\x07");
  EXPECT_EQ(s.substr(end64, 4), "PK\x06\x06");
  const uint64_t count = field(s, end64 + 32, 8);
  size_t at = field(s, end64 + 48, 8);
  EXPECT_EQ(at + field(s, end64 + 40, 8), end64);
  for (uint64_t i = 0; i < count; ++i) {
    EXPECT_EQ(s.substr(at, 4), "PK\x01\x02");
    const size_t name_bytes = field(s, at + 28, 2), extra_bytes = field(s, at + 30, 2);
    Found f{field(s, at + 8, 2), field(s, at + 16, 4), field(s, at + 24, 4), field(s, at + 42, 4), 0, ""};
    EXPECT_EQ(field(s, at + 10, 2), 0u);  // stored
    EXPECT_EQ(field(s, at + 12, 4), 0u);  // no date
    const std::string name = s.substr(at + 46, name_bytes);
    size_t extra = at + 46 + name_bytes + 4;
    if (f.size == 0xFFFFFFFF) {
      EXPECT_EQ(field(s, extra - 4, 2), 1u);
      f.size = field(s, extra, 8);
      EXPECT_EQ(field(s, extra + 8, 8), f.size);
      extra += 16;
    }
    if (f.offset == 0xFFFFFFFF) f.offset = field(s, extra, 8);
    EXPECT_EQ(s.substr(f.offset, 4), "PK\x03\x04");
    EXPECT_EQ(field(s, f.offset + 14, 4), 0u);  // CRC and sizes are behind the payload
    EXPECT_EQ(field(s, f.offset + 18, 8), 0u);
    EXPECT_EQ(s.substr(f.offset + 30, name_bytes), name);
    f.payload = f.offset + 30 + field(s, f.offset + 26, 2) + field(s, f.offset + 28, 2);
    f.data = s.substr(f.payload, f.size);
    found[name] = f;
    at += 46 + name_bytes + extra_bytes;
  }
  return found;
}

std::string file_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class ZipWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/zp_zip_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string write(const std::string& name, const ZipWriteOptions& options = {}) const {
    Result<ZipWriter> zip = ZipWriter::create(path(name), "model", options);
    EXPECT_TRUE(zip.ok());
    EXPECT_TRUE(zip->add("data/weights/weight_0", std::string(100, 'w')).ok());
    EXPECT_TRUE(zip->add("empty", "").ok());
    EXPECT_TRUE(zip->add("byteorder", "little").ok());
    EXPECT_TRUE(zip->finish().ok());
    return file_bytes(path(name));
  }
  std::string folder_;
};

TEST_F(ZipWriterTest, LayoutIsThatOfPyTorch) {
  const auto found = read_zip(write("a.pt2"));
  ASSERT_EQ(found.size(), 4u);
  for (const auto& [name, f] : found) {
    EXPECT_EQ(f.payload % 64, 0u) << name;
    EXPECT_EQ(f.flags, name == "model/empty" ? 0x0800u : 0x0808u) << name;
  }
  EXPECT_EQ(found.at("model/byteorder").data, "little");
  EXPECT_EQ(found.at("model/byteorder").crc, 0x19E33D85u);
  EXPECT_EQ(found.at("model/data/weights/weight_0").data, std::string(100, 'w'));
  const std::string id = found.at("model/.data/serialization_id").data;
  EXPECT_EQ(id.size(), 40u);
  EXPECT_EQ(id.find_first_not_of("0123456789"), std::string::npos);
}

TEST_F(ZipWriterTest, FillerIsAnExtraField) {
  const std::string s = write("a.pt2");
  const auto found = read_zip(s);
  for (const auto& [name, f] : found) {
    const size_t extra = f.offset + 30 + name.size();
    EXPECT_EQ(s.substr(extra, 2), "FB");
    EXPECT_EQ(extra + 4 + field(s, extra + 2, 2), f.payload);
  }
}

TEST_F(ZipWriterTest, DescriptorFollowsThePayload) {
  const std::string s = write("a.pt2");
  const Found f = read_zip(s).at("model/byteorder");
  EXPECT_EQ(s.substr(f.payload + 6, 4), "PK\x07\x08");
  EXPECT_EQ(field(s, f.payload + 10, 4), f.crc);
  EXPECT_EQ(field(s, f.payload + 14, 4), 6u);
  EXPECT_EQ(field(s, f.payload + 18, 4), 6u);
}

TEST_F(ZipWriterTest, LargeRecordsAndOffsetsUseTheWideFields) {
  const std::string s = write("a.pt2", {.large = 80});
  const auto found = read_zip(s);
  ASSERT_EQ(found.size(), 4u);
  const Found big = found.at("model/data/weights/weight_0");
  EXPECT_EQ(big.data, std::string(100, 'w'));
  EXPECT_EQ(big.payload % 64, 0u);
  EXPECT_EQ(field(s, big.payload + 100 + 8, 8), 100u);  // wide descriptor
  EXPECT_EQ(field(s, big.payload + 100 + 16, 8), 100u);
  EXPECT_EQ(found.at("model/byteorder").data, "little");
  EXPECT_EQ(found.at("model/byteorder").payload % 64, 0u);
}

TEST_F(ZipWriterTest, EqualRecordsGiveEqualBytes) { EXPECT_EQ(write("a.pt2"), write("b.pt2")); }

TEST_F(ZipWriterTest, AKnownCrcIsTakenAsItIs) {
  std::ofstream(path("payload"), std::ios::binary) << std::string(200000, 'p');
  auto file = MappedFile::open(path("payload"));
  ASSERT_TRUE(file.ok());
  Result<ZipWriter> zip = ZipWriter::create(path("a.pt2"), "model");
  ASSERT_TRUE(zip.ok());
  ASSERT_TRUE(zip->add("carried", Blob::from_file(*file, 5, 190000), 0x12345678).ok());
  ASSERT_TRUE(zip->finish().ok());
  const Found f = read_zip(file_bytes(path("a.pt2"))).at("model/carried");
  EXPECT_EQ(f.crc, 0x12345678u);  // so the payload was not read for it
  EXPECT_EQ(f.data, std::string(190000, 'p'));
}

TEST_F(ZipWriterTest, CrcOfManyChunksIsTheWhole) {
  // 10 MiB of a counter: the value is that of one serial CRC-32 (zlib, IEEE 802.3).
  std::string bytes(10 << 20, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 + (i >> 11));
  uint32_t crc = 0xFFFFFFFF;
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int k = 0; k < 8; ++k) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
  }
  Result<ZipWriter> zip = ZipWriter::create(path("a.pt2"), "model");
  ASSERT_TRUE(zip.ok());
  ASSERT_TRUE(zip->add("big", bytes).ok());
  ASSERT_TRUE(zip->finish().ok());
  EXPECT_EQ(read_zip(file_bytes(path("a.pt2"))).at("model/big").crc, crc ^ 0xFFFFFFFF);
}

TEST_F(ZipWriterTest, AnUnfinishedWriteLeavesTheOldFile) {
  std::ofstream(path("a.pt2")) << "old";
  {
    Result<ZipWriter> zip = ZipWriter::create(path("a.pt2"), "model");
    ASSERT_TRUE(zip.ok());
    ASSERT_TRUE(zip->add("x", "new").ok());
    EXPECT_FALSE(zip->add("x", "again").ok());
  }
  EXPECT_EQ(file_bytes(path("a.pt2")), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
  EXPECT_FALSE(ZipWriter::create(path("none/a.pt2"), "model").ok());
  EXPECT_FALSE(ZipWriter::create(path("a.pt2"), "a/b").ok());
}

}  // namespace
}  // namespace zp::pt2
