// A model with its cache and its rows: what Python holds.
//
// A row is opened with a prompt, brought forward by steps, and closed. Which rows run when, and which row is
// preempted when the cache is full, is decided outside; this side makes a decision possible (reserve says no rather
// than fail) and carries it out. Not for two threads at once.
#pragma once
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "block_pool.h"
#include "forward.h"
#include "sampler.h"

namespace hearth::step {

// A row of one step: how many of its pending tokens to compute. When none is left pending, its next is chosen.
struct Work {
  int row;
  int count;
  const std::uint32_t* mask = nullptr;  // allowed tokens, a bit each; null: all
  std::size_t mask_words = 0;
};

// `scored` of a row whose prompt nobody scores: its whole prefix may come from the cache.
constexpr int kNeverScored = std::numeric_limits<int>::max();

class Decoder {
 public:
  // instruction_set: a kernel table's name, or empty for the best. Throws ModelError, Unsupported, Incomplete,
  // std::invalid_argument.
  Decoder(const std::string& path, const Config& config, int threads, const std::string& instruction_set,
          int context_tokens, std::size_t cache_bytes);

  // Opens a row; its number. Logits before position `scored` are never asked for: only up to there may its prefix
  // come from the cache. Throws std::invalid_argument for ids outside the vocabulary or too long a prompt.
  int open(std::vector<std::int32_t> prompt, SamplingOptions options, int scored = kNeverScored);
  void close(int row);
  // Adds tokens to a row's completion without choosing them: a grammar leaves nothing else. They are pending then.
  void append(int number, const std::vector<std::int32_t>& ids);

  // Takes the blocks a row needs for `count` more tokens, after looking for its prefix in the cache if it has none.
  // False when there are not enough: nothing is taken then.
  bool reserve(int number, int count);
  // Gives a row's blocks back. Its tokens, its draws and its penalties stay; it is computed again later.
  void preempt(int number);

  int pending(int number) const;  // tokens known and not yet computed
  int cached(int number) const;   // prompt tokens found in the cache when it was first admitted

  // One step. Choices in the order of `works`; kPromptPending where prompt tokens are still to be computed.
  std::vector<Choice> step(const std::vector<Work>& works);
  // Computes works without choosing, to score prompts; logits of all their tokens, vocabulary() floats a row.
  std::vector<float> logits(const std::vector<Work>& works);

  int vocabulary() const { return weights_->architecture.vocabulary; }
  int context_tokens() const { return context_tokens_; }
  int blocks() const { return pool_.size(); }
  int available_blocks() const { return pool_.available(); }
  void forget_prefixes() { pool_.clear(); }
  std::size_t weight_bytes() const { return weights_->bytes(); }
  std::size_t block_bytes() const { return cache_.block_bytes(); }
  const char* instruction_set() const { return kernels_.name; }

 private:
  struct Row {
    std::vector<std::int32_t> tokens, blocks;
    Sampler sampler;
    int prompt = 0, scored = kNeverScored, computed = 0, sealed = 0, cached = -1;
    std::uint64_t before = 0;  // identity of the last sealed block
  };
  Row& at(int row);
  const Row& at(int row) const;
  std::vector<Span> spans(const std::vector<Work>& works, bool all_wanted);
  void advance(Row& row, int count);

  const Kernels& kernels_;
  int context_tokens_;
  std::unique_ptr<const Weights> weights_;
  KvCache cache_;
  BlockPool pool_;
  Team team_;
  Forward forward_;
  std::map<int, Row> rows_;
  int next_row_ = 0;
};

// The best table for this processor, or the named one. Throws std::invalid_argument for one that cannot run here.
const Kernels& choose_kernels(const std::string& name);
std::vector<std::string> kernel_names();

}  // namespace hearth::step
