// The importer's functions behind the words `@name` of operator rows.
#pragma once

#include <span>

#include "formats/pt2/node_reader.h"

namespace zp::pt2 {

struct NamedHook {
  std::string_view name;
  ImportHook function;
};
std::span<const NamedHook> quant_hooks();
std::span<const NamedHook> shape_hooks();
std::span<const NamedHook> number_hooks();
std::span<const NamedHook> layer_hooks();
std::span<const NamedHook> embedding_hooks();
std::span<const NamedHook> compose_hooks();

}  // namespace zp::pt2
