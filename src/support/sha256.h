// SHA-256 (FIPS 180-4), for naming constants by content in reports.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace zp {

std::string sha256_hex(std::span<const std::byte> bytes);

}  // namespace zp
