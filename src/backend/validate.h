// The checks zpb01 to zpb10 of a merged tree, apart from the grammar.
#pragma once

#include "backend/tree.h"
#include "rewrite/matcher.h"

namespace zp::backend {

// Replaces named types by what they stand for in every slot. Problems: unknown types, types that name
// themselves.
void resolve_types(File& file, std::vector<Diagnostic>* problems);

// Everything else; `variants` are those of each pattern. Errors and notes are appended.
void check_tree(const File& file, const File& prelude, const OpTable& ops, const rewrite::ClassMap& classes,
                std::span<const std::vector<rewrite::Variant>> variants, std::vector<Diagnostic>* problems);

// Known keys of numerics with their closed sets of words (empty: any word), and of configurations.
struct SettingDef {
  std::string_view key;
  std::string_view words;  // separated by spaces
  std::string_view doc;
};
std::span<const SettingDef> numerics_defs();
std::span<const SettingDef> config_defs();

}  // namespace zp::backend
