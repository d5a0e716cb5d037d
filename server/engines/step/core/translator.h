// Translates sentences together: each joins at any step and leaves when it ends.
//
// One thread drives one `Sentences`; several of them share a `Translator`. What is computed for a sentence is bitwise
// the same alone and beside any others: every product is a row's own (kernels/kernels.h), each row attends to its own
// source, and each chooses among its own shortlist.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "beams.h"
#include "kv_cache.h"
#include "translator_weights.h"

namespace hearth::step {

// A model's weights, and the kernels that they are packed for.
class Translator {
 public:
  // Throws ModelError, Unsupported.
  Translator(const std::string& path, const Config& config, const std::string& instruction_set);

  const TranslatorWeights& weights() const { return *weights_; }
  const Kernels& kernels() const { return kernels_; }

 private:
  const Kernels& kernels_;
  std::unique_ptr<TranslatorWeights> weights_;
};

// What came of a sentence, likeliest first.
struct Finished {
  int row;
  std::vector<Hypothesis> hypotheses;
};

class Sentences {
 public:
  // The translator must outlive it.
  explicit Sentences(const Translator& translator);

  // Adds a sentence; its number. `shortlist`, when not empty, has the only tokens that may come, ascending, the end
  // among them. Throws std::invalid_argument for ids out of the vocabulary and for what exceeds the model's positions.
  int open(std::vector<std::int32_t> source, std::vector<std::int32_t> shortlist, Decoding decoding);
  // Forgets a sentence.
  void close(int number);
  // Reads the sources that are new, and makes one token of each sentence. Gives the sentences that ended.
  std::vector<Finished> step();
  int size() const { return static_cast<int>(rows_.size()); }

 private:
  struct Row {
    int number;
    std::vector<std::int32_t> source, shortlist;
    Picked picked;                    // of the projection; only with a shortlist
    std::unique_ptr<KvCache> memory;  // keys and values of the source, a layer of the decoder each; null: not read yet
    Beams beams;
    int first = 0;  // its first hypothesis in this step
  };
  struct Rows {
    const float* x;
    std::size_t stride;
    int size, count;
  };

  void read(const std::vector<Row*>& fresh);
  void encode(const std::vector<Row*>& fresh, int tokens);
  void attend(const KvCache& cache, int layer, int head, const float* queries, std::size_t query_stride, int count,
              int end, float* out, std::size_t out_stride);
  void embed_targets();
  void recur(const DecoderLayer& layer, int index);
  void attend_self(const DecoderLayer& layer, int index);
  void attend_source(const DecoderLayer& layer, int index);
  void align(Row& row, int first, int count);
  void project();
  std::vector<Finished> choose();

  // quantised(norm(rows)) times the layer's weights; what its store does with the product goes to `out`.
  void product(const Linear& linear, const Rows& rows, const Norm* norm, float* out, std::size_t stride);
  void quantise(const Rows& rows, const Norm* norm);
  // Of post-norm models: rows become their norms.
  void settle(const Norm& norm, float* x, int count);
  const Norm* before(const Norm& norm) const { return shape_.pre_norm ? &norm : nullptr; }
  void feed_forward(const Linear& up, const Linear& down, const Norm& norm, float* x, int count);

  const TranslatorWeights& weights_;
  const TranslatorShape& shape_;
  const Kernels& kernels_;
  std::vector<std::unique_ptr<Row>> rows_;
  std::vector<Beam*> live_;  // all hypotheses of this step, those of a row together
  int next_ = 0;
  std::size_t width_, logits_stride_ = 0, scores_stride_;
  std::vector<std::int32_t> blocks_;  // 0, 1, 2, ...: each sentence has a cache of its own
  Aligned<float> x_, wide_, context_, logits_, normed_, scores_;
  Aligned<ActivationBlock> quantised_;
};

}  // namespace hearth::step
