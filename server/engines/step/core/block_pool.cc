#include "block_pool.h"

namespace hearth::step {

std::size_t BlockPool::KeyHash::operator()(const Key& key) const {
  std::uint64_t h = key.before * 0x9E3779B97F4A7C15u;
  for (const auto token : key.tokens) {
    h ^= static_cast<std::uint32_t>(token);
    h *= 0xFF51AFD7ED558CCDu;
    h ^= h >> 32;
  }
  return static_cast<std::size_t>(h);
}

BlockPool::BlockPool(int blocks) : blocks_(static_cast<std::size_t>(blocks)) {
  for (int b = blocks - 1; b >= 0; --b) free_.push_back(b);
}

int BlockPool::take() {
  if (free_.empty()) {
    if (idle_.empty()) return -1;
    const int oldest = idle_.front();
    idle_.pop_front();
    forget(oldest);
    free_.push_back(oldest);
  }
  const int block = free_.back();
  free_.pop_back();
  blocks_[static_cast<std::size_t>(block)].holds = 1;
  return block;
}

void BlockPool::release(int block) {
  auto& b = blocks_[static_cast<std::size_t>(block)];
  if (--b.holds > 0) return;
  if (b.identity != 0) b.idle_at = idle_.insert(idle_.end(), block);
  else free_.push_back(block);
}

int BlockPool::find(std::uint64_t before, const BlockTokens& tokens) {
  const auto it = known_.find(Key{before, tokens});
  if (it == known_.end()) return -1;
  auto& b = blocks_[static_cast<std::size_t>(it->second)];
  if (b.holds++ == 0) idle_.erase(b.idle_at);
  return it->second;
}

std::uint64_t BlockPool::seal(int block, std::uint64_t before, const BlockTokens& tokens) {
  auto& b = blocks_[static_cast<std::size_t>(block)];
  const Key key{before, tokens};
  const auto [it, added] = known_.emplace(key, block);
  if (!added) return blocks_[static_cast<std::size_t>(it->second)].identity;
  key_of_.emplace(block, key);
  b.identity = next_identity_++;
  return b.identity;
}

void BlockPool::forget(int block) {
  blocks_[static_cast<std::size_t>(block)].identity = 0;
  const auto it = key_of_.find(block);
  known_.erase(it->second);
  key_of_.erase(it);
}

void BlockPool::clear() {
  for (const int block : idle_) {
    forget(block);
    free_.push_back(block);
  }
  idle_.clear();
}

}  // namespace hearth::step
