#include "translator_weights.h"

namespace hearth::step {
namespace {

Norm load_norm(const ModelFile& file, const std::string& scope) {
  Norm n;
  n.gamma = file.floats(*file.find(scope + "/gamma"), 0);
  n.beta = file.floats(*file.find(scope + "/beta"), 0);
  return n;
}

}  // namespace

TranslatorWeights::TranslatorWeights(const ModelFile& file, const TranslatorShape& s, const Kernels& kernels)
    : shape(s), projection(arena, file, "decoder/projection", kernels, Store::kWrite) {
  const auto place = [&](const std::string& name) { return file.find(name + "/weight")->offset; };
  source_tied = place("encoder/embeddings_0") == place("decoder/projection");
  target_tied = place("decoder/embeddings") == place("decoder/projection");
  if (!source_tied) source_embeddings = Linear(arena, file, "encoder/embeddings_0", kernels, Store::kWrite);
  if (!target_tied) target_embeddings = Linear(arena, file, "decoder/embeddings", kernels, Store::kWrite);
  source_positions = file.floats(*file.find("encoder/position_encodings/encodings"), 0);
  target_positions = file.floats(*file.find("decoder/position_encodings/encodings"), 0);
  if (s.pre_norm) {
    encoder_norm = load_norm(file, "encoder/layer_norm");
    decoder_norm = load_norm(file, "decoder/layer_norm");
  }
  const auto linear = [&](const std::string& scope, Store store, Activation activation = Activation::kNone) {
    return Linear(arena, file, scope, kernels, store, activation);
  };
  for (int i = 0; i < s.encoder_layers; ++i) {
    const std::string layer = "encoder/layer_" + std::to_string(i) + "/";
    encoder.push_back(
        {linear(layer + "self_attention/linear_0", Store::kWrite),
         linear(layer + "self_attention/linear_1", Store::kAdd),
         linear(layer + "ffn/linear_0", Store::kWrite, s.activation), linear(layer + "ffn/linear_1", Store::kAdd),
         load_norm(file, layer + "self_attention/layer_norm"), load_norm(file, layer + "ffn/layer_norm")});
  }
  for (int i = 0; i < s.decoder_layers; ++i) {
    const std::string layer = "decoder/layer_" + std::to_string(i) + "/";
    DecoderLayer l;
    if (s.recurrent) {
      l.recurrence = linear(layer + "ssru/linear_0", Store::kWrite);
      l.self_norm = load_norm(file, layer + "ssru/layer_norm");
    } else {
      l.qkv = linear(layer + "self_attention/linear_0", Store::kWrite);
      l.out = linear(layer + "self_attention/linear_1", Store::kAdd);
      l.self_norm = load_norm(file, layer + "self_attention/layer_norm");
    }
    l.query = linear(layer + "attention/linear_0", Store::kWrite);
    l.keys_values = linear(layer + "attention/linear_1", Store::kWrite);
    l.context = linear(layer + "attention/linear_2", Store::kAdd);
    l.attention_norm = load_norm(file, layer + "attention/layer_norm");
    l.up = linear(layer + "ffn/linear_0", Store::kWrite, s.activation);
    l.down = linear(layer + "ffn/linear_1", Store::kAdd);
    l.ffn_norm = load_norm(file, layer + "ffn/layer_norm");
    decoder.push_back(std::move(l));
  }
}

void TranslatorWeights::embed_source(int token, float* to) const {
  (source_tied ? projection : source_embeddings).row(token, shape.embedding_scale, to);
}

void TranslatorWeights::embed_target(int token, float* to) const {
  (target_tied ? projection : target_embeddings).row(token, shape.embedding_scale, to);
}

}  // namespace hearth::step
