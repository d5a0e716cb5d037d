// What encoder-decoder a model file holds: sizes and flags, all checked, nothing loaded.
//
// Variables have the names of CTranslate2's TransformerSpec (Marian, OPUS-MT). One kind of layer is our own: in the
// place of `self_attention` a decoder layer may have `ssru`, the recurrence of Mozilla's students (Kim et al., From
// Research to Production and Back: Ludicrously Fast Neural Machine Translation, 2019): `linear_0` has the rows of W,
// then those of Wf.
#pragma once
#include "architecture.h"
#include "kernels/kernels.h"
#include "model_file.h"

namespace hearth::step {

struct TranslatorShape {
  int width, heads, head_dim, inner, vocabulary;
  int encoder_layers, decoder_layers;
  bool recurrent;       // SSRU in the place of the decoder's self-attention
  bool pre_norm;        // norms before each half of a layer, and one at the end; otherwise behind each half
  bool zero_start;      // the first step reads a zero embedding
  int alignment_heads;  // of the last layer, whose attention tells the alignment; 0: all
  int positions;        // the most tokens of a source, and of a target
  Activation activation;
  float epsilon, embedding_scale;
};

// Throws ModelError, Unsupported.
TranslatorShape read_translator(const ModelFile& file, const Config& config);

}  // namespace hearth::step
