// Int8 weights of one linear layer, packed for the kernels (layout: kernels/kernels.h), with what their store fuses.
#pragma once
#include <string>
#include <vector>

#include "aligned.h"
#include "kernels/kernels.h"
#include "model_file.h"
#include "pages.h"

namespace hearth::step {

// Some outputs of a layer, packed for themselves.
struct Picked {
  Aligned<std::int8_t> packed;
  Aligned<float> inverse_scale, bias;
  LinearView view{};
};

class Linear {
 public:
  Linear() = default;

  // The layer at `scope`; its arrays are the arena's.
  Linear(Arena& arena, const ModelFile& file, const std::string& scope, const Kernels& kernels, Store store,
         Activation activation = Activation::kNone);

  // act(gate) * up: rows of both, in turns of 16.
  static Linear gated(Arena& arena, const ModelFile& file, const std::string& gate, const std::string& up,
                      const Kernels& kernels, Activation activation);

  LinearView view() const;
  int panels() const { return panels_; }
  std::size_t bytes() const { return static_cast<std::size_t>(panels_) * panel_bytes(); }
  std::size_t panel_bytes() const { return static_cast<std::size_t>(inputs4_) * kPanel * 4; }

  // Packs these outputs, in this order. They must be the layer's, and its store a plain write.
  Picked pick(const std::vector<std::int32_t>& outputs) const;

  // Weight row `output` as floats: an embedding, when a matrix serves both ends of the model.
  void row(int output, float factor, float* to) const;

 private:
  Linear(Arena& arena, int outputs, int inputs, bool biased, const Kernels& kernels, Store store,
         Activation activation);
  // Packs one matrix: its output o becomes packed output place(o).
  template <typename Place>
  void pack(const ModelFile& file, const std::string& scope, Place place);
  // Puts a weight row in its place; false when it holds -128.
  bool pack_row(const std::int8_t* row, int output);

  std::int8_t* packed_ = nullptr;
  float* inverse_scale_ = nullptr;
  float* bias_ = nullptr;  // null: none
  int inputs_ = 0, inputs4_ = 0, panels_ = 0, offset_ = 0;
  Store store_ = Store::kWrite;
  Activation activation_ = Activation::kNone;
};

}  // namespace hearth::step
