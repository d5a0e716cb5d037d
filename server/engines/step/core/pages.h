// Large memory on huge pages where the system gives them: weights are read from end to end at every token, and cache
// blocks lie far apart, so with small pages the processor would spend much of its time looking addresses up.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

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
  void* memory = size > bytes ? std::aligned_alloc(boundary, size) : nullptr;   // nullptr: the size overflowed
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  if (boundary == kHuge) madvise(memory, size, MADV_HUGEPAGE);   // a wish; without it all is right and slower
#endif
  return memory;
}

}  // namespace hearth::step
