// Bump allocator: everything a graph owns lives here and dies with it. Only trivially destructible
// objects, or objects whose destructor need not run, may be put here.
#pragma once

#include <tsl/robin_set.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/list.h"

namespace zp {

class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void* allocate(size_t bytes, size_t alignment) {
    auto at = (reinterpret_cast<uintptr_t>(next_) + alignment - 1) & ~(uintptr_t{alignment} - 1);
    if (next_ == nullptr || at + bytes > reinterpret_cast<uintptr_t>(end_)) {
      grow(bytes + alignment);
      at = (reinterpret_cast<uintptr_t>(next_) + alignment - 1) & ~(uintptr_t{alignment} - 1);
    }
    next_ = reinterpret_cast<std::byte*>(at + bytes);
    return reinterpret_cast<void*>(at);
  }

  template <typename T, typename... Args>
  T* make(Args&&... args) {
    return new (allocate(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
  }

  template <typename T>
  T* make_array(size_t count) {
    T* data = static_cast<T*>(allocate(sizeof(T) * count, alignof(T)));
    for (size_t i = 0; i < count; ++i) new (data + i) T();
    return data;
  }

  template <typename T>
  List<T> copy(std::span<const T> items) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (items.empty()) return {};
    T* data = static_cast<T*>(allocate(sizeof(T) * items.size(), alignof(T)));
    std::memcpy(static_cast<void*>(data), items.data(), sizeof(T) * items.size());
    return {data, items.size()};
  }
  template <typename T>
  List<T> copy(const std::vector<T>& items) {
    return copy(std::span<const T>(items));
  }
  template <typename T>
  List<T> copy(std::initializer_list<T> items) {
    return copy(std::span<const T>(items.begin(), items.size()));
  }

  // One copy of each distinct string; equal strings give equal pointers.
  std::string_view intern(std::string_view text) {
    if (auto found = strings_.find(text); found != strings_.end()) return *found;
    return *strings_.insert(copy_text(text)).first;
  }

  std::string_view copy_text(std::string_view text) {
    char* data = static_cast<char*>(allocate(text.size() + 1, 1));
    if (!text.empty()) std::memcpy(data, text.data(), text.size());
    data[text.size()] = '\0';
    return {data, text.size()};
  }

  size_t bytes() const { return bytes_; }

 private:
  void grow(size_t at_least) {
    size_t size = blocks_.empty() ? size_t{1} << 14 : size_t{1} << 18;
    if (size < at_least) size = at_least;
    blocks_.push_back(std::unique_ptr<std::byte[]>(new std::byte[size]));
    next_ = blocks_.back().get();
    end_ = next_ + size;
    bytes_ += size;
  }

  std::vector<std::unique_ptr<std::byte[]>> blocks_;
  std::byte* next_ = nullptr;
  std::byte* end_ = nullptr;
  size_t bytes_ = 0;
  tsl::robin_set<std::string_view, std::hash<std::string_view>, std::equal_to<std::string_view>,
                 std::allocator<std::string_view>, true>
      strings_;
};

}  // namespace zp
