// Large memory, on huge pages if the system provides them. Weights are read from end to end for every token, and cache
// blocks are far apart, so with small pages the processor would spend much of its time on address translation.
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

// At least `bytes` bytes of uninitialised memory, aligned to 64 or more. Throws std::bad_alloc.
inline void* take_pages(std::size_t bytes) {
  constexpr std::size_t kHuge = 2u << 20, kLine = 64;
  const std::size_t boundary = bytes >= 2 * kHuge ? kHuge : kLine;
  const std::size_t size = (bytes / boundary + 1) * boundary;
  void* memory = size > bytes ? std::aligned_alloc(boundary, size) : nullptr;  // nullptr: the size overflowed
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  if (boundary == kHuge) madvise(memory, size, MADV_HUGEPAGE);  // a hint; without it only speed is lost
#endif
  return memory;
}

// Memory for many arrays with the same lifetime, one after another. Most matrices of a small model are smaller than a
// huge page. Allocated one by one they would be on small pages, and a token would take 1.5 times as long (measured on
// Zen 4).
class Arena {
 public:
  // `count` zeroed values, aligned to 64 bytes. Throws std::bad_alloc.
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
  static constexpr std::size_t kChunk = 128u << 20;  // pages that are never touched cost nothing
  std::vector<std::unique_ptr<std::byte[], FreePages>> chunks_;
  std::byte* next_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace hearth::step
