// Chooses one row's next token from its logits. The choice is exact and depends on the row alone.
//
// The order of operations: bias and bans; repetition, presence and frequency penalties; log-probabilities; temperature,
// top_k, top_p and min_p; the draw.
#pragma once
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kernels/kernels.h"

namespace hearth::step {

struct SamplingOptions {
  float temperature = 1, top_p = 1, min_p = 0;
  int top_k = 0;
  float repetition_penalty = 1, presence_penalty = 0, frequency_penalty = 0;
  std::vector<std::pair<std::int32_t, float>> bias;  // -100 and below bans
  std::uint64_t seed = 0;
  std::vector<std::int32_t> stop_ids;  // banned until min_tokens are made
  int min_tokens = 0;
  std::optional<int> logprobs;  // none, or n: of the chosen token and the n likeliest
};

// Values in place of an id if a step has chosen no token for a row.
enum NoToken : std::int32_t {
  kNoneAllowed = -1,    // every token is banned, or the logits are not numbers
  kPromptPending = -2,  // more of the row's prompt must be computed first
};

struct Choice {
  std::int32_t id = kNoneAllowed;
  bool reported = false;  // whether the next two fields were asked for
  float logprob = 0;
  std::vector<std::pair<std::int32_t, float>> top;
};

class Sampler {
 public:
  Sampler(SamplingOptions options, const std::vector<std::int32_t>& prompt);

  // Chooses the next token and remembers it. `logits` has `padded` floats, -infinity beyond the vocabulary, and is
  // changed. `mask`, if given, has one bit for each token, which is set if the token is allowed.
  Choice choose(const Kernels& kernels, float* logits, int padded, const std::uint32_t* mask, std::size_t mask_words);

  // Remembers a token of the completion that was not chosen by this sampler.
  void remember(std::int32_t id);

 private:
  struct Seen {
    int made = 0;  // occurrences in the completion
  };
  void adjust(float* logits, int padded, const std::uint32_t* mask, std::size_t mask_words) const;
  void report(const Kernels& kernels, const float* logits, int padded, float max, Choice& choice) const;
  std::int32_t draw(const Kernels& kernels, const float* logits, int padded, float max) const;

  SamplingOptions options_;
  bool penalises_;
  std::unordered_map<std::int32_t, Seen> seen_;  // kept only when a penalty needs it
  std::uint64_t made_ = 0;
};

}  // namespace hearth::step
