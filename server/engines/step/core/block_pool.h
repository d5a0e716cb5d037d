// Manages which cache blocks are free, held, or kept for reuse. It knows numbers of blocks, but no keys and values.
//
// A block whose 16 positions are computed may be sealed. A sealed block can be found by its 16 tokens and the identity
// of the block before it. It stays findable after its last holder has released it, until its room is needed; the least
// recently used block goes first. A find compares 16 tokens and one number, so it is exact.
#pragma once
#include <array>
#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

#include "kernels/kernels.h"

namespace hearth::step {

using BlockTokens = std::array<std::int32_t, kBlockTokens>;

class BlockPool {
 public:
  explicit BlockPool(int blocks);

  // Takes a block, which is then held once. Returns -1 if all blocks are held.
  int take();
  // Releases one hold of a block.
  void release(int block);
  // Finds the block of these tokens after the block with identity `before`, and holds it. Returns -1 if none is known.
  int find(std::uint64_t before, const BlockTokens& tokens);
  // Makes a held block findable and returns its identity. If an equal block is known, returns the identity of that one.
  std::uint64_t seal(int block, std::uint64_t before, const BlockTokens& tokens);
  std::uint64_t identity(int block) const { return blocks_[static_cast<std::size_t>(block)].identity; }

  int size() const { return static_cast<int>(blocks_.size()); }
  // The number of blocks that take() could return.
  int available() const { return static_cast<int>(free_.size() + idle_.size()); }
  // Forgets all blocks that are kept for reuse but not held.
  void clear();

 private:
  struct Key {
    std::uint64_t before;
    BlockTokens tokens;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };
  struct Block {
    int holds = 0;
    std::uint64_t identity = 0;        // 0: not sealed
    std::list<int>::iterator idle_at;  // in idle_, if sealed and not held
  };
  void forget(int block);

  std::vector<Block> blocks_;
  std::vector<int> free_;
  std::list<int> idle_;  // sealed and not held, least recently used first
  std::unordered_map<Key, int, KeyHash> known_;
  std::unordered_map<int, Key> key_of_;
  std::uint64_t next_identity_ = 1;
};

}  // namespace hearth::step
