// Int8 weights of one linear layer, packed for the kernels (layout: kernels/kernels.h), with the operations that the
// kernels fuse into the store of the product.
#pragma once
#include <string>
#include <vector>

#include "aligned.h"
#include "kernels/kernels.h"
#include "model_file.h"
#include "pages.h"

namespace hearth::step {

// Some outputs of a layer, packed as their own matrix.
struct Picked {
  Aligned<std::int8_t> packed;
  Aligned<float> inverse_scale, bias;
  LinearView view{};
};

class Linear {
 public:
  Linear() = default;

  // Loads the layer at `scope`. The arena owns its arrays.
  Linear(Arena& arena, const ModelFile& file, const std::string& scope, const Kernels& kernels, Store store,
         Activation activation = Activation::kNone);

  // Loads act(gate) * up as one layer, with 16 rows of gate and 16 rows of up by turns.
  static Linear gated(Arena& arena, const ModelFile& file, const std::string& gate, const std::string& up,
                      const Kernels& kernels, Activation activation);

  LinearView view() const;
  int panels() const { return panels_; }
  std::size_t bytes() const { return static_cast<std::size_t>(panels_) * panel_bytes(); }
  std::size_t panel_bytes() const { return static_cast<std::size_t>(inputs4_) * kPanel * 4; }

  // Packs these outputs of the layer, in this order. The layer's store must be a plain write.
  Picked pick(const std::vector<std::int32_t>& outputs) const;

  // Writes weight row `output` as floats. The row is an embedding if the projection's matrix has the embeddings too.
  void row(int output, float factor, float* to) const;

 private:
  Linear(Arena& arena, int outputs, int inputs, bool biased, const Kernels& kernels, Store store,
         Activation activation);
  // Packs one matrix. Its output o becomes packed output place(o).
  template <typename Place>
  void pack(const ModelFile& file, const std::string& scope, Place place);
  // Packs one weight row. Returns false if it contains -128.
  bool pack_row(const std::int8_t* row, int output);

  std::int8_t* packed_ = nullptr;
  float* inverse_scale_ = nullptr;
  float* bias_ = nullptr;  // null: none
  int inputs_ = 0, inputs4_ = 0, panels_ = 0, offset_ = 0;
  Store store_ = Store::kWrite;
  Activation activation_ = Activation::kNone;
};

}  // namespace hearth::step
