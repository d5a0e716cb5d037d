#include "sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>

#include "philox.h"

namespace hearth::step {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr float kEverything = std::numeric_limits<float>::lowest();
// Who is looked at first when only the likeliest are wanted: tokens at least e^-2 times as likely as the likeliest;
// then more and more. Most steps need no more than the first looks, which touch few tokens.
constexpr float kLooks[] = {2, 4, 8, 16};
constexpr std::size_t kStretches = 96, kStretchesEach = 6;   // at least, and for each token that is wanted
constexpr int kMaskBits = 32;
static_assert(kPanel % kMaskBits == 0);

struct Candidate {
  float logit;
  std::int32_t id;
  double weight = 0;   // likelihood beside the likeliest's, at the temperature
};

bool likelier(const Candidate& a, const Candidate& b) { return a.logit > b.logit || (a.logit == b.logit && a.id < b.id); }

std::vector<Candidate> collect(const Kernels& kernels, const float* logits, int padded, float threshold) {
  // Room for all ids, but only the pages of those found are touched.
  const auto ids = std::make_unique_for_overwrite<std::int32_t[]>(static_cast<std::size_t>(padded));
  const auto count = static_cast<std::size_t>(kernels.collect(logits, padded, threshold, ids.get()));
  std::vector<Candidate> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = {logits[ids[i]], ids[i], 0};
  return out;
}

// Tokens by steps of likelihood, each step holding all tokens above its threshold.
class Looks {
 public:
  Looks(const Kernels& kernels, const float* logits, int padded, float max, float temperature)
      : kernels_(kernels), logits_(logits), padded_(padded), max_(max), temperature_(temperature) {}

  // The likeliest tokens in any order, as soon as there are enough or no more.
  template <typename Enough>
  std::vector<Candidate> until(Enough enough) {
    for (;;) {
      auto found = collect(kernels_, logits_, padded_, threshold());
      if (enough(found) || all_) return found;
      ++look_;
    }
  }

 private:
  float threshold() {
    all_ = look_ >= std::size(kLooks);
    return all_ ? kEverything : max_ - kLooks[look_] * temperature_;
  }
  const Kernels& kernels_;
  const float* logits_;
  int padded_;
  float max_, temperature_;
  std::size_t look_ = 0;
  bool all_ = false;
};

// At least the k likeliest tokens and few others, by id; all where there are no more. The row is cut into stretches of
// which each has its largest logit looked up: k logits at least reach the k-th largest of those.
std::vector<Candidate> at_least(const Kernels& kernels, const float* logits, int padded, std::size_t k) {
  const auto most = static_cast<std::size_t>(padded / kLane);
  const auto stretches = std::min(most, std::max(kStretches, kStretchesEach * k));
  if (k >= stretches) return collect(kernels, logits, padded, kEverything);
  const int length = static_cast<int>((most + stretches - 1) / stretches) * kLane;
  std::vector<float> maxima;
  maxima.reserve(stretches);
  for (int begin = 0; begin < padded; begin += length)
    maxima.push_back(kernels.scan(logits + begin, std::min(length, padded - begin)).max);
  if (k > maxima.size()) return collect(kernels, logits, padded, kEverything);
  const auto kth = maxima.begin() + static_cast<std::ptrdiff_t>(k) - 1;
  std::nth_element(maxima.begin(), kth, maxima.end(), std::greater<float>());
  return collect(kernels, logits, padded, std::max(*kth, kEverything));
}

// Puts the likeliest k in front, in order.
void order_first(std::vector<Candidate>& all, std::size_t k) {
  if (k < all.size()) std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(k), all.end(), likelier);
  std::sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min(k, all.size())), likelier);
}

double sum_of(const std::vector<Candidate>& list) {
  double sum = 0;
  for (const auto& c : list) sum += c.weight;
  return sum;
}

// Keeps the fewest of the likeliest that weigh at least `enough`, and at least one, in any order. As in a search for the n-th element,
// each turn halves what is left to look at, so the cost grows with the tokens and not with their order.
void keep_mass(std::vector<Candidate>& list, double enough) {
  auto low = list.begin(), high = list.end();
  double sum = 0;   // of what lies before `low`
  enough = std::max(enough, std::numeric_limits<double>::denorm_min());
  while (low != high && sum < enough) {
    std::iter_swap(low + (high - low) / 2, high - 1);
    const Candidate pivot = *(high - 1);
    const auto middle = std::partition(low, high - 1, [&](const Candidate& c) { return likelier(c, pivot); });
    double above = 0;
    for (auto c = low; c != middle; ++c) above += c->weight;
    if (sum + above >= enough) {
      high = middle;
    } else {
      std::iter_swap(middle, high - 1);
      sum += above + pivot.weight;
      low = middle + 1;
    }
  }
  list.erase(low, list.end());
}

