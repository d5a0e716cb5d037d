// The architecture of the decoder in a model file: sizes and flags, all checked, before any weight is loaded.
//
// One rule keeps answers right: the engine refuses a variable or an attribute that it does not know and never ignores
// it, so that another engine serves the model.
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
  // yarn and longrope: each frequency is divided by its divisor, and cosines and sines are multiplied by `attention`.
  std::vector<float> divisors;
  std::vector<float> far_divisors;  // longrope: for rows longer than original_context; empty: the same
  double attention = 1;
  bool operator==(const Rotary&) const = default;
};

struct LayerShape {
  Rotary rotary;
  int window = 0;  // positions a token sees, itself included; 0: all
};

// The values of config.json that the model file lacks; a missing value is below 0. A cap of 0 means no cap.
struct Config {
  double epsilon = -1;            // of the norms
  double final_softcap = -1;      // logits: cap * tanh(x / cap)
  double attention_softcap = -1;  // the same for attention's scores, before the softmax
};

// The places of a layer's norms.
enum class Norms {
  kBefore,    // x += half(norm(x))
  kAround,    // x += norm(half(norm(x))): Gemma 2 and 3
  kAfter,     // x += norm(half(x)): OLMo 2 and 3, EXAONE 4
  kParallel,  // x += attention(norm(x)) + feed_forward(norm(x)): GPT-NeoX
  kShared,    // the same with one norm for both: GPT-J, Phi-2
};

// The names of the norms in a layer's scope of the file; null if the layer lacks the norm.
struct NormNames {
  const char *attention, *post_attention, *ffn, *post_ffn;
};
NormNames norm_names(Norms norms);

// How queries and keys are normalised.
enum class HeadNorm {
  kNone,
  kEach,         // each head, before it rotates: Qwen 3, Gemma 3
  kEachRotated,  // each head, after it has rotated: Hunyuan
  kAll,          // all heads of a token as one row, before they rotate: OLMo 2 and 3
};

struct Architecture {
  int layers, width, heads, kv_heads, head_dim, inner, vocabulary;
  bool gated;  // feed-forward network: act(gate) * up
  Norms norms;
  HeadNorm head_norm;
  bool norm_plus_one;  // Gemma: norm weights are stored minus one
  bool layer_norm;     // mean and bias; otherwise root mean square
  Activation activation;
  float epsilon, embedding_scale, query_scale;
  float final_softcap, attention_softcap;  // 0: none
  int positions;                           // learned position rows; 0: none
  int near_tokens;                         // rows longer than this rotate by far_divisors; 0: none
  std::vector<LayerShape> layer;

  // Whether the output of each half of a layer is normalised before it is added to the residual stream.
  bool normed_behind() const { return norms == Norms::kAround || norms == Norms::kAfter; }
  // Whether both halves of a layer read the same input.
  bool parallel() const { return norms == Norms::kParallel || norms == Norms::kShared; }
  int query_width() const { return heads * head_dim; }
  int kv_width() const { return kv_heads * head_dim; }
  int qkv_width() const { return query_width() + 2 * kv_width(); }
};

// Throws ModelError, Unsupported, Incomplete.
Architecture read_architecture(const ModelFile& file, const Config& config);

}  // namespace hearth::step
