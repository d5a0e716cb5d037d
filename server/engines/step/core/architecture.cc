#include "architecture.h"

#include <cmath>

#include "errors.h"
#include "reader.h"

namespace hearth::step {
namespace {

const std::string kDecoder = "decoder/";
// The specification of files with this engine's own attributes. CTranslate2 refuses a specification that it does not
// know, but ignores an attribute that it does not know.
const std::string kOwnSpecification = "HearthDecoderSpec";
constexpr unsigned kRevision = 8, kOwnRevision = 2;
constexpr unsigned kFourBitRevision = 2;  // since which matrices may have four-bit weights

const std::string kConvert = "convert it again with `hearth convert`";
const std::string kRotatedFirst = "qk_norm_after_rotation";

Norms read_norms(Reader& in, const std::string& layer) {
  if (in.has(layer + "shared_layer_norm/gamma")) return Norms::kShared;
  if (in.has(layer + "pre_feedforward_layer_norm/gamma")) return Norms::kAround;
  if (!in.has(layer + "post_attention_layer_norm/gamma")) return Norms::kBefore;
  return in.has(layer + "input_layer_norm/gamma") ? Norms::kParallel : Norms::kAfter;
}

HeadNorm read_head_norm(Reader& in, const std::string& attention, int head_dim) {
  if (!in.has(attention + "q_norm/gamma")) return HeadNorm::kNone;
  const bool all = in.need(attention + "q_norm/gamma", 1).shape[0] != static_cast<std::uint32_t>(head_dim);
  const bool rotated = in.number(attention + kRotatedFirst, 0) != 0;
  check(!(all && rotated), "it normalises all heads as one after they rotated");
  return all ? HeadNorm::kAll : rotated ? HeadNorm::kEachRotated : HeadNorm::kEach;
}

// Reads yarn, which has one list of divisors and states `rotary_attention_factor`, or CTranslate2's "Su" (longrope),
// which has two lists. The factor of longrope follows from the ratio of its contexts.
void read_divisors(Reader& in, const std::string& scope, Rotary& r) {
  const auto list = [&](const std::string& name) {
    auto found = in.floats(name, r.dims / 2);
    for (const float divisor : found)
      if (!(std::isfinite(divisor) && divisor > 0.f)) throw ModelError("model.bin: '" + name + "' has no divisor");
    return found;
  };
  r.divisors = list(scope + "rotary_scaling_short_factor");
  const std::string far = scope + "rotary_scaling_long_factor";
  r.original_context = in.integer(scope + "original_max_position_embeddings", 0);
  const double most = in.integer(scope + "max_position_embeddings", 0);
  if (in.has(far)) {
    r.far_divisors = list(far);
    if (!(r.original_context >= 2)) throw ModelError("model.bin: original_max_position_embeddings is missing");
  }
  const double stretch = r.original_context >= 2 ? most / r.original_context : 1;
  const double usual = stretch > 1 ? std::sqrt(1 + std::log(stretch) / std::log(r.original_context)) : 1;
  r.attention = in.number(scope + "rotary_attention_factor", usual);
  if (!(std::isfinite(r.attention) && r.attention > 0))
    throw ModelError("model.bin: rotary_attention_factor is no factor");
}

Rotary read_rotary(Reader& in, const std::string& scope, int head_dim) {
  Rotary r;
  const int dims = in.integer(scope + "rotary_dim", -1);
  if (dims < 0) return r;
  r.dims = dims == 0 ? head_dim : dims;
  if (r.dims > head_dim || r.dims % 2 != 0) throw ModelError("model.bin: rotary_dim does not fit the head");
  r.interleaved = in.number(scope + "rotary_interleave", 1) != 0;
  r.base = in.number(scope + "rotary_base", 10000);
  const int scaling = in.integer(scope + "rotary_scaling_type", -1);
  const double factor = in.number(scope + "rotary_scaling_factor", 1);
  if (!(factor > 0) || !(r.base > 0)) throw ModelError("model.bin: a rotary factor is not positive");
  if (scaling == 0) {
    r.linear_factor = factor;
  } else if (scaling == 2) {
    if (!in.has(scope + "rotary_scaling_factor") || !in.has(scope + "original_max_position_embeddings"))
      throw Incomplete(
          "its positions are scaled as Llama 3.1's are, and model.bin lacks rotary_scaling_factor and "
          "original_max_position_embeddings, which CTranslate2's converter leaves out; " +
          kConvert);
    r.llama3 = true;
    r.factor = factor;
    r.low_freq_factor = in.number(scope + "rotary_low_freq_factor", 1);
    r.high_freq_factor = in.number(scope + "rotary_high_freq_factor", 4);
    r.original_context = in.number(scope + "original_max_position_embeddings", 0);
  } else if (scaling == 1) {
    read_divisors(in, scope, r);
  } else {
    check(scaling == -1, "its rotary scaling is of a kind this engine does not know");
  }
  return r;
}

// Checks a norm's weights. Returns true if they are stored minus one.
bool read_norm(Reader& in, const std::string& scope, int size, bool layer_norm) {
  in.vector(scope + "/gamma", size);
  if (layer_norm) in.vector(scope + "/beta", size);
  else check(!in.has(scope + "/beta"), "it mixes kinds of norms");
  return in.number(scope + "/layer_norm_use_residual", 0) != 0;
}

void read_layer(Reader& in, Architecture& a, int index) {
  const std::string layer = kDecoder + "layer_" + std::to_string(index) + "/";
  const std::string attention = layer + "self_attention/";
  LayerShape shape;
  shape.rotary = read_rotary(in, attention, a.head_dim);
  shape.window = std::max(0, in.integer(attention + "sliding_window", 0));
  check(in.number(attention + "num_heads_kv", a.heads) == a.kv_heads, "its layers differ in their number of heads");
  check(in.number(attention + "head_dim", a.head_dim) == a.head_dim, "its layers differ in their size of head");
  check(std::fabs(in.number(attention + "queries_scale", static_cast<double>(a.query_scale)) -
                  static_cast<double>(a.query_scale)) < 1e-6,
        "its layers differ in their scale of queries");
  check(in.number(layer + "layer_scalar", 1) == 1, "it scales whole layers");
  in.linear(attention + "linear_0", a.qkv_width(), a.width);
  in.linear(attention + "linear_1", a.width, a.query_width());
  bool plus_one = a.norm_plus_one;
  const auto norm = [&](const std::string& scope, int size) {
    check(read_norm(in, scope, size, a.layer_norm) == plus_one, "it mixes kinds of norms");
  };
  const auto names = norm_names(a.norms);
  for (const char* name : {names.attention, names.post_attention, names.ffn, names.post_ffn})
    if (name != nullptr) norm(layer + name, a.width);
  if (a.head_norm != HeadNorm::kNone) {
    norm(attention + "q_norm", a.head_norm == HeadNorm::kAll ? a.query_width() : a.head_dim);
    norm(attention + "k_norm", a.head_norm == HeadNorm::kAll ? a.kv_width() : a.head_dim);
    check((in.number(attention + kRotatedFirst, 0) != 0) == (a.head_norm == HeadNorm::kEachRotated),
          "its layers differ in when queries and keys are normalised");
  }
  if (!shape.rotary.far_divisors.empty()) {
    const int near = static_cast<int>(shape.rotary.original_context);
    check(a.near_tokens == 0 || a.near_tokens == near, "its layers differ in their original context");
    a.near_tokens = near;
  }
  in.linear(layer + "ffn/linear_0", a.inner, a.width);
  if (a.gated) in.linear(layer + "ffn/linear_0_noact", a.inner, a.width);
  in.linear(layer + "ffn/linear_1", a.width, a.inner);
  a.layer.push_back(shape);
}

// Gemma 2 is the one family with norms around each half of a layer and no norms of queries and keys. CTranslate2's
// converter writes neither its caps nor its windows, so this engine requires both.
void read_softcaps(Reader& in, Architecture& a, const Config& config) {
  const bool gemma2 = a.norms == Norms::kAround && a.head_norm == HeadNorm::kNone;
  const std::string final_name = kDecoder + "final_logit_softcapping";
  const bool in_file = in.has(final_name);
  if (gemma2 && ((config.final_softcap < 0 && !in_file) || config.attention_softcap < 0))
    throw Incomplete(
        "it is a Gemma 2, and config.json lacks final_logit_softcap or attention_logit_softcap, which "
        "CTranslate2's converter leaves out; " +
        kConvert);
  if (gemma2 && !in.has(kDecoder + "layer_0/self_attention/sliding_window"))
    throw Incomplete(
        "it is a Gemma 2, and model.bin lacks the sliding_window of its layers, which CTranslate2's "
        "converter leaves out; " +
        kConvert);
  a.final_softcap = static_cast<float>(in_file ? in.number(final_name, 0) : std::max(0.0, config.final_softcap));
  a.attention_softcap = static_cast<float>(std::max(0.0, config.attention_softcap));
  if (!(a.final_softcap >= 0.f)) throw ModelError("model.bin: the cap of logits is not a number of 0 or more");
}

}  // namespace

NormNames norm_names(Norms norms) {
  switch (norms) {
    case Norms::kAround:
      return {"input_layer_norm", "post_attention_layer_norm", "pre_feedforward_layer_norm",
              "post_feedforward_layer_norm"};
    case Norms::kAfter: return {nullptr, "post_attention_layer_norm", nullptr, "post_feedforward_layer_norm"};
    case Norms::kParallel: return {"input_layer_norm", nullptr, "post_attention_layer_norm", nullptr};
    case Norms::kShared: return {"shared_layer_norm", nullptr, "shared_layer_norm", nullptr};
    case Norms::kBefore: break;
  }
  return {"self_attention/layer_norm", nullptr, "ffn/layer_norm", nullptr};
}

Architecture read_architecture(const ModelFile& file, const Config& config) {
  const bool own = file.specification() == kOwnSpecification;
  check(own || file.specification() == "TransformerDecoderSpec", "it is a " + file.specification() + ", not a decoder");
  check(file.revision() <= (own ? kOwnRevision : kRevision),
        "its specification has revision " + std::to_string(file.revision()));
  Reader in(file, own && file.revision() >= kFourBitRevision);
  Architecture a{};
  a.vocabulary = static_cast<int>(in.weight(kDecoder + "embeddings").shape[0]);
  a.width = static_cast<int>(in.need(kDecoder + "layer_norm/gamma", 1).shape[0]);
  if (a.width > kMostWidth) throw ModelError("model.bin: rows of " + std::to_string(a.width) + " floats");
  in.matrix(kDecoder + "embeddings", a.vocabulary, a.width);
  in.linear(kDecoder + "projection", a.vocabulary, a.width);

  a.heads = in.integer(kDecoder + "num_heads", 8);
  if (a.heads < 1 || a.heads > 1024) throw ModelError("model.bin: num_heads is " + std::to_string(a.heads));
  const std::string first = kDecoder + "layer_0/";
  a.kv_heads = in.integer(first + "self_attention/num_heads_kv", a.heads);
  a.head_dim = in.integer(first + "self_attention/head_dim", a.width / a.heads);
  if (a.kv_heads < 1 || a.heads % a.kv_heads != 0)
    throw ModelError("model.bin: num_heads_kv does not divide num_heads");
  check(a.head_dim >= 16 && a.head_dim % 16 == 0 && a.head_dim <= kMostHeadDim,
        "its heads have " + std::to_string(a.head_dim) + " dimensions; this engine wants a multiple of 16");
  if (a.qkv_width() > 4 * kMostWidth) throw ModelError("model.bin: the heads are too wide");
  a.inner = static_cast<int>(in.weight(first + "ffn/linear_0").shape[0]);
  if (a.inner > kMostWidth || a.query_width() > kMostWidth) throw ModelError("model.bin: a layer is too wide");
  a.gated = in.has(first + "ffn/linear_0_noact/weight");
  a.norms = read_norms(in, first);
  a.head_norm = read_head_norm(in, first + "self_attention/", a.head_dim);
  a.layer_norm = in.has(kDecoder + "layer_norm/beta");
  a.norm_plus_one = read_norm(in, kDecoder + "layer_norm", a.width, a.layer_norm);
  check(!(a.layer_norm && a.head_norm != HeadNorm::kNone), "it mixes kinds of norms");
  a.activation = read_activation(in.integer(kDecoder + "activation", 0));
  a.epsilon = static_cast<float>(config.epsilon >= 0 ? config.epsilon : a.layer_norm ? 1e-5 : 1e-6);
  a.query_scale = static_cast<float>(in.number(first + "self_attention/queries_scale",
                                               static_cast<double>(1.f / std::sqrt(static_cast<float>(a.head_dim)))));
  read_softcaps(in, a, config);

  // An int8 is a flag: whether to scale by the root of the width. A float is the scale itself.
  const std::string scale = in.has(kDecoder + "scale_embeddings") ? kDecoder + "scale_embeddings"
                                                                  : kDecoder + "embeddings/multiply_by_sqrt_depth";
  in.has(kDecoder + "embeddings/multiply_by_sqrt_depth");
  const auto* scale_variable = file.find(scale);
  const float root = std::sqrt(static_cast<float>(a.width));
  if (scale_variable == nullptr) a.embedding_scale = root;
  else if (scale_variable->type == Type::kInt8) a.embedding_scale = in.number(scale, 0) != 0 ? root : 1.f;
  else a.embedding_scale = static_cast<float>(in.number(scale, 1));

  check(in.number(kDecoder + "pre_norm", 1) != 0, "its norms come after the residual");
  check(in.number(kDecoder + "alibi", 0) == 0, "it uses ALiBi positions");
  check(in.number(kDecoder + "start_from_zero_embedding", 0) == 0, "it starts from a zero embedding");
  for (const char* ignored : {"alibi_use_positive_positions", "scale_alibi", "alignment_layer", "alignment_heads",
                              "sliding_window"})  // without ALiBi or cross attention; windows are read a layer
    in.has(kDecoder + ignored);

  int layers = 0;
  while (file.has(kDecoder + "layer_" + std::to_string(layers) + "/self_attention/linear_0/weight")) ++layers;
  if (layers < 1 || layers > kMostLayers) throw ModelError("model.bin: " + std::to_string(layers) + " layers");
  a.layers = layers;
  for (int i = 0; i < layers; ++i) read_layer(in, a, i);

  const bool rotates = a.layer[0].rotary.dims > 0;
  for (const auto& l : a.layer) check((l.rotary.dims > 0) == rotates, "only some of its layers rotate");
  if (!rotates) {
    check(in.has(kDecoder + "position_encodings/encodings"), "its positions are sinusoids");
    const auto& positions = in.need(kDecoder + "position_encodings/encodings", 2);
    if (positions.shape[1] != static_cast<std::uint32_t>(a.width) || positions.shape[0] > 1u << 20)
      throw ModelError("model.bin: the position encodings have shape " + shape_text(positions));
    a.positions = static_cast<int>(positions.shape[0]);
  }
  in.refuse_the_rest();
  return a;
}

}  // namespace hearth::step
