// Attributes of padding.
#pragma once

#include <string_view>

#include "ir/attrs.h"

namespace zp::ops {

// Pairs (before, after), the last dim first; negative entries crop. `mode`: constant, reflect, replicate,
// circular. `value` is a real number; on quantized elements it must be a number that each padded element's
// scale holds exactly.
struct PadAttrs {
  List<Dim> pad;
  std::string_view mode = "constant";
  Number value = Number::of_int(0);
  ZP_ATTRS(PadAttrs, pad, mode, value)
};

}  // namespace zp::ops
