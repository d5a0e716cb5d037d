// A fixed array of plain values on a 64-byte boundary, zeroed.
#pragma once
#include <cstddef>
#include <cstring>
#include <memory>
#include <type_traits>

#include "pages.h"

namespace hearth::step {

template <typename T>
class Aligned {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Aligned() = default;
  explicit Aligned(std::size_t size) : values_(static_cast<T*>(take_pages(size * sizeof(T)))), size_(size) {
    std::memset(values_.get(), 0, size * sizeof(T));
  }

  // Grows if needed; then the old values are lost.
  void reserve(std::size_t size) {
    if (size > size_) *this = Aligned(size);
  }

  T* data() { return values_.get(); }
  const T* data() const { return values_.get(); }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return values_[i]; }
  const T& operator[](std::size_t i) const { return values_[i]; }

 private:
  std::unique_ptr<T[], FreePages> values_;
  std::size_t size_ = 0;
};

inline int round_up(int n, int to) { return (n + to - 1) / to * to; }

}  // namespace hearth::step
