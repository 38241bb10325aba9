// Constants by content, so that what a pass makes twice exists once: a matrix transposed there and back, a
// weight packed for two readers.
#pragma once

#include <unordered_map>

#include "ir/graph.h"

namespace zp::fuse {

class ConstantPool {
 public:
  explicit ConstantPool(Context& context) : context_(context) {}
  // A constant of the model with the same elements as `wanted`, other than `wanted` itself; null: none.
  const Constant* equal(const Constant& wanted);
  // The same type with lists of scales that existed before.
  const QuantType* with_known_lists(const QuantType& quant);

 private:
  Context& context_;
  std::unordered_multimap<size_t, const Constant*> by_content_;
  size_t indexed_ = 0;  // constants of the context that are in by_content_
};

}  // namespace zp::fuse
