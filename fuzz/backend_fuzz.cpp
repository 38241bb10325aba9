// libFuzzer target of backend files: any text gives a backend or errors; a backend prints and reads back
// equal. Text that opens with a brace is a PyTorch dictionary: it gives messages or a file that reads. Seeds:
// backends.
#include <cstdint>
#include <string_view>

#include "backend/backend.h"
#include "exercise.h"
#include "zeropoint/backend.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 0 && data[0] == '{') {
    const auto config = zeropoint::BackendConfig::from_json({reinterpret_cast<const char*>(data), size});
    const auto file = config.to_zpb({.partial = true});
    if (file.ok() && !zp::Backend::parse(file.text, "imported").ok()) __builtin_trap();
    return 0;
  }
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
