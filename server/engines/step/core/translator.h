// Translates sentences together. A sentence may join at any step, and it leaves when it ends.
//
// One thread drives one `Sentences`, and several `Sentences` share a `Translator`. A sentence's numbers are bitwise the
// same alone and with any others: products depend on one row alone (kernels/kernels.h), each row attends to its own
// source, and each sentence chooses among its own shortlist.
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

// The hypotheses of a sentence that has ended, likeliest first.
struct Finished {
  int row;
  std::vector<Hypothesis> hypotheses;
};

class Sentences {
 public:
  // The translator must outlive this object.
  explicit Sentences(const Translator& translator);

  // Adds a sentence and returns its number. The ids of `source` are of the source vocabulary, all other ids of the
  // target vocabulary. A shortlist that is not empty has all tokens that may be chosen, ascending, with the end token.
  // Throws std::invalid_argument if an id is outside its vocabulary or a length exceeds the model's positions.
  int open(std::vector<std::int32_t> source, std::vector<std::int32_t> shortlist, Decoding decoding);
  // Forgets a sentence.
  void close(int number);
  // Encodes new sources and decodes one token of each sentence. Returns the sentences that have ended.
  std::vector<Finished> step();
  int size() const { return static_cast<int>(rows_.size()); }

 private:
  struct Row {
    int number;
    std::vector<std::int32_t> source, shortlist;
    Picked picked;                    // the shortlist's part of the projection
    std::unique_ptr<KvCache> memory;  // keys and values of the source for each decoder layer; null: not encoded yet
    Beams beams;
    int first = 0;  // index of the row's first hypothesis in this step
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

  // Multiplies quantised(norm(rows)) by the layer's weights. The layer's store writes the product to `out`.
  void product(const Linear& linear, const Rows& rows, const Norm* norm, float* out, std::size_t stride);
  void quantise(const Rows& rows, const Norm* norm);
  // Normalises the rows in place if the model has post-norms.
  void settle(const Norm& norm, float* x, int count);
  const Norm* before(const Norm& norm) const { return shape_.pre_norm ? &norm : nullptr; }
  void feed_forward(const Linear& up, const Linear& down, const Norm& norm, float* x, int count);

  const TranslatorWeights& weights_;
  const TranslatorShape& shape_;
  const Kernels& kernels_;
  std::vector<std::unique_ptr<Row>> rows_;
  std::vector<Beam*> live_;  // all hypotheses of this step, grouped by row
  int next_ = 0;
  std::size_t width_, logits_stride_ = 0, scores_stride_;
  std::vector<std::int32_t> blocks_;  // 0, 1, 2, ...: each sentence has its own cache
  Aligned<float> x_, wide_, context_, logits_, normed_, scores_;
  Aligned<ActivationBlock> quantised_;
};

}  // namespace hearth::step
