// An encoder-decoder's weights, loaded and packed. They never change afterwards, so any number of threads may use them.
#pragma once
#include <vector>

#include "linear.h"
#include "translator_shape.h"
#include "weights.h"

namespace hearth::step {

struct EncoderLayer {
  Linear qkv, out, up, down;
  Norm attention_norm, ffn_norm;
};

struct DecoderLayer {
  Linear recurrence;  // recurrent models: W, then Wf
  Linear qkv, out;    // other models: self-attention
  Norm self_norm;
  Linear query, keys_values, context;
  Norm attention_norm;
  Linear up, down;
  Norm ffn_norm;
};

struct TranslatorWeights {
  TranslatorWeights(const ModelFile& file, const TranslatorShape& shape, const Kernels& kernels);

  TranslatorShape shape;
  Arena arena;
  Linear projection;
  Linear source_embeddings, target_embeddings;  // empty if the projection's matrix is used instead
  bool source_tied, target_tied;
  Aligned<float> source_positions, target_positions;  // [positions][width]
  Norm encoder_norm, decoder_norm;                    // only with pre_norm
  std::vector<EncoderLayer> encoder;
  std::vector<DecoderLayer> decoder;

  void embed_source(int token, float* to) const;
  void embed_target(int token, float* to) const;
};

}  // namespace hearth::step
