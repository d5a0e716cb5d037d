// Large memory on huge pages where the system gives them: weights are read from end to end at every token, and cache
// blocks lie far apart, so with small pages the processor would spend much of its time looking addresses up.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace hearth::step {

struct FreePages {
  void operator()(void* p) const { std::free(p); }
};

// At least so many bytes on a boundary of 64 or more, not initialised. Throws std::bad_alloc.
inline void* take_pages(std::size_t bytes) {
  constexpr std::size_t kHuge = 2u << 20, kLine = 64;
  const std::size_t boundary = bytes >= 2 * kHuge ? kHuge : kLine;
  const std::size_t size = (bytes / boundary + 1) * boundary;
  void* memory = size > bytes ? std::aligned_alloc(boundary, size) : nullptr;  // nullptr: the size overflowed
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  if (boundary == kHuge) madvise(memory, size, MADV_HUGEPAGE);  // a wish; without it all is right and slower
#endif
  return memory;
}

// Memory for many arrays that live equally long, one behind the other. Most matrices of a small model are smaller than
// a huge page; each by itself would lie on small ones, and a token would take half as long again (measured on Zen 4).
class Arena {
 public:
  // So many zeroed values on a boundary of 64 bytes. Throws std::bad_alloc.
  template <typename T>
  T* take(std::size_t count) {
    if (count > static_cast<std::size_t>(-1) / 2 / sizeof(T)) throw std::bad_alloc();
    const std::size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
    if (bytes > left_) {
      left_ = std::max(bytes, kChunk);
      chunks_.emplace_back(static_cast<std::byte*>(take_pages(left_)));
      next_ = chunks_.back().get();
    }
    std::byte* taken = next_;
    next_ += bytes;
    left_ -= bytes;
    return static_cast<T*>(std::memset(taken, 0, bytes));
  }

 private:
  static constexpr std::size_t kChunk = 128u << 20;  // what is never touched of it costs nothing
  std::vector<std::unique_ptr<std::byte[], FreePages>> chunks_;
  std::byte* next_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace hearth::step
