// Reads a dimension at a text cursor; the grammar is that of DimContext::parse. Outside parentheses it ends
// with the line, so that a `%` at the start of the next line is a name and no remainder.
#pragma once

#include "ir/dim.h"
#include "support/text_cursor.h"

namespace zp {

// With `declared_only`, a symbol that was not declared is an error that names it.
Result<Dim> read_dim(TextCursor& cursor, DimContext& dims, bool declared_only);

}  // namespace zp
