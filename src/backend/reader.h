// Text of a backend file to its tree. Only the grammar is judged here; names and meanings are checked later,
// when what the file extends is known.
#pragma once

#include <string_view>
#include <vector>

#include "backend/tree.h"
#include "support/diagnostic.h"

namespace zp::backend {

// All syntax problems go to `problems` (rule id zpb01), notes too; what could be read is returned.
File read_file(std::string_view text, std::string_view file, std::vector<Diagnostic>* problems);

}  // namespace zp::backend
