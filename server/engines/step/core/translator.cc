#include "translator.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "decoder.h"

namespace hearth::step {
namespace {

// The number of blocks of a quantised row of n inputs.
std::size_t scales_of(int n) { return static_cast<std::size_t>(round_up(n, kScaleInputs) / kScaleInputs); }

// Rows in a pass of a product. Their activations stay in the second-level cache while all panels are read.
constexpr int kChunkRows = 96;
constexpr float kNever = -std::numeric_limits<float>::infinity();

int blocks_of(int tokens) { return (tokens + kBlockTokens - 1) / kBlockTokens; }

}  // namespace

Translator::Translator(const std::string& path, const Config& config, const std::string& instruction_set)
    : kernels_(choose_kernels(instruction_set)) {
  const ModelFile file(path);
  weights_ = std::make_unique<TranslatorWeights>(file, read_translator(file, config), kernels_);
}

Sentences::Sentences(const Translator& translator)
    : weights_(translator.weights()),
      shape_(weights_.shape),
      kernels_(translator.kernels()),
      width_(static_cast<std::size_t>(shape_.width)),
      scores_stride_(static_cast<std::size_t>(round_up(shape_.positions, kBlockTokens) + kBlockTokens)),
      blocks_(static_cast<std::size_t>(blocks_of(shape_.positions))),
      normed_(width_),
      scores_(static_cast<std::size_t>(kernels_.query_tile) * scores_stride_) {
  std::iota(blocks_.begin(), blocks_.end(), 0);
}

int Sentences::open(std::vector<std::int32_t> source, std::vector<std::int32_t> shortlist, Decoding decoding) {
  const auto below = [](int size) { return [size](std::int32_t id) { return id >= 0 && id < size; }; };
  const auto known = below(shape_.vocabulary);
  const auto all_known = [&](const auto& ids) { return std::all_of(ids.begin(), ids.end(), known); };
  if (!std::all_of(source.begin(), source.end(), below(shape_.source_vocabulary)) || !all_known(shortlist) ||
      !all_known(decoding.prefix) || !known(decoding.end) || !(decoding.start == -1 || known(decoding.start)))
    throw std::invalid_argument("an id is not in the vocabulary");
  if (source.empty() || static_cast<int>(source.size()) > shape_.positions)
    throw std::invalid_argument("a source has 1 to " + std::to_string(shape_.positions) + " tokens");
  if (decoding.max_tokens < 1 || decoding.beam < 1 || decoding.hypotheses < 1 || decoding.hypotheses > decoding.beam ||
      decoding.no_repeat_ngram < 0 || !(decoding.repetition_penalty > 0.f))
    throw std::invalid_argument("an option is out of its range");
  const auto most = static_cast<std::size_t>(decoding.max_tokens) + decoding.prefix.size();
  if (most > static_cast<std::size_t>(shape_.positions)) throw std::invalid_argument("the target is too long");
  if (decoding.start == -1 && !shape_.zero_start) throw std::invalid_argument("the model wants a token to start with");
  if (!std::is_sorted(shortlist.begin(), shortlist.end()) ||
      (!shortlist.empty() && !std::binary_search(shortlist.begin(), shortlist.end(), decoding.end)))
    throw std::invalid_argument("a shortlist is ascending and has the end token");
  auto row = std::make_unique<Row>(
      Row{next_++, std::move(source), std::move(shortlist), {}, nullptr, Beams(std::move(decoding))});
  Beam first;
  if (shape_.recurrent) {
    first.cells.assign(static_cast<std::size_t>(shape_.decoder_layers) * width_, 0.f);
  } else {
    first.memory = std::make_unique<KvCache>(blocks_of(static_cast<int>(most)), shape_.decoder_layers, shape_.heads,
                                             shape_.head_dim);
  }
  row->beams.live().push_back(std::move(first));
  rows_.push_back(std::move(row));
  return rows_.back()->number;
}

void Sentences::close(int number) {
  std::erase_if(rows_, [&](const auto& row) { return row->number == number; });
}

std::vector<Finished> Sentences::step() {
  std::vector<Row*> fresh;
  live_.clear();
  for (auto& row : rows_) {
    if (row->memory == nullptr) fresh.push_back(row.get());
    row->first = static_cast<int>(live_.size());
    for (auto& beam : row->beams.live()) live_.push_back(&beam);
  }
  if (rows_.empty()) return {};
  if (!fresh.empty()) read(fresh);

  const auto count = live_.size();
  x_.reserve(count * width_);
  context_.reserve(count * width_);
  wide_.reserve(count * static_cast<std::size_t>(std::max(3 * shape_.width, shape_.inner)));
  embed_targets();
  for (int index = 0; index < shape_.decoder_layers; ++index) {
    const auto& layer = weights_.decoder[static_cast<std::size_t>(index)];
    if (shape_.recurrent) recur(layer, index);
    else attend_self(layer, index);
    attend_source(layer, index);
    feed_forward(layer.up, layer.down, layer.ffn_norm, x_.data(), static_cast<int>(count));
  }
  project();
  return choose();
}

// --- the source ---------------------------------------------------------------------------------------------------

void Sentences::read(const std::vector<Row*>& fresh) {
  std::size_t tokens = 0;
  for (const auto* row : fresh) tokens += row->source.size();
  x_.reserve(tokens * width_);
  context_.reserve(tokens * width_);
  wide_.reserve(tokens * static_cast<std::size_t>(std::max(3 * shape_.width, shape_.inner)));
  encode(fresh, static_cast<int>(tokens));
  const Rows all{x_.data(), width_, shape_.width, static_cast<int>(tokens)};
  for (auto* row : fresh) {
    row->memory = std::make_unique<KvCache>(blocks_of(static_cast<int>(row->source.size())), shape_.decoder_layers,
                                            shape_.heads, shape_.head_dim);
    if (!row->shortlist.empty()) row->picked = weights_.projection.pick(row->shortlist);
  }
  for (int index = 0; index < shape_.decoder_layers; ++index) {
    product(weights_.decoder[static_cast<std::size_t>(index)].keys_values, all,
            shape_.pre_norm ? &weights_.encoder_norm : nullptr, wide_.data(), 2 * width_);
    const float* keys = wide_.data();
    for (auto* row : fresh)
      for (int t = 0; t < static_cast<int>(row->source.size()); ++t, keys += 2 * width_)
        for (int h = 0; h < shape_.heads; ++h)
          kernels_.store_kv(
              keys + h * shape_.head_dim, keys + width_ + h * shape_.head_dim, shape_.head_dim,
              row->memory->part(index, h) + static_cast<std::size_t>(t / kBlockTokens) * row->memory->stride(),
              t % kBlockTokens);
  }
}

void Sentences::encode(const std::vector<Row*>& fresh, int tokens) {
  float* x = x_.data();
  for (const auto* row : fresh)
    for (std::size_t t = 0; t < row->source.size(); ++t, x += width_) {
      weights_.embed_source(row->source[t], x);
      const float* position = weights_.source_positions.data() + t * width_;
      for (std::size_t i = 0; i < width_; ++i) x[i] += position[i];
    }
  const Rows all{x_.data(), width_, shape_.width, tokens};
  for (const auto& layer : weights_.encoder) {
    product(layer.qkv, all, before(layer.attention_norm), wide_.data(), 3 * width_);
    std::size_t first = 0;
    for (const auto* row : fresh) {
      const int length = static_cast<int>(row->source.size());
      KvCache cache(blocks_of(length), 1, shape_.heads, shape_.head_dim);
      const float* qkv = wide_.data() + first * 3 * width_;
      for (int h = 0; h < shape_.heads; ++h) {
        const auto at = static_cast<std::size_t>(h) * static_cast<std::size_t>(shape_.head_dim);
        for (int t = 0; t < length; ++t) {
          const float* row_of = qkv + static_cast<std::size_t>(t) * 3 * width_ + at;
          kernels_.store_kv(row_of + width_, row_of + 2 * width_, shape_.head_dim,
                            cache.part(0, h) + static_cast<std::size_t>(t / kBlockTokens) * cache.stride(),
                            t % kBlockTokens);
        }
        attend(cache, 0, h, qkv + at, 3 * width_, length, length, context_.data() + first * width_ + at, width_);
      }
      first += row->source.size();
    }
    product(layer.out, {context_.data(), width_, shape_.width, tokens}, nullptr, x_.data(), width_);
    settle(layer.attention_norm, x_.data(), tokens);
    feed_forward(layer.up, layer.down, layer.ffn_norm, x_.data(), tokens);
  }
}

// --- a step -------------------------------------------------------------------------------------------------------

void Sentences::embed_targets() {
  float* x = x_.data();
  for (const auto& row : rows_)
    for (const auto& beam : row->beams.live()) {
      const auto made = beam.tokens.size();
      const int token = made == 0 ? row->beams.decoding().start : beam.tokens.back();
      if (token < 0) std::fill(x, x + width_, 0.f);
      else weights_.embed_target(token, x);
      const float* position = weights_.target_positions.data() + made * width_;
      for (std::size_t i = 0; i < width_; ++i) x[i] += position[i];
      x += width_;
    }
}

void Sentences::recur(const DecoderLayer& layer, int index) {
  const int count = static_cast<int>(live_.size());
  product(layer.recurrence, {x_.data(), width_, shape_.width, count}, before(layer.self_norm), wide_.data(),
          2 * width_);
  for (std::size_t r = 0; r < live_.size(); ++r) {
    float* cell = live_[r]->cells.data() + static_cast<std::size_t>(index) * width_;
    const float* fresh = wide_.data() + r * 2 * width_;
    const float* gate = fresh + width_;
    float* x = x_.data() + r * width_;
    for (std::size_t i = 0; i < width_; ++i) {
      const float keep = 1.f / (1.f + std::exp(-gate[i]));
      cell[i] = keep * cell[i] + (1.f - keep) * fresh[i];
      x[i] += std::max(cell[i], 0.f);
    }
  }
  settle(layer.self_norm, x_.data(), count);
}

void Sentences::attend_self(const DecoderLayer& layer, int index) {
  const int count = static_cast<int>(live_.size());
  product(layer.qkv, {x_.data(), width_, shape_.width, count}, before(layer.self_norm), wide_.data(), 3 * width_);
  for (std::size_t r = 0; r < live_.size(); ++r) {
    auto& cache = *live_[r]->memory;
    const auto position = live_[r]->tokens.size();
    const float* qkv = wide_.data() + r * 3 * width_;
    for (int h = 0; h < shape_.heads; ++h) {
      const float* query = qkv + h * shape_.head_dim;
      kernels_.store_kv(query + width_, query + 2 * width_, shape_.head_dim,
                        cache.part(index, h) + position / kBlockTokens * cache.stride(),
                        static_cast<int>(position % kBlockTokens));
      attend(cache, index, h, query, 3 * width_, 1, static_cast<int>(position) + 1,
             context_.data() + r * width_ + h * shape_.head_dim, width_);
    }
  }
  product(layer.out, {context_.data(), width_, shape_.width, count}, nullptr, x_.data(), width_);
  settle(layer.self_norm, x_.data(), count);
}

void Sentences::attend_source(const DecoderLayer& layer, int index) {
  const int count = static_cast<int>(live_.size());
  product(layer.query, {x_.data(), width_, shape_.width, count}, before(layer.attention_norm), wide_.data(), width_);
  const bool last = index + 1 == shape_.decoder_layers;
  for (auto& row : rows_) {
    const int length = static_cast<int>(row->source.size());
    const int beams = static_cast<int>(row->beams.live().size());
    for (int h = 0; h < shape_.heads; ++h) {
      const auto at = static_cast<std::size_t>(row->first) * width_ + static_cast<std::size_t>(h * shape_.head_dim);
      // One tile at a time, because the alignment reads the scores that `attend` leaves.
      for (int b = 0; b < beams; b += kernels_.query_tile) {
        const int some = std::min(kernels_.query_tile, beams - b);
        const auto from = at + static_cast<std::size_t>(b) * width_;
        attend(*row->memory, index, h, wide_.data() + from, width_, some, length, context_.data() + from, width_);
        const bool tells = shape_.alignment_heads == 0 || h < shape_.alignment_heads;
        if (last && tells && row->beams.decoding().alignment) align(*row, b, some);
      }
    }
  }
  product(layer.context, {context_.data(), width_, shape_.width, count}, nullptr, x_.data(), width_);
  settle(layer.attention_norm, x_.data(), count);
}

// Adds one head's attention to the attention of some hypotheses, from the scores that `attend` has left.
void Sentences::align(Row& row, int first, int count) {
  for (int q = 0; q < count; ++q) {
    auto& attention = row.beams.live()[static_cast<std::size_t>(first) + static_cast<std::size_t>(q)].attention;
    const auto length = row.source.size();
    attention.resize(length);
    const float* scores = scores_.data() + static_cast<std::size_t>(q) * scores_stride_;
    const float sum = std::accumulate(scores, scores + length, 0.f);
    for (std::size_t t = 0; t < length; ++t) attention[t] += scores[t] / sum;
  }
}

void Sentences::project() {
  logits_stride_ = 0;
  for (const auto& row : rows_) {
    const int panels = row->shortlist.empty() ? weights_.projection.panels() : row->picked.view.panels;
    logits_stride_ = std::max(logits_stride_, static_cast<std::size_t>(panels) * kPanel);
  }
  logits_.reserve(live_.size() * logits_stride_);
  const int count = static_cast<int>(live_.size());
  quantise({x_.data(), width_, shape_.width, count}, shape_.pre_norm ? &weights_.decoder_norm : nullptr);
  const ActivationView activations{quantised_.data(), scales_of(shape_.width)};
  // Sentences without a shortlist need the whole matrix. They are multiplied together, so that memory reads it once.
  for (std::size_t i = 0; i < rows_.size();) {
    auto& row = *rows_[i];
    int beams = static_cast<int>(row.beams.live().size());
    std::size_t next = i + 1;
    if (row.shortlist.empty())
      for (; next < rows_.size() && rows_[next]->shortlist.empty() && beams < kChunkRows; ++next)
        beams += static_cast<int>(rows_[next]->beams.live().size());
    const auto view = row.shortlist.empty() ? weights_.projection.view() : row.picked.view;
    kernels_.gemm(view, activations, row.first, beams, 0, view.panels, logits_.data(), logits_stride_);
    i = next;
  }
}

std::vector<Finished> Sentences::choose() {
  std::vector<Finished> finished;
  for (auto& row : rows_) {
    const bool all = row->shortlist.empty();
    const int count = all ? shape_.vocabulary : static_cast<int>(row->shortlist.size());
    float* logits = logits_.data() + static_cast<std::size_t>(row->first) * logits_stride_;
    for (std::size_t b = 0; b < row->beams.live().size(); ++b)
      std::fill(logits + b * logits_stride_ + count, logits + (b + 1) * logits_stride_, kNever);
    if (row->beams.take(kernels_, logits, logits_stride_, count, all ? nullptr : row->shortlist.data()))
      finished.push_back({row->number, row->beams.best()});
    else
      for (auto& beam : row->beams.live()) beam.attention.assign(beam.attention.size(), 0.f);
  }
  for (const auto& each : finished) close(each.row);
  return finished;
}

// --- the parts of layers ------------------------------------------------------------------------------------------

void Sentences::quantise(const Rows& rows, const Norm* norm) {
  const auto stride = scales_of(rows.size);
  quantised_.reserve(static_cast<std::size_t>(rows.count) * stride);
  for (int r = 0; r < rows.count; ++r) {
    const float* row = rows.x + static_cast<std::size_t>(r) * rows.stride;
    if (norm != nullptr) {
      kernels_.norm(norm->view(rows.size, shape_.epsilon), row, normed_.data());
      row = normed_.data();
    }
    kernels_.quantize(row, rows.size, quantised_.data() + static_cast<std::size_t>(r) * stride);
  }
}

void Sentences::product(const Linear& linear, const Rows& rows, const Norm* norm, float* out, std::size_t stride) {
  quantise(rows, norm);
  const ActivationView activations{quantised_.data(), scales_of(rows.size)};
  const auto view = linear.view();
  for (int first = 0; first < rows.count; first += kChunkRows)
    kernels_.gemm(view, activations, first, std::min(kChunkRows, rows.count - first), 0, view.panels, out, stride);
}

void Sentences::settle(const Norm& norm, float* x, int count) {
  if (shape_.pre_norm) return;
  const auto view = norm.view(shape_.width, shape_.epsilon);
  for (int r = 0; r < count; ++r, x += width_) kernels_.norm(view, x, x);
}

void Sentences::feed_forward(const Linear& up, const Linear& down, const Norm& norm, float* x, int count) {
  const auto inner = static_cast<std::size_t>(shape_.inner);
  product(up, {x, width_, shape_.width, count}, before(norm), wide_.data(), inner);
  product(down, {wide_.data(), inner, shape_.inner, count}, nullptr, x, width_);
  settle(norm, x, count);
}

void Sentences::attend(const KvCache& cache, int layer, int head, const float* queries, std::size_t query_stride,
                       int count, int end, float* out, std::size_t out_stride) {
  Query tile[16];
  AttendJob job{tile,
                0,
                blocks_.data(),
                cache.part(layer, head),
                cache.stride(),
                shape_.head_dim,
                1.f / std::sqrt(static_cast<float>(shape_.head_dim)),
                0.f,
                scores_.data(),
                scores_stride_};
  for (int q = 0; q < count; ++q) {
    tile[job.count++] = {queries + static_cast<std::size_t>(q) * query_stride,
                         out + static_cast<std::size_t>(q) * out_stride, 0, end};
    if (job.count == kernels_.query_tile || q + 1 == count) {
      kernels_.attend(job);
      job.count = 0;
    }
  }
}

}  // namespace hearth::step
