// The reference page of a backend, from the same tree that drives matching: what it takes, under which
// conditions, and what the target calls it. docs/backends holds one page each; a test compares.
#pragma once

#include <string>

#include "backend/backend.h"

namespace zp::backend {

std::string reference_page(const Backend& backend);  // Markdown

}  // namespace zp::backend
