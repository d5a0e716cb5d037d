#include "forward.h"

#include <algorithm>
#include <limits>

namespace hearth::step {
namespace {

// Rows in a piece of a product. Their activations stay in the second-level cache while all panels are read.
constexpr int kChunkRows = 96;
// Prompt tokens in a piece of attention.
constexpr int kAttendTokens = 16;
// Bytes of weights that a waiting member prefetches: about as much as memory delivers in that time.
constexpr std::size_t kFetchBytes = 16 << 10;

// The norm of a product's input, or null if it has none.
class Input {
 public:
  Input(const Norm& norm, int size, float epsilon) : view_(norm.view(size, epsilon)) {}
  const NormView* view() const { return view_.gamma != nullptr ? &view_ : nullptr; }

 private:
  NormView view_;
};

std::size_t width(int n) { return static_cast<std::size_t>(round_up(n, kPanel)); }
// The most blocks of a quantised row of n inputs.
std::size_t blocks(int n) { return static_cast<std::size_t>(round_up(n, kGroupInputs) / kScaleInputs); }

}  // namespace

Forward::Forward(const Weights& weights, const Kernels& kernels, KvCache& cache, Team& team, int context_tokens)
    : weights_(weights),
      shape_(weights.architecture),
      kernels_(kernels),
      cache_(cache),
      team_(team),
      width_(width(shape_.width)),
      qkv_width_(width(shape_.qkv_width())),
      context_width_(width(shape_.query_width())),
      inner_width_(width(shape_.inner)),
      logits_stride_(width(shape_.vocabulary)),
      most_blocks_(std::max({blocks(shape_.width), blocks(shape_.query_width()), blocks(shape_.inner)})),
      scores_stride_(static_cast<std::size_t>(round_up(context_tokens, kBlockTokens) + kBlockTokens)),
      members_(static_cast<std::size_t>(team.size())) {
  const std::size_t groups = most_blocks_ * kScaleInputs / kGroupInputs;
  for (auto& m : members_) {
    if (weights.has_four_bits()) m.unpacked = Aligned<std::int8_t>(groups * kUnpackedGroupBytes);
    m.quantised = Aligned<ActivationBlock>(kAlone * most_blocks_);
    m.normed = Aligned<float>(width_);
    m.scores = Aligned<float>(static_cast<std::size_t>(kernels.query_tile) * scores_stride_);
  }
}

float* Forward::run(const std::vector<Span>& spans, const std::function<void(int, float*)>* after) {
  plan(spans);
  const auto count = tokens_.size();
  x_.reserve(count * width_);
  qkv_.reserve(count * qkv_width_);
  context_.reserve(count * context_width_);
  inner_.reserve(count * inner_width_);
  if (shape_.normed_behind()) branch_.reserve(count * width_);
  quantised_.reserve(count * most_blocks_);
  logits_.reserve(wanted_.size() * logits_stride_);
  // Embed few tokens on this thread, because a barrier would take longer.
  const bool few = count <= kAlone;
  for (std::size_t t = 0; few && t < count; ++t) embed(static_cast<int>(t));
  team_.run([&](int member) { work(member, spans, after); });
  if (wanted_.size() == 1) finish(0, after);
  return logits_.data();
}

std::vector<LayerInputs> Forward::inputs(const std::vector<Span>& spans) {
  std::size_t count = 0;
  for (const auto& span : spans) count += static_cast<std::size_t>(span.count);
  LayerInputs empty;
  const std::array sizes = {shape_.width, shape_.query_width(), shape_.width, shape_.inner};
  for (std::size_t i = 0; i < empty.size(); ++i) empty[i].resize(count * static_cast<std::size_t>(sizes[i]));
  std::vector<LayerInputs> found(weights_.layers.size(), empty);
  watched_ = &found;
  run(spans, nullptr);
  watched_ = nullptr;
  return found;
}

// Several members may call this at once, each with rows of its own.
void Forward::watch(const Linear& linear, int i, const float* row, int size) {
  for (std::size_t l = 0; l < weights_.layers.size(); ++l) {
    const auto& layer = weights_.layers[l];
    const std::array products = {&layer.qkv, &layer.out, &layer.up, &layer.down};
    for (std::size_t p = 0; p < products.size(); ++p)
      if (products[p] == &linear) std::copy_n(row, size, (*watched_)[l][p].begin() + std::ptrdiff_t{i} * size);
  }
}

void Forward::plan(const std::vector<Span>& spans) {
  tokens_.clear();
  pieces_.clear();
  wanted_.clear();
  prompts_.clear();
  for (int s = 0; s < static_cast<int>(spans.size()); ++s) {
    const auto& span = spans[static_cast<std::size_t>(s)];
    const int first = static_cast<int>(tokens_.size());
    for (int t = 0; t < span.count; ++t) {
      tokens_.push_back({s, span.start + t, span.tokens[t]});
      if (span.count > 1) prompts_.push_back(first + t);
    }
    for (int t = span.count - span.wanted; t < span.count; ++t) wanted_.push_back(first + t);
    for (int t = 0; t < span.count; t += kAttendTokens)
      for (int h = 0; h < shape_.kv_heads; ++h)
        pieces_.push_back({s, h, first + t, std::min(kAttendTokens, span.count - t)});
  }
}

void Forward::work(int member, const std::vector<Span>& spans, const std::function<void(int, float*)>* after) {
  const int count = static_cast<int>(tokens_.size());
  const int size = shape_.width;
  const auto span_of = [&](int span) -> const Span& { return spans[static_cast<std::size_t>(span)]; };

  if (count > kAlone) team_.share(member, count, [&](int t) { embed(t); });

  float* branch = shape_.normed_behind() ? branch_.data() : x_.data();
  for (int index = 0; index < shape_.layers; ++index) {
    const auto& layer = weights_.layers[static_cast<std::size_t>(index)];
    const Input attention_norm(layer.attention_norm, size, shape_.epsilon);
    const Input ffn_norm(layer.ffn_norm, size, shape_.epsilon);
    const bool last = index + 1 == shape_.layers;
    const Linear* following = last ? &weights_.projection : &weights_.layers[static_cast<std::size_t>(index) + 1].qkv;

    product(member, layer.qkv, {x_.data(), width_, size, attention_norm.view(), nullptr}, count, qkv_.data(),
            qkv_width_);
    const auto up = [&](const Linear* next) {
      product(member, layer.up, {x_.data(), width_, size, ffn_norm.view(), nullptr}, count, inner_.data(), inner_width_,
              next);
    };
    if (shape_.parallel()) up(nullptr);  // before attention changes its input
    if (shape_.head_norm == HeadNorm::kAll) team_.share(member, count, [&](int t) { norm_all_heads(layer, t); });
    // All keys and values of a prompt must be written before one of its tokens attends to them. No other token of the
    // step attends to the token of a decoding row.
    team_.share(member, static_cast<int>(prompts_.size()) * shape_.kv_heads, [&](int i) {
      const int t = prompts_[static_cast<std::size_t>(i / shape_.kv_heads)];
      place_heads(layer, index, t, i % shape_.kv_heads, span_of(tokens_[static_cast<std::size_t>(t)].span));
    });
    team_.share(
        member, static_cast<int>(pieces_.size()),
        [&](int i) {
          const auto& piece = pieces_[static_cast<std::size_t>(i)];
          const auto& span = span_of(piece.span);
          if (span.count == 1) place_heads(layer, index, piece.first, piece.head, span);
          attend(member, layer, index, piece, span);
        },
        fetch(member, &layer.out, count));
    product(member, layer.out, {context_.data(), context_width_, shape_.query_width(), nullptr, nullptr}, count, branch,
            width_, shape_.parallel() ? &layer.down : &layer.up);
    if (shape_.normed_behind()) add_normed(member, layer.post_attention_norm, count);

    if (!shape_.parallel()) up(&layer.down);
    product(member, layer.down, {inner_.data(), inner_width_, shape_.inner, nullptr, nullptr}, count, branch, width_,
            following);
    if (shape_.normed_behind()) add_normed(member, layer.post_ffn_norm, count);
  }

  const int wanted = static_cast<int>(wanted_.size());
  if (wanted == 0) return;
  const auto final_norm = weights_.final_norm.view(size, shape_.epsilon);
  product(member, weights_.projection, {x_.data(), width_, size, &final_norm, &wanted_}, wanted, logits_.data(),
          logits_stride_);
  if (wanted > 1) team_.share(member, wanted, [&](int row) { finish(row, after); });
}

void Forward::embed(int t) {
  const auto& token = tokens_[static_cast<std::size_t>(t)];
  const int size = shape_.width;
  float* x = x_.data() + static_cast<std::size_t>(t) * width_;
  weights_.embed(token.id, x);
  std::fill(x + size, x + width_, 0.f);
  if (shape_.positions == 0) return;
  const float* p =
      weights_.positions.data() + static_cast<std::size_t>(token.position) * static_cast<std::size_t>(size);
  for (int i = 0; i < size; ++i) x[i] += p[i];
}

void Forward::finish(int row, const std::function<void(int, float*)>* after) {
  float* logits = logits_.data() + static_cast<std::size_t>(row) * logits_stride_;
  if (shape_.final_softcap != 0.f) kernels_.softcap(logits, static_cast<int>(logits_stride_), shape_.final_softcap);
  std::fill(logits + shape_.vocabulary, logits + logits_stride_, -std::numeric_limits<float>::infinity());
  if (after != nullptr) (*after)(row, logits);
}

void Forward::product(int member, const Linear& linear, const Rows& rows, int count, float* out, std::size_t stride,
                      const Linear* next) {
  auto& own = members_[static_cast<std::size_t>(member)];
  const bool alone = count <= kAlone;
  ActivationBlock* to = alone ? own.quantised.data() : quantised_.data();
  const ActivationView activations{to, static_cast<std::size_t>(linear.blocks())};  // rows are contiguous
  if (!alone) team_.share(member, count, [&](int i) { quantise(member, linear, rows, i, to); });
  bool ready = !alone;

  const int group = alone ? group_of(linear) : 1;
  const int groups = (linear.panels() + group - 1) / group;
  const int chunks = (count + kChunkRows - 1) / kChunkRows;
  team_.share(
      member, groups * chunks,
      [&](int i) {
        for (int r = 0; !ready && r < count; ++r) quantise(member, linear, rows, r, to);
        ready = true;
        const int row = i / groups * kChunkRows;
        const int panel = i % groups * group;
        multiply(member, linear, activations, row, std::min(kChunkRows, count - row), panel,
                 std::min(group, linear.panels() - panel), out, stride);
      },
      fetch(member, next, count));
}

void Forward::multiply(int member, const Linear& linear, const ActivationView& activations, int row, int rows,
                       int panel, int panels, float* out, std::size_t stride) {
  if (linear.is_four_bit()) {
    auto* unpacked = members_[static_cast<std::size_t>(member)].unpacked.data();
    kernels_.gemm_four(linear.four_bit_view(), activations, row, rows, panel, panels, out, stride, unpacked);
  } else {
    kernels_.gemm(linear.view(), activations, row, rows, panel, panels, out, stride);
  }
}

Forward::Fetch Forward::fetch(int member, const Linear* next, int count) const {
  if (next == nullptr || count > kAlone) return {};
  const int group = group_of(*next);
  const int panel = std::min(team_.first_of(member, (next->panels() + group - 1) / group) * group, next->panels());
  const std::size_t begin = static_cast<std::size_t>(panel) * next->panel_bytes();
  return {next->packed() + begin, std::min(kFetchBytes, next->bytes() - begin) / 64 * 64};
}

void Forward::quantise(int member, const Linear& linear, const Rows& rows, int i, ActivationBlock* to) {
  const auto from = static_cast<std::size_t>(rows.which != nullptr ? (*rows.which)[static_cast<std::size_t>(i)] : i);
  const float* row = rows.x + from * rows.stride;
  if (rows.norm != nullptr) {
    float* normed = members_[static_cast<std::size_t>(member)].normed.data();
    kernels_.norm(*rows.norm, row, normed);
    row = normed;
  }
  if (watched_ != nullptr) watch(linear, i, row, rows.size);
  const auto blocks = linear.blocks();
  const auto quantize = linear.is_four_bit() ? kernels_.quantize_groups : kernels_.quantize;
  quantize(row, blocks * kScaleInputs, to + static_cast<std::size_t>(i) * static_cast<std::size_t>(blocks));
}

void Forward::add_normed(int member, const Norm& norm, int count) {
  float* normed = members_[static_cast<std::size_t>(member)].normed.data();
  const auto view = norm.view(shape_.width, shape_.epsilon);
  team_.share(member, count, [&](int t) {
    kernels_.norm(view, branch_.data() + static_cast<std::size_t>(t) * width_, normed);
    float* x = x_.data() + static_cast<std::size_t>(t) * width_;
    for (int i = 0; i < shape_.width; ++i) x[i] += normed[i];
  });
}

// Norms all query heads of a token as one row, and all of its keys.
void Forward::norm_all_heads(const Layer& layer, int t) {
  float* query = qkv_.data() + static_cast<std::size_t>(t) * qkv_width_;
  float* key = query + shape_.query_width();
  kernels_.norm(layer.q_norm.view(shape_.query_width(), shape_.epsilon), query, query);
  kernels_.norm(layer.k_norm.view(shape_.kv_width(), shape_.epsilon), key, key);
}

// Norms and rotates one key/value head of a token and the query heads that share it, and writes the cache.
void Forward::place_heads(const Layer& layer, int index, int t, int head, const Span& span) {
  const auto& token = tokens_[static_cast<std::size_t>(t)];
  const int dim = shape_.head_dim;
  const int group = shape_.heads / shape_.kv_heads;
  float* row = qkv_.data() + static_cast<std::size_t>(t) * qkv_width_;
  float* query = row + static_cast<std::size_t>(head * group) * static_cast<std::size_t>(dim);
  float* key = row + static_cast<std::size_t>(shape_.query_width() + head * dim);
  const float* value = key + shape_.kv_width();
  const int rotary = span.far ? layer.far_table : layer.rotary_table;
  const auto prepare = [&](float* x, const Norm& norm) {
    if (shape_.head_norm == HeadNorm::kEach) kernels_.norm(norm.view(dim, shape_.epsilon), x, x);
    if (rotary >= 0) {
      const auto& table = weights_.rotary[static_cast<std::size_t>(rotary)];
      const auto at = static_cast<std::size_t>(token.position) * static_cast<std::size_t>(table.half);
      kernels_.rotate(x, table.cosine.data() + at, table.sine.data() + at, table.half, table.rotary.interleaved);
    }
    if (shape_.head_norm == HeadNorm::kEachRotated) kernels_.norm(norm.view(dim, shape_.epsilon), x, x);
  };
  for (int g = 0; g < group; ++g) prepare(query + g * dim, layer.q_norm);
  prepare(key, layer.k_norm);
  const auto block = static_cast<std::size_t>(span.blocks[token.position / kBlockTokens]);
  kernels_.store_kv(key, value, dim, cache_.part(index, head) + block * cache_.stride(), token.position % kBlockTokens);
}

void Forward::attend(int member, const Layer& layer, int index, const AttentionPiece& piece, const Span& span) {
  const int dim = shape_.head_dim;
  const int group = shape_.heads / shape_.kv_heads;
  Query queries[16];
  AttendJob job{queries,
                0,
                span.blocks,
                cache_.part(index, piece.head),
                cache_.stride(),
                dim,
                shape_.query_scale,
                shape_.attention_softcap,
                members_[static_cast<std::size_t>(member)].scores.data(),
                scores_stride_};
  const int total = piece.count * group;
  for (int i = 0; i < total; ++i) {
    const auto t = static_cast<std::size_t>(piece.first) + static_cast<std::size_t>(i / group);
    const int head = piece.head * group + i % group;
    const auto at = static_cast<std::size_t>(head) * static_cast<std::size_t>(dim);
    const int end = tokens_[t].position + 1;
    queries[job.count++] = {qkv_.data() + t * qkv_width_ + at, context_.data() + t * context_width_ + at,
                            layer.window > 0 ? std::max(0, end - layer.window) : 0, end};
    if (job.count == kernels_.query_tile || i + 1 == total) {
      kernels_.attend(job);
      job.count = 0;
    }
  }
}

}  // namespace hearth::step
