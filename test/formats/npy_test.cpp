#include "formats/npy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "support/mapped_file.h"

namespace zp {
namespace {

std::string file_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Blob blob(const std::string& text) {
  return Blob::copy_of(std::as_bytes(std::span(text.data(), text.size())));
}

// A file with that header text, padded as NumPy does, and that data.
std::string npy(const std::string& dictionary, const std::string& data, int major = 1) {
  std::string text = dictionary;
  const size_t prefix = major == 1 ? 10 : 12;
  while ((prefix + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  std::string file = std::string("\x93NUMPY", 6) + static_cast<char>(major) + '\0';
  for (size_t i = 0; i < prefix - 8; ++i) file += static_cast<char>((text.size() >> (8 * i)) & 0xFF);
  return file + text + data;
}

class NpyFile : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/zp_npy_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string folder_;
};

TEST(Npy, HeaderIsAlignedAndNamesTheType) {
  const int64_t shape[] = {3, 4};
  const std::string header = npy_header(DType::F32, shape);
  EXPECT_EQ(header.size() % 64, 0u);
  EXPECT_NE(header.find("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }"), std::string::npos);
  const int64_t one[] = {3};
  EXPECT_NE(npy_header(DType::U8, one).find("'|u1'"), std::string::npos);
  EXPECT_NE(npy_header(DType::U8, one).find("(3,)"), std::string::npos);
  EXPECT_NE(npy_header(DType::BF16, {}).find("'|V2', 'fortran_order': False, 'shape': (), "),
            std::string::npos);
}

TEST_F(NpyFile, EveryTypeSurvives) {
  for (DType dtype : {DType::Bool, DType::I8, DType::U8, DType::I16, DType::U16, DType::I32, DType::U32,
                      DType::I64, DType::U64, DType::F16, DType::F32, DType::F64}) {
    Tensor tensor = std::move(*Tensor::make(dtype, {2, 3}));
    for (int i = 0; i < 6; ++i) tensor.set_int(i, dtype == DType::Bool ? i % 2 : i * 7);
    ASSERT_TRUE(write_npy(path("t.npy"), tensor).ok());
    Result<Tensor> back = read_npy(path("t.npy"));
    ASSERT_TRUE(back.ok()) << back.error().str();
    EXPECT_EQ(back->dtype(), dtype);
    EXPECT_EQ(back->shape(), (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(std::memcmp(back->data<char>(), tensor.data<char>(), static_cast<size_t>(tensor.bytes())), 0);
  }
}

TEST_F(NpyFile, ReadingMapsTheFile) {
  Tensor tensor = std::move(*Tensor::make(DType::F32, {1000}));
  ASSERT_TRUE(write_npy(path("t.npy"), tensor).ok());
  Result<Tensor> back = read_npy(path("t.npy"));
  ASSERT_TRUE(back.ok());
  ASSERT_NE(back->blob().file(), nullptr);
  EXPECT_EQ(back->blob().offset(), 128u);
}

TEST(Npy, FortranOrder) {
  // [[1, 2, 3], [4, 5, 6]] stored column by column
  const int16_t columns[] = {1, 4, 2, 5, 3, 6};
  const std::string data(reinterpret_cast<const char*>(columns), sizeof(columns));
  Result<Tensor> t = parse_npy(blob(npy("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }", data)));
  ASSERT_TRUE(t.ok()) << t.error().str();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(t->get_int(i), i + 1);
}

TEST(Npy, FortranOrderOfThreeDims) {
  std::string data;
  for (int k = 0; k < 4; ++k)
    for (int j = 0; j < 3; ++j)
      for (int i = 0; i < 2; ++i) data += static_cast<char>(i * 12 + j * 4 + k);
  Result<Tensor> t =
      parse_npy(blob(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 4)}", data)));
  ASSERT_TRUE(t.ok());
  for (int i = 0; i < 24; ++i) EXPECT_EQ(t->get_int(i), i);
}

TEST(Npy, OtherVersionsAndSpellings) {
  for (int major : {1, 2, 3}) {
    Result<Tensor> t =
        parse_npy(blob(npy("{\"descr\":\"|i1\",'shape':(2L,),'fortran_order':False}", "\x05\xfb", major)));
    ASSERT_TRUE(t.ok()) << t.error().str();
    EXPECT_EQ(t->get_int(0), 5);
    EXPECT_EQ(t->get_int(1), -5);
  }
  Result<Tensor> scalar =
      parse_npy(blob(npy("{'descr': '|i1', 'fortran_order': False, 'shape': (), }", "\x07")));
  ASSERT_TRUE(scalar.ok());
  EXPECT_EQ(scalar->rank(), 0);
  EXPECT_EQ(scalar->get_int(0), 7);
  Result<Tensor> none =
      parse_npy(blob(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 5), }", "")));
  ASSERT_TRUE(none.ok()) << none.error().str();
  EXPECT_EQ(none->elements(), 0);
}

TEST(Npy, RawElementsNeedAMeaning) {
  const std::string one_bf16("\x80\x3f", 2);
  const std::string raw = npy("{'descr': '|V2', 'fortran_order': False, 'shape': (1,), }", one_bf16);
  EXPECT_FALSE(parse_npy(blob(raw)).ok());
  Result<Tensor> t = parse_npy(blob(raw), DType::BF16);
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(t->dtype(), DType::BF16);
  EXPECT_EQ(t->get_double(0), 1.0);
  const std::string unsigned_form =
      npy("{'descr': '<u2', 'fortran_order': False, 'shape': (1,), }", one_bf16);
  Result<Tensor> u = parse_npy(blob(unsigned_form), DType::BF16);
  ASSERT_TRUE(u.ok());
  EXPECT_EQ(u->get_double(0), 1.0);
  EXPECT_EQ(parse_npy(blob(unsigned_form))->dtype(), DType::U16);
  EXPECT_FALSE(parse_npy(blob(unsigned_form), DType::F32).ok());
  const std::string floats = npy("{'descr': '<f2', 'fortran_order': False, 'shape': (1,), }", one_bf16);
  EXPECT_FALSE(parse_npy(blob(floats), DType::BF16).ok());
}

TEST(Npy, UnalignedDataIsCopied) {
  // A header that ends at an odd offset, as a hand-made file may have.
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}";
  if ((10 + text.size()) % 2 == 0) text += ' ';
  std::string file = std::string("\x93NUMPY\x01", 7) + '\0' + static_cast<char>(text.size()) + '\0' + text;
  const float value = 2.5f;
  file.append(reinterpret_cast<const char*>(&value), 4);
  Result<Tensor> t = parse_npy(blob(file));
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(t->data<float>()) % 4, 0u);
  EXPECT_EQ(t->get_double(0), 2.5);
}

TEST(Npy, RefusesWhatIsBroken) {
  struct Row {
    std::string bytes;
    const char* id;
  };
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  const Row rows[] = {
      {"", "npy.magic"},
      {"PK\x03\x04 not an array", "npy.magic"},
      {std::string("\x93NUMPY\x09\x00\x10\x00", 10), "npy.version"},
      {std::string("\x93NUMPY\x01\x00\xff\xff", 10) + "short", "npy.header"},
      {std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12), "npy.header"},
      {npy(good, "1234567"), "npy.size"},
      {npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "1234"), "npy.order"},
      {npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "1234"), "npy.dtype"},
      {npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "1234"), "npy.dtype"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "1234"), "npy.header"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1), }", "1234"), "npy.header"},
      {npy("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", "1234"), "npy.header"},
      {npy("{'descr': '<f4', 'fortran_order': False}", "1234"), "npy.header"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)", "1234"), "npy.header"},
      {npy(good + " + 1", "12345678"), "npy.header"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 16), }", ""),
       "npy.size"},
      {npy("{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807,), }", ""), "npy.size"},
      {npy("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }", ""), "npy.header"},
  };
  for (const Row& row : rows) {
    Result<Tensor> t = parse_npy(blob(row.bytes));
    ASSERT_FALSE(t.ok()) << row.id;
    EXPECT_EQ(t.error().first().id, row.id) << t.error().str();
  }
}

