#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "support/arena.h"
#include "support/atomic_file.h"
#include "support/half.h"
#include "support/inline_vector.h"
#include "support/json_writer.h"
#include "support/mapped_file.h"
#include "support/parallel.h"
#include "support/result.h"
#include "support/rounding.h"
#include "support/sha256.h"

namespace zp {
namespace {

std::string temporary(const std::string& name) {
  return std::filesystem::temp_directory_path() / ("zp-support-" + std::to_string(::getpid()) + "-" + name);
}

Result<int> half_of(int n) {
  if (n % 2 != 0) return Error("half.c1", std::to_string(n) + " is odd");
  return n / 2;
}
Result<int> quarter_of(int n) {
  ZP_TRY(const int half, half_of(n));
  return half_of(half);
}

TEST(ResultTest, CarriesTheErrorOfTheCallee) {
  EXPECT_EQ(*quarter_of(12), 3);
  const Result<int> bad = quarter_of(6);
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().str(), "error: half.c1: 3 is odd");
  Error placed =
      Error("conv2d.c3", "weight has 30 output channels but 32 scales").at_node("Conv_17", "features.3");
  placed = std::move(placed).in_file("model.pt2").at_node("other");
  EXPECT_EQ(placed.str(),
            "model.pt2: node 'Conv_17' (features.3): error: conv2d.c3: weight has 30 output channels but 32 "
            "scales");
}

TEST(HalfTest, EveryHalfGoesThereAndBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = half_to_float(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(half_to_float(float_to_half(value))));
    } else {
      ASSERT_EQ(float_to_half(value), bits) << value;
    }
  }
}

// Between two neighbours the nearer one wins, in the middle the even one.
TEST(HalfTest, RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const double low = half_to_float(static_cast<uint16_t>(bits)),
                 high = half_to_float(static_cast<uint16_t>(bits + 1));
    const auto middle = static_cast<float>((low + high) / 2);
    ASSERT_EQ(float_to_half(middle), bits % 2 == 0 ? bits : bits + 1);
    ASSERT_EQ(float_to_half(std::nextafter(middle, 0.0f)), bits);
    ASSERT_EQ(float_to_half(std::nextafter(middle, 1e9f)), bits + 1);
  }
  EXPECT_EQ(float_to_half(65519.0f), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_half(1e-9f), 0);
}

