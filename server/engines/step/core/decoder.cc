#include "decoder.h"

#include <algorithm>
#include <stdexcept>

namespace hearth::step {
namespace {

std::unique_ptr<const Weights> load(const std::string& path, const Config& config, const Kernels& kernels,
                                    int context_tokens) {
  const ModelFile file(path);
  return std::make_unique<const Weights>(file, read_architecture(file, config), kernels, context_tokens);
}

int blocks_for(std::size_t tokens) { return static_cast<int>((tokens + kBlockTokens - 1) / kBlockTokens); }

// The number of cache blocks: as many as the budget holds, but at least enough for one row of the whole context.
int count_blocks(const Architecture& a, int context_tokens, std::size_t cache_bytes) {
  const auto one = static_cast<std::size_t>(a.layers) * static_cast<std::size_t>(a.kv_heads) *
                   static_cast<std::size_t>(a.head_dim) * kBlockTokens * 2 * 2;
  const auto least = static_cast<std::size_t>(blocks_for(static_cast<std::size_t>(context_tokens)));
  return static_cast<int>(std::min<std::size_t>(std::max(cache_bytes / one, least), 1u << 24));
}

int check_context(int context_tokens) {
  if (context_tokens < 1 || context_tokens > 1 << 20) throw std::invalid_argument("the context is out of range");
  return context_tokens;
}

// The identity before the first block of a far row. The row's keys are rotated differently, so near rows must not
// find its blocks.
constexpr std::uint64_t kFarRoot = ~std::uint64_t{0};

}  // namespace

Decoder::Decoder(const std::string& path, const Config& config, int threads, const std::string& instruction_set,
                 int context_tokens, std::size_t cache_bytes)
    : kernels_(choose_kernels(instruction_set)),
      context_tokens_(check_context(context_tokens)),
      weights_(load(path, config, kernels_, context_tokens)),
      cache_(count_blocks(weights_->architecture, context_tokens, cache_bytes), weights_->architecture.layers,
             weights_->architecture.kv_heads, weights_->architecture.head_dim),
      pool_(count_blocks(weights_->architecture, context_tokens, cache_bytes)),
      team_(threads),
      forward_(*weights_, kernels_, cache_, team_, context_tokens) {}

Decoder::Row& Decoder::at(int row) {
  const auto it = rows_.find(row);
  if (it == rows_.end()) throw std::invalid_argument("there is no row " + std::to_string(row));
  return it->second;
}
const Decoder::Row& Decoder::at(int row) const { return const_cast<Decoder*>(this)->at(row); }

int Decoder::open(std::vector<std::int32_t> prompt, SamplingOptions options, int scored) {
  if (prompt.empty()) throw std::invalid_argument("a prompt has at least one token");
  if (prompt.size() > static_cast<std::size_t>(context_tokens_))
    throw std::invalid_argument("the prompt is longer than the context");
  for (const auto id : prompt)
    if (id < 0 || id >= vocabulary())
      throw std::invalid_argument("token " + std::to_string(id) + " is not in the vocabulary");
  Sampler sampler(std::move(options), prompt);
  const int length = static_cast<int>(prompt.size());
  const auto at = rows_.emplace(next_row_, Row{std::move(prompt), {}, std::move(sampler), length, scored}).first;
  at->second.far = is_far(at->second);
  return next_row_++;
}

void Decoder::close(int row) {
  preempt(row);
  rows_.erase(row);
}

void Decoder::append(int number, const std::vector<std::int32_t>& ids) {
  Row& row = at(number);
  if (row.tokens.size() + ids.size() > static_cast<std::size_t>(context_tokens_))
    throw std::invalid_argument("a row is longer than the context");
  for (const auto id : ids)
    if (id < 0 || id >= vocabulary())
      throw std::invalid_argument("token " + std::to_string(id) + " is not in the vocabulary");
  for (const auto id : ids) {
    row.sampler.remember(id);
    grow(number, id);
  }
}

bool Decoder::is_far(const Row& row) const {
  const int near = weights_->architecture.near_tokens;
  return near > 0 && row.tokens.size() > static_cast<std::size_t>(near);
}

// Adds a token. If that makes the row longer than the original context, the rotation of all its keys changes. Then the
// row is preempted and computed again from its beginning, once.
void Decoder::grow(int number, std::int32_t id) {
  Row& row = at(number);
  row.tokens.push_back(id);
  if (row.far || !is_far(row)) return;
  row.far = true;
  preempt(number);
}

bool Decoder::reserve(int number, int count) {
  Row& row = at(number);
  const bool admitting = row.blocks.empty();
  if (admitting) {
    // At least one token must remain to be computed, because its logits are wanted.
    const int known = std::min(static_cast<int>(row.tokens.size()), row.scored);
    row.before = row.far ? kFarRoot : 0;
    while (row.computed + kBlockTokens < known) {
      BlockTokens tokens;
      std::copy_n(row.tokens.begin() + row.computed, kBlockTokens, tokens.begin());
      const int block = pool_.find(row.before, tokens);
      if (block < 0) break;
      row.blocks.push_back(block);
      row.before = pool_.identity(block);
      row.computed += kBlockTokens;
      ++row.sealed;
    }
  }
  const int after = std::min({row.computed + count, static_cast<int>(row.tokens.size()), context_tokens_});
  const int wanted = blocks_for(static_cast<std::size_t>(after));
  if (wanted - static_cast<int>(row.blocks.size()) > pool_.available()) {
    if (admitting) preempt(number);
    return false;
  }
  while (static_cast<int>(row.blocks.size()) < wanted) row.blocks.push_back(pool_.take());
  if (row.cached < 0) row.cached = std::min(row.computed, row.prompt);
  return true;
}

void Decoder::preempt(int number) {
  Row& row = at(number);
  // Release the last block first, so that the end of a kept prefix is evicted before its beginning.
  for (auto block = row.blocks.rbegin(); block != row.blocks.rend(); ++block) pool_.release(*block);
  row.blocks.clear();
  row.computed = row.sealed = 0;
  row.before = 0;
}

int Decoder::pending(int number) const {
  const Row& row = at(number);
  return static_cast<int>(row.tokens.size()) - row.computed;
}
int Decoder::cached(int number) const { return std::max(0, at(number).cached); }

std::vector<Span> Decoder::spans(const std::vector<Work>& works, bool all_wanted) {
  std::vector<Span> out;
  for (const auto& w : works) {
    const Row& row = at(w.row);
    const int left = static_cast<int>(row.tokens.size()) - row.computed;
    if (row.computed + w.count > context_tokens_) throw std::invalid_argument("a row is longer than the context");
    if (w.count < 1 || w.count > left) throw std::invalid_argument("a row has fewer pending tokens");
    if (blocks_for(static_cast<std::size_t>(row.computed) + static_cast<std::size_t>(w.count)) >
        static_cast<int>(row.blocks.size()))
      throw std::invalid_argument("a row's blocks are not reserved");
    for (const auto& other : works)
      if (&other != &w && other.row == w.row) throw std::invalid_argument("a row is in a step once");
    out.push_back({row.tokens.data() + row.computed, row.blocks.data(), row.computed, w.count,
                   all_wanted        ? w.count
                   : w.count == left ? 1
                                     : 0,
                   row.far});
  }
  return out;
}

void Decoder::advance(Row& row, int count) {
  row.computed += count;
  for (; (row.sealed + 1) * kBlockTokens <= row.computed; ++row.sealed) {
    BlockTokens tokens;
    std::copy_n(row.tokens.begin() + row.sealed * kBlockTokens, kBlockTokens, tokens.begin());
    row.before = pool_.seal(row.blocks[static_cast<std::size_t>(row.sealed)], row.before, tokens);
  }
}

std::vector<Choice> Decoder::step(const std::vector<Work>& works) {
  if (works.empty()) return {};
  const auto list = spans(works, false);
  std::vector<Choice> choices(works.size());
  std::vector<std::size_t> chooses;
  for (std::size_t i = 0; i < works.size(); ++i) {
    choices[i].id = kPromptPending;
    if (list[i].wanted > 0) chooses.push_back(i);
  }
  const std::function<void(int, float*)> choose = [&](int r, float* logits) {
    const auto i = chooses[static_cast<std::size_t>(r)];
    choices[i] = at(works[i].row)
                     .sampler.choose(kernels_, logits, static_cast<int>(forward_.logits_stride()), works[i].mask,
                                     works[i].mask_words);
  };
  forward_.run(list, &choose);
  for (std::size_t i = 0; i < works.size(); ++i) {
    Row& row = at(works[i].row);
    advance(row, works[i].count);
    if (choices[i].id >= 0) grow(works[i].row, choices[i].id);
  }
  return choices;
}

std::vector<float> Decoder::logits(const std::vector<Work>& works) {
  if (works.empty()) return {};
  const auto list = spans(works, true);
  const float* from = forward_.run(list, nullptr);
  std::vector<float> out;
  for (const auto& work : works) {
    advance(at(work.row), work.count);
    for (int t = 0; t < work.count; ++t, from += forward_.logits_stride())
      out.insert(out.end(), from, from + vocabulary());
  }
  return out;
}

std::vector<LayerInputs> Decoder::inputs(const Work& work) {
  auto list = spans({work}, false);
  if (work.count <= Forward::kAlone) throw std::invalid_argument("more tokens are needed");
  list[0].wanted = 0;
  auto found = forward_.inputs(list);
  advance(at(work.row), work.count);
  return found;
}

}  // namespace hearth::step
