#include "likeliest.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iterator>
#include <memory>
#include <utility>

namespace hearth::step {
namespace {

constexpr float kNoBound = std::numeric_limits<float>::infinity();
// The first levels at which the search looks for the edge of a nucleus: tokens at least e^-1 times as likely as the
// likeliest, and so on. A token below e^-kNothing weighs nothing.
constexpr std::array<float, kLevels - 1> kLooks{1, 2, 3, 4.5f, 6.5f, 9, 13};
constexpr float kNothing = 104;
// Tokens that are weighed one by one instead of in another pass: at least kFew, or one in kFewOf of the row.
constexpr std::size_t kFew = 1024, kFewOf = 32;
constexpr int kPasses = 6;                                  // each pass narrows the edge to a ninth
constexpr std::size_t kStretches = 96, kStretchesEach = 6;  // least number; number for each wanted token

bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// Tokens with least <= logit < below, by id. If there are more than `most`, returns only some of them, over `most`.
std::vector<Candidate> between(const Kernels& kernels, const float* logits, int padded, float least, float below,
                               std::size_t most) {
  // The buffer has room for all ids, but only the pages of found ids are touched.
  const auto ids = std::make_unique_for_overwrite<std::int32_t[]>(static_cast<std::size_t>(padded));
  const auto limit = static_cast<int>(std::min(most, static_cast<std::size_t>(padded)));
  const auto count = static_cast<std::size_t>(kernels.collect(logits, padded, least, below, limit, ids.get()));
  std::vector<Candidate> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = {logits[ids[i]], ids[i], 0};
  return out;
}

std::size_t segments(int padded) { return static_cast<std::size_t>((padded + kExpSegment - 1) / kExpSegment); }

double weight_of(float logit, float max, float scale) {
  return std::exp(static_cast<double>(logit - max) * static_cast<double>(scale));
}

}  // namespace

std::vector<Candidate> at_least(const Kernels& kernels, const float* logits, int padded, float least) {
  return between(kernels, logits, padded, least, kNoBound, static_cast<std::size_t>(padded));
}

// Finds the largest logit in each of many stretches of the row. At least k logits reach the k-th largest of these.
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

// A quickselect: each turn about halves the tokens that remain, so the cost is proportional to the number of tokens.
void keep_mass(std::vector<Candidate>& list, double enough) {
  auto low = list.begin(), high = list.end();
  double sum = 0;  // of the weights before `low`
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

Masses::Masses(const Kernels& kernels, const float* logits, int padded, float max, float scale)
    : Masses(logits, padded, max, scale, kEverything, [&] {
        std::vector<float> sums(segments(padded));
        kernels.exp_sums(logits, padded, max, scale, sums.data());
        return sums;
      }()) {}

Masses::Masses(const float* logits, int padded, float max, float scale, float least, std::vector<float> sums)
    : logits_(logits), padded_(padded), max_(max), scale_(scale), least_(least), sums_(std::move(sums)) {
  for (const double s : sums_) sum_ += s;
}

std::int32_t Masses::at(double place) const {
  std::size_t s = 0;
  while (s + 1 < sums_.size() && place >= static_cast<double>(sums_[s])) place -= static_cast<double>(sums_[s++]);
  std::int32_t last = -1;
  for (std::size_t begin = s; last < 0; begin = (begin + 1) % sums_.size()) {  // rounding may lead to a later stretch
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

// Each pass sums the weights of all tokens above each of eight logits, so the edge of the nucleus lies between two of
// these logits. If too many tokens lie between these two, the next pass takes eight logits between them. The few tokens
// at the edge are then weighed one by one. The drawn token is one of them, or a likelier one that the sums show.
std::int32_t draw_nucleus(const Kernels& kernels, const float* logits, int padded, float max, float temperature,
                          double share, double u) {
  const float scale = 1 / temperature;
  const double most = static_cast<double>(std::max(kFew, static_cast<std::size_t>(padded) / kFewOf));
  std::array<float, kLevels> levels{kEverything};
  for (std::size_t i = 1; i < kLevels; ++i) levels[i] = max - kLooks[kLevels - 1 - i] * temperature;
  std::vector<float> sums(kLevels * segments(padded));
  double enough = 0, outside = 0;  // outside: weight of all tokens from `edge` on
  float edge = max - kNothing * temperature;
  Masses inside(logits, padded, max, scale, kNoBound, {});
  float bound = kNoBound;  // all tokens from this logit on are inside
  for (int pass = 0; pass < kPasses; ++pass) {
    kernels.exp_sums_from(logits, padded, max, scale, levels.data(), sums.data());
    const std::size_t each = segments(padded);
    for (std::size_t i = 0; i < kLevels; ++i) {
      const auto begin = sums.begin() + static_cast<std::ptrdiff_t>(i * each);
      Masses from(logits, padded, max, scale, levels[i], {begin, begin + static_cast<std::ptrdiff_t>(each)});
      if (levels[i] == kEverything) {
        outside = from.sum();
        enough = share * outside;
      } else if (from.sum() >= enough) {
        edge = levels[i];
        outside = from.sum();
      } else {
        inside = std::move(from);
        bound = levels[i];
        break;
      }
    }
    // Each token between `edge` and `bound` weighs at least as much as one at the edge, which bounds their number.
    if (outside - inside.sum() <= most * weight_of(edge, max, scale)) break;
    const float width = (std::min(bound, max) - edge) / (kLevels + 1);
    for (std::size_t i = 0; i < kLevels; ++i) levels[i] = edge + width * static_cast<float>(i + 1);
  }
  auto found = between(kernels, logits, padded, edge, bound, static_cast<std::size_t>(padded));
  weigh(found, max, temperature);
  keep_mass(found, enough - inside.sum());
  const double place = u * (inside.sum() + sum_of(found));
  return place < inside.sum() || found.empty() ? inside.at(place) : drawn(found, place - inside.sum());
}

}  // namespace hearth::step
