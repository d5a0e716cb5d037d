// One step through the decoder: tokens of any number of rows, each at its own position, in one call.
//
// A decoding row has one token in the step, a prompt a chunk of any length. Rows are flattened to one list of tokens,
// so no row is padded to a common length. A row's logits are bitwise the same with any other rows in the step, for any
// division of its prompt into chunks, and on any number of threads.
#pragma once
#include <algorithm>
#include <array>
#include <vector>

#include "aligned.h"
#include "kv_cache.h"
#include "team.h"
#include "weights.h"

namespace hearth::step {

// The next tokens of one row. The row's blocks reach at least to position start + count.
struct Span {
  const std::int32_t* tokens;
  const std::int32_t* blocks;
  int start;
  int count;
  int wanted;        // number of last tokens whose logits are wanted
  bool far = false;  // the row is longer than the original context: see Architecture::near_tokens
};

// The inputs of a layer's four products for all tokens of a step, a row of floats for each token: of queries, keys and
// values; of attention's output; of the inner layer; of its output.
using LayerInputs = std::array<std::vector<float>, 4>;

class Forward {
 public:
  Forward(const Weights& weights, const Kernels& kernels, KvCache& cache, Team& team, int context_tokens);

  // Writes keys and values of all tokens, and returns the wanted logits in order, a row of logits_stride() floats each.
  // Columns beyond the vocabulary are -infinity. The result is valid until the next call.
  // If `after` is given, members of the team call it for each row of logits after all rows are computed.
  float* run(const std::vector<Span>& spans, const std::function<void(int row, float* logits)>* after);

  // Computes a step of more than kAlone tokens, and returns the inputs of each layer.
  std::vector<LayerInputs> inputs(const std::vector<Span>& spans);
  // Up to this many rows, every member of the team prepares all rows for itself, because a barrier would cost more.
  static constexpr int kAlone = 4;

  std::size_t logits_stride() const { return logits_stride_; }

 private:
  struct Token {
    int span, position, id;
  };
  struct AttentionPiece {
    int span, head, first, count;
  };  // tokens first .. first+count-1 of the flattened list

  void plan(const std::vector<Span>& spans);
  void embed(int t);
  void finish(int row, const std::function<void(int, float*)>* after);
  void work(int member, const std::vector<Span>& spans, const std::function<void(int, float*)>* after);
  // Rows to multiply, as floats. They are normalised first if a norm is given.
  struct Rows {
    const float* x;
    std::size_t stride;
    int size;
    const NormView* norm;
    const std::vector<int>* which;  // null: all, in order
  };
  // out (+)= quantised(rows) times the layer's weights. `next`, if given, is the layer of the next product.
  void product(int member, const Linear& linear, const Rows& rows, int count, float* out, std::size_t stride,
               const Linear* next = nullptr);
  // Rows [row, row+rows) and panels [panel, panel+panels) of a product of quantised rows.
  void multiply(int member, const Linear& linear, const ActivationView& activations, int row, int rows, int panel,
                int panels, float* out, std::size_t stride);
  // The number of panels in a piece of a product with few rows.
  int group_of(const Linear& linear) const { return std::max(1, linear.panels() / (team_.size() * 6)); }
  // Prefetches the beginning of a member's own part of a layer, some lines in each call. Returns false when done. With
  // few rows the speed of memory limits a step, and memory would be idle while members wait for each other.
  class Fetch {
   public:
    Fetch() = default;
    Fetch(const std::int8_t* from, std::size_t bytes) : at_(from), end_(from + bytes) {}
    bool operator()() {
      for (int line = 0; line < 8 && at_ != end_; ++line, at_ += 64) __builtin_prefetch(at_, 0, 2);
      return at_ != end_;
    }

   private:
    const std::int8_t* at_ = nullptr;
    const std::int8_t* end_ = nullptr;
  };
  Fetch fetch(int member, const Linear* next, int count) const;
  // Normalises and quantises row i into place i of `to`, in the form that the layer's product reads.
  void quantise(int member, const Linear& linear, const Rows& rows, int i, ActivationBlock* to);
  // Keeps a row of inputs if the product is a layer's.
  void watch(const Linear& linear, int i, const float* row, int size);
  void add_normed(int member, const Norm& norm, int count);
  void norm_all_heads(const Layer& layer, int t);
  void place_heads(const Layer& layer, int index, int token, int head, const Span& span);
  void attend(int member, const Layer& layer, int index, const AttentionPiece& piece, const Span& span);

  const Weights& weights_;
  const Architecture& shape_;
  const Kernels& kernels_;
  KvCache& cache_;
  Team& team_;

  std::vector<Token> tokens_;
  std::vector<int> prompts_;  // tokens of spans with several tokens
  std::vector<AttentionPiece> pieces_;
  std::vector<int> wanted_;
  std::size_t width_, qkv_width_, context_width_, inner_width_, logits_stride_, most_blocks_, scores_stride_;
  struct Member {
    Aligned<ActivationBlock> quantised;
    Aligned<float> normed, scores;
    Aligned<std::int8_t> unpacked;
  };
  std::vector<Member> members_;
  std::vector<LayerInputs>* watched_ = nullptr;  // where the inputs of layers go; null: nowhere
  Aligned<float> x_, qkv_, context_, inner_, branch_, logits_;
  Aligned<ActivationBlock> quantised_;
};

}  // namespace hearth::step
