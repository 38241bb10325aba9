#include "rewrite/trace.h"

#include <algorithm>

namespace zp::rewrite {

std::vector<std::string> source_names_of(std::span<Node* const> nodes) {
  std::vector<std::string> out;
  for (const Node* node : nodes) {
    for (std::string& name : source_names(*node)) {
      if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(std::move(name));
    }
  }
  return out;
}

std::string source_name(const Node& node) {
  const Origin* origin = node.origin();
  return std::string(origin != nullptr && !origin->name.empty() ? origin->name : node.name());
}

std::string person_name(const Node& node) {
  std::string name = source_name(node);
  const Origin* origin = node.origin();
  if (origin != nullptr && !origin->module.empty()) name += " (" + std::string(origin->module) + ")";
  return name;
}

}  // namespace zp::rewrite