TEST(Npy, EveryTruncationIsAnErrorNotACrash) {
  const std::string whole = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "12345678");
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(parse_npy(blob(whole.substr(0, size))).ok()) << size;
  EXPECT_TRUE(parse_npy(blob(whole)).ok());
}

TEST_F(NpyFile, AFailedWriteLeavesTheOldFile) {
  std::filesystem::create_directory(path("folder.npy"));
  Tensor tensor = std::move(*Tensor::make(DType::F32, {2}));
  EXPECT_FALSE(write_npy(path("folder.npy"), tensor).ok());
  EXPECT_FALSE(write_npy(path("missing/t.npy"), tensor).ok());
  ASSERT_TRUE(write_npy(path("t.npy"), tensor).ok());
  const std::string first = file_bytes(path("t.npy"));
  ASSERT_TRUE(write_npy(path("t.npy"), tensor).ok());
  EXPECT_EQ(file_bytes(path("t.npy")), first);
  size_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) entries += entry.is_regular_file();
  EXPECT_EQ(entries, 1u);  // no temporary is left
}

TEST_F(NpyFile, ErrorsNameTheFile) {
  std::ofstream(path("t.npy")) << "nothing";
  Result<Tensor> t = read_npy(path("t.npy"));
  ASSERT_FALSE(t.ok());
  EXPECT_NE(t.error().str().find("t.npy"), std::string::npos);
}

}  // namespace
}  // namespace zp
