// Names of an exported graph: identifiers that Python accepts, each taken once, as close to the wish as can
// be.
#pragma once

#include <tsl/robin_map.h>
#include <tsl/robin_set.h>

#include <string>
#include <string_view>
#include <unordered_set>

#include "support/arena.h"

namespace zp::pt2 {

// Letters, digits and underscores, no digit first, no keyword of Python.
bool is_python_name(std::string_view name);
std::string python_name(std::string_view wish);

class NameScope {
 public:
  // Takes exactly this name and returns a copy that lives as long as the scope; empty if it was taken before.
  std::string_view take(std::string_view name);
  // The same for a text that outlives the scope: not copied.
  std::string_view take_lasting(std::string_view name) {
    return names_.insert(name).second ? name : std::string_view();
  }
  void reserve(size_t names) { names_.reserve(names); }
  // Takes the wish as a Python name, with a number behind it if need be.
  std::string_view unique(std::string_view wish);

 private:
  Arena arena_;
  tsl::robin_set<std::string_view, std::hash<std::string_view>, std::equal_to<std::string_view>,
                 std::allocator<std::string_view>, true>
      names_;
  tsl::robin_map<std::string_view, uint64_t> next_;  // of a stem: keeps repeated wishes linear
};

// Dotted paths of a module tree: no path may be a leaf and a folder at once, and torch.nn.Module has
// attributes of its own that no leaf of the root may hide.
class PathScope {
 public:
  void take(std::string_view path);
  // The wish where it fits, else its parts joined by underscores, with a number if need be.
  std::string unique(std::string_view wish);

 private:
  bool fits(std::string_view path) const;
  std::unordered_set<std::string> leaves_, folders_;
};

}  // namespace zp::pt2
