// Reading and writing of .npy. The header is a Python literal of three known keys; it is read by a small
// cursor, nothing is evaluated. A file that is cut short, declares more elements than it holds or overflows
// is refused before any memory is asked for, so the size of a file bounds what reading it costs.
#include "formats/npy.h"

#include <cstring>

#include "support/atomic_file.h"
#include "support/mapped_file.h"

namespace zp {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr size_t kMaxHeader = size_t{1} << 20;  // a shape of thousands of dims would fit
constexpr size_t kMaxRank = 64;                 // NumPy's own limit

Error bad(std::string text) { return Error("npy.header", std::move(text)); }

// The part of Python's literal grammar that headers use.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  bool take(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take_word(std::string_view word) {
    skip();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  std::optional<std::string_view> quoted() {
    skip();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return {};
    const size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return {};
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return inside;
  }
  std::optional<int64_t> number() {
    skip();
    const size_t begin = at_;
    int64_t value = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      if (__builtin_mul_overflow(value, int64_t{10}, &value) ||
          __builtin_add_overflow(value, int64_t{text_[at_] - '0'}, &value)) {
        return {};
      }
      ++at_;
    }
    if (at_ == begin) return {};
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2 wrote long integers so
    return value;
  }
  bool at_end() {
    skip();
    return at_ == text_.size();
  }

 private:
  void skip() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }
  std::string_view text_;
  size_t at_ = 0;
};

struct DescrRow {
  std::string_view descr;  // without the byte-order mark
  DType dtype;
};
constexpr DescrRow kDescr[] = {
    {"b1", DType::Bool}, {"i1", DType::I8},  {"u1", DType::U8},  {"i2", DType::I16},   {"u2", DType::U16},
    {"i4", DType::I32},  {"u4", DType::U32}, {"i8", DType::I64}, {"u8", DType::U64},   {"f2", DType::F16},
    {"f4", DType::F32},  {"f8", DType::F64}, {"c8", DType::C64}, {"c16", DType::C128},
};

Status parse_descr(std::string_view text, NpyHeader* header) {
  std::string_view kind = text;
  const char order = text.empty() ? '\0' : text[0];
  if (order == '<' || order == '|' || order == '>' || order == '=') kind.remove_prefix(1);
  for (const DescrRow& row : kDescr) {
    if (kind != row.descr) continue;
    header->dtype = row.dtype;
    header->item_bytes = byte_size(row.dtype);
    if (order == '>' && header->item_bytes > 1) {
      return Error("npy.order",
                   "elements '" + std::string(text) + "' are big-endian, only little-endian is read");
    }
    return {};
  }
  if (kind == "V1" || kind == "V2" || kind == "V4") {
    header->raw = true;
    header->item_bytes = kind[1] - '0';
    return {};
  }
  return Error("npy.dtype", "elements '" + std::string(text) + "' are not a number type known here");
}

Status parse_shape(Cursor& cursor, NpyHeader* header) {
  if (!cursor.take('(')) return bad("the shape is not a tuple");
  while (!cursor.take(')')) {
    const std::optional<int64_t> dim = cursor.number();
    if (!dim) return bad("the shape holds something that is not a size");
    if (header->shape.size() == kMaxRank)
      return bad("the shape has more than " + std::to_string(kMaxRank) + " dims");
    header->shape.push_back(*dim);
    if (!cursor.take(',')) {
      if (!cursor.take(')')) return bad("the shape is not closed");
      if (header->shape.size() == 1) return bad("the shape is a number, not a tuple");
      break;
    }
  }
  return {};
}

