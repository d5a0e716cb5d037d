#include "beams.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "aligned.h"

namespace hearth::step {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// The column of a token in a row of logits, or -1 if the row has no such column.
int column_of(std::int32_t token, int count, const std::int32_t* ids) {
  if (ids == nullptr) return token < count ? token : -1;
  const auto* at = std::lower_bound(ids, ids + count, token);
  return at != ids + count && *at == token ? static_cast<int>(at - ids) : -1;
}

// The logarithm of the sum of all exponentials; NaN if a logit is NaN or all are -infinity.
double log_sum(const Kernels& kernels, const float* logits, int padded) {
  const Scan scan = kernels.scan(logits, padded);
  if (scan.has_nan || scan.max == kNever) return std::numeric_limits<double>::quiet_NaN();
  const auto segments = static_cast<std::size_t>((padded + kExpSegment - 1) / kExpSegment);
  std::vector<float> sums(segments);
  kernels.exp_sums(logits, padded, scan.max, 1.f, sums.data());
  double sum = 0;
  for (const float s : sums) sum += static_cast<double>(s);
  return static_cast<double>(scan.max) + std::log(sum);
}

}  // namespace

bool Beams::take(const Kernels& kernels, float* logits, std::size_t stride, int count, const std::int32_t* ids) {
  const auto made = live_.front().tokens.size();
  if (made < decoding_.prefix.size()) {
    force(decoding_.prefix[made]);
    return false;
  }
  // Each hypothesis gives twice as many candidates as there are beams, because half of the candidates may be ends.
  const auto most = static_cast<std::size_t>(decoding_.beam == 1 ? 1 : 2 * decoding_.beam);
  std::vector<Candidate> candidates;
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.sum != b.sum ? a.sum > b.sum : a.beam != b.beam ? a.beam < b.beam : a.token < b.token;
  };
  for (int b = 0; b < static_cast<int>(live_.size()); ++b) {
    const auto& beam = live_[static_cast<std::size_t>(b)];
    float* row = logits + static_cast<std::size_t>(b) * stride;
    restrict(beam, row, count, ids);
    const double normalizer = log_sum(kernels, row, round_up(count, kLane));
    const double base = beam.sum - normalizer;
    std::vector<int> own;  // columns of the likeliest tokens, likeliest first
    const auto likelier = [row](int a, int b) { return row[a] != row[b] ? row[a] > row[b] : a < b; };
    float least = kNever;
    for (int c = 0; c < count; ++c) {
      if (!(row[c] > least)) continue;
      if (own.size() == most) own.pop_back();
      own.insert(std::upper_bound(own.begin(), own.end(), c, likelier), c);
      if (own.size() == most) least = row[own.back()];
    }
    for (const int c : own) candidates.push_back({base + static_cast<double>(row[c]), b, ids != nullptr ? ids[c] : c});
  }
  std::sort(candidates.begin(), candidates.end(), better);
  const bool last = made + 1 - decoding_.prefix.size() >= static_cast<std::size_t>(decoding_.max_tokens);
  std::vector<Candidate> chosen;
  for (std::size_t i = 0; i < candidates.size() && chosen.size() < static_cast<std::size_t>(decoding_.beam); ++i) {
    const auto& candidate = candidates[i];
    if (candidate.token != decoding_.end) {
      chosen.push_back(candidate);
    } else if (i < static_cast<std::size_t>(decoding_.beam)) {
      finish(live_[static_cast<std::size_t>(candidate.beam)], candidate.sum, true);
      if (decoding_.beam == 1) break;
    }
  }
  std::vector<Beam> next;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const bool last_use = std::none_of(chosen.begin() + static_cast<std::ptrdiff_t>(i) + 1, chosen.end(),
                                       [&](const auto& later) { return later.beam == chosen[i].beam; });
    next.push_back(grown(live_[static_cast<std::size_t>(chosen[i].beam)], last_use, chosen[i]));
  }
  live_ = std::move(next);
  if (live_.empty() || finished_.size() >= static_cast<std::size_t>(decoding_.beam)) return true;
  if (last)
    for (const auto& beam : live_) finish(beam, beam.sum, false);
  return last;
}

std::vector<Hypothesis> Beams::best() {
  std::stable_sort(finished_.begin(), finished_.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
  if (finished_.size() > static_cast<std::size_t>(decoding_.hypotheses))
    finished_.resize(static_cast<std::size_t>(decoding_.hypotheses));
  return std::move(finished_);
}

void Beams::restrict(const Beam& beam, float* logits, int count, const std::int32_t* ids) const {
  const auto given = decoding_.prefix.size();
  const auto ban = [&](std::int32_t token) {
    if (const int c = column_of(token, count, ids); c >= 0) logits[c] = kNever;
  };
  for (const auto token : decoding_.banned) ban(token);
  if (decoding_.repetition_penalty != 1.f) {
    std::vector<std::int32_t> seen(beam.tokens.begin() + static_cast<std::ptrdiff_t>(given), beam.tokens.end());
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    for (const auto token : seen)
      if (const int c = column_of(token, count, ids); c >= 0)
        logits[c] = logits[c] > 0 ? logits[c] / decoding_.repetition_penalty : logits[c] * decoding_.repetition_penalty;
  }
  const auto n = static_cast<std::size_t>(decoding_.no_repeat_ngram);
  const auto& tokens = beam.tokens;
  if (n == 0 || tokens.size() - given + 1 < n) return;
  for (std::size_t i = given; i + n <= tokens.size(); ++i)
    if (std::equal(tokens.end() - static_cast<std::ptrdiff_t>(n - 1), tokens.end(),
                   tokens.begin() + static_cast<std::ptrdiff_t>(i)))
      ban(tokens[i + n - 1]);
}

void Beams::finish(const Beam& beam, double sum, bool ended) {
  const auto given = static_cast<std::ptrdiff_t>(decoding_.prefix.size());
  Hypothesis made;
  made.tokens.assign(beam.tokens.begin() + given, beam.tokens.end());
  if (!beam.alignment.empty()) made.alignment.assign(beam.alignment.begin() + given, beam.alignment.end());
  const auto length = made.tokens.size() + (ended ? 1 : 0);
  made.score = static_cast<float>(sum / static_cast<double>(std::max<std::size_t>(1, length)));
  finished_.push_back(std::move(made));
}

void Beams::force(std::int32_t token) {
  auto& beam = live_.front();  // within the prefix a sentence has one hypothesis
  beam = grown(beam, true, {beam.sum, 0, token});
}

Beam Beams::grown(Beam& from, bool last_use, const Candidate& candidate) const {
  Beam to;
  if (last_use) {
    to = std::move(from);
  } else {
    to.tokens = from.tokens;
    to.alignment = from.alignment;
    to.cells = from.cells;
    to.attention = from.attention;
    if (from.memory != nullptr) to.memory = std::make_unique<KvCache>(from.memory->copy());
  }
  to.tokens.push_back(candidate.token);
  to.sum = candidate.sum;
  if (decoding_.alignment)
    to.alignment.push_back(
        static_cast<std::int32_t>(std::max_element(to.attention.begin(), to.attention.end()) - to.attention.begin()));
  return to;
}

}  // namespace hearth::step
