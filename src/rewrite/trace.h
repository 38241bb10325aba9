// Records of what rewrites did and refused, with the names of the source model.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/record.h"

namespace zp::rewrite {

// Source names of several nodes, each once, in order.
std::vector<std::string> source_names_of(std::span<Node* const> nodes);
// The one name a person knows a node by.
std::string source_name(const Node& node);
// "linear_3 (decoder.fc)" for sentences.
std::string person_name(const Node& node);

}  // namespace zp::rewrite
