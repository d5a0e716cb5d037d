#include "likeliest.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <memory>

namespace hearth::step {
namespace {

constexpr float kNoBound = std::numeric_limits<float>::infinity();
// Where the edge of a nucleus is looked for: tokens at least e^-2 times as likely as the likeliest; then more and more.
constexpr float kLooks[] = {2, 4, 8, 16};
// So many tokens are rather weighed one by one than searched by halving: at least, and of the row.
constexpr std::size_t kFew = 1024, kFewOf = 32;
constexpr int kHalvings = 12;
constexpr double kNarrow = 1. / 32;   // of the nucleus: what lies in so narrow a band is weighed one by one
constexpr std::size_t kStretches = 96, kStretchesEach = 6;   // at least, and for each token that is wanted

bool likelier(const Candidate& a, const Candidate& b) { return a.logit > b.logit || (a.logit == b.logit && a.id < b.id); }

// Tokens of least <= logit < below, by id; where there are more than `most`, more than `most` of them.
std::vector<Candidate> between(const Kernels& kernels, const float* logits, int padded, float least, float below,
                               std::size_t most) {
  // Room for all ids, but only the pages of those found are touched.
  const auto ids = std::make_unique_for_overwrite<std::int32_t[]>(static_cast<std::size_t>(padded));
  const auto limit = static_cast<int>(std::min(most, static_cast<std::size_t>(padded)));
  const auto count = static_cast<std::size_t>(kernels.collect(logits, padded, least, below, limit, ids.get()));
  std::vector<Candidate> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = {logits[ids[i]], ids[i], 0};
  return out;
}

double weight_of(float logit, float max, float scale) {
  return std::exp(static_cast<double>(logit - max) * static_cast<double>(scale));
}

}  // namespace

std::vector<Candidate> at_least(const Kernels& kernels, const float* logits, int padded, float least) {
  return between(kernels, logits, padded, least, kNoBound, static_cast<std::size_t>(padded));
}

// The row is cut into stretches of which each has its largest logit looked up: k logits at least reach the k-th largest
// of those.
std::vector<Candidate> some_likeliest(const Kernels& kernels, const float* logits, int padded, std::size_t k) {
  const auto most = static_cast<std::size_t>(padded / kLane);
  const auto stretches = std::min(most, std::max(kStretches, kStretchesEach * k));
  if (k >= stretches) return at_least(kernels, logits, padded, kEverything);
  const int length = static_cast<int>((most + stretches - 1) / stretches) * kLane;
  std::vector<float> maxima;
  maxima.reserve(stretches);
  for (int begin = 0; begin < padded; begin += length)
    maxima.push_back(kernels.scan(logits + begin, std::min(length, padded - begin)).max);
  if (k > maxima.size()) return at_least(kernels, logits, padded, kEverything);
  const auto kth = maxima.begin() + static_cast<std::ptrdiff_t>(k) - 1;
  std::nth_element(maxima.begin(), kth, maxima.end(), std::greater<float>());
  return at_least(kernels, logits, padded, std::max(*kth, kEverything));
}

void order_first(std::vector<Candidate>& all, std::size_t k) {
  if (k < all.size()) std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(k), all.end(), likelier);
  std::sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min(k, all.size())), likelier);
}

double weigh(std::vector<Candidate>& list, float max, float temperature) {
  for (auto& c : list) c.weight = weight_of(c.logit, max, 1 / temperature);
  return sum_of(list);
}

double sum_of(const std::vector<Candidate>& list) {
  double sum = 0;
  for (const auto& c : list) sum += c.weight;
  return sum;
}

// As in a search for the n-th element, each turn halves what is left to look at, so the cost grows with the tokens and
// not with their order.
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

std::int32_t drawn(const std::vector<Candidate>& list, double place) {
  for (const auto& c : list) {
    place -= c.weight;
    if (place < 0) return c.id;
  }
  return list.back().id;
}

Masses::Masses(const Kernels& kernels, const float* logits, int padded, float max, float scale, float least)
    : logits_(logits), padded_(padded), max_(max), scale_(scale), least_(least),
      sums_(static_cast<std::size_t>((padded + kExpSegment - 1) / kExpSegment)) {
  kernels.exp_sums(logits, padded, max, scale, least, sums_.data());
  for (const double s : sums_) sum_ += s;
}

std::int32_t Masses::at(double place) const {
  std::size_t s = 0;
  while (s + 1 < sums_.size() && place >= static_cast<double>(sums_[s])) place -= static_cast<double>(sums_[s++]);
  std::int32_t last = -1;
  for (std::size_t begin = s; last < 0; begin = (begin + 1) % sums_.size()) {   // a later stretch only by rounding
    const int end = std::min(padded_, static_cast<int>(begin + 1) * kExpSegment);
    for (int i = static_cast<int>(begin) * kExpSegment; i < end; ++i) {
      if (logits_[i] < least_) continue;
      last = i;
      place -= weight_of(logits_[i], max_, scale_);
      if (place < 0) return i;
    }
  }
  return last;
}

// Few tokens are weighed one by one. Of many, the row's weights are summed from a logit inside of the nucleus and from
// one outside of it, again and again, until what lies between is little: a flat distribution costs some passes over the
// row, and hardly a token of it a look of its own.
std::int32_t draw_nucleus(const Kernels& kernels, const float* logits, int padded, float max, float temperature,
                          double share, double u) {
  const float scale = 1 / temperature;
  const double enough = share * Masses(kernels, logits, padded, max, scale).sum();
  const std::size_t most = std::max(kFew, static_cast<std::size_t>(padded) / kFewOf);
  struct Bound {
    float logit;
    double mass;   // of the tokens from there on
  };
  Bound inside{kNoBound, 0}, outside{kEverything, std::numeric_limits<double>::infinity()};
  const auto narrow = [&](float logit) {
    const Bound at{logit, Masses(kernels, logits, padded, max, scale, logit).sum()};
    (at.mass < enough ? inside : outside) = at;
  };
  bool few = true;
  for (const float look : kLooks) {
    const float logit = max - look * temperature;
    if (few) {
      auto found = between(kernels, logits, padded, logit, kNoBound, most);
      few = found.size() <= most;
      if (few) inside = {logit, weigh(found, max, temperature)};
      if (few && inside.mass >= enough) {
        keep_mass(found, enough);
        return drawn(found, u * sum_of(found));
      }
    }
    if (!few) narrow(logit);
    if (outside.logit > kEverything) break;
  }
  for (int i = 0; i < kHalvings && outside.mass - inside.mass > kNarrow * enough && outside.logit > kEverything; ++i)
    narrow(outside.logit + (std::min(inside.logit, max) - outside.logit) / 2);

  auto edge = between(kernels, logits, padded, outside.logit, inside.logit, static_cast<std::size_t>(padded));
  weigh(edge, max, temperature);
  keep_mass(edge, enough - inside.mass);
  const double place = u * (inside.mass + sum_of(edge));
  if (place < inside.mass || edge.empty()) return Masses(kernels, logits, padded, max, scale, inside.logit).at(place);
  return drawn(edge, place - inside.mass);
}

}  // namespace hearth::step
