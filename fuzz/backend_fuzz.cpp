// libFuzzer target of backend files: any text gives a backend or errors; a backend prints and reads back
// equal. Seeds: backends.
#include <cstdint>
#include <string_view>

#include "backend/backend.h"
#include "exercise.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto backend = zp::Backend::parse({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!backend) {
    zp::fuzz::expect_refused(backend.error());
    return 0;
  }
  const std::string text = (*backend)->print();
  const auto again = zp::Backend::parse(text, "printed");
  if (!again || (*again)->print() != text) __builtin_trap();
  return 0;
}
