#include "translator_shape.h"

#include <cmath>
#include <string>

#include "reader.h"

namespace hearth::step {
namespace {

void norm(Reader& in, const std::string& scope, int size) {
  in.vector(scope + "/gamma", size);
  in.vector(scope + "/beta", size);
}

void feed_forward(Reader& in, const std::string& layer, const TranslatorShape& a) {
  in.linear(layer + "ffn/linear_0", a.inner, a.width);
  in.linear(layer + "ffn/linear_1", a.width, a.inner);
  norm(in, layer + "ffn/layer_norm", a.width);
}

void self_attention(Reader& in, const std::string& layer, const TranslatorShape& a) {
  in.linear(layer + "self_attention/linear_0", 3 * a.width, a.width);
  in.linear(layer + "self_attention/linear_1", a.width, a.width);
  norm(in, layer + "self_attention/layer_norm", a.width);
}

int count_layers(const ModelFile& file, const std::string& side, const std::string& part) {
  int layers = 0;
  while (file.has(side + "layer_" + std::to_string(layers) + part)) ++layers;
  if (layers < 1 || layers > kMostLayers) throw ModelError("model.bin: " + std::to_string(layers) + " layers");
  return layers;
}

// A number that the encoder and the decoder must both state.
int both(Reader& in, const std::string& name, int otherwise) {
  const int value = in.integer("encoder/" + name, otherwise);
  check(in.integer("decoder/" + name, otherwise) == value, "its encoder and decoder differ in " + name);
  return value;
}

float embedding_scale(Reader& in, const ModelFile& file, const std::string& side, const std::string& table, int width) {
  const std::string name =
      in.has(side + "scale_embeddings") ? side + "scale_embeddings" : table + "/multiply_by_sqrt_depth";
  in.has(table + "/multiply_by_sqrt_depth");
  const auto* variable = file.find(name);
  const float root = std::sqrt(static_cast<float>(width));
  if (variable == nullptr) return root;
  if (variable->type == Type::kInt8) return in.number(name, 0) != 0 ? root : 1.f;
  return static_cast<float>(in.number(name, 1));
}

int positions(Reader& in, const std::string& side, int width) {
  check(in.has(side + "position_encodings/encodings"), "its positions are not in the file");
  const auto& v = in.need(side + "position_encodings/encodings", 2);
  if (v.shape[1] != static_cast<std::uint32_t>(width) || v.shape[0] > 1u << 16)
    throw ModelError("model.bin: the position encodings have shape " + shape_text(v));
  return static_cast<int>(v.shape[0]);
}

}  // namespace

TranslatorShape read_translator(const ModelFile& file, const Config& config) {
  check(file.specification() == "TransformerSpec", "it is a " + file.specification() + ", not an encoder-decoder");
  Reader in(file);
  TranslatorShape a{};
  const auto& table = in.need("encoder/embeddings_0/weight", 2);
  a.source_vocabulary = static_cast<int>(table.shape[0]);
  a.vocabulary = static_cast<int>(in.need("decoder/embeddings/weight", 2).shape[0]);
  a.width = static_cast<int>(table.shape[1]);
  check(a.width % kPanel == 0 && a.width <= kMostWidth, "its rows have " + std::to_string(a.width) + " numbers");
  in.matrix("encoder/embeddings_0", a.source_vocabulary, a.width);
  in.matrix("decoder/embeddings", a.vocabulary, a.width);
  in.linear("decoder/projection", a.vocabulary, a.width);
  a.heads = both(in, "num_heads", 8);
  if (a.heads < 1 || a.width % a.heads != 0) throw ModelError("model.bin: num_heads is " + std::to_string(a.heads));
  a.head_dim = a.width / a.heads;
  check(a.head_dim % kLane == 0 && a.head_dim <= kMostHeadDim,
        "its heads have " + std::to_string(a.head_dim) + " dimensions; this engine wants a multiple of 16");
  a.inner = static_cast<int>(in.need("encoder/layer_0/ffn/linear_0/weight", 2).shape[0]);
  check(a.inner % kPanel == 0 && a.inner <= kMostWidth, "its layers are " + std::to_string(a.inner) + " wide inside");
  a.pre_norm = both(in, "pre_norm", 1) != 0;
  a.activation = read_activation(both(in, "activation", 0));
  a.zero_start = in.number("decoder/start_from_zero_embedding", 0) != 0;
  check(in.integer("decoder/alignment_layer", -1) == -1, "its alignment is not the last layer's");
  a.alignment_heads = in.integer("decoder/alignment_heads", 1);
  if (a.alignment_heads < 0 || a.alignment_heads > a.heads)
    throw ModelError("model.bin: alignment_heads is out of range");
  a.epsilon = static_cast<float>(config.epsilon >= 0 ? config.epsilon : 1e-5);
  a.embedding_scale = embedding_scale(in, file, "encoder/", "encoder/embeddings_0", a.width);
  check(embedding_scale(in, file, "decoder/", "decoder/embeddings", a.width) == a.embedding_scale,
        "its encoder and decoder scale embeddings differently");
  a.positions = std::min(positions(in, "encoder/", a.width), positions(in, "decoder/", a.width));
  check(in.number("decoder/alibi", 0) == 0 && in.number("encoder/alibi", 0) == 0, "it uses ALiBi positions");
  for (const char* side : {"encoder/", "decoder/"})
    for (const char* ignored : {"alibi", "alibi_use_positive_positions", "scale_alibi", "sliding_window"})
      in.has(std::string(side) + ignored);  // no effect without ALiBi and windows
  check(in.integer("decoder/sliding_window", 0) == 0 && in.integer("encoder/sliding_window", 0) == 0, "it has windows");
  check(both(in, "multi_query_attention", 0) == 0, "its heads share keys and values");
  in.has("encoder/embeddings_merge");  // no effect with one input

  a.encoder_layers = count_layers(file, "encoder/", "/ffn/linear_0/weight");
  a.decoder_layers = count_layers(file, "decoder/", "/ffn/linear_0/weight");
  a.recurrent = file.has("decoder/layer_0/ssru/linear_0/weight");
  for (int i = 0; i < a.encoder_layers; ++i) {
    const std::string layer = "encoder/layer_" + std::to_string(i) + "/";
    self_attention(in, layer, a);
    feed_forward(in, layer, a);
  }
  for (int i = 0; i < a.decoder_layers; ++i) {
    const std::string layer = "decoder/layer_" + std::to_string(i) + "/";
    if (a.recurrent) {
      in.linear(layer + "ssru/linear_0", 2 * a.width, a.width);
      norm(in, layer + "ssru/layer_norm", a.width);
    } else {
      self_attention(in, layer, a);
    }
    in.linear(layer + "attention/linear_0", a.width, a.width);
    in.linear(layer + "attention/linear_1", 2 * a.width, a.width);
    in.linear(layer + "attention/linear_2", a.width, a.width);
    norm(in, layer + "attention/layer_norm", a.width);
    feed_forward(in, layer, a);
  }
  if (a.pre_norm) {
    norm(in, "encoder/layer_norm", a.width);
    norm(in, "decoder/layer_norm", a.width);
  }
  in.refuse_the_rest();
  return a;
}

}  // namespace hearth::step
