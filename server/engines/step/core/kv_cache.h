// The memory of the cache blocks: half-precision keys and values, in one part for each layer and key/value head
// (layout: kernels/kernels.h). Pages of unused blocks are never touched, so a large budget costs nothing until needed.
// The memory is not initialised. Kernels may read unwritten positions, but discard their scores.
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>

#include "kernels/kernels.h"
#include "pages.h"

namespace hearth::step {

class KvCache {
 public:
  KvCache(int blocks, int layers, int kv_heads, int head_dim)
      : part_(static_cast<std::size_t>(2) * kBlockTokens * static_cast<std::size_t>(head_dim)),
        kv_heads_(static_cast<std::size_t>(kv_heads)),
        stride_(part_ * kv_heads_ * static_cast<std::size_t>(layers)),
        bytes_(stride_ * static_cast<std::size_t>(blocks) * 2),
        memory_(static_cast<std::uint16_t*>(take_pages(bytes_))) {}

  // A second cache with a copy of all keys and values.
  KvCache copy() const { return KvCache(*this); }

  // The part of a layer and head in block 0. The same part of block b is b * stride() further on.
  std::uint16_t* part(int layer, int head) {
    return memory_.get() + (static_cast<std::size_t>(layer) * kv_heads_ + static_cast<std::size_t>(head)) * part_;
  }
  const std::uint16_t* part(int layer, int head) const { return const_cast<KvCache*>(this)->part(layer, head); }
  std::size_t stride() const { return stride_; }
  std::size_t block_bytes() const { return stride_ * 2; }

 public:
  KvCache(KvCache&&) = default;

 private:
  KvCache(const KvCache& other)
      : part_(other.part_),
        kv_heads_(other.kv_heads_),
        stride_(other.stride_),
        bytes_(other.bytes_),
        memory_(static_cast<std::uint16_t*>(take_pages(bytes_))) {
    std::memcpy(memory_.get(), other.memory_.get(), bytes_);
  }

  std::size_t part_, kv_heads_, stride_, bytes_;
  std::unique_ptr<std::uint16_t[], FreePages> memory_;
};

}  // namespace hearth::step
