// A decoder's weights, loaded and packed. They never change afterwards, so any number of threads may use them.
#pragma once
#include <vector>

#include "aligned.h"
#include "architecture.h"
#include "linear.h"

namespace hearth::step {

// Cosines and sines of all positions up to a context, shared by all layers with the same rotation.
struct RotaryTable {
  RotaryTable(const Rotary& rotary, bool far, int context_tokens);
  Rotary rotary;
  bool far;  // for rows longer than the original context
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
  // Norms that the layer lacks are empty.
  Norm attention_norm, ffn_norm, post_attention_norm, post_ffn_norm;
  Norm q_norm, k_norm;
  int rotary_table = -1;
  int far_table = -1;  // for rows longer than the original context; mostly the same
  int window = 0;
};

struct Weights {
  Weights(const ModelFile& file, const Architecture& architecture, const Kernels& kernels, int context_tokens);

  // Writes the scaled embedding of a token.
  void embed(int token, float* to) const;
  std::size_t bytes() const;  // of all matrices that a step at batch 1 reads
  bool has_four_bits() const;

  Architecture architecture;
  Arena arena;  // of all linear layers
  Linear projection;
  Linear own_embeddings;  // empty if the projection's matrix is used instead
  bool tied;
  Aligned<float> positions;  // [positions][width] when learned
  Norm final_norm;
  std::vector<Layer> layers;
  std::vector<RotaryTable> rotary;
};

}  // namespace hearth::step