Status parse_dictionary(std::string_view text, NpyHeader* header) {
  Cursor cursor(text);
  bool descr = false, order = false, shape = false;
  if (!cursor.take('{')) return bad("the header is not a dictionary");
  while (!cursor.take('}')) {
    const std::optional<std::string_view> key = cursor.quoted();
    if (!key || !cursor.take(':')) return bad("the header is not a dictionary of quoted keys");
    if (*key == "descr") {
      const std::optional<std::string_view> value = cursor.quoted();
      if (!value) return Error("npy.dtype", "structured elements are not read");
      ZP_CHECK(parse_descr(*value, header));
      descr = true;
    } else if (*key == "fortran_order") {
      header->fortran_order = cursor.take_word("True");
      if (!header->fortran_order && !cursor.take_word("False"))
        return bad("fortran_order is neither True nor False");
      order = true;
    } else if (*key == "shape" && !shape) {
      ZP_CHECK(parse_shape(cursor, header));
      shape = true;
    } else {
      return bad("unknown or repeated key '" + std::string(key->substr(0, 40)) + "'");
    }
    if (!cursor.take(',')) {
      if (!cursor.take('}')) return bad("the dictionary is not closed");
      break;
    }
  }
  if (!cursor.at_end()) return bad("text after the dictionary");
  if (!descr || !order || !shape) return bad("descr, fortran_order or shape is missing");
  return {};
}

uint32_t little(const std::byte* at, int bytes) {
  uint32_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= static_cast<uint32_t>(at[i]) << (8 * i);
  return value;
}

// Elements in Fortran order (first index fastest) to C order. Walks the result in order.
template <typename T>
void fortran_to_c(const std::byte* from, std::byte* to, const std::vector<int64_t>& shape, int64_t elements) {
  const size_t rank = shape.size();
  std::vector<int64_t> stride(rank), index(rank, 0);
  int64_t step = 1;
  for (size_t d = 0; d < rank; ++d) {
    stride[d] = step;
    step *= shape[d];
  }
  int64_t source = 0;
  for (int64_t i = 0; i < elements; ++i) {
    T item;
    std::memcpy(&item, from + source * static_cast<int64_t>(sizeof(T)), sizeof(T));
    std::memcpy(to + i * static_cast<int64_t>(sizeof(T)), &item, sizeof(T));
    for (size_t d = rank; d-- > 0;) {
      source += stride[d];
      if (++index[d] < shape[d]) break;
      source -= stride[d] * shape[d];
      index[d] = 0;
    }
  }
}

struct Wide {
  std::byte bytes[16];
};

Blob reordered(const Blob& data, const NpyHeader& header, int64_t elements) {
  std::byte* out = nullptr;
  Blob blob = Blob::allocate(data.size(), &out);
  switch (header.item_bytes) {
    case 1: fortran_to_c<uint8_t>(data.data(), out, header.shape, elements); break;
    case 2: fortran_to_c<uint16_t>(data.data(), out, header.shape, elements); break;
    case 4: fortran_to_c<uint32_t>(data.data(), out, header.shape, elements); break;
    case 8: fortran_to_c<uint64_t>(data.data(), out, header.shape, elements); break;
    default: fortran_to_c<Wide>(data.data(), out, header.shape, elements); break;
  }
  return blob;
}

// The element type that header and caller agree on.
Result<DType> element_type(const NpyHeader& header, std::optional<DType> as) {
  if (!as) {
    if (!header.raw) return header.dtype;
    return Error("npy.dtype", "elements are " + std::to_string(header.item_bytes) +
                                  " raw bytes each, say what they are (for example bf16)");
  }
  if (header.dtype == *as) return *as;
  const bool free_bits = header.raw || (is_integer(header.dtype) && !is_signed(header.dtype));
  if (free_bits && bits_of(*as) == 8 * header.item_bytes) return *as;
  return Error("npy.dtype", "elements of " + std::to_string(header.item_bytes) + " bytes (" +
                                std::string(header.raw ? "raw" : dtype_name(header.dtype)) +
                                ") cannot be taken as " + std::string(dtype_name(*as)));
}

std::string_view descr_of(DType dtype) {
  switch (dtype) {
    case DType::I2:
    case DType::I4: return "|i1";
    case DType::U2:
    case DType::U4: return "|u1";
    case DType::BF16: return "|V2";
    case DType::F8E4M3:
    case DType::F8E5M2:
    case DType::F8E4M3FNUZ:
    case DType::F8E5M2FNUZ:
    case DType::F8E8M0: return "|V1";
    case DType::C32: return "|V4";
    default: break;
  }
  for (const DescrRow& row : kDescr)
    if (row.dtype == dtype) return row.descr;
  return "|V1";
}

}  // namespace

