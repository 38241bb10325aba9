// libFuzzer target of the text form: any bytes give a model or an error; a model verifies without harm,
// prints, and reads back equal. Good seeds: the files of test/zp.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ir/parser.h"
#include "ir/printer.h"
#include "ir/verifier.h"
#include "ops/ops.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto model = zp::parse_model({reinterpret_cast<const char*>(data), size}, zp::ops::table(), "fuzz");
  if (!model) return 0;
  (void)zp::verify(**model);
  const std::string once = zp::print(**model);
  const auto again = zp::parse_model(once, zp::ops::table(), "printed");
  if (!again || zp::print(**again) != once) std::abort();
  return 0;
}
