// Finds and draws the likeliest tokens of a row of logits without sorting it. Kernels do the passes over the row, and
// only the tokens that matter are read one by one.
//
// A row has `padded` logits, -infinity beyond the vocabulary; `max` is the largest. A token weighs
// exp((logit - max) / temperature).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/kernels.h"

namespace hearth::step {

inline constexpr float kEverything = std::numeric_limits<float>::lowest();

struct Candidate {
  float logit;
  std::int32_t id;
  double weight = 0;
};

// All tokens with at least this logit, by id.
std::vector<Candidate> at_least(const Kernels& kernels, const float* logits, int padded, float least);

// At least the k likeliest tokens and few others, by id; all tokens if the row has fewer than k.
std::vector<Candidate> some_likeliest(const Kernels& kernels, const float* logits, int padded, std::size_t k);

// Moves the k likeliest tokens to the front, in order.
void order_first(std::vector<Candidate>& all, std::size_t k);

// Computes the weights and returns their sum.
double weigh(std::vector<Candidate>& list, float max, float temperature);
double sum_of(const std::vector<Candidate>& list);

// Keeps the fewest likeliest tokens that together weigh at least `enough`, but at least one, in any order.
void keep_mass(std::vector<Candidate>& list, double enough);

// The token at `place` of the list's weights laid end to end, or the last token if `place` is beyond them.
std::int32_t drawn(const std::vector<Candidate>& list, double place);

// The weights of all tokens with at least a certain logit, summed by stretches of the row.
class Masses {
 public:
  // The weights of all tokens.
  Masses(const Kernels& kernels, const float* logits, int padded, float max, float scale);
  // The weights of tokens with at least the logit `least`. A kernel has computed `sums`.
  Masses(const float* logits, int padded, float max, float scale, float least, std::vector<float> sums);
  double sum() const { return sum_; }
  // The token at `place` of the weights laid end to end by id.
  std::int32_t at(double place) const;

 private:
  const float* logits_;
  int padded_;
  float max_, scale_, least_;
  std::vector<float> sums_;
  double sum_ = 0;
};

// Draws one of the fewest likeliest tokens that weigh `share` of all (top_p), by the uniform number u.
std::int32_t draw_nucleus(const Kernels& kernels, const float* logits, int padded, float max, float temperature,
                          double share, double u);

}  // namespace hearth::step
