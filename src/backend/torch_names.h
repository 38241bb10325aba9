// PyTorch's names of operators and types, as its backend dictionaries use them, against the canonical ones;
// and the table of spellings that those dictionaries know, with the module classes that belong to each.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/dtype.h"
#include "zeropoint/backend.h"

namespace zp::backend {

// quint8 -> u8, torch.float16 -> f16, also canonical names.
std::optional<DType> torch_dtype(std::string_view name);
// u8 -> torch.quint8, f32 -> torch.float32; empty if there is none.
std::string torch_dtype_name(DType dtype);

// What a spelled operator is: one or more canonical steps in forward order, each any of some ops, with
// attributes that it implies (relu6 is hardtanh {max_val: 6, min_val: 0}).
struct NamedStep {
  std::vector<std::string> ops;
  std::string attrs;      // "{min_val: 0, max_val: 6}" or empty
  std::string condition;  // for a pattern of this step alone: "x.rank == 4"
};
std::vector<NamedStep> named_steps(std::string_view spelled);  // empty: no operator
// Why a name of PyTorch has no operator: "sizes are part of types"; empty for names that are not PyTorch's.
std::string_view why_unsaid(std::string_view spelled);
bool is_torch_name(std::string_view name);

// torch.nn.modules.conv.Conv2d <-> nn.conv.Conv2d and so on.
std::string shorten(std::string_view name);
std::string lengthen(std::string_view name);

// "nn.conv.Conv2d, F.relu" (forward) or "(F.relu, nn.conv.Conv2d, _)" (nested), and back.
std::string spell(const zeropoint::PatternConfig& config);
std::optional<zeropoint::PatternConfig> unspell(std::string_view text);
std::string pattern_label(const zeropoint::PatternConfig& config);

// Fills the keys that PyTorch's own tables give an entry of this spelling (root module, fuser, ...).
void fill_from_table(std::string_view spelled, zeropoint::PatternConfig* config);
// All spellings of those tables.
std::vector<std::string_view> table_spellings();

// Getters of PyTorch's tables: true if the name is one whose root is the weighted operator (the default
// here), and whose extra inputs are the wildcards.
bool known_getter(std::string_view name);
// The action of a fuser of PyTorch's tables; nothing: unknown.
std::optional<std::string> known_fuser(std::string_view name);

}  // namespace zp::backend