std::vector<double> segment_sums(const Kernels& kernels, const float* logits, int padded, float max, float scale) {
  std::vector<float> sums(static_cast<std::size_t>((padded + kExpSegment - 1) / kExpSegment));
  kernels.exp_sums(logits, padded, max, scale, sums.data());
  return {sums.begin(), sums.end()};
}

double total(const std::vector<double>& sums) {
  double all = 0;
  for (const double s : sums) all += s;
  return all;
}

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
    choice.id = collect(kernels, logits, padded, scan.max).front().id;   // the lowest id of equals
  } else {
    choice.id = draw(kernels, logits, padded, scan.max);
  }
  if (options_.logprobs >= 0) report(kernels, logits, padded, scan.max, choice);
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
    if (seen.made > 0)
      x -= options_.presence_penalty + options_.frequency_penalty * static_cast<float>(seen.made);
  }
  if (made_ < static_cast<std::uint64_t>(std::max(0, options_.min_tokens)))
    for (const auto id : options_.stop_ids)
      if (valid(id)) logits[id] = kNever;
  if (mask == nullptr) return;
  for (int i = 0; i < padded; i += kMaskBits) {   // a row of logits is padded to whole words
    const auto word = static_cast<std::size_t>(i / kMaskBits);
    const std::uint32_t allowed = word < mask_words ? mask[word] : 0;
    float* x = logits + i;
    // A grammar allows nearly all of a word's tokens or nearly none: only the fewer are touched one by one.
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
  const double log_sum = std::log(total(segment_sums(kernels, logits, padded, max, 1.f)));
  const auto logprob = [&](float logit) { return static_cast<float>(static_cast<double>(logit - max) - log_sum); };
  choice.reported = true;
  choice.logprob = logprob(logits[choice.id]);
  if (options_.logprobs == 0) return;
  const auto wanted = static_cast<std::size_t>(options_.logprobs);
  auto all = at_least(kernels, logits, padded, wanted);
  order_first(all, wanted);
  for (std::size_t i = 0; i < std::min(wanted, all.size()); ++i) choice.top.emplace_back(all[i].id, logprob(all[i].logit));
}

std::int32_t Sampler::draw(const Kernels& kernels, const float* logits, int padded, float max) const {
  const float scale = 1.f / options_.temperature;
  const double u = philox_uniform(options_.seed, made_);
  const auto weight = [&](float logit) { return std::exp(static_cast<double>(logit - max) * static_cast<double>(scale)); };

  const bool limits_mass = options_.top_p < 1.f;
  if (options_.top_k <= 0 && !limits_mass && options_.min_p <= 0.f) {
    // The whole vocabulary: find the segment the draw falls into, then the token in it.
    const auto sums = segment_sums(kernels, logits, padded, max, scale);
    double left = u * total(sums);
    std::size_t s = 0;
    while (s + 1 < sums.size() && left >= sums[s]) left -= sums[s++];
    std::int32_t last = -1;
    for (std::size_t begin = s; last < 0; begin = (begin + 1) % sums.size()) {   // a later segment only by rounding
      const int end = std::min(padded, static_cast<int>(begin + 1) * kExpSegment);
      for (int i = static_cast<int>(begin) * kExpSegment; i < end; ++i) {
        if (logits[i] == kNever) continue;
        last = i;
        left -= weight(logits[i]);
        if (left < 0) return i;
      }
    }
    return last;
  }

  std::vector<Candidate> kept;
  Looks looks(kernels, logits, padded, max, options_.temperature);
  const auto weigh = [&](std::vector<Candidate>& list) {
    for (auto& c : list) c.weight = weight(c.logit);
    return sum_of(list);
  };
  if (options_.top_k > 0) {
    const auto k = static_cast<std::size_t>(options_.top_k);
    kept = at_least(kernels, logits, padded, k);
    order_first(kept, k);
    kept.resize(std::min(k, kept.size()));
    const double mass = weigh(kept);
    if (limits_mass) keep_mass(kept, static_cast<double>(options_.top_p) * mass);
  } else if (limits_mass) {
    const double enough = static_cast<double>(options_.top_p) * total(segment_sums(kernels, logits, padded, max, scale));
    kept = looks.until([&](auto& found) { return weigh(found) >= enough; });
    keep_mass(kept, enough);
  } else {
    // Only min_p: a threshold by itself, taken a little low here and exactly below.
    kept = collect(kernels, logits, padded, max + options_.temperature * (std::log(options_.min_p) - 0.01f));
    weigh(kept);
  }
  if (options_.min_p > 0.f)
    std::erase_if(kept, [&](const Candidate& c) { return c.weight < static_cast<double>(options_.min_p); });
  double left = u * sum_of(kept);
  for (const auto& c : kept) {
    left -= c.weight;
    if (left < 0) return c.id;
  }
  return kept.back().id;
}

}  // namespace hearth::step
