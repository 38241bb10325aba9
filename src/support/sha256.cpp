#include "support/sha256.h"

#include <sys/types.h>

#include <sha2.h>

#include <cstdint>

namespace zp {

std::string sha256_hex(std::span<const std::byte> bytes) {
  char hex[SHA256_DIGEST_STRING_LENGTH + 1] = {};
  SHA256Data(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), hex);
  return hex;
}

}  // namespace zp
