#include "formats/pt2/export_names.h"

#include <algorithm>
#include <iterator>

namespace zp::pt2 {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

constexpr std::string_view kKeywords[] = {
    "False",  "None",     "True",  "and",    "as",   "assert", "async",  "await",    "break",
    "class",  "continue", "def",   "del",    "elif", "else",   "except", "for",      "from",
    "global", "finally",  "if",    "import", "in",   "is",     "lambda", "nonlocal", "not",
    "or",     "pass",     "raise", "return", "try",  "while",  "with",   "yield",
};

// Attributes of torch.nn.Module and torch.fx.GraphModule that a parameter at the root would hide.
constexpr std::string_view kModuleAttributes[] = {
    "add_module",
    "add_submodule",
    "apply",
    "bfloat16",
    "buffers",
    "call_super_init",
    "children",
    "code",
    "compile",
    "cpu",
    "cuda",
    "delete_submodule",
    "double",
    "dump_patches",
    "eval",
    "extra_repr",
    "float",
    "forward",
    "get_buffer",
    "get_extra_state",
    "get_parameter",
    "get_submodule",
    "graph",
    "half",
    "ipu",
    "load_state_dict",
    "meta",
    "modules",
    "mtia",
    "named_buffers",
    "named_children",
    "named_modules",
    "named_parameters",
    "parameters",
    "print_readable",
    "recompile",
    "register_buffer",
    "register_module",
    "register_parameter",
    "requires_grad_",
    "set_extra_state",
    "set_submodule",
    "share_memory",
    "shape_env",
    "state_dict",
    "to",
    "to_empty",
    "train",
    "training",
    "type",
    "xpu",
    "zero_grad",
};

}  // namespace

bool is_python_name(std::string_view name) {
  if (name.empty() || !is_letter(name[0])) return false;
  if (!std::all_of(name.begin(), name.end(), [](char c) { return is_letter(c) || is_digit(c); }))
    return false;
  return std::find(std::begin(kKeywords), std::end(kKeywords), name) == std::end(kKeywords);
}

std::string python_name(std::string_view wish) {
  std::string name;
  if (wish.empty() || is_digit(wish[0])) name = "_";
  for (const char c : wish) name += is_letter(c) || is_digit(c) ? c : '_';
  if (!is_python_name(name)) name += '_';
  return name;
}

std::string_view NameScope::take(std::string_view name) {
  if (names_.contains(name)) return {};
  return *names_.insert(arena_.copy_text(name)).first;
}

std::string_view NameScope::unique(std::string_view wish) {
  const std::string name = python_name(wish);
  if (const std::string_view whole = take(name); !whole.empty()) return whole;
  uint64_t& next = next_[arena_.intern(name)];
  while (true) {
    const std::string_view numbered = take(name + "_" + std::to_string(++next));
    if (!numbered.empty()) return numbered;
  }
}

void PathScope::take(std::string_view path) {
  leaves_.emplace(path);
  for (size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.', dot + 1)) {
    folders_.emplace(path.substr(0, dot));
  }
}

bool PathScope::fits(std::string_view path) const {
  if (path.empty() || path.front() == '.' || path.back() == '.' || path.find("..") != std::string_view::npos)
    return false;
  if (path.find('@') != std::string_view::npos) return false;  // torch marks repeated calls of a module so
  if (leaves_.contains(std::string(path)) || folders_.contains(std::string(path))) return false;
  const std::string_view root = path.substr(0, path.find('.'));
  if (std::find(std::begin(kModuleAttributes), std::end(kModuleAttributes), root) !=
      std::end(kModuleAttributes))
    return false;
  for (size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.', dot + 1)) {
    if (leaves_.contains(std::string(path.substr(0, dot)))) return false;
  }
  return true;
}

std::string PathScope::unique(std::string_view wish) {
  std::string path(wish);
  if (!fits(path)) {
    const std::string stem = python_name(wish);
    path = stem;
    for (uint64_t i = 1; !fits(path); ++i) path = stem + "_" + std::to_string(i);
  }
  take(path);
  return path;
}

}  // namespace zp::pt2
