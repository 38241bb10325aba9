// Names of an exported graph: identifiers that Python accepts, each taken once, as close to the wish as can
// be.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace zp::pt2 {

// Letters, digits and underscores, no digit first, no keyword of Python.
bool is_python_name(std::string_view name);
std::string python_name(std::string_view wish);

class NameScope {
 public:
  bool taken(std::string_view name) const { return names_.contains(std::string(name)); }
  // Takes exactly this name; false if it was taken before.
  bool take(std::string_view name) { return names_.emplace(name).second; }
  // Takes the wish as a Python name, with a number behind it if need be.
  std::string unique(std::string_view wish);

 private:
  std::unordered_set<std::string> names_;
  std::unordered_map<std::string, uint64_t> next_;  // of a stem: keeps repeated wishes linear
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
