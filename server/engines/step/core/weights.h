// A decoder's weights, loaded and packed. Read only afterwards, so any number of threads may use them.
#pragma once
#include <vector>

#include "aligned.h"
#include "architecture.h"
#include "linear.h"

namespace hearth::step {

// Cosines and sines of all positions up to a context, for layers that rotate alike.
struct RotaryTable {
  RotaryTable(const Rotary& rotary, int context_tokens);
  Rotary rotary;
  int half;
  Aligned<float> cosine, sine;  // [context][half]
};

struct Norm {
  Aligned<float> gamma, beta;  // beta empty: root mean square
  NormView view(int size, float epsilon) const {
    return {gamma.data(), beta.size() != 0 ? beta.data() : nullptr, epsilon, size};
  }
};

struct Layer {
  Linear qkv, out, up, down;
  Norm attention_norm, ffn_norm;
  Norm post_attention_norm, post_ffn_norm;  // only with pre_post_norms
  Norm q_norm, k_norm;                      // only with qk_norm
  int rotary_table = -1;
  int window = 0;
};

struct Weights {
  Weights(const ModelFile& file, const Architecture& architecture, const Kernels& kernels, int context_tokens);

  // The float row of a token, scaled.
  void embed(int token, float* to) const;
  std::size_t bytes() const;  // of all int8 matrices: what a step at batch 1 reads

  Architecture architecture;
  Arena arena;  // of all linear layers
  Linear projection;
  Linear own_embeddings;  // empty when the projection's matrix serves both ends
  bool tied;
  Aligned<float> positions;  // [positions][width] when learned
  Norm final_norm;
  std::vector<Layer> layers;
  std::vector<RotaryTable> rotary;
};

}  // namespace hearth::step
