#include "passes/fuse/constant_pool.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace zp::fuse {
namespace {

// Equal constants have equal keys; the key reads a few bytes only.
size_t content_key(const Constant& c) {
  size_t key = static_cast<size_t>(c.dtype) * 1000003 + c.storage.size();
  for (int64_t d : c.shape) key = key * 1000003 + static_cast<size_t>(d);
  const std::string_view bytes(reinterpret_cast<const char*>(c.storage.data()),
                               std::min<size_t>(c.storage.size(), 64));
  return key ^ std::hash<std::string_view>()(bytes);
}

bool comparable(const Constant& c) { return c.dense() && c.offset == 0 && !c.stripped; }

}  // namespace

const Constant* ConstantPool::equal(const Constant& wanted) {
  if (!comparable(wanted)) return nullptr;
  const auto all = context_.constants();
  for (; indexed_ < all.size(); ++indexed_) {
    if (comparable(*all[indexed_])) by_content_.emplace(content_key(*all[indexed_]), all[indexed_]);
  }
  const auto [first, end] = by_content_.equal_range(content_key(wanted));
  for (auto at = first; at != end; ++at) {
    const Constant& other = *at->second;
    if (&other == &wanted || other.dtype != wanted.dtype || !(other.shape == wanted.shape)) continue;
    if (other.storage.size() == wanted.storage.size() &&
        std::memcmp(other.storage.data(), wanted.storage.data(), wanted.storage.size()) == 0) {
      return &other;
    }
  }
  return nullptr;
}

const QuantType* ConstantPool::with_known_lists(const QuantType& quant) {
  QuantType known = quant;
  for (const Constant** list : {&known.scales, &known.zero_points}) {
    const Constant* same = *list == nullptr ? nullptr : equal(**list);
    if (same != nullptr) *list = same;
  }
  return context_.quant(known);
}

}  // namespace zp::fuse
