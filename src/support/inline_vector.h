// InlineVector<T, N>: a growing array of trivially copyable elements, the first N of which need no memory of
// their own. For the handful of things a pattern or a match has, made and thrown away millions of times.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

namespace zp {

template <typename T, size_t N>
class InlineVector {
  static_assert(std::is_trivially_copyable_v<T> && N > 0);

 public:
  using value_type = T;
  InlineVector() = default;
  InlineVector(std::initializer_list<T> items) {
    for (const T& item : items) push_back(item);
  }
  InlineVector(const InlineVector& other) { append(other); }
  InlineVector(InlineVector&& other) noexcept { take(other); }
  InlineVector& operator=(const InlineVector& other) {
    if (this == &other) return *this;
    size_ = 0;
    append(other);
    return *this;
  }
  InlineVector& operator=(InlineVector&& other) noexcept {
    if (this != &other) take(other);
    return *this;
  }
  ~InlineVector() = default;

  void push_back(const T& item) {
    const T copy = item;  // it may be one of ours
    if (size_ == capacity_) grow(size_ + 1);
    data()[size_++] = copy;
  }
  void assign(size_t count, const T& item) {
    const T copy = item;
    if (count > capacity_) grow(count);
    size_ = static_cast<uint32_t>(count);
    std::fill_n(data(), count, copy);
  }
  void clear() { size_ = 0; }

  T* data() { return heap_ ? heap_.get() : inline_; }
  const T* data() const { return heap_ ? heap_.get() : inline_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }
  T& front() { return data()[0]; }
  const T& front() const { return data()[0]; }
  T& back() { return data()[size_ - 1]; }
  const T& back() const { return data()[size_ - 1]; }
  operator std::span<const T>() const { return {data(), size_}; }

 private:
  void append(const InlineVector& other) {
    if (other.size_ > capacity_) grow(other.size_);
    std::copy_n(other.data(), other.size_, data());
    size_ = other.size_;
  }
  void take(InlineVector& other) {
    if (other.heap_) {
      heap_ = std::move(other.heap_);
      capacity_ = std::exchange(other.capacity_, static_cast<uint32_t>(N));
    } else {
      std::copy_n(other.inline_, other.size_, data());  // capacity is at least N
    }
    size_ = std::exchange(other.size_, 0);
  }
  void grow(size_t least) {
    const size_t capacity = std::max(least, size_t{2} * capacity_);
    std::unique_ptr<T[]> bigger(new T[capacity]);
    std::copy_n(data(), size_, bigger.get());
    heap_ = std::move(bigger);
    capacity_ = static_cast<uint32_t>(capacity);
  }

  uint32_t size_ = 0;
  uint32_t capacity_ = N;
  std::unique_ptr<T[]> heap_;
  T inline_[N];
};

}  // namespace zp
