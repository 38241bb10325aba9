// libFuzzer target of the text form: any bytes give a model or an error. A model prints and reads back equal;
// one that verifies runs. Seeds: test/zp.
#include <cstdint>
#include <string_view>

#include "exercise.h"
#include "ir/parser.h"
#include "ops/ops.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  zp::fuzz::set_limits();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto model = zp::parse_model({reinterpret_cast<const char*>(data), size}, zp::ops::table(), "fuzz");
  if (model) zp::fuzz::exercise(**model);
  else zp::fuzz::expect_refused(model.error());
  return 0;
}
