// Data of constants in the text form: a list of numbers, base64 of the bytes, or a rule (zeros, fill, random)
// that tests use. Everything is bounded by the text itself, except rules, which have a limit of their own.
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "ir/parser_impl.h"
#include "support/half.h"
#include "support/text_format.h"

namespace zp {

namespace {

constexpr int64_t kMaxRuleBytes = int64_t{1} << 28;

template <typename T>
void store(std::byte* data, int64_t index, T value) {
  std::memcpy(data + static_cast<size_t>(index) * sizeof(T), &value, sizeof(T));
}

void store_integer(DType dtype, std::byte* data, int64_t i, int64_t value) {
  switch (bits_of(dtype)) {
    case 8: return store(data, i, static_cast<int8_t>(value));
    case 16: return store(data, i, static_cast<int16_t>(value));
    case 32: return store(data, i, static_cast<int32_t>(value));
    case 64: return store(data, i, value);
    default: break;
  }
  const int bits = bits_of(dtype), per_byte = 8 / bits, shift = static_cast<int>(i % per_byte) * bits;
  const auto mask = static_cast<uint8_t>(((1 << bits) - 1) << shift);
  const auto value_bits = static_cast<uint8_t>(static_cast<unsigned>(value) << shift) & mask;
  auto old = std::to_integer<unsigned>(data[i / per_byte]);
  data[i / per_byte] =
      static_cast<std::byte>((old & ~static_cast<unsigned>(mask)) | static_cast<unsigned>(value_bits));
}

// False if a finite number became infinite in the narrower format.
bool store_float(DType dtype, std::byte* data, int64_t i, float value) {
  switch (dtype) {
    case DType::F16: {
      const uint16_t bits = float_to_half(value);
      store(data, i, bits);
      return std::isinf(value) || !std::isinf(half_to_float(bits));
    }
    case DType::BF16: {
      const uint16_t bits = float_to_bfloat16(value);
      store(data, i, bits);
      return std::isinf(value) || !std::isinf(bfloat16_to_float(bits));
    }
    case DType::F8E4M3:
      store(data, i, float_to_f8e4m3(value));
      return std::isnan(value) || std::abs(value) <= 448;
    case DType::F8E5M2: {
      const uint8_t bits = float_to_f8e5m2(value);
      store(data, i, bits);
      return std::isinf(value) || !std::isinf(f8e5m2_to_float(bits));
    }
    default: store(data, i, value); return true;
  }
}

bool has_decimal_text(DType dtype) {
  switch (dtype) {
    case DType::F8E4M3FNUZ:
    case DType::F8E5M2FNUZ:
    case DType::F8E8M0:
    case DType::C32:
    case DType::C64:
    case DType::C128:
    case DType::Unknown: return false;
    default: return true;
  }
}

// A well-known generator (SplitMix64): the same numbers everywhere, for ever.
uint64_t next_random(uint64_t* state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

}  // namespace

// Reads one number into element `index`; the data may be packed.
Status TextParser::element(DType dtype, std::byte* data, int64_t index) {
  const Place place = cursor_.place();
  if (!has_decimal_text(dtype)) {
    return cursor_.error_at(
        place,
        fmt::format("{} has no decimal text here; give its bytes as base64 {{...}}", dtype_name(dtype)));
  }
  if (dtype == DType::Bool) {
    const bool yes = cursor_.accept("true") || cursor_.accept("1");
    if (!yes && !cursor_.accept("false") && !cursor_.accept("0")) return cursor_.wanted("true or false");
    store<uint8_t>(data, index, yes);
    return {};
  }
  ZP_TRY(const auto number, cursor_.number("a number"));
  const auto misfit = [&] {
    return cursor_.error_at(place, fmt::format("'{}' does not fit in {}", number.text, dtype_name(dtype)));
  };
  if (is_float(dtype)) {
    if (dtype == DType::F64) {
      double value = 0;
      if (!read_number(number.text, &value)) return misfit();
      store(data, index, value);
      return {};
    }
    float value = 0;
    if (!read_number(number.text, &value) || !store_float(dtype, data, index, value)) return misfit();
    return {};
  }
  if (number.is_float)
    return cursor_.error_at(
        place, fmt::format("wanted an integer for {}, found '{}'", dtype_name(dtype), number.text));
  if (dtype == DType::U64) {
    uint64_t value = 0;
    if (!read_number(number.text, &value)) return misfit();
    store(data, index, value);
    return {};
  }
  int64_t value = 0;
  if (!read_number(number.text, &value) || value < int_min(dtype) || value > int_max(dtype)) return misfit();
  store_integer(dtype, data, index, value);
  return {};
}

// fill NUMBER: all elements are that number.
Result<Blob> TextParser::fill(DType dtype, int64_t count) {
  std::byte first[16] = {};
  ZP_CHECK(element(dtype, first, 0));
  std::byte* data = nullptr;
  const int64_t bytes = storage_bytes(dtype, count);
  Blob blob = Blob::allocate(static_cast<size_t>(bytes), &data);
  const int bits = bits_of(dtype);
  if (bits < 8) {
    // The packed value repeated; the unused bits of the last byte are zero, as everywhere.
    const unsigned value = std::to_integer<unsigned>(first[0]);
    unsigned packed = 0;
    for (int shift = 0; shift < 8; shift += bits) packed |= value << shift;
    std::memset(data, static_cast<int>(packed), static_cast<size_t>(bytes));
    const int64_t used = count % (8 / bits);
    if (used != 0) data[bytes - 1] = static_cast<std::byte>(packed & ((1u << (used * bits)) - 1));
    return blob;
  }
  const auto width = static_cast<size_t>(bits / 8);
  for (int64_t i = 0; i < count; ++i) std::memcpy(data + static_cast<size_t>(i) * width, first, width);
  return blob;
}

// random SEED [in LO..HI]: integers of the range, or floats in steps of 1/4096 of it. Without a range: all
// values of an 8-bit or narrower type, -1000..1000 for wider ones, -1..1 for floats.
Result<Blob> TextParser::random(DType dtype, int64_t count) {
  const Place place = cursor_.place();
  ZP_TRY(const int64_t seed, cursor_.integer("a seed"));
  if (!has_decimal_text(dtype))
    return cursor_.error_at(place, fmt::format("random {} is not known", dtype_name(dtype)));
  const bool real = is_float(dtype);
  const bool narrow = !real && bits_of(dtype) <= 8;
  double lo = real ? -1 : narrow ? static_cast<double>(int_min(dtype)) : is_signed(dtype) ? -1000 : 0;
  double hi = real ? 1 : narrow ? static_cast<double>(int_max(dtype)) : 1000;
  if (cursor_.accept("in")) {
    const Place range = cursor_.place();
    ZP_TRY(lo, cursor_.real("a lower bound"));
    ZP_CHECK(cursor_.expect(".."));
    ZP_TRY(hi, cursor_.real("an upper bound"));
    const bool fits =
        real || (lo == std::trunc(lo) && hi == std::trunc(hi) && lo >= static_cast<double>(int_min(dtype)) &&
                 hi <= static_cast<double>(int_max(dtype)) && std::abs(lo) < 0x1p52 && std::abs(hi) < 0x1p52);
    if (!fits || !(lo <= hi) || !std::isfinite(lo) || !std::isfinite(hi)) {
      return cursor_.error_at(
          range, fmt::format("range {}..{} is not one of {}", shortest(lo), shortest(hi), dtype_name(dtype)));
    }
  }
  std::byte* data = nullptr;
  const auto bytes = static_cast<size_t>(storage_bytes(dtype, count));
  Blob blob = Blob::allocate(bytes, &data);
  std::memset(data, 0, bytes);
  auto state = static_cast<uint64_t>(seed);
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t r = next_random(&state) >> 11;
    if (real) {
      const double value = lo + (hi - lo) * (static_cast<double>(r % 4097) / 4096);
      if (dtype == DType::F64) store(data, i, value);
      else store_float(dtype, data, i, static_cast<float>(value));
    } else {
      const auto span = static_cast<uint64_t>(hi - lo) + 1;
      store_integer(dtype, data, i, static_cast<int64_t>(lo) + static_cast<int64_t>(r % span));
    }
  }
  return blob;
}

// [1,2,3] | NUMBER (0-d) | zeros | fill NUMBER | random SEED | base64 {...}
Result<Blob> TextParser::constant_data(DType dtype, int64_t count, bool scalar) {
  const Place place = cursor_.place();
  const int64_t bytes = storage_bytes(dtype, count);
  const bool zeros = cursor_.accept("zeros"), filled = !zeros && cursor_.accept("fill"),
             random_data = !zeros && !filled && cursor_.accept("random");
  if (zeros || filled || random_data) {
    if (bytes > kMaxRuleBytes)
      return cursor_.error_at(place, fmt::format("{} bytes by rule are more than {}", bytes, kMaxRuleBytes));
    if (filled) return fill(dtype, count);
    if (random_data) return random(dtype, count);
    std::byte* data = nullptr;
    Blob blob = Blob::allocate(static_cast<size_t>(bytes), &data);
    std::memset(data, 0, static_cast<size_t>(bytes));
    return blob;
  }
  if (cursor_.accept("base64")) {
    ZP_CHECK(cursor_.expect("{"));
    ZP_TRY(const std::string_view text, cursor_.until('}', "'}' after the base64 text"));
    std::vector<std::byte> data;
    if (!read_base64(text, &data)) return cursor_.error_at(place, "the text in braces is not base64");
    if (static_cast<int64_t>(data.size()) != bytes) {
      return cursor_.error_at(place, fmt::format("{} bytes of data, the type needs {}", data.size(), bytes));
    }
    return Blob::copy_of(data);
  }
  if (scalar) {
    std::byte one[16] = {};
    ZP_CHECK(element(dtype, one, 0));
    return Blob::copy_of({one, static_cast<size_t>(bytes)});
  }
  ZP_CHECK(cursor_.expect("["));
  std::vector<std::byte> data;
  int64_t found = 0;
  while (!cursor_.accept("]")) {
    if (found > 0) ZP_CHECK(cursor_.expect(","));
    if (found == count) return cursor_.error(fmt::format("more than the {} numbers the type needs", count));
    data.resize(static_cast<size_t>(storage_bytes(dtype, found + 1)));
    ZP_CHECK(element(dtype, data.data(), found++));
  }
  if (found != count)
    return cursor_.error_at(place, fmt::format("{} numbers, the type needs {}", found, count));
  return Blob::copy_of(data);
}

}  // namespace zp
