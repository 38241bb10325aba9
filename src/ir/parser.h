// Reads the text form. Errors carry line and column.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ir/model.h"

namespace zp {

Result<std::unique_ptr<Model>> parse_model(std::string_view text, const OpTable& ops,
                                           std::string_view file = "<text>");

}  // namespace zp
