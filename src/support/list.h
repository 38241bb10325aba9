// List<T>: a read-only view (pointer and count) of elements that live in an arena or in static storage.
// Trivially copyable, so attribute structs made of Lists are copied with memcpy.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

namespace zp {

template <typename T>
class List {
 public:
  using value_type = T;
  constexpr List() = default;
  constexpr List(const T* data, size_t size) : data_(data), size_(static_cast<uint32_t>(size)) {}
  template <size_t N>
  constexpr List(const T (&array)[N]) : data_(array), size_(N) {}

  constexpr const T* data() const { return data_; }
  constexpr size_t size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr const T* begin() const { return data_; }
  constexpr const T* end() const { return data_ + size_; }
  constexpr const T& operator[](size_t i) const { return data_[i]; }
  constexpr const T& front() const { return data_[0]; }
  constexpr const T& back() const { return data_[size_ - 1]; }
  constexpr operator std::span<const T>() const { return {data_, size_}; }
  std::vector<T> vec() const { return std::vector<T>(begin(), end()); }

  friend constexpr bool operator==(const List& a, const List& b) {
    return a.size_ == b.size_ && std::equal(a.begin(), a.end(), b.begin());
  }

 private:
  const T* data_ = nullptr;
  uint32_t size_ = 0;
};

}  // namespace zp
