// A decoder model with its cache and its rows, as Python holds it.
//
// A row is opened with a prompt, advanced by steps, and closed. The caller decides which rows run in a step, and which
// row is preempted if the cache is full. The decoder carries out these decisions, and reserve() returns false if there
// are too few blocks. Two threads must not use a decoder at the same time.
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

// A row's part in a step: the number of its pending tokens to compute. If no token remains pending, the step chooses
// the row's next token.
struct Work {
  int row;
  int count;
  const std::uint32_t* mask = nullptr;  // one bit for each allowed token; null: all
  std::size_t mask_words = 0;
};

// The value of `scored` for a row whose prompt is not scored: its whole prefix may come from the cache.
constexpr int kNeverScored = std::numeric_limits<int>::max();

class Decoder {
 public:
  // `instruction_set` is the name of a kernel table, or empty for the best. Throws ModelError, Unsupported, Incomplete,
  // std::invalid_argument.
  Decoder(const std::string& path, const Config& config, int threads, const std::string& instruction_set,
          int context_tokens, std::size_t cache_bytes);

  // Opens a row and returns its number. The caller never asks for logits before position `scored`, so the prefix up to
  // there may come from the cache. Throws std::invalid_argument if ids are outside the vocabulary or the prompt is too
  // long.
  int open(std::vector<std::int32_t> prompt, SamplingOptions options, int scored = kNeverScored);
  void close(int row);
  // Adds tokens to a row's completion that the row's grammar forces. They are pending then.
  void append(int number, const std::vector<std::int32_t>& ids);

  // Takes the blocks that a row needs for `count` more tokens. A row without blocks first takes the blocks of its
  // prefix in the cache. If there are too few blocks, takes none and returns false.
  bool reserve(int number, int count);
  // Gives a row's blocks back. The row keeps its tokens, draws and penalties, and is computed again later.
  void preempt(int number);

  int pending(int number) const;  // tokens that are known but not computed
  int cached(int number) const;   // prompt tokens found in the cache when the row was first admitted

  // Runs one step. Returns the choices in the order of `works`; a choice is kPromptPending if the row still has pending
  // tokens.
  std::vector<Choice> step(const std::vector<Work>& works);
  // Computes works without a choice of tokens, to score prompts. Returns the logits of all their tokens, vocabulary()
  // floats for each token.
  std::vector<float> logits(const std::vector<Work>& works);

  // Computes the next tokens of a row, more than Forward::kAlone. Returns the inputs of each layer's products, by which
  // converters choose weights.
  std::vector<LayerInputs> inputs(const Work& work);

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
    bool far = false;          // the row is longer than the original context
  };
  Row& at(int row);
  const Row& at(int row) const;
  std::vector<Span> spans(const std::vector<Work>& works, bool all_wanted);
  void advance(Row& row, int count);
  bool is_far(const Row& row) const;
  void grow(int number, std::int32_t id);

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

// The best kernel table for this processor, or the named one. Throws std::invalid_argument if that cannot run here.
const Kernels& choose_kernels(const std::string& name);
std::vector<std::string> kernel_names();

}  // namespace hearth::step
