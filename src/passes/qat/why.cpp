#include "passes/qat/why.h"

namespace zp::qat {

std::string source_name(const Node& node) {
  const Origin* origin = node.origin();
  return std::string(origin != nullptr && !origin->name.empty() ? origin->name : node.name());
}

KeptRecord kept_record(std::string_view pass, const Node& node, const Why& why) {
  KeptRecord record;
  record.node = source_name(node);
  record.op = std::string(op_label(node));
  record.pass = std::string(pass);
  record.pattern = "affine per channel";
  record.clause = why.clause;
  record.wanted = why.wanted;
  record.found = why.found;
  record.text = why.text;
  return record;
}

}  // namespace zp::qat
