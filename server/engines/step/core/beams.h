// The hypotheses of one sentence: which tokens each has, which come next, and when the sentence is over.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/kernels.h"
#include "kv_cache.h"

namespace hearth::step {

// How a sentence is decoded.
struct Decoding {
  int max_tokens;                    // the end token counts
  int end;                           // the token that ends a translation
  int start = -1;                    // what the first step reads; -1: a zero embedding
  std::vector<std::int32_t> prefix;  // tokens that it is made to begin with; no part of a hypothesis or of its score
  std::vector<std::int32_t> banned;  // tokens that never come
  int beam = 1;
  int hypotheses = 1;              // how many are given; at most `beam`
  float repetition_penalty = 1.f;  // divides (positive) or multiplies (negative) the logits of tokens that came
  int no_repeat_ngram = 0;         // no n-gram of this length comes twice; 0: any may
  bool alignment = false;
};

struct Hypothesis {
  std::vector<std::int32_t> tokens;     // without the end token
  float score;                          // the mean log-probability of its tokens, the end token's among them
  std::vector<std::int32_t> alignment;  // for each token the source token that it attended to most
};

struct Beam {
  std::vector<std::int32_t> tokens;  // the prefix among them
  double sum = 0;                    // of log-probabilities
  std::vector<std::int32_t> alignment;
  std::vector<float> cells;         // of recurrent models: a row a layer
  std::unique_ptr<KvCache> memory;  // of the others: keys and values of its own tokens
  std::vector<float> attention;     // of this step over the source, when alignments are wanted
};

class Beams {
 public:
  explicit Beams(Decoding decoding) : decoding_(std::move(decoding)) {}

  std::vector<Beam>& live() { return live_; }
  const Decoding& decoding() const { return decoding_; }

  // Takes the next token of every live hypothesis. `logits` has a row of `stride` floats for each, of which `count` are
  // those of `ids` (null: the column is the id) and the others are -infinity. Logits are changed.
  // True when the sentence is over.
  bool take(const Kernels& kernels, float* logits, std::size_t stride, int count, const std::int32_t* ids);
  // The best hypotheses, likeliest first, once it is over.
  std::vector<Hypothesis> best();

 private:
  struct Candidate {
    double sum;
    int beam;
    std::int32_t token;
  };
  void restrict(const Beam& beam, float* logits, int count, const std::int32_t* ids) const;
  void finish(const Beam& beam, double sum, bool ended);
  void force(std::int32_t token);
  Beam grown(Beam& from, bool last_use, const Candidate& candidate) const;

  Decoding decoding_;
  std::vector<Beam> live_;
  std::vector<Hypothesis> finished_;
};

}  // namespace hearth::step
