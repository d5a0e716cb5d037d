// Int8 weights of one linear layer, packed for the kernels (layout: kernels/kernels.h), with what their store fuses.
#pragma once
#include <string>

#include "aligned.h"
#include "kernels/kernels.h"
#include "model_file.h"

namespace hearth::step {

class Linear {
 public:
  Linear() = default;

  // The layer at `scope`.
  Linear(const ModelFile& file, const std::string& scope, const Kernels& kernels, Store store,
         Activation activation = Activation::kNone);

  // act(gate) * up: rows of both, in turns of 16.
  static Linear gated(const ModelFile& file, const std::string& gate, const std::string& up, const Kernels& kernels,
                      Activation activation);

  LinearView view() const;
  int panels() const { return panels_; }
  std::size_t bytes() const { return packed_.size(); }

  // Weight row `output` as floats: an embedding, when a matrix serves both ends of the model.
  void row(int output, float factor, float* to) const;

 private:
  Linear(int outputs, int inputs, Store store, Activation activation);
  // Packs one matrix: its output o becomes packed output place(o).
  template <typename Place>
  void pack(const ModelFile& file, const std::string& scope, int offset, Place place);

  Aligned<std::int8_t> packed_;
  Aligned<float> inverse_scale_;
  Aligned<std::int32_t> correction_;
  Aligned<float> bias_;          // empty: none
  int inputs_ = 0, inputs4_ = 0, panels_ = 0;
  Store store_ = Store::kWrite;
  Activation activation_ = Activation::kNone;
};

}  // namespace hearth::step
