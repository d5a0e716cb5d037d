// Which cache blocks are free, held, or kept for reuse. Numbers only: it knows neither keys nor values.
//
// A block whose 16 positions are computed may be sealed: it then answers to (what came before, its 16 tokens), and
// stays findable after its last holder let go, until room is needed; the one untouched longest goes first. "What came
// before" is the identity of the block before it, so a find compares 16 tokens and one number and never errs.
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

  // A block held once, or -1 when all are held.
  int take();
  // Lets go of one hold.
  void release(int block);
  // The block of these tokens after `before`, now held once more; -1 when there is none.
  int find(std::uint64_t before, const BlockTokens& tokens);
  // Makes a held block findable and returns its identity; when its like is known already, that one's.
  std::uint64_t seal(int block, std::uint64_t before, const BlockTokens& tokens);
  std::uint64_t identity(int block) const { return blocks_[static_cast<std::size_t>(block)].identity; }

  int size() const { return static_cast<int>(blocks_.size()); }
  // Blocks take() could give.
  int available() const { return static_cast<int>(free_.size() + idle_.size()); }
  // Forgets all that is kept but not held.
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
    std::list<int>::iterator idle_at;  // in idle_, when sealed and not held
  };
  void forget(int block);

  std::vector<Block> blocks_;
  std::vector<int> free_;
  std::list<int> idle_;  // sealed and not held, the longest untouched first
  std::unordered_map<Key, int, KeyHash> known_;
  std::unordered_map<int, Key> key_of_;
  std::uint64_t next_identity_ = 1;
};

}  // namespace hearth::step
