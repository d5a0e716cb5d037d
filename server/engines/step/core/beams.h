// Beam search for one sentence: the tokens of each hypothesis, the choice of the next tokens, the end of the sentence.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/kernels.h"
#include "kv_cache.h"

namespace hearth::step {

// The decoding options of a sentence.
struct Decoding {
  int max_tokens;                    // including the end token
  int end;                           // the token that ends a translation
  int start = -1;                    // the token that the first step reads; -1: a zero embedding
  std::vector<std::int32_t> prefix;  // forced first tokens; no part of a hypothesis or of its score
  std::vector<std::int32_t> banned;  // tokens that are never chosen
  int beam = 1;
  int hypotheses = 1;              // the number to return; at most `beam`
  float repetition_penalty = 1.f;  // divides (positive) or multiplies (negative) the logits of earlier tokens
  int no_repeat_ngram = 0;         // no n-gram of this length may repeat; 0: any may
  bool alignment = false;
};

struct Hypothesis {
  std::vector<std::int32_t> tokens;     // without the end token
  float score;                          // the mean log-probability of its tokens, including the end token
  std::vector<std::int32_t> alignment;  // for each token the source token that it attended to most
};

struct Beam {
  std::vector<std::int32_t> tokens;  // including the prefix
  double sum = 0;                    // of log-probabilities
  std::vector<std::int32_t> alignment;
  std::vector<float> cells;         // recurrent models: the state, one row for each layer
  std::unique_ptr<KvCache> memory;  // other models: keys and values of the hypothesis's tokens
  std::vector<float> attention;     // over the source in this step, if alignments are wanted
};

class Beams {
 public:
  explicit Beams(Decoding decoding) : decoding_(std::move(decoding)) {}

  std::vector<Beam>& live() { return live_; }
  const Decoding& decoding() const { return decoding_; }

  // Chooses the next tokens of all live hypotheses. `logits` has a row of `stride` floats for each. The first `count`
  // are the logits of `ids` (null: the column is the id), and the others are -infinity. Changes the logits.
  // Returns true if the sentence is over.
  bool take(const Kernels& kernels, float* logits, std::size_t stride, int count, const std::int32_t* ids);
  // The best hypotheses, likeliest first, after the sentence is over.
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
