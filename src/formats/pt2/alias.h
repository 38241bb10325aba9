// Which names of a program share storage, and which of these are written. Programs of the training dialect
// have in-place operators: this analysis runs before the import and says, for each name, whose view it is,
// and for each group of names whether all writes can be made functional. It is linear in the program.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/pt2/serial.h"

namespace zp::pt2 {

struct Overload;

// How a view is undone when it is written through.
enum class ViewKind : uint8_t {
  Same,     // the same elements under another name
  Reshape,  // reshape, squeeze, unsqueeze ...
  Permute,
  Slice,
  Select,
  Split,
  Unbind,
  Opaque,  // expand, as_strided ...: cannot be written through
  Maybe,   // a view or a copy, the file does not say
};

struct AliasRecord {
  static constexpr uint32_t kNone = ~uint32_t{0};
  uint32_t base = kNone;    // the name whose storage it is; itself for a base
  uint32_t parent = kNone;  // the name it is a view of; kNone for a base
  uint32_t depth = 0;
  ViewKind kind = ViewKind::Same;
};

// A node that writes: the names it writes to.
struct Mutation {
  const Overload* row = nullptr;  // of the functional form; null: no row, the node stays opaque
  std::vector<uint32_t> written;
  bool ignored = false;  // observers that are imported as fixed quantizers
};

class AliasAnalysis {
 public:
  explicit AliasAnalysis(const GraphData& graph);

  bool any_mutation() const { return any_; }
  const AliasRecord& record(uint32_t name) const { return records_[name]; }
  bool mutated(uint32_t name) const { return any_ && mutated_[base(name)]; }
  // A write to the group cannot be made functional: all its readers and writers stay as they are, in order.
  bool poisoned(uint32_t name) const { return any_ && poisoned_[base(name)]; }
  bool touches_poisoned(const NodeData& node) const;
  uint32_t base(uint32_t name) const {
    return records_[name].base == AliasRecord::kNone ? name : records_[name].base;
  }
  // Null if the node writes nothing.
  static bool mutation_of(const NodeData& node, Mutation* out);

 private:
  void add_view(const GraphData& graph, uint32_t result, uint32_t of, ViewKind kind);
  void visit(const GraphData& graph, const NodeData& node);
  std::vector<AliasRecord> records_;
  std::vector<bool> mutated_, poisoned_, doubtful_;
  bool any_ = false;
};

// Calls body(index) for each name in an argument, subgraphs left out.
template <typename F>
void for_each_name(const Arg& arg, F body) {
  switch (arg.tag) {
    case ArgTag::Tensor:
    case ArgTag::SymInt:
    case ArgTag::SymFloat:
    case ArgTag::SymBool:
    case ArgTag::CustomObject: body(arg); break;
    default:
      for (const Arg& item : arg.items) for_each_name(item, body);
  }
}

}  // namespace zp::pt2
