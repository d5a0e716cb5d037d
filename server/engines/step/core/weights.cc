#include "weights.h"

#include <algorithm>
#include <cmath>

#include "errors.h"

namespace hearth::step {
namespace {

Norm load_norm(const ModelFile& file, const std::string& scope, int size, bool plus_one) {
  Norm n;
  const auto padded = static_cast<std::size_t>(round_up(size, kLane));
  n.gamma = file.floats(*file.find(scope + "/gamma"), padded);
  if (plus_one)
    for (int i = 0; i < size; ++i) n.gamma[static_cast<std::size_t>(i)] += 1.f;
  if (const auto* beta = file.find(scope + "/beta")) n.beta = file.floats(*beta, padded);
  return n;
}

// The angles for each position, in single precision as in CTranslate2, so that far positions have equal angles.
std::vector<float> frequencies(const Rotary& r, bool far) {
  const auto& divisors = far ? r.far_divisors : r.divisors;
  std::vector<float> out;
  for (int i = 0; i < r.dims / 2; ++i) {
    const float wave = std::pow(static_cast<float>(r.base), static_cast<float>(2 * i) / static_cast<float>(r.dims));
    float f = 1.f / (divisors.empty() ? wave : divisors[static_cast<std::size_t>(i)] * wave);
    if (r.llama3) {
      const auto low = static_cast<float>(r.low_freq_factor), high = static_cast<float>(r.high_freq_factor);
      const auto factor = static_cast<float>(r.factor), context = static_cast<float>(r.original_context);
      const auto wavelength = static_cast<float>(2 * 3.14159265358979323846 / static_cast<double>(f));
      if (wavelength > context / low) {
        f /= factor;
      } else if (!(wavelength < context / high)) {
        const float smooth = (context / wavelength - low) / (high - low);
        f = (1 - smooth) * f / factor + smooth * f;
      }
    }
    out.push_back(f);
  }
  return out;
}

}  // namespace

RotaryTable::RotaryTable(const Rotary& r, bool is_far, int context_tokens)
    : rotary(r),
      far(is_far),
      half(r.dims / 2),
      cosine(static_cast<std::size_t>(context_tokens) * static_cast<std::size_t>(half)),
      sine(cosine.size()) {
  const auto frequency = frequencies(r, far);
  const auto factor = static_cast<float>(r.attention);
  std::size_t at = 0;
  for (int t = 0; t < context_tokens; ++t) {
    const float position = static_cast<float>(t) / static_cast<float>(r.linear_factor);
    for (int i = 0; i < half; ++i, ++at) {
      const float angle = position * frequency[static_cast<std::size_t>(i)];
      cosine[at] = std::cos(angle) * factor;
      sine[at] = std::sin(angle) * factor;
    }
  }
}

Weights::Weights(const ModelFile& file, const Architecture& a, const Kernels& kernels, int context_tokens)
    : architecture(a), projection(arena, file, "decoder/projection", kernels, Store::kWrite) {
  const auto* in = file.find("decoder/embeddings/weight");
  const auto* out = file.find("decoder/projection/weight");
  tied = in->offset == out->offset;
  if (!tied) own_embeddings = Linear(arena, file, "decoder/embeddings", kernels, Store::kWrite);
  const auto norm = [&](const std::string& scope, int size) { return load_norm(file, scope, size, a.norm_plus_one); };
  final_norm = norm("decoder/layer_norm", a.width);
  if (a.positions > 0) {
    if (context_tokens > a.positions)
      throw ModelError("the model has only " + std::to_string(a.positions) + " positions");
    positions = file.floats(*file.find("decoder/position_encodings/encodings"), 0);
  }
  for (int i = 0; i < a.layers; ++i) {
    const std::string scope = "decoder/layer_" + std::to_string(i) + "/";
    const std::string attention = scope + "self_attention/", ffn = scope + "ffn/";
    // With a norm after each half, the product is normalised before it is added to the residual stream.
    const Store last = a.normed_behind() ? Store::kWrite : Store::kAdd;
    Layer l;
    l.qkv = Linear(arena, file, attention + "linear_0", kernels, Store::kWrite);
    l.out = Linear(arena, file, attention + "linear_1", kernels, last);
    l.up = a.gated ? Linear::gated(arena, file, ffn + "linear_0", ffn + "linear_0_noact", kernels, a.activation)
                   : Linear(arena, file, ffn + "linear_0", kernels, Store::kWrite, a.activation);
    l.down = Linear(arena, file, ffn + "linear_1", kernels, last);
    const auto names = norm_names(a.norms);
    const auto width_norm = [&](const char* name) { return name != nullptr ? norm(scope + name, a.width) : Norm{}; };
    l.attention_norm = width_norm(names.attention);
    l.post_attention_norm = width_norm(names.post_attention);
    l.ffn_norm = width_norm(names.ffn);
    l.post_ffn_norm = width_norm(names.post_ffn);
    if (a.head_norm != HeadNorm::kNone) {
      const bool all = a.head_norm == HeadNorm::kAll;
      l.q_norm = norm(attention + "q_norm", all ? a.query_width() : a.head_dim);
      l.k_norm = norm(attention + "k_norm", all ? a.kv_width() : a.head_dim);
    }
    const auto& shape = a.layer[static_cast<std::size_t>(i)];
    l.window = shape.window;
    const auto table = [&](bool far) {
      const auto same = std::find_if(rotary.begin(), rotary.end(),
                                     [&](const auto& t) { return t.rotary == shape.rotary && t.far == far; });
      const auto at = static_cast<int>(same - rotary.begin());
      if (same == rotary.end()) rotary.emplace_back(shape.rotary, far, context_tokens);
      return at;
    };
    if (shape.rotary.dims > 0) {
      l.rotary_table = l.far_table = table(false);
      if (!shape.rotary.far_divisors.empty() && context_tokens > a.near_tokens) l.far_table = table(true);
    }
    layers.push_back(std::move(l));
  }
}

void Weights::embed(int token, float* to) const {
  (tied ? projection : own_embeddings).row(token, architecture.embedding_scale, to);
}

bool Weights::has_four_bits() const {
  return projection.is_four_bit() || std::any_of(layers.begin(), layers.end(), [](const Layer& l) {
           return l.qkv.is_four_bit() || l.out.is_four_bit() || l.up.is_four_bit() || l.down.is_four_bit();
         });
}

std::size_t Weights::bytes() const {
  std::size_t sum = projection.bytes();
  for (const auto& l : layers) sum += l.qkv.bytes() + l.out.bytes() + l.up.bytes() + l.down.bytes();
  return sum;
}

}  // namespace hearth::step