Result<NpyHeader> parse_npy_header(std::span<const std::byte> file) {
  if (file.size() < 10 || std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0) {
    return Error("npy.magic", "not a .npy file: it does not begin with \\x93NUMPY");
  }
  const int major = static_cast<int>(file[6]), minor = static_cast<int>(file[7]);
  if (major < 1 || major > 3 || minor != 0) {
    return Error("npy.version", "version " + std::to_string(major) + "." + std::to_string(minor) +
                                    " is not known, 1.0 to 3.0 are");
  }
  const int length_bytes = major == 1 ? 2 : 4;
  const size_t begin = 8 + static_cast<size_t>(length_bytes);
  if (file.size() < begin) return bad("the file ends inside its header");
  const size_t length = little(file.data() + 8, length_bytes);
  if (length > kMaxHeader) return bad("a header of " + std::to_string(length) + " bytes is too long");
  if (file.size() - begin < length) {
    return bad("the header has " + std::to_string(length) + " bytes, the file " +
               std::to_string(file.size() - begin));
  }
  NpyHeader header;
  header.data_offset = begin + length;
  ZP_CHECK(parse_dictionary({reinterpret_cast<const char*>(file.data()) + begin, length}, &header));
  return header;
}

Result<Tensor> parse_npy(const Blob& file, std::optional<DType> as) {
  ZP_TRY(NpyHeader header, parse_npy_header(file.bytes()));
  ZP_TRY(const DType dtype, element_type(header, as));
  int64_t elements = 1, bytes = 0;
  bool empty = false;
  for (int64_t dim : header.shape) empty |= dim == 0;
  if (empty) elements = 0;
  for (int64_t dim : header.shape) {
    if (!empty && __builtin_mul_overflow(elements, dim, &elements)) {
      return Error("npy.size", "the number of elements overflows");
    }
  }
  const size_t present = file.size() - header.data_offset;
  if (__builtin_mul_overflow(elements, header.item_bytes, &bytes) || static_cast<uint64_t>(bytes) > present) {
    return Error("npy.size", "the header promises " + std::to_string(elements) + " elements of " +
                                 std::to_string(header.item_bytes) + " bytes, the file holds " +
                                 std::to_string(present) + " bytes");
  }
  Blob data = file.slice(header.data_offset, static_cast<size_t>(bytes));
  const size_t alignment = static_cast<size_t>(header.item_bytes < 8 ? header.item_bytes : 8);
  if (header.fortran_order && header.shape.size() > 1 && elements > 1) {
    data = reordered(data, header, elements);
  } else if (reinterpret_cast<uintptr_t>(data.data()) % alignment != 0) {
    data = Blob::copy_of(
        data.bytes());  // old writers aligned to 16 or not at all; evaluators read typed pointers
  }
  return Tensor::view(dtype, std::move(header.shape), std::move(data));
}

Result<Tensor> read_npy(const std::string& path, std::optional<DType> as) {
  ZP_TRY(std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  const size_t size = static_cast<size_t>(file->size());
  Result<Tensor> tensor = parse_npy(Blob::from_file(std::move(file), 0, size), as);
  if (!tensor.ok()) return std::move(tensor).error().in_file(path);
  return tensor;
}

std::string npy_header(DType dtype, std::span<const int64_t> shape) {
  const std::string_view descr = descr_of(dtype);
  std::string text = "{'descr': '";
  if (descr[0] != '|') text += byte_size(dtype) == 1 ? '|' : '<';
  text += descr;
  text += "', 'fortran_order': False, 'shape': (";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  if (shape.size() == 1) text += ',';
  text += "), }";
  const bool long_form = text.size() + 1 + 10 + 63 > 0xFFFF;
  const size_t prefix = long_form ? 12 : 10;
  while ((prefix + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  std::string header(kMagic);
  header += long_form ? '\x02' : '\x01';
  header += '\x00';
  for (size_t i = 0; i < prefix - 8; ++i) header += static_cast<char>((text.size() >> (8 * i)) & 0xFF);
  return header + text;
}

Status write_npy(const std::string& path, const Tensor& tensor) {
  ZP_TRY(AtomicFile file, AtomicFile::create(path));
  ZP_CHECK(file.write(npy_header(tensor.dtype(), tensor.shape())));
  ZP_CHECK(file.write(tensor.blob().slice(0, static_cast<size_t>(tensor.bytes()))));
  return file.commit();
}

}  // namespace zp
