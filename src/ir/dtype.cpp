#include "ir/dtype.h"

#include <limits>

namespace zp {

namespace {

struct Facts {
  std::string_view name;
  int bits;
  char kind;  // b bool, u unsigned, s signed, f float, c complex, ? unknown
};

constexpr Facts kFacts[kDTypeCount] = {
    {"unknown", 8, '?'},    {"bool", 8, 'b'},       {"i2", 2, 's'},     {"u2", 2, 'u'},
    {"i4", 4, 's'},         {"u4", 4, 'u'},         {"i8", 8, 's'},     {"u8", 8, 'u'},
    {"i16", 16, 's'},       {"u16", 16, 'u'},       {"i32", 32, 's'},   {"u32", 32, 'u'},
    {"i64", 64, 's'},       {"u64", 64, 'u'},       {"f8e4m3", 8, 'f'}, {"f8e5m2", 8, 'f'},
    {"f8e4m3fnuz", 8, 'f'}, {"f8e5m2fnuz", 8, 'f'}, {"f8e8m0", 8, 'f'}, {"f16", 16, 'f'},
    {"bf16", 16, 'f'},      {"f32", 32, 'f'},       {"f64", 64, 'f'},   {"c32", 32, 'c'},
    {"c64", 64, 'c'},       {"c128", 128, 'c'},
};

const Facts& facts(DType dtype) { return kFacts[static_cast<int>(dtype)]; }

}  // namespace

std::string_view dtype_name(DType dtype) { return facts(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (int i = 1; i < kDTypeCount; ++i) {
    if (kFacts[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

int bits_of(DType dtype) { return facts(dtype).bits; }
int64_t byte_size(DType dtype) { return facts(dtype).bits < 8 ? 1 : facts(dtype).bits / 8; }

int64_t storage_bytes(DType dtype, int64_t count) {
  const int bits = facts(dtype).bits;
  if (bits >= 8) return count * (bits / 8);
  const int per_byte = 8 / bits;
  return count / per_byte + (count % per_byte != 0);
}

bool is_float(DType dtype) { return facts(dtype).kind == 'f'; }
bool is_integer(DType dtype) { return facts(dtype).kind == 's' || facts(dtype).kind == 'u'; }
bool is_signed(DType dtype) {
  return facts(dtype).kind == 's' || facts(dtype).kind == 'f' || facts(dtype).kind == 'c';
}
bool is_complex(DType dtype) { return facts(dtype).kind == 'c'; }

int64_t int_min(DType dtype) {
  if (facts(dtype).kind != 's') return 0;
  return facts(dtype).bits == 64 ? std::numeric_limits<int64_t>::min()
                                 : -(int64_t{1} << (facts(dtype).bits - 1));
}

int64_t int_max(DType dtype) {
  if (facts(dtype).kind == 'b') return 1;
  const int bits = facts(dtype).bits - (facts(dtype).kind == 's' ? 1 : 0);
  return bits >= 63 ? std::numeric_limits<int64_t>::max() : (int64_t{1} << bits) - 1;
}

}  // namespace zp
