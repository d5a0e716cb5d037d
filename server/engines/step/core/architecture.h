// What decoder a model file holds: sizes and flags, all checked, nothing loaded.
//
// The rule that keeps answers right: a variable or an attribute this engine does not know is refused, never ignored,
// so another engine serves the model.
#pragma once
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "model_file.h"

namespace hearth::step {

struct Rotary {
  int dims = 0;  // 0: this layer does not rotate
  bool interleaved = false;
  double base = 10000;
  double linear_factor = 1;  // positions are divided by it
  bool llama3 = false;       // frequencies are scaled by wavelength
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  double original_context = 0;
  bool operator==(const Rotary&) const = default;
};

struct LayerShape {
  Rotary rotary;
  int window = 0;  // positions a token sees, itself included; 0: all
};

// What config.json says beside the file; below 0 where it says nothing. A cap of 0 says that there is none.
struct Config {
  double epsilon = -1;            // of the norms
  double final_softcap = -1;      // logits: cap * tanh(x / cap)
  double attention_softcap = -1;  // the same of attention's scores, before the softmax
};

struct Architecture {
  int layers, width, heads, kv_heads, head_dim, inner, vocabulary;
  bool gated;  // feed-forward network: act(gate) * up
  bool qk_norm;
  bool pre_post_norms;  // Gemma 2 and 3: norms before and after each half of a layer
  bool norm_plus_one;   // Gemma: norm weights are stored minus one
  bool layer_norm;      // mean and bias; otherwise root mean square
  Activation activation;
  float epsilon, embedding_scale, query_scale;
  float final_softcap, attention_softcap;  // 0: none
  int positions;                           // learned position rows; 0: none
  std::vector<LayerShape> layer;

  int query_width() const { return heads * head_dim; }
  int kv_width() const { return kv_heads * head_dim; }
  int qkv_width() const { return query_width() + 2 * kv_width(); }
};

// Throws ModelError, Unsupported, Incomplete.
Architecture read_architecture(const ModelFile& file, const Config& config);

}  // namespace hearth::step
