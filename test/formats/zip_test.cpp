#include "formats/pt2/zip.h"

#include <gtest/gtest.h>

#include "zip_builder.h"

namespace zp::pt2 {
namespace {

using test::blob_of;
using test::build_zip;
using test::text_of;
using test::ZipItem;

std::string long_text() {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "line " + std::to_string(i) + "\n";
  return text;
}

TEST(Zip, ReadsStoredAndDeflatedEntries) {
  auto zip = Zip::open(blob_of(build_zip({{"r/a", "hello"}, {"r/b", long_text(), true}, {"r/empty", ""}})));
  ASSERT_TRUE(zip.ok()) << zip.error().str();
  ASSERT_EQ(zip->entries().size(), 3u);
  EXPECT_EQ(zip->entries()[0].name, "r/a");
  EXPECT_EQ(text_of(*zip->payload(*zip->find("r/a"))), "hello");
  EXPECT_EQ(text_of(*zip->payload(*zip->find("r/b"))), long_text());
  EXPECT_EQ(zip->payload(*zip->find("r/empty"))->size(), 0u);
  EXPECT_EQ(zip->find("r/c"), nullptr);
  for (const ZipEntry& e : zip->entries()) EXPECT_TRUE(zip->verify(e).ok());
}

// Each entry could be real; all of them together say that someone wants the memory.
TEST(Zip, ManyBytesMadeOfFewAreRefusedBeforeTheyAreMade) {
  const Blob file =
      blob_of(build_zip({{"a", std::string(400000, 'a'), true}, {"b", std::string(400000, 'b'), true}}));
  ZipLimits limits;
  EXPECT_TRUE(Zip::open(file, limits).ok());
  limits.bomb_bytes = 500000;
  const auto zip = Zip::open(file, limits);
  ASSERT_FALSE(zip.ok());
  EXPECT_EQ(zip.error().first().id, "zip.bomb");
  limits.bomb_ratio = 2000;
  EXPECT_TRUE(Zip::open(file, limits).ok());
}

TEST(Zip, StoredPayloadsAreSlicesOfTheFile) {
  const Blob file = blob_of(build_zip({{"a", "hello", false, false, 33}}));
  auto zip = Zip::open(file);
  ASSERT_TRUE(zip.ok());
  const Blob payload = *zip->payload(zip->entries()[0]);
  EXPECT_GE(payload.data(), file.data());
  EXPECT_LT(payload.data(), file.data() + file.size());
  // The length of the local header's extra field counts, not that of the directory.
  EXPECT_EQ(*zip->payload_offset(zip->entries()[0]), 30u + 1 + 33);
}

TEST(Zip, ReadsZip64Fields) {
  ZipItem wide{"w", "payload"};
  wide.zip64 = true;
  auto zip = Zip::open(blob_of(build_zip({{"a", "x"}, wide}, true)));
  ASSERT_TRUE(zip.ok()) << zip.error().str();
  EXPECT_EQ(text_of(*zip->payload(*zip->find("w"))), "payload");
}

TEST(Zip, ACommentMayFollowTheEnd) {
  auto zip = Zip::open(blob_of(build_zip({{"a", "x"}}, false, "a comment with PK\5\6 in it")));
  ASSERT_TRUE(zip.ok()) << zip.error().str();
  EXPECT_EQ(zip->entries().size(), 1u);
}

struct BadZip {
  const char* what;
  std::function<std::string()> build;
  const char* id;
};

std::string with(ZipItem item, auto change) {
  change(item);
  return build_zip({{"first", "0123456789"}, item, {"last", "abc"}});
}

class BadZipTest : public ::testing::TestWithParam<BadZip> {};

TEST_P(BadZipTest, IsRefusedWithItsOwnId) {
  auto zip = Zip::open(blob_of(GetParam().build()));
  if (!zip.ok()) {
    EXPECT_EQ(zip.error().first().id, GetParam().id) << zip.error().str();
    return;
  }
  // Damage inside of an entry shows when it is read.
  std::string id = "none";
  for (const ZipEntry& e : zip->entries()) {
    if (Status s = zip->verify(e); !s.ok()) id = s.error().first().id;
  }
  EXPECT_EQ(id, GetParam().id);
}

const BadZip kBad[] = {
    {"empty file", [] { return std::string(); }, "zip.end"},
    {"no zip at all", [] { return std::string(500, 'x'); }, "zip.end"},
    {"truncated",
     [] {
       return build_zip({{"a", "hello"}}).substr(0, 60);
     },
     "zip.end"},
    {"cut in front",
     [] {
       return build_zip({{"a", std::string(100, 'x')}}).substr(50);
     },
     "zip.directory"},
    {"duplicate names",
     [] {
       return build_zip({{"a", "1"}, {"a", "2"}});
     },
     "zip.duplicate"},
    {"no name",
     [] {
       return build_zip({{"", "1"}});
     },
     "zip.name"},
    {"zero in name",
     [] {
       return build_zip({{std::string("a\0b", 3), "1"}});
     },
     "zip.name"},
    {"encrypted",
     [] {
       return with({"e", "data"}, [](ZipItem& i) { i.flags = 1; });
     },
     "zip.encrypted"},
    {"unknown method",
     [] {
       return with({"e", "data"}, [](ZipItem& i) { i.method = 12; });
     },
     "zip.method"},
    {"stored with two sizes",
     [] {
       return with({"e", "data"}, [](ZipItem& i) { i.size = 5; });
     },
     "zip.size"},
    {"beyond the directory",
     [] {
       return with({"e", "data"}, [](ZipItem& i) { i.size = i.compressed = 4000; });
     },
     "zip.bounds"},
    {"offset beyond the file",
     [] {
       return with({"e", "data"}, [](ZipItem& i) { i.offset = 0x7FFFFFFF; });
     },
     "zip.bounds"},
    {"offset near 2^64",
     [] {
       return with({"e", "data"}, [](ZipItem& i) {
         i.zip64 = true;
         i.offset = INT64_MAX;
       });
     },
     "zip.bounds"},
    {"size near 2^64",
     [] {
       return with({"e", "data"}, [](ZipItem& i) {
         i.zip64 = true;
         i.size = i.compressed = INT64_MAX;
       });
     },
     "zip.bounds"},
    {"overlapping",
     [] {
       return with({"e", "data"}, [](ZipItem& i) { i.offset = 10; });
     },
     "zip.overlap"},
    {"same place twice",
     [] {
       return with({"e", "data"}, [](ZipItem& i) { i.offset = 0; });
     },
     "zip.overlap"},
    {"bomb by ratio",
     [] {
       return with({"e", std::string(100, 'x'), true}, [](ZipItem& i) { i.size = 1 << 30; });
     },
     "zip.bomb"},
    {"inflates to more",
     [] {
       return with({"e", long_text(), true}, [](ZipItem& i) { i.size = 100; });
     },
     "zip.inflate"},
    {"inflates to less",
     [] {
       return with({"e", long_text(), true}, [](ZipItem& i) { i.size = 100000; });
     },
     "zip.inflate"},
    {"no deflate data",
     [] {
       return with({"e", "data data data"}, [](ZipItem& i) { i.method = 8; });
     },
     "zip.inflate"},
    {"wrong checksum, stored",
     [] {
       return with({"e", "data"}, [](ZipItem& i) { i.crc = 1; });
     },
     "zip.crc"},
    {"wrong checksum, deflated",
     [] {
       return with({"e", long_text(), true}, [](ZipItem& i) { i.crc = 1; });
     },
     "zip.crc"},
    {"zip64 end missing",
     [] {
       std::string zip = build_zip({{"a", "1"}});
       for (size_t i = 0; i < 4; ++i) zip[zip.size() - 22 + 16 + i] = '\xFF';
       return zip;
     },
     "zip.end64"},
    {"zip64 locator astray",
     [] {
       std::string zip = build_zip({{"a", "1"}}, true);
       zip[zip.size() - 22 - 20 + 8] = '\x7F';
       return zip;
     },
     "zip.end64"},
    {"more entries than fit",
     [] {
       std::string zip = build_zip({{"a", "1"}});
       zip[zip.size() - 22 + 10] = '\x50';
       return zip;
     },
     "zip.entries"},
    {"spanned",
     [] {
       std::string zip = build_zip({{"a", "1"}});
       zip[zip.size() - 22 + 4] = '\x01';
       return zip;
     },
     "zip.spanned"},
};
INSTANTIATE_TEST_SUITE_P(Zip, BadZipTest, ::testing::ValuesIn(kBad), [](const auto& info) {
  std::string name;
  for (char c : std::string(info.param.what)) name += isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
});

// Every cut and every flipped byte of a small archive is either read or refused, never a crash.
TEST(Zip, SurvivesDamage) {
  const std::string whole = build_zip({{"r/a", "hello"}, {"r/b", long_text().substr(0, 300), true}}, true);
  auto touch = [](const std::string& bytes) {
    auto zip = Zip::open(blob_of(bytes));
    if (!zip.ok()) return;
    for (const ZipEntry& e : zip->entries()) (void)zip->verify(e).ok();
  };
  for (size_t cut = 0; cut < whole.size(); ++cut) touch(whole.substr(0, cut));
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int flip : {0x01, 0x80, 0xFF}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      touch(damaged);
    }
  }
}

}  // namespace
}  // namespace zp::pt2
