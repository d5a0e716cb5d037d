#include "sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "likeliest.h"
#include "philox.h"

namespace hearth::step {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr int kMaskBits = 32;
static_assert(kPanel % kMaskBits == 0);

}  // namespace

Sampler::Sampler(SamplingOptions options, const std::vector<std::int32_t>& prompt)
    : options_(std::move(options)),
      penalises_(options_.repetition_penalty != 1.f || options_.presence_penalty != 0.f ||
                 options_.frequency_penalty != 0.f) {
  if (penalises_)
    for (const auto id : prompt) seen_.try_emplace(id);
}

Choice Sampler::choose(const Kernels& kernels, float* logits, int padded, const std::uint32_t* mask,
                       std::size_t mask_words) {
  adjust(logits, padded, mask, mask_words);
  const Scan scan = kernels.scan(logits, padded);
  Choice choice;
  if (scan.has_nan || !std::isfinite(scan.max)) return choice;
  if (options_.temperature == 0.f) {
    choice.id = at_least(kernels, logits, padded, scan.max).front().id;  // the lowest id of equal logits
  } else {
    choice.id = draw(kernels, logits, padded, scan.max);
  }
  if (options_.logprobs) report(kernels, logits, padded, scan.max, choice);
  remember(choice.id);
  return choice;
}

void Sampler::remember(std::int32_t id) {
  if (penalises_) ++seen_[id].made;
  ++made_;
}

void Sampler::adjust(float* logits, int padded, const std::uint32_t* mask, std::size_t mask_words) const {
  const auto valid = [&](std::int32_t id) { return id >= 0 && id < padded; };
  for (const auto& [id, value] : options_.bias)
    if (valid(id)) logits[id] = value <= -100.f ? kNever : logits[id] + value;
  for (const auto& [id, seen] : seen_) {
    float& x = logits[id];
    x = x > 0.f ? x / options_.repetition_penalty : x * options_.repetition_penalty;
    if (seen.made > 0) x -= options_.presence_penalty + options_.frequency_penalty * static_cast<float>(seen.made);
  }
  if (made_ < static_cast<std::uint64_t>(std::max(0, options_.min_tokens)))
    for (const auto id : options_.stop_ids)
      if (valid(id)) logits[id] = kNever;
  if (mask == nullptr) return;
  for (int i = 0; i < padded; i += kMaskBits) {  // a row of logits is padded to whole words
    const auto word = static_cast<std::size_t>(i / kMaskBits);
    const std::uint32_t allowed = word < mask_words ? mask[word] : 0;
    float* x = logits + i;
    // A grammar allows nearly all of a word's tokens or nearly none, so only the smaller group is changed one by one.
    if (std::popcount(allowed) > kMaskBits / 2) {
      for (std::uint32_t banned = ~allowed; banned != 0; banned &= banned - 1) x[std::countr_zero(banned)] = kNever;
      continue;
    }
    std::array<float, kMaskBits> kept;
    int count = 0;
    for (std::uint32_t left = allowed; left != 0; left &= left - 1)
      kept[static_cast<std::size_t>(count++)] = x[std::countr_zero(left)];
    std::fill_n(x, kMaskBits, kNever);
    count = 0;
    for (std::uint32_t left = allowed; left != 0; left &= left - 1)
      x[std::countr_zero(left)] = kept[static_cast<std::size_t>(count++)];
  }
}

void Sampler::report(const Kernels& kernels, const float* logits, int padded, float max, Choice& choice) const {
  const double log_sum = std::log(Masses(kernels, logits, padded, max, 1.f).sum());
  const auto logprob = [&](float logit) { return static_cast<float>(static_cast<double>(logit - max) - log_sum); };
  choice.reported = true;
  choice.logprob = logprob(logits[choice.id]);
  const auto wanted = static_cast<std::size_t>(options_.logprobs.value_or(0));
  if (wanted == 0) return;
  auto all = some_likeliest(kernels, logits, padded, wanted);
  order_first(all, wanted);
  for (std::size_t i = 0; i < std::min(wanted, all.size()); ++i)
    choice.top.emplace_back(all[i].id, logprob(all[i].logit));
}

std::int32_t Sampler::draw(const Kernels& kernels, const float* logits, int padded, float max) const {
  const double u = philox_uniform(options_.seed, made_);
  const double top_p = options_.top_p;
  const float temperature = options_.temperature;
  std::vector<Candidate> kept;
  if (options_.top_k > 0) {
    const auto k = static_cast<std::size_t>(options_.top_k);
    kept = some_likeliest(kernels, logits, padded, k);
    order_first(kept, k);
    kept.resize(std::min(k, kept.size()));
    const double mass = weigh(kept, max, temperature);
    if (top_p < 1) keep_mass(kept, top_p * mass);
  } else if (options_.min_p > 0.f) {
    // min_p alone is a threshold on logits. It is a little low here, and exact below. top_p then keeps the likeliest.
    kept = at_least(kernels, logits, padded, max + temperature * (std::log(options_.min_p) - 0.01f));
    weigh(kept, max, temperature);
    if (top_p < 1) keep_mass(kept, top_p * Masses(kernels, logits, padded, max, 1 / temperature).sum());
  } else if (top_p < 1) {
    return draw_nucleus(kernels, logits, padded, max, temperature, top_p, u);
  } else {
    const Masses masses(kernels, logits, padded, max, 1 / temperature);
    return masses.at(u * masses.sum());
  }
  if (options_.min_p > 0.f)
    std::erase_if(kept, [&](const Candidate& c) { return c.weight < static_cast<double>(options_.min_p); });
  return drawn(kept, u * sum_of(kept));
}

}  // namespace hearth::step
