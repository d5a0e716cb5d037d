// The architecture of the encoder-decoder in a model file: sizes and flags, all checked, before any weight is loaded.
//
// Variables have the names of CTranslate2's TransformerSpec (Marian, OPUS-MT). One kind of layer is Hearth's own: in
// place of `self_attention` a decoder layer may have `ssru`, the recurrence of Mozilla's small models (Kim et al., From
// Research to Production and Back: Ludicrously Fast Neural Machine Translation, 2019). Its `linear_0` has the rows of
// W, then the rows of Wf.
#pragma once
#include "architecture.h"
#include "kernels/kernels.h"
#include "model_file.h"

namespace hearth::step {

struct TranslatorShape {
  int width, heads, head_dim, inner;
  int source_vocabulary, vocabulary;  // sizes for reading and for writing; equal if both languages share one
  int encoder_layers, decoder_layers;
  bool recurrent;       // SSRU in place of the decoder's self-attention
  bool pre_norm;        // norms before each half of a layer, and one at the end; otherwise after each half
  bool zero_start;      // the first step reads a zero embedding
  int alignment_heads;  // heads of the last layer whose attention gives the alignment; 0: all
  int positions;        // the most tokens of a source, and of a target
  Activation activation;
  float epsilon, embedding_scale;
};

// Throws ModelError, Unsupported.
TranslatorShape read_translator(const ModelFile& file, const Config& config);

}  // namespace hearth::step