TEST(HalfTest, NarrowFloats) {
  for (int bits = 0; bits < 256; ++bits) {
    const auto b = static_cast<uint8_t>(bits);
    if (!std::isnan(f8e4m3_to_float(b))) { EXPECT_EQ(float_to_f8e4m3(f8e4m3_to_float(b)), b); }
    if (!std::isnan(f8e5m2_to_float(b))) { EXPECT_EQ(float_to_f8e5m2(f8e5m2_to_float(b)), b); }
  }
  EXPECT_EQ(f8e4m3_to_float(0x7e), 448.0f);
  EXPECT_EQ(float_to_f8e4m3(1e6f), 0x7e);
  EXPECT_TRUE(std::isinf(f8e5m2_to_float(float_to_f8e5m2(1e6f))));
  EXPECT_EQ(f8e8m0_to_float(127), 1.0f);
  EXPECT_EQ(bfloat16_to_float(float_to_bfloat16(1.0f)), 1.0f);
  EXPECT_EQ(float_to_bfloat16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // a tie, to even
  EXPECT_EQ(float_to_bfloat16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
}

TEST(RoundingTest, SaturatesAndRoundsHalfToEven) {
  EXPECT_EQ(quantize_value(2.5f, 1.0f, 0, -128, 127), 2);
  EXPECT_EQ(quantize_value(3.5f, 1.0f, 0, -128, 127), 4);
  EXPECT_EQ(quantize_value(0.5f, 1.0f, 1, -128, 127), 1);  // rounds before the zero point is added
  EXPECT_EQ(quantize_value(1e30f, 1.0f, 0, INT32_MIN, INT32_MAX), INT32_MAX);
  EXPECT_EQ(quantize_value(-1e30f, 1.0f, 0, INT32_MIN, INT32_MAX), INT32_MIN);
  EXPECT_EQ(quantize_value(INFINITY, 1.0f, 3, 0, 255), 255);
  EXPECT_EQ(quantize_value(NAN, 1.0f, 3, 0, 255), 0);
  EXPECT_EQ(saturate_to_int(NAN, 5, 9), 5);
  EXPECT_EQ(saturate_to_int(9.2e18, INT64_MIN, INT64_MAX), INT64_C(9200000000000000000));
  EXPECT_EQ(saturate_to_int(1e19, INT64_MIN, INT64_MAX), INT64_MAX);
}

TEST(ArenaTest, InternsAndAligns) {
  Arena arena;
  const std::string_view a = arena.intern("scale"), b = arena.intern(std::string("sca") + "le");
  EXPECT_EQ(a.data(), b.data());
  for (size_t alignment : {1, 8, 64})
    EXPECT_EQ(reinterpret_cast<uintptr_t>(arena.allocate(3, alignment)) % alignment, 0u);
  const auto big = static_cast<char*>(arena.allocate(1 << 20, 1));
  std::memset(big, 1, 1 << 20);
  EXPECT_EQ(arena.copy({1, 2, 3})[2], 3);
}

TEST(AtomicFileTest, AppearsWholeOrNotAtAll) {
  const std::string path = temporary("atomic");
  ASSERT_TRUE(write_file(path, "old").ok());
  {
    auto file = AtomicFile::create(path);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write("half of the new").ok());
  }  // never committed
  EXPECT_EQ(*read_file(path), "old");
  auto file = AtomicFile::create(path);
  const std::string source = temporary("source");
  ASSERT_TRUE(write_file(source, std::string(200000, 'x')).ok());
  auto mapped = MappedFile::open(source);
  ASSERT_TRUE(mapped.ok());
  ASSERT_TRUE(file->write("head").ok());
  ASSERT_TRUE(file->pad_to(64).ok());
  ASSERT_TRUE(file->write(Blob::from_file(*mapped, 1000, 150000)).ok());
  EXPECT_EQ(file->position(), 150064u);
  ASSERT_TRUE(file->commit().ok());
  const std::string text = *read_file(path);
  EXPECT_EQ(text.size(), 150064u);
  EXPECT_EQ(text.substr(0, 5), std::string("head\0", 5));
  EXPECT_EQ(text.back(), 'x');
  std::filesystem::remove(path);
  std::filesystem::remove(source);
  EXPECT_FALSE(AtomicFile::create("/no/such/folder/file").ok());
  EXPECT_FALSE(AtomicFile::create("/tmp").ok());
  EXPECT_FALSE(read_file(path).ok());
}

// Pieces of all sizes, and ranges of another file between them, with and without a thread that writes.
TEST(AtomicFileTest, LongFilesKeepTheOrderOfTheirPieces) {
  const std::string path = temporary("long"), source = temporary("range");
  ASSERT_TRUE(write_file(source, std::string(300000, 'y')).ok());
  auto mapped = MappedFile::open(source);
  ASSERT_TRUE(mapped.ok());
  for (int threads : {1, 2}) {
    set_thread_count(threads);
    std::string expected;
    auto file = AtomicFile::create(path);
    ASSERT_TRUE(file.ok());
    uint32_t seed = 1;
    while (expected.size() < (20u << 20)) {
      seed = seed * 1664525 + 1013904223;
      const std::string piece(seed >> 8 & ((seed & 7) == 0 ? 0x1FFFFF : 0x3FFFF),
                              static_cast<char>('a' + seed % 26));
      ASSERT_TRUE(file->write(piece).ok());
      expected += piece;
      if (seed >> 30 == 0) {
        ASSERT_TRUE(file->write(Blob::from_file(*mapped, 100, 200000)).ok());
        expected.append(200000, 'y');
      }
      ASSERT_EQ(file->position(), expected.size());
    }
    ASSERT_TRUE(file->commit().ok());
    EXPECT_TRUE(*read_file(path) == expected) << threads << " threads";
  }
  set_thread_count(1);
  std::filesystem::remove(path);
  std::filesystem::remove(source);
}

TEST(AtomicFileTest, AFullDiskLeavesTheTargetAsItWas) {
  const std::string path = temporary("full");
  ASSERT_TRUE(write_file(path, "old").ok());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_IGN);
  for (int threads : {1, 2}) {
    set_thread_count(threads);
    const rlimit small{6u << 20, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    Status status;
    {
      auto file = AtomicFile::create(path);
      ASSERT_TRUE(file.ok());
      for (int i = 0; i < 200 && status.ok(); ++i) status = file->write(std::string(100000, 'z'));
      if (status.ok()) status = file->commit();
    }
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_FALSE(status.ok()) << threads << " threads";
    EXPECT_NE(status.error().str().find("cannot write"), std::string::npos) << status.error().str();
    EXPECT_EQ(*read_file(path), "old");
  }
  set_thread_count(1);
  std::signal(SIGXFSZ, SIG_DFL);
  std::filesystem::remove(path);
}

TEST(ParallelTest, EveryItemOnceForEveryThreadCount) {
  for (int threads : {1, 2, 5}) {
    set_thread_count(threads);
    for (int64_t count : {0, 1, 7, 1000}) {
      std::vector<int> seen(static_cast<size_t>(count), 0);
      parallel_for(count, 3, [&](int64_t begin, int64_t end) {
        EXPECT_LE(end - begin, 3);
        parallel_for(2, 1, [](int64_t, int64_t) {});  // nested: serial
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
      });
      for (int s : seen) EXPECT_EQ(s, 1);
    }
  }
  set_thread_count(1);
}

TEST(JsonWriterTest, NumbersReadBackEqual) {
  JsonWriter json;
  json.begin_object()
      .field("a", 0.1)
      .field("b", 1.0)
      .field("c", int64_t{7})
      .field("d", true)
      .field("e", "x\"\n\x01");
  json.key("f").begin_array().value(NAN).value(-INFINITY).null().end_array().end_object();
  EXPECT_EQ(json.str(),
            "{\"a\": 0.1, \"b\": 1.0, \"c\": 7, \"d\": true, \"e\": \"x\\\"\\n\\u0001\", \"f\": [\"NaN\", "
            "\"-Infinity\", null]}");
}

// FIPS 180-4, appendix example.
TEST(Sha256Test, KnownDigest) {
  const std::string text = "abc";
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(text.data(), text.size()))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(InlineVector, GrowsBeyondWhatItHolds) {
  InlineVector<int, 2> a;
  for (int i = 0; i < 9; ++i) a.push_back(i);
  InlineVector<int, 2> copy = a, small = {7};
  EXPECT_EQ(copy.size(), 9u);
  EXPECT_EQ(copy[8], 8);
  a.push_back(a.front());
  EXPECT_EQ(a.back(), 0);
  small = std::move(a);
  EXPECT_EQ(small.size(), 10u);
  EXPECT_TRUE(a.empty());  // NOLINT: what was moved from is empty
  a.push_back(3);
  EXPECT_EQ(a.front(), 3);
  copy.assign(3, 5);
  EXPECT_EQ(std::vector<int>(copy.begin(), copy.end()), (std::vector<int>{5, 5, 5}));
  copy = InlineVector<int, 2>{1};
  EXPECT_EQ(copy.size(), 1u);
  copy.clear();
  EXPECT_TRUE(copy.empty());
}

}  // namespace
}  // namespace zp
